"""The machines of a fleet in one figure: a marker's shape and colour are its machine, and the legend is the filter."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from bench.analysis import quality
from bench.analysis.everywhere import Versus
from bench.analysis.quality import Quality
from bench.records import Record, Run
from bench.report.figures.frame import Frame, accuracy_range, layout, log_axis, plain, with_legend
from bench.units import latency, percent, significant

LOOKS = (  # colour, marker: one a machine, in turn
    ("#0072B2", "circle"), ("#D55E00", "square"), ("#009E73", "diamond"), ("#AA4499", "hexagon"),
    ("#96700A", "triangle-up"), ("#808080", "cross"), ("#56B4E9", "star"), ("#CC3311", "triangle-down"),
)  # fmt: skip


def tradeoff_figure(runs: Mapping[str, Run], frame: Frame) -> dict[str, Any]:
    """Accuracy against p50 with its interval, a trace a machine; a model without an accuracy lies at the foot."""
    everything = [record for run in runs.values() for record in run.records]
    metric = quality.of(everything)
    low, high = accuracy_range(everything)
    data = []
    for number, (machine, run) in enumerate(runs.items()):
        measured = [record for record in run.records if record.measurement]
        y = [low if (value := metric.value(record)) is None else value for record in measured]
        data.append(_trace(number, machine, measured, y, metric))
    p50s = [r.measurement.p50_ms for r in everything if r.measurement] or [1.0, 10.0]
    least, most = math.log10(min(p50s)), math.log10(max(p50s))
    pad = max(0.06, 0.06 * (most - least))
    title = "Measured latency p50 [ms], 95 % interval, logarithmic"
    drawn = layout(
        frame, x=log_axis(least - pad, most + pad, frame, title),
        y={"title": {"text": f"{metric.label} [%]"}, "range": [low - 1, high + 1]}, showlegend=True,
    )  # fmt: skip
    return with_legend(data, drawn)


def _trace(number: int, machine: str, records: Sequence[Record], y: Sequence[float], metric: Quality) -> dict[str, Any]:
    colour, symbol = LOOKS[number % len(LOOKS)]
    measured = [record.measurement for record in records if record.measurement]
    known = [metric.value(record) is not None for record in records]
    return {
        "type": "scatter", "mode": "markers", "name": plain(machine), "meta": "machine",
        "x": [m.p50_ms for m in measured], "y": list(y), "customdata": [record.case.name for record in records],
        "text": [_hover(record, machine, metric) for record in records],
        "hovertemplate": "%{text}<extra></extra>",
        "marker": {"size": 10, "color": colour, "symbol": [symbol if has else f"{symbol}-open" for has in known]},
        "error_x": {
            "type": "data", "symmetric": False, "color": colour, "thickness": 1.2, "width": 3,
            "array": [m.p50_ms_high - m.p50_ms for m in measured],
            "arrayminus": [m.p50_ms - m.p50_ms_low for m in measured],
        },
    }  # fmt: skip


def _hover(record: Record, machine: str, metric: Quality) -> str:
    value, m = metric.value(record), record.measurement
    lines = [f"<b>{plain(record.case.name)}</b> on {plain(machine)}"]
    if m is not None:
        lines.append(f"p50 {latency(m.p50_ms, m.p50_ms_low, m.p50_ms_high)}")
    lines.append(f"{metric.label} {'not known' if value is None else percent(value)}")
    return "<br>".join(lines)


def ratios_figure(against: Sequence[Versus], frame: Frame) -> dict[str, Any]:
    """Each model's p50 over that on the reference machine with its interval, by the size of the network."""
    data, sizes, values = [], [], [1.0]
    for number, versus in enumerate(against, start=1):
        colour, symbol = LOOKS[number % len(LOOKS)]
        shown = [ratio for ratio in versus.ratios if ratio.mult_adds]
        sizes += [2e-9 * (ratio.mult_adds or 0) for ratio in shown]
        values += [end for ratio in shown for end in (ratio.low, ratio.high)]
        data.append({
            "type": "scatter", "mode": "markers", "name": plain(f"{versus.machine} over {versus.reference}"),
            "meta": "ratio", "x": [2e-9 * (ratio.mult_adds or 0) for ratio in shown],
            "y": [ratio.ratio for ratio in shown], "customdata": [ratio.case for ratio in shown],
            "text": [
                f"<b>{plain(r.case)}</b><br>{significant(r.ratio)} times [{significant(r.low)}, {significant(r.high)}]"
                for r in shown
            ],
            "hovertemplate": "%{text}<extra></extra>",
            "marker": {"size": 9, "color": colour, "symbol": symbol},
            "error_y": {
                "type": "data", "symmetric": False, "color": colour, "thickness": 1.2, "width": 3,
                "array": [ratio.high - ratio.ratio for ratio in shown],
                "arrayminus": [ratio.ratio - ratio.low for ratio in shown],
            },
        })  # fmt: skip
    least, most = (math.log10(min(sizes)), math.log10(max(sizes))) if sizes else (0.0, 1.0)
    low, high = math.log10(min(values)) - 0.05, math.log10(max(values)) + 0.05
    drawn = layout(
        frame, x=log_axis(least - 0.1, most + 0.1, frame, "Operations [G-Ops], logarithmic"),
        y=log_axis(low, high, frame, "p50 over that of the reference"), showlegend=True,
    )  # fmt: skip
    return with_legend(data, drawn)
