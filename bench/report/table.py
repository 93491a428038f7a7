"""The table of a run: Keras's own "available models" table, with this machine's times."""

from __future__ import annotations

from dataclasses import dataclass

from bench.records import Record
from bench.report.families import family
from bench.units import giga, latency, megabytes, millions, percent


@dataclass(frozen=True, slots=True)
class Cell:
    """What a cell shows, and what it is sorted by (None sorts last)."""

    text: str
    value: float | str | None = None
    title: str = ""


HEADINGS = (
    "Model", "Family", "Size (MB)", "Top-1", "Top-5", "Parameters", "G-Ops",
    "Time per inference step, p50 [95 % interval]", "p95", "Throughput", "Load", "Peak memory", "Visits",
)  # fmt: skip


def rows(records: list[Record]) -> list[list[Cell]]:
    """A row a record, under HEADINGS."""
    return [_row(record) for record in records]


def _row(record: Record) -> list[Cell]:
    accuracy, cost, artifact, m = record.accuracy, record.cost, record.artifact, record.measurement
    none = Cell("–", None)
    disturbed = f" ({m.disturbed_visits} disturbed)" if m and m.disturbed_visits else ""
    time = (
        Cell(latency(m.p50_ms, m.p50_ms_low, m.p50_ms_high), m.p50_ms)
        if m
        else Cell("not measured", None, record.error or "")
    )
    where = f"{accuracy.origin}: {accuracy.source}" if accuracy.source else accuracy.origin
    return [
        Cell(record.case.name, record.case.name.lower()),
        Cell(family(record.case), family(record.case).lower()),
        Cell(megabytes(artifact.size_bytes).removesuffix(" MB"), artifact.size_bytes) if artifact else none,
        Cell(_accuracy(record), accuracy.top1, where) if accuracy.top1 is not None else none,
        Cell(percent(accuracy.top5), accuracy.top5, where) if accuracy.top5 is not None else none,
        Cell(millions(cost.params), cost.params, f"{cost.params:,}") if cost else none,
        Cell(giga(2 * cost.mult_adds), cost.mult_adds, f"{cost.mult_adds:,} mult-adds") if cost else none,
        time,
        Cell(latency(m.p95_ms), m.p95_ms) if m and m.p95_ms is not None else none,
        Cell(f"{m.throughput_per_s:,.{0 if m.throughput_per_s >= 100 else 1}f} /s", m.throughput_per_s) if m else none,
        Cell(latency(m.load_ms), m.load_ms) if m else none,
        Cell(megabytes(m.peak_rss_bytes), m.peak_rss_bytes) if m else none,
        Cell(f"{m.visits}{disturbed}", m.visits) if m else none,
    ]


def _accuracy(record: Record) -> str:
    accuracy = record.accuracy
    text = percent(accuracy.top1 or 0.0)
    if accuracy.origin == "measured" and accuracy.top1_low is not None and accuracy.top1_high is not None:
        return f"{text} [{accuracy.top1_low:.1f}, {accuracy.top1_high:.1f}] measured"
    return text
