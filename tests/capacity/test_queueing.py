import math

import numpy as np
import pytest

from bench.capacity import queueing
from bench.capacity.arrivals import Poisson, Streams
from bench.capacity.queueing import Setup

ONE = Setup(instances=1)


def served(setup: Setup, arrivals: list[float], services: dict[int, list[float]]) -> list[float]:
    """Response times of a single queue by hand."""
    one = {size: np.array([times]) for size, times in services.items()}
    order = np.arange(len(arrivals))[None] % len(next(iter(services.values())))
    return queueing.responses(np.array([arrivals]), one, setup, order=order)[0, 0, 0].round(6).tolist()


def test_one_server_by_hand() -> None:
    # Served from 0 to 3, 3 to 4, and, after a pause, 10 to 12.
    assert served(ONE, [0, 1, 10], {1: [3, 1, 2]}) == [3, 3, 2]


def test_two_servers_by_hand() -> None:
    # The third one waits for the second server, which is free at 2.
    assert served(Setup(instances=2), [0, 0, 1], {1: [5, 2, 3]}) == [5, 2, 4]


def test_a_batch_takes_what_waits_and_no_more() -> None:
    # The first is served alone; three wait at 4, two of them fit; the last one goes alone.
    setup = Setup(instances=1, batch=2)
    assert served(setup, [0, 1, 2, 3], {1: [4] * 4, 2: [6] * 4}) == [4, 9, 8, 11]


def test_a_batch_that_waits_is_closed_by_its_last_request_or_by_time() -> None:
    setup = Setup(instances=1, batch=2, longest_wait_s=5)
    assert served(setup, [0, 3], {1: [1] * 2, 2: [1] * 2}) == [4, 1]
    assert served(setup, [0, 7], {1: [1] * 2, 2: [1] * 2}) == [6, 1 + 5]


def test_sizes_that_never_came_are_served_as_the_next_larger_one() -> None:
    setup = Setup(instances=1, batch=3)
    assert served(setup, [0, 1, 1], {1: [2] * 3, 3: [5] * 3}) == [2, 6, 6]


def mm1_quantile(q: float, rate: float, mean_s: float) -> float:
    return -math.log(1 - q) / (1 / mean_s - rate)


def md1_waiting(t: float, rate: float, service_s: float) -> float:
    """P(waiting <= t) of M/D/1 (Erlang, 1909; Iversen and Staalhagen, 1999)."""
    rho, steps = rate * service_s, int(t / service_s)
    total = sum(
        (rate * (k * service_s - t)) ** k / math.factorial(k) * math.exp(-rate * (k * service_s - t))
        for k in range(steps + 1)
    )
    return (1 - rho) * total


@pytest.mark.parametrize("rho", [0.3, 0.6, 0.8])
def test_long_queues_are_those_of_the_closed_forms(rho: float) -> None:
    rng = np.random.default_rng(1)
    arrivals = np.stack([Poisson().plan(rho, 4000, seed) for seed in range(60)])
    order = rng.integers(0, 20_000, arrivals.shape)
    exponential = queueing.responses(arrivals, {1: rng.exponential(1, (1, 20_000))}, ONE, order=order)
    for q in (0.5, 0.9, 0.99):
        quantile = float(np.quantile(exponential[..., 800:], q))
        assert quantile == pytest.approx(mm1_quantile(q, rho, 1.0), rel=0.12)
    fixed = queueing.responses(arrivals, {1: np.ones((1, 20_000))}, ONE, order=order)
    for q in (0.9, 0.99):
        waiting = float(np.quantile(fixed[..., 800:], q)) - 1
        assert md1_waiting(waiting, rho, 1.0) == pytest.approx(q, abs=0.01)


def test_rates_differ_in_nothing_but_the_rate() -> None:
    unit, order = Poisson().plan(1.0, 300, 3)[None], np.zeros((1, 300), dtype=np.int64)
    services = {1: np.full((1, 1), 0.5)}
    both = queueing.responses(unit, services, ONE, rates=np.array([0.5, 1.5]), order=order)
    alone = queueing.responses(unit / 1.5, services, ONE, order=order)
    assert np.allclose(both[0, 1], alone[0, 0])
    assert both[0, 0].mean() < both[0, 1].mean()


def test_plans_come_from_their_seed_alone() -> None:
    assert (Poisson().plan(10, 50, 1) == Poisson().plan(10, 50, 1)).all()
    assert (Poisson().plan(10, 50, 1) != Poisson().plan(10, 50, 2)).any()


def test_streams_have_their_rate_and_no_bursts() -> None:
    planned = Streams(8).plan(120, 4000, 5)
    assert (np.diff(planned) >= 0).all()
    assert 4000 / planned[-1] == pytest.approx(120, rel=0.01)
    in_a_period = np.histogram(planned, bins=np.arange(0, planned[-1], 8 / 120))[0]
    assert in_a_period[1:-1].min() >= 6
    assert in_a_period[1:-1].max() <= 10


def test_a_stall_of_200_ms_moves_p99_and_a_closed_loop_does_not_see_it() -> None:
    """One of 1,000 services of 4 ms takes 200 ms more; at 100 a second about 20 requests come meanwhile, and wait."""
    services = np.full(1000, 0.004)
    services[500] += 0.2
    order = np.arange(1000)[None]
    planned = Poisson().plan(100.0, 1000, seed=1)[None]
    open_loop = queueing.responses(planned, {1: services[None]}, ONE, order=order)[0, 0, 0]
    without = queueing.responses(planned, {1: np.full((1, 1), 0.004)}, ONE, order=order * 0)[0, 0, 0]
    assert np.quantile(without, 0.99) < 0.02
    assert np.quantile(open_loop, 0.99) > 0.1
    assert np.quantile(services, 0.99) == 0.004, "all that a driver sees which sends nothing during the stall"
