"""A fleet: one suite measured on several machines, and the run that each of them has."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """One machine of a fleet, and its run."""

    machine: str  # its identity: the same for every process on it, another after it was started anew
    name: str  # as people call it; of one fleet no two are the same
    run: str | None = None  # the name of its folder under results/runs; None: it has none
    error: str | None = None  # None, or why its run is not whole
    usd_per_hour: float | None = None  # what the machine costs, as its owner says


@dataclass(frozen=True, kw_only=True, slots=True)
class Fleet:
    """One command that measured a suite on several machines: the content of `fleet.json`."""

    schema_version: int
    suite: str
    started_at: str  # UTC, ISO 8601
    members: tuple[Member, ...]
    command: str | None = None
    scheduler: str | None = None  # where they were found
    wall_s: float = 0.0  # of all measuring together, resumed ones included
