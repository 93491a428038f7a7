"""A regression confirmed: the two files of a "slower" verdict timed against each other anew, before a gate fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from bench.analysis.comparison import must_match_differences
from bench.errors import Failed
from bench.export import cache, file_sha256
from bench.machine import facts
from bench.records import Comparison, Record, Run, Verdict
from bench.trust import ab
from bench.units import relative

SAME_FILE = "withdrawn: the same file cannot be slower than itself; the machine drifted"


def confirm(
    baseline: Run,
    run: Run,
    comparison: Comparison,
    *,
    budget_s: float = ab.BUDGET_S,
    on_case: Callable[[str], None] = lambda name: None,
) -> Comparison:
    """The comparison with every "slower" confirmed or withdrawn by fresh visits, where that can be done here.

    `Verdict.confirmed` stays None, with the reason, on another machine or runtime, or when a file is gone. Takes up to
    `budget_s` a case; `on_case` is told each case's name before its visits.
    """
    old = {record.case.name: record for record in baseline.records}
    new = {record.case.name: record for record in run.records}
    here = "the runs are not comparable" if comparison.forced else _not_here(run)

    def looked_into(verdict: Verdict) -> Verdict:
        if verdict.verdict != "slower":
            return verdict
        if here:
            return replace(verdict, reason=f"not confirmed: {here}")
        pair = old[verdict.case], new[verdict.case]
        return _confirmed(verdict, pair, _runtimes_differ(baseline, run), comparison.margin, budget_s, on_case)

    return replace(comparison, verdicts=tuple(map(looked_into, comparison.verdicts)))


def _not_here(run: Run) -> str | None:
    """Why fresh visits here would say nothing about the run, or None."""
    runtime = facts.runtime_version()
    if runtime == "not installed":
        return "ONNX Runtime is not installed here; pip install backbench[cpu]"
    measured = run.machine.may_drift.get("onnxruntime")
    if measured != runtime:
        return f"the run was measured with {measured}, here is {runtime}; install that one"
    here = facts.collect(run.settings.device, run.machine.must_match.get("threads") or facts.cores_given())
    differing = must_match_differences(run.machine, here)
    return f"this is not the machine of the run ({'; '.join(differing)}); compare there" if differing else None


def _runtimes_differ(baseline: Run, run: Run) -> bool:
    return bool(baseline.machine.may_drift.get("onnxruntime") != run.machine.may_drift.get("onnxruntime"))


def _confirmed(
    verdict: Verdict,
    pair: tuple[Record, Record],
    other_runtime: bool,
    margin: float,
    budget_s: float,
    on_case: Callable[[str], None],
) -> Verdict:
    old, new = pair
    if old.artifact and new.artifact and old.artifact.sha256 == new.artifact.sha256:
        if other_runtime:
            remedy = "see with `bench ab` on that file, --python-a and --python-b naming the two interpreters"
            return replace(verdict, reason=f"not confirmed: ONNX Runtime has changed, not the file; {remedy}")
        return replace(verdict, confirmed=False, reason=SAME_FILE)
    files = [_file(record) for record in pair]
    if None in files:
        which = "baseline" if files[0] is None else "run"
        return replace(verdict, reason=f"not confirmed: the {which}'s file is gone; keep it to have this confirmed")
    on_case(verdict.case)
    case = new.case
    setup = ab.Setup(
        device=case.device, provider=case.provider or "CPUExecutionProvider", threads=case.threads or 1,
        dimensions=case.dimensions, batch_size=case.batch_size,
    )  # fmt: skip
    a, b = (ab.Side(path) for path in files if path)
    try:
        found = ab.measure(a, b, setup, budget_s=budget_s, margin=margin).judgement
    except Failed as error:
        return replace(verdict, reason=f"not confirmed: {error}")
    low, high = (relative(x) if x else "?" for x in (found.ratio_low, found.ratio_high))
    said = f"{found.pairs} fresh pairs say {relative(found.ratio)} [{low}, {high}], {found.verdict}"
    if found.verdict == "slower":
        return replace(verdict, confirmed=True, reason=f"confirmed: {said}")
    if other_runtime:
        return replace(verdict, reason=f"not confirmed: {said} under this ONNX Runtime; the runtime has changed too")
    return replace(verdict, confirmed=False, reason=f"withdrawn: {said}")


def _file(record: Record) -> Path | None:
    """The record's file as it was timed, from the export cache or the user's own path; None when it is gone."""
    artifact = record.artifact
    if artifact is None:
        return None
    if record.case.is_onnx:
        path = Path(record.case.model)
    elif artifact.key:
        path = cache.folder() / artifact.key / cache.MODEL
    else:
        return None
    return path if path.is_file() and file_sha256(path) == artifact.sha256 else None
