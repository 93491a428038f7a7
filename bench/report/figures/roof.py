"""The roofline: what each network achieves, under what the machine can do at most (Williams et al. 2009)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from statistics import median
from typing import Any

import numpy as np

from bench.analysis import roofline
from bench.analysis.roofline import Share
from bench.records import Record, Roofline
from bench.report.families import family, hue, in_order, shape
from bench.report.figures.figure import Figure, Subject
from bench.report.figures.frame import Frame, layout, log_axis, plain, with_legend
from bench.report.figures.named import Scales, names
from bench.units import megabytes

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


def roofs(subject: Subject) -> Iterator[Figure]:
    """How much of the machine is used."""
    run = subject.run
    placed = [(record, share) for record in run.records if (share := roofline.share(record, run)) is not None]
    if run.roofline is None or not placed:
        return
    shares = [100 * share.share for _, share in placed]
    cache = run.roofline.cache_bytes
    cached = f" (the slope does not bind those whose data fit into {megabytes(cache)} of cache)" if cache else ""
    yield Figure(
        id="roof",
        title="How much of the machine is used?",
        question=f"The line is what it can do at most, measured through ONNX Runtime with the same threads: "
        f"{run.roofline.gflops:.3g} GFLOP/s of a large product of matrices, {run.roofline.gbytes_per_s:.3g} GB/s of "
        f"memory. A typical network reaches {median(shares):.0f} % of its bound, {min(shares):.0f} to "
        f"{max(shares):.0f} % in all; above the line, something is counted or measured wrong{cached}.",
        draw=partial(roof_figure, placed, run.roofline),
        alternative="Achieved GFLOP/s of each network against its operations a byte, under the roofline",
        notes=tuple(roofline.warnings(run)),
    )
