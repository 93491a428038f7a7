"""What another runtime brings: cases that differ in nothing else, held against each other."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from bench.analysis import comparison
from bench.records import Measurement, PlannedCase, Record
from bench.store import json_text
from bench.suites import RUNTIMES


@dataclass(frozen=True, kw_only=True, slots=True)
class Switch:
    """From a case in one runtime to the same in another one: p50 there over p50 here, below 1 is faster."""

    case: str  # the name of the case in the other runtime
    model: str  # what both are called without their runtimes
    reference: str  # the runtime that it is held against
    runtime: str
    ratio: float
    low: float | None  # 95 % interval; None after one visit, which tells nothing of how visits differ
    high: float | None


Timed = tuple[PlannedCase, Measurement]


def switches(records: Iterable[Record]) -> list[Switch]:
    """Every case beside the one that differs only in its runtime; the reference is the first of `suites.RUNTIMES`."""
    groups: dict[str, dict[str, Timed]] = {}
    for record in records:
        if record.measurement:
            same = json_text(replace(record.case, name="", runtime="", provider=""))
            groups.setdefault(same, {}).setdefault(record.case.runtime, (record.case, record.measurement))
    return [
        _switch(group[names[0]], group[name])
        for group in groups.values()
        for names in [sorted(group, key=list(RUNTIMES).index)]
        for name in names[1:]
    ]


def _switch(here: Timed, there: Timed) -> Switch:
    shift, down, up = comparison.log_ratio(here[1], there[1])
    alone = min(len(here[1].visit_p50_ms), len(there[1].visit_p50_ms)) < 2
    name, runtime = there[0].name, there[0].runtime
    return Switch(
        case=name,
        model=re.sub(rf"\s*\b(runtime=)?{re.escape(runtime)}\b", "", name) or name,
        reference=here[0].runtime,
        runtime=runtime,
        ratio=math.exp(shift),
        low=None if alone else math.exp(shift - down),
        high=None if alone else math.exp(shift + up),
    )
