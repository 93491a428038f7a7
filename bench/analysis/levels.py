"""Where the level of a model's latency changed over many runs of one machine.

Candidates come from a maintained library (ruptures: PELT, Killick and others 2012). Each is then a question of its own:
do the runs before it, back to the candidate before, differ from those after it by more than runs do among themselves?
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.analysis.statistics import discoveries, student_t975, student_t_p

LEAST_RUNS = 3  # on either side of a change
_PENALTY = 3.0  # times the noise's variance and log n, as for BIC: candidates shall be too many rather than too few

Floats = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """A change of level, and where it is."""

    index: int  # of the first run of the new level
    ratio: float  # the geometric mean of its p50s over that of the level before
    low: float  # 95 % interval, of Welch's t
    high: float
    before: int  # runs
    after: int


def changes(p50s_ms: Sequence[float], margin: float) -> list[Change]:
    """The changes of level that chance does not explain, and that are more than the margin; none without ruptures.

    Welch's t of the logarithms either side; of all candidates together, one in twenty may be false (Benjamini and
    Hochberg, `statistics.discoveries`). The least sure candidate goes first, and the others are judged anew without it.
    """
    logs = np.log(np.asarray(p50s_ms, dtype=np.float64))
    places = _candidates(logs)
    while True:
        ends = [0, *places, len(logs)]
        judged = [
            (place, *_welch(logs[start:place], logs[place:end]), place - start, end - place)
            for start, place, end in zip(ends, ends[1:], ends[2:], strict=False)
        ]
        sure = discoveries([p for _, _, _, p, _, _ in judged])
        doubtful = [
            one for one, is_sure in zip(judged, sure, strict=True) if not is_sure or abs(one[1]) <= math.log1p(margin)
        ]
        if not doubtful:
            break
        places.remove(max(doubtful, key=lambda one: (one[3], -abs(one[1])))[0])  # the two levels beside it are one
    return [
        Change(index=place, ratio=math.exp(shift), low=math.exp(shift - reach), high=math.exp(shift + reach),
               before=before, after=after)
        for place, shift, reach, _, before, after in judged
    ]  # fmt: skip


def _candidates(logs: Floats) -> list[int]:
    if len(logs) < 2 * LEAST_RUNS:
        return []
    try:
        import ruptures
    except ImportError:
        return []
    # The noise from differences of neighbours, which a few changes of level hardly touch.
    noise = max(float(np.median(np.abs(np.diff(logs)))) / 0.954, 1e-4)
    search = ruptures.Pelt(model="l2", min_size=LEAST_RUNS, jump=1).fit(logs.reshape(-1, 1))
    return [int(place) for place in search.predict(pen=_PENALTY * noise**2 * math.log(len(logs)))[:-1]]


def _welch(before: Floats, after: Floats) -> tuple[float, float, float]:
    """The difference of two means, half the width of its 95 % interval, and its p-value."""
    shares = [max(float(each.var(ddof=1)), 1e-10) / len(each) for each in (before, after)]
    error = math.sqrt(sum(shares))
    degrees = sum(shares) ** 2 / sum(s**2 / (len(e) - 1) for s, e in zip(shares, (before, after), strict=True))
    shift = float(after.mean() - before.mean())
    return shift, student_t975(degrees) * error, student_t_p(shift / error, degrees)
