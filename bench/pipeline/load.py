"""Load: how many requests a second a case holds within its limit, of the cases that ask for it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from bench.errors import BenchError
from bench.pipeline.work import Phase, Work
from bench.records import PlannedCase


def _wanted(work: Work) -> list[PlannedCase]:
    return [r.case for r in work.with_file() if r.case.load and r.load is None]


def _load(work: Work, cases: Sequence[PlannedCase]) -> None:
    work.watch.plan({PHASE.name: len(cases)})
    work.watch.phase(PHASE.name)
    for case in cases:
        work.watch.begin(f"load on {case.name}")
        work.try_again(case, PHASE.name)
        try:
            answer = work.place.load(case, work.paths[case.name], partial(_say, work, case.name))
        except BenchError as error:
            work.fail(case, PHASE.name, f"load failed: {error}")
        else:
            work.set(case, load=answer)
        work.watch.end(work.records[case.name])
        work.stored()


def _say(work: Work, name: str, words: str) -> None:
    work.watch.begin(f"{name}: {words}")


PHASE = Phase("load", _wanted, _load)
