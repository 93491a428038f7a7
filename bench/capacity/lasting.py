"""Whether a load lasts: what becomes of the service times, the response times and the memory while it is kept up.

The run is cut into windows of equal time; each has the median of the logarithm of its service times. The change is the
difference between the last fifth of the windows and the first, with Student's interval on the windows' spread. A change
for good, as of a processor that is throttled, is looked for at every window: the split that tells most is kept where a
two-sided t-test still sees it at SEEN, shared out among all splits (Bonferroni).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bench.analysis.statistics import student_t, student_t_p
from bench.capacity import queueing
from bench.capacity.station import Served
from bench.records import LoadDrift

WINDOWS = 30
SEEN = 0.01  # probability of seeing a change where there is none
STEADY = 0.03  # a change within it is none that matters
_FIFTH = WINDOWS // 5
_LEAST_SPREAD = 1e-4  # of the windows, as a share: clocks tick

Floats = np.ndarray[Any, np.dtype[np.float64]]


def drift(served: Served, planned_s: Floats, rate_per_s: float, memory_before_bytes: int) -> LoadDrift:
    """What became of a load that was kept up. `memory_before_bytes`: of all instances, when it began."""
    span_s = float(planned_s[-1])
    medians = _medians(served, span_s)
    first, last = medians[:_FIFTH], medians[-_FIFTH:]
    change = float(last.mean() - first.mean())
    error = math.sqrt((_variance(first) + _variance(last)) / _FIFTH)
    reach = student_t(0.05, 2 * _FIFTH - 2) * error
    low, high = math.expm1(change - reach), math.expm1(change + reach)
    at, p = _split(medians)
    seen = p * (WINDOWS - 3) < SEEN
    by = float(medians[at:].mean() - medians[:at].mean())
    matters = seen and abs(math.expm1(by)) > STEADY
    if matters:
        verdict = "slower" if by > 0 else "faster"
    else:
        verdict = "steady" if low >= -STEADY and high <= STEADY else "inconclusive"
    fifth = len(planned_s) // 5
    return LoadDrift(
        minutes=span_s / 60, rate_per_s=rate_per_s, change=math.expm1(change), change_low=low, change_high=high,
        p99_ms_begin=_p99_ms(served.responses_s[:fifth]), p99_ms_end=_p99_ms(served.responses_s[-fifth:]),
        memory_change_bytes=served.rss_bytes - memory_before_bytes,
        slower_from_s=span_s * at / WINDOWS if matters and by > 0 else None, verdict=verdict,
    )  # fmt: skip


def _medians(served: Served, span_s: float) -> Floats:
    """(WINDOWS,) medians of log service times; of batches, of one request's share. An empty window has its
    neighbour's."""
    begun = np.concatenate(list(served.begun_s.values()))
    logs = np.concatenate([np.log(times / size) for size, times in served.services_s.items()])
    window = np.clip((begun / span_s * WINDOWS).astype(int), 0, WINDOWS - 1)
    medians = [float(np.median(logs[window == i])) if (window == i).any() else math.nan for i in range(WINDOWS)]
    known = [value for value in medians if not math.isnan(value)]
    for i, value in enumerate(medians):
        if math.isnan(value):
            medians[i] = medians[i - 1] if i else known[0]
    return np.asarray(medians)


def _split(medians: Floats) -> tuple[int, float]:
    """The split into two parts that tells most, and the p-value of their difference by itself."""
    best = (WINDOWS // 2, 1.0)
    for at in range(2, WINDOWS - 1):
        before, after = medians[:at], medians[at:]
        error = math.sqrt(_variance(before) / len(before) + _variance(after) / len(after))
        p = student_t_p(float(after.mean() - before.mean()) / error, WINDOWS - 2)
        if p < best[1]:
            best = (at, p)
    return best


def _variance(values: Floats) -> float:
    return max(float(np.var(values, ddof=1)), _LEAST_SPREAD**2)


def _p99_ms(responses_s: Floats) -> float | None:
    value = float(queueing.quantile(responses_s, 0.99))
    return 1e3 * value if math.isfinite(value) else None
