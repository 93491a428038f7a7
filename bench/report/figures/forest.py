"""A forest plot: each model's change against the baseline, with the margin and what could have been seen."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import Any

from bench.records import Comparison, Verdict
from bench.report.figures.figure import Figure, Subject
from bench.report.figures.frame import Frame, layout, plain, with_legend
from bench.report.figures.labels import text_width
from bench.units import latency, relative

_LOOKS = {  # verdict -> colour, marker: the shape points where the change went
    "slower": ("#D55E00", "triangle-right"),
    "faster": ("#0072B2", "triangle-left"),
    "suspect": ("#E69F00", "diamond"),
    "equivalent": ("#009E73", "circle"),
    "inconclusive": ("#8a8a8a", "circle-open"),
}


_TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.33, 0.5, 0.67, 0.8, 0.9, 0.95, 0.97, 0.98, 0.99, 1.0, 1.01, 1.02, 1.03, 1.05,
          1.1, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0)  # fmt: skip
_MOST_TICKS = 9


def forest_figure(comparison: Comparison, frame: Frame) -> dict[str, Any]:
    """Ratios of the p50s with their 95 % intervals, the slowest on top, on a logarithmic axis, so that half as long and
    twice as long lie equally far from 1; the band is the margin."""
    shown = [v for v in comparison.verdicts if v.ratio is not None and v.verdict in _LOOKS]
    shown.sort(key=lambda v: v.ratio or 0.0)
    order = [plain(v.case) for v in shown]
    margin = 1 + comparison.margin
    data: list[dict[str, Any]] = []
    known = [v for v in shown if v.detectable is not None]
    if known:
        data.append({
            "type": "scatter", "mode": "markers", "name": "seen 4 times in 5 from", "meta": "detectable",
            "x": [(1 + (v.detectable or 0.0)) ** side for v in known for side in (-1, 1)],
            "y": [plain(v.case) for v in known for _ in range(2)],
            "customdata": [v.case for v in known for _ in range(2)],
            "hovertemplate": "changes from here on are seen 4 times in 5<extra></extra>",
            "marker": {"symbol": "line-ns", "size": 11, "line": {"width": 1.5, "color": "#999"}, "color": "#999"},
        })  # fmt: skip
    for verdict, (colour, symbol) in _LOOKS.items():
        mine = [v for v in shown if v.verdict == verdict]
        if mine:
            data.append(_trace(verdict, mine, colour, symbol))
    reach = [value for v in shown for value in (v.ratio_low, v.ratio_high) if value]
    reach += [(1 + (v.detectable or 0.0)) ** side for v in known for side in (-1, 1)]
    low, high = min([1 / margin, *reach]), max([margin, *reach])
    pad = (high / low) ** 0.06
    ticks = ratio_ticks(low / pad, high * pad)
    drawn = layout(
        frame,
        x={"title": {"text": "p50 now / p50 before; right is slower"}, "type": "log",
           "range": [math.log10(low / pad), math.log10(high * pad)],
           "tickmode": "array", "tickvals": ticks, "ticktext": [f"{value:g}x" for value in ticks]},
        y={"type": "category", "categoryorder": "array", "categoryarray": order, "range": [-0.6, len(order) - 0.4],
           "tickfont": {"size": max(8, frame.font - 2)}},
        shapes=[
            {"type": "rect", "x0": 1 / margin, "x1": margin, "yref": "paper", "y0": 0, "y1": 1, "line": {"width": 0},
             "fillcolor": "rgba(128,128,128,0.18)", "layer": "below"},
            {"type": "line", "x0": 1, "x1": 1, "yref": "paper", "y0": 0, "y1": 1,
             "line": {"color": "#888", "width": 1, "dash": "dot"}},
        ],
    )  # fmt: skip
    longest = max((text_width(v.case) for v in shown), default=0.0)
    drawn["margin"]["l"] = int(16 + (frame.font - 2) * longest)
    drawn["height"] = frame.top + frame.bottom + max(110, 24 * len(shown))
    return with_legend(data, drawn)


def ratio_ticks(low: float, high: float, most: float = _MOST_TICKS) -> list[float]:
    """Round ratios within a range, 1 among them, no two closer than it is long over `most`."""
    apart = math.log(high / low) / most
    ticks = [1.0]
    for value in sorted(_TICKS, key=lambda value: abs(math.log(value))):
        if low <= value <= high and all(abs(math.log(value / other)) >= apart for other in ticks):
            ticks.append(value)
    return sorted(ticks)


def _trace(verdict: str, mine: list[Verdict], colour: str, symbol: str) -> dict[str, Any]:
    return {
        "type": "scatter", "mode": "markers", "name": verdict, "meta": "verdicts",
        "x": [v.ratio for v in mine],
        "y": [plain(v.case) for v in mine],
        "customdata": [v.case for v in mine],
        "text": [_hover(v) for v in mine],
        "hovertemplate": "%{text}<extra></extra>",
        "marker": {"size": 11, "symbol": symbol, "color": colour, "line": {"width": 2, "color": colour}},
        "error_x": {
            "type": "data", "symmetric": False, "color": colour, "thickness": 1.6, "width": 4,
            "array": [(v.ratio_high or 1.0) - (v.ratio or 1.0) for v in mine],
            "arrayminus": [(v.ratio or 1.0) - (v.ratio_low or 1.0) for v in mine],
        },
    }  # fmt: skip


def _hover(v: Verdict) -> str:
    lines = [
        f"<b>{plain(v.case)}</b>: {v.verdict}",
        f"{relative(v.ratio or 1.0)} [{relative(v.ratio_low or 1.0)}, {relative(v.ratio_high or 1.0)}]",
    ]
    if v.baseline_p50_ms is not None and v.p50_ms is not None:
        lines.append(f"p50 {latency(v.baseline_p50_ms)} before, {latency(v.p50_ms)} now")
    if v.detectable is not None:
        lines.append(f"seen 4 times in 5 from {100 * v.detectable:.1f} %")
    lines += [f"what changed: {', '.join(v.attribution)}"] if v.attribution else []
    lines += [plain(v.reason)] if v.reason else []
    return "<br>".join(lines)


def of_comparison(subject: Subject) -> Iterator[Figure]:
    """The forest plot of a comparison; nothing where no model could be compared."""
    comparison = subject.comparison
    if comparison is None or all(v.ratio is None for v in comparison.verdicts):
        return
    yield Figure(
        id="forest",
        title="What changed",
        question=f"The band is the margin, {100 * comparison.margin:.1f} %: an interval inside it is equivalent. A "
        "change as large as the grey ticks is seen 4 times in 5.",
        draw=partial(forest_figure, comparison),
        alternative="Change of each model's p50 with its 95 % interval; every number is in the table of verdicts",
    )
