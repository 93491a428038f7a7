"""Accuracy against something, areas proportional to parameters (Canziani et al. 2016, Figure 2)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any

from bench.analysis import quality
from bench.analysis.front import pareto
from bench.analysis.quality import Quality
from bench.records import Record
from bench.report.families import family, hue, in_order, shape
from bench.report.figures.figure import TABLE, Figure, Subject, origin_notes
from bench.report.figures.frame import Frame, accuracy_range, layout, log_axis, plain, with_legend
from bench.report.figures.hover import every_number
from bench.report.figures.labels import Box, Label, Point, place, shorter

INK = "#1d2129"  # of outlines; the page draws them in its theme's
Scale = Callable[[float, float], tuple[float, float]]
Interval = tuple[float, float]

LEGEND_PARAMS = (5_000_000, 35_000_000, 65_000_000, 95_000_000, 125_000_000, 155_000_000)


def operations_figure(records: list[Record], frame: Frame, *, logarithmic: bool = False) -> dict[str, Any]:
    """Figure 2: accuracy against G-Ops = 2 x mult-adds / 1e9, on the original's linear axis or a logarithmic one."""
    frame = replace(frame, height=frame.height + frame.strip - 40)
    shown = [r for r in records if r.cost is not None and not r.cost.is_lower_bound]
    x = [2 * r.cost.mult_adds / 1e9 for r in shown if r.cost]
    title = "Operations [G-Ops = 2 × mult-adds / 10⁹]"
    if logarithmic and x and min(x) > 0:
        low, high = math.log10(min(x)), math.log10(max(x))
        pad = max(0.06, 0.09 * (high - low))
        axis = log_axis(low - pad, high + 2 * pad, frame, f"{title}, logarithmic")
        return cloud(shown, x, axis, records, frame, sizes=True)
    span = max(x, default=0.0) or 1.0
    room = 0.06 if frame.width > 600 else 0.12
    axis = {
        "title": {"text": title},
        "range": [-room * span, (1 + 2 * room) * span],
    }
    return cloud(shown, x, axis, records, frame, sizes=True)


def diameter(params: int, frame: Frame) -> float:
    """A bubble's diameter in px: its area is proportional to the parameters."""
    return frame.largest_bubble * math.sqrt(params / LEGEND_PARAMS[-1])


def cloud(
    shown: list[Record],
    x: list[float],
    axis: dict[str, Any],
    everything: list[Record],
    frame: Frame,
    *,
    sizes: bool = False,
    intervals: Sequence[Interval | None] = (),
    better: Sequence[Sequence[Record]] = (),
    steps: Sequence[tuple[float, float]] = (),
) -> dict[str, Any]:
    """A bubble for each shown record at its x, with names, centres and intervals; a legend of sizes where asked for.

    `intervals` are those of x; `better` lists for each record what dominates it: such bubbles are pale.
    Names keep off the line that goes right and then up through `steps`. A measured
    accuracy has a ring for a centre and an interval of its own, so that it is never taken for a published one; a
    record without an accuracy is hollow, at the foot, and named where there is room beside it.
    """
    metric = quality.of(everything)
    floor, ceiling = accuracy_range(everything)
    foot = floor + 0.02 * (ceiling - floor)
    height = frame.plot[1] - (frame.strip if sizes else 0)
    known = [metric.value(r) for r in shown]
    y = [foot if value is None else value for value in known]
    to_px = _scale(axis, (floor, ceiling), frame.plot[0], height)
    radii = [diameter(r.cost.params, frame) / 2 if r.cost else 5.0 for r in shown]
    texts = shorter([r.case.name for r in shown])
    index_of = {id(r): i for i, r in enumerate(shown)}
    points = [
        Point(texts[r.case.name], *to_px(a, b), radius) for r, a, b, radius in zip(shown, x, y, radii, strict=True)
    ]
    accuracies = [metric.interval(r) for r in shown]
    spans = [span or (a, a) for span, a in zip(intervals or [None] * len(x), x, strict=True)]
    bars = _interval_boxes(spans, [span or (b, b) for span, b in zip(accuracies, y, strict=True)], x, y, to_px)
    bars += _step_boxes([to_px(*step) for step in steps])
    best = {id(r) for r in pareto(shown, lambda r: x[index_of[id(r)]])}
    first = [i for i, r in enumerate(shown) if id(r) in best]
    # Many at the foot would draw their leaders across each other: the table and the hover name them all.
    unknown = [i for i, value in enumerate(known) if value is None] if any(v is not None for v in known) else []
    named = place(points, frame.plot[0], height, frame.font, soft=bars, first=first, beside=unknown)
    families = [family(r.case) for r in shown]
    data = []
    for name in in_order(set(families)):
        index = [i for i in range(len(shown)) if families[i] == name]
        mine = [shown[i] for i in index]
        trace = _bubbles(name, mine, [x[i] for i in index], [y[i] for i in index], frame, metric)
        trace["text"] = [every_number(shown[i], metric, better[i] if better else ()) for i in index]
        trace["marker"]["opacity"] = [0.28 if better and better[i] else 0.62 for i in index]
        if intervals:
            trace["error_x"] = _error([intervals[i] for i in index], trace["x"], hue(name))
        if any(accuracies[i] for i in index):
            trace["error_y"] = _error([accuracies[i] for i in index], trace["y"], hue(name))
        data += [trace, _centres(name, mine, trace["x"], trace["y"])]
    order = [*first, *(i for i in range(len(shown)) if i not in first)]  # where names collide, the first stays
    notes = [_annotation(shown[i], x[i], y[i], label, axis) for i in order if (label := named[i])]
    accuracy: dict[str, Any] = {"title": {"text": metric.title}, "range": [floor, ceiling]}
    limits = {"y": {"limit": metric.name, "scale": 1}}  # that the page draws in it
    if not sizes:
        return with_legend(data, layout(frame, x=axis, y=accuracy, annotations=notes, meta=limits))
    sized, axes, more = _size_legend(frame)
    accuracy["domain"] = [frame.strip / frame.plot[1], 1]
    drawn = layout(frame, x=axis, y=accuracy, annotations=notes + more, meta=limits, **axes)
    return with_legend([*data, sized], drawn, above=4)


def _bubbles(
    name: str, records: list[Record], x: list[float], y: list[float], frame: Frame, metric: Quality
) -> dict[str, Any]:
    colour = hue(name)
    hollow = [metric.value(r) is None for r in records]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": plain(name),
        "legendgroup": name,
        "showlegend": False,
        "meta": "bubbles",
        "x": x,
        "y": y,
        "customdata": [r.case.name for r in records],
        "hovertemplate": "%{text}<extra></extra>",
        "marker": {
            "size": [r.cost.params if r.cost else 0 for r in records],
            "sizemode": "area",
            "sizeref": 2 * LEGEND_PARAMS[-1] / frame.largest_bubble**2,
            "sizemin": 2,
            "color": ["rgba(0,0,0,0)" if h else colour for h in hollow],
            "line": {"color": colour, "width": [2 if h else 1 for h in hollow]},
        },
    }


def _error(intervals: Sequence[Interval | None], middles: Sequence[float], colour: str) -> dict[str, Any]:
    return {
        "type": "data",
        "symmetric": False,
        "array": [span[1] - middle if span else None for span, middle in zip(intervals, middles, strict=True)],
        "arrayminus": [middle - span[0] if span else None for span, middle in zip(intervals, middles, strict=True)],
        "color": colour,
        "thickness": 1.5,
        "width": 4,
    }


def _centres(name: str, records: list[Record], x: list[float], y: list[float]) -> dict[str, Any]:
    measured = [r.accuracy.origin == "measured" for r in records]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": plain(name),
        "legendgroup": name,
        "hoverinfo": "skip",
        "meta": "centres",
        "x": x,
        "y": y,
        "customdata": [r.case.name for r in records],
        "marker": {
            "size": [11 if m else 9 for m in measured],
            "symbol": [shape(name) + ("-open" if m else "") for m in measured],
            "color": hue(name),
            "line": {
                "width": [2 if m else 1 for m in measured],
                "color": [hue(name) if m else INK for m in measured],
            },
        },
    }  # fmt: skip


def _annotation(record: Record, x: float, y: float, label: Label, axis: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": record.case.name,
        "x": math.log10(x) if axis.get("type") == "log" else x,
        "y": y,
        "text": plain(label.text),
        "showarrow": True,
        "arrowhead": 0,
        "arrowwidth": 0.8 if label.leader else 0.01,
        "arrowcolor": "rgba(128,128,128,0.9)" if label.leader else "rgba(0,0,0,0)",
        "ax": label.dx,
        "ay": -label.dy,
        "standoff": 2,
        "borderpad": 0,
        "captureevents": False,
    }


def _scale(axis: dict[str, Any], y_range: tuple[float, float], width: float, height: float) -> Scale:
    """From data to px from the plot's lower left corner."""
    low, high = axis["range"]
    log = axis.get("type") == "log"

    def to_px(x: float, y: float) -> tuple[float, float]:
        a = math.log10(x) if log else x
        return (a - low) / (high - low) * width, (y - y_range[0]) / (y_range[1] - y_range[0]) * height

    return to_px


def _interval_boxes(
    across: Sequence[Interval], up: Sequence[Interval], x: Sequence[float], y: Sequence[float], to_px: Scale
) -> list[Box]:
    """What the interval bars cover, for the names to keep off."""
    boxes = []
    for wide, tall, a, b in zip(across, up, x, y, strict=True):
        if wide[0] < wide[1]:
            (left, middle), (right, _) = to_px(wide[0], b), to_px(wide[1], b)
            boxes.append((left - 2, middle - 3, right + 2, middle + 3))
        if tall[0] < tall[1]:
            (centre, low), (_, high) = to_px(a, tall[0]), to_px(a, tall[1])
            boxes.append((centre - 3, low - 2, centre + 3, high + 2))
    return boxes


def _step_boxes(steps: Sequence[tuple[float, float]]) -> list[Box]:
    """What a line of steps covers; its corners are px."""
    boxes = []
    for (left, low), (right, high) in pairwise(steps):
        boxes += [(left + 4, low - 1, right, low + 1), (right - 1, low, right + 1, high - 4)]
    return boxes


def _size_legend(frame: Frame) -> tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]]]:
    """The original's row of grey bubbles from 5 M to 155 M parameters, in the strip below the x axis."""
    width = frame.plot[0]
    row = frame.largest_bubble + 2 * frame.font
    diameters = [max(diameter(params, frame), 2.6 * frame.font) for params in LEGEND_PARAMS]
    gap = 12 if width > 600 else 4
    left = width - sum(diameters) - gap * (len(diameters) - 1)
    places = []
    for size in diameters:
        places.append(left + size / 2)
        left += size + gap
    middle = row - frame.largest_bubble / 2
    trace = {
        "type": "scatter",
        "mode": "markers",
        "showlegend": False,
        "hoverinfo": "skip",
        "meta": "size-legend",
        "xaxis": "x2",
        "yaxis": "y2",
        "cliponaxis": False,
        "x": places,
        "y": [middle] * len(places),
        "marker": {
            "size": list(LEGEND_PARAMS),
            "sizemode": "area",
            "sizeref": 2 * LEGEND_PARAMS[-1] / frame.largest_bubble**2,
            "color": "rgba(128,128,128,0.25)",
            "line": {"color": "#888", "width": 1},
        },
    }
    hidden = {"visible": False, "fixedrange": True}
    axes = {
        "xaxis2": hidden | {"range": [0, width], "anchor": "y2"},
        "yaxis2": hidden | {"range": [0, row], "domain": [0, row / frame.plot[1]], "anchor": "x2"},
    }
    at = {"xref": "x2", "yref": "y2", "showarrow": False, "font": {"size": max(8, frame.font - 3)}}
    notes = [
        at | {"x": x, "y": 0, "text": f"{params // 1_000_000} M", "yanchor": "bottom"}
        for x, params in zip(places, LEGEND_PARAMS, strict=True)
    ]
    if width > 600:
        notes.append(at | {"x": places[0] - 24, "y": middle, "text": "Parameters", "xanchor": "right"})
    return trace, axes, notes


def operations(subject: Subject) -> Iterator[Figure]:
    """Figure 2."""
    records = subject.records
    metric = quality.of(records)
    if any(r.cost and not r.cost.is_lower_bound for r in records):
        yield Figure(
            id="operations",
            title="Figure 2: accuracy against operations",
            short="Figure 2",
            question="How much accuracy does an operation buy? The area of a bubble is proportional to the number of "
            "parameters; grey bubbles give the scale.",
            draw=partial(operations_figure, records),
            other=("logarithmic axis", partial(operations_figure, records, logarithmic=True)),
            alternative=f"Bubbles: {metric.label} against G-Ops, areas proportional to parameters; {TABLE}",
            notes=origin_notes(records),
        )
