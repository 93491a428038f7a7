"""p50 against operations: a straight line through the logarithms, and how far each family lies from it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

import numpy as np

from bench.analysis import quality
from bench.records import Record
from bench.report.families import family, hue, in_order, shape
from bench.report.figures.figure import TABLE, Figure, Subject
from bench.report.figures.frame import Frame, layout, log_axis, plain, with_legend
from bench.report.figures.hover import every_number
from bench.report.figures.named import Scales, names

_SPREAD = 1.5  # from the least to the most operations; over less, noise makes any slope


@dataclass(frozen=True, kw_only=True, slots=True)
class Fit:
    """The least-squares line ln p50 = ln a + b ln(operations), through networks that were timed alike."""

    records: tuple[Record, ...]
    gops: tuple[float, ...]  # of one inference, the whole batch
    factor: float  # p50 in ms at 1 G-Op
    exponent: float
    r2: float  # share of the variance of ln p50 that the line explains
    ratios: tuple[float, ...]  # measured over fitted p50, one a record

    def p50_ms(self, gops: float) -> float:
        """What the line predicts."""
        return float(self.factor * gops**self.exponent)


def fit(records: list[Record]) -> Fit | None:
    """The line through the largest set that was timed alike (precision, batch, device, threads).

    None under four, or where their operations are nearly the same.
    """
    usable = [r for r in records if r.measurement and r.cost and r.cost.mult_adds > 0 and not r.cost.is_lower_bound]
    if not usable:
        return None
    (alike, count), *_ = Counter(map(_conditions, usable)).most_common(1)
    used = [r for r in usable if _conditions(r) == alike]
    gops = [2 * r.cost.mult_adds * r.case.batch_size / 1e9 for r in used if r.cost]
    if count < 4 or max(gops) < _SPREAD * min(gops):
        return None
    x, y = np.log(gops), np.log([r.measurement.p50_ms for r in used if r.measurement])
    exponent, constant = np.polyfit(x, y, 1)
    residuals = y - constant - exponent * x
    return Fit(
        records=tuple(used),
        gops=tuple(gops),
        factor=math.exp(constant),
        exponent=float(exponent),
        r2=1 - float((residuals**2).sum() / ((y - y.mean()) ** 2).sum()),
        ratios=tuple(float(value) for value in np.exp(residuals)),
    )


def _conditions(record: Record) -> tuple[object, ...]:
    return record.case.precision, record.case.batch_size, record.case.device, record.case.threads


def _axis(values: list[float], title: str, frame: Frame, pad: float = 0.08) -> dict[str, Any]:
    return log_axis(math.log10(min(values)) - pad, math.log10(max(values)) + pad, frame, title)


def fit_figure(fitted: Fit, frame: Frame) -> dict[str, Any]:
    """Measured p50 with its interval against operations, both logarithmic, with the line."""
    p50 = [r.measurement for r in fitted.records if r.measurement]
    x = _axis(list(fitted.gops), "Operations of one inference [G-Ops], logarithmic", frame, 0.15)
    y = _axis([v for m in p50 for v in (m.p50_ms_low, m.p50_ms_high)], "Measured p50 [ms], logarithmic", frame, 0.1)
    scales = Scales(x, y, frame)
    bars = [
        (scales.across(g) - 3, scales.up(m.p50_ms_low), scales.across(g) + 3, scales.up(m.p50_ms_high))
        for g, m in zip(fitted.gops, p50, strict=True)
    ]
    ends = [10 ** x["range"][0], 10 ** x["range"][1]]
    bars += scales.line([(g, fitted.p50_ms(g)) for g in np.geomspace(ends[0], ends[1], 90)])
    line = {
        "type": "scatter", "mode": "lines", "name": "least-squares fit", "meta": "fit", "hoverinfo": "skip",
        "x": ends, "y": [fitted.p50_ms(end) for end in ends], "line": {"dash": "dot", "color": "#888", "width": 1.5},
    }  # fmt: skip
    data = [line]
    for trace, index in _per_family(fitted, "fitted"):
        mine = [p50[i] for i in index]
        trace |= {
            "x": [fitted.gops[i] for i in index],
            "y": [m.p50_ms for m in mine],
            "error_y": {
                "type": "data", "symmetric": False, "color": trace["marker"]["color"], "thickness": 1.2, "width": 3,
                "array": [m.p50_ms_high - m.p50_ms for m in mine],
                "arrayminus": [m.p50_ms - m.p50_ms_low for m in mine],
            },
        }  # fmt: skip
        data.append(trace)
    notes = names(fitted.records, fitted.gops, [m.p50_ms for m in p50], scales, bars)
    return with_legend(data, layout(frame, x=x, y=y, annotations=notes))


def residuals_figure(fitted: Fit, frame: Frame) -> dict[str, Any]:
    """Measured over fitted p50, a row a family, the slowest for its operations on top."""
    middles = {
        name: median(ratio for r, ratio in zip(fitted.records, fitted.ratios, strict=True) if family(r.case) == name)
        for name in {family(r.case) for r in fitted.records}
    }
    order = sorted(middles, key=lambda name: (middles[name], name))
    data = [
        trace | {"x": [fitted.ratios[i] for i in index], "y": [trace["name"]] * len(index), "showlegend": False}
        for trace, index in _per_family(fitted, "residuals")
    ]
    x = _axis([0.9, 1.1, *fitted.ratios], "Measured p50 over the fit's, logarithmic", frame)
    drawn = layout(
        frame, x=x, y={"type": "category", "categoryorder": "array", "categoryarray": [plain(name) for name in order],
                       "range": [-0.6, len(order) - 0.4], "showgrid": True},
        shapes=[{"type": "line", "x0": 1, "x1": 1, "yref": "paper", "y0": 0, "y1": 1,
                 "line": {"dash": "dot", "color": "#888", "width": 1.5}}],
    )  # fmt: skip
    drawn["margin"] |= {"l": int(20 + 0.6 * frame.font * max(map(len, order), default=0)), "b": 60}
    drawn["height"] = frame.top + 60 + max(120, 26 * len(order))
    return {"data": data, "layout": drawn}


def _per_family(fitted: Fit, meta: str) -> list[tuple[dict[str, Any], list[int]]]:
    """For each family a trace without its coordinates, and which records it holds."""
    families = [family(r.case) for r in fitted.records]
    metric = quality.of(fitted.records)
    traces: list[tuple[dict[str, Any], list[int]]] = []
    for name in in_order(set(families)):
        index = [i for i, other in enumerate(families) if other == name]
        traces.append(({
            "type": "scatter", "mode": "markers", "name": plain(name), "legendgroup": name, "meta": meta,
            "customdata": [fitted.records[i].case.name for i in index],
            "text": [f"{every_number(fitted.records[i], metric)}<br>{fitted.ratios[i]:.2f} x what the fit says"
                     for i in index],
            "hovertemplate": "%{text}<extra></extra>",
            "marker": {"size": 10, "symbol": shape(name), "color": hue(name), "line": {"width": 1, "color": "#fff"}},
        }, index))  # fmt: skip
    return traces


def fits(subject: Subject) -> Iterator[Figure]:
    """Whether operations predict latency, and what they miss."""
    fitted = fit(subject.records)
    if fitted is None:
        return
    off = 100 * (median(max(ratio, 1 / ratio) for ratio in fitted.ratios) - 1)
    least, most = min(fitted.ratios), max(fitted.ratios)
    yield Figure(
        id="fit",
        title="Do operations predict latency?",
        question=f"The line is the best straight one: p50 = {fitted.factor:.3g} ms x G-Ops^{fitted.exponent:.2f}, "
        f"R² = {fitted.r2:.2f}. Half of the networks lie more than {off:.0f} % off it, from {least:.2f} to {most:.2f} "
        "times what it says: choose by measured time.",
        draw=partial(fit_figure, fitted),
        alternative=f"Measured p50 against G-Ops, both logarithmic, with a straight line; {TABLE}",
    )
    yield Figure(
        id="residuals",
        title="Which families are slower than their operations?",
        question="How far each network lies from that line, a row a family. Right of the dotted line: slower than its "
        "operations promise.",
        draw=partial(residuals_figure, fitted),
        alternative="Measured over fitted p50 of each network, a row a family",
    )
