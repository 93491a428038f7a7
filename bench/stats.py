"""Statistics of visits: pure functions of numbers, no I/O.

The estimator. A case's latency is described by the mixture of its visits, each visit with the same weight whatever its
number of samples; p50 is the mixture's median. Samples of one visit share the visit's memory layout, its processor
frequency and its neighbours: on a 2-core virtual machine they spread by under 1 % while visits differ by over 10 %.
So the interval resamples visits first and blocks of samples within them, and is widened for the small number of visits
(a bootstrap over k visits misses a factor sqrt(k / (k - 1)), and Student's t replaces the normal quantile).
The median is used because disturbances only ever add time: it ignores them as long as they are the minority.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from bench.records import Measurement, Visit

RESAMPLES = 500
_DRAWN = 200  # samples drawn from a visit in each resample
_SAMPLES_BEYOND = 3  # a percentile needs so many samples beyond it
_T975 = (12.71, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
         2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042)  # fmt: skip
Z975 = 1.959964

Array = np.ndarray[Any, np.dtype[np.float64]]


def summarise(visits: Sequence[Visit], *, batch_size: int, seed: int) -> Measurement:
    """Describe a case's latency from its visits (at least one), times in ms.

    Disturbed visits count only while fewer than two thirds of the visits are undisturbed; they are stored and their
    number is given either way.
    """
    disturbed = sum(bool(visit.disturbances) for visit in visits)
    quiet = [visit for visit in visits if not visit.disturbances]
    used = quiet if 3 * len(quiet) >= 2 * len(visits) else list(visits)
    samples = [np.asarray(visit.samples_ns, dtype=np.float64) / 1e6 for visit in used]
    p50 = percentile(samples, 0.5)
    low, high = interval(samples, seed=seed)
    count = sum(map(len, samples))
    upper = {q: percentile(samples, q) if count * (1 - q) >= _SAMPLES_BEYOND else None for q in (0.90, 0.95, 0.99)}
    copies = [np.asarray(visit.copy_samples_ns, dtype=np.float64) / 1e6 for visit in used if visit.copy_samples_ns]
    return Measurement(
        p50_ms=_rounded(p50),
        p50_ms_low=_rounded(min(low, p50)),
        p50_ms_high=_rounded(max(high, p50)),
        p90_ms=_rounded_or_none(upper[0.90]),
        p95_ms=_rounded_or_none(upper[0.95]),
        p99_ms=_rounded_or_none(upper[0.99]),
        min_ms=_rounded(min(float(values.min()) for values in samples)),
        throughput_per_s=_rounded(1000 * batch_size / p50),
        load_ms=_rounded(float(np.median([visit.load_ms for visit in used]))),
        first_inference_ms=_rounded(float(np.median([visit.first_inference_ms for visit in used]))),
        peak_rss_bytes=max(visit.peak_rss_bytes for visit in used),
        visits=len(visits),
        samples=count,
        visit_p50_ms=tuple(_rounded(float(np.median(values))) for values in samples),
        disturbed_visits=disturbed,
        with_copies_p50_ms=_rounded(percentile(copies, 0.5)) if copies else None,
    )


def percentile(visits: Sequence[Array], q: float) -> float:
    """The q-quantile (0 to 1) of the mixture of visits, each with the same weight."""
    values = np.concatenate(list(visits))
    weights = np.concatenate([np.full(len(visit), 1 / len(visit)) for visit in visits])
    order = np.argsort(values)
    values, weights = values[order], weights[order]
    positions = (np.cumsum(weights) - weights / 2) / weights.sum()
    return float(np.interp(q, positions, values))


def interval(visits: Sequence[Array], *, seed: int) -> tuple[float, float]:
    """The 95 % interval of the mixture's median.

    One visit tells nothing of how visits differ; its interval is then the range of the middle 95 % of its samples.
    """
    if len(visits) == 1:
        low, high = np.quantile(visits[0], [0.025, 0.975])
        return float(low), float(high)
    rng = np.random.default_rng(seed)
    drawn = np.stack([_blocks(values, rng) for values in visits])  # (visits, RESAMPLES, _DRAWN)
    chosen = rng.integers(0, len(visits), (RESAMPLES, len(visits)))
    resampled = drawn[chosen, np.arange(RESAMPLES)[:, None]]  # (RESAMPLES, visits, _DRAWN)
    medians = np.log(np.median(resampled.reshape(RESAMPLES, -1), axis=1))
    centre = math.log(percentile(visits, 0.5))
    low, high = np.quantile(medians, [0.025, 0.975])
    widen = math.sqrt(len(visits) / (len(visits) - 1)) * student_t975(len(visits) - 1) / Z975
    return math.exp(centre + widen * min(low - centre, 0.0)), math.exp(centre + widen * max(high - centre, 0.0))


def visits_width(visits: Sequence[Visit]) -> float:
    """The relative width of p50's 95 % interval, from the visits' medians alone: quick, to decide on further visits."""
    if len(visits) < 2:
        return math.inf
    logs = np.log([np.median(visit.samples_ns) for visit in visits])
    return float(2 * student_t975(len(logs) - 1) * logs.std(ddof=1) / math.sqrt(len(logs)))


def student_t975(degrees: int) -> float:
    """The 97.5 % quantile of Student's t distribution; the normal one past 30 degrees of freedom."""
    return _T975[degrees - 1] if degrees <= len(_T975) else Z975


def _blocks(values: Array, rng: np.random.Generator) -> Array:
    """(RESAMPLES, _DRAWN) samples in blocks of neighbours, about the square root of their number long."""
    length = max(1, round(math.sqrt(len(values))))
    starts = rng.integers(0, len(values), (RESAMPLES, math.ceil(_DRAWN / length)))
    index = (starts[:, :, None] + np.arange(length)) % len(values)
    drawn: Array = values[index.reshape(RESAMPLES, -1)[:, :_DRAWN]]
    return drawn


def log_deviation(low: float, high: float) -> float:
    """The standard deviation of a logarithm whose 95 % interval is [log low, log high]."""
    return (math.log(high) - math.log(low)) / (2 * Z975)


def two_sided_p(z: float) -> float:
    """The probability of a standard normal value at least as far from 0 as z."""
    return math.erfc(abs(z) / math.sqrt(2))


def discoveries(p_values: Sequence[float], rate: float = 0.05) -> list[bool]:
    """Which p-values are discoveries at a false-discovery rate (Benjamini and Hochberg, 1995).

    >>> discoveries([0.001, 0.8, 0.02, 0.04])
    [True, False, True, False]
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    last = max((rank for rank, i in enumerate(order, 1) if p_values[i] <= rate * rank / len(order)), default=0)
    found = set(order[:last])
    return [i in found for i in range(len(p_values))]


def wilson(successes: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a proportion (Wilson, 1927).

    >>> tuple(round(x, 4) for x in wilson(9, 10))
    (0.5958, 0.9821)
    """
    if n == 0:
        return 0.0, 1.0
    share, z2 = successes / n, Z975**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z975 / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")


def _rounded_or_none(value: float | None) -> float | None:
    return None if value is None else _rounded(value)
