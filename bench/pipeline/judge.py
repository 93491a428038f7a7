"""Accuracy, measured on the very files that were timed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bench import store
from bench.errors import BenchError
from bench.pipeline.work import Phase, Work
from bench.records import Accuracy, PlannedCase


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
            work.set(case, accuracy=_said(case, measured))
        work.stored()
        work.watch.end(work.records[case.name])


def _said(case: PlannedCase, measured: Accuracy) -> Accuracy:
    """An accuracy with what people have to know of where it comes from."""
    if case.train is None or case.train.images is None:
        return measured
    random = "; the backbone's weights are random" if case.weights == "none" else ""
    return replace(measured, source=f"{measured.source}, held-out part{random}")


PHASE = Phase("accuracy", _wanted, _judge)
