"""One run as one self-contained page: opens from a file, asks the network for nothing, runs only its own code."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from plotly.offline import get_plotlyjs

from bench import units
from bench.records import Comparison, Record, Run
from bench.report import Material, mobilenet, table
from bench.report.families import family
from bench.report.figures import bars, bubbles
from bench.report.figures.frame import FRAMES, Frame
from bench.report.figures.kinds import kinds_figure
from bench.report.figures.promise import promise_figure
from bench.store import write_atomically
from bench.suites import facts

_STATIC = Path(__file__).parent / "static"

Drawing = Callable[[list[Record], Frame], dict[str, Any]]

FIGURES: tuple[tuple[str, str, str, Drawing], ...] = (
    (
        "latency",
        "Accuracy against measured latency",
        "Which model is the most accurate within my time? Up and to the left is better; models off the dotted Pareto "
        "front are pale, because another one is both faster and more accurate.",
        bubbles.latency_figure,
    ),
    (
        "operations",
        "Figure 2: accuracy against operations",
        "How much accuracy does an operation buy? The area of a bubble is proportional to the number of parameters; "
        "grey bubbles give the scale.",
        bubbles.operations_figure,
    ),
    (
        "accuracy",
        "Figure 1: accuracy of each network",
        "The top-1 accuracies that the other figures stand on, from worst to best. The axis does not begin at 0.",
        bars.accuracy_figure,
    ),
)


def write_page(material: Material, out: Path) -> Path:
    """Write the page of the last run."""
    write_atomically(out, render(material.runs[-1], material.comparison).encode())
    return out


def render(run: Run, comparison: Comparison | None = None) -> str:
    """The page as HTML."""
    records = list(run.records)
    script = (_STATIC / "page.js").read_text(encoding="utf-8")
    library = get_plotlyjs()
    figures = [
        {"id": name, "title": title, "question": question, "drawn": {f.name: draw(records, f) for f in FRAMES}}
        for name, title, question, draw in FIGURES
    ]
    drawn = {figure["id"]: figure["drawn"] for figure in figures}
    profiled = any(record.kinds_ms for record in records)
    if profiled:
        drawn["kinds"] = {frame.name: kinds_figure(records, frame) for frame in FRAMES}
    promises = mobilenet.promises(run)
    if promises:
        drawn["promise"] = {frame.name: promise_figure(promises, frame) for frame in FRAMES}
    page = environment().get_template("run.html.j2")
    return page.render(
        run=run,
        comparison=comparison,
        headings=table.HEADINGS,
        rows=table.rows(records),
        figures=figures,
        best=_front(records),
        failed=[r for r in records if r.error],
        without_accuracy=[r for r in records if r.accuracy.top1 is None],
        origins=sorted({r.accuracy.origin for r in records}),
        families=_families(records),
        noise=_noise(records),
        paper_tables=mobilenet.tables(run),
        promises=promises,
        profiled=profiled,
        unprofiled=[r for r in records if r.measurement and not r.kinds_ms],
        worst_promise=min(promises, key=lambda p: p.measured / p.promised, default=None),
        data=_json(drawn),
        script=script,
        library=library,
        hashes=[_hash(script), _hash(library)],
    )


def environment() -> Environment:
    """The templates, with escaping on, the units as filters, and the style that all pages share."""
    found = Environment(
        loader=PackageLoader("bench.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    found.filters |= {"relative": units.relative, "latency": units.latency, "percent": units.percent}
    found.globals["style"] = (_STATIC / "page.css").read_text(encoding="utf-8")
    return found


def _front(records: list[Record]) -> list[Record]:
    """The Pareto front, fastest first."""
    best = [r for r in records if r.measurement and r.accuracy.top1 is not None and not bubbles.dominators(r, records)]
    return sorted(best, key=lambda r: r.measurement.p50_ms if r.measurement else 0.0)


def _families(records: list[Record]) -> list[tuple[str, dict[str, Any]]]:
    """The facts of each family in the run, once."""
    found: dict[str, dict[str, Any]] = {}
    for record in records:
        about = facts().get(record.case.model)
        if about and family(record.case) not in found:
            found[family(record.case)] = about
    return list(found.items())


def _noise(records: list[Record]) -> float | None:
    """The median half-width of the p50 intervals, as a share."""
    widths = sorted(
        (r.measurement.p50_ms_high - r.measurement.p50_ms_low) / (2 * r.measurement.p50_ms)
        for r in records
        if r.measurement
    )
    return widths[len(widths) // 2] if widths else None


def _json(value: Any) -> str:
    """JSON that cannot end its script element or begin a comment."""
    text = json.dumps(value, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _hash(script: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
