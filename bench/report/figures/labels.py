"""Where to write names beside points so that none lies on another name or on a point's centre."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

# Widths of characters in font sizes, after DejaVu Sans: the widest of the fonts that a browser is likely to use.
_WIDTHS = {
    **dict.fromkeys(" .,:;'|!/\\()[]ijlI", 0.35), **dict.fromkeys("ftr-", 0.41), **dict.fromkeys("mwMW%@=+<>", 0.9),
    **dict.fromkeys("ABCDEFGHKNOPQRSTUVXYZ&#", 0.73),
}  # fmt: skip
_WIDTH = 0.63  # of any other
_KEY = re.compile(r"^\w+=(?!true$|false$|none$)(?=[a-z])")  # before a value that says what it is
_LINE = 1.25  # height of a line
_CENTRE = 3.0  # what is kept free around a centre dot, px
_BESIDE = 9.0  # so near to its marker a name needs no line, px
_PASSES = 3  # each but the first moves names that found a better place once their neighbours were written
_ON_BUBBLE, _CROSSING, _ON_LINE = 30.0, 45.0, 14.0  # what lying on a bubble, a leader across a name, and lying on an
# interval cost in px of distance
_STEPS = np.linspace(0.15, 0.95, 7)[:, None, None]  # where along a leader it is looked for crossings

Box = tuple[float, float, float, float]
_Boxes = np.ndarray[Any, np.dtype[np.float64]]


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


def place(
    points: Sequence[Point],
    width: float,
    height: float,
    font: float,
    obstacles: Sequence[Box] = (),
    farthest: float = 120.0,
    *,
    soft: Sequence[Box] = (),
    first: Sequence[int] = (),
    beside: Sequence[int] = (),
) -> list[Label | None]:
    """A place for every name, or None where there is none within `farthest` px of its marker, or right beside it.

    Those of the points in `beside` are written right beside their markers or not at all, and after all others.

    Names stay inside the plot area and never overlap each other, a centre or an obstacle; they keep off `soft` boxes,
    other points' bubbles and other names' leaders where they can. Greedy, crowded points first; then every name may
    move once more. Where one of the points in `first` finds no place so, these are placed before all others.
    """
    labels = _placed(points, width, height, font, obstacles, farthest, soft, (), beside)
    if all(labels[i] for i in first):
        return labels
    return _placed(points, width, height, font, obstacles, 3 * farthest, soft, first, beside)


def _placed(
    points: Sequence[Point],
    width: float,
    height: float,
    font: float,
    obstacles: Sequence[Box],
    farthest: float,
    soft: Sequence[Box],
    first: Sequence[int],
    beside: Sequence[int],
) -> list[Label | None]:
    count = len(points)
    if not count:
        return []
    at = np.array([(p.x, p.y) for p in points])
    radii = np.array([[p.radius] for p in points])
    sizes = [(text_width(p.text) * font + 4, _LINE * font) for p in points]
    centres = np.hstack([at - _CENTRE, at + _CENTRE])
    bubbles = np.hstack([at - 0.8 * radii, at + 0.8 * radii])
    forbidden = np.vstack([centres, np.array(obstacles, dtype=float).reshape(-1, 4)])
    lines = np.array(soft, dtype=float).reshape(-1, 4)
    crowding = (np.hypot(*(at[:, None] - at[None]).transpose(2, 0, 1)) < 60).sum(axis=1)
    boxes = np.full((count, 4), np.nan)  # nan: not written, and every comparison with it is false
    labels: list[Label | None] = [None] * count
    for turn in range(_PASSES):
        for i in sorted(range(count), key=lambda i: (i in beside, i not in first, -crowding[i])):
            boxes[i] = np.nan
            distance, tried = _candidates(at[i], radii[i, 0], *sizes[i], _BESIDE if i in beside else farthest)
            inside = (tried[:, 0] >= 0) & (tried[:, 1] >= 0) & (tried[:, 2] <= width) & (tried[:, 3] <= height)
            free = inside & ~_overlaps(tried, forbidden).any(axis=1) & ~_overlaps(tried, boxes).any(axis=1)
            if not free.any():
                labels[i] = None
                continue
            distance, tried = distance[free], tried[free]
            others = np.arange(count) != i
            cost = distance + _ON_BUBBLE * _overlaps(tried, bubbles[others]).sum(axis=1)
            cost += _ON_LINE * np.minimum(_overlaps(tried, lines).sum(axis=1), 2)
            cost += _CROSSING * _leaders(at[i], tried, np.vstack([boxes, centres[others]])).sum(axis=1)
            if turn or np.isfinite(boxes).any():
                cost += _CROSSING * _leaders_of(at, boxes, tried)
            best = int(cost.argmin())
            boxes[i] = tried[best]
            x, y = (tried[best, 0] + tried[best, 2]) / 2, (tried[best, 1] + tried[best, 3]) / 2
            leader = bool(distance[best] > radii[i, 0] + 6)
            labels[i] = Label(points[i].text, float(x - at[i, 0]), float(y - at[i, 1]), leader)
    return labels


def shorter(names: Sequence[str]) -> dict[str, str]:
    """Names without the words that all of them share, beyond the first word: what sets none apart.

    Of a word whose value is a word, the value alone: it says what it is of.

    >>> shorter(["MobileNet alpha=0.5 head=notes", "MobileNetV2 head=notes"])
    {'MobileNet alpha=0.5 head=notes': 'MobileNet alpha=0.5', 'MobileNetV2 head=notes': 'MobileNetV2'}
    >>> list(shorter(["VGG16 runtime=litert int8", "VGG16 runtime=openvino"]).values())
    ['VGG16 litert int8', 'VGG16 openvino']
    """
    words = [name.split(" ") for name in names]
    shared = set.intersection(*(set(rest) for _, *rest in words)) if len(set(names)) > 1 else set()
    return {
        name: " ".join([head, *(_KEY.sub("", word) for word in rest if word not in shared)])
        for name, (head, *rest) in zip(names, words, strict=True)
    }


def text_width(text: str) -> float:
    """How wide a text is about, in font sizes."""
    return sum(_WIDTHS.get(character, _WIDTH) for character in text)


def overlap(a: Box, b: Box) -> bool:
    """Whether two boxes (left, bottom, right, top) share any area."""
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def box_of(label: Label, point: Point, font: float) -> Box:
    """The box in which a label is written."""
    w, h = text_width(label.text) * font + 4, _LINE * font
    x, y = point.x + label.dx, point.y + label.dy
    return x - w / 2, y - h / 2, x + w / 2, y + h / 2


def _candidates(at: _Boxes, radius: float, w: float, h: float, farthest: float) -> tuple[_Boxes, _Boxes]:
    """Distances from the point, (n,), and boxes, (n, 4): beside the marker first, then ever farther out."""
    tries = []
    distance = radius + 3
    while distance < radius + farthest:
        steps = 8 if distance < 24 else 16 if distance < 60 else 24
        tries += [(distance, 2 * math.pi * k / steps) for k in range(steps)]
        distance += 4 if distance < 40 else 9
    places = np.array(tries).reshape(-1, 2)
    x = at[0] + np.cos(places[:, 1]) * (places[:, 0] + w / 2)
    y = at[1] + np.sin(places[:, 1]) * (places[:, 0] + h / 2)
    return places[:, 0], np.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], axis=1)


def _overlaps(a: _Boxes, b: _Boxes) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """(n, m): which of n boxes overlap which of m."""
    overlaps: np.ndarray[Any, np.dtype[np.bool_]] = (
        (a[:, None, 0] < b[None, :, 2]) & (b[None, :, 0] < a[:, None, 2])
        & (a[:, None, 1] < b[None, :, 3]) & (b[None, :, 1] < a[:, None, 3])
    )  # fmt: skip
    return overlaps


def _leaders(at: _Boxes, tried: _Boxes, boxes: _Boxes) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """(n, m): whether the leader from a point to each of n boxes crosses each of m boxes."""
    middles = np.stack([tried[:, [0, 2]].mean(axis=1), tried[:, [1, 3]].mean(axis=1)], axis=1)
    along = at + _STEPS * (middles - at)  # (steps, n, 2)
    return np.asarray(_within(along[:, :, None], boxes[None, None]).any(axis=0))


def _leaders_of(at: _Boxes, boxes: _Boxes, tried: _Boxes) -> np.ndarray[Any, np.dtype[np.int_]]:
    """(n,): how many leaders of the names already written each of n boxes would lie on."""
    middles = np.stack([boxes[:, [0, 2]].mean(axis=1), boxes[:, [1, 3]].mean(axis=1)], axis=1)
    along = at + _STEPS * (middles - at)  # (steps, m, 2)
    crossed: np.ndarray[Any, np.dtype[np.int_]] = _within(along[:, :, None], tried[None, None]).any(axis=0).sum(axis=0)
    return crossed


def _within(points: _Boxes, boxes: _Boxes) -> np.ndarray[Any, np.dtype[np.bool_]]:
    inside: np.ndarray[Any, np.dtype[np.bool_]] = (
        (points[..., 0] > boxes[..., 0]) & (points[..., 0] < boxes[..., 2])
        & (points[..., 1] > boxes[..., 1]) & (points[..., 1] < boxes[..., 3])
    )  # fmt: skip
    return inside
