"""Figures on people's own images: what ImageNet said of the networks and what these say, and who is taken for whom."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from bench.analysis import choice
from bench.analysis.quality import TOP1
from bench.models import published
from bench.records import Record, Run
from bench.report.answers import Answers
from bench.report.families import family, hue, in_order
from bench.report.figures.figure import Figure, Subject, is_measured
from bench.report.figures.frame import Frame, layout, plain, with_legend
from bench.report.figures.labels import Point, place, shorter
from bench.suites import backbones
from bench.units import percent

MOST_CLASSES, MOST_NARROW = 30, 14
"""Of a confusion matrix: with more, those that are confused most."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Move:
    """A network on ImageNet and on these images. Ranks from 1; those of equal accuracy are the same."""

    record: Record
    there: float  # published top-1 in percent
    here: float  # measured
    interval: tuple[float, float]
    rank_there: int
    rank_here: int


def moves(run: Run) -> list[Move]:
    """The networks of which both are known, the best here first; published ones are of their weights for ImageNet."""
    known = []
    for record in run.records:
        here, span, there = TOP1.value(record), TOP1.interval(record), _on_imagenet(record)
        if here is not None and span is not None and there is not None and is_measured(record):
            known.append((record, there, here, span))
    return sorted(
        (
            Move(
                record=record, there=there, here=here, interval=span,
                rank_there=1 + sum(other > there for _, other, *_ in known),
                rank_here=1 + sum(other > here for _, _, other, _ in known),
            )
            for record, there, here, span in known
        ),
        key=lambda move: (-move.here, move.record.case.name),
    )  # fmt: skip


def _on_imagenet(record: Record) -> float | None:
    """The published top-1 of the backbone at its native or its own input size, whatever head it has here."""
    case = record.case
    about = backbones().get(case.model)
    if about is None or case.precision != "fp32":
        return None
    sizes = [case.input_shape, (about["native_input"], about["native_input"], 3)]
    asked = replace(case, head="native", classes=1000, weights="imagenet")
    found = [published.lookup(replace(asked, input_shape=size)).top1 for size in sizes if size]
    return next((top1 for top1 in found if top1 is not None), None)


def moves_figure(known: list[Move], frame: Frame) -> dict[str, Any]:
    """Published top-1 across, measured top-1 up, each network with its two ranks."""
    left, right = _span([move.there for move in known], [])
    low, high = _span([move.here for move in known], [end for move in known for end in move.interval])
    width, height = frame.plot
    names = shorter([move.record.case.name for move in known])
    texts = [f"{names[move.record.case.name]} ({move.rank_there} → {move.rank_here})" for move in known]

    def at(move: Move, value: float) -> tuple[float, float]:
        return (move.there - left) / (right - left) * width, (value - low) / (high - low) * height

    points = [Point(text, *at(move, move.here), 5.0) for text, move in zip(texts, known, strict=True)]
    bars = [
        (at(move, move.interval[0])[0] - 3, at(move, move.interval[0])[1], at(move, move.here)[0] + 3,
         at(move, move.interval[1])[1])
        for move in known
    ]  # fmt: skip
    labels = place(points, width, height, frame.font, bars)
    data: list[dict[str, Any]] = []
    for name in in_order({family(move.record.case) for move in known}):
        mine = [move for move in known if family(move.record.case) == name]
        data.append({
            "type": "scatter", "mode": "markers", "name": plain(name), "legendgroup": name, "meta": "moves",
            "x": [move.there for move in mine], "y": [move.here for move in mine],
            "customdata": [move.record.case.name for move in mine],
            "text": [_said(move) for move in mine], "hovertemplate": "%{text}<extra></extra>",
            "marker": {"size": 9, "color": hue(name)},
            "error_y": {
                "type": "data", "symmetric": False, "color": hue(name), "thickness": 1.2, "width": 3,
                "array": [move.interval[1] - move.here for move in mine],
                "arrayminus": [move.here - move.interval[0] for move in mine],
            },
        })  # fmt: skip
    notes = [
        {
            "name": move.record.case.name, "x": move.there, "y": move.here, "text": plain(text),
            "showarrow": True, "arrowhead": 0, "arrowwidth": 0.8, "ax": label.dx, "ay": -label.dy, "standoff": 3,
            "arrowcolor": "#999" if label.leader else "rgba(0,0,0,0)", "borderpad": 0,
        }
        for move, text, label in zip(known, texts, labels, strict=True)
        if label
    ]  # fmt: skip
    drawn = layout(
        frame,
        x={"title": {"text": "Published top-1 on ImageNet [%]"}, "range": [left, right]},
        y={"title": {"text": "Measured top-1 on these images [%]"}, "range": [low, high]},
        annotations=notes,
    )
    return with_legend(data, drawn)


def _span(values: list[float], ends: list[float]) -> tuple[float, float]:
    """The range of an axis that holds all of them."""
    low, high = min([*values, *ends]), max([*values, *ends])
    pad = max(1.0, 0.08 * (high - low))
    return max(0.0, math.floor(low - pad)), high + 1.5 * pad


def _said(move: Move) -> str:
    low, high = move.interval
    return (
        f"<b>{plain(move.record.case.name)}</b><br>"
        f"ImageNet, published: {percent(move.there)}, rank {move.rank_there}<br>"
        f"these images: {percent(move.here)} [{low:.1f}, {high:.1f}], rank {move.rank_here}"
    )


def of_moves(subject: Subject) -> Iterator[Figure]:
    """ImageNet's order against that on these images."""
    known = moves(subject.run)
    if len(known) < 2:
        return
    moved = sum(move.rank_there != move.rank_here for move in known)
    best = min(known, key=lambda move: move.rank_there)
    random = [move for move in known if move.record.case.weights == "none"]
    yield Figure(
        id="moves",
        title="ImageNet's order, and that on these images",
        question=f"Does the network that is best on ImageNet win here, too? {best.record.case.name}, the first there, "
        f"has rank {best.rank_here} here; {moved} of {len(known)} networks change their rank. In brackets: rank there "
        "→ here.",
        draw=partial(moves_figure, known),
        alternative="Accuracy measured on these images against the published one on ImageNet: "
        + "; ".join(f"{m.record.case.name} rank {m.rank_there} there, {m.rank_here} here" for m in known),
        notes=(
            "The published figures are of the weights that Keras ships for ImageNet, measured on its 50,000 validation "
            "images; ranks here that lie within each other's intervals may be chance.",
            *(
                ("These networks did not begin with the weights for ImageNet, so that little of its order is to be "
                 "expected here.",) if random else ()
            ),
        ),
    )  # fmt: skip


def confused(answers: Answers, most: int = MOST_CLASSES) -> tuple[list[str], list[list[int]]]:
    """The classes, and how many images of each (row) were taken for which (column).

    Of more than `most` those that are in most mistakes.
    """
    counts = answers.confusion
    wrong = {each.name: 0 for each in answers.classes}
    for (right, answer), count in counts.items():
        for name in {right, answer} if right != answer else ():
            wrong[name] = wrong.get(name, 0) + count
    kept = set(sorted(wrong, key=lambda name: (-wrong[name], name))[:most])
    names = [name for name in sorted(wrong) if name in kept]
    return names, [[counts[row, column] for column in names] for row in names]


def confusion_figure(answers: Answers, frame: Frame) -> dict[str, Any]:
    """Rows are the right classes, columns the answers; colour is the share of the row's images."""
    wide = frame.width > 600
    names, counts = confused(answers, MOST_CLASSES if wide else MOST_NARROW)
    of = {each.name: each.n for each in answers.classes}
    shares = [[count / max(1, of.get(row, 0)) for count in line] for row, line in zip(names, counts, strict=True)]
    shown = [plain(name if len(name) <= 24 else f"{name[:23]}…") for name in names]
    side = list(range(len(names)))
    longest = max(map(len, shown), default=0)
    written = len(names) <= (20 if wide else MOST_NARROW)
    data = [{
        "type": "heatmap", "z": shares, "x": side, "y": side, "zmin": 0, "zmax": 1, "meta": "confusion",
        "colorscale": [[0, "rgba(0,114,178,0)"], [0.001, "rgba(0,114,178,0.12)"], [1, "rgba(0,114,178,0.95)"]],
        "showscale": False, "xgap": 1, "ygap": 1,
        "text": [[f"{count}" if count and written else "" for count in line] for line in counts],
        "texttemplate": "%{text}",
        "hovertext": [
            [f"{count} of {of.get(row, 0)} images of {plain(row)} taken for {plain(column)}"
             for column, count in zip(names, line, strict=True)]
            for row, line in zip(names, counts, strict=True)
        ],
        "hovertemplate": "%{hovertext}<extra></extra>",
    }]  # fmt: skip
    ticks = {"tickvals": side, "ticktext": shown, "showgrid": False, "showline": False, "ticks": ""}
    margin = int(16 + longest * frame.font * 0.56)
    drawn = layout(
        frame,
        x=ticks | {"title": {"text": "Answer"}, "tickangle": -90, "range": [-0.5, len(names) - 0.5]},
        y=ticks | {"title": {"text": "Right class", "standoff": 8}, "range": [len(names) - 0.5, -0.5]},
    )
    drawn["margin"] |= {"l": margin + 30, "b": margin + 40}
    room = frame.width - drawn["margin"]["l"] - drawn["margin"]["r"]
    plot = min(room, 60 + 34 * len(names)) if wide else room
    drawn["width"] = plot + drawn["margin"]["l"] + drawn["margin"]["r"] if not wide else frame.width
    drawn["height"] = plot + drawn["margin"]["t"] + drawn["margin"]["b"]
    if wide:
        drawn["margin"]["r"] = frame.width - drawn["margin"]["l"] - plot
    return {"data": data, "layout": drawn}


def of_confusion(subject: Subject) -> Iterator[Figure]:
    """Who is taken for whom by the chosen network."""
    name = chosen(subject.run, subject.answers)
    if name is None:
        return
    answers = subject.answers[name]
    pairs = [(pair, count) for pair, count in answers.confusion.most_common() if pair[0] != pair[1]]
    if not pairs:
        return
    of = {each.name: each.n for each in answers.classes}
    (right, answer), count = pairs[0]
    worst = f"Most often: {count} of {of.get(right, 0)} images of {right} are taken for {answer}."
    count_of = len(answers.classes)
    more = f" Of the {count_of} classes, those that are confused most." if count_of > MOST_NARROW else ""
    yield Figure(
        id="confusion",
        title=f"What {name} takes for what",
        question="Which classes does the chosen network confuse? Each row holds the images of one class."
        f"{more} {worst}",
        draw=partial(confusion_figure, answers),
        alternative="Images of each class by the answer they got; "
        + "; ".join(f"{count} of {right} taken for {answer}" for (right, answer), count in pairs[:10]),
        short="Confusion",
        notes=("Chosen: the fastest of those whose accuracy cannot be told from the best one's. A whole row that is "
               "taken for another class may be a folder with the wrong name.",),
    )  # fmt: skip


def chosen(run: Run, answers: dict[str, Answers]) -> str | None:
    """The network that `pick` chooses of those whose answers are known, where time is no matter; None: of none."""
    judged = replace(run, records=tuple(record for record in run.records if record.case.name in answers))
    winner = choice.pick(judged, {"p50": 1e12}).winner
    return winner.case if winner else None
