"""Visits summed up by hand, and on simulated ones."""

import math
from dataclasses import replace

import numpy as np
import pytest

from bench.analysis import quantities, statistics, summary
from bench.analysis.quantities import Meter, metered
from bench.records import Health, Metered, Visit
from tests import runs
from tests.analysis.test_statistics import simulated_visits


def test_percentiles_only_where_the_count_supports_them():
    rng = np.random.default_rng(1)
    small = summary.summarise(simulated_visits(rng, 2, samples=12), batch_size=1, seed=0)
    large = summary.summarise(simulated_visits(rng, 5, samples=80), batch_size=1, seed=0)
    assert small.p90_ms is None
    assert small.p99_ms is None
    assert large.p99_ms is not None
    assert large.p50_ms < large.p90_ms < large.p95_ms < large.p99_ms


def test_a_summary_is_the_same_every_time_and_counts_batches():
    visits = simulated_visits(np.random.default_rng(2), 5)
    one = summary.summarise(visits, batch_size=8, seed=3)
    assert one == summary.summarise(visits, batch_size=8, seed=3)
    assert one.throughput_per_s == pytest.approx(8000 / one.p50_ms, rel=1e-4)
    assert one.p50_ms_low <= one.p50_ms <= one.p50_ms_high
    assert one.visits == len(one.visit_p50_ms) == 5
    assert one.samples == 300


def made(case="m", number=0, ms=(1.0,), **more):
    plain = {"load_ms": 5.0, "first_inference_ms": 20.0, "peak_rss_bytes": 10, "provider": "P"}
    return Visit(case=case, round=number, started_at="", samples_ns=tuple(round(1e6 * x) for x in ms), **(plain | more))


def test_a_summary_by_hand():
    visits = [
        made(number=0, ms=[10, 11, 12], load_ms=4.0, first_inference_ms=30.0, peak_rss_bytes=70, threads=2,
             health=Health(pace_ms=0.25), copy_samples_ns=(13_000_000, 15_000_000)),
        made(number=1, ms=[20, 21], load_ms=6.0, first_inference_ms=50.0, peak_rss_bytes=50, threads=2,
             health=Health(pace_ms=0.26), copy_samples_ns=(24_000_000,)),
        made(number=2, ms=[1, 1, 1], load_ms=99.0, first_inference_ms=99.0, peak_rss_bytes=99, threads=2,
             disturbances=("noise",), health=Health(pace_ms=9.0), copy_samples_ns=(1,)),
        made(number=3, ms=[13, 14], load_ms=8.0, first_inference_ms=35.0, peak_rss_bytes=60, threads=2),
    ]  # fmt: skip
    found = summary.summarise(visits, batch_size=4, seed=0)
    # The three undisturbed visits weigh a third each: half of the weight lies below the middle of 13 and 14 ms.
    assert found.p50_ms == 13.5
    assert found.p50_ms_low < 13.5 < found.p50_ms_high
    assert (found.p90_ms, found.p95_ms, found.p99_ms) == (None, None, None)
    assert found.min_ms == 10
    assert found.throughput_per_s == pytest.approx(4000 / 13.5, rel=1e-5)
    assert (found.load_ms, found.first_inference_ms, found.peak_rss_bytes) == (6.0, 35.0, 70)
    assert (found.visits, found.samples, found.disturbed_visits) == (4, 7, 1)
    assert found.visit_p50_ms == (11.0, 20.5, 13.5)
    assert found.pace_ms == 0.255
    # Two visits with copies, of equal weight: their samples' middles lie at 1/8, 3/8 and 3/4.
    assert found.with_copies_p50_ms == pytest.approx(15 + 9 / 3, rel=1e-5)
    bare = summary.summarise([made(ms=[3, 4])], batch_size=1, seed=0)
    assert (bare.pace_ms, bare.with_copies_p50_ms, bare.disturbed_visits) == (None, None, 0)


def test_a_summary_keeps_six_digits():
    found = summary.summarise([made(ms=[1.234567])], batch_size=1, seed=0)
    assert (found.p50_ms, found.min_ms, found.throughput_per_s) == (1.23457, 1.23457, 810.001)
    assert (found.p50_ms_low, found.p50_ms_high, found.visit_p50_ms) == (1.23457, 1.23457, (1.23457,))


def test_disturbed_visits_count_only_where_too_few_are_quiet():
    quiet, noisy = made(), made(disturbances=("noise",))
    assert summary.counted([quiet, noisy, quiet]) == [quiet, quiet]
    assert summary.counted([quiet, noisy]) == [quiet, noisy]
    assert summary.counted([quiet, noisy, noisy]) == [quiet, noisy, noisy]
    assert summary.counted([noisy]) == [noisy]


def test_visits_at_a_slow_pace_are_marked_beside_those_with_as_many_threads():
    def met(number, pace_ms, threads, **more):
        return made(number=number, health=Health(pace_ms=pace_ms), threads=threads, **more)

    visits = [met(0, 0.20, 1), met(1, 0.23, 1, disturbances=("noise",)), met(2, 0.2299, 1), met(3, 0.40, 2),
              met(4, 0.60, 2), made(number=5, threads=1)]  # fmt: skip
    marked = summary.paced(iter(visits))
    assert [visit.disturbances for visit in marked] == [
        (), ("noise", "the machine ran 1.1 times slower"), (), (), ("the machine ran 1.5 times slower",), (),
    ]  # fmt: skip
    assert [replace(visit, disturbances=()) for visit in marked] == [replace(v, disturbances=()) for v in visits]
    grouped = summary.by_case([*visits, made("other")])
    assert grouped == {"m": marked, "other": [made("other")]}


def test_upper_percentiles_come_one_by_one():
    found = [summary.summarise([made(ms=range(1, n + 1))], batch_size=1, seed=0) for n in (30, 60, 300)]
    assert [(m.p90_ms is None, m.p95_ms is None, m.p99_ms is None) for m in found] == [
        (False, True, True), (False, False, True), (False, False, False),
    ]  # fmt: skip
    assert (found[2].p90_ms, found[2].p95_ms, found[2].p99_ms) == (270.5, 285.5, 297.5)


def test_the_width_that_ends_a_budget_is_that_of_the_result():
    assert summary.width([made()], seed=0) == math.inf
    visits = simulated_visits(np.random.default_rng(3), 5, between=0.05, samples=120)
    noisy = [*visits, made(ms=[900.0] * 9, disturbances=("noise",))]
    for each in (visits, noisy):
        result = summary.summarise(each, batch_size=1, seed=7)
        wanted = (result.p50_ms_high - result.p50_ms_low) / result.p50_ms
        assert summary.width(each, seed=7) == pytest.approx(wanted, rel=1e-4)


def test_one_lucky_visit_marks_nobody_in_a_long_run():
    def met(number, pace_ms):
        return made(number=number, health=Health(pace_ms=pace_ms))

    long = [met(0, 0.10), *(met(number, 0.20) for number in range(1, 20))]
    assert not any(visit.disturbances for visit in summary.paced(long))
    assert summary.pace_range([0.1, *[0.2] * 18, 0.4]) == (0.2, 0.2)
    assert summary.pace_range([0.3, 0.1, 0.2]) == (0.1, 0.3)


def test_upper_percentiles_come_with_their_intervals():
    visits = simulated_visits(np.random.default_rng(3), 4, between=0.05, samples=120)
    found = summary.summarise(visits, batch_size=1, seed=7)
    samples = [np.asarray(visit.samples_ns) / 1e6 for visit in visits]
    p50 = statistics.interval(samples, seed=7)
    p95, p99 = (statistics.upper_interval(samples, q, seed=7, median=p50) for q in (0.95, 0.99))
    assert (found.p95_ms_low, found.p95_ms_high) == pytest.approx(p95, rel=1e-5)
    assert (found.p99_ms_low, found.p99_ms_high) == pytest.approx(p99, rel=1e-5)
    assert found.p95_ms_low < found.p95_ms < found.p95_ms_high


def test_a_meter_is_summed_up_with_student_s_interval():
    visits = [made(number=i, load_ms=ms) for i, ms in enumerate((4.0, 6.0, 11.0))]
    of_load = Meter(lambda visit: visit.load_ms)
    # Standard deviation sqrt(13), three visits: t = 4.30265 with two degrees of freedom.
    half = 4.30265 * math.sqrt(13 / 3)
    known = summary.sum_up(of_load, visits)
    assert (known.value, known.low, known.high) == pytest.approx((6.0, 6 - half, 6 + half), rel=1e-5)
    assert summary.sum_up(of_load, visits[:2]) == Metered(value=5.0)
    assert summary.sum_up(Meter(lambda visit: visit.load_ms, max), visits) == Metered(value=11.0)
    assert summary.sum_up(Meter(lambda visit: None), visits) is None


def test_what_has_no_field_of_its_own_goes_among_the_meters(monkeypatch):
    energy = metered("energy", field="energy_j", label="energy", unit="J")
    monkeypatch.setitem(quantities.QUANTITIES, "energy", energy)
    visits = [made(number=0, meters={"energy_j": 2.0}), made(number=1, meters={"energy_j": 3.0}), made(number=2)]
    assert summary.summarise(visits, batch_size=1, seed=0).meters == {"energy_j": Metered(value=2.5)}
    assert summary.summarise([made()], batch_size=1, seed=0).meters == {}


def test_the_largest_memory_is_kept_to_the_byte() -> None:
    visits = [replace(visit, peak_rss_bytes=774_577_017 - n) for n, visit in enumerate(runs.visits("m", 10.0))]
    assert summary.summarise(visits, batch_size=1, seed=0).peak_rss_bytes == 774_577_017
