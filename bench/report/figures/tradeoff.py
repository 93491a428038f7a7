"""What accuracy costs: against measured latency, file size and peak memory, with the Pareto front."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from bench.analysis import precision, quality
from bench.analysis.front import dominators, pareto
from bench.analysis.quantities import QUANTITIES
from bench.records import Record, Run
from bench.report.figures.bubbles import cloud
from bench.report.figures.figure import TABLE, Figure, Subject, origin_notes
from bench.report.figures.frame import Frame, layout, log_axis, plain

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Price:
    """One quantity that accuracy is paid with."""

    title: str  # of the axis
    name: str  # of the quantity, whose limit the page draws
    value: Callable[[Record], float | None]
    scale: float = 1.0  # from the record's unit to the axis's
    interval: Callable[[Record], Interval | None] = lambda record: None


LATENCY = Price(
    "Measured latency p50 [ms], 95 % interval, logarithmic",
    "p50",
    QUANTITIES["p50"].read,
    1.0,
    QUANTITIES["p50"].interval_of,
)
SIZE = Price("Size of the file [MB], logarithmic", "size", QUANTITIES["size"].read, 1e-6)
MEMORY = Price("Peak resident memory while timed [MB], logarithmic", "memory", QUANTITIES["memory"].read, 1e-6)


def tradeoff_figure(
    records: list[Record], frame: Frame, price: Price = LATENCY, earlier: Sequence[Run] = ()
) -> dict[str, Any]:
    """Accuracy against a price on a logarithmic axis; models off the Pareto front name those that dominate them.

    What earlier runs paid for the same accuracy lies behind, faint.
    """
    paid = {id(r): value * price.scale for r in records if (value := price.value(r)) is not None and value > 0}
    shown = [r for r in records if id(r) in paid]
    x = [paid[id(r)] for r in shown]
    intervals = [price.interval(r) for r in shown]
    better = [dominators(r, shown, price.value) for r in shown]
    low, high = (min(x), max(x)) if x else (1.0, 10.0)
    pad = max(0.06, 0.09 * math.log10(high / low) if high > low else 0.3)
    axis = log_axis(math.log10(low) - pad, math.log10(high) + 2 * pad, frame, price.title)
    if not shown:
        return {"data": [], "layout": layout(frame, x=axis, y={})}
    front = _front(pareto(shown, price.value), paid)
    steps = list(zip(front["x"], front["y"], strict=True))
    drawn = cloud(
        shown, x, axis, records, frame, intervals=intervals if any(intervals) else (), better=better, steps=steps
    )
    behind = _earlier(shown, earlier, price, 10 ** axis["range"][0], 10 ** axis["range"][1])
    drawn["data"] = [front, *behind, *drawn["data"]]
    drawn["layout"]["meta"]["x"] = {"limit": price.name, "scale": price.scale}
    drawn["layout"]["annotations"] += [_arrow(a, b, paid) for a, b in quantised(shown)]
    return drawn


def _earlier(shown: list[Record], runs: Sequence[Run], price: Price, low: float, high: float) -> list[dict[str, Any]]:
    """What the shown cases paid in earlier runs, as far as it lies on the axis."""
    metric = quality.of(shown)
    at = {r.case.name: metric.value(r) for r in shown}
    points = [
        (value * price.scale, at[record.case.name], record.case.name, run.started_at)
        for run in runs
        for record in run.records
        if at.get(record.case.name) is not None and (value := price.value(record)) is not None
    ]
    points = [point for point in points if low < point[0] < high]
    if not points:
        return []
    x, y, cases, times = zip(*points, strict=True)
    return [{
        "type": "scatter", "mode": "markers", "name": "earlier runs", "meta": "earlier", "x": list(x), "y": list(y),
        "customdata": list(cases), "text": [f"{plain(case)}, {time}" for case, time in zip(cases, times, strict=True)],
        "hovertemplate": "%{text}: %{x:.3g}<extra></extra>",
        "marker": {"size": 5, "symbol": "circle", "color": "rgba(128,128,128,0.45)"},
    }]  # fmt: skip


def quantised(records: Iterable[Record]) -> list[tuple[Record, Record]]:
    """Pairs of a case in fp32 and the same in a lower precision, where the accuracy of both is known."""
    everything = list(records)
    metric = quality.of(everything)
    return precision.pairs(r for r in everything if metric.value(r) is not None)


def _arrow(start: Record, end: Record, paid: dict[int, float]) -> dict[str, Any]:
    metric = quality.of([start, end])
    return {
        "xref": "x", "yref": "y", "axref": "x", "ayref": "y", "text": "", "showarrow": True,
        "x": math.log10(paid[id(end)]), "y": metric.value(end),
        "ax": math.log10(paid[id(start)]), "ay": metric.value(start),
        "arrowhead": 2, "arrowsize": 1, "arrowwidth": 1.4, "arrowcolor": "#777", "standoff": 6, "startstandoff": 6,
    }  # fmt: skip


def _front(best: list[Record], paid: dict[int, float]) -> dict[str, Any]:
    metric = quality.of(best)
    return {
        "type": "scatter",
        "mode": "lines",
        "name": "Pareto front",
        "meta": "front",
        "hoverinfo": "skip",
        "x": [paid[id(r)] for r in best],
        "y": [metric.value(r) for r in best],
        "line": {"shape": "hv", "width": 1.5, "dash": "dot", "color": "#888"},
    }


def latency(subject: Subject) -> Iterator[Figure]:
    """Accuracy against measured latency."""
    records = subject.records
    metric = quality.of(records)
    timed = [r for r in records if LATENCY.value(r)]
    if timed:
        yield Figure(
            id="latency",
            title="Accuracy against measured latency",
            short="Latency",
            question="Which model is the most accurate within my time? Up and to the left is better; models off the "
            "dotted Pareto front are pale, because another one is both faster and more accurate.",
            draw=partial(tradeoff_figure, records, price=LATENCY, earlier=subject.earlier),
            alternative=f"Bubbles: {metric.label} against p50; {TABLE}",
            notes=origin_notes(timed)
            + (("Arrows lead from fp32 to the same network in a lower precision.",) if quantised(records) else ()),
        )


def size(subject: Subject) -> Iterator[Figure]:
    """Accuracy against the size of the file."""
    records = subject.records
    metric = quality.of(records)
    if any(SIZE.value(r) for r in records):
        yield Figure(
            id="size",
            title="Accuracy against file size",
            short="Size",
            question="What does accuracy cost to store and to send?",
            draw=partial(tradeoff_figure, records, price=SIZE),
            alternative=f"Bubbles: {metric.label} against the size of the file; {TABLE}",
        )


def memory(subject: Subject) -> Iterator[Figure]:
    """Accuracy against peak memory."""
    records = subject.records
    metric = quality.of(records)
    if any(MEMORY.value(r) for r in records):
        yield Figure(
            id="memory",
            title="Accuracy against peak memory",
            short="Memory",
            question="What fits on a small machine? Peak resident memory of the process that was timed, the runtime "
            "included.",
            draw=partial(tradeoff_figure, records, price=MEMORY),
            alternative=f"Bubbles: {metric.label} against peak memory; {TABLE}",
        )
