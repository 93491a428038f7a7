"""Pages: they open from a file, ask the network for nothing, and run only their own code."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined
from plotly.offline import get_plotlyjs

from bench import __version__, units
from bench.analysis import answer, candidates, choice, precision, quality, quantities, resampling, transfer, trust
from bench.analysis.comparison import conclusion
from bench.machine import facts as machine_facts
from bench.records import Comparison, Record, Run, Visit
from bench.report import Material, answers, contact, mobilenet, table
from bench.report.answers import Answers
from bench.report.drawings import figures
from bench.report.families import family, hue, in_order
from bench.report.figures import kinds
from bench.report.figures.bubbles import INK
from bench.report.figures.figure import Figure
from bench.store import write_atomically
from bench.suites import backbones

LIBRARY_FILE = "plotly.min.js"  # the one copy that all pages of a site share
SCRIPTS = ("pick.js", "state.js", "limits.js", "page.js", "side.js", "table.js")  # each uses what stands before it
Link = tuple[str, str]  # text, href

_STATIC = Path(__file__).parent / "static"
_STEPS = 200  # of a slider


def write_page(material: Material, out: Path) -> Path:
    """Write the page of the last run, self-contained."""
    run, earlier = material.runs[-1], material.earlier()
    said = answers.of_run(run, material.folder())
    text = render(run, material.comparison, material.visits(), earlier=earlier, said=said)
    write_atomically(out, text.encode(errors="replace"))
    return out


def render(
    run: Run,
    comparison: Comparison | None = None,
    visits: Sequence[Visit] = (),
    *,
    earlier: Sequence[Run] = (),
    said: Mapping[str, Answers] | None = None,
    library_file: str | None = None,
    links: Sequence[Link] = (),
) -> str:
    """The page of a run as HTML; the plotting library inside it, or in a file beside it.

    `said`: the answers of the networks that were judged on images, by case.
    """
    records = list(run.records)
    metric = quality.of(records)
    of_all_lower, lower = precision.in_common(precision.changes(run))
    return document(
        "run.html.j2",
        figures(run, visits, comparison, earlier, said),
        models=_models(run),
        library_file=library_file,
        links=links,
        run=run,
        trust=trust.stored(run),
        trust_lines=trust.in_words(run),
        images=transfer.in_words(run),
        comparison=comparison,
        quality=metric,
        headings=table.headings(metric),
        rows=table.rows(records),
        sliders=_sliders(run),
        likes=[c.case for c in candidates.candidates(run) if c.accuracy is not None],
        unmeasured=[one for one in quantities.limited().values() if one.how and not any(map(one.read, records))],
        said=[line.strip() for line in answer.in_words(choice.pick(run))],
        failed=[r for r in records if r.error],
        precisions=[precision.row(change) for change in lower],
        precision_notes=of_all_lower,
        precision_headings=precision.HEADINGS,
        looks=[(name, hue(name)) for name in in_order({family(r.case) for r in records})],
        families=_families(records),
        paper_tables=mobilenet.tables(run),
        sheet=contact.sheet(said or {}),
    )


def document(
    template: str,
    shown: Sequence[Figure],
    *,
    models: dict[str, Any] | None = None,
    library_file: str | None = None,
    links: Sequence[Link] = (),
    **context: Any,
) -> str:
    """A template filled in, with its figures drawn.

    The policy names the page's scripts by their hashes. A script in a file of its own can only be named by where it
    is: 'self', and file: for browsers to which files are no site.
    """
    script = _script()
    sources = [f"'{script_hash(script)}'"]
    if shown:
        sources = ["'self'", "file:", *sources] if library_file else [f"'{script_hash(get_plotlyjs())}'", *sources]
    return environment().get_template(template).render(
        figures=shown, models=_json(models or {}), data=_json({figure.id: figure.drawn() for figure in shown}),
        script=script, sources=" ".join(sources), library_file=library_file, library=get_plotlyjs(), links=links,
        **context,
    )  # fmt: skip


@cache
def environment() -> Environment:
    """The templates, with escaping on, the units as filters, and the style that all pages share."""
    made = Environment(
        loader=PackageLoader("bench.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    made.filters |= {"relative": units.relative, "latency": units.latency, "percent": units.percent}
    made.filters |= {"change": quantities.change_in_words, "conclusion": _conclusion}
    made.filters |= {"noise": _noise, "origins": _origins, "facts": machine_facts.rows, "identity": id}
    made.globals |= {"style": (_STATIC / "page.css").read_text(encoding="utf-8"), "version": __version__}
    return made


@cache
def _script() -> str:
    return "\n".join((_STATIC / name).read_text(encoding="utf-8") for name in SCRIPTS)


def _models(run: Run) -> dict[str, Any]:
    """What the page computes with: the candidates of the choice, what can be limited, and who is in which family."""
    return {
        "quality": quality.of(run.records).name,
        "candidates": msgspec.to_builtins(candidates.candidates(run)),
        "draws": msgspec.to_builtins(resampling.draws(run)),
        "trust": trust.stored(run).verdict,
        "limits": limits(),
        "ink": INK,
        "units": {name: asdict(unit) for name, unit in units.UNITS.items()},
        "families": {record.case.name: family(record.case) for record in run.records},
        **_side_by_side(run),
    }


def _side_by_side(run: Run) -> dict[str, Any]:
    """All figures of the measured models, for those that are held side by side."""
    metric = quality.of(run.records)
    shown = quantities.shown("page", metric)
    measured = [record for record in run.records if record.measurement]
    return {
        "quantities": [
            {"name": one.name, "label": one.label, "unit": one.unit, "better": one.better,
             "counted": any(one.read(replace(record, measurement=None)) is not None for record in measured)}
            for one in shown
        ],
        "known": {
            record.case.name: {
                one.name: [value, *(_interval(record, one, metric) or ())]
                for one in shown
                if (value := one.read(record)) is not None
            }
            for record in measured
        },
        "kinds": {record.case.name: record.kinds_ms for record in measured if record.kinds_ms},
        "kind_names": {kind: (label, colour) for kind, (label, colour, _) in kinds.LOOKS.items()},
    }  # fmt: skip


def _interval(record: Record, one: quantities.Quantity, metric: quality.Quality) -> tuple[float, float] | None:
    """The interval of a value; of a published accuracy that of the images behind it."""
    return candidates.accuracy_interval(record, metric) if one.name == metric.name else one.interval_of(record)


def limits() -> dict[str, Any]:
    """What the page knows of each quantity that can be limited."""
    return {
        name: {
            "label": one.label, "unit": one.unit, "at_least": one.at_least, "accuracy": one.metric is not None,
            "how": one.how,
        }
        for name, one in quantities.limited().items()
    }  # fmt: skip


def _sliders(run: Run) -> list[dict[str, Any]]:
    """A slider for each quantity in which the run's models differ, from below the least to above the most."""
    sliders = []
    for name, limit in quantities.limited().items():
        values = [value for r in run.records if r.measurement and (value := limit.read(r)) is not None]
        if values and min(values) < max(values):
            low, high = max(0.0, min(values) - 2), min(100.0, max(values) + 2)
            if limit.unit != "percent":  # in ratios, which 0 has none of: what has none meets the lowest step too
                low, high = 0.9 * min(value for value in values if value > 0), 1.1 * max(values)
            sliders.append({"name": name, "label": limit.label, "at_least": limit.at_least, "steps": _STEPS,
                          "low": low, "high": high})  # fmt: skip
    return sliders


def _families(records: list[Record]) -> list[tuple[str, dict[str, Any]]]:
    """The facts of each family in the run, once."""
    families: dict[str, dict[str, Any]] = {}
    for record in records:
        about = backbones().get(record.case.model)
        if about and family(record.case) not in families:
            families[family(record.case)] = about
    return list(families.items())


def _conclusion(comparison: Comparison) -> str:
    said = "; ".join(conclusion(comparison)) or "no model is slower"
    return said[0].upper() + said[1:]


def _noise(run: Run) -> float | None:
    """The median half-width of the p50 intervals, as a share."""
    widths = sorted(
        (r.measurement.p50_ms_high - r.measurement.p50_ms_low) / (2 * r.measurement.p50_ms)
        for r in run.records
        if r.measurement
    )
    return widths[len(widths) // 2] if widths else None


def _origins(run: Run) -> str:
    """Where the accuracies come from, e.g. "11 published, 1 none"."""
    counts: dict[str, int] = {}
    for record in run.records:
        counts[record.accuracy.origin] = counts.get(record.accuracy.origin, 0) + 1
    return ", ".join(f"{count} {origin if origin != 'none' else 'unknown'}" for origin, count in sorted(counts.items()))


def _json(value: Any) -> str:
    """JSON that cannot end its script element or begin a comment."""
    text = json.dumps(value, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


@cache
def script_hash(script: str) -> str:
    """A script as a content security policy names it."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
