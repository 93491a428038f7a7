"""Names beside points on two logarithmic axes, placed so that they lie on nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from bench.records import Record
from bench.report.figures.frame import Frame, plain
from bench.report.figures.labels import Box, Point, place, shorter


class Scales:
    """From values to pixels of the plot area, for two logarithmic axes."""

    def __init__(self, x: dict[str, Any], y: dict[str, Any], frame: Frame) -> None:
        self.x, self.y, self.frame = x["range"], y["range"], frame

    def across(self, value: float) -> float:
        """Pixels from the left."""
        return float((math.log10(value) - self.x[0]) / (self.x[1] - self.x[0]) * self.frame.plot[0])

    def up(self, value: float) -> float:
        """Pixels from the foot."""
        return float((math.log10(value) - self.y[0]) / (self.y[1] - self.y[0]) * self.frame.plot[1])

    def line(self, points: Sequence[tuple[float, float]]) -> list[Box]:
        """Boxes that keep names off a line through many points."""
        return [(self.across(a) - 4, self.up(b) - 3, self.across(a) + 4, self.up(b) + 3) for a, b in points]


def names(
    records: Sequence[Record], x: Sequence[float], y: Sequence[float], scales: Scales, occupied: Sequence[Box] = ()
) -> list[dict[str, Any]]:
    """Plotly's annotations with the records' names; `taken`: boxes in pixels that are kept free."""
    frame = scales.frame
    texts = shorter([r.case.name for r in records])
    points = [
        Point(texts[r.case.name], scales.across(a), scales.up(b), 5.0) for r, a, b in zip(records, x, y, strict=True)
    ]
    labels = place(points, *frame.plot, frame.font, list(occupied))
    return [
        {
            "name": r.case.name, "x": math.log10(a), "y": math.log10(b), "text": plain(label.text),
            "showarrow": True, "arrowhead": 0, "arrowwidth": 0.8, "ax": label.dx, "ay": -label.dy, "standoff": 3,
            "arrowcolor": "#999" if label.leader else "rgba(0,0,0,0)", "borderpad": 0,
        }
        for r, a, b, label in zip(records, x, y, labels, strict=True) if label
    ]  # fmt: skip
