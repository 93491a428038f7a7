"""Picking: limits, ties, what binds, near misses; and the Pareto front."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.analysis import answer, candidates, choice, comparison, front, statistics
from bench.analysis.quantities import QUANTITIES
from bench.errors import WrongUsage
from bench.records import Accuracy, Artifact, Cost, DetectionAccuracy, Measurement, PlannedCase, Record, Run, Trust
from tests import runs


def record(name: str, p50: float, top1: float | None, *, half: float = 0.1, size: int = 10_000_000) -> Record:
    measurement = Measurement(
        p50_ms=p50, p50_ms_low=p50 - half, p50_ms_high=p50 + half, p90_ms=None, p95_ms=p50 * 1.1, p99_ms=None,
        min_ms=p50 * 0.9, throughput_per_s=1e3 / p50, load_ms=10, first_inference_ms=p50 * 2,
        peak_rss_bytes=100_000_000, visits=5, samples=100, visit_p50_ms=(p50,) * 5,
    )  # fmt: skip
    return Record(
        case=PlannedCase(name=name, model="VGG16", device="cpu", provider="CPUExecutionProvider", threads=1),
        artifact=Artifact(sha256="0" * 64, size_bytes=size, opset=18),
        cost=Cost(mult_adds=1_000_000, params=size // 4),
        measurement=measurement,
        accuracy=Accuracy(origin="published", top1=top1) if top1 is not None else Accuracy(origin="none"),
    )


def a_run(*records: Record) -> Run:
    return runs.run(records)


THREE = a_run(
    record("small", 5, 68.0, size=5_000_000), record("middle", 12, 74.0), record("large", 50, 79.0, size=10**8)
)


@pytest.mark.parametrize(
    ("limits", "winner"),
    [
        ({"p50": 60.0}, "large"),
        ({"p50": 20.0}, "middle"),
        ({"p50": 6.0}, "small"),
        ({"p95": 13.0}, "small"),
        ({"size": 2e7}, "middle"),
        ({"params": 1.5e6}, "small"),
        ({"top1": 70.0, "p50": 20.0}, "middle"),
        ({"top1": 60.0}, "small"),  # minima only: the fastest that meets them
        ({"top1": 70.0}, "middle"),
    ],
)
def test_the_most_accurate_within_the_limits_wins(limits: dict[str, float], winner: str) -> None:
    chosen = choice.pick(THREE, limits)
    assert chosen.winner is not None
    assert chosen.winner.case == winner
    assert chosen.front == ()
    assert choice.exit_code(chosen) == 0


def test_without_limits_the_front_is_told_step_by_step() -> None:
    beaten = record("beaten", 13, 73.0)
    chosen = choice.pick(a_run(*THREE.records, beaten, record("unknown", 1, None)), {})
    assert chosen.winner is None
    assert [(step.model.case, step.cost_ms, step.gain) for step in chosen.front] == [
        ("small", None, None), ("middle", 7, 6.0), ("large", 38, 5.0)
    ]  # fmt: skip
    assert chosen.unknown == ("unknown",)
    said = answer.in_words(chosen)
    assert "  +7.00 ms, +6.0 points: middle: top-1 74.0 %, p50 12.0 ms [11.9, 12.1]" in said
    assert not any(line.startswith("ship") for line in said)
    assert choice.exit_code(chosen) == 0


def test_a_step_within_the_noise_says_so() -> None:
    chosen = choice.pick(a_run(record("a", 5, 75.0), record("b", 50, 75.2)))
    assert chosen.front[1].same
    assert "+0.2 points (within the noise): b" in answer.in_words(chosen)[2]


def test_without_any_accuracy_the_fastest_is_named() -> None:
    chosen = choice.pick(a_run(record("a", 5, None), record("b", 3, None)), {})
    assert [step.model.case for step in chosen.front] == ["b"]
    assert answer.in_words(chosen)[0] == "no accuracy is known; the fastest:"


def test_the_winner_comes_with_all_that_is_known_of_it() -> None:
    said = answer.in_words(choice.pick(THREE, {"p50": 20.0}))
    assert said[:3] == [
        "ship middle: top-1 74.0 %, p50 12.0 ms [11.9, 12.1]",
        "  it wins in 100 % of the resamples",
        "  file size 10.0 MB, parameters 2.50 M, p95 13.2 ms, peak memory 100 MB; accuracy published",
    ]


def test_what_a_limit_costs_is_said() -> None:
    (binding,) = choice.pick(THREE, {"p50": 20.0, "size": 2e8}).binding
    assert (binding.limit, binding.case, binding.needed) == ("p50", "large", 50)
    assert binding.gain == pytest.approx(5.0)
    assert choice.pick(THREE, {"size": 2e8}).binding == ()


def test_the_nearest_step_comes_first_and_then_the_largest_gain() -> None:
    run = a_run(*THREE.records, record("next", 20.5, 75.5), record("both", 21, 77.0, size=3 * 10**7))
    chosen = choice.pick(run, {"p50": 20.0, "size": 2e8})
    assert [(step.case, step.largest) for step in chosen.binding] == [("next", False), ("large", True)]
    said = answer.in_words(chosen)
    assert "held back by: p50 of 20.0 ms: +0.500 ms: next, +1.5 points of top-1, p50 20.5 ms" in said
    assert "largest gain: p50 of 20.0 ms: +30.0 ms: large, +5.0 points of top-1, p50 50.0 ms" in said
    tight = choice.pick(run, {"p50": 20.0, "size": 2e7})  # "both" breaks two limits: no single one lets it in
    assert [step.case for step in tight.binding] == ["next"]


def test_what_is_no_better_within_the_noise_is_not_held_back() -> None:
    run = a_run(record("a", 10, 75.0), record("b", 21, 75.1))
    assert choice.pick(run, {"p50": 20.0}).binding == ()


def test_the_next_more_accurate_is_answered() -> None:
    run = a_run(record("a", 10, 75.0), record("b", 50, 75.3), record("c", 60, 75.4))
    chosen = choice.pick(run, {"p50": 100.0})
    assert chosen.winner is not None
    assert chosen.why_not is not None
    assert (chosen.winner.case, chosen.why_not.case, chosen.why_not.times) == ("a", "b", 5.0)
    line = "why not b: +0.3 points of top-1, the same within the noise, and it takes 5.0 times as long"
    assert line in answer.in_words(chosen)
    minimum = choice.pick(THREE, {"top1": 60.0})
    assert "why not middle: +6.0 points of top-1, but these limits ask for no more" in "\n".join(
        answer.in_words(minimum)
    )


def test_models_within_the_noise_are_a_tie_and_others_are_not() -> None:
    tied = a_run(record("a", 10.0, 75.0, half=0.5), record("b", 10.3, 75.1, half=0.5), record("c", 12.0, 75.1))
    chosen = choice.pick(tied, {"p50": 100.0})
    assert chosen.winner is not None
    assert chosen.winner.case == "a"
    assert chosen.ties == ("b",)
    assert any("tie within the noise" in line for line in answer.in_words(chosen))


def test_what_can_be_told_apart_is_decided_by_the_interval_of_the_difference() -> None:
    """Two intervals that overlap a little: side by side on the page, their difference's interval leaves 0 out."""
    a, b = candidates.candidates(a_run(record("a", 10.0, 75.0, half=0.5), record("b", 10.8, 75.6, half=0.5)))
    assert a.accuracy_high and b.accuracy_low and a.accuracy_high > b.accuracy_low  # noqa: PT018
    assert not candidates.same_accuracy(a, b)
    assert a.p50_ms_high > b.p50_ms_low
    assert not candidates.same_latency(a, b)
    assert (
        statistics.newcombe(
            0.75,
            (a.accuracy_low / 100, a.accuracy_high / 100),
            0.756,  # type: ignore[operator]
            (b.accuracy_low / 100, b.accuracy_high / 100),
        )[1]
        > 0
    )  # type: ignore[operator]
    measured = [record(name, p50, 75.0, half=0.5).measurement for name, p50 in (("a", 10.0), ("b", 10.8))]
    shift, down, _ = comparison.log_ratio(*measured)  # type: ignore[arg-type]
    assert shift - down > 0
    assert candidates.same_accuracy(a, replace(b, accuracy=75.5, accuracy_low=75.1, accuracy_high=75.9))
    assert candidates.same_latency(a, replace(b, p50_ms=10.6, p50_ms_low=10.1, p50_ms_high=11.1))


def test_a_limit_inside_the_interval_is_said() -> None:
    chosen = choice.pick(a_run(record("a", 9.95, 75.0)), {"p50": 10.0})
    assert chosen.on_the_edge == ("p50",)
    assert any("the interval of its p50 reaches past the limit" in line for line in answer.in_words(chosen))
    assert choice.pick(a_run(record("a", 9.0, 75.0)), {"p50": 10.0}).on_the_edge == ()


def test_the_interval_of_a_measured_accuracy_can_reach_below_its_limit() -> None:
    measured = Accuracy(origin="measured", top1=75.0, top1_low=73.0, top1_high=77.0, n=2000)
    run = a_run(replace(record("a", 5, None), accuracy=measured))
    assert choice.pick(run, {"top1": 74.0}).on_the_edge == ("top1",)
    assert choice.pick(run, {"top1": 72.0}).on_the_edge == ()


def test_what_is_known_of_no_model_is_said_instead_of_misses() -> None:
    chosen = choice.pick(THREE, {"power": 5.0, "p50": 100.0})
    assert chosen.unmeasured == ("power",)
    (said,) = answer.in_words(chosen)
    assert said.startswith("power is not known of any model of this run")
    assert "measure it from outside" in said
    assert choice.exit_code(chosen) == 6
    known = record("known", 3, 60.0)
    assert known.measurement is not None
    known = replace(known, measurement=replace(known.measurement, p99_ms=200.0))
    chosen = choice.pick(a_run(known, *THREE.records), {"p99": 80.0})
    assert chosen.unmeasured == ()
    assert "  small: p99 unknown" in answer.in_words(chosen)


def test_as_accurate_as_another_but_faster() -> None:
    run = a_run(*THREE.records, record("noise", 9, 73.9), record("less", 6, 73.0), record("more", 11, 75.0))
    chosen = choice.pick(run, like="Middle")
    assert chosen.winner is not None
    assert chosen.winner.case == "noise"
    assert chosen.like == choice.Likeness(case="middle", gain=pytest.approx(-0.1), times=12 / 9, same=True)
    said = answer.in_words(chosen)
    assert "against middle: -0.1 points of top-1, the same within the noise, and 1.3 times as fast" in said
    smaller = choice.pick(run, {"size": 6e6}, like="middle")
    assert {miss.case for miss in smaller.misses} == {"noise", "middle", "more"}  # none that is less accurate
    assert "no other model within the limits is as accurate as large and faster" in answer.in_words(
        choice.pick(run, like="large")
    )


@pytest.mark.parametrize(
    ("like", "message"), [("smal", 'did you mean "small"'), ("blank", "no accuracy is known of blank")]
)
def test_a_model_to_be_like_has_a_name_and_an_accuracy(like: str, message: str) -> None:
    with pytest.raises(WrongUsage, match=message):
        choice.pick(a_run(*THREE.records, record("blank", 3, None)), like=like)


def test_an_unsound_run_answers_with_how_often_its_winner_wins() -> None:
    unsound = replace(THREE, trust=Trust(verdict="unsound", doubts=()))
    said = answer.in_words(choice.pick(unsound, {"p50": 20.0}))
    assert (
        said[0] == "no sure answer, as this run is unsound; going by its visits, middle wins in 100 % of the resamples"
    )
    assert said[1] == "  middle: top-1 74.0 %, p50 12.0 ms [11.9, 12.1]"
    assert all("on the front in" in line for line in answer.in_words(choice.pick(unsound))[1:4])


def test_no_match_gives_the_nearest_misses() -> None:
    chosen = choice.pick(THREE, {"p50": 4.0, "top1": 70.0})
    assert chosen.winner is None
    assert chosen.misses[0].case == "small"
    assert chosen.misses[0].broken == {"p50": pytest.approx(0.25), "top1": pytest.approx(2 / 70)}
    assert "no model meets these limits" in answer.in_words(chosen)[0]
    assert choice.exit_code(chosen) == 6


@pytest.mark.parametrize(
    ("p50", "limits", "said"),
    [
        (8.9, {"p50": 1.0}, "p50 8.90 ms, 8.9 times the limit"),
        (10.4, {"p50": 10.0}, "p50 10.4 ms, 4.0 % over the limit"),
        (12.5, {"p50": 10.0}, "p50 12.5 ms, 1.3 times the limit"),
        (120.0, {"p50": 1.0}, "p50 120 ms, 120 times the limit"),
        (1.0, {"top1": 80.0}, "top-1 70.0 %, 10.0 points under the limit"),
        (8.9, {"p50": 1.0, "size": 5e6}, "p50 8.90 ms, 8.9 times the limit; file size 10.0 MB, 2.0 times the limit"),
    ],
)
def test_a_miss_says_its_value_and_how_far_it_is_off(p50: float, limits: dict[str, float], said: str) -> None:
    lines = answer.in_words(choice.pick(a_run(record("a", p50, 70.0)), limits))
    assert lines[1] == f"  a: {said}"


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"top1": 0.7}, "did you mean 70"),
        ({"map": 0.4}, "did you mean 40"),
        ({"top1": 101.0}, "more than 100 %"),
        ({"p50": 0.0}, "above 0"),
        ({"p50": float("nan")}, "above 0"),
        ({"size": -1.0}, "above 0"),
    ],
)
def test_a_limit_that_cannot_be_meant_is_asked_about(limits: dict[str, float], said: str) -> None:
    with pytest.raises(WrongUsage, match=said):
        choice.pick(THREE, limits)


def test_batch_sizes_are_never_mixed() -> None:
    large = replace(
        record("eight at once", 2, 79.0),
        case=PlannedCase(
            name="eight at once", model="VGG16", batch_size=8, device="cpu", provider="CPUExecutionProvider", threads=1
        ),
    )
    run = a_run(*THREE.records, large)
    chosen = choice.pick(run, {"p50": 20.0})
    assert chosen.winner is not None
    assert (chosen.winner.case, chosen.batch_size, chosen.left_out) == ("middle", 1, ("eight at once",))
    assert answer.in_words(chosen)[-1] == "batch size 1 only: 1 model left out"
    assert [step.model.case for step in choice.pick(run, {}).front] == ["small", "middle", "large"]
    other = choice.pick(run, {"p50": 20.0}, batch_size=8)
    assert other.winner is not None
    assert (other.winner.case, other.left_out) == ("eight at once", ("small", "middle", "large"))
    assert choice.pick(run, {"p50": 20.0}, batch_size=3).misses == ()


def test_an_unknown_quantity_never_meets_a_limit() -> None:
    unknown = a_run(record("a", 5, None), record("b", 9, 60.0))
    chosen = choice.pick(unknown, {"top1": 50.0})
    assert chosen.winner is not None
    assert chosen.winner.case == "b"
    only = choice.pick(a_run(record("a", 5, None)), {"top1": 50.0})
    assert only.winner is None
    assert only.misses[0].broken == {"top1": None}


def test_a_failed_model_is_no_candidate() -> None:
    broken = replace(record("broken", 1, 99.0), measurement=None, error="no")
    chosen = choice.pick(a_run(broken, record("works", 9, 60.0)), {"p50": 10.0})
    assert chosen.winner is not None
    assert chosen.winner.case == "works"


def test_a_misspelt_limit_is_named() -> None:
    with pytest.raises(WrongUsage, match='did you mean "size"'):
        choice.pick(THREE, {"siez": 1.0})


def test_the_front_holds_what_nothing_beats() -> None:
    records = [record("a", 5, 70), record("b", 6, 69), record("c", 7, 75), record("d", 7, 74), record("e", 4, 60)]
    best = front.pareto(records, lambda r: r.measurement.p50_ms if r.measurement else None)
    assert [r.case.name for r in best] == ["e", "a", "c"]


def detector(name: str, p50: float, points: float) -> Record:
    found = DetectionAccuracy(map=points, ap50=points + 20, ap75=points, notes_map50=points + 18, mean_iou=70,
                              class_accuracy=80, presence_accuracy=90)  # fmt: skip
    return replace(record(name, p50, None), accuracy=Accuracy(origin="measured", n=500, detection=found))


def test_detectors_are_judged_by_their_map() -> None:
    run = a_run(detector("quick", 5, 30.0), detector("exact", 20, 44.0), detector("slow", 50, 40.0))
    chosen = choice.pick(run, {"map": 25.0, "p50": 30.0})
    assert chosen.quality == "map"
    assert chosen.winner is not None
    assert (chosen.winner.case, chosen.winner.accuracy) == ("exact", 44.0)
    assert answer.in_words(chosen)[0].startswith("ship exact: mAP 44.0 %")
    assert choice.pick(run, {"map": 50.0}).misses[0].case == "exact"
    best = front.pareto(run.records, lambda r: r.measurement.p50_ms if r.measurement else None)
    assert [r.case.name for r in best] == ["quick", "exact"]


def test_only_models_of_the_device_are_candidates() -> None:
    mine = replace(THREE.records[0], case=replace(THREE.records[0].case, device="cuda"))
    run = a_run(mine, *THREE.records[1:])
    chosen = choice.pick(run, {"p50": 100.0}, device="cuda")
    assert chosen.winner is not None
    assert (chosen.winner.case, chosen.runner_up) == ("small", None)
    nothing = choice.pick(run, {}, device="npu")
    assert (answer.in_words(nothing), choice.exit_code(nothing)) == (["no model was measured"], 6)


def test_a_dominated_model_is_beaten_in_both() -> None:
    records = list(a_run(record("a", 5, 70), record("b", 6, 69), record("c", 5, 70), record("d", 9, None)).records)
    p50 = QUANTITIES["p50"].read
    assert [r.case.name for r in front.dominators(records[1], records, p50)] == ["a", "c"]
    assert front.dominators(records[0], records, p50) == []
    assert front.dominators(records[3], records, p50) == []


def test_a_limit_at_a_models_own_value_is_met() -> None:
    for limits in ({"p50": 12.0}, {"size": 10_000_000.0, "p50": 20.0}, {"top1": 74.0, "p50": 20.0}):
        chosen = choice.pick(THREE, limits)
        assert chosen.winner is not None
        assert chosen.winner.case == "middle"


def test_the_three_nearest_misses_are_named_and_what_is_unknown_comes_last() -> None:
    far = [record(f"far {i}", 20.0 + i, 70.0) for i in range(4)]
    run = a_run(record("unknown", 1.0, None), *far)
    assert [miss.case for miss in choice.pick(run, {"p50": 10.0, "top1": 60.0}).misses] == ["far 0", "far 1", "far 2"]
    assert choice.pick(a_run(far[0], record("unknown", 1.0, None)), {"top1": 90.0}).misses[-1].case == "unknown"


def test_of_two_equally_fast_models_the_more_accurate_is_on_the_front() -> None:
    run = a_run(record("worse", 5, 70.0), record("better", 5, 75.0))
    assert [step.model.case for step in choice.pick(run, {}).front] == ["better"]


def test_what_is_no_faster_within_the_noise_is_not_held_back() -> None:
    run = a_run(record("a", 10.0, 75.0), record("as fast", 9.9, 60.0), record("faster", 5.0, 60.0))
    assert [step.case for step in choice.pick(run, {"top1": 70.0}).binding] == ["faster"]
    assert choice.pick(a_run(*run.records[:2]), {"top1": 70.0}).binding == ()


def test_models_of_another_device_are_no_candidates() -> None:
    mine = replace(THREE.records[0], case=replace(THREE.records[0].case, device="cuda"))
    cpu = [replace(r, case=replace(r.case, device="cpu")) for r in THREE.records[1:]]
    found = choice.candidates(a_run(mine, *cpu), device="cpu")
    assert [candidate.case for candidate in found] == ["middle", "large"]
    assert len(choice.candidates(a_run(mine, *cpu))) == 3
