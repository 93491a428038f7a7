"""Timing: the visits, each stored as soon as it is there."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from bench import store
from bench.pipeline.work import Phase, Work
from bench.records import PlannedCase, Visit

_log = logging.getLogger(__name__)


def _wanted(work: Work) -> list[PlannedCase]:
    return [record.case for record in work.with_file()]


def _time(work: Work, cases: Sequence[PlannedCase]) -> None:
    from bench import timing

    done = _stored(work, cases)
    targets = [timing.Target(case, work.paths[case.name]) for case in cases]
    work.watch.plan({PHASE.name: max(0, len(targets) * work.begun.settings.rounds - len(done))})
    work.watch.phase(PHASE.name)
    for case in cases:
        work.try_again(case, PHASE.name)
    _summarise(work, done)
    launch = None if work.place.is_here else work.place.visit
    for event in timing.visits(targets, work.begun.settings, done=done, launch=launch):
        if isinstance(event, timing.VisitStarted):
            work.watch.begin(f"timing {event.case}, round {event.round + 1}")
            continue
        if isinstance(event, timing.VisitWaits):
            work.watch.begin(f"timing {event.case}, round {event.round + 1}: {event.message}")
            continue
        if isinstance(event, timing.VisitFailed):
            reason = f"timing failed in round {event.round + 1}: {event.message}"
            work.fail(work.records[event.case].case, PHASE.name, reason)
        else:
            visit = replace(event, timed=store.timed(work.begun, work.records[event.case]))
            store.append(work.folder, visit)
            done.append(visit)
            _summarise(work, done, event.case)
        work.stored()
        work.watch.end(work.records[event.case])
    _summarise(work, done)


def _stored(work: Work, cases: Sequence[PlannedCase]) -> list[Visit]:
    """The visits to these cases that are stored, to their present files; those to others are said, and do not count."""
    names = {case.name for case in cases}
    present = work.stored()
    stored = [visit for visit in store.visits(work.folder, every=True) if visit.case in names]
    done = store.belonging(present, stored)
    others = Counter(visit.case for visit in stored) - Counter(visit.case for visit in done)
    for name, count in others.items():
        _log.warning("%s: %d visits to another file, runtime or machine do not count", name, count)
    return done


def _summarise(work: Work, visits: Sequence[Visit], only: str | None = None) -> None:
    """Describe the cases that have visits, or one of them; a visit can show that others met a slow pace."""
    from bench.analysis import summary

    for name, its_visits in summary.by_case(visits).items():
        if only not in (None, name):
            continue
        case = work.records[name].case
        measured = summary.summarise(its_visits, batch_size=case.batch_size, seed=work.begun.settings.seed)
        work.set(case, measurement=measured)


PHASE = Phase("timing", _wanted, _time)
