"""Top-1 against operations or latency, areas proportional to parameters (Canziani et al. 2016, Figure 2)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from bench.records import Record
from bench.report.families import family, hue, in_order, shape
from bench.report.figures.frame import Frame, accuracy_range, layout, log_ticks, plain
from bench.report.figures.labels import Box, Point, place
from bench.units import giga, latency, megabytes, millions, percent

Scale = Callable[[float, float], tuple[float, float]]

LEGEND_PARAMS = (5_000_000, 35_000_000, 65_000_000, 95_000_000, 125_000_000, 155_000_000)


def operations_figure(records: list[Record], frame: Frame) -> dict[str, Any]:
    """Figure 2: top-1 against G-Ops = 2 x mult-adds / 1e9, on the original's linear axis."""
    frame = replace(frame, height=frame.height + frame.strip - 40)
    shown = [r for r in records if r.cost is not None]
    x = [2 * r.cost.mult_adds / 1e9 for r in shown if r.cost]
    span = max([1.0, *x])
    room = 0.06 if frame.width > 600 else 0.12
    axis = {
        "title": {"text": "Operations [G-Ops = 2 × mult-adds / 10⁹]"},
        "range": [-room * span, (1 + 2 * room) * span],
    }
    return _figure(shown, x, axis, records, frame, sizes=True)


def latency_figure(records: list[Record], frame: Frame) -> dict[str, Any]:
    """Top-1 against measured p50 in ms on a logarithmic axis, with its 95 % interval and the Pareto front."""
    shown = [r for r in records if r.measurement is not None]
    x = [r.measurement.p50_ms for r in shown if r.measurement]
    low, high = (min(x), max(x)) if x else (1.0, 10.0)
    pad = max(0.06, 0.09 * math.log10(high / low) if high > low else 0.3)
    axis: dict[str, Any] = {
        "title": {"text": "Measured latency p50 [ms], 95 % interval, logarithmic"},
        "type": "log",
        "range": [math.log10(low) - pad, math.log10(high) + 2 * pad],
    }
    ticks = log_ticks(*(10.0**end for end in axis["range"]))
    axis |= {"tickvals": ticks, "ticktext": [f"{tick:g}" for tick in ticks]}
    drawn = _figure(shown, x, axis, records, frame, sizes=False)
    drawn["data"] = [_front(shown), *drawn["data"]]
    return drawn


def diameter(params: int, frame: Frame) -> float:
    """A bubble's diameter in px: its area is proportional to the parameters."""
    return frame.largest_bubble * math.sqrt(params / LEGEND_PARAMS[-1])


def dominators(record: Record, records: list[Record]) -> list[Record]:
    """The records that are at least as accurate and as fast, and better in one of the two."""
    if record.measurement is None or record.accuracy.top1 is None:
        return []
    mine = (record.accuracy.top1, -record.measurement.p50_ms)
    found = []
    for other in records:
        if other.measurement is None or other.accuracy.top1 is None:
            continue
        theirs = (other.accuracy.top1, -other.measurement.p50_ms)
        if theirs != mine and theirs[0] >= mine[0] and theirs[1] >= mine[1]:
            found.append(other)
    return sorted(found, key=lambda r: r.measurement.p50_ms if r.measurement else 0.0)


def _figure(
    shown: list[Record], x: list[float], axis: dict[str, Any], everything: list[Record], frame: Frame, *, sizes: bool
) -> dict[str, Any]:
    floor, ceiling = accuracy_range(everything)
    foot = floor + 0.02 * (ceiling - floor)
    height = frame.plot[1] - (frame.strip if sizes else 0)
    y = [r.accuracy.top1 if r.accuracy.top1 is not None else foot for r in shown]
    to_px = _scale(axis, (floor, ceiling), frame.plot[0], height)
    radii = [diameter(r.cost.params, frame) / 2 if r.cost else 5.0 for r in shown]
    points = [Point(plain_name(r), *to_px(a, b), radius) for r, a, b, radius in zip(shown, x, y, radii, strict=True)]
    bars = [] if sizes else _interval_boxes(shown, y, to_px)
    named = place(points, frame.plot[0], height, frame.font, bars)
    families = [family(r.case) for r in shown]
    groups = in_order(set(families))
    data = []
    for name in groups:
        index = [i for i in range(len(shown)) if families[i] == name]
        data.append(_bubbles(name, [shown[i] for i in index], [x[i] for i in index], [y[i] for i in index], frame,
                             everything, with_interval=not sizes))  # fmt: skip
        data.append(_centres(name, [shown[i] for i in index], [x[i] for i in index], [y[i] for i in index]))
    notes = [_annotation(shown[i], x[i], y[i], label, axis) for i, label in enumerate(named) if label]
    more: dict[str, Any] = {"annotations": notes}
    if sizes:
        sized, more_axes, more_notes = _size_legend(frame)
        data.append(sized)
        more |= more_axes
        more["annotations"] = notes + more_notes
    accuracy = {"title": {"text": "Top-1 accuracy [%]"}, "range": [floor, ceiling]}
    if sizes:
        accuracy["domain"] = [frame.strip / frame.plot[1], 1]
    drawn = layout(frame, x=axis, y=accuracy, **more)
    if sizes:
        drawn["legend"]["y"] = -4 / frame.plot[1]
    return {"data": data, "layout": drawn}


def plain_name(record: Record) -> str:
    """A record's name in figures."""
    return record.case.name


def _bubbles(
    name: str, records: list[Record], x: list[float], y: list[float], frame: Frame, everything: list[Record],
    *, with_interval: bool,
) -> dict[str, Any]:  # fmt: skip
    colour = hue(name)
    hollow = [r.accuracy.top1 is None for r in records]
    dominated = [bool(dominators(r, everything)) if with_interval else False for r in records]
    trace: dict[str, Any] = {
        "type": "scatter",
        "mode": "markers",
        "name": plain(name),
        "legendgroup": name,
        "meta": "bubbles",
        "x": x,
        "y": y,
        "customdata": [r.case.name for r in records],
        "text": [_hover(r, everything) for r in records],
        "hovertemplate": "%{text}<extra></extra>",
        "marker": {
            "size": [r.cost.params if r.cost else 0 for r in records],
            "sizemode": "area",
            "sizeref": 2 * LEGEND_PARAMS[-1] / frame.largest_bubble**2,
            "sizemin": 2,
            "color": ["rgba(0,0,0,0)" if h else colour for h in hollow],
            "opacity": [0.28 if d else 0.62 for d in dominated],
            "line": {"color": colour, "width": [2 if h else 1 for h in hollow]},
        },
    }
    if with_interval:
        trace["error_x"] = {
            "type": "data",
            "symmetric": False,
            "array": [r.measurement.p50_ms_high - r.measurement.p50_ms for r in records if r.measurement],
            "arrayminus": [r.measurement.p50_ms - r.measurement.p50_ms_low for r in records if r.measurement],
            "color": colour,
            "thickness": 1.5,
            "width": 4,
        }
    return trace


def _centres(name: str, records: list[Record], x: list[float], y: list[float]) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "legendgroup": name,
        "showlegend": False,
        "hoverinfo": "skip",
        "meta": "centres",
        "x": x,
        "y": y,
        "marker": {"size": 7, "symbol": shape(name), "color": hue(name), "line": {"width": 1, "color": "#fff"}},
    }


def _front(records: list[Record]) -> dict[str, Any]:
    """The Pareto front: what no other model beats in both accuracy and latency."""
    best = [r for r in records if r.accuracy.top1 is not None and not dominators(r, records)]
    best.sort(key=lambda r: r.measurement.p50_ms if r.measurement else 0.0)
    return {
        "type": "scatter",
        "mode": "lines",
        "name": "Pareto front",
        "meta": "front",
        "hoverinfo": "skip",
        "x": [r.measurement.p50_ms for r in best if r.measurement],
        "y": [r.accuracy.top1 for r in best],
        "line": {"shape": "hv", "width": 1.5, "dash": "dot", "color": "#888"},
    }


def _annotation(record: Record, x: float, y: float, label: Any, axis: dict[str, Any]) -> dict[str, Any]:
    return {
        "x": math.log10(x) if axis.get("type") == "log" else x,
        "y": y,
        "text": plain(plain_name(record)),
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


def _interval_boxes(records: list[Record], y: list[float], to_px: Scale) -> list[Box]:
    """What the interval bars cover, for the names to keep off."""
    boxes = []
    for record, height in zip(records, y, strict=True):
        if record.measurement:
            left, middle = to_px(record.measurement.p50_ms_low, height)
            right, _ = to_px(record.measurement.p50_ms_high, height)
            boxes.append((left - 2, middle - 3, right + 2, middle + 3))
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


def _hover(record: Record, everything: list[Record]) -> str:
    """Every number of a record, with units and intervals; its name as text."""
    accuracy, cost, measured, artifact = record.accuracy, record.cost, record.measurement, record.artifact
    lines = [f"<b>{plain(record.case.name)}</b>"]
    if accuracy.top1 is None:
        lines.append("no accuracy known for exactly this variant")
    else:
        interval = (
            f" [{accuracy.top1_low:.1f}, {accuracy.top1_high:.1f}]"
            if accuracy.top1_low is not None and accuracy.top1_high is not None
            else ""
        )
        lines.append(f"top-1 {percent(accuracy.top1)}{interval}, {accuracy.origin}: {plain(accuracy.source or '')}")
    if cost:
        lines.append(f"{giga(2 * cost.mult_adds)} G-Ops, {millions(cost.params)} parameters")
    if measured:
        lines.append(
            f"p50 {latency(measured.p50_ms, measured.p50_ms_low, measured.p50_ms_high)}, {measured.visits} visits"
        )
    if artifact:
        lines.append(megabytes(artifact.size_bytes))
    better = dominators(record, everything)
    if better:
        lines.append(f"dominated by {plain(', '.join(r.case.name for r in better[:3]))}")
    return "<br>".join(lines)
