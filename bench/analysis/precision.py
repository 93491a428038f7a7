"""What a lower precision brings and costs: cases that differ in nothing else, held against each other."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from bench.analysis import comparison, quality, statistics
from bench.analysis.pairs import pairs as on_same_images
from bench.records import Artifact, Machine, Measurement, Record, Run
from bench.store import json_text
from bench.units import percent, relative, significant

VNNI = ("avx512_vnni", "avx_vnni")
_LONE_NODES = 2  # of int8: one quantises the input, one gives the output back as fp32: no file does without
_SEVEN_BITS = "weights of 7 bits: without VNNI, products of 8 would saturate"
_ARM = ("aarch64", "arm64")

HEADINGS = ("Model", "Size", "Change of p50 [95 % interval]", "Accuracy against fp32", "What to know")


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """From a case in fp32 to the same in a lower precision. Ratios are lower precision over fp32."""

    case: str  # the name of the case in the lower precision
    size: float | None = None
    p50: float | None = None
    p50_low: float | None = None  # 95 % interval; None after one visit, which tells nothing of how visits differ
    p50_high: float | None = None
    accuracy: float | None = None  # change in percentage points, where both are measured
    accuracy_low: float | None = None  # 95 % interval
    accuracy_high: float | None = None
    label: str = quality.TOP1.label  # of that accuracy
    agreement: float | None = None  # percent of inputs with fp32's class, where no accuracy is measured
    inputs: int | None = None  # on which that was found
    reason: str | None = None  # why it is slower; None when it is not
    warnings: tuple[str, ...] = ()

    @property
    def slower(self) -> bool:
        """Whether the interval of the p50s' ratio lies above 1."""
        return self.p50_low is not None and self.p50_low > 1


def pairs(records: Iterable[Record]) -> list[tuple[Record, Record]]:
    """Each case in a lower precision with the case in fp32 that differs from it in nothing else but its name."""
    everything = list(records)
    full = {_key(r): r for r in everything if r.case.precision == "fp32"}
    return [(full[_key(r)], r) for r in everything if r.case.precision != "fp32" and _key(r) in full]


def changes(run: Run) -> list[Change]:
    """What each lower precision in a run brings and costs; of one without its fp32, only what to know of it."""
    full = {reduced.case.name: full for full, reduced in pairs(run.records)}
    lower = [r for r in run.records if r.case.precision != "fp32" and r.artifact]
    return [
        _change(full[r.case.name], r, run.machine) if r.case.name in full else _alone(r)
        for r in lower
        if r.case.name in full or _to_know(r)
    ]


def in_common(changes: Sequence[Change]) -> tuple[tuple[str, ...], list[Change]]:
    """What every one of several changes says to know, which is then said once, and the changes without it."""
    if len(changes) < 2:
        return (), list(changes)
    said = tuple(warning for warning in changes[0].warnings if all(warning in each.warnings for each in changes))
    return said, [replace(each, warnings=tuple(w for w in each.warnings if w not in said)) for each in changes]


def row(change: Change) -> tuple[str, ...]:
    """A change as the cells under HEADINGS."""
    p50 = "–" if change.p50 is None else relative(change.p50)
    if change.p50_low is not None and change.p50_high is not None:
        p50 += f" [{relative(change.p50_low)}, {relative(change.p50_high)}]"
    worth = "–"
    if change.accuracy is not None:
        worth = f"{change.label} {change.accuracy:+.1f} points"
        if change.accuracy_low is not None and change.accuracy_high is not None:
            worth += f" [{change.accuracy_low:+.1f}, {change.accuracy_high:+.1f}]"
    elif change.agreement is not None:
        worth = f"agreement with fp32 {percent(change.agreement)} of {change.inputs} inputs"
    said = (f"slower than fp32: {change.reason}",) if change.reason else ()
    return change.case, f"x {change.size:.2f}" if change.size else "–", p50, worth, "; ".join((*said, *change.warnings))


def _key(record: Record) -> str:
    """Everything that makes a case but its name, its precision and what that is made with."""
    return json_text(replace(record.case, name="", precision="", calibrate=None))


def _to_know(record: Record) -> tuple[str, ...]:
    if record.artifact is None:
        return ()
    seven = record.artifact.integers == "u8s7"
    return (*record.artifact.warnings, *((_SEVEN_BITS,) if seven else ()))


def _alone(record: Record) -> Change:
    shared = quality.agreement(record)
    return Change(
        case=record.case.name,
        agreement=shared[0] if shared else None,
        inputs=shared[1] if shared else None,
        warnings=_to_know(record),
    )


def _change(full: Record, reduced: Record, machine: Machine) -> Change:
    metric = quality.of([full, reduced])
    shared = quality.agreement(reduced)
    change = Change(
        case=reduced.case.name,
        size=reduced.artifact.size_bytes / full.artifact.size_bytes if reduced.artifact and full.artifact else None,
        label=metric.label,
        agreement=shared[0] if shared else None,
        inputs=shared[1] if shared else None,
        warnings=_to_know(reduced),
    )
    change = _with_accuracy(change, full, reduced)
    if full.measurement and reduced.measurement:
        change = _with_p50(change, full.measurement, reduced.measurement)
    return replace(change, reason=reason(full, reduced, machine)) if change.slower else change


def _with_p50(change: Change, full: Measurement, reduced: Measurement) -> Change:
    shift, down, up = comparison.log_ratio(full, reduced)
    if min(len(full.visit_p50_ms), len(reduced.visit_p50_ms)) < 2:
        return replace(change, p50=math.exp(shift))
    return replace(change, p50=math.exp(shift), p50_low=math.exp(shift - down), p50_high=math.exp(shift + up))


def _with_accuracy(change: Change, full: Record, reduced: Record) -> Change:
    """The change of a measured accuracy; published figures say nothing about a file of this precision."""
    metric = quality.of([full, reduced])
    before, after = metric.value(full), metric.value(reduced)
    if before is None or after is None or {full.accuracy.origin, reduced.accuracy.origin} != {"measured"}:
        return change
    old, new = metric.interval(full), metric.interval(reduced)
    if old is None or new is None:
        return replace(change, accuracy=after - before)
    name, other = reduced.case.name, full.case.name
    pair = on_same_images([full, reduced])[name].get(other) if name != other and metric is quality.TOP1 else None
    if pair:
        return replace(change, accuracy=after - before, accuracy_low=pair.low, accuracy_high=pair.high)
    moved, low, high = statistics.newcombe(before, old, after, new)
    return replace(change, accuracy=moved, accuracy_low=low, accuracy_high=high)


def reason(full: Record, reduced: Record, machine: Machine) -> str:
    """Why a lower precision is slower than fp32, as far as the run shows it."""
    reasons = []
    on_cpu, integers = reduced.case.device == "cpu", reduced.case.precision in ("int8", "int8-dynamic")
    if integers and not on_cpu:
        reasons.append(
            f"{reduced.case.provider} has few kernels for integers, and computes in fp32 between conversions"
        )
    elif integers:
        x86 = machine.informs.get("architecture") not in _ARM
        if x86 and not set(VNNI) & set(machine.informs.get("instructions") or ()):
            reasons.append("no VNNI: the processor has no instruction for products of 8-bit integers")
        reasons += _unfused(reduced.artifact, dynamic=reduced.case.precision == "int8-dynamic")
    elif on_cpu:
        reasons.append("without fp16 kernels for the processor, ONNX Runtime converts to fp32 and back")
    if full.kinds_ms and reduced.kinds_ms:
        grown = {k: ms - full.kinds_ms.get(k, 0.0) for k, ms in reduced.kinds_ms.items()}
        kind = max(grown, key=lambda name: grown[name])
        if grown[kind] > 0:
            before, after = full.kinds_ms.get(kind, 0.0), reduced.kinds_ms[kind]
            reasons.append(f"most of it in {kind} layers, {significant(before)} -> {significant(after)} ms profiled")
    return "; ".join(reasons) or "not known; neither its instructions nor unfused nodes explain it"


def _unfused(artifact: Artifact | None, *, dynamic: bool) -> list[str]:
    count = (artifact.quantize_nodes_optimised or 0) - (0 if dynamic else _LONE_NODES) if artifact else 0
    if count <= 0:
        return []
    nodes = "DynamicQuantizeLinear" if dynamic else "QuantizeLinear and DequantizeLinear"
    return [f"{count} {nodes} node{'s' * (count > 1)} that ONNX Runtime could not fuse"]
