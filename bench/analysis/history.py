"""Each model's latency over the runs of one machine, and where its level changed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec

from bench.analysis.comparison import identity, of_figures
from bench.analysis.levels import Change, changes
from bench.records import Comparison, Measurement, Run, Verdict
from bench.store import machine_name

MARGIN = 0.03
"""A step between adjacent runs that is smaller is no change of level: the default margin of a comparison."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """A model in one run."""

    run: Run
    measurement: Measurement
    step: float | None  # p50 over that of the run before, where the level changed there; else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """One case on one machine, in every run that measured it, oldest first."""

    case: str
    model: str
    machine: str  # its name in a fleet, if it has one, and store.machine_name
    points: tuple[Point, ...]

    @property
    def label(self) -> str:
        """The machine and device in words."""
        run = self.points[-1].run
        must = run.machine.must_match
        named = f"{run.machine.informs['machine']}: " if "machine" in run.machine.informs else ""
        return f"{named}{must.get('cpu')}, {must.get('threads')} threads, {run.settings.device}"

    @property
    def levels(self) -> list[tuple[Point, Change]]:
        """Where the level changed for several runs, by all of them together; each with the first run after it."""
        found = changes([point.measurement.p50_ms for point in self.points], MARGIN)
        return [(self.points[change.index], change) for change in found]

    @property
    def steps(self) -> list[Point]:
        """Where the level changed."""
        return [point for point in self.points if point.step is not None]


def histories(runs: Iterable[Run], kept: Iterable[Comparison] = ()) -> dict[str, list[Series]]:
    """The series of every case by its name. Cases of one name that are not the same thing to time stay apart.

    Where the files of two adjacent runs were measured anew (`kept`), that says whether the level changed.
    """
    anew = {(c.baseline_started_at, c.run_started_at): {v.case: v for v in c.verdicts} for c in kept}
    by_model: dict[tuple[str, str, str, bytes], list[tuple[Run, Measurement, str]]] = defaultdict(list)
    for run in sorted(runs, key=lambda run: run.started_at):
        for record in run.records:
            if record.measurement:
                what = msgspec.json.encode(identity(record.case), order="sorted")
                machine = f"{run.machine.informs.get('machine', '')} {machine_name(run.machine)}".strip()
                key = record.case.name, machine, run.settings.device, what
                by_model[key].append((run, record.measurement, record.case.model))
    by_name: dict[str, list[Series]] = defaultdict(list)
    for (name, machine, *_), points in by_model.items():
        earlier = [None, *((run, measured) for run, measured, _ in points)]
        marked = tuple(
            Point(run=run, measurement=now, step=_step(name, before, (run, now), anew) if before else None)
            for (run, now, _), before in zip(points, earlier, strict=False)
        )
        by_name[name].append(Series(case=name, model=points[0][2], machine=machine, points=marked))
    return dict(sorted(by_name.items()))


def _step(
    name: str, before: tuple[Run, Measurement], now: tuple[Run, Measurement],
    anew: Mapping[tuple[str, str], Mapping[str, Verdict]],
) -> float | None:  # fmt: skip
    verdict = anew.get((before[0].started_at, now[0].started_at), {}).get(name)
    if verdict is not None and verdict.confirmed is not None:
        return verdict.ratio if verdict.confirmed else None
    return level_step(before[1], now[1])


def level_step(before: Measurement, now: Measurement) -> float | None:
    """The ratio of two p50s where a comparison of these figures would make a suspect; else None."""
    verdict = of_figures(before, now, MARGIN)
    return verdict.ratio if verdict.verdict == "suspect" else None
