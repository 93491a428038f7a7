"""This harness put to the test on this machine: one file against itself, and against itself slowed by a known share.

Both ways of comparing are tried: both files side by side (`ab`, `compare`), and the stored figures of two runs
(`compare --stored`). A run holds every slow-down as a case of its own beside as many cases without one, so that its
visits are spread over its time as a suite's are; the verdicts of one pair of runs share that time's weather, and count
as single tries all the same.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from bench import runtimes
from bench.analysis import comparison, statistics
from bench.analysis.summary import by_case, summarise
from bench.errors import Failed
from bench.machine import facts
from bench.records import SCHEMA_VERSION, PlannedCase, Record, Run, Settings, Verdict, Visit
from bench.runtimes.device import DEFAULT
from bench.timing.schedule import Target, VisitFailed, now, visits
from bench.trust import ab, contest

SLOWDOWNS = (0.01, 0.02, 0.03, 0.05, 0.10)
MINUTES = 30.0
ROUNDS = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """One comparison whose truth is known."""

    method: str  # "ab" or "stored figures"
    injected: float  # the true slow-down of B, a share; 0: nothing differs
    verdict: str
    seconds: float  # of measuring; for "stored figures", the two runs' time over their cases


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """All attempts of one method with one slow-down. `rate` is of false alarms without one, of detection with one."""

    method: str
    injected: float
    tries: int
    verdicts: dict[str, int]
    rate: float
    rate_low: float  # 95 % interval (Wilson)
    rate_high: float
    seconds: float  # median


def attempts(path: Path, setup: ab.Setup, *, minutes: float, margin: float, budget_s: float) -> Iterator[Attempt]:
    """Compare by both methods in turn, whichever has had less time, until the time is over; each at least once.

    Raises Failed when a visit fails.
    """
    end = time.monotonic() + 60 * minutes
    taken = {"ab": 0.0, "stored figures": 0.0}
    ways: dict[str, Iterator[list[Attempt]]] = {
        "ab": _trials(path, setup, margin, budget_s),
        "stored figures": _comparisons(path, setup, margin),
    }
    while time.monotonic() < end or not all(taken.values()):
        method = min(taken, key=lambda name: taken[name])
        begun = time.monotonic()
        yield from next(ways[method])
        taken[method] += time.monotonic() - begun


def summary(attempts: Sequence[Attempt]) -> list[Row]:
    """The attempts by method and slow-down."""
    rows = []
    for method, injected in sorted({(a.method, a.injected) for a in attempts}):
        of_kind = [a for a in attempts if (a.method, a.injected) == (method, injected)]
        verdicts = {v: sum(a.verdict == v for a in of_kind) for v in ("slower", "faster", "equivalent", "inconclusive")}
        hits = verdicts["slower"] + (0 if injected else verdicts["faster"])
        low, high = statistics.wilson(hits, len(of_kind))
        rows.append(
            Row(
                method=method, injected=injected, tries=len(of_kind), verdicts=verdicts, rate=hits / len(of_kind),
                rate_low=low, rate_high=high, seconds=median(a.seconds for a in of_kind),
            )
        )  # fmt: skip
    return rows


def _trials(path: Path, setup: ab.Setup, margin: float, budget_s: float) -> Iterator[list[Attempt]]:
    """`ab` without a slow-down and with one, in turn."""
    number = 0
    while True:
        for slowdown in SLOWDOWNS:
            for injected in (0.0, slowdown):
                number += 1
                trial = contest.measure(
                    ab.Side(path), ab.Side(path, inject=injected), replace(setup, seed=number), budget_s=budget_s,
                    margin=margin,
                )  # fmt: skip
                verdict = trial.judgement.verdict
                yield [Attempt(method="ab", injected=injected, verdict=verdict, seconds=trial.seconds)]


def _comparisons(path: Path, setup: ab.Setup, margin: float) -> Iterator[list[Attempt]]:
    """`compare --stored` of two runs, the second with every slow-down and as many cases without one."""
    slowdowns = {f"{share:.0%} slower": share for share in SLOWDOWNS} | {f"same {i}": 0.0 for i in range(5)}
    number = 0
    while True:
        begun = time.monotonic()
        runs = []
        for second in (0, 1):
            targets = [target(name, path, setup, second * share) for name, share in slowdowns.items()]
            runs.append(run(targets, setup, number := number + 1)[0])
        seconds = round((time.monotonic() - begun) / len(slowdowns), 1)
        verdicts = comparison.compare(*runs, margin=margin).verdicts
        yield [
            Attempt(method="stored figures", injected=slowdowns[v.case], verdict=_direction(v), seconds=seconds)
            for v in verdicts
        ]


def _direction(verdict: Verdict) -> str:
    """What a suspect is suspected of: measuring both files anew is what `ab` is tried for."""
    if verdict.verdict != "suspect":
        return verdict.verdict
    return "slower" if (verdict.ratio or 0.0) > 1 else "faster"


def run(
    targets: Sequence[Target], setup: ab.Setup, seed: int, budget_s: float | None = None
) -> tuple[Run, dict[str, list[Visit]]]:
    """A run as `bench run` measures it, and its visits by case. Raises Failed when a visit fails."""
    from bench.pipeline import Options

    plain = Options()
    settings = Settings(
        rounds=ROUNDS, min_time_s=plain.min_time_s, min_count=plain.min_count, warmup_s=plain.warmup_s,
        spacing_s=plain.spacing_s, budget_s=budget_s, seed=seed, device=setup.device,
        provider=runtimes.get(DEFAULT).DEVICES[setup.device],
    )  # fmt: skip
    taken: list[Visit] = []
    started_at = now()
    for event in visits(targets, settings):
        if isinstance(event, VisitFailed):
            raise Failed(f"{event.case}: {event.message}")
        if isinstance(event, Visit):
            taken.append(event)
    of_case = by_case(taken)
    made = Run(
        schema_version=SCHEMA_VERSION, suite="selftest", started_at=started_at,
        machine=facts.collect(setup.device, setup.threads, runtimes.versions([DEFAULT])), settings=settings,
        records=tuple(
            Record(case=t.case, measurement=summarise(of_case[t.case.name], batch_size=1, seed=seed))
            for t in targets
        ),
    )  # fmt: skip
    return made, of_case


def target(name: str, path: Path, setup: ab.Setup, inject: float) -> Target:
    """A file as a case of a run, slowed by a share of each call."""
    case = PlannedCase(
        name=name, model=str(path), dimensions=dict(setup.dimensions), device=setup.device,
        provider=runtimes.get(DEFAULT).DEVICES[setup.device], threads=setup.threads,
    )  # fmt: skip
    return Target(case, path, inject=inject)
