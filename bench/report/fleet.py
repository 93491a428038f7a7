"""The page of a fleet: one choice a machine, the one model for all of them, and the machines against each other."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from bench import fleets
from bench.analysis import answer, everywhere, quality, trust
from bench.analysis.everywhere import usd_per_million
from bench.errors import WrongUsage
from bench.records import Member, Run
from bench.report.figures.figure import Figure
from bench.report.figures.machines import ratios_figure, tradeoff_figure
from bench.report.page import Link, document
from bench.store import write_atomically
from bench.units import latency, significant


def write_fleet(stored: fleets.StoredFleet, out: Path, limits: Mapping[str, float] | None = None) -> Path:
    """Write the page of a fleet, self-contained, with links to the pages of its runs.

    Raises WrongUsage when no machine of it has a run, Failed when it cannot be written.
    """
    known = stored.runs()
    if not known:
        raise WrongUsage(f"no machine of {stored.path} has a run; `bench run --resume --scheduler URL` goes on")
    pages = {member.name: f"../../runs/{member.run}/report.html" for member, _ in known}
    links = [(f"The run on {name}", href) for name, href in pages.items()
             if (out.parent / href).is_file()]  # fmt: skip
    text = render(stored, known, limits, links=links)
    write_atomically(out, text.encode(errors="replace"))
    return out


def render(
    stored: fleets.StoredFleet,
    known: list[tuple[Member, Run]],
    limits: Mapping[str, float] | None = None,
    *,
    links: list[Link] | None = None,
) -> str:
    """The page as HTML."""
    runs = {member.name: run for member, run in known}
    choices = everywhere.pick(runs, limits)
    reference, *others = runs
    against = [everywhere.versus(name, runs[name], reference, runs[reference]) for name in others]
    metric = quality.of([record for run in runs.values() for record in run.records])
    return document(
        "fleet.html.j2",
        _figures(runs, against),
        links=links or [],
        fleet=stored.fleet,
        runs=runs,
        members=[(member, trust.in_words(run)[0]) for member, run in known],
        missing=[member for member in stored.fleet.members if member.error],
        said=everywhere.in_words(choices),
        alone={name: [line.strip() for line in answer.in_words(each)] for name, each in choices.choices.items()},
        against=[versus.in_words() for versus in against],
        ratio_headings=[f"{versus.machine} over {versus.reference}" for versus in against],
        rows=_rows(known, against, metric),
    )


def _figures(runs: Mapping[str, Run], against: list[everywhere.Versus]) -> list[Figure]:
    figures = [Figure(
        id="machines", title="Accuracy against latency, machine by machine",
        question="Which model is in time on which machine? A shape is a machine; a click on it in the legend hides it.",
        draw=partial(tradeoff_figure, dict(runs)),
        alternative="accuracy and p50 of every model on every machine; every number is in the table below",
        notes=("Hollow markers at the foot: no accuracy is known.",),
    )]  # fmt: skip
    if any(ratio.mult_adds for versus in against for ratio in versus.ratios):
        figures.append(Figure(
            id="ratios", title="Is a machine faster for all networks, or for large ones?",
            question="p50 of the same file in the same runtime, over that on the reference machine: above 1 is slower.",
            draw=partial(ratios_figure, against),
            alternative="ratios of p50 with 95 % intervals by operations; every number is in the table below",
        ))  # fmt: skip
    return figures


def _rows(
    known: list[tuple[Member, Run]], against: list[everywhere.Versus], metric: quality.Quality
) -> list[tuple[str, list[str]]]:
    """A row a model: accuracy; on each machine p50 and what a million images cost; and the ratios."""
    cases = list(dict.fromkeys(record.case.name for _, run in known for record in run.records))
    rows = []
    for case in cases:
        records = {member.name: next((r for r in run.records if r.case.name == case), None) for member, run in known}
        value = next((v for r in records.values() if r and (v := metric.value(r)) is not None), None)
        cells = ["" if value is None else f"{value:.1f} %"]
        for member, _ in known:
            record = records[member.name]
            m = record.measurement if record else None
            if m is None or record is None:
                cells.append(f"– ({record.error})" if record and record.error else "–")
                continue
            price = ""
            if member.usd_per_hour is not None:
                usd = usd_per_million(m.p50_ms, record.case.batch_size, member.usd_per_hour)
                price = f", {significant(usd)} USD a million"
            cells.append(latency(m.p50_ms, m.p50_ms_low, m.p50_ms_high) + price)
        for versus in against:
            ratio = next((each for each in versus.ratios if each.case == case), None)
            cells.append(
                f"{significant(ratio.ratio)} [{significant(ratio.low)}, {significant(ratio.high)}]" if ratio else "–"
            )
        rows.append((case, cells))
    return rows
