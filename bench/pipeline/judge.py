"""Accuracy, measured on the very files that were timed."""

from __future__ import annotations

from collections.abc import Sequence

from bench import store
from bench.errors import BenchError
from bench.pipeline.work import Phase, Work
from bench.records import PlannedCase
from bench.training import transfer


def _wanted(work: Work) -> list[PlannedCase]:
    records = [record for record in work.with_file() if record.case.train or record.case.accuracy]
    return [record.case for record in records if record.accuracy.origin != "measured"]


def _judge(work: Work, cases: Sequence[PlannedCase]) -> None:
    work.watch.plan({PHASE.name: len(cases)})
    work.watch.phase(PHASE.name)
    for case in cases:
        work.watch.begin(f"accuracy of {case.name}")
        work.try_again(case, PHASE.name)
        path = work.paths[case.name]
        try:
            kept = work.folder / "accuracy" / f"{store.slug(case.name)}.jsonl"
            measured = work.place.accuracy(case, path, kept)
        except BenchError as error:
            work.fail(case, PHASE.name, f"accuracy not measured: {error}")
        else:
            work.set(case, accuracy=transfer.said(case, measured))
        work.stored()
        work.watch.end(work.records[case.name])


PHASE = Phase("accuracy", _wanted, _judge)
