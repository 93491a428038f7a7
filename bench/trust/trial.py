"""A trial: two files timed side by side, and what that says so far. Pure functions of numbers.

A pair is both files timed once: in one fresh process, block by block in turn (`bench.timing.worker`), or, where they
cannot share a process, in one process each, one after the other. In one process, what shifts the machine's speed shifts
neighbouring blocks of both files; the pair's ratio is the Hodges-Lehmann centre of the log ratios of such blocks.
Measured where the speed shifts by a third for seconds at a time (eight processes each of three models): ratios then
had a standard deviation of 0.4 to 0.7 % with nothing beside, and of 0.5 to 3 % beside busy loops; ratios of the files'
own medians, of 0.5 to 2.3 % and of 1 to 7 %, once 23 %.

The pair is the statistical unit: processes differ by where their memory happens to lie. So the verdict rests on the log
ratios of pairs by Student's t; the file that is loaded first alternates, so that its disadvantage (0.7 % was seen)
cancels. A pair of processes that met the machine at different paces is torn: it tells of the machine alone, and does
not count. The pace is that of a fixed piece of work, not of the files, and which of the two was slower plays no part,
so that leaving torn pairs out cannot favour either file.

Looking again and again until something shows would raise the rate of false alarms. So the looks are planned in advance,
by the number of pairs, and each spends its own part of the error that is allowed in all (`LOOKS`); the last one, when
the time is over, spends what is left. The parts add up to the whole, so the rate of false alarms over all looks, and
the coverage of the intervals at all looks together, hold whatever the dependence between looks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, median, stdev

from bench.analysis import statistics, summary
from bench.analysis.comparison import POWER, judge
from bench.trust.spread import NOTHING_KNOWN, Prior

LOOKS = {4: 0.10, 6: 0.20, 9: 0.20, 13: 0.15, 19: 0.10, 28: 0.10, 40: 0.05}
"""The part of the allowed error that the look at so many pairs spends. A tenth stays for the end of the time."""
FEWEST = min(LOOKS)
"""Pairs without which there is no verdict, if there is any time for them."""
LEAST_SPREAD = 0.003
"""The standard deviation between processes is taken for at least so much: a few that agree by chance prove nothing.
Below the smallest that was measured, 0.35 to 0.75 % on quiet machines."""
_COVERAGE = 0.05
_MOST_BLOCKS = 500  # of a pair that are looked at: each is held against each


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """Both of two files timed once."""

    a_p50_ms: float
    b_p50_ms: float
    a_first: bool
    ratio: float | None = None  # B over A from neighbouring blocks in one process; None: two processes
    a_pace_ms: float | None = None  # the machine's pace after each of two processes (`records.Health.pace_ms`)
    b_pace_ms: float | None = None
    disturbed: bool = False  # kept and counted all the same

    @property
    def log_ratio(self) -> float:
        """The logarithm of B over A."""
        return math.log(self.ratio or self.b_p50_ms / self.a_p50_ms)

    @property
    def torn(self) -> bool:
        """Whether the machine changed its pace between two processes."""
        if self.ratio is not None or not self.a_pace_ms or not self.b_pace_ms:
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
    spread: float | None  # standard deviation of the pairs' log ratios
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
    a_p50_ms: float  # median of the pairs' medians
    b_p50_ms: float
    a_runtime: str  # the runtimes' versions
    b_runtime: str
    same_file: bool
    one_process: bool  # whether the files shared a process
    threads: int
    provider: str
    seconds: float
    stopped: str  # why: "decided", "width" or "budget"
    pairs: tuple[Pair, ...]


def log_ratios(pairs: Sequence[Pair]) -> list[float]:
    """Of the pairs that count: torn ones only while there are no others."""
    return [pair.log_ratio for pair in [pair for pair in pairs if not pair.torn] or pairs]


def variance_of(logs: Sequence[float]) -> float:
    """The variance of two or more log ratios, never less than that of `LEAST_SPREAD`."""
    return max(stdev(logs), LEAST_SPREAD) ** 2


def judged(
    pairs: Sequence[Pair], *, margin: float, alarm: float, share: float, prior: Prior = NOTHING_KNOWN
) -> Judgement:
    """The judgement on at least one pair at a look that spends a share of the error.

    `alarm` is the rate at which identical files may be called slower or faster over all looks; `prior` is what other
    trials at the same time say of how far pairs scatter; it counts for `FEWEST` pairs or more.
    """
    logs = log_ratios(pairs)
    if len(logs) < 2:
        return Judgement(
            verdict="inconclusive", ratio=math.exp(logs[0]), ratio_low=None, ratio_high=None, p=1.0, detectable=None,
            spread=None, pairs=len(logs),
        )  # fmt: skip
    shift, variance, degrees = math.fsum(logs) / len(logs), variance_of(logs), float(len(logs) - 1)
    if len(logs) >= FEWEST:
        variance, degrees = prior.posterior(variance, degrees)
    error = math.sqrt(variance / len(logs))
    half = statistics.student_t(_COVERAGE * share, degrees) * error
    p = statistics.student_t_p(shift / error, degrees)
    power = NormalDist().inv_cdf(POWER)
    return Judgement(
        verdict=judge(shift, shift - half, shift + half, p, margin, alarm=alarm * share),
        ratio=math.exp(shift),
        ratio_low=math.exp(shift - half),
        ratio_high=math.exp(shift + half),
        p=p,
        detectable=math.expm1(min((statistics.student_t(alarm * share, degrees) + power) * error, 5.0)),
        spread=stdev(logs),
        pairs=len(logs),
    )


def pairs_for(judgement: Judgement, *, margin: float, alarm: float) -> int:
    """About how many such pairs would see a change of the margin's size four times in five."""
    spread, power = max(judgement.spread or 0.0, LEAST_SPREAD), NormalDist().inv_cdf(POWER)
    count = FEWEST
    while (statistics.student_t(alarm, count - 1) + power) * spread / math.sqrt(count) > math.log1p(margin):
        count += max(1, count // 20)
    return count


def block_ratio(a_ns: Sequence[float], b_ns: Sequence[float]) -> float:
    """B over A from neighbouring blocks of one process: the Hodges-Lehmann centre of their log ratios, exponentiated.

    Against their median it gave 0.4 to 1.5 times the spread between processes beside busy loops (0.8 in the middle of
    eight cases), and 0.9 to 1.3 times, once 3, with nothing beside: better where it is needed, no clear winner.

    >>> round(block_ratio([100, 200, 100, 300, 100], [110, 220, 110, 330, 500]), 3)
    1.1
    """
    logs = [math.log(b / a) for a, b in zip(a_ns, b_ns, strict=True)]
    return math.exp(statistics.hodges_lehmann(logs[:: -(-len(logs) // _MOST_BLOCKS)]))


def p50s(pairs: Sequence[Pair]) -> tuple[float, float]:
    """The medians of A and B over the pairs, in ms."""
    return median(pair.a_p50_ms for pair in pairs), median(pair.b_p50_ms for pair in pairs)
