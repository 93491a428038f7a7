"""The roofline: what each network achieves, under what the machine can do at most (Williams et al. 2009)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bench.analysis.roofline import Share
from bench.records import Record, Roofline
from bench.report.families import family, hue, in_order, shape
from bench.report.figures.frame import Frame, layout, log_axis, plain, with_legend
from bench.report.figures.named import Scales, names

Placed = list[tuple[Record, Share]]


def roof_figure(placed: Placed, roof: Roofline, frame: Frame) -> dict[str, Any]:
    """Achieved GFLOP/s against operations a byte, both logarithmic, with the bound."""
    ridge = roof.gflops / roof.gbytes_per_s  # the intensity from which arithmetic bounds
    intensities = [share.intensity for _, share in placed]
    ends = min(*intensities, ridge) / 1.6, max(*intensities, ridge) * 1.6
    bound = [(end, min(roof.gflops, roof.gbytes_per_s * end)) for end in (ends[0], ridge, ends[1])]
    achieved = [share.gflops for _, share in placed]
    x = log_axis(math.log10(ends[0]), math.log10(ends[1]), frame, "Operations a byte, logarithmic")
    low, high = min(*achieved, bound[0][1]), max(*achieved, roof.gflops)
    y = log_axis(math.log10(low) - 0.1, math.log10(high) + 0.1, frame, "Achieved [GFLOP/s], logarithmic")
    scales = Scales(x, y, frame)
    dots = [(v, min(roof.gflops, roof.gbytes_per_s * v)) for v in np.geomspace(*ends, 120)]
    data: list[dict[str, Any]] = [{
        "type": "scatter", "mode": "lines", "name": "what the machine can do at most", "meta": "roof",
        "hoverinfo": "skip", "x": [a for a, _ in bound], "y": [b for _, b in bound],
        "line": {"color": "#888", "width": 2},
    }]  # fmt: skip
    for name in in_order({family(record.case) for record, _ in placed}):
        mine = [(record, share) for record, share in placed if family(record.case) == name]
        data.append({
            "type": "scatter", "mode": "markers", "name": plain(name), "legendgroup": name, "meta": "roofed",
            "customdata": [record.case.name for record, _ in mine],
            "text": [_said(record, share) for record, share in mine], "hovertemplate": "%{text}<extra></extra>",
            "x": [share.intensity for _, share in mine], "y": [share.gflops for _, share in mine],
            "marker": {"size": 10, "symbol": shape(name), "color": hue(name), "line": {"width": 1, "color": "#fff"}},
        })  # fmt: skip
    notes = names([record for record, _ in placed], intensities, achieved, scales, scales.line(dots))
    return with_legend(data, layout(frame, x=x, y=y, annotations=notes))


def _said(record: Record, share: Share) -> str:
    return (
        f"<b>{plain(record.case.name)}</b><br>{share.gflops:.3g} GFLOP/s, {100 * share.share:.0f} % of its "
        f"{share.limit} bound of {share.bound_gflops:.3g}<br>{share.intensity:.3g} operations a byte"
    )
