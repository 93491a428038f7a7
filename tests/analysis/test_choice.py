"""Picking: limits, ties, what binds, near misses; and the Pareto front."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.analysis import choice
from bench.errors import WrongUsage
from bench.records import Accuracy, Artifact, Case, Cost, DetectionAccuracy, Measurement, Record, Run
from tests import runs


def record(name: str, p50: float, top1: float | None, *, half: float = 0.1, size: int = 10_000_000) -> Record:
    measurement = Measurement(
        p50_ms=p50, p50_ms_low=p50 - half, p50_ms_high=p50 + half, p90_ms=None, p95_ms=p50 * 1.1, p99_ms=None,
        min_ms=p50 * 0.9, throughput_per_s=1e3 / p50, load_ms=10, first_inference_ms=p50 * 2,
        peak_rss_bytes=100_000_000, visits=5, samples=100, visit_p50_ms=(p50,) * 5,
    )  # fmt: skip
    return Record(
        case=Case(name=name, model="VGG16"),
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
        ({}, "large"),
        ({"p50": 20.0}, "middle"),
        ({"p50": 6.0}, "small"),
        ({"p95": 13.0}, "small"),
        ({"size": 2e7}, "middle"),
        ({"params": 1.5e6}, "small"),
        ({"top1": 70.0, "p50": 20.0}, "middle"),
    ],
)
def test_the_most_accurate_within_the_limits_wins(limits: dict[str, float], winner: str) -> None:
    answer = choice.pick(THREE, limits)
    assert answer.winner is not None
    assert answer.winner.case == winner


def test_what_a_limit_costs_is_said() -> None:
    (binding,) = choice.pick(THREE, {"p50": 20.0, "size": 2e8}).binding
    assert (binding.limit, binding.case, binding.needed) == ("p50", "large", 50)
    assert binding.gain == pytest.approx(5.0)
    assert choice.pick(THREE, {"size": 2e8}).binding == ()


def test_models_within_the_noise_are_a_tie_and_others_are_not() -> None:
    tied = a_run(record("a", 10.0, 75.0, half=0.5), record("b", 10.3, 75.1, half=0.5), record("c", 12.0, 75.1))
    answer = choice.pick(tied, {})
    assert answer.winner is not None
    assert answer.winner.case == "a"
    assert answer.ties == ("b",)
    assert any("tie within the noise" in line for line in choice.in_words(answer))


def test_a_limit_inside_the_interval_is_said() -> None:
    answer = choice.pick(a_run(record("a", 9.95, 75.0)), {"p50": 10.0})
    assert answer.on_the_edge == ("p50",)
    assert choice.pick(a_run(record("a", 9.0, 75.0)), {"p50": 10.0}).on_the_edge == ()


def test_no_match_gives_the_nearest_misses() -> None:
    answer = choice.pick(THREE, {"p50": 4.0, "top1": 70.0})
    assert answer.winner is None
    assert answer.misses[0].case == "small"
    assert answer.misses[0].broken == {"p50": pytest.approx(0.25), "top1": pytest.approx(2 / 70)}
    assert "no model meets these limits" in choice.in_words(answer)[0]


def test_an_unknown_quantity_never_meets_a_limit() -> None:
    unknown = a_run(record("a", 5, None), record("b", 9, 60.0))
    answer = choice.pick(unknown, {"top1": 50.0})
    assert answer.winner is not None
    assert answer.winner.case == "b"
    only = choice.pick(a_run(record("a", 5, None)), {"top1": 50.0})
    assert only.winner is None
    assert only.misses[0].broken == {"top1": None}


def test_a_failed_model_is_no_candidate() -> None:
    broken = replace(record("broken", 1, 99.0), measurement=None, error="no")
    answer = choice.pick(a_run(broken, record("works", 9, 60.0)), {})
    assert answer.winner is not None
    assert answer.winner.case == "works"


def test_a_misspelt_limit_is_named() -> None:
    with pytest.raises(WrongUsage, match='did you mean "size"'):
        choice.pick(THREE, {"siez": 1.0})


def test_the_front_holds_what_nothing_beats() -> None:
    records = [record("a", 5, 70), record("b", 6, 69), record("c", 7, 75), record("d", 7, 74), record("e", 4, 60)]
    front = choice.pareto(records, lambda r: r.measurement.p50_ms if r.measurement else None)
    assert [r.case.name for r in front] == ["e", "a", "c"]


def detector(name: str, p50: float, points: float) -> Record:
    found = DetectionAccuracy(map=points, ap50=points + 20, ap75=points, notes_map50=points + 18, mean_iou=70,
                              class_accuracy=80, presence_accuracy=90)  # fmt: skip
    return replace(record(name, p50, None), accuracy=Accuracy(origin="measured", n=500, detection=found))


def test_detectors_are_judged_by_their_map() -> None:
    run = a_run(detector("quick", 5, 30.0), detector("exact", 20, 44.0), detector("slow", 50, 40.0))
    answer = choice.pick(run, {"map": 25.0, "p50": 30.0})
    assert answer.quality == "map"
    assert answer.winner is not None
    assert (answer.winner.case, answer.winner.accuracy) == ("exact", 44.0)
    assert choice.in_words(answer)[0].startswith("ship exact: mAP 44.0 %")
    assert choice.pick(run, {"map": 50.0}).misses[0].case == "exact"
    front = choice.pareto(run.records, lambda r: r.measurement.p50_ms if r.measurement else None)
    assert [r.case.name for r in front] == ["quick", "exact"]


def test_only_models_of_the_device_are_candidates() -> None:
    mine = replace(THREE.records[0], case=replace(THREE.records[0].case, device="cuda"))
    run = a_run(mine, *THREE.records[1:])
    answer = choice.pick(run, {}, device="cuda")
    assert answer.winner is not None
    assert (answer.winner.case, answer.runner_up) == ("small", None)
    assert choice.pick(run, {}, device="npu").misses == ()


def test_a_dominated_model_is_beaten_in_both() -> None:
    records = list(a_run(record("a", 5, 70), record("b", 6, 69), record("c", 5, 70), record("d", 9, None)).records)
    p50 = choice.LIMITS["p50"].value
    assert [r.case.name for r in choice.dominators(records[1], records, p50)] == ["a", "c"]
    assert choice.dominators(records[0], records, p50) == []
    assert choice.dominators(records[3], records, p50) == []
