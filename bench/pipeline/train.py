"""Training: the weights, or the heads, of the cases that are trained here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import BenchError
from bench.pipeline.work import Phase, Work
from bench.records import PlannedCase

if TYPE_CHECKING:
    from bench.export import ExportRequest


def _wanted(work: Work) -> list[PlannedCase]:
    return [record.case for record in work.able() if record.case.train]


def _train(work: Work, cases: Sequence[PlannedCase]) -> None:
    """A case that could not be trained gets its reason, and has no weights."""
    work.watch.plan({PHASE.name: len(cases)})
    work.watch.phase(PHASE.name)
    for case in cases:
        work.try_again(case, PHASE.name)
    _whole(work, [case for case in cases if case.train and case.train.data])
    _heads(work, [case for case in cases if case.train and not case.train.data])


def _whole(work: Work, cases: Sequence[PlannedCase]) -> None:
    """Whole networks, on embedded data."""
    from bench import training

    for case in cases:
        work.watch.begin(f"training {case.name}")
        try:
            work.weights[case.name] = str(training.trained(training.recipe(case)))
        except BenchError as error:
            work.fail(case, PHASE.name, f"training failed: {error}")
        work.watch.end(work.records[case.name])


def _heads(work: Work, cases: Sequence[PlannedCase]) -> None:
    """Heads on frozen backbones, on images of one's own."""
    from bench import export
    from bench.training import transfer

    sharing: dict[ExportRequest, list[PlannedCase]] = defaultdict(list)
    for case in cases:
        try:
            judged = transfer.judged(case, work.folder / "transfer")
        except BenchError as error:
            work.fail(case, PHASE.name, f"training failed: {error}")
        else:
            work.set(case, case=judged)
            sharing[transfer.of_backbone(judged)].append(judged)
    begin = work.watch.begin
    backbones: dict[ExportRequest, Path] = {}
    for result in export.export(
        sharing, on_start=lambda asked: begin(f"exporting the backbone of {sharing[asked][0].name}")
    ):
        if isinstance(result, export.Exported):
            backbones[result.request] = result.path
        else:
            for case in sharing[result.request]:
                work.fail(case, PHASE.name, f"training failed: {result.message}")
                work.watch.end(work.records[case.name])
    for asked, path in backbones.items():
        for case in sharing[asked]:
            _head(work, case, path)
            work.stored()
            work.watch.end(work.records[case.name])


def _head(work: Work, case: PlannedCase, backbone: Path) -> None:
    """The head of one case, and where it is asked for the whole network after it."""
    from bench.training import transfer

    def say(what: str) -> Callable[[int, int], None]:
        work.watch.begin(f"{what} {case.name}")
        return lambda done, of: work.watch.begin(f"{what} {case.name}: {done} of {of}")

    before = work.records[case.name].transfer
    try:
        head = transfer.trained(case, backbone, progress=say("features of"))
        if case.train and case.train.fine_tune:
            weights, head = transfer.fine_tuned(case, head, progress=say("epochs of"))
            work.weights[case.name] = str(weights)
        else:
            work.heads[case.name] = head.dense
    except BenchError as error:
        work.fail(case, PHASE.name, f"training failed: {error}")
        return
    told = head.transfer
    if before and told.extracted_per_s is None:  # a run taken up again, whose features were stored
        told = replace(told, extracted_per_s=before.extracted_per_s, inferred_per_s=before.inferred_per_s)
    work.set(case, transfer=told)


PHASE = Phase("training", _wanted, _train)
