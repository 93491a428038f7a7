"""What a run shows while it runs: a live table on a terminal, plain lines elsewhere.

Drawn only when something happens, never on a clock: a parent that wakes up takes a core from the child it measures.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from bench.analysis import quantities
from bench.analysis.quantities import Quantity
from bench.cli import tables
from bench.records import Record
from bench.units import duration

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_TELLING = 3  # visits; the interval of fewer says little but that they are few
_FIRST_GUESS_S = {"export": 6.0, "timing": 2.5}  # a step of each phase, until one has been seen


KEPT = ("model", "p50 [95 % interval]", "accuracy", "p95", "file size", "parameters", "operations", "visits")
"""Where there is no room for all columns, the others go first, and then the last of these."""


def headings() -> tuple[str, ...]:
    """The headings of the table of records: the labels of what is shown on a console."""
    return "model", "accuracy", *(_heading(one) for one in quantities.shown("console"))


def row(record: Record) -> tuple[str, ...]:
    """One record as the cells under `headings`."""
    return (
        record.case.name,
        quantities.accuracy_in_words(record),
        *(_cell(record, one) for one in quantities.shown("console")),
    )


def _heading(one: Quantity) -> str:
    return f"{one.label} [95 % interval]" if one.name == "p50" else one.label


def _cell(record: Record, one: Quantity) -> str:
    if one.interval is not None and record.measurement and record.measurement.visits < _TELLING:
        one = replace(one, interval=None)
    return one.text(record) or ""


def _failed(record: Record) -> bool:
    """Whether something failed for a case; one that a run has not come to yet did not."""
    return bool(record.failures)


class _Estimate:
    """How long the rest will take, from the steps seen so far."""

    def __init__(self) -> None:
        self.left: dict[str, int] = {}
        self.taken: dict[str, tuple[float, int]] = {}
        self.current = ""
        self.since = time.monotonic()

    def plan(self, steps: dict[str, int]) -> None:
        self.left |= steps

    def phase(self, name: str) -> None:
        self.current, self.since = name, time.monotonic()
        self.taken[name] = (0.0, 0)

    def end(self) -> None:
        count = self.taken[self.current][1] + 1
        self.taken[self.current] = (time.monotonic() - self.since, count)
        self.left[self.current] = max(0, self.left.get(self.current, 0) - 1)

    @property
    def step(self) -> str:
        """The phase, and which of its steps ended last."""
        done = self.taken[self.current][1]
        return f"{self.current} {done} of {done + self.left.get(self.current, 0)}"

    def __str__(self) -> str:
        seconds = 0.0
        for name, steps in self.left.items():
            spent, count = self.taken.get(name, (0.0, 0))
            seconds += steps * (spent / count if count else _FIRST_GUESS_S.get(name, 1.0))
        steps_left = self.left.get(self.current, 0)
        return f"{self.current}: {steps_left} step{'s' * (steps_left != 1)} left, about {duration(seconds)} in all"


class Lines:
    """A Watch for logs and pipes: one line a finished step, on stderr."""

    def __init__(self) -> None:
        self.estimate = _Estimate()

    def plan(self, steps: dict[str, int]) -> None:
        """Take note of the steps to come."""
        self.estimate.plan(steps)

    def phase(self, name: str) -> None:
        """Begin a phase."""
        self.estimate.phase(name)

    def begin(self, what: str) -> None:
        """Say nothing until the step has ended, but that it waits."""
        if ": waiting: " in what:
            sys.stderr.write(f"{what}\n")
            sys.stderr.flush()

    def end(self, record: Record) -> None:
        """One line for the record."""
        self.estimate.end()
        shown = [record.case.name, quantities.accuracy_in_words(record)]
        shown += [f"{one.label} {cell}" for one in quantities.shown("console") if (cell := _cell(record, one))]
        shown.append(record.error if record.error and _failed(record) else "")
        sys.stderr.write(f"[{self.estimate.step}] {', '.join(filter(None, shown))}   ({self.estimate})\n")
        sys.stderr.flush()


class LiveTable:
    """A Watch for a terminal: finished rows as they come, and what is being done now."""

    def __init__(self, console: Console) -> None:
        from rich.live import Live

        self.estimate = _Estimate()
        self.rows: dict[str, Record] = {}
        self.doing = ""
        self.live = Live(console=console, auto_refresh=False, vertical_overflow="visible")

    def plan(self, steps: dict[str, int]) -> None:
        """Take note of the steps to come."""
        self.estimate.plan(steps)

    def phase(self, name: str) -> None:
        """Begin a phase."""
        self.estimate.phase(name)
        self._draw()

    def begin(self, what: str) -> None:
        """Show what is being done."""
        self.doing = what
        self._draw()

    def end(self, record: Record) -> None:
        """Show the record's row."""
        self.estimate.end()
        self.rows[record.case.name] = record
        self._draw()

    def _draw(self) -> None:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.text import Text

        _, done = self.estimate.taken.get(self.estimate.current, (0.0, 0))
        total = done + self.estimate.left.get(self.estimate.current, 0)
        bar = ProgressBar(total=max(total, 1), completed=done, width=30)
        line = Text(f"{self.doing}  ({self.estimate})", overflow="ellipsis", no_wrap=True)
        self.live.update(Group(table(list(self.rows.values()), self.live.console.width), bar, line), refresh=True)


def table(records: Sequence[Record], room: int) -> Table:
    """The records as a table for a terminal of so many columns: KEPT says which stay."""
    known = headings()
    drop = [name for name in known if name not in KEPT] + [name for name in reversed(KEPT) if name in known]
    styles = ["red" if _failed(record) else None for record in records]
    return tables.draw(known, [row(record) for record in records], room, drop=drop, right=True, styles=styles)


@contextmanager
def watch() -> Iterator[Lines | LiveTable]:
    """The Watch that suits where stderr goes."""
    if not sys.stderr.isatty():
        yield Lines()
        return
    from rich.console import Console

    display = LiveTable(Console(stderr=True))
    with display.live:
        yield display
