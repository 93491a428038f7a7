"""What the service times of some visits say of a setup: quantiles of the response time at a rate, and its capacity.

A step of a load gives two things: response times as they were measured, and the service times within them. Response
times of one step are few and hang together: a busy minute of chance arrivals is one event. Service times are many. So
the queue is replayed: with service times drawn from those measured and with arrivals of many other seeds
(`queueing.responses`). What chance the step's own arrivals were then costs no width; what the visits differ by does.

The capacity is the highest rate at which no more than 1 % of the response times is above the limit. Its interval is
Student's t on its logarithm; the standard error comes from resampling visits first and blocks of neighbouring service
times within them, as everywhere in backbench (`analysis.statistics`), and is corrected for the resampled visits being
less far apart than the visits are, by sqrt(V / (V - 1)).

Measured response times and replayed ones are held against each other, `agrees`: where they part, service times depend
on something that the replay does not know, and what was measured counts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.analysis.statistics import student_t
from bench.capacity import queueing
from bench.capacity.arrivals import Arrivals
from bench.capacity.queueing import Setup

Floats = np.ndarray[Any, np.dtype[np.float64]]
Interval = tuple[float, float]
Services = Mapping[int, Floats]
"""Service times in s of one visit by the size of the batch, in the order in which they came."""

BEYOND = 0.01
"""The share of requests that may take longer than the limit: p99."""
RESAMPLES = 100
_DRAWN = 1000  # service times drawn of all visits together in each resample
_BLOCKS = 20  # of a visit that is alone
_WIDEN_ONE = 1.15  # of its error, whose blocks are few: 90 % coverage without it (tests.benchmarks.load_intervals)
_WIDEN_REPLAY = 1.2  # of the error of replaying, which is known from few groups
_STREAMS, _REQUESTS = 96, 3000  # replayed for a capacity
_QUICK_STREAMS = 16  # ... where no error is asked for
_GROUPS = 8  # of the streams: what they differ by is the error of replaying no more
_FEW_STREAMS = 4  # ... for each of its resamples
_GRID = 9  # rates that a capacity is looked for among
_COARSE = 4  # times that they are moved, at most
_REPLAYS = 300  # of a step, for what a step of its length can show
_LEAST_RATE_PER_S = 1e-3


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its standard error on the log scale, and the degrees of freedom that it rests on."""

    value: float
    error: float
    degrees: int

    def interval(self, alpha: float = 0.05) -> Interval:
        """The two-sided interval that leaves out `alpha`; (0, inf) where nothing can be said."""
        if self.value <= 0 or self.degrees < 1:
            return 0.0, math.inf
        reach = student_t(alpha, self.degrees) * self.error
        return self.value * math.exp(-reach), self.value * math.exp(min(reach, 700.0))


def saturation(visits: Sequence[Services], setup: Setup) -> float:
    """Requests a second that the setup can serve at most, when it always has whole batches to serve."""
    largest = [visit[max(visit)] for visit in visits]
    mean = float(np.mean([np.mean(times) for times in largest]))
    return setup.instances * max(max(visit) for visit in visits) / mean


def capacity(
    visits: Sequence[Services], setup: Setup, limit_s: float, arrivals: Arrivals, *, seed: int, error: bool = True
) -> Estimate:
    """The highest rate per second whose p99 is within the limit; a value of 0 where none is.

    With `error` false only the value, quickly.
    """
    streams = _STREAMS if error else _QUICK_STREAMS
    centre, replaying = _centre(visits, setup, limit_s, arrivals, seed, streams)
    if not error or centre <= _LEAST_RATE_PER_S:
        return Estimate(0.0 if centre <= _LEAST_RATE_PER_S else centre, math.inf, 0)
    rng = np.random.default_rng(seed)
    pools = _resampled(visits, rng)
    logs = np.log(_among(pools, setup, limit_s, arrivals, seed, centre))
    return Estimate(centre, math.hypot(_error(logs, visits), _WIDEN_REPLAY * replaying), _degrees(visits))


def quantiles(
    visits: Sequence[Services], setup: Setup, rate_per_s: float, arrivals: Arrivals, qs: Sequence[float], *, seed: int
) -> list[Estimate]:
    """The quantiles of the response time in s at a rate."""
    whole = _replayed(_pooled(visits), setup, np.array([rate_per_s]), arrivals, _STREAMS, _REQUESTS, seed)
    settled = queueing.settled(whole)
    values = queueing.quantile(settled, qs)
    grouped = np.log(queueing.quantile(settled.reshape(_GROUPS, -1), qs, axis=1))
    replaying = grouped.std(axis=1, ddof=1) / math.sqrt(_GROUPS)
    few = _replayed(_resampled(visits, np.random.default_rng(seed)), setup, np.array([rate_per_s]), arrivals,
                    _FEW_STREAMS, _REQUESTS, seed)  # fmt: skip
    drawn = queueing.quantile(queueing.settled(few).reshape(RESAMPLES, -1), qs, axis=1)
    return [
        Estimate(float(value), math.hypot(_error(np.log(many), visits), _WIDEN_REPLAY * float(more)), _degrees(visits))
        for value, many, more in zip(values, drawn, replaying, strict=True)
    ]


def of_step(
    measured_s: Floats, services: Services, setup: Setup, rate_per_s: float, arrivals: Arrivals, q: float, *, seed: int
) -> tuple[float, Interval, bool]:
    """A quantile of one step's own response times, its 95 % interval, and whether the replay agrees with it.

    The interval is that of what steps of this length, with other arrivals and resampled service times, are off by
    (a basic bootstrap on the log scale; its ends are those of 97 %, which cover 95 %). The replay agrees where a step
    like it would be as far off, at 99.8 %.
    """
    value = float(queueing.quantile(queueing.settled(measured_s), q))
    rates = np.array([rate_per_s])
    truth = float(queueing.quantile(
        queueing.settled(_replayed(_pooled([services]), setup, rates, arrivals, _STREAMS, _REQUESTS, seed)), q
    ))  # fmt: skip
    runs = _replayed(_pooled([services]), setup, rates, arrivals, _REPLAYS, len(measured_s), seed + 1)
    off = np.log(queueing.quantile(queueing.settled(runs), q, axis=-1).ravel() / truth)
    far, low, high, near = np.quantile(off, [0.999, 0.985, 0.015, 0.001])
    agrees = bool(value * math.exp(-far) <= truth <= value * math.exp(-near))
    interval = min(value, value * math.exp(-low)), max(value, value * math.exp(-high))
    return value, interval, agrees


def _centre(
    visits: Sequence[Services], setup: Setup, limit_s: float, arrivals: Arrivals, seed: int, streams: int
) -> tuple[float, float]:
    """The capacity by the service times of all visits, each visit with the same weight, and the error of replaying no
    more than so many arrivals, on the log scale."""
    pooled, most = _pooled(visits), saturation(visits, setup)
    low, high = 0.0, 1.0
    for _ in range(_COARSE):
        grid = np.linspace(low, high, _GRID)[1:] * most
        beyond = _beyond(pooled, setup, limit_s, arrivals, _FEW_STREAMS, seed, grid)[0]
        within = np.nonzero(beyond <= BEYOND)[0]
        if len(within):
            break
        high = float(grid[0]) / most
    else:
        return 0.0, 0.0
    at = int(within[-1])
    low, high = float(grid[at - 1]) if at else low * most, float(grid[min(at + 2, len(grid) - 1)])
    for _ in range(_COARSE):
        grid = np.linspace(low, high, _GRID)[low == 0.0 :]
        by_stream = _by_stream(pooled, setup, limit_s, arrivals, streams, seed, grid)[0]
        beyond = by_stream.mean(axis=1)[None]
        if beyond[0, 0] > BEYOND and low > 0.0:
            low, high = low * 0.8, float(grid[1])
        elif beyond[0, -1] <= BEYOND and high < most:
            low, high = float(grid[-2]), min(most, high * 1.2)
        else:
            break
    if beyond[0, 0] > BEYOND:
        return 0.0, 0.0
    groups = _crossing(grid, by_stream.reshape(len(grid), _GROUPS, -1).mean(axis=2).T)
    return float(_crossing(grid, beyond)[0]), float(np.log(groups).std(ddof=1)) / math.sqrt(_GROUPS)


def _among(pools: Services, setup: Setup, limit_s: float, arrivals: Arrivals, seed: int, centre: float) -> Floats:
    """(resamples,) the capacity of each resample, looked for around the centre."""
    found = np.full(RESAMPLES, np.nan)
    for reach in (0.15, 0.5, 0.95):
        grid = centre * np.linspace(1 - reach, 1 + reach, _GRID + 4 * (reach > 0.15))
        crossing = _crossing(grid, _beyond(pools, setup, limit_s, arrivals, _FEW_STREAMS, seed, grid))
        found = np.where(np.isnan(found) & (crossing > grid[0]) & (crossing < grid[-1]), crossing, found)
        if not np.isnan(found).any():
            return found
    return np.where(np.isnan(found), np.clip(crossing, grid[0], grid[-1]), found)


def _crossing(grid: Floats, beyond: Floats) -> Floats:
    """(resamples,) where the share beyond the limit crosses what is allowed; `beyond` is (resamples, rates)."""
    smooth = np.log(np.maximum.accumulate(beyond, axis=1) + 1e-5)
    target = math.log(BEYOND + 1e-5)
    above = smooth > target
    index = np.where(above.any(axis=1), above.argmax(axis=1), len(grid))
    rows = np.arange(len(smooth))
    right, left = np.clip(index, 1, len(grid) - 1), np.clip(index, 1, len(grid) - 1) - 1
    rise = smooth[rows, right] - smooth[rows, left]
    share = (target - smooth[rows, left]) / np.where(rise > 0, rise, 1.0)
    inside = grid[left] + np.clip(share, 0, 1) * (grid[right] - grid[left])
    return np.asarray(np.where(index == 0, grid[0], np.where(index == len(grid), grid[-1], inside)))


def _beyond(
    pools: Services, setup: Setup, limit_s: float, arrivals: Arrivals, streams: int, seed: int, grid: Floats
) -> Floats:
    """(resamples, rates) the share of the response times beyond the limit."""
    return np.asarray(_by_stream(pools, setup, limit_s, arrivals, streams, seed, grid).mean(axis=2))


def _by_stream(
    pools: Services, setup: Setup, limit_s: float, arrivals: Arrivals, streams: int, seed: int, grid: Floats
) -> Floats:
    """(resamples, rates, streams) the same of each stream of arrivals."""
    times = queueing.settled(_replayed(pools, setup, grid, arrivals, streams, _REQUESTS, seed))
    return np.asarray((times > limit_s).mean(axis=3))


def _replayed(
    pools: Services, setup: Setup, rates: Floats, arrivals: Arrivals, streams: int, count: int, seed: int
) -> Floats:
    """(resamples, rates, streams, requests) response times. What would not fit into the memory goes in parts."""
    unit = np.stack([arrivals.plan(1.0, count, seed + 1000 * stream) for stream in range(streams)])
    samples = next(iter(pools.values())).shape[1]
    order = np.random.default_rng(seed).integers(0, samples, (streams, count))
    return queueing.responses(unit, pools, setup, rates=rates, order=order)


def _pooled(visits: Sequence[Services]) -> dict[int, Floats]:
    """(1, samples) by size: all visits, each with the same number of samples, evenly spread over its own."""
    sizes = sorted({size for visit in visits for size in visit})
    pools = {}
    for size in sizes:
        known = [visit[size] for visit in visits if size in visit]
        each = max(1, 20 * _DRAWN // len(known))
        pools[size] = np.concatenate([np.sort(v)[((np.arange(each) + 0.5) * len(v) / each).astype(int)] for v in known])
    longest = max(map(len, pools.values()))
    rng = np.random.default_rng(0)
    return {size: rng.permutation(np.resize(values, longest))[None] for size, values in pools.items()}


def _resampled(visits: Sequence[Services], rng: np.random.Generator) -> dict[int, Floats]:
    """(RESAMPLES, _DRAWN) by size: visits drawn first, then blocks of neighbours of each."""
    sizes = sorted({size for visit in visits for size in visit})
    chosen = rng.integers(0, len(visits), (RESAMPLES, len(visits)))
    pools = {}
    for size in sizes:
        known = [visit.get(size) for visit in visits]
        some = [values for values in known if values is not None]
        rows = []
        for row in chosen:
            parts = [_blocks(known[i] if known[i] is not None else some[i % len(some)], rng, len(visits)) for i in row]
            rows.append(np.resize(np.concatenate(parts), _DRAWN))
        pools[size] = np.stack(rows)
    return pools


def _blocks(values: Floats | None, rng: np.random.Generator, visits: int) -> Floats:
    """As many samples as there are, or as can be used, in blocks of neighbours; the blocks are resampled."""
    assert values is not None
    length = max(1, min(round(math.sqrt(len(values))), len(values) // _BLOCKS))
    blocks = math.ceil(len(values) / length)
    index = (rng.integers(0, len(values), (blocks, 1)) + np.arange(length)) % len(values)
    drawn = values[index.ravel()[: len(values)]]
    wanted = _DRAWN // visits
    return np.asarray(np.sort(drawn)[((np.arange(wanted) + 0.5) * len(drawn) / wanted).astype(int)])


def _error(logs: Floats, visits: Sequence[Services]) -> float:
    """The standard error of a logarithm from its resamples."""
    count = len(visits)
    return float(np.std(logs)) * (math.sqrt(count / (count - 1)) if count > 1 else _WIDEN_ONE)


def _degrees(visits: Sequence[Services]) -> int:
    if len(visits) > 1:
        return len(visits) - 1
    return max(1, min(_BLOCKS, len(visits[0][min(visits[0])])) - 1)
