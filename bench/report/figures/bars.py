"""Bars, one a network: its accuracy (Canziani et al. 2016, Figure 1), and its accuracy per parameter."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from bench.analysis import quality
from bench.records import Record
from bench.report.families import family, hue, in_order
from bench.report.figures.figure import TABLE, Figure, Subject, is_measured
from bench.report.figures.frame import Frame, accuracy_range, layout, plain
from bench.report.figures.hover import accuracy, every_number
from bench.report.figures.labels import shorter
from bench.units import significant

_PATTERN = {"size": 5, "solidity": 0.3, "fillmode": "overlay", "fgcolor": "#fff"}


def accuracy_figure(records: list[Record], frame: Frame) -> dict[str, Any]:
    """Figure 1: the networks from worst to best, in the hues and on the accuracy axis of Figure 2."""
    metric = quality.of(records)
    heights = {r.case.name: value for r in records if (value := metric.value(r)) is not None}
    known = [r for r in records if r.case.name in heights]
    hovers = {r.case.name: f"{plain(r.case.name)}<br>{accuracy(r, metric)}" for r in known}
    drawn = _bars(known, heights, hovers, frame, metric.title, accuracy_range(records), "{:.1f}")
    drawn["layout"]["meta"] = {"y": {"limit": metric.name, "scale": 1}}
    spans = {r.case.name: metric.interval(r) for r in known}
    for trace in drawn["data"]:
        mine = [(spans[name], heights[name]) for name in trace["customdata"]]
        trace["error_y"] = {
            "type": "data",
            "symmetric": False,
            "array": [span[1] - middle if span else None for span, middle in mine],
            "arrayminus": [middle - span[0] if span else None for span, middle in mine],
            "visible": any(span for span, _ in mine),
        }
        trace["textposition"] = ["inside" if span else "outside" for span, _ in mine]
        trace["insidetextanchor"] = "start"
    return drawn


def density_figure(records: list[Record], frame: Frame) -> dict[str, Any]:
    """Accuracy density: percentage points for each million parameters, from least to most."""
    metric = quality.of(records)
    heights = {
        r.case.name: 1e6 * value / r.cost.params
        for r in records
        if (value := metric.value(r)) is not None and r.cost and r.cost.params
    }
    known = [r for r in records if r.case.name in heights]
    hovers = {
        r.case.name: f"{every_number(r, metric)}<br>{significant(heights[r.case.name])} points a million parameters"
        for r in known
    }
    top = 1.15 * max(heights.values(), default=1.0)
    title = f"{metric.label[0].upper()}{metric.label[1:]} per million parameters"
    return _bars(known, heights, hovers, frame, title, (0.0, top), None)


def _bars(
    known: list[Record],
    heights: dict[str, float],
    hovers: dict[str, str],
    frame: Frame,
    title: str,
    span: tuple[float, float],
    text: str | None,
) -> dict[str, Any]:
    """A bar a record, from lowest to highest, measured ones hatched. `text` formats what is written on top."""
    ordered = sorted(known, key=lambda r: (heights[r.case.name], r.case.name))
    texts = shorter([r.case.name for r in ordered])
    order = [plain(texts[r.case.name]) for r in ordered]
    data = []
    for name in in_order({family(r.case) for r in known}):
        mine = [r for r in ordered if family(r.case) == name]
        data.append({
            "type": "bar",
            "name": plain(name),
            "legendgroup": name,
            "meta": "bars",
            "x": [plain(texts[r.case.name]) for r in mine],
            "y": [heights[r.case.name] for r in mine],
            "customdata": [r.case.name for r in mine],
            "text": [text.format(heights[r.case.name]) if text else significant(heights[r.case.name]) for r in mine],
            "textposition": "outside",
            "textangle": 0 if len(known) <= 20 and frame.width > 600 else -90,
            "cliponaxis": False,
            "hovertext": [hovers[r.case.name] for r in mine],
            "hovertemplate": "%{hovertext}<extra></extra>",
            "marker": {
                "color": hue(name),
                "opacity": 0.8,
                "pattern": _PATTERN | {"shape": ["/" if r.accuracy.origin == "measured" else "" for r in mine]},
            },
        })  # fmt: skip
    axis = {
        "categoryorder": "array",
        "categoryarray": order,
        "type": "category",
        "tickangle": -90 if len(known) > 14 or frame.width < 600 else -45,
        "range": [-0.6, len(known) - 0.4],
        "tickfont": {"size": max(8, frame.font - (2 if len(known) > 20 else 1))},
    }
    longest = max((len(name) for name in order), default=0)
    drawn = layout(frame, x=axis, y={"title": {"text": title}, "range": list(span)}, barmode="overlay", bargap=0.25)
    drawn["margin"]["b"] = int(28 + longest * frame.font * (0.56 if axis["tickangle"] == -90 else 0.46))
    drawn["height"] = frame.plot[1] + frame.top + drawn["margin"]["b"]
    drawn["margin"]["t"] = frame.top + 18
    drawn["showlegend"] = False
    return {"data": data, "layout": drawn}


def accuracies(subject: Subject) -> Iterator[Figure]:
    """Figure 1."""
    records = subject.records
    metric = quality.of(records)
    if any(metric.value(r) is not None for r in records):
        yield Figure(
            id="accuracy",
            title="Figure 1: accuracy of each network",
            question="The accuracies that the other figures stand on, from worst to best. The axis does not begin "
            "at 0.",
            draw=partial(accuracy_figure, records),
            alternative=f"Bars: {metric.label} of each network, from worst to best; {TABLE}",
            notes=("Hatched bars with an interval were measured here.",) if any(map(is_measured, records)) else (),
        )


def densities(subject: Subject) -> Iterator[Figure]:
    """Accuracy per parameter."""
    records = subject.records
    metric = quality.of(records)
    if any(metric.value(r) is not None and r.cost and r.cost.params for r in records):
        yield Figure(
            id="density",
            title="Accuracy density",
            question="Which networks use their parameters best? Percentage points for each million parameters.",
            draw=partial(density_figure, records),
            alternative=f"Bars: {metric.label} per million parameters; {TABLE}",
        )
