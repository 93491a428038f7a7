"""Rounds: one visit to every case, in a shuffled order, again and again over the run's time.

The speed of a shared machine shifts for seconds at a time. Visits of one case that are spread over the whole run see
those shifts; a single long visit would not.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.errors import Failed
from bench.records import Case, Health, Settings, Visit
from bench.timing import machine, process

STOLEN_SHARE = 0.01  # of the visit's time
OTHERS_SHARE = 0.10  # of the cores given
REPEATS = 2  # further visits to a case for its disturbed ones, at most


@dataclass(frozen=True, slots=True)
class Target:
    """A case and the file to time for it."""

    case: Case
    path: Path


@dataclass(frozen=True, slots=True)
class VisitStarted:
    """A visit begins."""

    case: str
    round: int


@dataclass(frozen=True, slots=True)
class VisitFailed:
    """A visit failed, and why. The case is not visited again."""

    case: str
    round: int
    message: str


def visits(
    targets: Sequence[Target], settings: Settings, *, done: Sequence[Visit] = ()
) -> Iterator[VisitStarted | Visit | VisitFailed]:
    """Visit every target once a round, skipping the visits that `done` already holds.

    A disturbed visit is marked, kept, and followed by another one at the end of the run, at most `REPEATS` a case.
    Ends early when the settings' budget is spent. Only one process on a machine measures at a time.
    """
    with machine.measuring():
        start = time.monotonic()
        had = {(visit.case, visit.round) for visit in done}
        disturbed = Counter(visit.case for visit in done if visit.disturbances)
        failed: set[str] = set()

        def spent() -> bool:
            return settings.budget_s is not None and time.monotonic() - start >= settings.budget_s

        def attend(target: Target, number: int) -> Iterator[VisitStarted | Visit | VisitFailed]:
            yield VisitStarted(target.case.name, number)
            try:
                visit = _visit(target, number, settings)
            except Failed as error:
                failed.add(target.case.name)
                yield VisitFailed(target.case.name, number, str(error))
                return
            disturbed[target.case.name] += bool(visit.disturbances)
            yield visit

        for number in range(settings.rounds):
            for target in _shuffled(targets, settings.seed, number):
                name = target.case.name
                if (name, number) not in had and name not in failed and not spent():
                    yield from attend(target, number)
        for extra in range(REPEATS):
            number = settings.rounds + extra
            again = [t for t in targets if disturbed[t.case.name] > extra and t.case.name not in failed]
            for target in _shuffled(again, settings.seed, number):
                if (target.case.name, number) not in had and not spent():
                    yield from attend(target, number)


def specification(target: Target, settings: Settings, **changes: Any) -> dict[str, Any]:
    """What the worker process is told."""
    case = target.case
    return {
        "path": str(target.path),
        "provider": case.provider,
        "threads": case.threads,
        "batch_size": case.batch_size,
        "dimensions": case.dimensions,
        "seed": settings.seed,
        "warmup_s": settings.warmup_s,
        "min_time_s": settings.min_time_s,
        "min_count": settings.min_count,
        "cores": machine.cores_given(),
        "inject": 0.0,
    } | changes


def as_visit(result: dict[str, Any], case: str, number: int, started_at: str) -> Visit:
    """A worker's result as a Visit, with the marks of what disturbed it."""
    health = Health(**result["health"])
    wall_ms = sum(result["samples_ns"]) / 1e6
    return Visit(
        case=case,
        round=number,
        started_at=started_at,
        samples_ns=tuple(result["samples_ns"]),
        copy_samples_ns=tuple(result["copy_samples_ns"]),
        warmup_ns=tuple(result["warmup_ns"]),
        warmed_up=result["warmed_up"],
        load_ms=result["load_ms"],
        first_inference_ms=result["first_inference_ms"],
        peak_rss_bytes=result["peak_rss_bytes"],
        provider=result["provider"],
        health=health,
        disturbances=tuple(disturbances(health, wall_ms)),
    )


def disturbances(health: Health, wall_ms: float) -> list[str]:
    """Why a visit is marked as disturbed, in words; empty when it is not."""
    found = []
    if health.stolen_ms is not None and health.stolen_ms > STOLEN_SHARE * wall_ms:
        found.append(f"the host took {100 * health.stolen_ms / wall_ms:.0f} % of the time away")
    if health.others_cpu_share is not None and health.others_cpu_share > OTHERS_SHARE:
        found.append(f"other processes used {100 * health.others_cpu_share:.0f} % of the cores")
    return found


def _visit(target: Target, number: int, settings: Settings) -> Visit:
    started_at = datetime.now(UTC).isoformat(timespec="milliseconds")
    return as_visit(process.visit(specification(target, settings)), target.case.name, number, started_at)


def _shuffled(targets: Sequence[Target], seed: int, number: int) -> list[Target]:
    order = list(targets)
    random.Random(f"{seed}-{number}").shuffle(order)
    return order
