"""Who is told of a run's progress."""

from __future__ import annotations

from typing import Protocol

from bench.records import Record


class Watch(Protocol):
    """Told what is happening, as it happens. Does nothing but show it."""

    def plan(self, steps: dict[str, int]) -> None:
        """The phases to come, in order, with their numbers of steps; called again when more is known."""

    def phase(self, name: str) -> None:
        """A phase begins."""

    def begin(self, what: str) -> None:
        """A step begins."""

    def end(self, record: Record) -> None:
        """A step has ended, and this record is new or has changed."""


class Silent:
    """A Watch that shows nothing."""

    def plan(self, steps: dict[str, int]) -> None:
        """Show nothing."""

    def phase(self, name: str) -> None:
        """Show nothing."""

    def begin(self, what: str) -> None:
        """Show nothing."""

    def end(self, record: Record) -> None:
        """Show nothing."""
