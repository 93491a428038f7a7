"""What a comparison of two runs concludes."""

from __future__ import annotations

from dataclasses import dataclass

VERDICTS = ("slower", "faster", "suspect", "equivalent", "inconclusive", "missing", "added", "failed")
"""Two stored runs make a suspect at most: "slower" and "faster" come from both files timed anew, interleaved."""


@dataclass(frozen=True, kw_only=True, slots=True)
class QuantityChange:
    """One quantity beside p50 that differs between two records of a case."""

    name: str  # of bench.analysis.quantities
    baseline: float
    run: float
    better: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What comparing one case of a run with its baseline concludes."""

    case: str  # Case.name
    verdict: str  # one of VERDICTS
    ratio: float | None = None  # p50 of the run over p50 of the baseline; above 1 is slower
    ratio_low: float | None = None  # 95 % interval
    ratio_high: float | None = None
    detectable: float | None = None  # smallest relative change that this pair of runs could have shown, e.g. 0.021
    baseline_p50_ms: float | None = None
    p50_ms: float | None = None
    confirmed: bool | None = (
        None  # by measuring both files anew: slower or faster (True), or not (False); None: undecided
    )
    pairs: int | None = None  # timed side by side for this verdict; 0: both files are the same; None: stored figures
    attribution: tuple[str, ...] = ()  # what changed of this case, in words: "file made anew", or nothing
    reason: str | None = None  # why, where the figures alone do not say it; what fresh visits said
    quantities: tuple[QuantityChange, ...] = ()  # what else changed: size, peak memory, accuracy


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Two runs compared, model by model."""

    suite: str
    baseline_started_at: str
    run_started_at: str
    margin: float  # as asked for, e.g. 0.03: noise widens intervals, never the margin
    noise: float | None  # how far visits of one case lie apart: the median over the cases of both runs, relative
    forced: bool  # compared although the runs are not comparable
    differing: tuple[str, ...]  # keys that differ, "key: baseline -> run"
    verdicts: tuple[Verdict, ...]
    changed: tuple[str, ...] = ()  # what else differs between the runs, in words: "system Linux 6.1 -> 6.2"
    anew: bool = False  # whether both sides were measured anew, as far as they could be
