"""Runtimes beside each other: which is the fastest for which model, and what changing it buys."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from bench import runtimes
from bench.analysis.switching import Switch, switches
from bench.report.figures.figure import TABLE, Figure, Subject
from bench.report.figures.forest import ratio_ticks
from bench.report.figures.frame import Frame, layout, plain, with_legend
from bench.report.figures.labels import text_width
from bench.report.figures.machines import LOOKS, tradeoff_figure
from bench.suites import RUNTIMES
from bench.units import relative

_BETWEEN = 8  # two names of ratios on the axis, at least, px


def switching_figure(changes: Sequence[Switch], frame: Frame) -> dict[str, Any]:
    """A row for each model, what gains most on top: its p50 in another runtime over that in the reference, with the
    95 % interval, on a logarithmic axis."""
    best: dict[str, float] = {}
    for change in changes:
        best[change.model] = min(best.get(change.model, math.inf), change.ratio)
    order = sorted(best, key=lambda model: -best[model])
    data = []
    for number, name in enumerate(RUNTIMES):
        mine = [change for change in changes if change.runtime == name]
        colour, symbol = LOOKS[number % len(LOOKS)]
        if mine:
            data.append({
                "type": "scatter", "mode": "markers", "name": plain(runtimes.get(name).TITLE), "meta": "runtime",
                "x": [change.ratio for change in mine], "y": [plain(change.model) for change in mine],
                "customdata": [change.case for change in mine], "text": [_hover(change) for change in mine],
                "hovertemplate": "%{text}<extra></extra>",
                "marker": {"size": 10, "symbol": symbol, "color": colour},
                "error_x": {
                    "type": "data", "symmetric": False, "color": colour, "thickness": 1.4, "width": 4,
                    "array": [(change.high or change.ratio) - change.ratio for change in mine],
                    "arrayminus": [change.ratio - (change.low or change.ratio) for change in mine],
                },
            })  # fmt: skip
    reach = [1.0, *(end for c in changes for end in (c.low or c.ratio, c.high or c.ratio))]
    pad = (max(reach) / min(reach)) ** 0.06
    low, high = min(reach) / pad, max(reach) * pad
    left = int(16 + (frame.font - 2) * max(map(text_width, order)))
    plot = frame.width - left - frame.right
    ticks = ratio_ticks(low, high, max(1.0, plot / (frame.font * text_width("0.67x") + _BETWEEN)))
    reference = " or ".join(dict.fromkeys(runtimes.get(change.reference).TITLE for change in changes))
    title = f"p50 over that in {plain(reference)}; left is faster"
    if 1.2 * frame.font * text_width(title) > plot:  # Plotly centres it on the plot and cuts what reaches beyond
        title = f"p50 over that in<br>{plain(reference)}; left is faster"
    drawn = layout(
        frame,
        x={"title": {"text": title}, "type": "log",
           "range": [math.log10(low), math.log10(high)], "tickmode": "array", "tickvals": ticks,
           "ticktext": [f"{value:g}x" for value in ticks]},
        y={"type": "category", "categoryorder": "array", "categoryarray": [plain(model) for model in order],
           "range": [-0.6, len(order) - 0.4], "tickfont": {"size": max(8, frame.font - 2)}},
        shapes=[{"type": "line", "x0": 1, "x1": 1, "yref": "paper", "y0": 0, "y1": 1,
                 "line": {"color": "#888", "width": 1, "dash": "dot"}}],
        showlegend=True,
    )  # fmt: skip
    drawn["margin"]["l"] = left
    drawn["height"] = frame.top + frame.bottom + max(110, 24 * len(order))
    return with_legend(data, drawn)


def _hover(change: Switch) -> str:
    interval = (
        "" if change.low is None or change.high is None else f" [{relative(change.low)}, {relative(change.high)}]"
    )
    here, there = runtimes.get(change.reference).TITLE, runtimes.get(change.runtime).TITLE
    return (
        f"<b>{plain(change.model)}</b><br>{plain(there)} instead of {plain(here)}: {relative(change.ratio)}{interval}"
    )


def of_runtimes(subject: Subject) -> Iterator[Figure]:
    """Runtimes beside each other; nothing where the run has one."""
    records = [record for record in subject.records if record.measurement]
    names = [name for name in RUNTIMES if any(record.case.runtime == name for record in records)]
    if len(names) < 2:
        return
    parts = {
        runtimes.get(name).TITLE: replace(
            subject.run, records=tuple(record for record in records if record.case.runtime == name)
        )
        for name in names
    }
    yield Figure(
        id="by-runtime",
        title="Accuracy against latency, by runtime",
        short="By runtime",
        question="Which runtime do the best models run in? A marker's shape is its runtime; the legend "
        "shows or hides one.",
        draw=partial(tradeoff_figure, parts),
        alternative=f"Markers: accuracy against p50 with its 95 % interval, a shape for each runtime; {TABLE}",
    )
    if changes := switches(records):
        yield Figure(
            id="switching",
            title="What changing the runtime buys",
            short="Changing the runtime",
            question="The same model in the same precision: p50 in another runtime over that in the reference, with "
            "95 % intervals. An interval that reaches 1x says that nothing is gained for sure.",
            draw=partial(switching_figure, changes),
            alternative=f"Ratios of p50s between runtimes, a row a model, with 95 % intervals; {TABLE}",
        )
