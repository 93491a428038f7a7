"""Accuracy against the number of training images: whether more photographs or a larger network helps more."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import Any

from bench.analysis import transfer
from bench.analysis.transfer import Learned
from bench.report.families import family, hue, shape
from bench.report.figures.figure import Figure, Subject
from bench.report.figures.frame import Frame, layout, log_axis, plain, with_legend
from bench.units import percent

_DASHES = ("solid", "dash", "dot", "dashdot", "longdash")


def learning_figure(learned: list[Learned], frame: Frame) -> dict[str, Any]:
    """A line for each model: top-1 on all held-out images against the training images of its head, with intervals."""
    data = []
    seen: dict[str, int] = {}
    for one in learned:
        name, of = plain(one.case.name), family(one.case)
        colour, dash = hue(of), _DASHES[seen.get(of, 0) % len(_DASHES)]
        seen[of] = seen.get(of, 0) + 1
        curve = one.transfer.curve
        data.append({
            "type": "scatter", "mode": "lines+markers", "name": name, "meta": "learning",
            "x": [point.images for point in curve], "y": [point.top1 for point in curve],
            "customdata": [one.case.name for _ in curve],
            "text": [
                f"<b>{name}</b><br>{point.images} training images<br>top-1 "
                f"{percent(point.top1)} [{point.top1_low:.1f}, {point.top1_high:.1f}]" for point in curve
            ],
            "hovertemplate": "%{text}<extra></extra>",
            "line": {"color": colour, "dash": dash, "width": 1.6},
            "marker": {"color": colour, "symbol": shape(of), "size": 8},
            "error_y": {
                "type": "data", "symmetric": False, "thickness": 1, "width": 0, "color": colour,
                "array": [point.top1_high - point.top1 for point in curve],
                "arrayminus": [point.top1 - point.top1_low for point in curve],
            },
        })  # fmt: skip
    points = [point for one in learned for point in one.transfer.curve]
    counts = [point.images for point in points]
    low, high = math.log10(min(counts) / 1.15), math.log10(max(counts) * 1.15)
    bottom = 5 * ((min(point.top1_low for point in points) - 2) // 5)
    drawn = layout(
        frame,
        x=log_axis(low, high, frame, "Training images"),
        y={"title": {"text": "Top-1 on the held-out images [%]"}, "range": [max(0.0, bottom), 100.5]},
        showlegend=True,
    )
    return with_legend(data, drawn)


def of_learning(subject: Subject) -> Iterator[Figure]:
    """The learning curves of the run's heads; nothing where none was trained on images of one's own."""
    learned = [one for one in transfer.learned(subject.records) if len(one.transfer.curve) > 1]
    if learned:
        yield Figure(
            id="learning", title="Accuracy against training images", short="Training images",
            question="Would more photographs or another network help more? Each line is one frozen backbone, its head "
            "trained on a part of the training images and judged on all held-out ones, with 95 % intervals. A line "
            "that still rises at its right end asks for more photographs.",
            draw=partial(learning_figure, learned),
            alternative="Lines: top-1 against the number of training images, one a model, with 95 % intervals",
            notes=tuple(transfer.more_images(learned)),
        )  # fmt: skip
