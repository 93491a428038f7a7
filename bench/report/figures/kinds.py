"""Where the time of each network goes, by kind of layer, beside where its operations go."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from statistics import median
from typing import Any

from bench.records import Record
from bench.report.figures.figure import Figure, Subject
from bench.report.figures.frame import Frame, layout, plain, with_legend
from bench.report.figures.labels import shorter, text_width

LOOKS = {  # kind -> name, colour (Okabe and Ito), pattern as the second cue
    "standard": ("standard convolutions", "#0072B2", ""),
    "grouped": ("grouped convolutions", "#56B4E9", "/"),
    "pointwise": ("pointwise convolutions", "#009E73", ""),
    "depthwise": ("depthwise convolutions", "#D55E00", "\\"),
    "dense": ("dense layers", "#CC79A7", ""),
    "other": ("all else: activations, sums, pooling", "#B0B0B0", ""),
    "layout": ("layout: transposes and reorders", "#E69F00", "x"),
}

_PATTERN = {"size": 5, "solidity": 0.25, "fillmode": "overlay", "fgcolor": "#fff"}


def kinds_figure(records: list[Record], frame: Frame) -> dict[str, Any]:
    """A bar a network, the share of its time that each kind of layer takes; the slowest at the foot."""
    shown = [r for r in records if r.kinds_ms]
    shown.sort(key=lambda r: -(r.measurement.p50_ms if r.measurement else 0.0))
    texts = shorter([r.case.name for r in shown])
    names = [plain(texts[r.case.name]) for r in shown]
    data = []
    for kind, (label, colour, pattern) in LOOKS.items():
        data.append({
            "type": "bar", "orientation": "h", "name": label, "meta": "kinds",
            "y": names, "x": [100 * _share(r, kind) for r in shown],
            "customdata": [r.case.name for r in shown],
            "text": [_hover(r, kind) for r in shown], "textposition": "none",
            "hovertemplate": "%{text}<extra></extra>",
            "marker": {"color": colour, "pattern": _PATTERN | {"shape": pattern}},
        })  # fmt: skip
    longest = max((text_width(texts[r.case.name]) for r in shown), default=0.0)
    drawn = layout(
        frame,
        x={"title": {"text": "Share of the time of one inference [%]"}, "range": [0, 100]},
        y={"type": "category", "tickfont": {"size": max(8, frame.font - 2)}},
        barmode="stack", bargap=0.25,
    )  # fmt: skip
    drawn["margin"]["l"] = int(16 + longest * (frame.font - 2))
    drawn["height"] = frame.top + frame.bottom + max(120, 24 * len(shown))
    drawn["legend"]["traceorder"] = "normal"
    return with_legend(data, drawn)


def layout_tax(records: list[Record]) -> dict[str, float]:
    """The share of each profiled network's time that transposes and reorders take, by its name; the largest first."""
    shares = {r.case.name: _share(r, "layout") for r in records if r.kinds_ms}
    return dict(sorted(shares.items(), key=lambda pair: -pair[1]))


def _share(record: Record, kind: str) -> float:
    kinds = record.kinds_ms or {}
    return kinds.get(kind, 0.0) / (sum(kinds.values()) or 1.0)


def _hover(record: Record, kind: str) -> str:
    ms = (record.kinds_ms or {}).get(kind, 0.0)
    text = f"<b>{plain(record.case.name)}</b><br>{LOOKS[kind][0]}: {100 * _share(record, kind):.0f} % of the time"
    counted = (record.cost.by_kind or {}).get(kind) if record.cost else None
    if record.cost and counted and counted.mult_adds and ms:
        share = counted.mult_adds / max(record.cost.mult_adds, 1)
        gflops = 2 * counted.mult_adds * record.case.batch_size / ms / 1e6
        text += f", {100 * share:.0f} % of the mult-adds<br>{gflops:.1f} GFLOP/s"
    return text


def of_kinds(subject: Subject) -> Iterator[Figure]:
    """Where the time goes."""
    records = subject.records
    tax = layout_tax(records)
    if not tax:
        return
    unprofiled = [r.case.name for r in records if r.measurement and not r.kinds_ms]
    worst = next(iter(tax))
    yield Figure(
        id="kinds",
        title="Where the time goes",
        question=f"The layout tax: {100 * median(tax.values()):.1f} % of a typical network's time only changes layouts "
        f"(transposes and reorders), at most {100 * tax[worst]:.1f} %, in {worst}. Hover to compare a kind's share of "
        "the time with its share of the operations: where they differ, operations do not predict latency. Clocked node "
        "by node with ONNX Runtime's profiler: read the shares, not the sum.",
        draw=partial(kinds_figure, records),
        alternative="Share of the time of each network by kind of layer",
        notes=(f"Could not be profiled: {', '.join(unprofiled)}.",) if unprofiled else (),
    )
