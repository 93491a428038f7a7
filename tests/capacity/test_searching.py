from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from bench.capacity import search
from bench.errors import Failed, WrongUsage
from bench.records import LoadAsked
from tests.capacity import simulated

pytestmark = pytest.mark.usefixtures("one_setup")


@pytest.fixture
def one_setup(monkeypatch: pytest.MonkeyPatch) -> None:
    """One core, so that the true capacity has a closed form; and no lock."""
    from bench.capacity import searching

    monkeypatch.setattr("bench.machine.facts.cores_given", lambda: 1)
    monkeypatch.setattr(searching.lock, "measuring", lambda: nullcontext())


def asked(**more: object) -> LoadAsked:
    return LoadAsked(**({"p99_ms": 50.0, "budget_s": 1000.0} | more))  # type: ignore[arg-type]


@pytest.mark.long
def test_the_capacity_of_mm1(tmp_path: Path) -> None:
    """p99 = ln 100 / (mu - rate): of 5 ms a request, 107.9 /s within 50 ms."""
    answer = search(simulated.target(tmp_path), asked(), opened=simulated.opened(simulated.exponential(0.005)))
    assert answer.verdict == "capacity"
    assert answer.rate_per_s_low <= 107.9 <= answer.rate_per_s_high
    assert answer.rate_per_s == pytest.approx(107.9, rel=0.1)
    assert answer.p99_ms == pytest.approx(50, rel=0.02)
    assert len(answer.steps) >= 4


def test_a_limit_below_a_single_request_holds_nothing_and_says_its_p99(tmp_path: Path) -> None:
    answer = search(simulated.target(tmp_path), asked(p99_ms=4.0), opened=simulated.opened(simulated.fixed(0.005)))
    assert answer.rate_per_s == 0
    assert answer.unloaded_p99_ms == pytest.approx(5.0)


@pytest.mark.long
@pytest.mark.parametrize(("fps", "verdict"), [(15.0, "holds"), (60.0, "does not hold")])
def test_cameras_hold_or_do_not(tmp_path: Path, fps: float, verdict: str) -> None:
    opened = simulated.opened(simulated.fixed(0.005))
    answer = search(simulated.target(tmp_path), asked(streams=4, fps=fps), opened=opened)
    assert answer.verdict == verdict
    assert answer.asked_per_s == 4 * fps


def test_more_instances_than_memory_allows_are_refused_before_they_start(tmp_path: Path) -> None:
    with pytest.raises(Failed, match=r"4096 instances need about .* GB, and .* GB are free; \d+ fit"):
        search(simulated.target(tmp_path), asked(instances=4096), opened=simulated.opened(simulated.fixed(0.005)))


def test_a_load_without_a_limit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WrongUsage, match="needs a limit"):
        search(simulated.target(tmp_path), LoadAsked(), opened=simulated.opened(simulated.fixed(0.005)))


@pytest.mark.long
@pytest.mark.parametrize(("faults", "doubt"), [({"late_s": 0.02}, "begun late"), ({"restarts": 1}, "instances died")])
def test_what_went_wrong_on_the_way_is_said_with_a_remedy(tmp_path: Path, faults: dict[str, float], doubt: str) -> None:
    opened = simulated.opened(simulated.fixed(0.005), **faults)
    answer = search(simulated.target(tmp_path), asked(), opened=opened)
    (said,) = [each for each in answer.doubts if doubt in each]
    assert ";" in said


def test_offline_is_the_most_images_a_second(tmp_path: Path) -> None:
    opened = simulated.opened(simulated.fixed(0.005))
    answer = search(simulated.target(tmp_path), LoadAsked(offline=True, instances=1), opened=opened)
    assert (answer.verdict, answer.p99_limit_ms) == ("offline", None)
    assert answer.rate_per_s == pytest.approx(200.0)


@pytest.mark.long
def test_a_load_is_kept_up(tmp_path: Path) -> None:
    opened = simulated.opened(simulated.fixed(0.005))
    answer = search(simulated.target(tmp_path), asked(minutes=1.0), opened=opened)
    assert answer.drift is not None
    assert answer.drift.verdict == "steady"
    assert answer.drift.minutes == pytest.approx(1.0, rel=0.1)


def test_one_outlier_in_the_first_look_does_not_make_the_steps_slow(tmp_path: Path) -> None:
    """A look has few service times; one of them beyond the limit must not bring the rates near to nothing."""
    times = simulated.fixed(0.04)
    looks = iter([True])

    def law(rng: Any, count: int, size: int) -> Any:
        services = times(rng, count, size)
        if next(looks, False):
            services[:5] = 0.9
        return services

    answer = search(simulated.target(tmp_path), asked(p99_ms=200.0), opened=simulated.opened(law))
    assert sum(step.seconds for step in answer.steps[:4]) < 60
    assert answer.rate_per_s > 8
