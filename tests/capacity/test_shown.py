"""What is shown of a load: words, rows, figures, `pick`, a suite's key."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench import store
from bench.analysis import capacity, choice, trust
from bench.cli import main
from bench.errors import WrongUsage
from bench.records import Load, LoadAsked, LoadPoint, LoadSetup, LoadStep, Run
from bench.report.drawings import figures
from bench.report.figures.frame import NARROW, WIDE
from bench.suites import load_asked, load_suite
from tests import runs


def held(rate: float, limit_ms: float = 50.0, **more: object) -> Load:
    points = tuple(
        LoadPoint(rate_per_s=share * rate, p50_ms=10, p99_ms=20 / (1.4 - share), p99_ms_low=18, p99_ms_high=60)
        for share in (0.5, 0.8, 1.0)
    )
    step = LoadStep(
        rate_per_s=rate, instances=2, threads=1, batch=1, requests=900, seconds=9, p50_ms=11, p99_ms=49,
        p99_ms_low=45, p99_ms_high=55, beyond=0.009, utilisation=0.7, lateness_p99_ms=0.1,
    )  # fmt: skip
    setups = tuple(
        LoadSetup(instances=count, threads=each, batch=1, rate_per_s=rate / each, offline_per_s=2 * rate)
        for count, each in ((2, 1), (1, 2))
    )
    return Load(**({
        "verdict": "capacity", "arrivals": "Poisson arrivals", "p99_limit_ms": limit_ms, "rate_per_s": rate,
        "rate_per_s_low": 0.9 * rate, "rate_per_s_high": 1.1 * rate, "instances": 2, "threads": 1, "batch": 1,
        "p50_ms": 11.0, "p99_ms": 50.0, "p99_ms_low": 45.0, "p99_ms_high": 56.0, "utilisation": 0.71,
        "unloaded_p99_ms": 7.0, "seconds": 80.0, "requests": 900, "steps": (step,), "setups": setups, "curve": points,
        "loadgen_s": 1351.0,
    } | more))  # fmt: skip


def loaded(*rates: float | None, limit_ms: float = 50.0) -> Run:
    run = runs.of_suite("mobilenet")
    records = tuple(
        replace(record, load=None if rate is None else held(rate, limit_ms))
        for record, rate in zip(run.records, rates, strict=False)
    )
    return replace(run, records=records)


def test_the_answer_in_words() -> None:
    (record,) = loaded(200.0).records
    lines = list(capacity.in_words(record, 0.36))
    assert lines[0].endswith(": 200 /s [180, 220] requests within p99 50.0 ms")
    assert "2 instances of 1 thread, Poisson arrivals" in lines[1]
    assert any(line.startswith("cost     0.500 [0.455, 0.556] for a million inferences at 0.36") for line in lines)
    assert "LoadGen takes 22 min 31 s" in lines[-1]


def test_cameras_in_words() -> None:
    asked = held(200.0, verdict="holds", asked_per_s=120.0, streams=8, fps=15.0)
    assert capacity.answer(asked).startswith("8 streams of 15 frames/s: holds within p99 50.0 ms; it holds 200 /s")
    assert capacity.answer(held(200.0, fps=15.0)).startswith("13 [12, 14] streams of 15 frames/s within p99 50.0 ms")


def test_nothing_is_held_below_the_unloaded_p99_which_is_said() -> None:
    nothing = held(200.0, rate_per_s=0.0, rate_per_s_low=0.0, rate_per_s_high=0.0, steps=(), p99_limit_ms=5.0)
    assert capacity.answer(nothing) == (
        "nothing within p99 5.00 ms: a single request without any load has a p99 of 7.00 ms; give --p99 14ms or more, "
        "or a faster model"
    )


@pytest.mark.parametrize("frame", [WIDE, NARROW])
def test_the_figures_of_a_load(frame: object) -> None:
    drawn = {figure.id: figure.draw(frame) for figure in figures(loaded(300.0, 200.0, None))}  # type: ignore[arg-type]
    curves = [trace for trace in drawn["load"]["data"] if trace["meta"] == "curve"]
    assert [trace["x"][-1] for trace in curves] == [300.0, 200.0]
    (limit,) = [trace for trace in drawn["load"]["data"] if trace["meta"] == "limit"]
    assert limit["y"] == [50.0, 50.0]
    bubbles = [x for trace in drawn["capacity"]["data"] if trace["meta"] != "front" for x in trace.get("x", [])]
    assert {300.0, 200.0} <= set(bubbles)
    (cells,) = drawn["setups"]["data"]
    assert cells["z"] == [[None, 150.0], [300.0, None]]


def test_runs_without_a_load_have_no_figure_of_it() -> None:
    assert not {"load", "capacity", "setups"} & {figure.id for figure in figures(loaded(None, None))}


def test_pick_takes_the_most_accurate_that_holds() -> None:
    run = loaded(300.0, 150.0, 250.0, 90.0)
    chosen = choice.pick(run, {"rps": 200.0})
    held_rates = {r.case.name: r.load.rate_per_s for r in run.records if r.load}
    assert chosen.winner is not None
    assert held_rates[chosen.winner.case] >= 200
    assert choice.pick(run, {"rps": 400.0}).winner is None


def test_a_capacity_within_a_longer_p99_is_not_known_within_a_shorter_one() -> None:
    run = loaded(300.0, 300.0, limit_ms=400.0)
    assert choice.pick(run, {"rps": 200.0, "p99": 500.0}).winner is not None
    assert choice.pick(run, {"rps": 200.0, "p99": 300.0}).winner is None


def test_pick_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = runs.stored(loaded(300.0, 150.0), tmp_path / "results")
    for line, code in (("--streams 8 --fps 15", 0), ("--streams 40 --fps 15", 6), ("--streams 8", 2)):
        with pytest.raises(SystemExit) as end:
            main(["pick", str(folder), *line.split(), "--price-per-hour", "0.36"])
        assert end.value.code == code, line
    assert "a million inferences of" in capsys.readouterr().out


def test_a_load_is_stored_as_it_was(tmp_path: Path) -> None:
    run = loaded(300.0)
    assert store.load(runs.stored(run, tmp_path / "results")).records[0].load == run.records[0].load


def test_a_late_generator_makes_the_run_unsound() -> None:
    run = loaded(300.0)
    (record, *others) = run.records
    for what, verdict in (
        ("requests were begun late, p99 9 ms; see", "unsound"),
        ("the interval is wide; give", "shaky"),
    ):
        doubted = replace(record, load=held(300.0, doubts=(what,)))
        found = trust.of(replace(run, records=(doubted, *others)), ())
        assert found.verdict == verdict
        assert any(doubt.what.startswith(f"load on {record.case.name}") for doubt in found.doubts)


def test_the_key_of_a_suite(tmp_path: Path) -> None:
    suite = tmp_path / "s.toml"
    suite.write_text('[[case]]\nmodel = "MobileNetV2"\nload = { p99 = "50ms", streams = 8, fps = 15, budget = 30 }\n')
    (case,) = load_suite(suite).cases
    assert case.load == LoadAsked(p99_ms=50.0, streams=8, fps=15, budget_s=30)


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({}, "no limit of the response time"),
        ({"p99": "soon"}, "p99"),
        ({"p99": "0ms"}, "above 0"),
        ({"streams": 8, "p99": "50ms"}, "how many frames a second"),
        ({"offline": True, "p99": "50ms"}, "no effect offline"),
        ({"p99": "50ms", "batch": 1, "longest_wait": "5ms"}, "no effect on a batch of 1"),
        ({"p99": "50ms", "rate": 3}, "is not a key of it"),
        ({"p99": "50ms", "instances_are": "pods"}, "pods"),
    ],
)
def test_what_a_load_cannot_mean(table: dict[str, object], says: str) -> None:
    with pytest.raises(WrongUsage, match=says):
        load_asked(table)
