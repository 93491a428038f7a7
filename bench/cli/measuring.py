"""Commands that build or measure models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.root import (
    against_baseline,
    alpha_option,
    as_json_option,
    cli,
    one_case,
    report_of,
    results_option,
    show,
    show_comparison,
    size_option,
    table,
)
from bench.errors import Failed
from bench.suites import PRECISIONS

if TYPE_CHECKING:
    pass


@cli.command()
@click.argument("suite", nargs=-1)
@click.option(
    "--model", "models", multiple=True, metavar="NAME", help="Only these cases; * matches anything. Repeatable."
)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--threads", type=click.IntRange(min=1), help="Threads of ONNX Runtime. [default: the cores given]")
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True, help="Visits to each case.")
@click.option(
    "--budget",
    "budget_s",
    type=click.FloatRange(min=0, min_open=True),
    metavar="S",
    help="Stop timing after S seconds.",
)
@click.option(
    "--resume",
    is_flag=False,
    flag_value="latest",
    metavar="[RUN]",
    help="Finish an interrupted run. [default: the latest]",
)
@results_option
@as_json_option
def run(
    suite: tuple[str, ...],
    models: tuple[str, ...],
    device: str,
    threads: int | None,
    rounds: int,
    budget_s: float | None,
    resume: str | None,
    results: Path,
    as_json: bool,
) -> None:
    """Export, time, compare and report a suite.

    SUITE is a name in suites/, a .toml file, or one or more .onnx files. [default: default]
    """
    from bench import pipeline, store, suites
    from bench.analysis import precision, roofline
    from bench.cli import progress

    with progress.watch() as watch:
        if resume is not None:
            folder = store.latest(results, measured=False) if resume == "latest" else Path(resume)
            outcome = pipeline.resume(folder, watch=watch)
        else:
            loaded = suites.load_suite(suite or ("default",))
            chosen = suites.only(loaded, models)
            options = pipeline.Options(device=device, threads=threads, rounds=rounds, budget_s=budget_s)
            outcome = pipeline.run(chosen, options=options, results=results, watch=watch)
    comparison = against_baseline(outcome.run, results)
    page = report_of(outcome.folder, outcome.run, comparison)
    if as_json:
        click.echo(store.json_text(outcome.run), nl=False)
    else:
        show(progress.table(outcome.run.records))
        reduced = [precision.row(change) for change in precision.changes(outcome.run)]
        if reduced:
            table(precision.HEADINGS, reduced)
        if comparison:
            show_comparison(comparison)
        click.echo(f"run:    {outcome.folder}")
        if page:
            click.echo(f"report: {page}")
    for warning in roofline.warnings(outcome.run):
        click.echo(f"suspicious: {warning}", err=True)
    failed = [record for record in outcome.run.records if record.error]
    for record in failed:
        click.echo(f"failed: {record.case.name}: {record.error}", err=True)
    if failed:
        raise SystemExit(Failed.exit_code)


@cli.command("list")
@click.argument("suite", required=False)
@click.option("--families", is_flag=True, help="The backbone families: strengths, applications, paper.")
@as_json_option
def list_(suite: str | None, families: bool, as_json: bool) -> None:
    """Show the suites, or a suite's cases with their parameters and mult-adds."""
    from bench import cost, store, suites
    from bench.units import giga, millions

    if families:
        facts = suites.facts()
        if as_json:
            click.echo(store.json_text(facts))
            return
        members: dict[str, list[str]] = {}
        for name, fact in facts.items():
            members.setdefault(fact["family"], []).append(name)
        rows = [
            (family, *(str(facts[names[0]][key]) for key in ("year", "strengths", "applications")), ", ".join(names))
            for family, names in members.items()
        ]
        table(("family", "year", "strengths", "applications", "models"), rows)
    elif suite is None:
        loaded = [suites.load_suite(name) for name in suites.names()]
        if as_json:
            click.echo(store.json_text([{"suite": s.name, "title": s.title, "cases": len(s.cases)} for s in loaded]))
            return
        table(("suite", "cases", "title"), [(s.name, str(len(s.cases)), s.title) for s in loaded])
    else:
        cases = suites.load_suite(suite).cases
        costs = cost.of_cases(cases)
        if as_json:
            click.echo(store.json_text([{"case": case, "cost": costs[case.name]} for case in cases]))
            return
        rows = [
            (
                c.name,
                "x".join(map(str, c.input_shape or ())),
                millions(k.params),
                millions(k.mult_adds),
                giga(2 * k.mult_adds),
            )
            for c, k in ((case, costs[case.name]) for case in cases)
        ]
        table(("case", "input", "params", "mult-adds", "G-Ops"), rows)


@cli.command()
@click.argument("model")
@click.option("-o", "out", type=click.Path(path_type=Path), required=True, metavar="FILE.onnx")
@alpha_option
@size_option
@click.option("--precision", type=click.Choice(PRECISIONS), default="fp32", show_default=True)
@click.option("--weights", default="none", show_default=True, help="none, imagenet or a weights file.")
@click.option("--head", type=click.Choice(["native", "none", "notes"]), default="native", show_default=True)
@as_json_option
def export(
    model: str,
    out: Path,
    alpha: float | None,
    input_size: int | None,
    precision: str,
    weights: str,
    head: str,
    as_json: bool,
) -> None:
    """Export one model to ONNX, checked against Keras; a lower precision against fp32."""
    import shutil

    from bench import export, store
    from bench.units import megabytes, millions

    case = one_case(model, alpha, input_size, precision=precision, weights=weights, head=head)
    (result,) = export.export([export.request(case)])
    if isinstance(result, export.ExportFailure):
        raise Failed(f"{case.name}: {result.message}")
    try:
        shutil.copyfile(result.path, out)
    except OSError as error:
        raise Failed(f"cannot write {out}: {error.strerror}") from error
    if as_json:
        click.echo(store.json_text({"path": str(out), "artifact": result.artifact, "cost": result.cost}))
        return
    fidelity = result.artifact.fidelity
    click.echo(f"{out}: {megabytes(result.artifact.size_bytes)}, {millions(result.cost.params)} parameters")
    if fidelity:
        outputs = "logits differ from Keras's" if fidelity.reference == "Keras" else "outputs differ from fp32's"
        click.echo(
            f"{outputs} by {fidelity.max_rel:.1e} of their size on {fidelity.inputs} inputs, "
            f"top-1 agreement {100 * fidelity.top1_agreement:.0f} %"
        )
    if precision == "int8":
        click.echo(f"ranges from {result.artifact.calibration} images")
    for warning in result.artifact.warnings:
        click.echo(f"warning: {warning}", err=True)


@cli.group()
def cache() -> None:
    """Exported files that are kept, by content."""


@cache.command("list")
@as_json_option
def cache_list(as_json: bool) -> None:
    """Show what is kept, least recently used first."""
    from bench import store
    from bench.export import cache
    from bench.units import megabytes

    found = cache.entries()
    if as_json:
        click.echo(store.json_text([{"model": e.label, "path": str(p), "size_bytes": size} for p, e, size in found]))
        return
    table(("model", "size", "folder"), [(e.label, megabytes(size), str(path)) for path, e, size in found])
    click.echo(f"{megabytes(sum(size for *_, size in found))} of {megabytes(cache.limit_bytes())} in {cache.folder()}")


@cache.command("clear")
def cache_clear() -> None:
    """Remove everything that is kept."""
    from bench.export import cache
    from bench.units import megabytes

    click.echo(f"{megabytes(cache.clear())} freed")
