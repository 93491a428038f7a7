"""Statistics of visits: pure functions of numbers, no I/O.

The estimator. A case's latency is described by the mixture of its visits, each visit with the same weight whatever its
number of samples; p50 is the mixture's median. Samples of one visit share the visit's memory layout, its processor
frequency and its neighbours: on a 2-core virtual machine they spread by under 1 % while visits differ by over 10 %.
So the interval resamples visits first and blocks of samples within them (neighbouring samples are correlated).
The median is used because disturbances only ever add time: it ignores them as long as they are the minority.

A percentile bootstrap over few visits is too narrow. `_WIDEN` is the factor that gives its interval 95 % coverage of
the true median, found by simulation with normal visit effects (Student's t with 3 degrees of freedom needs no more).
The bootstrap interval was preferred to Student's t on the visits' medians because it nearly spans the visits' range:
where a machine has a fast and a slow phase, a run that has seen both says so, instead of trimming one of them away.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

RESAMPLES = 500
_DRAWN = 120  # samples drawn from a visit in each resample
_VISITS_OF_UPPER = 3  # fewer say nothing of how far an upper percentile reaches
_SAMPLES_BEYOND = 3  # a percentile needs so many samples beyond it: 60 of them for the 95th
_WIDEN = {2: 12.6, 3: 4.3, 4: 1.75, 5: 1.15, 6: 1.15, 7: 1.55, 8: 1.25}
_BEYOND = 10.0
"""An end so many times beyond all that was seen says only that it is not known; two visits that differ twofold would
else have one that is thousands of times as far."""
_WIDEN_MORE = 1.12  # for more visits
_WIDEN_UPPER = 1.8  # of an upper percentile, whose mixture of few visits lies low: 73 to 100 % coverage without it
Array = np.ndarray[Any, np.dtype[np.float64]]


def percentile(visits: Sequence[Array], q: float) -> float:
    """The q-quantile (0 to 1) of the mixture of visits, each with the same weight."""
    values = np.concatenate(list(visits))
    weights = np.concatenate([np.full(len(visit), 1 / len(visit)) for visit in visits])
    order = np.argsort(values)
    values, weights = values[order], weights[order]
    positions = (np.cumsum(weights) - weights / 2) / weights.sum()
    return float(np.interp(q, positions, values))


def supports(count: int, q: float) -> bool:
    """Whether so many samples tell anything of their upper q-quantile.

    >>> supports(59, 0.95), supports(60, 0.95)
    (False, True)
    """
    return round(count * (1 - q), 9) >= _SAMPLES_BEYOND


def interval(visits: Sequence[Array], *, seed: int, q: float = 0.5) -> tuple[float, float]:
    """The 95 % interval of the mixture's q-quantile, by default its median.

    One visit tells nothing of how visits differ; its interval is then the range of the middle 95 % of its samples, and
    `comparison` draws no conclusion from it.
    """
    count = len(visits)
    if count == 1:
        low, high = np.quantile(visits[0], [0.025, 0.975])
        return float(low), float(high)
    rng = np.random.default_rng(seed)
    drawn = np.stack([_blocks(values, rng) for values in visits])  # (visits, RESAMPLES, _DRAWN)
    chosen = rng.integers(0, count, (RESAMPLES, count))
    resampled = drawn[chosen, np.arange(RESAMPLES)[:, None]]  # (RESAMPLES, visits, _DRAWN)
    estimates = np.log(np.quantile(resampled.reshape(RESAMPLES, -1), q, axis=1))
    centre = math.log(percentile(visits, q))
    low, high = np.quantile(estimates, [0.025, 0.975])
    widen = _WIDEN.get(count, _WIDEN_MORE) * (_WIDEN_UPPER if q > 0.5 else 1.0)
    ends = math.exp(centre + widen * min(low - centre, 0.0)), math.exp(centre + widen * max(high - centre, 0.0))
    return max(ends[0], min(map(np.min, visits)) / _BEYOND), min(ends[1], max(map(np.max, visits)) * _BEYOND)


def upper_interval(
    visits: Sequence[Array], q: float, *, seed: int, median: tuple[float, float] = (0.0, 0.0)
) -> tuple[float, float] | None:
    """The 95 % interval of an upper quantile; None where too few visits or samples support one.

    Neither end lies below that of the `median`'s interval, since the quantile itself does not.
    """
    if len(visits) < _VISITS_OF_UPPER or not supports(sum(map(len, visits)), q):
        return None
    low, high = interval(visits, seed=seed, q=q)
    middle = percentile(visits, q)
    return min(max(low, median[0]), middle), max(high, middle, median[1])


def student_t_p(t: float, degrees: float) -> float:
    """The two-sided p-value of Student's t: the probability of a value at least as far from 0.

    Integrates the density with x = sqrt(degrees) tan(angle), where its tail has no infinite end.

    >>> round(student_t_p(2.776, 4), 4)
    0.05
    """
    angles = np.linspace(math.atan(abs(t) / math.sqrt(degrees)), math.pi / 2, 1001)
    constant = math.exp(math.lgamma((degrees + 1) / 2) - math.lgamma(degrees / 2)) / math.sqrt(math.pi)
    return float(min(1.0, 2 * constant * np.trapezoid(np.cos(angles) ** (degrees - 1), angles)))


@lru_cache(maxsize=1024)
def student_t(p: float, degrees: float) -> float:
    """The t whose two-sided p-value is `p`, for 1 degree of freedom or more.

    >>> round(student_t(0.05, 10), 3)
    2.228
    """
    low, high = 0.0, 1e6
    while high - low > 1e-6 * high:
        middle = (low + high) / 2 if low > 1 else math.sqrt((low + 1) * (high + 1)) - 1
        low, high = (middle, high) if student_t_p(middle, degrees) > p else (low, middle)
    return high


def student_t975(degrees: float) -> float:
    """Half the width of a 95 % interval in standard errors."""
    return student_t(0.05, degrees)


def _blocks(values: Array, rng: np.random.Generator) -> Array:
    """(RESAMPLES, _DRAWN) samples in blocks of neighbours, about the square root of their number long."""
    length = max(1, round(math.sqrt(len(values))))
    starts = rng.integers(0, len(values), (RESAMPLES, math.ceil(_DRAWN / length)))
    index = (starts[:, :, None] + np.arange(length)) % len(values)
    drawn: Array = values[index.reshape(RESAMPLES, -1)[:, :_DRAWN]]
    return drawn


def hodges_lehmann(values: Sequence[float]) -> float:
    """The median of the means of all pairs of values, each value with itself too: a centre that a few wild values
    hardly move (Hollander and Wolfe, Nonparametric Statistical Methods, section 3.2).

    >>> hodges_lehmann([1.0, 2.0, 3.0, 100.0])
    2.75
    """
    rows, columns = np.triu_indices(len(values))
    array = np.asarray(values)
    return float(np.median((array[rows] + array[columns]) / 2))


def discoveries(p_values: Sequence[float], rate: float = 0.05) -> list[bool]:
    """Which p-values are discoveries at a false-discovery rate (Benjamini and Hochberg, 1995).

    >>> discoveries([0.001, 0.8, 0.02, 0.04])
    [True, False, True, False]
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    last = max((rank for rank, i in enumerate(order, 1) if p_values[i] <= rate * rank / len(order)), default=0)
    discovered = set(order[:last])
    return [i in discovered for i in range(len(p_values))]


def wilson(successes: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a proportion (Wilson, 1927).

    >>> tuple(round(x, 4) for x in wilson(9, 10))
    (0.5958, 0.9821)
    """
    if n == 0:
        return 0.0, 1.0
    share, z = successes / n, 1.959964
    z2 = z * z
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = z / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def newcombe(
    a: float, a_interval: tuple[float, float], b: float, b_interval: tuple[float, float]
) -> tuple[float, float, float]:
    """The difference b - a of two proportions with its 95 % interval, from their Wilson intervals: (change, low, high).

    Newcombe's method 10 (Statistics in Medicine 17, 1998, p. 873), for independent samples. Of two networks judged on
    the same images, which mostly are right together, the difference is known better than this says.

    >>> a, b = 48 / 80, 56 / 70
    >>> [round(x, 4) for x in newcombe(a, wilson(48, 80), b, wilson(56, 70))]
    [0.2, 0.0524, 0.3339]
    """
    change = b - a
    down, up = math.hypot(b - b_interval[0], a_interval[1] - a), math.hypot(b_interval[1] - b, a - a_interval[0])
    return change, change - down, change + up
