"""Raw samples over the time of a run, with the visits that were disturbed marked."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import numpy as np

from bench.records import Record, Visit
from bench.report.families import family, hue, shape
from bench.report.figures.figure import Figure, Subject
from bench.report.figures.frame import Frame, layout, log_axis, plain, with_legend

POINTS = 3000
"""About so many samples are drawn, however many there are: a page has to stay light."""
_LEAST = 5  # of a visit
_DISTURBED = "#D55E00"


def samples_figure(records: list[Record], visits: Sequence[Visit], frame: Frame) -> dict[str, Any]:
    """Each sample over its model's p50, against the time since the run began.

    Of a visit are drawn its fastest and slowest sample and evenly chosen ones between, in the order they were taken.
    """
    by_name = {r.case.name: r for r in records if r.measurement}
    shown = [v for v in visits if v.case in by_name and v.samples_ns]
    if not shown:
        return {"data": [], "layout": layout(frame, x={}, y={})}
    begun = min(map(_start, shown))
    each = max(_LEAST, POINTS // len(shown))
    ordinary: dict[str, dict[str, Any]] = {}
    disturbed: list[dict[str, Any]] = []
    for visit in shown:
        m = by_name[visit.case].measurement
        assert m is not None
        at, ratio = _thinned(visit, each, m.p50_ms)
        x = [round((_start(visit) - begun + seconds) / 60, 4) for seconds in at]
        if visit.disturbances:
            disturbed.append(_disturbed(visit, x, ratio))
        elif visit.case in ordinary:
            ordinary[visit.case]["x"] += x
            ordinary[visit.case]["y"] += ratio
        else:
            ordinary[visit.case] = _ordinary(visit.case, family(by_name[visit.case].case), x, ratio)
    for number, trace in enumerate(disturbed):
        trace["showlegend"] = number == 0
    first: set[str] = set()
    for trace in ordinary.values():
        trace["showlegend"] = trace["legendgroup"] not in first
        first.add(trace["legendgroup"])
    data = [*ordinary.values(), *disturbed]
    ratios = [value for trace in data for value in trace["y"]]
    y = log_axis(
        math.log10(min(ratios)) - 0.01, math.log10(max(ratios)) + 0.02, frame, "Time over the model's p50, logarithmic"
    )
    return with_legend(data, layout(frame, x={"title": {"text": "Minutes since the run began"}}, y=y))


def _ordinary(case: str, of: str, x: list[float], y: list[float]) -> dict[str, Any]:
    return {
        "type": "scatter", "mode": "markers", "name": plain(of), "legendgroup": of, "meta": "samples", "case": case,
        "x": x, "y": y, "text": f"<b>{plain(case)}</b>",
        "hovertemplate": "%{text}<br>%{y:.3f} x its p50<br>after %{x:.1f} min<extra></extra>",
        "marker": {"size": 4, "symbol": shape(of), "color": hue(of), "opacity": 0.55},
    }  # fmt: skip


def _disturbed(visit: Visit, x: list[float], y: list[float]) -> dict[str, Any]:
    reasons = plain("; ".join(visit.disturbances))
    return {
        "type": "scatter", "mode": "markers", "name": "disturbed visit", "legendgroup": "disturbed",
        "meta": "disturbed", "case": visit.case, "x": x, "y": y,
        "text": f"<b>{plain(visit.case)}</b>, round {visit.round + 1}, disturbed:<br>{reasons}",
        "hovertemplate": "%{text}<br>%{y:.3f} x its p50<br>after %{x:.1f} min<extra></extra>",
        "marker": {"size": 8, "symbol": "x-thin", "color": _DISTURBED, "line": {"width": 1.5, "color": _DISTURBED}},
    }  # fmt: skip


def _start(visit: Visit) -> float:
    return datetime.fromisoformat(visit.started_at).timestamp()


def _thinned(visit: Visit, count: int, p50_ms: float) -> tuple[list[float], list[float]]:
    """Seconds since the visit began, and samples over the p50."""
    seconds = np.asarray(visit.samples_ns, dtype=np.float64) / 1e9
    ended = np.cumsum(seconds)
    evenly = np.linspace(0, len(seconds) - 1, min(count, len(seconds))).round().astype(int)
    index = np.unique([*evenly, int(seconds.argmin()), int(seconds.argmax())])
    return ended[index].tolist(), [float(f"{value:.4g}") for value in 1e3 * seconds[index] / p50_ms]


def of_samples(subject: Subject) -> Iterator[Figure]:
    """Whether the machine was steady."""
    records, visits = subject.records, subject.visits
    if not visits:
        return
    disturbed = sum(bool(visit.disturbances) for visit in visits)
    yield Figure(
        id="samples",
        title="Raw samples over the time of the run",
        question=f"Was the machine steady? Each point is one inference over its model's p50. {disturbed} of "
        f"{len(visits)} visits were disturbed; they are crossed, and pointing at one says by what.",
        draw=partial(samples_figure, records, visits),
        alternative="Raw samples over time, disturbed visits marked",
        notes=("Of each visit its fastest and slowest sample are drawn, and some between.",),
    )
