"""Rounds: one visit to every case, in a shuffled order, again and again over the run's time.

The speed of a shared machine shifts for seconds at a time. Visits of one case that are spread over the whole run see
those shifts; a single long visit would not.
"""

from __future__ import annotations

import math
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import runtimes
from bench.analysis import summary
from bench.errors import BenchError
from bench.export.own import fed
from bench.machine import cgroups, lock, neighbours, quiet
from bench.processes import process
from bench.records import Health, PlannedCase, Settings, Visit
from bench.timing import pace

STOLEN_SHARE = 0.01  # of the visit's time; also of the time that the container's limit holds back
OTHERS_SHARE = quiet.BUSY_SHARE  # of the cores given
REPEATS = 2  # further visits to a case for its disturbed ones, at most


@dataclass(frozen=True, slots=True)
class Target:
    """A case and the file to time for it."""

    case: PlannedCase
    path: Path
    inject: float = 0.0  # a slow-down to inject, a share of each call: the harness's test of itself


@dataclass(frozen=True, slots=True)
class VisitStarted:
    """A visit begins."""

    case: str
    round: int


@dataclass(frozen=True, slots=True)
class VisitWaits:
    """A visit waits for others to leave the cores alone, and who they are."""

    case: str
    round: int
    message: str


@dataclass(frozen=True, slots=True)
class VisitFailed:
    """A visit failed, and why. The case is not visited again."""

    case: str
    round: int
    message: str


Event = VisitStarted | VisitWaits | Visit | VisitFailed


Launch = Callable[[Target, int, Settings], Visit]
"""Has a target visited, in the round of that number: here by `one`. Raises BenchError when the visit fails; with
another exception, as of a machine that is gone, the visits end."""


def visits(
    targets: Sequence[Target], settings: Settings, *, done: Sequence[Visit] = (), launch: Launch | None = None
) -> Iterator[Event]:
    """Visit every target once a round, skipping the visits that `done` already holds. `launch` is who makes a visit.

    A disturbed visit is marked, kept, and followed by another one at the end of the run, at most `REPEATS` a case.
    With a budget, the time that is left goes to the cases with the widest intervals, until all are as narrow as
    `settings.target_width`. The first round is always whole, whatever the budget: a case without a single visit would
    be a hole in the run. Visits to one case begin `settings.spacing_s` apart or more. With `settings.patience_s`, each
    waits, within so much time in all, for a moment in which others leave the cores alone. Only one process on a machine
    measures at a time; the parent sleeps while a worker measures. Whoever `launch` asks sees to both on its machine.
    """
    with nullcontext() if launch else lock.measuring():
        plan = _Plan(targets, settings, done)
        patience = quiet.Patience(0.0 if launch else settings.patience_s)
        while (chosen := plan.next()) is not None:
            target, number = chosen
            yield VisitStarted(target.case.name, number)
            time.sleep(plan.wait_s(target))
            for words in patience.waits():
                yield VisitWaits(target.case.name, number, words)
            try:
                visit = (launch or one)(target, number, settings)
            except BenchError as error:
                plan.failed.add(target.case.name)
                yield VisitFailed(target.case.name, number, str(error))
                continue
            plan.add(visit)
            yield visit


def one(target: Target, number: int, settings: Settings) -> Visit:
    """One visit. Raises Failed when the worker reports an error, dies or takes far longer than it should, and
    WrongUsage for a shape that does not fit."""
    started_at, begun, before = now(), time.monotonic(), neighbours.snapshot()
    spec = specification(target.case, target.path, settings, inject=target.inject)
    result = process.visit(spec, timeout_s=timeout_s(settings))
    others = neighbours.busiest(before, neighbours.snapshot(), time.monotonic() - begun)
    return as_visit(result, target.case.name, number, started_at, others)


def now() -> str:
    """The present time in UTC, ISO 8601 to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def timeout_s(settings: Settings) -> float:
    """How long a visit may take before its worker is taken for stuck: generous, for loading a huge model takes long."""
    return 300 + 20 * (settings.min_time_s + settings.warmup_s)


def specification(case: PlannedCase, path: Path, settings: Settings, **changes: Any) -> dict[str, Any]:
    """What the worker process is told."""
    return {
        "path": str(path),
        "runtime": str(runtimes.file(case.runtime)),
        "provider": case.provider,
        "threads": case.threads,
        "precision": case.precision,
        "batch_size": case.batch_size,
        "shapes": fed(path, case),
        "seed": settings.seed,
        "warmup_s": settings.warmup_s,
        "min_time_s": settings.min_time_s,
        "min_count": settings.min_count,
        "inject": 0.0,
        "pace": pace.chain(),
        "cpu_stats": [str(path) for path in cgroups.cpu_stats()],
    } | changes


def as_visit(result: dict[str, Any], case: str, number: int, started_at: str, others: Sequence[str] = ()) -> Visit:
    """A worker's result as a Visit, with the marks of what disturbed it. `others`: the busiest other programs."""
    health = Health(**result["health"])
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
        runtime=result["runtime"],
        threads=result["threads"],
        provider_nodes=result["provider_nodes"],
        precisions=result["precisions"],
        health=health,
        meters=result.get("meters", {}),
        disturbances=tuple(disturbances(health, result["sampling_ns"] / 1e6, others)),
    )


def disturbances(health: Health, sampling_ms: float, others: Sequence[str] = ()) -> list[str]:
    """Why a visit is marked as disturbed, in words; empty when it is not. `sampling_ms` is the time of its samples.

    A slow pace shows only beside other visits: `summary.paced`.
    """
    reasons = []
    # Both counters tick every 10 ms: a single tick is no evidence.
    allowed_ms = max(STOLEN_SHARE * sampling_ms, 15.0)
    if health.stolen_ms is not None and health.stolen_ms > allowed_ms:
        reasons.append(f"the host took {100 * health.stolen_ms / sampling_ms:.0f} % of the time away")
    if health.throttled_ms is not None and health.throttled_ms > allowed_ms:
        reasons.append(
            f"the container's limit held it back for {100 * health.throttled_ms / sampling_ms:.0f} % of the time"
        )
    if health.others_cpu_share is not None and health.others_cpu_share > OTHERS_SHARE:
        names = f" (most of it: {', '.join(others)})" if others else ""
        reasons.append(f"other processes used {100 * health.others_cpu_share:.0f} % of the cores{names}")
    return reasons


class _Plan:
    """Which visit comes next."""

    def __init__(self, targets: Sequence[Target], settings: Settings, done: Sequence[Visit]) -> None:
        self.targets = list(targets)
        self.settings = settings
        self.start = time.monotonic()
        self.failed: set[str] = set()
        self.begun: dict[str, float] = {}  # when the last visit to a case began
        self.taken: dict[str, list[Visit]] = defaultdict(list)
        self.rounds: set[tuple[str, int]] = set()
        self.widths: dict[tuple[str, tuple[bool, ...]], float] = {}  # by case and which of its visits were disturbed
        for visit in done:
            self.add(visit)

    def add(self, visit: Visit) -> None:
        self.taken[visit.case].append(visit)
        self.rounds.add((visit.case, visit.round))

    def wait_s(self, target: Target) -> float:
        """How long the visit that begins next has to wait, so that visits to one case see more than one moment."""
        now, name = time.monotonic(), target.case.name
        due = max(now, self.begun.get(name, -math.inf) + self.settings.spacing_s)
        self.begun[name] = due
        return due - now

    def next(self) -> tuple[Target, int] | None:
        """The next target and its round, or None when the run is over."""
        budget_s = self.settings.budget_s
        spent = budget_s is not None and time.monotonic() - self.start >= budget_s
        for number in range(1 if spent else self.settings.rounds):
            for target in self._shuffled(number):
                if self._open(target, number):
                    return target, number
        if spent:
            return None
        disturbed = Counter(v.case for v in summary.paced(self._everything()) if v.disturbances)
        for extra in range(REPEATS):
            number = self.settings.rounds + extra
            for target in self._shuffled(number):
                if disturbed[target.case.name] > extra and self._open(target, number):
                    return target, number
        return self._widest() if budget_s is not None else None

    def _widest(self) -> tuple[Target, int] | None:
        """The case with the widest interval, while one is wider than the target."""

        visits_of = summary.by_case(self._everything())  # those at a slow pace marked, as in the result

        def width(target: Target) -> float:
            visits = visits_of.get(target.case.name, [])
            key = target.case.name, tuple(bool(visit.disturbances) for visit in visits)
            if key not in self.widths:
                self.widths[key] = summary.width(visits, seed=self.settings.seed)
            return self.widths[key]

        alive = [target for target in self.targets if target.case.name not in self.failed]
        widest = max(alive, key=width, default=None)
        if widest is None or width(widest) <= self.settings.target_width:
            return None
        last = max(visit.round for visit in self.taken[widest.case.name])
        return widest, max(last + 1, self.settings.rounds + REPEATS)

    def _everything(self) -> list[Visit]:
        return [visit for visits in self.taken.values() for visit in visits]

    def _open(self, target: Target, number: int) -> bool:
        name = target.case.name
        return name not in self.failed and (name, number) not in self.rounds

    def _shuffled(self, number: int) -> list[Target]:
        order = list(self.targets)
        random.Random(f"{self.settings.seed}-{number}").shuffle(order)
        return order
