"""What a figure of a page is, and what it is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bench.analysis import quality
from bench.records import Comparison, Record, Run, Visit
from bench.report.answers import Answers
from bench.report.figures.frame import FRAMES, Frame

TABLE = "every number in it is in the table of all models"


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """What figures are drawn of."""

    run: Run
    visits: tuple[Visit, ...] = ()  # with their raw samples; () where they are not known
    comparison: Comparison | None = None  # of the run with another one
    earlier: tuple[Run, ...] = ()  # of this suite on this machine
    answers: dict[str, Answers] = field(default_factory=dict)  # of the networks that were judged on images, by case

    @property
    def records(self) -> list[Record]:
        """The run's records."""
        return list(self.run.records)


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """A figure of a page, not yet drawn."""

    id: str
    title: str
    question: str
    draw: Callable[[Frame], dict[str, Any]]
    alternative: str  # what the figure shows, for those who do not see it
    notes: tuple[str, ...] = ()
    short: str = ""  # its name in the table of contents, where the title is long
    other: tuple[str, Callable[[Frame], dict[str, Any]]] | None = None  # another way to draw it, behind a button

    def drawn(self) -> dict[str, Any]:
        """For each frame the figure as Plotly's JSON, and under "other" the same for the other way to draw it."""
        return _in_frames(self.draw) | ({"other": _in_frames(self.other[1])} if self.other else {})


def _in_frames(draw: Callable[[Frame], dict[str, Any]]) -> dict[str, Any]:
    """A figure in every frame; what a frame shares with the first one is left out of it."""
    first, *others = [draw(frame) for frame in FRAMES]
    return {FRAMES[0].name: first} | {
        frame.name: {"layout": other["layout"], "data": _differences(first["data"], other["data"])}
        for frame, other in zip(FRAMES[1:], others, strict=True)
    }


def is_measured(record: Record) -> bool:
    """Whether its accuracy was measured here; a published one never counts as such."""
    return record.accuracy.origin == "measured"


def origin_notes(records: list[Record]) -> tuple[str, ...]:
    """Where the accuracies of a figure come from."""
    metric = quality.of(records)
    unknown = [r.case.name for r in records if metric.value(r) is None]
    notes = []
    if any(map(is_measured, records)):
        notes.append("Rings with a vertical interval: accuracy measured here. Dots: published.")
    if unknown:
        notes.append(f"Hollow bubbles at the foot of the axis: no accuracy is known for exactly {', '.join(unknown)}.")
    return tuple(notes)


def _differences(first: list[dict[str, Any]], other: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of each trace what is not the same in the other list; everything where the two lists do not match."""
    if len(first) != len(other):
        return other
    return [{k: v for k, v in b.items() if k not in a or a[k] != v} for a, b in zip(first, other, strict=True)]
