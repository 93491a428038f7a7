import numpy as np
import pytest

from bench.capacity import lasting
from bench.capacity.arrivals import Poisson
from bench.capacity.station import Served
from bench.records import LoadDrift

PLAN = Poisson().plan(20.0, 6000, seed=3)


def kept_up(factor_from: float = 2.0, factor: float = 1.0, seed: int = 0, growth: int = 0) -> LoadDrift:
    """Five minutes of services of 20 ms, slower by a factor from a share of the time on."""
    rng = np.random.default_rng(seed)
    late = PLAN / PLAN[-1] > factor_from
    services = 0.020 * rng.lognormal(0, 0.05, len(PLAN)) * np.where(late, factor, 1.0)
    served = Served(
        responses_s=services, waits_s=services * 0, lateness_s=services * 0, services_s={1: services},
        begun_s={1: PLAN}, utilisation=0.4, rss_bytes=100_000_000 + growth,
    )  # fmt: skip
    return lasting.drift(served, PLAN, 20.0, 100_000_000)


def test_a_planted_slow_down_is_found_where_it_was_planted() -> None:
    found = kept_up(0.6, 1.08)
    assert found.verdict == "slower"
    assert found.slower_from_s == pytest.approx(0.6 * PLAN[-1], abs=PLAN[-1] / 15)
    assert found.change_low <= 0.08 <= found.change_high
    assert found.p99_ms_end is not None
    assert found.p99_ms_begin is not None
    assert found.p99_ms_end > 1.05 * found.p99_ms_begin


def test_a_load_that_lasts_is_steady() -> None:
    verdicts = [kept_up(seed=seed) for seed in range(40)]
    assert {each.verdict for each in verdicts} == {"steady"}
    assert all(each.slower_from_s is None for each in verdicts)


def test_one_that_becomes_faster_is_no_slow_down() -> None:
    assert (kept_up(0.3, 0.9).verdict, kept_up(0.3, 0.9).slower_from_s) == ("faster", None)


def test_memory_growth_is_said_in_bytes() -> None:
    assert kept_up(growth=7_000_000).memory_change_bytes == 7_000_000
