"""A model's p50 from run to run, a line a machine, with changes of level marked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.analysis.history import Point, Series
from bench.report.figures.frame import Frame, layout, plain, with_legend
from bench.units import latency, relative

_LOOKS = (  # colour, marker: one a machine, in turn
    ("#0072B2", "circle"), ("#D55E00", "square"), ("#009E73", "diamond"), ("#AA4499", "hexagon"),
    ("#96700A", "triangle-up"), ("#808080", "cross"),
)  # fmt: skip


def trend_figure(series: Sequence[Series], frame: Frame) -> dict[str, Any]:
    """p50 with its 95 % interval over time; a ring where the level changed."""
    data: list[dict[str, Any]] = []
    for number, one in enumerate(series):
        colour, symbol = _LOOKS[number % len(_LOOKS)]
        data.append({
            "type": "scatter", "mode": "lines+markers", "name": plain(one.label), "meta": "trend",
            "legendgroup": f"machine {number}",
            "x": [p.run.started_at for p in one.points],
            "y": [p.measurement.p50_ms for p in one.points],
            "text": [_hover(p) for p in one.points], "hovertemplate": "%{text}<extra></extra>",
            "line": {"color": colour, "width": 1.5}, "marker": {"size": 7, "color": colour, "symbol": symbol},
            "error_y": {
                "type": "data", "symmetric": False, "color": colour, "thickness": 1.2, "width": 3,
                "array": [p.measurement.p50_ms_high - p.measurement.p50_ms for p in one.points],
                "arrayminus": [p.measurement.p50_ms - p.measurement.p50_ms_low for p in one.points],
            },
        })  # fmt: skip
        if one.steps:
            data.append({
                "type": "scatter", "mode": "markers", "name": "change of level", "meta": "steps",
                "legendgroup": f"machine {number}", "showlegend": not any(t["meta"] == "steps" for t in data),
                "x": [p.run.started_at for p in one.steps], "y": [p.measurement.p50_ms for p in one.steps],
                "hoverinfo": "skip",
                "marker": {"size": 17, "symbol": "circle-open", "color": colour, "line": {"width": 2}},
            })  # fmt: skip
    top = max((p.measurement.p50_ms_high for one in series for p in one.points), default=1.0)
    drawn = layout(
        frame,
        x={"title": {"text": "Run"}, "type": "date", "nticks": 5 if frame.width < 600 else 12},
        y={"title": {"text": "p50 [ms], 95 % interval"}, "range": [0, 1.15 * top]},
        showlegend=True,
    )
    drawn["height"] = frame.height - 120
    return with_legend(data, drawn)


def _hover(point: Point) -> str:
    m, run = point.measurement, point.run
    lines = [
        f"<b>{plain(run.suite)}</b>, {plain(run.started_at)}",
        f"p50 {latency(m.p50_ms, m.p50_ms_low, m.p50_ms_high)}, {m.visits} visits, {m.disturbed_visits} disturbed",
        plain(", ".join(run.runtimes.values())),
    ]
    if point.step is not None:
        lines.append(f"a change of level: {relative(point.step)} against the run before")
    return "<br>".join(lines)
