"""A trial: two files timed in pairs, and what the pairs say so far. Pure functions of numbers.

The two visits of a pair follow each other within seconds, so that what shifts the machine's speed shifts both; the
order within pairs is balanced, so that what favours the first or the second cancels. The verdict rests on the log
ratios of the pairs' medians by Wilcoxon's signed ranks: exact for any number of pairs and any symmetric noise.

A pair whose two visits met the machine at different paces is torn: it tells of the machine alone, and does not count.
The pace is that of a fixed piece of work, not of the files, and which of the two was slower plays no part, so that
leaving torn pairs out cannot favour either file.

Looking again and again until something shows would raise the rate of false alarms. So the looks are planned in advance,
when an eighth, a quarter, a half and all of the budget have passed (by the clock: the times do not depend on the
ratios), and each look spends its own part of the error that is allowed in all: by the time t (a share of the budget)
t^3 of it is spent (Kim and DeMets 1987). The parts add up to the whole, so the rate of false alarms over all looks, and
the coverage of the intervals at all looks together, hold whatever the dependence between looks. The cube leaves 7/8 of
the error to the last look: the early ones cost next to nothing and see large changes only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

from bench.analysis import statistics, summary
from bench.analysis.comparison import ALARM_RATE, POWER, judge

LOOKS = (0.125, 0.25, 0.5, 1.0)
"""When the pairs are judged, as shares of the budget."""
_COVERAGE = 0.05


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """One visit to each of two files, one after the other."""

    a_p50_ms: float
    b_p50_ms: float
    a_first: bool
    a_pace_ms: float | None = None  # the machine's pace after the visit (`records.Health.pace_ms`), where known
    b_pace_ms: float | None = None
    disturbed: bool = False  # either visit was marked; kept and counted all the same

    @property
    def torn(self) -> bool:
        """Whether the machine changed its pace between the two visits."""
        if not self.a_pace_ms or not self.b_pace_ms:
            return False
        low, high = sorted((self.a_pace_ms, self.b_pace_ms))
        return high >= summary.SLOW_PACE * low


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """What the pairs say at one look. Intervals are None where so few pairs cannot give them."""

    verdict: str  # of B: "faster", "slower", "equivalent" or "inconclusive"
    ratio: float  # p50 of B over A; above 1 is slower
    ratio_low: float | None  # 95 % interval that holds at all looks together
    ratio_high: float | None
    p: float  # of no change, at this look alone
    detectable: float | None  # smallest relative change that so many such pairs show four times in five
    pairs: int  # that count

    @property
    def width(self) -> float:
        """The relative width of the interval."""
        return math.inf if self.ratio_low is None or self.ratio_high is None else self.ratio_high - self.ratio_low


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """A finished trial."""

    judgement: Judgement
    margin: float
    a_p50_ms: float  # median of the visits' medians
    b_p50_ms: float
    a_runtime: str  # ONNX Runtime's version
    b_runtime: str
    same_file: bool
    threads: int
    provider: str
    seconds: float
    stopped: str  # why: "decided", "width" or "budget"
    pairs: tuple[Pair, ...]


def spent(look: int) -> float:
    """The part of the allowed error that a look (an index of LOOKS) spends.

    >>> sum(spent(look) for look in range(len(LOOKS)))
    1.0
    """
    return float(LOOKS[look] ** 3 - (LOOKS[look - 1] ** 3 if look else 0.0))


def judged(pairs: Sequence[Pair], *, margin: float, look: int) -> Judgement:
    """The judgement on at least one pair at a look. Torn pairs count only while there are no others."""
    share = spent(look)
    told = [pair for pair in pairs if not pair.torn] or pairs
    logs = [math.log(pair.b_p50_ms / pair.a_p50_ms) for pair in told]
    shift, low, high = statistics.signed_rank_interval(logs, _COVERAGE * share)
    p = statistics.signed_rank_p(logs)
    seen = math.isfinite(low)
    return Judgement(
        verdict=judge(shift, low, high, p, margin, alarm=ALARM_RATE * share),
        ratio=math.exp(shift),
        ratio_low=math.exp(low) if seen else None,
        ratio_high=math.exp(high) if seen else None,
        p=p,
        detectable=_detectable((high - low) / 2, share) if seen else None,
        pairs=len(told),
    )


def pairs_needed() -> int:
    """The fewest pairs that can give a verdict at the last look: with all of one sign, p is 2 / 2^n.

    >>> pairs_needed()
    8
    """
    return 1 + math.ceil(math.log2(1 / (ALARM_RATE * spent(len(LOOKS) - 1))))


def _detectable(half: float, share: float) -> float:
    """The change that is seen with probability POWER, from half the interval's width in log ratio."""
    normal = NormalDist()
    error = half / normal.inv_cdf(1 - _COVERAGE * share / 2)
    return math.expm1(error * (normal.inv_cdf(1 - ALARM_RATE * share / 2) + normal.inv_cdf(POWER)))
