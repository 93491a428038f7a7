"""Which visit comes next, when, and which visits are marked: on a made-up clock, without worker processes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench import timing
from bench.errors import Failed
from bench.machine import cgroups, lock, quiet
from bench.records import Health, PlannedCase, Settings, Visit
from bench.timing import pace, schedule
from tests.machines import Machine, Spec

CPU = "CPUExecutionProvider"
NAMES = "abcdef"


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine whose visits take a second each."""
    made = Machine(monkeypatch)
    monkeypatch.setattr(schedule, "time", made.clock)
    monkeypatch.setattr(schedule, "fed", lambda _, case: {"x": [case.batch_size, 8]})  # there is no file to read
    monkeypatch.setattr(lock, "PATH", tmp_path / "measuring.lock")
    return made


def settings(**changes: Any) -> Settings:
    plain = {"rounds": 1, "min_time_s": 0.4, "min_count": 5, "warmup_s": 2.0, "budget_s": None, "seed": 0,
             "device": "cpu", "provider": CPU, "spacing_s": 0.0}  # fmt: skip
    return Settings(**(plain | changes))


def planned(name: str, **changes: Any) -> PlannedCase:
    where: dict[str, Any] = {"device": "cpu", "provider": CPU, "threads": 1}
    return PlannedCase(name=name, **({"model": f"{name}.onnx"} | where | changes))


def target(name: str, **changes: Any) -> timing.Target:
    return timing.Target(planned(name, **changes), Path(f"{name}.onnx"))


def targets(names: str = NAMES) -> list[timing.Target]:
    return [target(name) for name in names]


def visit(case: str, number: int = 0, *, p50_ns: int = 10**6, disturbances: tuple[str, ...] = ()) -> Visit:
    return Visit(
        case=case, round=number, started_at="", samples_ns=(p50_ns,) * 5, load_ms=1.0, first_inference_ms=1.0,
        peak_rss_bytes=1, provider=CPU, disturbances=disturbances,
    )  # fmt: skip


def rounds(order: str, size: int = len(NAMES)) -> list[str]:
    return [order[i : i + size] for i in range(0, len(order), size)]


def test_every_round_visits_every_case_in_an_order_of_its_own(machine: Machine) -> None:
    list(timing.visits(targets(), settings(rounds=8)))
    orders = rounds(machine.order)
    assert len(orders) == 8
    assert all(sorted(order) == list(NAMES) for order in orders)
    assert len(set(orders)) >= 7
    assert len({order[0] for order in orders}) >= 3, "no case always comes first"


def test_the_orders_follow_from_the_seed(machine: Machine) -> None:
    for seed in (0, 0, 1):
        list(timing.visits(targets(), settings(rounds=3, seed=seed)))
    first, again, other = rounds(machine.order, 3 * len(NAMES))
    assert first == again
    assert first != other


def test_events_and_visits_of_a_round(machine: Machine) -> None:
    machine.p50_ms = lambda spec: 2.0 if spec["path"] == "a.onnx" else 1.0
    events = list(timing.visits(targets("ab"), settings(rounds=2)))
    starts = [event for event in events if isinstance(event, timing.VisitStarted)]
    taken = [event for event in events if isinstance(event, Visit)]
    assert [(s.case, s.round) for s in starts] == [(v.case, v.round) for v in taken]
    assert events == [event for pair in zip(starts, taken, strict=True) for event in pair]
    assert {(v.case, v.round) for v in taken} == {("a", 0), ("b", 0), ("a", 1), ("b", 1)}
    assert [v.round for v in taken] == [0, 0, 1, 1]
    for one in taken:
        assert one.samples_ns[0] == pytest.approx(2e6 if one.case == "a" else 1e6, rel=0.01)
        assert one.started_at.endswith("+00:00")


def test_the_specification_says_all_that_was_chosen(machine: Machine) -> None:
    case = planned("m", batch_size=4, threads=3, provider="P", precision="int8")
    chosen = settings(seed=9, warmup_s=1.5, min_time_s=0.25, min_count=7)
    spec = schedule.specification(case, Path("folder/m.onnx"), chosen, inject=0.05)
    assert spec["pace"]
    assert Path(spec["runtime"]).name == "onnxruntime.py"
    expected = {
        "path": "folder/m.onnx", "provider": "P", "threads": 3, "batch_size": 4, "shapes": {"x": [4, 8]}, "seed": 9,
        "warmup_s": 1.5, "min_time_s": 0.25, "min_count": 7, "inject": 0.05, "precision": "int8",
        "cpu_stats": [str(path) for path in cgroups.cpu_stats()], "pace": pace.chain(), "runtime": spec["runtime"],
    }  # fmt: skip
    assert spec == expected
    bare = schedule.specification(planned("m"), Path("m"), chosen)
    assert (bare["provider"], bare["threads"], bare["inject"]) == (CPU, 1, 0.0)


def test_a_target_s_slow_down_is_injected(machine: Machine) -> None:
    schedule.one(
        timing.Target(planned("m"), Path("m"), inject=0.2),
        0,
        settings(),
    )
    assert machine.specs[0]["inject"] == 0.2


def test_the_time_limit_is_generous_and_grows_with_what_was_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert schedule.timeout_s(settings(min_time_s=0.4, warmup_s=2.0)) == 348
    limits: list[float] = []

    def silent(_: Spec, *, timeout_s: float) -> dict[str, Any]:
        limits.append(timeout_s)
        raise Failed("nothing")

    monkeypatch.setattr(schedule.process, "visit", silent)
    with pytest.raises(Failed):
        schedule.one(target("a"), 0, settings(min_time_s=1.0, warmup_s=4.0))
    assert limits == [400]


def test_a_failed_case_is_said_once_and_the_others_go_on(machine: Machine) -> None:
    def broken(spec: Spec) -> float:
        if spec["path"] == "b.onnx":
            raise Failed("it died")
        return 1.0

    machine.p50_ms = broken
    events = list(timing.visits(targets("abc"), settings(rounds=3)))
    assert [event for event in events if isinstance(event, timing.VisitFailed)] == [
        timing.VisitFailed("b", 0, "it died")
    ]
    assert sorted(event.case for event in events if isinstance(event, Visit)) == list("aaaccc")


def test_visits_to_one_case_begin_apart(machine: Machine) -> None:
    list(timing.visits(targets("ab"), settings(rounds=3, spacing_s=60.0)))
    for name in "ab":
        begun = [at for at, one in zip(machine.begun, machine.order, strict=True) if one == name]
        assert all(later - earlier >= 60 for earlier, later in itertools.pairwise(begun))
    assert machine.now < 2 * 60 + 5, "both wait at the same time"
    assert machine.slept[:2] == [0, 0]


def test_without_spacing_nobody_waits(machine: Machine) -> None:
    list(timing.visits(targets("ab"), settings(rounds=3)))
    assert set(machine.slept) == {0}


def test_who_is_in_the_way_is_said_before_the_visit_that_waits(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = iter([["make is in the way", "still"], []])

    def made(self: quiet.Patience) -> Iterator[str]:
        assert self.left_s == 7.0
        yield from next(waits)

    monkeypatch.setattr(quiet.Patience, "waits", made)
    events = list(timing.visits(targets("a"), settings(rounds=2, patience_s=7.0)))
    assert events[0] == schedule.VisitStarted("a", 0)
    assert events[1:3] == [schedule.VisitWaits("a", 0, "make is in the way"), schedule.VisitWaits("a", 0, "still")]
    assert [type(event).__name__ for event in events[3:]] == ["Visit", "VisitStarted", "Visit"]


def test_what_was_visited_before_is_not_visited_again(machine: Machine) -> None:
    done = [visit("a"), visit("b"), visit("a", 1)]
    events = list(timing.visits(targets("ab"), settings(rounds=2), done=done))
    assert [(event.case, event.round) for event in events if isinstance(event, Visit)] == [("b", 1)]


def plan_of(names: str = "m", *, done: tuple[Visit, ...] = (), **changes: Any) -> schedule._Plan:
    return schedule._Plan(targets(names), settings(**changes), done)


def followed(plan: schedule._Plan, made: Any = visit) -> Iterator[tuple[str, int]]:
    """The visits of a plan, each added as `made` gives it."""
    while (chosen := plan.next()) is not None:
        name, number = chosen[0].case.name, chosen[1]
        plan.add(made(name, number))
        yield name, number


def test_disturbed_visits_are_repeated_after_the_rounds_but_not_for_ever() -> None:
    noisy = list(followed(plan_of(rounds=2), lambda name, number: visit(name, number, disturbances=("noise",))))
    assert noisy == [("m", number) for number in range(2 + schedule.REPEATS)]

    def first_of_a(name: str, number: int) -> Visit:
        return visit(name, number, disturbances=("noise",) * ((name, number) == ("a", 0)))

    visits = list(followed(plan_of("ab", rounds=2), first_of_a))
    assert len(visits) == 5
    assert visits[-1] == ("a", 2)


def test_a_disturbed_visit_in_an_earlier_part_of_the_run_is_repeated_too() -> None:
    done = (visit("a", 0, disturbances=("noise",)), visit("b", 0))
    assert list(followed(plan_of("ab", rounds=1, done=done))) == [("a", 1)]


def test_a_failed_case_is_not_repeated() -> None:
    plan = plan_of("ab", rounds=1, done=(visit("a", 0, disturbances=("noise",)), visit("b", 0)), budget_s=100.0)
    plan.failed |= {"a", "b"}
    assert plan.next() is None


def test_a_spent_budget_still_gives_every_case_one_visit(machine: Machine) -> None:
    list(timing.visits(targets("abc"), settings(rounds=5, budget_s=1.5)))
    assert sorted(machine.order) == ["a", "b", "c"]


def test_the_budget_counts_from_the_start_and_ends_within_a_round(machine: Machine) -> None:
    machine.now = 1000.0
    list(timing.visits(targets("abc"), settings(rounds=5, budget_s=7.0)))
    assert len(machine.order) == 7
    assert machine.now == 1007


def test_the_budget_s_rest_goes_to_the_widest_interval_until_all_are_narrow() -> None:
    plan = plan_of("ab", rounds=3, budget_s=1000.0, target_width=0.02)
    spread = iter([0.9, 1.1, 0.95, 1.05, *[1.0] * 100_000])

    def made(name: str, number: int) -> Visit:
        return visit(name, number, p50_ns=round(1e6 * next(spread)) if name == "b" else 10**6)

    visits = list(followed(plan, made))
    names = [name for name, _ in visits]
    assert names.count("a") == 3
    assert names[6:] == ["b"] * (len(names) - 6)
    assert len(set(visits)) == len(visits), "no round's number is used twice"
    assert visits[6] == ("b", 3 + schedule.REPEATS), "the numbers after the rounds are the repeats'"
    assert [number for _, number in visits[6:]] == list(range(5, len(visits) - 1)), "one after another"
    assert schedule.summary.width(plan.taken["b"], seed=0) <= 0.02
    assert schedule.summary.width(plan.taken["b"][:-1], seed=0) > 0.02


def test_a_visit_at_a_slow_pace_does_not_widen_the_interval_that_ends_a_budget() -> None:
    """The result leaves it out, and so does the rule that stops the run."""
    plan = plan_of("a", rounds=1, budget_s=1000.0, target_width=0.05)
    for number in range(5):
        slow = number == 0
        made = visit("a", number, p50_ns=round((2.0 if slow else 1.0 + 0.001 * number) * 1e6))
        plan.add(replace(made, health=Health(pace_ms=0.4 if slow else 0.2)))
    assert schedule.summary.width(plan.taken["a"], seed=0) > 0.05, "as it is not marked by itself"
    assert plan._widest() is None


def test_without_a_budget_no_interval_is_narrowed() -> None:
    spread = iter([0.5, 1.5, 1.0, 0.7])
    made = followed(plan_of(rounds=3), lambda name, number: visit(name, number, p50_ns=round(1e6 * next(spread))))
    assert len(list(made)) == 3


@pytest.mark.parametrize(
    ("health", "sampling_ms", "words"),
    [
        # Both counters tick every 10 ms: one tick, whatever the time, is no evidence; 1 % of a long visit is.
        (Health(stolen_ms=10.0), 100.0, []),
        (Health(stolen_ms=12.0), 100.0, []),
        (Health(stolen_ms=15.0), 100.0, []),
        (Health(stolen_ms=20.0), 100.0, ["the host took 20 % of the time away"]),
        (Health(stolen_ms=20.0), 1000.0, ["the host took 2 % of the time away"]),
        (Health(stolen_ms=20.0), 2000.0, []),
        (Health(stolen_ms=21.0), 2000.0, ["the host took 1 % of the time away"]),
        (Health(throttled_ms=15.0), 1000.0, []),
        (Health(throttled_ms=12.0), 1000.0, []),
        (Health(throttled_ms=16.0), 400.0, ["the container's limit held it back for 4 % of the time"]),
        (Health(throttled_ms=30.0), 3000.0, []),
        (Health(others_cpu_share=0.10), 1000.0, []),
        (Health(others_cpu_share=0.11), 1000.0, ["other processes used 11 % of the cores"]),
        (Health(stolen_ms=0.0, throttled_ms=0.0, others_cpu_share=0.0, involuntary_switches=900), 1000.0, []),
        (Health(), 0.0, []),
        (
            Health(stolen_ms=50.0, throttled_ms=100.0, others_cpu_share=0.5),
            1000.0,
            [
                "the host took 5 % of the time away",
                "the container's limit held it back for 10 % of the time",
                "other processes used 50 % of the cores",
            ],
        ),
    ],
)
def test_marks_of_disturbance(health: Health, sampling_ms: float, words: list[str]) -> None:
    assert schedule.disturbances(health, sampling_ms) == words


def test_the_busiest_others_are_named() -> None:
    marks = schedule.disturbances(Health(others_cpu_share=0.5), 1.0, ["make 30 %", "cc 20 %"])
    assert marks == ["other processes used 50 % of the cores (most of it: make 30 %, cc 20 %)"]


def test_a_worker_s_answer_becomes_a_visit() -> None:
    answer = {
        "samples_ns": [3, 4], "copy_samples_ns": [5], "warmup_ns": [6, 7], "warmed_up": False, "load_ms": 1.5,
        "first_inference_ms": 2.5, "peak_rss_bytes": 8, "provider": "P", "threads": 2, "provider_nodes": {"P": 9},
        "health": {"stolen_ms": 30.0, "pace_ms": 0.25}, "sampling_ns": 100e6, "runtime": "1.0",
        "precisions": {"f32": 9}, "meters": {"energy_j": 0.5},
    }  # fmt: skip
    made = schedule.as_visit(answer, "m", 4, "then", ["make"])
    assert made == Visit(
        case="m", round=4, started_at="then", samples_ns=(3, 4), copy_samples_ns=(5,), warmup_ns=(6, 7),
        warmed_up=False, load_ms=1.5, first_inference_ms=2.5, peak_rss_bytes=8, provider="P", threads=2,
        provider_nodes={"P": 9}, health=Health(stolen_ms=30.0, pace_ms=0.25),
        runtime="1.0", precisions={"f32": 9}, meters={"energy_j": 0.5},
        disturbances=("the host took 30 % of the time away",),
    )  # fmt: skip
    busy = schedule.as_visit(answer | {"health": {"others_cpu_share": 0.5}}, "m", 4, "then", ["make"])
    assert busy.disturbances == ("other processes used 50 % of the cores (most of it: make)",)
    assert math.isclose(busy.load_ms, 1.5)
