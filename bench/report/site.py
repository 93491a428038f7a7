"""A folder of pages for many runs: an index, and a self-contained page each."""

from __future__ import annotations

from pathlib import Path

from bench.records import Run
from bench.report import Material
from bench.report.page import _environment as environment
from bench.report.page import render
from bench.store import slug, write_atomically


def write_site(material: Material, out: Path) -> Path:
    """Write `index.html` and a page a run into the folder; the newest run first. Returns the index."""
    out.mkdir(parents=True, exist_ok=True)
    newest_first = sorted(material.runs, key=lambda run: run.started_at, reverse=True)
    names: dict[str, Run] = {}
    for run in newest_first:
        name = base = slug(f"{run.started_at}-{run.suite}")
        number = 1
        while name in names:
            number += 1
            name = f"{base}-{number}"
        names[name] = run
        shown = (
            material.comparison
            if material.comparison and material.comparison.run_started_at == run.started_at
            else None
        )
        write_atomically(out / f"{name}.html", render(run, shown).encode())
    index = environment().get_template("index.html.j2").render(pages=names)
    write_atomically(out / "index.html", index.encode())
    return out / "index.html"
