"""Fidelity: a file in the runtime that will time it, against the runtime in which it was checked when it was made."""

from __future__ import annotations

from collections.abc import Sequence

from bench import runtimes
from bench.errors import BenchError
from bench.pipeline.work import Phase, Work
from bench.records import PlannedCase
from bench.runtimes.device import DEFAULT


def _wanted(work: Work) -> list[PlannedCase]:
    """Cases of other runtimes whose file the default one reads, too, where that is installed."""
    if work.place.installed(DEFAULT) is None:
        return []
    suffixes = runtimes.get(DEFAULT).SUFFIXES
    others = [record for record in work.with_file() if record.case.runtime != DEFAULT]
    return [r.case for r in others if r.fidelity is None and work.paths[r.case.name].suffix.lower() in suffixes]


def _check(work: Work, cases: Sequence[PlannedCase]) -> None:
    from bench.timing import fidelity

    work.watch.plan({PHASE.name: len(cases)})
    work.watch.phase(PHASE.name)
    for case in cases:
        work.try_again(case, PHASE.name)
        work.watch.begin(f"checking {case.name} against {runtimes.get(DEFAULT).TITLE}")
        try:
            seen = work.place.fidelity(case, work.paths[case.name], DEFAULT, work.begun.settings)
        except BenchError as error:
            work.fail(case, PHASE.name, str(error))
            del work.paths[case.name]
        else:
            work.set(case, fidelity=seen)
            if not seen.passed:
                work.fail(case, PHASE.name, (
                    f"{runtimes.get(case.runtime).TITLE} does not compute what {seen.reference} computes: outputs "
                    f"differ by {seen.max_rel:.1e} of their size (allowed {fidelity.allowed(case):.0e})"
                ))  # fmt: skip
                del work.paths[case.name]
        work.stored()
        work.watch.end(work.records[case.name])


PHASE = Phase("fidelity", _wanted, _check)
