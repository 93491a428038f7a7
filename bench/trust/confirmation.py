"""Suspects of two stored runs measured anew: both files timed against each other, before a gate fails or passes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from bench import runtimes
from bench.analysis.comparison import must_match_differences
from bench.errors import BenchError, Failed
from bench.export import cache
from bench.machine import facts
from bench.models.file import sha256_of
from bench.records import Comparison, Record, Run, Verdict
from bench.trust import ab, trial
from bench.trust.trial import Trial
from bench.units import duration, relative

SAME_FILE = "withdrawn: the same file cannot be slower or faster than itself; the machine drifted"
LIMIT_S = 600.0
"""A case whose pairs take so long that its budget holds too few of them for a verdict gets up to so much time."""


def confirm(
    baseline: Run,
    run: Run,
    comparison: Comparison,
    *,
    budget_s: float | None = None,
    on_case: Callable[[str], None] = lambda name: None,
) -> Comparison:
    """The comparison with every suspect measured anew, both files interleaved, where that can be done here.

    Only evidence decides: fresh pairs that say slower or faster make it the verdict, fresh pairs that say equivalent
    withdraw it. Where they say neither, or on another machine or runtime, or when a file is gone, the suspect stands,
    `Verdict.confirmed` is None, and the reason says what it would take.

    Those that may be slower come first, the largest change first. `budget_s` is for all of them together; what one
    leaves goes to the next. By default each has `ab.BUDGET_S`, and up to `LIMIT_S` where a verdict needs it. `on_case`
    is told each case's name before its visits.
    """
    old = {record.case.name: record for record in baseline.records}
    new = {record.case.name: record for record in run.records}
    here = "the runs are not comparable" if comparison.forced else _not_here(run)
    suspects = [verdict for verdict in comparison.verdicts if verdict.verdict == "suspect"]
    suspects.sort(key=lambda verdict: -(verdict.ratio or 0.0))
    begun = time.monotonic()
    decided: dict[str, Verdict] = {}
    for number, verdict in enumerate(suspects):
        if here:
            decided[verdict.case] = replace(verdict, reason=f"not confirmed: {here}")
            continue
        seconds = limit_s = ab.BUDGET_S
        if budget_s is None:
            limit_s = LIMIT_S
        else:
            seconds = limit_s = max(0.0, budget_s - (time.monotonic() - begun)) / (len(suspects) - number)
        pair = old[verdict.case], new[verdict.case]
        other_runtime = baseline.runtimes != run.runtimes
        budget = _Budget(seconds, limit_s)
        decided[verdict.case] = _measured_anew(verdict, pair, other_runtime, comparison.margin, budget, on_case)
    verdicts = tuple(decided.get(verdict.case, verdict) for verdict in comparison.verdicts)
    return replace(comparison, verdicts=verdicts, anew=True)


@dataclass(frozen=True, slots=True)
class _Budget:
    seconds: float
    limit_s: float  # up to which a verdict that needs more pairs may take


def _not_here(run: Run) -> str | None:
    """Why fresh visits here would say nothing about the run, or None."""
    present = runtimes.versions(run.runtimes)
    for name, measured in run.runtimes.items():
        if runtimes.installed(name) is None:
            return runtimes.missing(name)
        if measured != present[name]:
            return f"the run was measured with {measured}, here is {present[name]}; install that one"
    here = facts.collect(run.settings.device, run.machine.must_match.get("threads") or facts.cores_given(), present)
    differing = must_match_differences(run.machine, here)
    return f"this is not the machine of the run ({'; '.join(differing)}); compare there" if differing else None


def _measured_anew(
    verdict: Verdict,
    pair: tuple[Record, Record],
    other_runtime: bool,
    margin: float,
    budget: _Budget,
    on_case: Callable[[str], None],
) -> Verdict:
    old, new = pair
    if old.artifact and new.artifact and old.artifact.sha256 == new.artifact.sha256:
        if other_runtime:
            remedy = "see with `bench ab` on that file, --python-a and --python-b naming the two interpreters"
            title = runtimes.get(new.case.runtime).TITLE
            return replace(verdict, reason=f"not confirmed: {title} has changed, not the file; {remedy}")
        return replace(verdict, verdict="equivalent", confirmed=False, attribution=(), reason=SAME_FILE)
    files = [_file(record) for record in pair]
    if None in files:
        which = "baseline" if files[0] is None else "run"
        return replace(verdict, reason=f"not confirmed: the {which}'s file is gone; keep it to have this confirmed")
    on_case(verdict.case)
    case = new.case
    setup = ab.Setup(
        device=case.device, threads=case.threads, dimensions=case.dimensions, input_shapes=case.input_shapes,
        batch_size=case.batch_size,
    )  # fmt: skip
    a, b = (ab.Side(path, runtime=case.runtime) for path in files if path)
    try:
        fresh = ab.measure(a, b, setup, budget_s=budget.seconds, limit_s=budget.limit_s, margin=margin)
    except Failed as error:
        return replace(verdict, reason=f"not confirmed: {error}")
    return decided(verdict, fresh, other_runtime)


def decided(verdict: Verdict, fresh: Trial, other_runtime: bool = False) -> Verdict:
    """A suspect after a trial of its two files: confirmed, withdrawn, or standing as it was with what it would take."""
    judgement = fresh.judgement
    low, high = (relative(x) if x else "?" for x in (judgement.ratio_low, judgement.ratio_high))
    pairs = f"{judgement.pairs} fresh pair{'s say' if judgement.pairs != 1 else ' says'}"
    said = f"{pairs} {relative(judgement.ratio)} [{low}, {high}], {judgement.verdict}"
    if judgement.verdict == "inconclusive":
        return replace(verdict, reason=f"not confirmed: {said}; {_would_take(fresh)}")
    suspected = "slower" if (verdict.ratio or 0.0) > 1 else "faster"
    if other_runtime and judgement.verdict != suspected:
        return replace(verdict, reason=f"not confirmed: {said} under this runtime; the runtime has changed too")
    stored = f" (the stored figures said {relative(verdict.ratio)})" if verdict.ratio else ""
    confirmed = judgement.verdict == suspected
    return replace(
        verdict,
        verdict=judgement.verdict,
        confirmed=confirmed,
        ratio=judgement.ratio,
        ratio_low=judgement.ratio_low,
        ratio_high=judgement.ratio_high,
        detectable=judgement.detectable,
        attribution=verdict.attribution if confirmed else (),
        reason=f"{'confirmed' if confirmed else 'withdrawn'}: {said}{stored}",
    )


def _would_take(fresh: Trial) -> str:
    """What it would take for an undecided trial to decide."""
    if fresh.judgement.pairs < trial.pairs_needed():
        each = fresh.seconds / max(fresh.judgement.pairs, 1)
        needed = trial.pairs_needed()
        return f"a verdict needs {needed} pairs, about {duration(needed * each)}: raise --budget"
    if fresh.judgement.detectable is None:
        return "raise --budget"
    return f"so many pairs cannot see less than {100 * fresh.judgement.detectable:.1f} %: raise --budget"


def _file(record: Record) -> Path | None:
    """The record's file as it was timed, from the export cache or the user's own path; None when it is gone."""
    artifact = record.artifact
    if artifact is None:
        return None
    if record.case.is_file:
        path = Path(record.case.model)
    elif artifact.key:
        path = cache.stored(artifact.key) or cache.folder()
    else:
        return None
    try:
        return path if sha256_of(path) == artifact.sha256 else None
    except BenchError:
        return None
