"""How often a choice comes out the same: draws, and wins counted over them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bench.analysis import answer, candidates, choice, resampling
from bench.analysis.resampling import NONE, RESAMPLES, Draws
from bench.records import Accuracy, Record, Run
from tests import runs
from tests.analysis.test_choice import a_run, record


def visited(name: str, p50s: tuple[float, ...], top1: float | None, interval: tuple[float, float]) -> Record:
    """A model with these p50s of its visits, in ms."""
    known = record(name, float(np.median(p50s)), top1)
    assert known.measurement is not None
    low, high = interval
    return replace(known, measurement=replace(known.measurement, visit_p50_ms=p50s, p50_ms_low=low, p50_ms_high=high))


def wins(run: Run, **limits: float) -> dict[str, int]:
    return {win.case: win.resamples for win in choice.pick(run, limits).wins}


def test_draws_are_the_same_every_time_and_do_not_depend_on_the_other_models() -> None:
    run = runs.of_suite("default")
    assert resampling.draws(run) == resampling.draws(run)
    assert resampling.draws(replace(run, records=run.records[3:])) == resampling.draws(run)[3:]


def test_95_of_100_draws_lie_within_the_interval() -> None:
    for drawn in resampling.draws(runs.of_suite("default", spread=0.05)):
        times = np.asarray(drawn.times)
        assert len(times) == RESAMPLES
        assert 0.01 <= (times < -1000).mean() + (times > 1000).mean() <= 0.07 or set(times) & {-1000, 1000}
        assert np.mean(np.abs(times) <= 1000) >= 0.93
        assert np.abs(times).max() <= 2000


def test_one_visit_or_equal_ones_are_drawn_from_the_interval() -> None:
    for p50s in ((10.0,), (10.0,) * 5):
        (drawn,) = resampling.draws(a_run(visited("a", p50s, 75.0, (9.0, 11.0))))
        assert len(set(drawn.times)) > 100
        assert 0.9 <= np.mean(np.abs(drawn.times) <= 1000) <= 0.98


def test_a_slow_phase_that_half_of_the_visits_met_is_seen_in_the_wins() -> None:
    """A p50 of two levels wins by the lower one only."""
    two = visited("two phases", (8.0, 8.0, 8.1, 12.0, 12.0), 75.0, (7.9, 12.1))
    counts = wins(a_run(two, visited("steady", (10.0,) * 5, 75.0, (9.9, 10.1))), p50=20.0)
    assert counts["two phases"] + counts["steady"] == RESAMPLES
    assert 0.5 < counts["two phases"] / RESAMPLES < 0.85


def test_a_limit_in_the_middle_of_the_interval_is_met_half_the_time() -> None:
    run = a_run(visited("a", (9.8, 9.9, 10.0, 10.1, 10.2), 75.0, (9.7, 10.3)), record("b", 5, 70.0))
    counts = wins(run, p50=9.99)
    assert counts["b"] > 0.5 * RESAMPLES  # a is not within the limit as measured, but it often is
    assert 0.2 * RESAMPLES < counts["a"] < 0.5 * RESAMPLES
    assert wins(run, p50=9.5) == {"b": RESAMPLES}


def test_an_upper_percentile_moves_with_the_visits_within_its_own_interval() -> None:
    known = visited("a", (9.8, 9.9, 10.0, 10.1, 10.2), 75.0, (9.7, 10.3))
    assert known.measurement is not None
    known = replace(known, measurement=replace(known.measurement, p95_ms=12.0, p95_ms_low=11.0, p95_ms_high=14.0))
    (drawn,) = resampling.draws(a_run(known))
    share = wins(a_run(known), p95=14.0)["a"] / RESAMPLES
    assert share == pytest.approx(np.mean(np.asarray(drawn.times) <= 1000))
    assert wins(a_run(known), p95=11.0) != {}  # no model meets it as measured; some resamples do
    assert choice.pick(a_run(known), {"p95": 11.0}).winner is None
    said = answer.in_words(choice.pick(a_run(known), {"p95": 11.0}))
    assert said[-1].startswith("  in some of the resamples a model meets them: a (")


def test_a_measured_accuracy_is_drawn_and_a_published_one_stays() -> None:
    measured = Accuracy(origin="measured", top1=75.0, top1_low=70.4, top1_high=79.0, n=400)
    run = a_run(replace(record("measured", 5, None), accuracy=measured), record("published", 8, 75.0))
    drawn, fixed = resampling.draws(run)
    assert fixed.accuracies == ()
    assert np.std(drawn.accuracies) / 1000 == pytest.approx(100 * (0.75 * 0.25 / 400) ** 0.5, rel=0.1)
    counts = wins(run, top1=75.0)
    assert 0.4 < counts["measured"] / RESAMPLES < 0.6
    assert sum(counts.values()) == RESAMPLES  # the published one, else


def test_draws_that_do_not_move_give_the_choice_itself() -> None:
    still = Draws(times=(0,) * RESAMPLES)
    run = runs.of_suite("keras", spread=0.08)
    models = candidates.candidates(run)
    for limits in ({"p50": 20.0}, {"size": 3e7}, {"top1": 75.0}, {"p95": 30.0, "memory": 3e8}, {"p50": 0.1}):
        chosen = choice.choose(models, [still] * len(models), limits, "top1")
        assert [win.case for win in chosen.wins] == ([chosen.winner.case] if chosen.winner else [])
    winners = resampling.winners(models, [still] * len(models), {"p50": 0.1}, quick=False)
    assert set(winners.tolist()) == {NONE}
    chosen = choice.choose(models, [still] * len(models), {}, "top1")
    counts = resampling.on_front(models, [still] * len(models))
    on_it = {model.case for model, count in zip(models, counts, strict=True) if count}
    assert on_it == {step.model.case for step in chosen.front}


def test_steps_that_are_not_always_on_the_front_say_so() -> None:
    close = a_run(
        visited("a", (9.8, 9.9, 10.0, 10.1, 10.2), 75.0, (9.7, 10.3)),
        visited("b", (9.9, 10.0, 10.1, 10.2, 10.3), 78.0, (9.8, 10.4)),
    )
    first, second = answer.in_words(choice.pick(close))[1:3]
    assert "on the front in" in first  # b is as fast in some of the resamples, and more accurate
    assert "on the front in" not in second
