"""Top-1 per network (Canziani et al. 2016, Figure 1)."""

from __future__ import annotations

from typing import Any

from bench.records import Record
from bench.report.families import family, hue, in_order
from bench.report.figures.frame import Frame, accuracy_range, layout, plain
from bench.units import percent


def accuracy_figure(records: list[Record], frame: Frame) -> dict[str, Any]:
    """Figure 1: a bar a network from worst to best, in the hues and on the accuracy axis of Figure 2."""
    known = sorted((r for r in records if r.accuracy.top1 is not None), key=lambda r: (r.accuracy.top1, r.case.name))
    low, high = accuracy_range(records)
    order = [plain(r.case.name) for r in known]
    data = []
    for name in in_order({family(r.case) for r in known}):
        mine = [r for r in known if family(r.case) == name]
        data.append({
            "type": "bar",
            "name": plain(name),
            "legendgroup": name,
            "meta": "bars",
            "x": [plain(r.case.name) for r in mine],
            "y": [r.accuracy.top1 for r in mine],
            "customdata": [r.case.name for r in mine],
            "text": [f"{r.accuracy.top1:.1f}" for r in mine],
            "textposition": "outside",
            "textangle": 0 if len(known) <= 20 and frame.width > 600 else -90,
            "cliponaxis": False,
            "hovertext": [_hover(r) for r in mine],
            "hovertemplate": "%{hovertext}<extra></extra>",
            "marker": {"color": hue(name), "opacity": 0.8},
            "error_y": {
                "type": "data",
                "symmetric": False,
                "array": [(r.accuracy.top1_high or r.accuracy.top1 or 0) - (r.accuracy.top1 or 0) for r in mine],
                "arrayminus": [(r.accuracy.top1 or 0) - (r.accuracy.top1_low or r.accuracy.top1 or 0) for r in mine],
                "visible": any(r.accuracy.top1_low is not None for r in mine),
            },
        })  # fmt: skip
    x = {
        "categoryorder": "array",
        "categoryarray": order,
        "type": "category",
        "tickangle": -90 if len(known) > 14 or frame.width < 600 else -45,
        "range": [-0.6, len(known) - 0.4],
        "tickfont": {"size": max(8, frame.font - (2 if len(known) > 20 else 1))},
    }
    longest = max((len(name) for name in order), default=0)
    drawn = layout(
        frame, x=x, y={"title": {"text": "Top-1 accuracy [%]"}, "range": [low, high]}, barmode="overlay", bargap=0.25
    )
    drawn["margin"]["b"] = int(28 + longest * frame.font * (0.56 if x["tickangle"] == -90 else 0.46))
    drawn["height"] = frame.plot[1] + frame.top + drawn["margin"]["b"]
    drawn["margin"]["t"] = frame.top + 18
    drawn["showlegend"] = False
    return {"data": data, "layout": drawn}


def _hover(record: Record) -> str:
    accuracy = record.accuracy
    return f"{plain(record.case.name)}: {percent(accuracy.top1 or 0.0)}<br>{plain(accuracy.source or accuracy.origin)}"
