"""Two runs compared, model by model, from what `run.json` holds."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from statistics import median

from bench.errors import Failed, Inconclusive, NotComparable, Regression
from bench.records import Case, Comparison, Machine, Measurement, Record, Run, Verdict
from bench.stats import Z975, discoveries, log_deviation, two_sided_p

_POWER_80 = 0.8416  # normal quantile: a change of the detectable size is seen four times in five
_MUST_MATCH_SETTINGS = ("device", "provider")


def compare(baseline: Run, run: Run, *, margin: float = 0.03, force: bool = False) -> Comparison:
    """Say for each case whether it became faster or slower.

    A verdict is "equivalent" when the 95 % interval of the ratio of p50s lies inside the margin; "slower" or "faster"
    when the interval excludes 1, after control of false discoveries over all models, and is not inside the margin;
    else "inconclusive". The margin in force is the larger of the one asked for and the noise that the two runs show.

    Raises NotComparable, with the keys that differ, unless forced.
    """
    differing = must_match_differences(baseline.machine, run.machine)
    differing += [
        f"{key}: {getattr(baseline.settings, key)} -> {getattr(run.settings, key)}"
        for key in _MUST_MATCH_SETTINGS
        if getattr(baseline.settings, key) != getattr(run.settings, key)
    ]
    if differing and not force:
        raise NotComparable(
            f"these runs are not comparable ({'; '.join(differing)}); measure both on one machine with the same "
            "settings, or compare with --force"
        )
    noise = _noise([*baseline.records, *run.records])
    in_force = max(margin, noise or 0.0)
    old = {record.case.name: record for record in baseline.records}
    new = {record.case.name: record for record in run.records}
    changed = _changes(baseline, run)
    verdicts = [_verdict(old.get(name), new.get(name), in_force, changed) for name in _in_order(new, old)]
    return Comparison(
        suite=run.suite,
        baseline_started_at=baseline.started_at,
        run_started_at=run.started_at,
        margin=in_force,
        noise=noise,
        forced=bool(differing),
        differing=tuple(differing),
        verdicts=tuple(_controlled(verdicts)),
    )


def exit_code(comparison: Comparison, fail_on: str = "regression") -> int:
    """The contract's exit code: 1 a regression, 5 a missing or failed model, 3 inconclusive (if asked for), else 0."""
    kinds = {v.verdict for v in comparison.verdicts if not (v.verdict == "slower" and v.confirmed is False)}
    if "slower" in kinds:
        return Regression.exit_code
    if kinds & {"missing", "failed"}:
        return Failed.exit_code
    if fail_on == "inconclusive" and "inconclusive" in kinds:
        return Inconclusive.exit_code
    return 0


def must_match_differences(baseline: Machine, run: Machine) -> list[str]:
    """The must-match facts in which two machines differ, each as "key: baseline -> run"."""
    keys = sorted({*baseline.must_match, *run.must_match})
    return [
        f"{key}: {baseline.must_match.get(key)} -> {run.must_match.get(key)}"
        for key in keys
        if baseline.must_match.get(key) != run.must_match.get(key)
    ]


def _in_order(new: Iterable[str], old: Iterable[str]) -> list[str]:
    return list(dict.fromkeys([*new, *old]))


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
    """What else differs between the two runs, for attribution: "runtime", "settings", "machine"."""
    found = []
    drift = {k for k in {*baseline.machine.may_drift, *run.machine.may_drift}
             if baseline.machine.may_drift.get(k) != run.machine.may_drift.get(k)}  # fmt: skip
    if "onnxruntime" in drift:
        found.append("runtime")
    if replace(baseline.settings, rounds=0, budget_s=None) != replace(run.settings, rounds=0, budget_s=None):
        found.append("settings")
    if drift - {"onnxruntime"}:
        found.append("machine")
    return found


def _verdict(old: Record | None, new: Record | None, margin: float, changed: list[str]) -> Verdict:
    if new is None and old is not None:
        return Verdict(case=old.case.name, verdict="missing", reason="in the baseline, but not in the run")
    if new is None:
        raise ValueError("a verdict needs a record")
    name = new.case.name
    if new.measurement is None:
        return Verdict(case=name, verdict="failed", reason=new.error or "no measurement")
    if old is None or old.measurement is None:
        return Verdict(case=name, verdict="added", reason="not measured in the baseline", p50_ms=new.measurement.p50_ms)
    if _identity(old.case) != _identity(new.case):
        return Verdict(case=name, verdict="missing", reason="the baseline's case of this name is defined otherwise")
    same = old.artifact is not None and new.artifact is not None and old.artifact.sha256 == new.artifact.sha256
    return _measured(name, old.measurement, new.measurement, margin, ([] if same else ["artifact"]) + changed)


def _identity(case: Case) -> Case:
    return replace(case, weights="")


def _measured(name: str, old: Measurement, new: Measurement, margin: float, changed: list[str]) -> Verdict:
    ratio = new.p50_ms / old.p50_ms
    deviation = math.hypot(
        log_deviation(old.p50_ms_low, old.p50_ms_high), log_deviation(new.p50_ms_low, new.p50_ms_high)
    )
    half = Z975 * deviation
    low, high = ratio * math.exp(-half), ratio * math.exp(half)
    inside = low > 1 / (1 + margin) and high < 1 + margin
    kind = "equivalent" if inside else "slower" if low > 1 else "faster" if high < 1 else "inconclusive"
    return Verdict(
        case=name,
        verdict=kind,
        ratio=ratio,
        ratio_low=low,
        ratio_high=high,
        detectable=math.expm1((Z975 + _POWER_80) * deviation),
        baseline_p50_ms=old.p50_ms,
        p50_ms=new.p50_ms,
        attribution=tuple(changed) if kind in ("slower", "faster") else (),
    )


def _controlled(verdicts: list[Verdict]) -> list[Verdict]:
    """Withdraw the "slower" and "faster" that many comparisons at once would bring about by chance."""
    measured = [v for v in verdicts if v.ratio is not None]
    kept = dict(zip((v.case for v in measured), discoveries([_p(v) for v in measured]), strict=True))
    return [
        replace(v, verdict="inconclusive", attribution=())
        if v.verdict in ("slower", "faster") and not kept[v.case]
        else v
        for v in verdicts
    ]


def _p(verdict: Verdict) -> float:
    if verdict.ratio is None or verdict.ratio_low is None or verdict.ratio_high is None:
        return 1.0
    deviation = log_deviation(verdict.ratio_low, verdict.ratio_high)
    return two_sided_p(math.log(verdict.ratio) / deviation) if deviation > 0 else 0.0
