"""What `bench compare` and `bench pick` are asked for is what they do: each option by itself, on stored runs."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench import store
from bench.cli import reading
from bench.records import Comparison, Run
from tests.analysis.test_choice import a_run, record
from tests.cli.test_cli import call


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def stored(run: Run, results: str = "results") -> None:
    store.create(Path(results), run)


def elsewhere(run: Run) -> Run:
    return replace(run, machine=replace(run.machine, must_match=run.machine.must_match | {"cpu": "Other"}))


def test_compare_takes_its_margin_and_what_to_fail_on(capsys: pytest.CaptureFixture[str]) -> None:
    old, new = (a_run(record("a", p50, None, half=0.3)) for p50 in (10.0, 10.2))
    store.save_baseline(Path("results"), old)
    stored(new)
    code, out, _ = call(capsys, "compare", "--stored", "--json")
    assert (code, json.loads(out)["verdicts"][0]["verdict"]) == (0, "inconclusive")
    assert call(capsys, "compare", "--stored", "--fail-on", "inconclusive")[0] == 3
    code, out, _ = call(capsys, "compare", "--stored", "--json", "--margin", "20%", "--fail-on", "inconclusive")
    assert (code, json.loads(out)["verdicts"][0]["verdict"]) == (0, "equivalent")


def test_compare_of_other_machines_figures_is_forced(capsys: pytest.CaptureFixture[str]) -> None:
    run = a_run(record("a", 10.0, None))
    store.save_baseline(Path("results"), run)
    stored(elsewhere(run))
    assert call(capsys, "compare", "--stored")[0] == 4
    code, out, _ = call(capsys, "compare", "--stored", "--force", "--json")
    assert (code, json.loads(out)["forced"]) == (0, True)


def test_compare_measures_for_so_long_and_waits_so_long(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def anew(old: Any, new: Any, verdicts: Comparison, budget_s: float | None, patience_s: float) -> Comparison:
        asked.append((old.path.name, new.path.name, budget_s, patience_s))
        return verdicts

    monkeypatch.setattr(reading, "measured_anew", anew)
    run = a_run(record("a", 10.0, None))
    store.save_baseline(Path("there"), run)
    stored(run, "there")
    assert call(capsys, "compare")[0] == 2
    assert call(capsys, "compare", "--output", "there")[0] == 0
    usual = asked.pop()
    assert usual[2] is None
    assert call(capsys, "compare", "--output", "there", "--budget", "7", "--patience", "11m")[0] == 0
    assert asked == [(*usual[:2], 7.0, 660.0)]


def test_pick_chooses_among_a_device_or_a_batch_size(capsys: pytest.CaptureFixture[str]) -> None:
    small, large = record("small", 5, 70.0), record("large", 9, 80.0)
    run = a_run(small, large, replace(small, case=replace(small.case, name="eight", batch_size=8)))
    stored(run)

    def front(*options: str) -> list[str]:
        return [step["model"]["case"] for step in json.loads(call(capsys, "pick", "--json", *options)[1])["front"]]

    assert front() == ["small", "large"]
    assert front("--batch-size", "8") == ["eight"]
    on_gpu = replace(run, settings=replace(run.settings, device="cuda"), started_at="2026-02-01T00:00:00Z")
    records = (replace(small, case=replace(small.case, name="quick", device="cuda")), large)
    stored(replace(on_gpu, records=records))
    assert front("--device", "cuda") == ["quick"]
    assert front("--device", "cpu") == (["small", "large"] if run.settings.device == "cpu" else [])


def test_report_is_of_the_latest_or_of_all_under_a_folder(capsys: pytest.CaptureFixture[str]) -> None:
    for name, month in (("old", 1), ("new", 2)):
        stored(replace(a_run(record(name, 10.0, 70.0)), started_at=f"2026-0{month}-01T00:00:00Z"), "there")

    def names(*options: str) -> list[str]:
        assert call(capsys, "report", "-o", "out.csv", "--output", "there", *options)[0] == 0
        rows = list(csv.DictReader(Path("out.csv").read_text().splitlines()))
        return [row["case"] for row in rows]

    assert names() == ["new"]
    assert sorted(names("--all")) == ["new", "old"]
    assert call(capsys, "report", "-o", "out.csv")[0] == 2  # there are no runs under results
    assert call(capsys, "report", "--output", "there", "-o", "out.txt", "--format", "csv")[0] == 0
    assert Path("out.txt").read_text().startswith(Path("out.csv").read_text().splitlines()[0])
