"""Throughput over what a suite sweeps: batch size, or threads."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from bench.analysis import quality
from bench.records import Record
from bench.report.families import family, hue, shape
from bench.report.figures.figure import TABLE, Figure, Subject
from bench.report.figures.frame import Frame, layout, plain, with_legend
from bench.report.figures.hover import every_number
from bench.store import json_text

TITLES = {"batch_size": "Batch size", "threads": "Threads"}
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash")


def sweeps(records: list[Record], key: str) -> dict[str, list[Record]]:
    """Cases that differ in nothing but `key` ("batch_size" or "threads"), by what they share; two or more of each."""
    groups: dict[str, dict[int, Record]] = defaultdict(dict)
    for record in records:
        value = getattr(record.case, key)
        if record.measurement and value is not None:
            changes: dict[str, Any] = {"name": "", key: 0}
            same = json_text(replace(record.case, **changes))
            groups[same].setdefault(value, record)
    by_sweep: dict[str, list[Record]] = {}
    for group in groups.values():
        if len(group) > 1:
            ordered = [group[value] for value in sorted(group)]
            name = re.sub(rf"\s*\b{key}=\d+", "", ordered[0].case.name).strip() or ordered[0].case.model
            by_sweep[name if name not in by_sweep else ordered[0].case.name] = ordered
    return by_sweep


def sweep_figure(records: list[Record], frame: Frame, key: str) -> dict[str, Any]:
    """Inferences a second with their 95 % intervals, a line for each group of cases."""
    data = []
    values: set[int] = set()
    seen: dict[str, int] = defaultdict(int)
    metric = quality.of(records)
    for name, group in sweeps(records, key).items():
        of = family(group[0].case)
        x = [getattr(r.case, key) for r in group]
        values |= set(x)
        measured = [(r.measurement, 1000 * r.case.batch_size) for r in group if r.measurement]
        data.append({
            "type": "scatter", "mode": "lines+markers", "name": plain(name), "legendgroup": of, "meta": "sweep",
            "x": x, "y": [m.throughput_per_s for m, _ in measured],
            "error_y": {
                "type": "data", "symmetric": False, "color": hue(of), "thickness": 1.2, "width": 4,
                "array": [work / m.p50_ms_low - m.throughput_per_s for m, work in measured],
                "arrayminus": [m.throughput_per_s - work / m.p50_ms_high for m, work in measured],
            },
            "customdata": [r.case.name for r in group],
            "text": [f"{every_number(r, metric)}<br>{m.throughput_per_s:,.1f} /s"
                     for r, (m, _) in zip(group, measured, strict=True)],
            "hovertemplate": "%{text}<extra></extra>",
            "line": {"color": hue(of), "dash": _DASHES[seen[of] % len(_DASHES)], "width": 1.5},
            "marker": {"size": 9, "symbol": shape(of), "color": hue(of)},
        })  # fmt: skip
        seen[of] += 1
    ticks = sorted(values)
    drawn = layout(
        frame,
        x={"title": {"text": TITLES[key]}, "type": "log", "tickvals": ticks, "ticktext": [str(v) for v in ticks]},
        y={"title": {"text": "Throughput [images/s]"}, "rangemode": "tozero"},
        showlegend=True,
    )
    drawn["height"] = frame.height - 120
    return with_legend(data, drawn)


def of_sweeps(subject: Subject) -> Iterator[Figure]:
    """Throughput over batch size and over threads."""
    records = subject.records
    questions = {
        "batch_size": "Does a larger batch pay? Images in a second, with 95 % intervals.",
        "threads": "Do more threads pay? Images in a second, with 95 % intervals.",
    }
    for key, question in questions.items():
        if sweeps(records, key):
            yield Figure(
                id=key,
                title=f"Throughput over {TITLES[key].lower()}",
                question=question,
                draw=partial(sweep_figure, records, key=key),
                alternative=f"Lines: images a second over {TITLES[key].lower()}; {TABLE}",
            )
