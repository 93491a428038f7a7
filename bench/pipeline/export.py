"""Export: a file to time for every case, with its cost and what is published of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.errors import BenchError
from bench.pipeline.work import Phase, Work
from bench.records import Accuracy, Artifact, Cost, PlannedCase


def _wanted(work: Work) -> list[PlannedCase]:
    trained = work.weights.keys() | work.heads.keys()
    return [r.case for r in work.able() if r.case.train is None or r.case.name in trained]


def _export(work: Work, cases: Sequence[PlannedCase]) -> None:
    from bench import export

    for case in cases:
        work.try_again(case, PHASE.name)
        if work.records[case.name].accuracy.origin != "measured":
            work.set(case, accuracy=_unmeasured(case))
    own = [case for case in cases if case.is_file]
    sharing: dict[export.ExportRequest, list[PlannedCase]] = defaultdict(list)
    for case in cases:
        if not case.is_file:
            trained = replace(case, weights=work.weights.get(case.name, case.weights))
            sharing[export.request(trained, dense=work.heads.get(case.name))].append(case)
    work.watch.plan({PHASE.name: len(own) + len(sharing), "timing": len(cases) * work.begun.settings.rounds})
    work.watch.phase(PHASE.name)
    for case in own:
        work.watch.begin(f"reading {case.model}")
        try:
            completed, artifact, cost = _own_file(case)
        except BenchError as error:
            work.fail(case, PHASE.name, str(error))
        else:
            work.set(case, case=completed)
            _give(work, case, Path(case.model), artifact, cost)
        work.watch.end(work.records[case.name])
    begin = work.watch.begin
    for result in export.export(sharing, on_start=lambda request: begin(f"exporting {sharing[request][0].name}")):
        for case in sharing[result.request]:
            if isinstance(result, export.Exported):
                _give(work, case, result.path, result.artifact, result.cost)
            else:
                work.fail(case, PHASE.name, f"export failed: {result.message}")
        work.watch.end(work.records[sharing[result.request][0].name])
        work.stored()


def _give(work: Work, case: PlannedCase, path: Path, artifact: Artifact, cost: Cost | None) -> None:
    """A case has its file. What was measured of another one, in a run taken up again, is not true of this one."""
    before = work.records[case.name].artifact
    if before is not None and before.sha256 != artifact.sha256:
        work.set(case, measurement=None, kinds_ms=None, load=None, accuracy=_unmeasured(case))
    work.set(case, artifact=artifact, cost=cost)
    work.paths[case.name] = path


def _unmeasured(case: PlannedCase) -> Accuracy:
    """What is known of a case's accuracy before it is measured here."""
    from bench.models import published

    return Accuracy(origin="none") if case.train or case.accuracy else published.lookup(case)


def _own_file(case: PlannedCase) -> tuple[PlannedCase, Artifact, Cost | None]:
    """What is known of a user's own file. Raises BenchError when it is not one, or cannot be fed.

    One that cannot be counted is timed all the same.
    """
    from bench import cost, export

    completed = export.completed(case)
    artifact = export.artifact_of_file(Path(case.model))
    try:
        return completed, artifact, cost.of_case(completed)[0]
    except BenchError as error:
        return completed, replace(artifact, warnings=(f"not counted: {error}",)), None


PHASE = Phase("export", _wanted, _export)
