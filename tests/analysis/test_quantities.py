"""The registry of quantities: one entry, and a made-up quantity is everywhere where quantities are."""

from __future__ import annotations

import html
import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from bench import store
from bench.analysis import answer, choice, comparison, quantities, summary
from bench.analysis.quantities import QUANTITIES, Quantity, metered
from bench.cli import main, progress
from bench.cli.root import show_comparison
from bench.records import Case, Record, Run
from bench.report import markdown, page, table, write_report
from bench.report.figures import hover
from bench.timing import schedule
from tests import runs

ENERGY = metered("energy", field="energy_j", label="energy", unit="J", example="0.5J", about="Energy of an inference")
WIDTH = Quantity(name="inputs", field="input_side", label="input side", unit="count", example="224",
                 read=lambda record: record.case.input_shape[0] if record.case.input_shape else None)  # fmt: skip


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(QUANTITIES, "energy", ENERGY)
    monkeypatch.setitem(QUANTITIES, "inputs", WIDTH)


def record(name: str, joules: float, *, seed: int = 0) -> Record:
    """A record whose visits' workers reported joules under `meters`, as a worker's result."""
    made = runs.record(Case(name=name, model=name, input_shape=(224, 224, 3)))
    visits = []
    for visit in runs.visits(name, made.measurement.p50_ms if made.measurement else 1.0, seed=seed):
        meters = {"energy_j": joules * (1 + 0.01 * visit.round)}
        visits.append(replace(visit, meters=meters))
    return replace(made, measurement=summary.summarise(visits, batch_size=1, seed=0))


def a_run(*, factor: float = 1.0) -> Run:
    return runs.run([record("MobileNet", 0.05 * factor), record("ResNet50", 0.6 * factor)])


def test_a_meter_of_the_worker_comes_into_the_visit() -> None:
    result = {
        "samples_ns": [1000] * 20, "copy_samples_ns": [], "warmup_ns": [], "warmed_up": True, "load_ms": 1.0,
        "first_inference_ms": 1.0, "peak_rss_bytes": 1, "provider": "CPUExecutionProvider", "threads": 1,
        "provider_nodes": {}, "precisions": {}, "health": {}, "sampling_ns": 20_000, "runtime": "1",
        "meters": {"energy_j": 0.25},
    }  # fmt: skip
    visit = schedule.as_visit(result, "net", 0, "2026-03-01T10:00:00Z")
    assert visit.meters == {"energy_j": 0.25}
    assert schedule.as_visit({k: v for k, v in result.items() if k != "meters"}, "net", 0, "").meters == {}


@pytest.mark.usefixtures("made_up")
def test_a_made_up_quantity_is_summed_up_over_visits_and_stored(tmp_path: Path) -> None:
    run = a_run()
    folder = store.create(tmp_path, run)
    stored = json.loads((folder / "run.json").read_text())["records"][0]["measurement"]["meters"]["energy_j"]
    assert stored["value"] == pytest.approx(0.05 * 1.02)  # the median of five visits
    assert stored["low"] < stored["value"] < stored["high"]
    assert store.load(folder) == run


@pytest.mark.usefixtures("made_up")
def test_a_made_up_quantity_is_in_every_place(tmp_path: Path) -> None:
    run = a_run()
    small, large = run.records
    judged = page.quality.of(run.records)
    cells = dict(zip(table.headings(judged), table.rows(list(run.records))[0], strict=True))
    assert (cells["Energy"].text, cells["Energy"].value) == ("51.0 mJ [50.0, 52.0]", pytest.approx(0.051))
    frame = pd.read_csv(write_report([run], tmp_path / "run.csv"))
    assert list(frame["energy_j"]) == pytest.approx([0.051, 0.612])
    assert frame["energy_j_low"][0] < 0.051 < frame["energy_j_high"][0]
    assert "energy 51.0 mJ [50.0, 52.0]" in hover.every_number(small, judged).split("<br>")
    console = dict(zip(progress.headings(), progress.row(large), strict=True))
    assert console["energy"] == "0.612 J [0.600, 0.624]"
    text = write_report([run], tmp_path / "run.md").read_text()
    assert "| Energy |" in text
    assert "| 0.612 J [0.600, 0.624] |" in text
    sliders = {slider["name"]: slider for slider in page._sliders(run)}
    assert sliders["energy"]["low"] < 0.051
    assert sliders["energy"]["high"] > 0.612
    assert page._models(run)["limits"]["energy"] == {
        "label": "energy", "unit": "J", "at_least": False, "accuracy": False, "how": ""
    }  # fmt: skip


@pytest.mark.usefixtures("made_up")
def test_a_made_up_quantity_can_be_limited(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = a_run()
    chosen = choice.pick(run, {"energy": 0.2})
    assert chosen.winner is not None
    assert chosen.winner.case == "MobileNet"
    assert "energy 51.0 mJ [50.0, 52.0]" in answer.in_words(chosen)[2]
    assert answer.in_words(chosen)[-1].startswith("held back by: energy of 0.200 J: +0.412 J: ResNet50, +4.5 points")
    store.create(tmp_path, run)
    with pytest.raises(SystemExit) as stopped:
        main(["pick", "--energy", "1mJ", "--output", str(tmp_path)])
    assert stopped.value.code == 6
    assert "MobileNet: energy 51.0 mJ, 51 times the limit" in capsys.readouterr().out


@pytest.mark.usefixtures("made_up")
def test_a_made_up_quantity_is_compared(capsys: pytest.CaptureFixture[str]) -> None:
    (verdict, _) = comparison.compare(a_run(), a_run(factor=1.2)).verdicts
    (change,) = [one for one in verdict.quantities if one.name == "energy"]
    assert (change.better, change.run / change.baseline) == (False, pytest.approx(1.2))
    assert quantities.change_in_words(change) == "energy 51.0 mJ -> 61.2 mJ"
    compared = comparison.compare(a_run(), a_run(factor=1.2))
    assert "energy 51.0 mJ -> 61.2 mJ" in html.unescape(page.render(a_run(factor=1.2), compared))
    assert "energy 51.0 mJ -> 61.2 mJ" in markdown.summary(a_run(factor=1.2), compared)
    show_comparison(compared)
    assert "MobileNet: energy 51.0 mJ -> 61.2 mJ" in capsys.readouterr().out
    assert comparison.compare(a_run(), a_run()).verdicts[0].quantities == ()
    within = comparison.compare(a_run(), a_run(factor=1.01)).verdicts[0].quantities
    assert within == ()  # the intervals overlap


@pytest.mark.usefixtures("made_up")
def test_a_made_up_constraint_is_one_entry(tmp_path: Path) -> None:
    run = a_run()
    assert choice.pick(run, {"inputs": 200.0}).misses[0].broken == {"inputs": pytest.approx(0.12)}
    assert choice.pick(run, {"inputs": 224.0}).winner is not None
    assert pd.read_csv(write_report([run], tmp_path / "run.csv"))["input_side"][0] == 224


def test_every_quantity_has_a_unit_and_its_own_names() -> None:
    from bench.units import UNITS, parse_quantity

    assert all(one.unit in UNITS for one in QUANTITIES.values())
    assert all(name == one.name for name, one in QUANTITIES.items())
    assert len({one.field for one in QUANTITIES.values()}) == len(QUANTITIES)
    for one in quantities.limited().values():
        assert parse_quantity(one.example, one.unit) > 0
        assert one.better in ("less", "more")
    assert {name for name, one in quantities.limited().items() if one.at_least} == {"top1", "map", "rps"}


def test_a_count_with_something_uncounted_is_a_lower_bound() -> None:
    made = runs.of_suite().records[0]
    assert made.cost is not None
    partial = replace(made, cost=replace(made.cost, uncounted=("Einsum",)))
    for name in ("params", "mult_adds", "operations"):
        one = QUANTITIES[name]
        assert one.text(partial) == f"≥ {one.text(made)}"


def test_an_upper_percentile_without_an_interval_is_grey() -> None:
    made = runs.of_suite().records[0]
    assert made.measurement is not None
    bare = replace(made, measurement=replace(made.measurement, p95_ms_low=None, p95_ms_high=None))
    headings = table.headings(page.quality.of([made]))
    grey = {heading: cell.grey for heading, cell in zip(headings, table.rows([bare])[0], strict=True)}
    assert [heading for heading, is_grey in grey.items() if is_grey] == ["p95"]
    assert not any(cell.grey for cell in table.rows([made])[0])


def test_upper_percentiles_carry_intervals_around_them() -> None:
    """Never below the p50's interval, as the interval of a higher quantile of the same samples."""
    for made in runs.of_suite(spread=0.03).records:
        m = made.measurement
        assert m is not None
        assert m.p95_ms is not None
        assert m.p95_ms_low is not None
        assert m.p95_ms_high is not None
        assert m.p95_ms_low <= m.p95_ms <= m.p95_ms_high
        assert m.p95_ms_low >= m.p50_ms_low
        assert m.p95_ms_high >= m.p50_ms_high
        assert (m.p99_ms, m.p99_ms_low) == (None, None)  # 100 samples say nothing of their last one
    few = summary.summarise(runs.visits("net", 5.0, rounds=2, samples=60), batch_size=1, seed=0)
    assert few.p95_ms is not None
    assert few.p95_ms_low is None
