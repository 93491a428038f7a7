"""Statistics on simulated visits, where the truth is known."""

import math

import numpy as np
import pytest

from bench.analysis import statistics
from bench.records import Visit


def simulated_visits(rng, count, *, p50_ms=10.0, between=0.01, within=0.005, samples=60, phase=0.0):
    """Visits whose speed differs by `between` (log standard deviation), and by `phase` in two visits out of ten."""
    made = []
    for number in range(count):
        centre = math.log(p50_ms) + rng.normal(0, between) + phase * (rng.random() < 0.2)
        noise = np.convolve(rng.normal(0, within, samples + 4), np.full(5, 5**-0.5), "valid")  # correlated neighbours
        nanoseconds = tuple(int(x) for x in np.exp(centre + noise) * 1e6)
        made.append(
            Visit(
                case="m", round=number, started_at="", samples_ns=nanoseconds, load_ms=5.0, first_inference_ms=20.0,
                peak_rss_bytes=10_000_000, provider="CPUExecutionProvider",
            )
        )  # fmt: skip
    return made


def in_ms(visits):
    return [np.asarray(visit.samples_ns) / 1e6 for visit in visits]


@pytest.mark.parametrize("count", [3, 5, 8, 12])
def test_the_interval_covers_the_true_p50_as_often_as_it_says(count):
    rng = np.random.default_rng(count)
    covered = 0
    for trial in range(200):
        low, high = statistics.interval(in_ms(simulated_visits(rng, count)), seed=trial)
        covered += low <= 10.0 <= high
    assert covered / 200 >= 0.91  # 0.95 less three standard errors of 200 trials


def test_an_interval_from_the_samples_alone_would_be_blind_to_how_visits_differ():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(100):
        samples = np.concatenate(in_ms(simulated_visits(rng, 5)))
        half = 1.96 * 1.2533 * samples.std() / math.sqrt(len(samples))
        covered += abs(np.median(samples) - 10.0) <= half
    assert covered / 100 < 0.6


def test_every_visit_weighs_the_same_whatever_its_number_of_samples():
    few, many = np.full(3, 10.0), np.full(3000, 20.0)
    assert statistics.percentile([few, few, many], 0.5) == 10.0
    assert statistics.percentile([few, many, many], 0.5) == 20.0


def test_percentiles_only_where_the_count_supports_them():
    rng = np.random.default_rng(1)
    small = statistics.summarise(simulated_visits(rng, 2, samples=12), batch_size=1, seed=0)
    large = statistics.summarise(simulated_visits(rng, 5, samples=80), batch_size=1, seed=0)
    assert small.p90_ms is None
    assert small.p99_ms is None
    assert large.p99_ms is not None
    assert large.p50_ms < large.p90_ms < large.p95_ms < large.p99_ms


def test_a_summary_is_the_same_every_time_and_counts_batches():
    visits = simulated_visits(np.random.default_rng(2), 5)
    one = statistics.summarise(visits, batch_size=8, seed=3)
    assert one == statistics.summarise(visits, batch_size=8, seed=3)
    assert one.throughput_per_s == pytest.approx(8000 / one.p50_ms, rel=1e-4)
    assert one.p50_ms_low <= one.p50_ms <= one.p50_ms_high
    assert one.visits == len(one.visit_p50_ms) == 5
    assert one.samples == 300


def test_both_phases_of_a_machine_show_in_the_interval():
    rng = np.random.default_rng(4)
    slow = simulated_visits(rng, 2, p50_ms=11.5, between=0.002)
    fast = simulated_visits(rng, 3, p50_ms=10.0, between=0.002)
    low, high = statistics.interval(in_ms([*slow, *fast]), seed=0)
    assert low < 10.1
    assert high > 11.3


def test_signed_rank_interval_and_p_value():
    rng = np.random.default_rng(5)
    covered = sum(
        low <= 0 <= high for _, low, high in (statistics.signed_rank_interval(rng.normal(0, 1, 9)) for _ in range(400))
    )
    assert covered / 400 >= 0.92
    assert statistics.signed_rank_p([1, 2, 3, 4, 5, 6, 7, 8]) == pytest.approx(2 / 256)
    assert statistics.signed_rank_p([1, -2, 3, -4]) == pytest.approx(14 / 16)
    assert statistics.signed_rank_p([0, 0]) == 1.0
    centre, low, high = statistics.signed_rank_interval([1.0, 1.1, 0.9])
    assert centre == 1.0
    assert (low, high) == (-math.inf, math.inf)  # three pairs cannot give 95 %


@pytest.mark.parametrize(
    ("t", "degrees", "p"), [(12.7062, 1, 0.05), (2.7764, 4, 0.05), (3.3554, 8, 0.01), (1.9799, 120, 0.05)]
)
def test_student_t_agrees_with_tables(t, degrees, p):
    assert statistics.student_t_p(t, degrees) == pytest.approx(p, rel=2e-3)
    assert statistics.student_t(p, degrees) == pytest.approx(t, rel=1e-3)


def test_false_discoveries_are_controlled():
    rng = np.random.default_rng(6)
    alarms = sum(any(statistics.discoveries(list(rng.random(12)), rate=0.05)) for _ in range(1000))
    assert alarms / 1000 < 0.08  # 12 uncontrolled tests would alarm in 46 % of the families


def test_wilson_is_symmetric_and_inside_0_to_1():
    low, high = statistics.wilson(0, 10)
    assert low == 0.0
    assert statistics.wilson(10, 10) == pytest.approx((1 - high, 1.0))
    assert statistics.wilson(0, 0) == (0.0, 1.0)
