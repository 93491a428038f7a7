"""Profile: where the time goes, on the CPU; on a GPU, clocking each node would stop the overlap that makes it fast."""

from __future__ import annotations

from collections.abc import Sequence

from bench.errors import BenchError
from bench.pipeline.work import Phase, Work
from bench.records import PlannedCase


def _wanted(work: Work) -> list[PlannedCase]:
    return [r.case for r in work.with_file() if r.measurement and r.case.device == "cpu" and r.kinds_ms is None]


def _profile(work: Work, cases: Sequence[PlannedCase]) -> None:
    from bench.timing import Target

    work.watch.plan({PHASE.name: len(cases)})
    work.watch.phase(PHASE.name)
    for case in cases:
        work.watch.begin(f"profiling {case.name}")
        try:
            kinds = work.place.profile(Target(case, work.paths[case.name]), work.begun.settings)
        except BenchError as error:  # the measurement stands without it
            work.watch.begin(f"no profile of {case.name}: {error}")
        else:
            work.set(case, kinds_ms=kinds)
            work.stored()
        work.watch.end(work.records[case.name])


PHASE = Phase("profile", _wanted, _profile)
