"""A run under way, and what a phase of it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench import runtimes, store
from bench.pipeline.place import Here, Place
from bench.pipeline.watch import Watch
from bench.records import INTERRUPTED, PlannedCase, Record, Run


class Work:
    """What is known of each case so far; on disk after every change that matters."""

    def __init__(self, begun: Run, folder: Path, watch: Watch, place: Place | None = None) -> None:
        self.begun = begun
        self.folder = folder
        self.watch = watch
        self.place = place or Here()
        self.records = {record.case.name: record for record in begun.records}
        self.phases_s = dict(begun.phases_s)
        self.weights: dict[str, str] = {}  # path of the weights trained here, by the case's name
        self.heads: dict[str, Path] = {}  # the file of the head trained here on a frozen backbone, likewise
        self.paths: dict[str, Path] = {}  # the file to time, by the case's name

    def stored(self) -> Run:
        """The run as it is now, written to its folder."""
        current = replace(self.begun, records=tuple(self.records.values()), phases_s=self.phases_s)
        store.write(self.folder, current)
        return current

    def set(self, case: PlannedCase, /, **changes: Any) -> None:
        """Change fields of a case's record; `error` follows from the rest."""
        record = replace(self.records[case.name], **changes)
        error = "; ".join(record.failures.values()) or (None if record.measurement else INTERRUPTED)
        self.records[case.name] = replace(record, error=error)

    def fail(self, case: PlannedCase, phase: str, reason: str) -> None:
        """A phase failed for a case; what others brought stays."""
        self.set(case, failures=self.records[case.name].failures | {phase: reason})

    def try_again(self, case: PlannedCase, phase: str) -> None:
        """A phase begins for a case: how it failed before, in a run taken up again, is no longer true."""
        self.set(case, failures={k: v for k, v in self.records[case.name].failures.items() if k != phase})

    @contextmanager
    def timed(self, phase: str) -> Iterator[None]:
        """Add the time that this takes to the phase's, and store the run at its end, whatever that is."""
        start, before = time.monotonic(), self.phases_s.get(phase, 0.0)
        try:
            yield
        finally:
            self.phases_s[phase] = round(before + time.monotonic() - start, 1)
            self.stored()

    def able(self) -> list[Record]:
        """The records of the cases whose runtime is installed; the others' errors say what to install."""
        for record in self.records.values():
            if self.place.installed(record.case.runtime) is None:
                self.fail(record.case, "timing", runtimes.missing(record.case.runtime))
        return [record for record in self.records.values() if self.place.installed(record.case.runtime)]

    def with_file(self) -> list[Record]:
        """The records of the cases that have a file to time."""
        return [self.records[name] for name in self.paths]


@dataclass(frozen=True, slots=True)
class Phase:
    """One phase of a run."""

    name: str  # as people and `Run.phases_s` call it
    wanted: Callable[[Work], Sequence[PlannedCase]]  # those it has something to do for; without one it is left out
    do: Callable[[Work, Sequence[PlannedCase]], None]
