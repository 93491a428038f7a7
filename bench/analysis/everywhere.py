"""One model for all machines of a fleet, and how fast the machines are against each other.

A model is held to limits by the worst of its values over the machines: it meets them everywhere where that one does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bench.analysis import answer, choice, quality, quantities, resampling, trust
from bench.analysis.candidates import Candidate, candidates
from bench.analysis.choice import Choice
from bench.analysis.comparison import log_ratio
from bench.analysis.statistics import student_t975
from bench.errors import WrongUsage
from bench.records import Run
from bench.units import significant

_LEVELS = ("sound", "shaky", "unsound")
_LEAST_MODELS = 4  # for saying whether a ratio depends on the size of a network
_SLOPE = 0.05  # of the ratio's logarithm over that of the operations: ten times as many change the ratio by 12 %
_ALIKE = 0.03  # standard deviation of the ratios' logarithms, beyond which they differ from model to model

Interval = tuple[float, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Everywhere:
    """The choice on each machine, and the one for all of them."""

    choices: dict[str, Choice]  # by machine
    together: Choice  # of models with the worst of their values over the machines
    worst_on: dict[str, dict[str, str]]  # model -> limit -> the machine on which its value is the worst
    left_out: tuple[str, ...]  # models that were not measured on every machine


@dataclass(frozen=True, kw_only=True, slots=True)
class Ratio:
    """A model's p50 on one machine over that on another, with the 95 % interval."""

    case: str
    ratio: float
    low: float
    high: float
    mult_adds: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Versus:
    """One machine against another."""

    machine: str
    reference: str
    ratios: tuple[Ratio, ...]
    median: float
    slope: float | None = None  # of log ratio over log mult-adds; None: too few models
    slope_low: float | None = None
    slope_high: float | None = None

    def in_words(self) -> str:
        """Whether one machine is so many times faster for all networks, or for some."""
        if not self.ratios:
            return f"{self.machine} and {self.reference} have no model in common"
        fast = self.median <= 1
        median = 1 / self.median if fast else self.median
        said = f"{self.machine} is {significant(median)} times as {'fast' if fast else 'slow'} as {self.reference}"
        least, most = (min(self.ratios, key=lambda r: r.ratio), max(self.ratios, key=lambda r: r.ratio))
        span = (
            f"p50 from {significant(least.ratio)} [{significant(least.low)}, {significant(least.high)}] times "
            f"({least.case}) to {significant(most.ratio)} [{significant(most.low)}, {significant(most.high)}] times "
            f"({most.case})"
        )
        if self.slope is not None and self.slope_low is not None and self.slope_high is not None:
            if self.slope_low > 0 or self.slope_high < 0:
                which = "smaller" if self.slope > 0 else "larger"
                return f"{said} in the middle, and better with {which} networks: {span}"
            if max(abs(self.slope_low), abs(self.slope_high)) < _SLOPE:
                return f"{said}, for small networks as for large ones: {span}"
        logs = [math.log(ratio.ratio) for ratio in self.ratios]
        if len(logs) > 1 and float(np.std(logs)) > _ALIKE:
            return f"{said} in the middle, by no rule of their size: {span}"
        return f"{said}: {span}"


def pick(
    runs: Mapping[str, Run],
    limits: Mapping[str, float] | None = None,
    *,
    batch_size: int | None = None,
    like: str | None = None,
) -> Everywhere:
    """Choose for each machine, and one model for all. `runs`: by machine.

    Raises WrongUsage as `choice.pick`, and where there is no run.
    """
    if not runs:
        raise WrongUsage("no machine of the fleet has a run; finish it with `bench run --resume --scheduler URL`")
    choices = {name: choice.pick(run, limits, batch_size=batch_size, like=like) for name, run in runs.items()}
    of_machines = {name: {c.case: c for c in candidates(run)} for name, run in runs.items()}
    drawn = {
        name: dict(zip(of_machines[name], resampling.draws(run), strict=True)) for name, run in runs.items()
    }  # fmt: skip
    cases = list(dict.fromkeys(case for known in of_machines.values() for case in known))
    common = [case for case in cases if all(case in known for known in of_machines.values())]
    worst = [_worst({name: known[case] for name, known in of_machines.items()}) for case in common]
    metric = quality.of([record for run in runs.values() for record in run.records])
    together = choice.choose(
        [candidate for candidate, _ in worst],
        [drawn[on["p50"]][case] for case, (_, on) in zip(common, worst, strict=True)],
        dict(limits or {}), metric.name, batch_size=batch_size, like=like,
        trusted=max((trust.stored(run).verdict for run in runs.values()), key=_LEVELS.index),
    )  # fmt: skip
    return Everywhere(
        choices=choices,
        together=together,
        worst_on={case: on for case, (_, on) in zip(common, worst, strict=True)},
        left_out=tuple(case for case in cases if case not in common),
    )


def in_words(found: Everywhere) -> list[str]:
    """The one model for all machines first, then each machine's own; details are indented."""
    count = len(found.choices)
    first, *rest = answer.in_words(found.together)
    lines = [f"on all {count} machines, each figure the worst of them: {first}"]
    winner = found.together.winner
    if winner is not None:
        slow = found.worst_on[winner.case]["p50"]
        lines.append(f"  it is slowest on {slow}")
    for miss in found.together.misses:
        where = {name: found.worst_on[miss.case].get(name) for name in miss.broken}
        shown = ", ".join(f"{quantities.QUANTITIES[name].label} on {on}" for name, on in where.items() if on)
        rest = [f"{line} ({shown})" if shown and line.startswith(f"  {miss.case}: ") else line for line in rest]
    lines += rest
    if found.left_out:
        lines.append(f"not measured on every machine: {', '.join(found.left_out)}")
    return lines + [f"on {name} alone: {_alone(each)}" for name, each in found.choices.items() if each.limits]


def _alone(one: Choice) -> str:
    """The answer of one machine in a line: its model, or its nearest miss."""
    first, *rest = answer.in_words(one)
    return first if one.winner or not one.misses else f"none; the nearest: {rest[0].strip()}"


def versus(machine: str, run: Run, reference: str, other: Run) -> Versus:
    """A machine against a reference, model by model; only the same file in the same runtime counts."""
    known = {record.case.name: record for record in other.records}
    ratios = []
    for record in run.records:
        beside = known.get(record.case.name)
        if not (beside and record.measurement and beside.measurement and record.artifact and beside.artifact):
            continue
        if record.artifact.sha256 != beside.artifact.sha256 or record.case.runtime != beside.case.runtime:
            continue
        shift, down, up = log_ratio(beside.measurement, record.measurement)
        ratios.append(Ratio(
            case=record.case.name, ratio=math.exp(shift), low=math.exp(shift - down),
            high=math.exp(shift + up),
            mult_adds=record.cost.mult_adds if record.cost else None,
        ))  # fmt: skip
    median = math.exp(float(np.median([math.log(each.ratio) for each in ratios]))) if ratios else math.nan
    made = Versus(machine=machine, reference=reference, ratios=tuple(ratios), median=median)
    slope = _slope(ratios)
    return replace(made, slope=slope[0], slope_low=slope[1], slope_high=slope[2]) if slope else made


def usd_per_million(p50_ms: float, batch_size: int, usd_per_hour: float) -> float:
    """US dollars for a million images, one batch after another, on a machine that is never idle.

    >>> usd_per_million(36.0, 1, 0.10)
    1.0
    """
    return round(usd_per_hour * p50_ms / 3.6e6 / batch_size * 1e6, 12)


def _worst(of_machines: Mapping[str, Candidate]) -> tuple[Candidate, dict[str, str]]:
    """A model with the worst of each of its values, and the machine that it is of."""
    slowest = max(of_machines, key=lambda name: of_machines[name].p50_ms)
    base = of_machines[slowest]
    limited: dict[str, float | None] = {}
    intervals: dict[str, Interval] = {}
    on = {"p50": slowest}
    for name in base.limited:
        values = {machine: c.limited[name] for machine, c in of_machines.items()}
        if any(value is None for value in values.values()):
            limited[name] = None  # not known of all is not known
            continue
        sign = -1 if quantities.QUANTITIES[name].at_least else 1
        machine = max(values, key=lambda each: sign * (values[each] or 0.0))
        limited[name], on[name] = values[machine], machine
        if name in of_machines[machine].intervals:
            intervals[name] = of_machines[machine].intervals[name]
    return replace(base, limited=limited, intervals=intervals), on


def _slope(ratios: Sequence[Ratio]) -> tuple[float, float, float] | None:
    """Least squares of log ratio over log mult-adds, with the 95 % interval of the slope by Student's t."""
    points = [(math.log(r.mult_adds), math.log(r.ratio)) for r in ratios if r.mult_adds]
    if len(points) < _LEAST_MODELS:
        return None
    x, y = np.array(points).T
    spread = float(((x - x.mean()) ** 2).sum())
    if spread == 0:
        return None
    slope = float(((x - x.mean()) * (y - y.mean())).sum()) / spread
    residuals = y - y.mean() - slope * (x - x.mean())
    degrees = len(points) - 2
    error = student_t975(degrees) * math.sqrt(float((residuals**2).sum()) / degrees / spread)
    return slope, slope - error, slope + error
