"""What other tools read: CSV, Markdown, and pytest-benchmark's JSON as its own command reads it."""

from __future__ import annotations

import errno
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from markdown_it import MarkdownIt
from pytest_benchmark.stats import Stats

from bench import store
from bench.analysis import comparison
from bench.errors import Failed
from bench.report import write_report
from bench.report.pytest_benchmark import export
from tests import runs


def test_csv_has_a_row_a_case_of_every_run(tmp_path: Path) -> None:
    two = [runs.of_suite("default"), replace(runs.swept(), started_at="2026-03-02T10:00:00Z")]
    frame = pd.read_csv(write_report(two, tmp_path / "runs.csv"))
    records = [record for run in two for record in run.records]
    assert list(frame["case"]) == [record.case.name for record in records]
    for row, record in zip(frame.itertuples(), records, strict=True):
        assert record.measurement is not None
        assert (row.p50_ms, row.p50_ms_low) == (record.measurement.p50_ms, record.measurement.p50_ms_low)
        assert row.batch_size == record.case.batch_size
        assert row.top1 == record.accuracy.top1 or (pd.isna(row.top1) and record.accuracy.top1 is None)


def test_csv_holds_no_formula(tmp_path: Path) -> None:
    run = runs.of_suite("default")
    formula = replace(run.records[0], case=replace(run.records[0].case, name='=HYPERLINK("http://127.0.0.1","x")'))
    path = write_report([replace(run, records=(formula,))], tmp_path / "run.csv")
    assert str(pd.read_csv(path)["case"][0]).startswith("'=")


def test_markdown_says_the_choice_the_verdicts_and_the_numbers(tmp_path: Path) -> None:
    run = runs.of_suite("default")
    slower = runs.of_suite("default", factor=1.3)
    path = write_report([slower], tmp_path / "comment.md", comparison=comparison.compare(run, slower))
    text = path.read_text(encoding="utf-8")
    assert "`without limits: " in text
    assert "**12 suspect**" in text
    verdicts, models = tables(text)
    assert verdicts[0] == [
        "Model",
        "Verdict",
        "Change of p50 [95 % interval]",
        "Seen 4 times in 5 from",
        "What changed",
    ]
    assert models[0] == ["Model", "Size", "Top-1", "Parameters", "Operations",
                         "Time per inference step, p50 [95 % interval]", "p95"]  # fmt: skip
    names = [f"`{record.case.name}`" for record in slower.records]
    assert [row[0] for row in models[1:]] == names
    assert sorted(row[0] for row in verdicts[1:]) == sorted(names)
    assert all(len(row) == 5 for row in verdicts)
    assert all(len(row) == 7 for row in models)


def tables(text: str) -> list[list[list[str]]]:
    """The cells of each table, row by row, as a parser of GitHub's tables reads them; code keeps its backticks."""
    found: list[list[list[str]]] = []
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        if token.type == "table_open":
            found.append([])
        elif token.type == "tr_open":
            found[-1].append([])
        elif token.type == "inline" and token.level >= 4:
            found[-1][-1].append(token.content)
    return found


def test_markdown_holds_no_markup_of_strangers(tmp_path: Path) -> None:
    run = runs.hostile()
    odd = replace(run.records[4], case=replace(run.records[4].case, name="a`b|c\n@everyone <b>"))
    run = replace(run, records=(*run.records[:4], odd))
    path = write_report([run], tmp_path / "run.md", comparison=comparison.compare(run, run))
    outside = re.sub(r"`[^`]*`", "", path.read_text(encoding="utf-8"))
    for piece in ("<", "@", "](", "onerror", "script"):
        assert piece not in outside
    assert "a'b\\|c @everyone <b>" in path.read_text(encoding="utf-8")


def test_pytest_benchmark_compares_our_runs(tmp_path: Path) -> None:
    old, new = runs.of_suite("default"), runs.of_suite("default", factor=1.5)
    files = []
    for name, run in (("old", old), ("new", new)):
        folder = runs.stored(run, tmp_path / name)
        files.append(write_report([run], tmp_path / f"{name}.json", folders=[folder]))
    done = subprocess.run(
        [sys.executable, "-m", "pytest_benchmark", "compare", *map(str, files), "--columns=min,median,rounds",
         "--sort=name", f"--csv={tmp_path / 'out.csv'}"],
        capture_output=True, text=True, cwd=tmp_path, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for record in old.records:
        assert done.stdout.count(f"{record.case.name} (") == 2
    table = pd.read_csv(tmp_path / "out.csv")
    assert len(table) == 24
    assert set(table["rounds"]) == {240}
    medians = table.groupby(table["name"].str.split("::").str[-1])["median"].max()
    for record in new.records:
        assert record.measurement is not None
        assert medians[record.case.name] == pytest.approx(record.measurement.p50_ms / 1e3, rel=0.05)


def test_the_figures_of_the_export_are_pytest_benchmarks_own(tmp_path: Path) -> None:
    run = runs.of_suite("default")
    for benchmark in export(run, store.visits(runs.stored(run, tmp_path)))["benchmarks"]:
        theirs = Stats()
        theirs.data = benchmark["stats"]["data"]
        for field in Stats.fields:
            ours = benchmark["stats"][field]
            expected = getattr(theirs, field)
            if field in ("q1", "q3", "iqr", "ld15iqr", "hd15iqr"):  # quartiles by another method
                assert ours == pytest.approx(expected, rel=0.15 if field == "iqr" else 0.03), field
            elif field not in ("outliers", "iqr_outliers"):
                assert ours == pytest.approx(expected), field


def test_without_raw_samples_the_rounds_are_visits(tmp_path: Path) -> None:
    run = runs.of_suite("default")
    document = json.loads(write_report([run], tmp_path / "run.json").read_text(encoding="utf-8"))
    first = document["benchmarks"][0]
    assert first["extra_info"]["rounds_are"] == "visits"
    assert first["stats"]["rounds"] == 5
    assert run.records[0].measurement is not None
    assert first["extra_info"]["p50_ms"] == run.records[0].measurement.p50_ms


def test_a_picture_of_nothing_and_a_picture_on_a_full_disk_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kaleido = pytest.importorskip("kaleido")
    run = runs.of_suite("default")
    uncounted = replace(run, records=tuple(replace(record, cost=None) for record in run.records))
    with pytest.raises(Failed, match="counted in full"):
        write_report([uncounted], tmp_path / "figure.svg")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(kaleido, "write_fig_from_object_sync", full)
    with pytest.raises(Failed, match=r"cannot write .*figure.svg: No space left on device; free some space"):
        write_report([run], tmp_path / "figure.svg")
