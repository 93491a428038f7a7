"""Training: the weights of the cases that are trained here."""

from __future__ import annotations

from collections.abc import Sequence

from bench.errors import BenchError
from bench.pipeline.work import Phase, Work
from bench.records import PlannedCase


def _wanted(work: Work) -> list[PlannedCase]:
    return [record.case for record in work.able() if record.case.train]


def _train(work: Work, cases: Sequence[PlannedCase]) -> None:
    """A case that could not be trained gets its reason, and has no weights."""
    from bench import training

    work.watch.plan({PHASE.name: len(cases)})
    work.watch.phase(PHASE.name)
    for case in cases:
        work.watch.begin(f"training {case.name}")
        work.try_again(case, PHASE.name)
        try:
            work.weights[case.name] = str(training.trained(training.recipe(case)))
        except BenchError as error:
            work.fail(case, PHASE.name, f"training failed: {error}")
        work.watch.end(work.records[case.name])


PHASE = Phase("training", _wanted, _train)
