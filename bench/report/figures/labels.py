"""Where to write names beside points so that none lies on another name or on a point's centre."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_CHARACTER = 0.56  # width of a character, in font sizes
_LINE = 1.25  # height of a line
_CENTRE = 3.0  # what is kept free around a centre dot, px
_NEAR = 60.0  # px; so far out, a name looks for a place off all bubbles first
_FARTHEST = 170.0  # px; a name that finds no place nearer is left out


@dataclass(frozen=True, slots=True)
class Point:
    """A point to name: its place in px from the plot's lower left corner, and its marker's radius."""

    text: str
    x: float
    y: float
    radius: float


@dataclass(frozen=True, slots=True)
class Label:
    """A name and the middle of where it is written, as an offset in px from its point (y upwards)."""

    text: str
    dx: float
    dy: float
    leader: bool  # far enough away to need a line to its point


Box = tuple[float, float, float, float]


def place(
    points: Sequence[Point], width: float, height: float, font: float, obstacles: Sequence[Box] = ()
) -> list[Label | None]:
    """A place for every name, or None where there is none.

    Names stay inside the plot area and never overlap each other, a centre or an obstacle; they keep off other points'
    bubbles where they can. Greedy: crowded points first; each takes the nearest free place on a spiral.
    """
    boxes: list[Box] = []
    centres = [(p.x - _CENTRE, p.y - _CENTRE, p.x + _CENTRE, p.y + _CENTRE) for p in points]
    bubbles = [(p.x - p.radius, p.y - p.radius, p.x + p.radius, p.y + p.radius) for p in points]
    crowding = [sum(math.hypot(p.x - q.x, p.y - q.y) < 60 for q in points) for p in points]
    labels: list[Label | None] = [None] * len(points)
    for i in sorted(range(len(points)), key=lambda i: -crowding[i]):
        p = points[i]
        w, h = len(p.text) * _CHARACTER * font + 4, _LINE * font
        others = [bubble for k, bubble in enumerate(bubbles) if k != i]
        spiral = _spiral(p.radius)
        near = [(step, others) for step in spiral if step[0] < p.radius + _NEAR]
        for (distance, angle), avoided in (*near, *((step, []) for step in spiral)):
            x = p.x + math.cos(angle) * (distance + w / 2)
            y = p.y + math.sin(angle) * (distance + h / 2)
            box = (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
            if box[0] < 0 or box[1] < 0 or box[2] > width or box[3] > height:
                continue
            if not any(overlap(box, other) for other in (*boxes, *centres, *obstacles, *avoided)):
                boxes.append(box)
                labels[i] = Label(p.text, x - p.x, y - p.y, leader=distance > p.radius + 6)
                break
    return labels


def overlap(a: Box, b: Box) -> bool:
    """Whether two boxes (left, bottom, right, top) share any area."""
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def box_of(label: Label, point: Point, font: float) -> Box:
    """The box in which a label is written."""
    w, h = len(label.text) * _CHARACTER * font + 4, _LINE * font
    x, y = point.x + label.dx, point.y + label.dy
    return x - w / 2, y - h / 2, x + w / 2, y + h / 2


def _spiral(radius: float) -> list[tuple[float, float]]:
    """Distances and angles to try: beside the marker first, then ever farther out."""
    tries = []
    distance = min(radius, 14.0) + 3
    while distance < _FARTHEST:
        steps = 8 if distance < 24 else 16 if distance < 60 else 24
        tries += [(distance, 2 * math.pi * k / steps) for k in range(steps)]
        distance += 4 if distance < 40 else 9
    return tries
