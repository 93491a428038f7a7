"""The measured models of a run as candidates of a choice, and when two of them cannot be told apart."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from bench.analysis import pairs, quality, quantities
from bench.analysis.pairs import Pair
from bench.analysis.quality import TOP1, Quality
from bench.analysis.statistics import wilson
from bench.records import Record, Run

IMAGENET_VALIDATION = 50_000  # images behind a published ImageNet accuracy

ROUNDING = 1e-3
"""Percentage points by which differences of accuracies are rounded, at most; less than what one image of 50,000 is."""

Interval = tuple[float, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A measured model as a candidate. Its accuracy is the run's: `Choice.quality` says which."""

    case: str
    batch_size: int
    accuracy: float | None  # percent
    accuracy_low: float | None  # 95 % interval
    accuracy_high: float | None
    accuracy_source: str | None  # where it comes from; None where it is not known
    p50_ms: float
    p50_ms_low: float
    p50_ms_high: float
    load_p99_ms: float | None = None  # the limit of the response time within which its requests a second were measured
    limited: dict[str, float | None] = field(default_factory=dict)  # every quantity that can be limited, by its name
    intervals: dict[str, Interval] = field(default_factory=dict)  # theirs, where they have one
    paired: dict[str, Pair] = field(default_factory=dict)  # with others that were judged on the same images, by name


def candidates(run: Run, *, device: str | None = None) -> list[Candidate]:
    """The measured models of a run as candidates, those timed on one device when it is named."""
    metric = quality.of(run.records)
    paired = pairs.pairs(run.records) if metric is TOP1 else {}
    return [
        _candidate(record, metric, paired.get(record.case.name, {}))
        for record in run.records
        if record.measurement is not None and device in (None, record.case.device)
    ]


def under_load(everything: Sequence[Candidate], limits: Mapping[str, float]) -> list[Candidate]:
    """The candidates as limits on p99 and on requests a second see them together: p99 is then that of the response time
    under load, which is as long as the limit within which the requests a second were measured."""
    if "rps" not in limits or "p99" not in limits:
        return list(everything)
    return [
        replace(
            c,
            limited=c.limited | {"p99": c.load_p99_ms},
            intervals={name: span for name, span in c.intervals.items() if name != "p99"},
        )
        for c in everything
    ]


def accuracy_interval(record: Record, metric: Quality) -> Interval | None:
    """The 95 % interval of an accuracy in percent: the measured one, or that of 50,000 images for a published top-1.

    An mAP comes without an interval: only equal ones are then the same.
    """
    value = metric.value(record)
    if value is None:
        return None
    if measured := metric.interval(record):
        return measured
    if metric is not TOP1 or record.accuracy.origin != "published":
        return value, value
    low, high = wilson(round(value / 100 * IMAGENET_VALIDATION), IMAGENET_VALIDATION)
    return 100 * low, 100 * high


def same_accuracy(a: Candidate, b: Candidate) -> bool:
    """Whether the difference of their accuracies may be chance, at 5 %, or neither is known.

    Of two that were judged on the same images, McNemar's exact test says so (see `pairs`). Of others, the 95 % interval
    of the difference, which then holds 0; it is put together from those of the two accuracies (Newcombe's, see
    `statistics.newcombe`).
    """
    if a.accuracy is None or b.accuracy is None:
        return a.accuracy is None and b.accuracy is None
    if b.case in a.paired:
        return abs(a.accuracy - b.accuracy) <= a.paired[b.case].apart + ROUNDING
    high, low = (a, b) if a.accuracy >= b.accuracy else (b, a)
    down, up = (high.accuracy or 0.0) - (high.accuracy_low or 0.0), (low.accuracy_high or 0.0) - (low.accuracy or 0.0)
    gap = (high.accuracy or 0.0) - (low.accuracy or 0.0)
    return gap * gap <= down * down + up * up


def gained(candidate: Candidate, other: Candidate) -> Interval | None:
    """The 95 % interval of its accuracy over the other's, in percentage points, where both saw the same images."""
    pair = candidate.paired.get(other.case)
    return (pair.low, pair.high) if pair else None


def same_latency(a: Candidate, b: Candidate) -> bool:
    """Whether the 95 % interval of the ratio of their p50s holds 1, put together as in `comparison.log_ratio`."""
    slow, fast = (a, b) if a.p50_ms >= b.p50_ms else (b, a)
    down, up = math.log(slow.p50_ms / slow.p50_ms_low), math.log(fast.p50_ms_high / fast.p50_ms)
    gap = math.log(slow.p50_ms / fast.p50_ms)
    return gap * gap <= down * down + up * up


def _candidate(record: Record, metric: Quality, paired: dict[str, Pair]) -> Candidate:
    m, accuracy = record.measurement, record.accuracy
    if m is None:
        raise ValueError(f"{record.case.name} has no measurement")
    interval = accuracy_interval(record, metric)
    images = f" on {accuracy.n:,} images" if accuracy.n else ""
    source = f"{accuracy.origin}{images}{f': {accuracy.source}' if accuracy.source else ''}"
    known = quantities.limited()
    return Candidate(
        case=record.case.name,
        batch_size=record.case.batch_size,
        accuracy=metric.value(record),
        accuracy_low=interval[0] if interval else None,
        accuracy_high=interval[1] if interval else None,
        accuracy_source=source if interval else None,
        p50_ms=m.p50_ms,
        p50_ms_low=m.p50_ms_low,
        p50_ms_high=m.p50_ms_high,
        load_p99_ms=record.load.p99_limit_ms if record.load else None,
        limited={name: one.read(record) for name, one in known.items()},
        intervals={name: span for name, one in known.items() if (span := one.interval_of(record)) is not None},
        paired=paired,
    )
