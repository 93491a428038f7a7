"""What is shown during a run: on a pipe, one plain line a step with an estimate of the time left."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from bench.cli import progress
from bench.records import Artifact, Case, Cost, Measurement, Record
from tests import runs

FAILED = Record(case=runs.planned(Case(name="VGG16", model="VGG16")), error="export failed: out of memory",
                failures={"export": "out of memory"})  # fmt: skip
MEASURED = Record(
    case=runs.planned(Case(name="ResNet50 [b]x[/b]", model="ResNet50")),
    artifact=Artifact(sha256="0", size_bytes=102_000_000, opset=17),
    cost=Cost(mult_adds=3_857_973_248, params=25_636_712),
    measurement=Measurement(
        p50_ms=36.71, p50_ms_low=36.5, p50_ms_high=37.1, p90_ms=37.0, p95_ms=38.0, p99_ms=None, min_ms=36.0,
        throughput_per_s=27.2, load_ms=100.0, first_inference_ms=50.0, peak_rss_bytes=1, visits=3, samples=60,
        visit_p50_ms=(36.7, 36.7, 36.7), disturbed_visits=1,
    ),
)  # fmt: skip


def test_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    lines = progress.Lines()
    lines.plan({"export": 2, "timing": 1})
    lines.phase("export")
    lines.begin("exporting VGG16")
    lines.end(FAILED)
    lines.end(replace(MEASURED, measurement=None))
    lines.phase("timing")
    lines.end(MEASURED)
    out, err = capsys.readouterr()
    assert out == ""
    first, second, third = err.splitlines()
    assert first.startswith("[export 1 of 2] VGG16, export failed: out of memory ")
    assert "export: 1 step left" in first
    said = "[export 2 of 2] ResNet50 [b]x[/b], file size 102 MB, parameters 25.6 M, operations 7.72 G-Ops "
    assert second.startswith(said)
    assert ", p50 36.7 ms [36.5, 37.1], p95 38.0 ms, visits 3 (1 disturbed) " in third
    assert "timing: 0 steps left" in third


def test_an_interval_is_shown_from_three_visits_on() -> None:
    assert MEASURED.measurement is not None
    shown = progress.row(replace(MEASURED, measurement=replace(MEASURED.measurement, visits=2)))
    assert "36.7 ms" in shown
    assert "36.7 ms [36.5, 37.1]" in progress.row(MEASURED)


def test_live_table_shows_rows_and_what_is_done_now() -> None:
    screen = io.StringIO()
    table = progress.LiveTable(Console(file=screen, force_terminal=True, width=160))
    with table.live:
        table.plan({"timing": 2})
        table.phase("timing")
        table.begin("timing ResNet50, round 1")
        table.end(MEASURED)
        table.end(FAILED)
    text = screen.getvalue()
    assert "timing ResNet50, round 1" in text
    assert "36.7 ms [36.5, 37.1]" in text
    assert "3 (1 disturbed)" in text
    assert "ResNet50 [b]x[/b]" in text  # a name is text, never markup
