"""The table of a run: Keras's own "available models" table, with this machine's times."""

from __future__ import annotations

from dataclasses import dataclass

from bench.analysis import precision, quality
from bench.analysis.quality import TOP1, Quality
from bench.records import Record
from bench.report.families import family
from bench.units import giga, latency, megabytes, millions, percent

_DETECTION = {
    "AP at IoU 0.5": "ap50",
    "Mean IoU": "mean_iou",
    "Class": "class_accuracy",
    "Presence": "presence_accuracy",
}


@dataclass(frozen=True, slots=True)
class Cell:
    """What a cell shows, and what it is sorted by (None sorts last)."""

    text: str
    value: float | str | None = None
    title: str = ""


def headings(judged: Quality) -> tuple[str, ...]:
    """The headings of a run's table; which accuracy it shows depends on what its models do."""
    accuracies = ("Top-1", "Top-5") if judged is TOP1 else ("mAP @[.5:.95]", *_DETECTION)
    return (
        "Model", "Family", "Size (MB)", *accuracies, "Parameters", "G-Ops",
        "Time per inference step, p50 [95 % interval]", "p95", "Throughput", "Load", "Peak memory", "Visits",
    )  # fmt: skip


def rows(records: list[Record]) -> list[list[Cell]]:
    """A row a record, under the headings."""
    judged = quality.of(records)
    return [_row(record, judged) for record in records]


def _row(record: Record, judged: Quality) -> list[Cell]:
    cost, artifact, m = record.cost, record.artifact, record.measurement
    none = Cell("–", None)
    disturbed = f" ({m.disturbed_visits} disturbed)" if m and m.disturbed_visits else ""
    time = (
        Cell(latency(m.p50_ms, m.p50_ms_low, m.p50_ms_high), m.p50_ms)
        if m
        else Cell("not measured", None, record.error or "")
    )
    return [
        Cell(record.case.name, record.case.name.lower()),
        Cell(family(record.case), family(record.case).lower()),
        Cell(megabytes(artifact.size_bytes).removesuffix(" MB"), artifact.size_bytes) if artifact else none,
        *_accuracies(record, judged),
        Cell(millions(cost.params), cost.params, f"{cost.params:,}") if cost else none,
        Cell(giga(2 * cost.mult_adds), cost.mult_adds, f"{cost.mult_adds:,} mult-adds") if cost else none,
        time,
        Cell(latency(m.p95_ms), m.p95_ms) if m and m.p95_ms is not None else none,
        Cell(f"{m.throughput_per_s:,.{0 if m.throughput_per_s >= 100 else 1}f} /s", m.throughput_per_s) if m else none,
        Cell(latency(m.load_ms), m.load_ms) if m else none,
        Cell(megabytes(m.peak_rss_bytes), m.peak_rss_bytes) if m else none,
        Cell(f"{m.visits}{disturbed}", m.visits) if m else none,
    ]


def _accuracies(record: Record, judged: Quality) -> list[Cell]:
    """The accuracy with its interval where it was measured, and what else is known of it."""
    accuracy, value, interval = record.accuracy, judged.value(record), judged.interval(record)
    where = f"{accuracy.origin}: {accuracy.source}" if accuracy.source else accuracy.origin
    if judged is TOP1:
        more = [accuracy.top5]
    else:
        more = [getattr(accuracy.detection, field, None) for field in _DETECTION.values()]
    others = [Cell(percent(one), one, where) if one is not None else Cell("–", None) for one in more]
    if value is None:
        return [Cell(precision.agreement_in_words(record) or "–", None), *others]
    shown = f" [{interval[0]:.1f}, {interval[1]:.1f}]" if interval else ""
    measured = " measured" if accuracy.origin == "measured" else ""
    return [Cell(percent(value) + shown + measured, value, where), *others]
