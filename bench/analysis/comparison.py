"""Two runs compared, model by model, from what `run.json` holds.

The comparability contract. What must match: everything in `Machine.must_match`, and the settings `device` and
`provider`; runs that differ there are refused unless forced. What may drift, and is then named as a possible cause:
`Machine.may_drift` (measured numbers within `DRIFT_WITHIN`) and the other settings of a visit. What only informs:
`Machine.informs`, the number of rounds, the budget and its target, the seed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from pathlib import PurePath
from statistics import median
from typing import Any

from bench.analysis import quantities, statistics, summary
from bench.errors import Failed, Inconclusive, NotComparable, Regression
from bench.machine import facts
from bench.records import (
    VERDICTS,
    Case,
    Comparison,
    Machine,
    Measurement,
    Record,
    Roofline,
    Run,
    Settings,
    Verdict,
)  # fmt: skip

ALARM_RATE = 0.01
"""The rate at which identical models may be called slower or faster: a gate that cries wolf is switched off."""
SUSPECT_RATE = 0.05
"""The rate at which stored figures of identical models may make a suspect: measuring both files anew costs a minute,
and a regression that is not looked into costs more."""
POWER = 0.8
"""A change of the detectable size is seen four times in five."""
DRIFT_WITHIN = 0.10
"""A measured fact of the machine, such as its calibrated peak, has drifted when it differs by more."""

FILE_CHANGED = "file made anew"

_PACE_EXPLAINS = 2.0
"""A change may be the machine's up to so many times the change of its pace, as logarithms: networks of many small
layers feel it more than the chain of products that shows it (1.3 times was seen)."""

_SETTINGS_MUST_MATCH = ("device", "provider")
_SETTINGS_INFORM = ("rounds", "budget_s", "patience_s", "spacing_s", "target_width", "seed")
_MANY_ROUNDS = 60
_COMMON_CASES = 4  # fewer models than this cannot show that all of them shifted together


def compare(
    baseline: Run, run: Run, *, margin: float = 0.03, force: bool = False, figures: bool | None = True
) -> Comparison:
    """Say for each case whether it may have become faster or slower, by what two runs have stored.

    A verdict is "equivalent" when the 95 % interval of the ratio of p50s lies inside the margin; "suspect" when it does
    not, the ratio itself lies beyond the margin and differs from 1 at `SUSPECT_RATE`, after control of false
    discoveries over all models, and no change of the machine's pace explains it; else "inconclusive". What a suspect
    is, only both files timed anew can say (`bench.trust.anew`): two runs are apart in time, and a machine's
    speed shifts by a few percent from one minute to the next.

    How far visits lie apart in both runs, over all models, widens every interval: no case is known better than that.
    The margin stays as asked for.

    `figures`: whether to hold the stored figures against each other; None: if the runs are comparable. Without them,
    every model that both runs have is inconclusive, for `bench.trust.anew` to measure. Raises NotComparable, with the
    keys that differ, where figures of runs that are not comparable are asked for, unless forced.
    """
    differing = must_match_differences(baseline.machine, run.machine)
    differing += _differences(_pinned(baseline.settings), _pinned(run.settings))
    if figures is None:
        figures = force or not differing
    if differing and figures and not force:
        raise NotComparable(
            f"these runs are not comparable ({'; '.join(differing)}); measure both on one machine with the same "
            "settings, or compare with --force"
        )
    noise = _noise([*baseline.records, *run.records])
    old = {record.case.name: record for record in baseline.records}
    new = {record.case.name: record for record in run.records}
    changed = _changes(baseline, run)
    added = [record for name, record in new.items() if name not in old]
    verdicts = [
        _verdict(old.get(name), new.get(name), margin, noise or 0.0, _renamed(old.get(name), added))
        for name in dict.fromkeys([*new, *old])
    ]
    if not figures:
        verdicts = [(_without_figures(verdict), 1.0) for verdict, _ in verdicts]
    return Comparison(
        suite=run.suite,
        baseline_started_at=baseline.started_at,
        run_started_at=run.started_at,
        margin=margin,
        noise=noise,
        forced=bool(differing) and figures,
        differing=tuple(differing),
        verdicts=tuple(_controlled(verdicts, margin, bool(changed))),
        changed=tuple(changed),
    )


def exit_code(comparison: Comparison, fail_on: str = "regression") -> int:
    """The contract's exit code: 1 a regression is confirmed, 5 a missing or failed model, 4 nothing was compared, 3
    inconclusive (if asked for), else 0.

    A model that may be slower, and that measuring anew could not decide, is inconclusive without being asked for. A
    comparison of stored figures alone, `anew` being False, makes no gate fail.
    """
    kinds = {v.verdict for v in comparison.verdicts}
    if "slower" in kinds:
        return Regression.exit_code
    if kinds & {"missing", "failed"}:
        return Failed.exit_code
    if all(v.ratio is None for v in comparison.verdicts):
        return NotComparable.exit_code
    if comparison.anew and unconfirmed(comparison):
        return Inconclusive.exit_code
    if fail_on == "inconclusive" and "inconclusive" in kinds:
        return Inconclusive.exit_code
    return 0


def unconfirmed(comparison: Comparison) -> list[Verdict]:
    """The models that may be slower, but were not confirmed to be."""
    return [v for v in comparison.verdicts if v.verdict == "suspect" and (v.ratio or 0.0) > 1]


def conclusion(comparison: Comparison) -> list[str]:
    """The comparison in a line or two, with what to do about what it leaves open."""
    of = {kind: [v.case for v in comparison.verdicts if v.verdict == kind] for kind in VERDICTS}
    lines = []
    same_time = comparison.baseline_started_at == comparison.run_started_at
    if same_time and {v.ratio for v in comparison.verdicts} == {1.0}:
        lines.append("this run is the baseline itself; measure the suite again to compare")
    if of["slower"]:
        lines.append(f"a regression is confirmed: {', '.join(of['slower'])}")
    if of["missing"] or of["failed"]:
        lines.append(f"not measured in this run: {', '.join([*of['missing'], *of['failed']])}; measure them, or save a "
                     "baseline without them")  # fmt: skip
    other_machine = bool(comparison.differing) and not comparison.forced
    if not other_machine and all(v.ratio is None for v in comparison.verdicts):
        lines.append("nothing was compared: no model was measured on both sides; `bench baseline save` stores this run")
    if comparison.anew:
        lines.append(_measured_in_words(comparison))
    elif other_machine:
        lines.append("figures of different machines say nothing of the files; `bench compare` measures both here")
    if of["suspect"] and not comparison.anew:
        suspects = ", ".join(of["suspect"])
        lines.append(f"suspect by stored figures alone: {suspects}; `bench compare` measures both files anew")
    elif unconfirmed(comparison):
        lines.append(f"may be slower, not confirmed: {', '.join(v.case for v in unconfirmed(comparison))}; the lines "
                     "above say what it takes")  # fmt: skip
    return lines


def _measured_in_words(comparison: Comparison) -> str:
    """How the verdicts came about."""
    timed = [v for v in comparison.verdicts if v.pairs]
    same = sum(v.pairs == 0 for v in comparison.verdicts)
    of_kind = [f"{sum(v.verdict == kind for v in comparison.verdicts)} {kind}" for kind in VERDICTS
               if any(v.verdict == kind for v in comparison.verdicts)]  # fmt: skip
    count, pairs = len(timed), sum(v.pairs or 0 for v in timed)
    said = f"measured anew, side by side: {count} model{'s' * (count != 1)} in {pairs} pair{'s' * (pairs != 1)}"
    if same:
        said += f", {same} without measuring, as both files are the same"
    return f"{said}; {', '.join(of_kind)}"


def must_match_differences(baseline: Machine, run: Machine) -> list[str]:
    """The must-match facts in which two machines differ, each as "key: baseline -> run"."""
    old, new = baseline.must_match, run.must_match
    names = sorted({*old, *new})
    return [
        f"{name}: {facts.in_words(name, old.get(name))} -> {facts.in_words(name, new.get(name))}"
        for name in names
        if facts.drifted(name, old.get(name), new.get(name))
    ]


def judge(shift: float, low: float, high: float, p: float, margin: float, *, alarm: float = ALARM_RATE) -> str:
    """The verdict on a log ratio with its 95 % interval and its p-value against no change, tested at level `alarm`."""
    if low > -math.log1p(margin) and high < math.log1p(margin):
        return "equivalent"
    if p >= alarm:
        return "inconclusive"
    return "slower" if shift > 0 else "faster"


def _differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    return [f"{k}: {old.get(k)} -> {new.get(k)}" for k in sorted({*old, *new}) if old.get(k) != new.get(k)]


def _pinned(settings: Settings) -> dict[str, Any]:
    return {key: getattr(settings, key) for key in _SETTINGS_MUST_MATCH}


def _noise(records: Iterable[Record]) -> float | None:
    """How far visits of one case lie apart: the median over the cases of the relative deviation of their p50s."""
    spreads = []
    for record in records:
        p50s = record.measurement.visit_p50_ms if record.measurement else ()
        if len(p50s) >= 3:
            logs = [math.log(value) for value in p50s]
            mean = sum(logs) / len(logs)
            spreads.append(math.sqrt(sum((x - mean) ** 2 for x in logs) / (len(logs) - 1)))
    return median(spreads) if spreads else None


def _changes(baseline: Run, run: Run) -> list[str]:
    """What differs between the two runs as a whole, in words: facts of the machine, runtimes and settings."""
    old, new = (one.machine.may_drift for one in (baseline, run))
    if baseline.roofline and run.roofline:
        old, new = (known | _peaks(one.roofline) for known, one in ((old, baseline), (new, run)) if one.roofline)
    drift = [key for key in sorted({*old, *new}) if facts.drifted(key, old.get(key), new.get(key), DRIFT_WITHIN)]
    changes = [f"{facts.label(key)}: {_step(key, old.get(key), new.get(key))}" for key in drift]
    sides = [{f.name: getattr(one.settings, f.name) for f in fields(Settings)} for one in (baseline, run)]
    changes += [
        f"{name.replace('_', ' ')}: {sides[0][name]} -> {sides[1][name]}"
        for name in sides[0]
        if name not in _SETTINGS_INFORM and sides[0][name] != sides[1][name]
    ]
    return changes


def _step(name: str, old: Any, new: Any) -> str:
    return f"{facts.in_words(name, old)} -> {facts.in_words(name, new)}"


def _peaks(roofline: Roofline) -> dict[str, Any]:
    return {"arithmetic peak [GFLOP/s]": roofline.gflops, "memory bandwidth [GB/s]": roofline.gbytes_per_s}


def _verdict(
    old: Record | None, new: Record | None, margin: float, noise: float, renamed: str
) -> tuple[Verdict, float]:
    """The verdict on one case, and the p-value of no change (1 where nothing was compared)."""
    known = new or old
    assert known is not None
    name = known.case.name
    if new is None:
        reason = "in the baseline, but not in the run"
        return Verdict(case=name, verdict="missing", reason=reason + (f"; {renamed}" if renamed else "")), 1.0
    if new.measurement is None:
        return Verdict(case=name, verdict="failed", reason=new.error or "no measurement"), 1.0
    if old is None or old.measurement is None:
        reason = "not in the baseline" if old is None else "the baseline has no measurement of it"
        return Verdict(case=name, verdict="added", reason=reason, p50_ms=new.measurement.p50_ms), 1.0
    if identity(old.case) != identity(new.case) or _another_file(old, new):
        reason = "the baseline's case of this name is another one; rename one of them, or save a new baseline"
        return Verdict(case=name, verdict="missing", reason=reason), 1.0
    same = old.artifact is not None and new.artifact is not None and old.artifact.sha256 == new.artifact.sha256
    verdict, p = _measured(name, old.measurement, new.measurement, margin, noise, () if same else (FILE_CHANGED,))
    return replace(verdict, quantities=quantities.changes(old, new)), p


def _without_figures(verdict: Verdict) -> Verdict:
    """A verdict without what stored figures say, as they are of different machines."""
    if verdict.ratio is None:
        return verdict
    return Verdict(
        case=verdict.case, verdict="inconclusive", quantities=verdict.quantities,
        reason="the stored figures are of different machines; `bench compare` measures both files here",
    )  # fmt: skip


def _renamed(old: Record | None, added: Iterable[Record]) -> str:
    """What to do where a case of the run has the file of the baseline's under another name, else nothing."""
    if not (old and old.artifact):
        return ""
    same = [r.case.name for r in added if r.artifact and r.artifact.sha256 == old.artifact.sha256]
    return f"{same[0]} is the same file: give it the old name, or save a new baseline" if same else ""


def identity(case: Case) -> Case:
    """What makes two cases the same thing to time: weights do not matter, nor where a user's own file lies."""
    if case.is_file:
        return replace(case, weights="", model="", precision="")
    return replace(case, weights="")


def _another_file(old: Record, new: Record) -> bool:
    """Whether two users' own files of one name are different things: they lie elsewhere, and hold something else.

    One path, absolute in one run and relative in the other, is one file, which may have changed; so are files to which
    the user gave one name of his own.
    """
    if not (old.case.is_file and new.case.is_file and old.artifact and new.artifact):
        return False
    if any(PurePath(record.case.model).stem not in record.case.name for record in (old, new)):
        return False
    ends = [PurePath(record.case.model).parts[::-1] for record in (old, new)]
    elsewhere = any(a != b for a, b in zip(*ends, strict=False))
    return elsewhere and old.artifact.sha256 != new.artifact.sha256


def of_figures(old: Measurement, new: Measurement, margin: float) -> Verdict:
    """What two measurements of one model say by themselves: equivalent, inconclusive or suspect."""
    return _measured("", old, new, margin, 0.0, ())[0]


def _measured(
    name: str, old: Measurement, new: Measurement, margin: float, noise: float, changed: Sequence[str]
) -> tuple[Verdict, float]:
    """Compare two p50s with their intervals, at least as wide as the noise; degrees of freedom are Welch's."""
    shift, down, up = log_ratio(old, new)
    degrees = _degrees(old, new)
    t975 = statistics.student_t975(degrees)
    visits = [max(1, len(side.visit_p50_ms)) for side in (old, new)]
    least = t975 * noise * math.sqrt(sum(1 / count for count in visits))
    down, up = max(down, least), max(up, least)
    error = (down + up) / 2 / t975
    towards_zero = max(down if shift > 0 else up, 1e-12)
    p = statistics.student_t_p(t975 * shift / towards_zero, degrees)
    needed = max(statistics.student_t(SUSPECT_RATE, degrees) * error, math.log1p(margin))
    needed += statistics.student_t(2 * (1 - POWER), degrees) * error
    single = min(len(old.visit_p50_ms), len(new.visit_p50_ms)) < 2
    kind = judge(shift, shift - down, shift + up, p, margin, alarm=SUSPECT_RATE)
    reason = "one visit tells nothing of how visits differ; measure 3 rounds or more" if single else None
    if not single and kind in ("slower", "faster"):
        reason = _doubt(shift, old, new, margin)
    if reason:
        kind = "inconclusive"
    elif kind == "inconclusive":
        reason = _would_take(error, min(visits), margin)
    verdict = Verdict(
        case=name,
        verdict="suspect" if kind in ("slower", "faster") else kind,
        ratio=math.exp(shift),
        ratio_low=math.exp(shift - down),
        ratio_high=math.exp(shift + up),
        detectable=None if single else math.expm1(min(needed, 5.0)),
        baseline_p50_ms=old.p50_ms,
        p50_ms=new.p50_ms,
        attribution=tuple(changed) if kind in ("slower", "faster") else (),
        reason=reason,
    )
    return verdict, 1.0 if single else p


def _would_take(error: float, visits: int, margin: float) -> str:
    """How many rounds of both runs would show a change of the margin's size, where visits differ as they did here."""
    wanted = math.log1p(margin) / (statistics.student_t(SUSPECT_RATE, 30) + statistics.student_t(2 * (1 - POWER), 30))
    rounds = math.ceil(visits * (error / wanted) ** 2)
    if rounds <= visits:
        return "the change is at the edge of what these visits can see; `bench ab` of the two files would tell"
    if rounds > _MANY_ROUNDS:
        return "visits differ too much for any number of rounds; see `bench doctor`, or use `bench ab` on the two files"
    return f"both runs with --rounds {rounds} would see a change of {100 * margin:g} %"


def _doubt(shift: float, old: Measurement, new: Measurement, margin: float) -> str | None:
    """Why a change that cannot be chance may still be the machine's, or None."""
    if abs(shift) <= math.log1p(margin):
        return "the change is real or the machine's, but within the margin; `bench ab` of the two files would tell"
    pace = math.log(new.pace_ms / old.pace_ms) if old.pace_ms and new.pace_ms else 0.0
    explained = pace * shift > 0 and abs(shift) < _PACE_EXPLAINS * abs(pace)
    if not explained or abs(pace) < math.log(summary.SLOW_PACE):
        return None
    slower = f"the machine ran {math.exp(abs(pace)):.1f} times slower in"
    return f"{slower} this run; measure again" if pace > 0 else f"{slower} the baseline; save a new baseline"


def log_ratio(old: Measurement, new: Measurement) -> tuple[float, float, float]:
    """The logarithm of the ratio of two p50s, new over old, and how far its 95 % interval reaches down and up.

    The interval is put together from those of the two p50s, each side by itself, as they need not be symmetric (the
    method of variance estimates recovery, Zou and Donner 2008).
    """
    down = math.hypot(math.log(new.p50_ms / new.p50_ms_low), math.log(old.p50_ms_high / old.p50_ms))
    up = math.hypot(math.log(new.p50_ms_high / new.p50_ms), math.log(old.p50_ms / old.p50_ms_low))
    return math.log(new.p50_ms / old.p50_ms), down, up


def _degrees(old: Measurement, new: Measurement) -> float:
    """Welch's degrees of freedom of the two p50s together, each with its visits less one."""
    variances, free = [], []
    for measured in (old, new):
        free.append(max(1, len(measured.visit_p50_ms) - 1))
        width = math.log(measured.p50_ms_high / measured.p50_ms_low)
        variances.append(max(width / statistics.student_t975(free[-1]), 1e-9) ** 2)
    return sum(variances) ** 2 / sum(v * v / f for v, f in zip(variances, free, strict=True))


def _controlled(measured_verdicts: list[tuple[Verdict, float]], margin: float, changed: bool) -> list[Verdict]:
    """Withdraw the suspects that many comparisons at once would bring about by chance.

    Where most models moved the same way by more than the margin and nothing known has changed, the machine has.
    """
    measured = [(verdict, p) for verdict, p in measured_verdicts if verdict.ratio is not None]
    discovered = statistics.discoveries([p for _, p in measured], rate=SUSPECT_RATE)
    kept = {verdict.case for (verdict, _), real in zip(measured, discovered, strict=True) if real}
    shifts = [math.log(verdict.ratio) for verdict, _ in measured if verdict.ratio]
    common = len(shifts) >= _COMMON_CASES and abs(median(shifts)) > math.log1p(margin)
    verdicts = []
    for verdict, p in measured_verdicts:
        if verdict.verdict == "suspect":
            if verdict.case not in kept:
                reason = f"p = {p:.3f} is no evidence among {len(measured)} models; measure more rounds"
                verdict = replace(verdict, verdict="inconclusive", attribution=(), reason=reason)
            elif common and not changed and not verdict.attribution:
                verdict = replace(
                    verdict, reason="most models moved together, and nothing known has changed: the machine"
                )
        verdicts.append(verdict)
    return verdicts
