"""What a case holds under load: response time against rate, capacity against accuracy, instances against threads."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import Any

from bench.analysis import capacity, quality
from bench.analysis.front import dominators, pareto
from bench.analysis.quantities import QUANTITIES
from bench.records import Load, LoadSetup, Record
from bench.report.families import family, hue
from bench.report.figures.bubbles import cloud
from bench.report.figures.figure import TABLE, Figure, Subject, origin_notes
from bench.report.figures.frame import Frame, layout, log_axis, plain, with_legend
from bench.units import latency, quantity

_DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
_MOST_CURVES = 5  # in one figure; more cannot be told apart
_FURTHEST = 4.0  # times the limit that the axis goes up for a step that was far beyond it
_NOT_TRIED = "not tried"


def of_load(subject: Subject) -> Iterator[Figure]:
    """The figures of the cases that had a load put on them."""
    loaded = [record for record in subject.records if record.load]
    bent = [record for record in loaded if record.load and record.load.curve]
    for begin in range(0, len(bent), _MOST_CURVES):
        some = bent[begin : begin + _MOST_CURVES]
        yield Figure(
            id=f"load{begin // _MOST_CURVES or ''}", title="Response time against rate", short="Load",
            question="How many requests a second fit within the limit? Lines: p99 of the response time, waiting "
            "included, with its 95 % interval shaded, by the queue that all measured service times make. Dots: p99 as "
            "it was measured at one rate, with its 95 % interval. Capacity ends where a line crosses the dotted one.",
            draw=partial(hockey_stick, some),
            alternative=f"Lines: p99 of the response time against requests a second; {TABLE}",
            notes=tuple(f"{record.case.name}: {capacity.answer(record.load)}." for record in some if record.load),
        )  # fmt: skip
    held = [record for record in loaded if _rate(record)]
    if len(held) > 1:
        yield Figure(
            id="capacity", title="Accuracy against capacity", short="Capacity",
            question="Which model is the most accurate that holds my load? Up and to the right is better; models off "
            "the dotted Pareto front are pale, because another one holds more and is more accurate.",
            draw=partial(capacity_figure, subject.records),
            alternative=f"Bubbles: {quality.of(subject.records).label} against requests a second; {TABLE}",
            notes=origin_notes(held),
        )  # fmt: skip
    for number, record in enumerate(loaded):
        if record.load and len(record.load.setups) > 1:
            yield Figure(
                id=f"setups{number or ''}", title=f"Instances and threads of {record.case.name}",
                short=f"Instances x threads, {record.case.name}",
                question="Is it better to run many instances with few threads, or few with many? "
                + ("Images a second with all instances busy." if record.load.p99_limit_ms is None else
                   "Requests a second within the limit that each may hold, by a short look; the answer itself comes "
                   "from longer steps."),
                draw=partial(setups_figure, record),
                alternative="A heat map of instances against threads; its numbers are written in it",
            )  # fmt: skip


def _rate(record: Record) -> float | None:
    return QUANTITIES["rps"].read(record) or None


def hockey_stick(records: list[Record], frame: Frame) -> dict[str, Any]:
    """p99 of the response time against the rate: replayed with its interval, measured with its own, and the limit."""
    data: list[dict[str, Any]] = []
    limits: dict[float, None] = {}
    seen: dict[str, int] = {}
    tops = []
    for record in records:
        held = record.load
        if held is None:
            continue
        name, of = plain(record.case.name), family(record.case)
        colour, dash = hue(of), _DASHES[seen.get(of, 0) % len(_DASHES)]
        seen[of] = seen.get(of, 0) + 1
        limits |= {held.p99_limit_ms: None} if held.p99_limit_ms else {}
        data += _band(held, name, colour)
        data.append({
            "type": "scatter", "mode": "lines", "name": name, "legendgroup": name, "meta": "curve",
            "x": [point.rate_per_s for point in held.curve], "y": [point.p99_ms for point in held.curve],
            "text": [f"<b>{name}</b><br>at {quantity(p.rate_per_s, 'per_s')}<br>p50 {latency(p.p50_ms)}<br>p99 "
                     f"{latency(p.p99_ms, p.p99_ms_low, p.p99_ms_high)}" for p in held.curve],
            "hovertemplate": "%{text}<extra></extra>", "line": {"color": colour, "dash": dash, "width": 1.8},
        })  # fmt: skip
        data.append(_measured(held, name, colour))
        tops += [*(point.p99_ms for point in held.curve), held.p99_limit_ms or 0.0]
        measured = [step.p99_ms for step in held.steps if step.p99_ms is not None]
        tops += [min(p99, _FURTHEST * (held.p99_limit_ms or p99)) for p99 in measured]
    low = min(point.p99_ms_low for r in records if r.load for point in r.load.curve)
    high = 1.3 * max(tops)
    for limit in limits:
        data.append({
            "type": "scatter", "mode": "lines", "name": f"limit {latency(limit)}", "meta": "limit", "hoverinfo": "skip",
            "x": [0, 1.1 * max(p.rate_per_s for r in records if r.load for p in r.load.curve)], "y": [limit, limit],
            "line": {"dash": "dot", "color": "#888", "width": 1.5},
        })  # fmt: skip
    axis = log_axis(math.log10(0.8 * low), math.log10(high), frame, "p99 of the response time [ms], logarithmic")
    drawn = layout(frame, x={"title": {"text": "Requests a second"}, "rangemode": "tozero"}, y=axis, showlegend=True)
    return with_legend(data, drawn)


def _band(held: Load, name: str, colour: str) -> list[dict[str, Any]]:
    """The interval of the curve, shaded."""
    x = [point.rate_per_s for point in held.curve]
    both = [*(point.p99_ms_high for point in held.curve), *(point.p99_ms_low for point in reversed(held.curve))]
    return [{
        "type": "scatter", "mode": "lines", "name": name, "legendgroup": name, "showlegend": False, "meta": "band",
        "x": [*x, *reversed(x)], "y": both, "fill": "toself", "fillcolor": colour, "opacity": 0.18,
        "line": {"width": 0, "color": colour}, "hoverinfo": "skip",
    }]  # fmt: skip


def _measured(held: Load, name: str, colour: str) -> dict[str, Any]:
    """The steps as they were measured."""
    steps = [(step, step.p99_ms) for step in held.steps if step.p99_ms is not None]
    return {
        "type": "scatter", "mode": "markers", "name": name, "legendgroup": name, "showlegend": False,
        "meta": "measured", "x": [step.rate_per_s for step, _ in steps], "y": [p99 for _, p99 in steps],
        "error_y": {
            "type": "data", "symmetric": False, "color": colour, "thickness": 1.2, "width": 4,
            "array": [(step.p99_ms_high or p99) - p99 for step, p99 in steps],
            "arrayminus": [p99 - (step.p99_ms_low or p99) for step, p99 in steps],
        },
        "text": [
            f"<b>{name}</b>, measured<br>{step.requests:,} requests at {quantity(step.rate_per_s, 'per_s')}<br>p99 "
            f"{latency(p99, step.p99_ms_low, step.p99_ms_high)}<br>{100 * step.beyond:.2f} % beyond the limit"
            for step, p99 in steps
        ],
        "hovertemplate": "%{text}<extra></extra>", "marker": {"size": 7, "color": colour},
    }  # fmt: skip


def capacity_figure(records: list[Record], frame: Frame) -> dict[str, Any]:
    """Accuracy against requests a second within the limit."""
    rates = {id(r): rate for r in records if (rate := _rate(r))}
    shown = [r for r in records if id(r) in rates]

    def paid(record: Record) -> float | None:
        return -rates[id(record)] if id(record) in rates else None

    x = [rates[id(r)] for r in shown]
    low, high = math.log10(min(x)), math.log10(max(x))
    pad = max(0.06, 0.09 * (high - low))
    axis = log_axis(low - pad, high + 2 * pad, frame, "Requests a second within the limit, 95 % interval, logarithmic")
    best = sorted(pareto(shown, paid), key=lambda r: rates[id(r)])
    judged = quality.of(best)
    front = {
        "type": "scatter", "mode": "lines", "name": "Pareto front", "meta": "front", "hoverinfo": "skip",
        "x": [rates[id(r)] for r in best], "y": [judged.value(r) for r in best],
        "line": {"shape": "vh", "width": 1.5, "dash": "dot", "color": "#888"},
    }  # fmt: skip
    intervals = [QUANTITIES["rps"].interval_of(r) for r in shown]
    better = [dominators(r, shown, paid) for r in shown]
    drawn = cloud(shown, x, axis, records, frame, intervals=intervals, better=better)
    drawn["data"] = [front, *drawn["data"]]
    drawn["layout"]["meta"]["x"] = {"limit": "rps", "scale": 1.0}
    return drawn


def setups_figure(record: Record, frame: Frame) -> dict[str, Any]:
    """A heat map of what each setup may hold; of several batches the best one, which is named in its cell."""
    held = record.load
    cells: dict[tuple[int, int], LoadSetup] = {}
    offline = held is not None and held.p99_limit_ms is None
    for cell in held.setups if held else ():
        key = (cell.instances, cell.threads)
        if key not in cells or (_value(cell, offline) or 0) > (_value(cells[key], offline) or 0):
            cells[key] = cell
    instances, threads = (sorted({key[axis] for key in cells}) for axis in (0, 1))
    grid = [[cells.get((count, each)) for each in threads] for count in instances]
    values = [[_value(cell, offline) if cell else None for cell in row] for row in grid]
    data = [{
        "type": "heatmap", "x": [str(each) for each in threads], "y": [str(count) for count in instances],
        "z": values, "meta": "setups", "name": "setups", "showlegend": False, "colorscale": "Blues",
        "reversescale": True, "xgap": 2, "ygap": 2, "text": [[_in_cell(cell, offline) for cell in row] for row in grid],
        "texttemplate": "%{text}", "textfont": {"size": frame.font}, "zmin": 0,
        "hovertemplate": "%{y} instances of %{x} threads: %{text}<extra></extra>",
        "colorbar": {"title": {"text": "images/s" if offline else "requests/s"}, "thickness": 12},
    }]  # fmt: skip
    drawn = layout(
        frame,
        x={"title": {"text": "Threads of each instance"}, "type": "category"},
        y={"title": {"text": "Instances"}, "type": "category"},
    )
    drawn["margin"] = drawn["margin"] | {"b": 56, "r": 76 if frame.width > 600 else 60}
    drawn["height"] = drawn["margin"]["t"] + drawn["margin"]["b"] + max(120, 64 * len(instances))
    return {"data": data, "layout": drawn}


def _value(cell: LoadSetup, offline: bool) -> float | None:
    return cell.offline_per_s if offline else cell.rate_per_s


def _in_cell(cell: LoadSetup | None, offline: bool) -> str:
    if cell is None:
        return _NOT_TRIED
    if cell.refused:
        return "does not fit into the memory"
    value = _value(cell, offline)
    batch = f"<br>batches up to {cell.batch}" if cell.batch > 1 else ""
    return _NOT_TRIED if value is None else f"{quantity(value, 'per_s')}{batch}"
