"""Two runs compared by measuring both files of every model anew, side by side, on the machine at hand."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from bench import runtimes, store
from bench.analysis.comparison import ALARM_RATE, FILE_CHANGED
from bench.errors import BenchError
from bench.machine import facts, lock
from bench.models.file import sha256_of
from bench.processes import versions
from bench.records import Comparison, Record, Verdict
from bench.trust import ab, baseline, contest, trial
from bench.trust.contest import Before, Contest, Listener
from bench.units import duration, relative

SAME = "the same file under the same runtime: nothing can differ"
BUDGET_S = 30.0
"""For each model, by default: on a quiet machine, eight processes or more, which see a change of 2 %."""
LIMIT_S = 600.0
"""So much more time the fewest pairs of slow models may take where no budget is asked for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """How to measure."""

    budget_s: float | None = None  # for all models together; None: `BUDGET_S` each
    only_suspects: bool = False
    on_look: Listener = lambda contest, seconds: None
    before: Before = lambda contest: None


def measured(baseline: store.Stored, run: store.Stored, comparison: Comparison, asked: Asked = Asked()) -> Comparison:
    """A comparison with every model measured anew, whatever machine its stored figures come from.

    All share one budget, and the error over all of them is that of one gate; those that the stored figures suspect come
    first; one that is decided takes no more time. Two equal files under one runtime are equivalent without measuring.

    Only evidence decides: what was stored as suspect stays so, with what it would take, where measuring says neither
    slower nor faster nor equivalent, or cannot be done.
    """
    old = {record.case.name: record for record in baseline.run.records}
    new = {record.case.name: record for record in run.run.records}
    decided: dict[str, Verdict] = {}
    contests: dict[str, Contest] = {}
    ways: dict[str, _Ways] = {}
    for verdict in comparison.verdicts:
        suspect = verdict.verdict == "suspect"
        if verdict.verdict not in ("suspect", "equivalent", "inconclusive") or (asked.only_suspects and not suspect):
            continue
        try:
            way = _ways(baseline, old[verdict.case], new[verdict.case])
            if way is None:
                decided[verdict.case] = _same(verdict)
                continue
            ways[verdict.case] = way
            contests[verdict.case] = Contest(verdict.case, way.sides("old", "new"), suspect=suspect)
        except BenchError as error:
            decided[verdict.case] = _not_measured(verdict, str(error))
    order = sorted(contests.values(), key=lambda each: -_change(comparison, each.name))
    budget_s = asked.budget_s if asked.budget_s is not None else BUDGET_S * len(contests)
    limit_s = budget_s + (LIMIT_S if asked.budget_s is None else 0.0)
    if order:
        with lock.measuring():
            contest.decide(
                order, budget_s=budget_s, limit_s=limit_s, margin=comparison.margin, on_look=asked.on_look,
                before=asked.before,
            )  # fmt: skip
    by_name = {verdict.case: verdict for verdict in comparison.verdicts}
    for name, each in contests.items():
        decided[name] = _decided(by_name[name], each, comparison.margin, ALARM_RATE / len(contests))
    both = {name: way for name, way in ways.items() if way.both_changed and decided[name].confirmed}
    left_s = None if asked.budget_s is None else max(0.0, asked.budget_s - sum(c.seconds for c in contests.values()))
    decided |= _parts(both, decided, comparison.margin, left_s, asked)
    verdicts = tuple(decided.get(verdict.case, verdict) for verdict in comparison.verdicts)
    return replace(comparison, verdicts=verdicts, anew=True)


def _change(comparison: Comparison, name: str) -> float:
    """How much slower the stored figures make a case."""
    return next((v.ratio or 0.0 for v in comparison.verdicts if v.case == name), 0.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Ways:
    """A case's two files and the interpreters of its two runtimes: they make two by two things to time."""

    files: tuple[Path, Path]
    pythons: tuple[str, str]
    runtimes: tuple[str, str]
    setup: ab.Setup

    @property
    def both_changed(self) -> bool:
        """Whether file and runtime differ, so that it has to be asked which of them made the difference."""
        return self.pythons[0] != self.pythons[1] and sha256_of(self.files[0]) != sha256_of(self.files[1])

    def sides(self, a: str, b: str) -> ab.Sides:
        """Two of the four: "old" and "new" are both as they were or are, "file" is the old file in the new runtime,
        "runtime" the new file in the old runtime."""
        return ab.Sides(self._side(a), self._side(b), self.setup)

    def _side(self, which: str) -> ab.Side:
        path = self.files[which in ("new", "runtime")]
        at = int(which in ("new", "file"))
        return ab.Side(path, python=self.pythons[at], runtime=self.runtimes[at])


def _ways(stored: store.Stored, old: Record, new: Record) -> _Ways | None:
    """What to time for a case; None where both sides are the same. Raises Failed where it cannot be timed here."""
    case, name = new.case, new.case.runtime
    before = stored.run.runtimes.get(old.case.runtime) or None
    here = runtimes.installed(name)
    same = old.case.runtime == name and before in (None, here)
    if same and old.artifact and new.artifact and old.artifact.sha256 == new.artifact.sha256:
        return None
    runtimes.require(name)
    files = baseline.sides(stored, old, new)
    if same and sha256_of(files[0]) == sha256_of(files[1]):
        return None
    python = sys.executable
    if before and not same and old.case.runtime == name:
        python = versions.python_with(before.replace(" ", "=="))
    setup = ab.Setup(
        device=case.device, threads=min(case.threads, facts.cores_given()), dimensions=case.dimensions,
        input_shapes=case.input_shapes, batch_size=case.batch_size,
    )  # fmt: skip
    return _Ways(files=files, pythons=(python, sys.executable), runtimes=(old.case.runtime, name), setup=setup)


def _parts(
    ways: Mapping[str, _Ways], decided: Mapping[str, Verdict], margin: float, budget_s: float | None, asked: Asked
) -> dict[str, Verdict]:
    """The verdicts on cases of which file and runtime have changed, with the part that each of them has: old and new
    file in the new runtime, and the new file in the old and the new runtime."""
    contests = {
        (name, part): Contest(f"{name}, {part} alone", way.sides(part, "new"))
        for name, way in ways.items()
        for part in ("file", "runtime")
    }
    if not contests:
        return {}
    seconds = BUDGET_S * len(contests) if budget_s is None else budget_s
    with lock.measuring():
        contest.decide(
            list(contests.values()), budget_s=seconds, limit_s=seconds + LIMIT_S * (budget_s is None), margin=margin,
            on_look=asked.on_look, before=asked.before,
        )  # fmt: skip
    verdicts = {}
    for name in ways:
        words = [_part_in_words(part, contests[name, part]) for part in ("file", "runtime")]
        verdicts[name] = replace(decided[name], attribution=tuple(words))
    return verdicts


def _part_in_words(part: str, finished: Contest) -> str:
    """E.g. "runtime 1.31.0 -> 1.32.0: +8.1 % [+7.5 %, +8.7 %]"."""
    if part == "runtime":
        before, now = finished.sides.runtimes
        part = f"runtime {before} -> {now}" if before != now else part
    found = finished.judgement
    if found is None or found.ratio_low is None or found.ratio_high is None:
        return f"{part}: not known ({finished.error or 'too little time; raise --budget'})"
    return f"{part}: {relative(found.ratio)} [{relative(found.ratio_low)}, {relative(found.ratio_high)}]"


def _same(verdict: Verdict) -> Verdict:
    return replace(
        verdict, verdict="equivalent", confirmed=False, ratio=1.0, ratio_low=1.0, ratio_high=1.0, detectable=None,
        attribution=(), reason=SAME, pairs=0,
    )  # fmt: skip


def _not_measured(verdict: Verdict, why: str) -> Verdict:
    return replace(verdict, reason=f"{'not confirmed' if verdict.verdict == 'suspect' else 'not measured anew'}: {why}")


def _decided(verdict: Verdict, finished: Contest, margin: float, alarm: float) -> Verdict:
    """A verdict after measuring: what the pairs say, or what it would take."""
    if finished.judgement is None:
        return _not_measured(verdict, finished.error or "the budget had no time for it; raise --budget")
    found = finished.judgement
    said = f"{found.pairs} pair{'s' * (found.pairs != 1)} in {duration(finished.seconds)}"
    a_ms, b_ms = trial.p50s(finished.pairs)
    fresh = replace(
        verdict, ratio=found.ratio, ratio_low=found.ratio_low, ratio_high=found.ratio_high, pairs=found.pairs,
        detectable=found.detectable, baseline_p50_ms=a_ms, p50_ms=b_ms,
    )  # fmt: skip
    if found.verdict == "inconclusive":
        needed = trial.pairs_for(found, margin=margin, alarm=alarm)
        each = finished.seconds / len(finished.pairs)
        some = "at least" if found.spread is None else "about"  # one pair says nothing of how far they scatter
        why = (
            f"{said}; {some} {needed} see {100 * margin:g} %, {duration(needed * each)} for this model: raise --budget"
        )
        if finished.error:
            why = f"{said}; then {finished.error}"
        if verdict.verdict != "suspect":
            return replace(fresh, verdict="inconclusive", reason=why)
        low, high = (relative(x) if x else "?" for x in (found.ratio_low, found.ratio_high))
        why = f"not confirmed: {relative(found.ratio)} [{low}, {high}] in {why}"
        return replace(verdict, reason=why, pairs=found.pairs)
    stored = (
        f"; the stored figures said {relative(verdict.ratio)}" if verdict.ratio and verdict.verdict == "suspect" else ""
    )
    confirmed = found.verdict in ("slower", "faster")
    return replace(
        fresh, verdict=found.verdict, confirmed=confirmed, reason=said + stored,
        attribution=_what_changed(finished) if confirmed else (),
    )  # fmt: skip


def _what_changed(finished: Contest) -> tuple[str, ...]:
    """What differs between the two sides: nothing else was measured."""
    changed = [] if finished.sides.same_file else [FILE_CHANGED]
    before, now = finished.sides.runtimes
    return (*changed, f"runtime {before} -> {now}") if before != now else tuple(changed)
