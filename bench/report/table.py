"""The table of a run: Keras's own "available models" table, with this machine's times."""

from __future__ import annotations

from dataclasses import dataclass

from bench.analysis import quality, quantities
from bench.analysis.quality import Quality
from bench.analysis.quantities import Quantity
from bench.records import Record
from bench.report.families import family


@dataclass(frozen=True, slots=True)
class Cell:
    """What a cell shows, and what it is sorted by (None sorts last)."""

    text: str
    value: float | str | None = None
    title: str = ""
    grey: bool = False  # measured, but without the interval that it should have


def headings(metric: Quality) -> tuple[str, ...]:
    """The headings of a run's table; which accuracy it shows depends on what its models do."""
    return "Model", "Family", *(one.title for one in quantities.shown("page", metric))


def rows(records: list[Record]) -> list[list[Cell]]:
    """A row a record, under the headings."""
    shown = quantities.shown("page", quality.of(records))
    return [_row(record, shown) for record in records]


def _row(record: Record, shown: list[Quantity]) -> list[Cell]:
    name, of_family = record.case.name, family(record.case)
    return [Cell(name, name.lower()), Cell(of_family, of_family.lower()), *(_cell(record, one) for one in shown)]


def _cell(record: Record, one: Quantity) -> Cell:
    text, value = one.text(record), one.read(record)
    if one.name == "p50" and value is None:
        return Cell("not measured", None, record.error or "")
    if text is None or value is None:
        return Cell(text or "–", None)
    return Cell(text, value, _title(record, one, value), grey=one.unsure(record))


def _title(record: Record, one: Quantity, value: float) -> str:
    """What pointing at a cell says: where an accuracy comes from, and a count in full."""
    if one.metric is not None:
        accuracy = record.accuracy
        return f"{accuracy.origin}: {accuracy.source}" if accuracy.source else accuracy.origin
    if one.unsure(record):
        return "without an interval: too few visits or samples for one"
    if one.unit == "operations":
        return f"{int(value) // 2:,} mult-adds"
    return f"{int(value):,}" if one.unit == "count" else ""
