"""Export: a file to time for every case, with its cost and what is published of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.errors import BenchError
from bench.pipeline.work import Phase, Work
from bench.records import Accuracy, Artifact, Case, Cost


def _wanted(work: Work) -> list[Case]:
    return [r.case for r in work.able() if r.case.train is None or r.case.name in work.weights]


def _export(work: Work, cases: Sequence[Case]) -> None:
    from bench import export
    from bench.models import published

    for case in cases:
        if work.records[case.name].accuracy.origin != "measured":
            elsewhere = case.train or case.accuracy
            work.set(case, accuracy=Accuracy(origin="none") if elsewhere else published.lookup(case))
    own = [case for case in cases if case.is_onnx]
    sharing: dict[export.ExportRequest, list[Case]] = defaultdict(list)
    for case in cases:
        if not case.is_onnx:
            sharing[export.request(replace(case, weights=work.weights.get(case.name, case.weights)))].append(case)
    work.watch.plan({PHASE.name: len(own) + len(sharing), "timing": len(cases) * work.begun.settings.rounds})
    work.watch.phase(PHASE.name)
    for case in own:
        work.watch.begin(f"reading {case.model}")
        try:
            planned, artifact, cost = _own_file(case)
        except BenchError as error:
            work.set(case, error=str(error))
        else:
            work.set(case, case=planned, artifact=artifact, cost=cost)
            work.paths[case.name] = Path(case.model)
        work.watch.end(work.records[case.name])
    begin = work.watch.begin
    for result in export.export(sharing, on_start=lambda request: begin(f"exporting {sharing[request][0].name}")):
        for case in sharing[result.request]:
            if isinstance(result, export.Exported):
                work.set(case, artifact=result.artifact, cost=result.cost)
                work.paths[case.name] = result.path
            else:
                work.set(case, error=f"export failed: {result.message}")
        work.watch.end(work.records[sharing[result.request][0].name])
        work.stored()


def _own_file(case: Case) -> tuple[Case, Artifact, Cost | None]:
    """What is known of a user's own ONNX file. Raises BenchError when it is not one, or cannot be fed.

    One that cannot be counted is timed all the same.
    """
    from bench import cost, export

    planned = export.planned(case)
    artifact = export.artifact_of_file(Path(case.model))
    try:
        return planned, artifact, cost.of_case(planned)[0]
    except BenchError as error:
        return planned, replace(artifact, warnings=(f"not counted: {error}",)), None


PHASE = Phase("export", _wanted, _export)
