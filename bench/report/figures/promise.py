"""What a width or resolution multiplier promises in operations against what it keeps in time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from bench.report import mobilenet
from bench.report.figures.figure import Figure, Subject
from bench.report.figures.frame import Frame, layout, log_axis, plain
from bench.report.figures.labels import Point, place
from bench.report.mobilenet import Promise

_LOOKS = {  # multiplier -> name, colour, marker
    "alpha": ("width alpha alone", "#0072B2", "circle"),
    "rho": ("resolution rho alone", "#D55E00", "square"),
    "both": ("both", "#009E73", "diamond"),
}


def promise_figure(promises: Sequence[Promise], frame: Frame) -> dict[str, Any]:
    """Speed-up measured against speed-up promised, both over the full model; on the line, the promise is kept."""
    everything = [value for p in promises for value in (p.promised, p.measured_low, p.measured_high)]
    low, high = min([1.0, *everything]), max([2.0, *everything])
    ends = [math.log10(low) - 0.05, math.log10(high) + 0.1]
    axis = log_axis(ends[0], ends[1], frame, "")
    width, height = frame.plot
    scale = (ends[1] - ends[0]) or 1.0

    def to_px(value: float, length: float) -> float:
        return (math.log10(value) - ends[0]) / scale * length

    points = [Point(_short(p), to_px(p.promised, width), to_px(p.measured, height), 5.0) for p in promises]
    bars = [
        (point.x - 3, to_px(p.measured_low, height), point.x + 3, to_px(p.measured_high, height))
        for p, point in zip(promises, points, strict=True)
    ]
    names = place(points, width, height, frame.font, bars)
    data: list[dict[str, Any]] = [
        {
            "type": "scatter", "mode": "lines", "name": "promise kept", "hoverinfo": "skip", "meta": "kept",
            "x": [10**ends[0], 10**ends[1]], "y": [10**ends[0], 10**ends[1]],
            "line": {"dash": "dot", "color": "#888", "width": 1.5},
        }
    ]  # fmt: skip
    for multiplier, (name, colour, symbol) in _LOOKS.items():
        mine = [p for p in promises if p.multiplier == multiplier]
        data.append({
            "type": "scatter", "mode": "markers", "name": name, "meta": "promises",
            "x": [p.promised for p in mine], "y": [p.measured for p in mine],
            "customdata": [p.case for p in mine],
            "text": [_hover(p) for p in mine], "hovertemplate": "%{text}<extra></extra>",
            "marker": {"size": 9, "color": colour, "symbol": symbol},
            "error_y": {
                "type": "data", "symmetric": False, "color": colour, "thickness": 1.2, "width": 3,
                "array": [p.measured_high - p.measured for p in mine],
                "arrayminus": [p.measured - p.measured_low for p in mine],
            },
        })  # fmt: skip
    notes = [
        {
            "name": p.case, "x": math.log10(p.promised), "y": math.log10(p.measured), "text": plain(_short(p)),
            "showarrow": True, "arrowhead": 0, "arrowwidth": 0.8,
            "arrowcolor": "#999" if label.leader else "rgba(0,0,0,0)",
            "ax": label.dx, "ay": -label.dy, "standoff": 3, "borderpad": 0,
        }
        for p, label in zip(promises, names, strict=True)
        if label
    ]  # fmt: skip
    drawn = layout(
        frame,
        x=axis | {"title": {"text": "Promised: times fewer mult-adds"}},
        y=axis | {"title": {"text": "Measured: times faster (p50)"}},
        annotations=notes,
    )
    return {"data": data, "layout": drawn}


def _short(promise: Promise) -> str:
    return promise.case.removeprefix(promise.model).strip() or promise.case


def _hover(p: Promise) -> str:
    return (
        f"<b>{plain(p.case)}</b><br>{p.promised:.2f} x fewer mult-adds<br>"
        f"{p.measured:.2f} x faster [{p.measured_low:.2f}, {p.measured_high:.2f}]<br>"
        f"keeps {100 * p.measured / p.promised:.0f} % of its promise"
    )


def of_promises(subject: Subject) -> Iterator[Figure]:
    """What the two multipliers promise and keep."""
    promises = mobilenet.promises(subject.run)
    if not promises:
        return
    worst = min(promises, key=lambda p: p.measured / p.promised)
    yield Figure(
        id="promise",
        title="What the multipliers promise, and what they keep",
        question="A smaller width alpha or resolution rho saves operations; does it save as much time? On the dotted "
        f"line it does. Below it, time is lost to what operations do not count. {worst.case} keeps least: "
        f"{worst.promised:.2f} times fewer mult-adds, {worst.measured:.2f} times faster.",
        draw=partial(promise_figure, promises),
        alternative="Speed-up measured against speed-up promised by counting operations",
    )
