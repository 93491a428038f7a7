"""A folder of pages for many runs: an index, a page a run, a page a comparison, a page a model's history."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from plotly.offline import get_plotlyjs

from bench.analysis.comparison import compare
from bench.analysis.history import MARGIN, Series, histories
from bench.errors import NotComparable
from bench.records import Comparison, Run
from bench.report import Material, answers, guide
from bench.report.families import family
from bench.report.figures.figure import Figure, Subject
from bench.report.figures.forest import of_comparison
from bench.report.figures.trend import trend_figure
from bench.report.page import LIBRARY_FILE, Link, document, render
from bench.store import machine_name, slug, verdicts, write_atomically

_INDEX: Link = ("All runs and models", "index.html")


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One run of the site."""

    run: Run
    page: str  # file name
    comparison: Comparison | None  # with the run before it, or the stored baseline
    comparison_page: str
    before: Run | None

    @property
    def verdicts(self) -> str:
        """E.g. "11 equivalent, 1 slower"."""
        counts = Counter(v.verdict for v in self.comparison.verdicts) if self.comparison else {}
        return ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items()))


def write_site(material: Material, out: Path) -> Path:
    """Write the pages and the one copy of the plotting library that they share. Returns the index."""
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(out / LIBRARY_FILE, get_plotlyjs().encode(errors="replace"))
    entries = _entries(material)
    for index, entry in entries:
        links = [_INDEX]
        if entry.comparison and entry.before:
            links.append((f"Compared with the run of {entry.before.started_at}", entry.comparison_page))
            write_atomically(out / entry.comparison_page, _comparison_page(entry).encode(errors="replace"))
        text = render(
            entry.run, None, material.visits(index), earlier=material.earlier(index),
            said=answers.of_run(entry.run, material.folder(index)), library_file=LIBRARY_FILE, links=links,
        )  # fmt: skip
        write_atomically(out / entry.page, text.encode(errors="replace"))
    models = []
    used: set[str] = set()
    pages = {id(entry.run): entry.page for _, entry in entries}
    kept = [
        known
        for index in range(len(material.runs))
        if (folder := material.folder(index)) and (known := verdicts(folder))
    ]
    for name, series in histories(material.runs, kept).items():
        page = _unique(f"model-{slug(name)}", used)
        write_atomically(out / page, _history_page(name, series, pages).encode(errors="replace"))
        models.append((name, page, series))
    text = document(
        "index.html.j2", (), machines=_machines(entry for _, entry in entries), models_shown=models, links=[guide.FIRST]
    )
    write_atomically(out / "index.html", text.encode(errors="replace"))
    guide.write_guide(out, [_INDEX])
    return out / "index.html"


def _entries(material: Material) -> list[tuple[int, Entry]]:
    """The runs, oldest first, each with its place in the material."""
    entries: list[tuple[int, Entry]] = []
    used: set[str] = set()
    for index in sorted(range(len(material.runs)), key=lambda i: material.runs[i].started_at):
        run = material.runs[index]
        name = f"{slug(run.started_at.replace(':', '-'))}-{slug(run.suite)}"
        page, comparison_page = _unique(f"run-{name}", used), _unique(f"change-{name}", used)
        earlier = [other for _, entry in reversed(entries) if (other := entry.run).suite == run.suite]
        comparison, before = _kept(run, material.folder(index), [*earlier, *material.baselines])
        if comparison is None:
            comparison, before = _compared(run, [*earlier, *material.baselines])
        entries.append((index, Entry(run=run, page=page, comparison=comparison, comparison_page=comparison_page,
                                     before=before)))  # fmt: skip
    return entries


def _kept(run: Run, folder: Path | None, others: Iterable[Run]) -> tuple[Comparison | None, Run | None]:
    """What was measured anew of a run, with the run that it was held against."""
    kept = verdicts(folder) if folder else None
    if kept is None or kept.run_started_at != run.started_at:
        return None, None
    before = next((o for o in others if (o.suite, o.started_at) == (run.suite, kept.baseline_started_at)), None)
    return (kept, before) if before else (None, None)


def _compared(run: Run, earlier: Iterable[Run]) -> tuple[Comparison | None, Run | None]:
    """The comparison with the first of these that is of the same suite and machine, and comparable."""
    for other in earlier:
        if other.suite != run.suite or machine_name(other.machine) != machine_name(run.machine):
            continue
        if other.started_at >= run.started_at:
            continue
        try:
            return compare(other, run), other
        except NotComparable:
            continue
    return None, None


def _unique(name: str, used: set[str]) -> str:
    """A file name that is not taken yet, also where upper and lower case are the same."""
    name = name[:120]
    candidate, number = f"{name}.html", 1
    while candidate.lower() in used:
        number += 1
        candidate = f"{name}-{number}.html"
    used.add(candidate.lower())
    return candidate


def _machines(entries: Iterable[Entry]) -> list[tuple[Run, list[Entry]]]:
    """The runs of each machine and device, newest first, under the newest of them."""
    by_machine: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        by_machine.setdefault((machine_name(entry.run.machine), entry.run.settings.device), []).insert(0, entry)
    return [(group[0].run, group) for group in by_machine.values()]


def _comparison_page(entry: Entry) -> str:
    assert entry.comparison
    models = {"families": {record.case.name: family(record.case) for record in entry.run.records}}
    shown = list(of_comparison(Subject(run=entry.run, comparison=entry.comparison)))
    return document(
        "comparison.html.j2", shown, models=models, library_file=LIBRARY_FILE,
        links=[_INDEX, ("This run", entry.page)], run=entry.run, before=entry.before, comparison=entry.comparison,
    )  # fmt: skip


def _history_page(name: str, series: list[Series], pages: dict[int, str]) -> str:
    figure = Figure(
        id="trend",
        title="Latency from run to run",
        question="Did this model become slower, and when? A ring marks a change of level between adjacent "
        f"runs that `bench compare --stored` would call suspect at a margin of {100 * MARGIN:.0f} %.",
        draw=partial(trend_figure, series),
        alternative="p50 with its interval over time, a line a machine; every number is in the tables below",
    )
    return document(
        "history.html.j2", [figure], library_file=LIBRARY_FILE, links=[_INDEX], name=name, series=series, pages=pages
    )
