"""Commands that build or measure models."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli import tables
from bench.cli.fleet import Fleetwise, insecure_option, measure_fleet, tls_option
from bench.cli.root import (
    Shapes,
    Sizes,
    against_baseline,
    alpha_option,
    as_json_option,
    cli,
    command_line,
    dimension_option,
    input_shape_option,
    one_case,
    patience_option,
    report_of,
    results_option,
    show,
    show_comparison,
    show_trust,
    size_option,
    sort_options,
    table,
)
from bench.errors import BenchError, Failed, WrongUsage
from bench.suites import PRECISIONS, PREPROCESSES, RUNTIMES
from bench.units import parse_duration

if TYPE_CHECKING:
    from bench.records import Case
    from bench.suites import Suite


@cli.command()
@click.argument("suite", nargs=-1)
@click.option(
    "--model", "models", multiple=True, metavar="NAME", help="Only these cases; * matches anything. Repeatable."
)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--runtime", "runtimes", type=click.Choice(list(RUNTIMES)), multiple=True,
              help="Time in this runtime. Repeatable. [default: what the suite says]")  # fmt: skip
@click.option("--threads", type=click.IntRange(min=1), help="Threads of the runtime. [default: the cores given]")
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True, help="Visits to each case.")
@click.option(
    "--budget",
    "budget_s",
    type=click.FloatRange(min=0, min_open=True),
    metavar="S",
    help="Stop timing after S seconds.",
)
@patience_option
@click.option(
    "--resume",
    is_flag=False,
    flag_value="latest",
    metavar="[RUN]",
    help="Finish an interrupted run. [default: the latest]",
)
@input_shape_option
@dimension_option
@click.option(
    "--calibrate", type=click.Path(file_okay=False), metavar="DIR",
    help="Images, in any layout, from which lower precisions take their ranges.",
)  # fmt: skip
@click.option(
    "--images",
    type=click.Path(),
    metavar="DIR",
    help="Your own images, a folder a class: a head is trained on each backbone, and judged on those held out.",
)
@click.option(
    "--weights",
    metavar="none|imagenet|DIR",
    help="Of the backbones: random, ImageNet's, or a folder of weights files by model. "
    "[default: the suite's; imagenet where only --images has heads trained]",
)
@click.option(
    "--scheduler", metavar="URL",
    help="Measure on every machine of a Dask cluster: tls://HOST:8786, or a scheduler file. See `bench fleet`.",
)  # fmt: skip
@tls_option
@insecure_option
@click.option("--price", "prices", multiple=True, type=(str, float), metavar="MACHINE USD",
              help="What a machine of the fleet costs an hour. Repeatable.")  # fmt: skip
@results_option
@as_json_option
def run(
    suite: tuple[str, ...],
    models: tuple[str, ...],
    input_shapes: Shapes,
    dimensions: Sizes,
    device: str,
    runtimes: tuple[str, ...],
    threads: int | None,
    rounds: int,
    budget_s: float | None,
    patience: str,
    resume: str | None,
    calibrate: str | None,
    images: str | None,
    weights: str | None,
    scheduler: str | None,
    tls: Path | None,
    insecure: bool,
    prices: tuple[tuple[str, float], ...],
    results: Path,
    as_json: bool,
) -> None:
    """Export, time, compare and report a suite.

    SUITE is a name in suites/, a .toml file, or one or more .onnx files. [default: default]
    """
    from bench import export, pipeline, store, suites
    from bench.analysis import precision, roofline, transfer, trust
    from bench.cli import progress

    def chosen() -> Suite:
        loaded = suites.load_suite(suite or ("default",))
        of_runtimes = suites.in_runtimes(suites.only(loaded, models), runtimes)
        trained = suites.transferred(of_runtimes.cases, images, weights)
        sized = export.sized(trained, dict(input_shapes), dict(dimensions))
        return replace(of_runtimes, cases=sized if calibrate is None else suites.calibrated(sized, calibrate))

    options = pipeline.Options(
        device=device, threads=threads, rounds=rounds, budget_s=budget_s, patience_s=parse_duration(patience),
        command=command_line(),
    )  # fmt: skip
    if scheduler is not None:
        how = Fleetwise(scheduler, tls, insecure, dict(prices), resume, results, as_json)
        measure_fleet(how, None if resume is not None and not suite else chosen(), options)
        return
    with progress.watch() as watch:
        if resume is not None:
            folder = store.latest(results, measured=False) if resume == "latest" else Path(resume)
            outcome = pipeline.resume(folder, watch=watch)
        else:
            outcome = pipeline.run(chosen(), options=options, results=results, watch=watch)
    comparison = against_baseline(outcome.run, results)
    page = report_of(outcome.folder, outcome.run, comparison)
    if as_json:
        click.echo(store.json_text(outcome.run), nl=False)
    else:
        show_trust(outcome.run)
        show(progress.table(outcome.run.records, tables.width()))
        of_all, reduced = precision.in_common(precision.changes(outcome.run))
        if reduced:
            table(precision.HEADINGS, [precision.row(change) for change in reduced])
            for warning in of_all:
                click.echo(f"to know of all of these: {warning}")
        for line in transfer.in_words(outcome.run):
            click.echo(line)
        if comparison:
            show_comparison(comparison)
        if trust.stored(outcome.run).verdict != "sound":
            show_trust(outcome.run, short=True)  # once more, where a long table has carried the first away
        click.echo(f"run:    {outcome.folder}")
        if page:
            click.echo(f"report: {page}")
    for record in outcome.run.records:
        of_count = record.cost.warnings if record.cost else ()
        of_file = record.artifact.warnings if record.case.precision == "fp32" and record.artifact else ()
        for warning in (*of_file, *of_count):
            click.echo(f"note: {record.case.name}: {warning}", err=True)
    for warning in roofline.warnings(outcome.run):
        click.echo(f"suspicious: {warning}", err=True)
    failed = [record for record in outcome.run.records if record.error]
    for record in failed:
        click.echo(f"failed: {record.case.name}: {record.error}", err=True)
    if failed:
        raise SystemExit(Failed.exit_code)


@cli.command("list")
@click.argument("suite", nargs=-1)
@input_shape_option
@dimension_option
@click.option("--families", is_flag=True, help="The backbone families: strengths, applications, paper.")
@sort_options("params", "mult-adds")
@as_json_option
def list_(
    suite: tuple[str, ...],
    input_shapes: Shapes,
    dimensions: Sizes,
    families: bool,
    sort: str | None,
    top: int | None,
    as_json: bool,
) -> None:
    """Show the suites, or the cases of a suite or of .onnx files with their parameters and mult-adds.

    `--sort` and `--top` are for cases.
    """
    from bench import cost, export, store, suites
    from bench.units import bound, giga, millions

    if families:
        facts = suites.backbones()
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
    elif not suite:
        loaded = [suites.load_suite(name) for name in suites.names()]
        if as_json:
            click.echo(store.json_text([{"suite": s.name, "title": s.title, "cases": len(s.cases)} for s in loaded]))
            return
        table(("suite", "cases", "title"), [(s.name, str(len(s.cases)), s.title) for s in loaded])
    else:
        cases = export.sized(suites.load_suite(suite).cases, dict(input_shapes), dict(dimensions))
        costs = cost.of_cases(cases)
        problems = {name: str(found) for name, found in costs.items() if isinstance(found, BenchError)}
        if sort:
            field = sort.replace("-", "_")
            cases = tuple(sorted(cases, key=lambda case: -getattr(costs[case.name], field, 0)))
        cases = cases[:top]
        if as_json:
            rows_of_json = [
                {
                    "case": store.asked(c),
                    "cost": None if c.name in problems else costs[c.name],
                    "error": problems.get(c.name),
                }
                for c in cases
            ]
            click.echo(store.json_text(rows_of_json))
        else:
            rows = []
            for case in cases:
                k = costs[case.name]
                counts = ("", "", "") if isinstance(k, BenchError) else (
                    millions(k.params),
                    bound(millions(k.mult_adds), is_lower=k.is_lower_bound),
                    bound(giga(2 * k.mult_adds), is_lower=k.is_lower_bound),
                )  # fmt: skip
                rows.append((case.name, _input(case), *counts))
            table(("case", "input", "params", "mult-adds", "G-Ops"), rows)
            for found in costs.values():
                for uncounted in () if isinstance(found, BenchError) else found.uncounted:
                    click.echo(f"not counted: {uncounted}", err=True)
        for problem in problems.values():
            click.echo(f"not counted: {problem}", err=True)
        if problems:
            raise SystemExit(Failed.exit_code)


def _input(case: Case) -> str:
    """The shape of a case's input; of a file, of all its inputs as they are fed."""
    from bench import export

    if case.is_file:
        try:
            fed = export.completed(case).input_shapes
        except BenchError:
            return ""
        return ", ".join("x".join(map(str, shape)) or "scalar" for shape in fed.values())
    return "x".join(map(str, case.input_shape or ()))


@cli.command()
@click.argument("model")
@click.option("-o", "out", type=click.Path(path_type=Path), required=True, metavar="FILE.onnx|.tflite")
@alpha_option
@size_option
@click.option("--precision", type=click.Choice(PRECISIONS), default="fp32", show_default=True)
@click.option("--weights", default="none", show_default=True, help="none, imagenet or a weights file.")
@click.option("--head", type=click.Choice(["native", "none", "notes"]), default="native", show_default=True)
@click.option(
    "--calibrate", type=click.Path(file_okay=False), metavar="DIR",
    help="Images, in any layout, from which a lower precision takes its ranges.",
)  # fmt: skip
@click.option(
    "--preprocess", type=click.Choice(PREPROCESSES), help="How the model wants these images' pixels, where not known."
)
@as_json_option
def export(
    model: str,
    out: Path,
    alpha: float | None,
    input_size: int | None,
    precision: str,
    weights: str,
    head: str,
    calibrate: str | None,
    preprocess: str | None,
    as_json: bool,
) -> None:
    """Export one model to ONNX, or TFLite by FILE's name, checked against Keras; a lower precision against fp32."""
    import shutil

    from bench import export, store, suites
    from bench.units import megabytes, millions

    if model.lower().endswith((".onnx", ".tflite")):
        raise WrongUsage(f"{model} is exported already: `bench run {model}` times it, `bench cost {model}` counts it")
    case = one_case(model, alpha, input_size, precision=precision, weights=weights, head=head,
                    runtime="litert" if out.suffix.lower() == ".tflite" else None)  # fmt: skip
    if calibrate is not None:
        (case,) = suites.calibrated([case], calibrate, preprocess)
    elif preprocess is not None:
        raise WrongUsage("--preprocess says how calibration images are scaled; give --calibrate DIR, too")
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
        outputs = "outputs differ from Keras's" if fidelity.reference == "Keras" else "outputs differ from fp32's"
        click.echo(
            f"{outputs} by {fidelity.max_rel:.1e} of their size on {fidelity.inputs} inputs, top-1 agreement "
            + ("unknown" if fidelity.top1_agreement is None else f"{100 * fidelity.top1_agreement:.0f} %")
        )
    if precision == "int8":
        count = result.artifact.calibration_images  # None: random noise, of which a warning tells
        click.echo(f"ranges from {f'{count} images of ' if count else ''}{result.artifact.calibration}")
    if result.artifact.integers:
        click.echo(f"integers: {export.INTEGERS[result.artifact.integers]}")
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

    entries = cache.entries()
    if as_json:
        click.echo(store.json_text([{"model": e.label, "path": str(p), "size_bytes": size} for p, e, size in entries]))
        return
    table(("model", "size", "folder"), [(e.label, megabytes(size), str(path)) for path, e, size in entries])
    click.echo(
        f"{megabytes(sum(size for *_, size in entries))} of {megabytes(cache.limit_bytes())} in {cache.folder()}"
    )


@cache.command("clear")
def cache_clear() -> None:
    """Remove everything that is kept."""
    from bench.export import cache
    from bench.units import megabytes

    click.echo(f"{megabytes(cache.clear())} freed")
