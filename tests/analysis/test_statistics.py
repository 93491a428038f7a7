"""Statistics on simulated visits, where the truth is known."""

import math

import numpy as np
import pytest
from scipy.stats import binomtest, false_discovery_control
from scipy.stats import t as t_distribution

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


@pytest.mark.long
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


def test_both_phases_of_a_machine_show_in_the_interval():
    rng = np.random.default_rng(4)
    slow = simulated_visits(rng, 2, p50_ms=11.5, between=0.002)
    fast = simulated_visits(rng, 3, p50_ms=10.0, between=0.002)
    low, high = statistics.interval(in_ms([*slow, *fast]), seed=0)
    assert low < 10.1
    assert high > 11.3


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


def test_a_percentile_lies_between_the_middles_of_the_samples_weights():
    visits = [np.array([2.0, 1.0]), np.array([3.0])]
    assert statistics.percentile(visits, 0.5) == pytest.approx(2 + 1 / 3)
    assert statistics.percentile(visits, 0.125) == 1.0
    assert statistics.percentile(visits, 0.25) == pytest.approx(1.5)
    assert (statistics.percentile(visits, 0.0), statistics.percentile(visits, 1.0)) == (1.0, 3.0)


@pytest.mark.parametrize(("q", "least"), [(0.90, 30), (0.95, 60), (0.99, 300)])
def test_a_percentile_needs_three_samples_beyond_it(q, least):
    assert statistics.supports(least, q)
    assert not statistics.supports(least - 1, q)


def test_the_interval_of_one_visit_is_the_middle_of_its_samples():
    assert statistics.interval([np.arange(1001.0)], seed=0) == (25.0, 975.0)


def test_the_interval_is_as_wide_as_its_simulation_found(monkeypatch):
    """With as many visits as samples, all constant, only which visits are drawn matters: widths follow the factors."""
    monkeypatch.setattr(statistics, "RESAMPLES", 10_000)
    monkeypatch.setattr(statistics, "_DRAWN", 12)
    for count, factor in ((2, 12.6), (3, 4.3), (4, 1.75), (5, 1.15), (6, 1.15), (7, 1.55), (8, 1.25), (9, 1.12)):
        values = [10 * math.exp(0.01 * i) for i in range(count)]
        visits = [np.full(30, value) for value in values]
        low, high = statistics.interval(visits, seed=1)
        centre = statistics.percentile(visits, 0.5)
        drawn = np.random.default_rng(2).integers(0, count, (100_000, count))
        medians = np.median(np.log(values)[drawn], axis=1)
        down, up = np.quantile(medians, [0.025, 0.975])
        assert math.log(centre / low) == pytest.approx(factor * (math.log(centre) - down), rel=0.12)
        assert math.log(high / centre) == pytest.approx(factor * (up - math.log(centre)), rel=0.12)


def test_neighbouring_samples_are_drawn_together():
    values = np.arange(100.0)
    drawn = statistics._blocks(values, np.random.default_rng(0))
    assert drawn.shape == (statistics.RESAMPLES, 120)
    steps = (np.diff(drawn, axis=1) % 100 == 1).mean(axis=0)
    inside = np.delete(steps, np.arange(9, 119, 10))
    assert (inside == 1).all(), "ten in a row, the square root of 100"
    assert (steps[9::10] < 0.1).all()
    assert set(drawn.ravel()) == set(values), "blocks go around the end, so that no sample is left out"
    assert statistics._blocks(np.array([7.0]), np.random.default_rng(0)).tolist() == [[7.0] * 120] * 500


def test_an_interval_holds_the_p50_even_where_the_resamples_do_not():
    visits = [np.full(5, 10.0), np.full(5, 10.0)]
    assert statistics.interval(visits, seed=0) == pytest.approx((10.0, 10.0))


@pytest.mark.parametrize("degrees", [1, 2, 3.5, 10, 200])
def test_student_t_agrees_with_scipy(degrees):
    for t in (0.0, 0.3, 1.0, 2.5, 8.0, -2.5):
        assert statistics.student_t_p(t, degrees) == pytest.approx(2 * t_distribution.sf(abs(t), degrees), rel=1e-3)
    for p in (0.9, 0.5, 0.05, 0.01, 1e-3):
        assert statistics.student_t(p, degrees) == pytest.approx(t_distribution.isf(p / 2, degrees), rel=1e-3)
    assert statistics.student_t975(degrees) == pytest.approx(t_distribution.isf(0.025, degrees), rel=1e-3)


@pytest.mark.parametrize("count", [1, 4, 9])
def test_the_hodges_lehmann_centre_is_the_median_of_all_means_of_two(count):
    values = np.random.default_rng(count).normal(0.5, 1, count)
    walsh = [(a + b) / 2 for i, a in enumerate(values) for b in values[i:]]
    assert statistics.hodges_lehmann(values) == pytest.approx(np.median(walsh), rel=1e-12)
    assert statistics.hodges_lehmann(-values) == pytest.approx(-np.median(walsh), rel=1e-12)


def test_discoveries_are_benjamini_and_hochbergs():
    rng = np.random.default_rng(7)
    for _ in range(200):
        p_values = rng.random(rng.integers(1, 12)) ** 3
        expected = (false_discovery_control(p_values) <= 0.05).tolist()
        assert statistics.discoveries(p_values) == expected
        assert statistics.discoveries(p_values, rate=0.3) == (false_discovery_control(p_values) <= 0.3).tolist()
    assert statistics.discoveries([]) == []
    assert statistics.discoveries([0.05]) == [True]
    # Bonferroni would find the first alone.
    assert statistics.discoveries([0.01, 0.02, 0.03, 0.04, 0.9]) == [True, True, True, True, False]


def test_wilson_is_scipys():
    for n in (1, 2, 7, 40, 1000):
        for successes in {0, 1, n // 3, n // 2, n - 1, n}:
            expected = binomtest(successes, n).proportion_ci(method="wilson")
            assert statistics.wilson(successes, n) == pytest.approx((expected.low, expected.high), abs=1e-8)


def test_newcombe_s_interval_of_a_difference():
    """Newcombe 1998, table II, examples (a) and (h): 56/70 - 48/80 and 10/10 - 0/10."""
    wilson = statistics.wilson
    found = statistics.newcombe(48 / 80, wilson(48, 80), 56 / 70, wilson(56, 70))
    assert found == pytest.approx((0.2, 0.0524, 0.3339), abs=1e-4)
    back = statistics.newcombe(56 / 70, wilson(56, 70), 48 / 80, wilson(48, 80))
    assert back == pytest.approx((-0.2, -0.3339, -0.0524), abs=1e-4)
    assert statistics.newcombe(0.0, wilson(0, 10), 1.0, wilson(10, 10)) == pytest.approx((1, 0.6075, 1), abs=1e-4)


def test_an_interval_follows_from_its_seed():
    visits = in_ms(simulated_visits(np.random.default_rng(1), 5))
    assert statistics.interval(visits, seed=3) == statistics.interval(visits, seed=3)
    assert statistics.interval(visits, seed=3) != statistics.interval(visits, seed=4)


def test_an_interval_holds_a_quantile_that_few_resamples_reach():
    visits = [np.arange(1.0, 10_001.0)] * 3
    low, high = statistics.interval(visits, seed=0, q=0.0)
    assert low == pytest.approx(1.0)
    assert high > 1.1
    low, high = statistics.interval(visits, seed=0, q=1.0)
    assert high == pytest.approx(10_000.0)
    assert low < 9_990.0


@pytest.mark.parametrize(("q", "factor"), [(0.5, 1.0), (0.51, 1.8), (0.95, 1.8)])
def test_the_interval_of_an_upper_percentile_is_wider_by_its_factor(monkeypatch, q, factor):
    visits = in_ms(simulated_visits(np.random.default_rng(2), 6))
    centre = statistics.percentile(visits, q)
    found = statistics.interval(visits, seed=0, q=q)
    monkeypatch.setattr(statistics, "_WIDEN_UPPER", 1.0)
    plain = statistics.interval(visits, seed=0, q=q)
    for end, bare in zip(found, plain, strict=True):
        assert math.log(end / centre) == pytest.approx(factor * math.log(bare / centre), rel=1e-9)


def test_ends_far_beyond_all_that_was_seen_are_not_known():
    low, high = statistics.interval([np.full(9, 10.0), np.full(9, 40.0)], seed=0)
    assert (low, high) == (1.0, 400.0)


def test_upper_percentiles_have_an_interval_where_visits_and_samples_support_them():
    visits = in_ms(simulated_visits(np.random.default_rng(3), 3, samples=20))
    low, high = statistics.interval(visits, seed=5, q=0.95)
    middle = statistics.percentile(visits, 0.95)
    assert low < middle < high
    assert statistics.upper_interval(visits, 0.95, seed=5) == (low, high)
    assert statistics.upper_interval(visits[:2], 0.90, seed=5) is None, "two visits of 40 samples"
    assert statistics.upper_interval([*visits[:2], visits[2][1:]], 0.95, seed=5) is None, "59 samples of 60"
    assert statistics.upper_interval(visits, 0.99, seed=5) is None
    between = (low + middle) / 2, high + 1
    assert statistics.upper_interval(visits, 0.95, seed=5, median=between) == between, "not below the median's ends"
    above = statistics.upper_interval(visits, 0.95, seed=5, median=(middle + 1, middle + 2))
    assert above == (middle, max(high, middle + 2)), "but it holds the percentile"
    assert statistics.upper_interval(visits, 0.95, seed=5, median=(low - 1, high - 1e-3)) == (low, high)
    many = [np.arange(1.0, 10_001.0)] * 3
    found = statistics.upper_interval(many, 0.999, seed=0)
    assert found is not None
    assert found[0] <= statistics.percentile(many, 0.999) <= found[1]


def test_two_samples_are_drawn_one_by_one():
    drawn = statistics._blocks(np.array([0.0, 1.0]), np.random.default_rng(0))
    assert 0.4 < (drawn[:, 0] == drawn[:, 1]).mean() < 0.6


def test_probabilities_end_at_0_and_1():
    for degrees in (1, 1.2, 1.5, 2, 3, 4, 5, 8, 10, 11, 17, 33, 50, 200):
        assert 0.999 < statistics.student_t_p(0.0, degrees) <= 1.0
    for n in range(1, 400):
        assert statistics.wilson(n, n)[1] <= 1.0
        assert statistics.wilson(0, n)[0] >= 0.0
