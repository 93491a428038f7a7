"""Timing: the visits, each stored as soon as it is there."""

from __future__ import annotations

from collections.abc import Sequence

from bench import store
from bench.pipeline.work import Phase, Work
from bench.records import Case, Visit


def _wanted(work: Work) -> list[Case]:
    return [record.case for record in work.with_file()]


def _time(work: Work, cases: Sequence[Case]) -> None:
    from bench import timing

    done = store.visits(work.folder)
    targets = [timing.Target(case, work.paths[case.name]) for case in cases]
    work.watch.plan({PHASE.name: max(0, len(targets) * work.begun.settings.rounds - len(done))})
    work.watch.phase(PHASE.name)
    _summarise(work, done)
    for event in timing.visits(targets, work.begun.settings, done=done):
        if isinstance(event, timing.VisitStarted):
            work.watch.begin(f"timing {event.case}, round {event.round + 1}")
            continue
        if isinstance(event, timing.VisitFailed):
            work.set(work.records[event.case].case, error=f"timing failed: {event.message}", measurement=None)
        else:
            store.append(work.folder, event)
            done.append(event)
            _summarise(work, done, event.case)
        work.stored()
        work.watch.end(work.records[event.case])
    _summarise(work, done)


def _summarise(work: Work, visits: Sequence[Visit], only: str | None = None) -> None:
    """Describe the cases that have visits, or one of them; a visit can show that others met a slow pace."""
    from bench.analysis import statistics

    for name, its_visits in statistics.by_case(visits).items():
        if only not in (None, name):
            continue
        case = work.records[name].case
        measured = statistics.summarise(its_visits, batch_size=case.batch_size, seed=work.begun.settings.seed)
        work.set(case, measurement=measured, error=None)


PHASE = Phase("timing", _wanted, _time)
