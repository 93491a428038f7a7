"""The command line: one function a command. Parse, call, print; no logic."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.errors import BenchError, Failed, WrongUsage

if TYPE_CHECKING:
    from bench.records import Case, Comparison, Run

RESULTS = Path("results")

_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout and nothing else.")
_results = click.option(
    "--output", "results", type=click.Path(path_type=Path), default=RESULTS, show_default=True, metavar="DIR",
    help="The results folder.",
)  # fmt: skip
_margin = click.option(
    "--margin", type=str, default="3%", show_default=True, help="Changes within this margin are equivalent."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--debug", is_flag=True, help="Show the traceback of an error. May stand anywhere.")
@click.version_option(package_name="backbench")
def cli(debug: bool) -> None:
    """Which vision backbone to ship on this machine, within X ms, Y MB and Z % accuracy.

    \b
    bench run             measure the default suite, compare with the baseline, write the report
    bench list            the suites; `bench list SUITE` its cases
    bench compare         a run against this machine's baseline

    \b
    Exit codes: 0 fine; 1 a regression is confirmed; 2 wrong usage; 3 inconclusive;
    4 not comparable, or no baseline; 5 a measurement or an export failed.
    """


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
@_results
@_json
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
    from bench import pipeline, progress, store, suites

    with progress.watch() as watch:
        if resume is not None:
            folder = store.latest(results) if resume == "latest" else Path(resume)
            outcome = pipeline.resume(folder, watch=watch)
        else:
            loaded = suites.load_suite(suite or ("default",))
            chosen = suites.Suite(loaded.name, loaded.title, suites.select(loaded.cases, models))
            options = pipeline.Options(device=device, threads=threads, rounds=rounds, budget_s=budget_s)
            outcome = pipeline.run(chosen, options=options, results=results, watch=watch)
    comparison = _against_baseline(outcome.run, results)
    page = _report_of(outcome.folder, outcome.run, comparison)
    if as_json:
        click.echo(store.json_text(outcome.run), nl=False)
    else:
        _show(progress.table(outcome.run.records))
        if comparison:
            _show_comparison(comparison)
        click.echo(f"run:    {outcome.folder}")
        if page:
            click.echo(f"report: {page}")
    failed = [record for record in outcome.run.records if record.error]
    for record in failed:
        click.echo(f"failed: {record.case.name}: {record.error}", err=True)
    if failed:
        raise SystemExit(Failed.exit_code)


@cli.command("list")
@click.argument("suite", required=False)
@click.option("--families", is_flag=True, help="The backbone families: strengths, applications, paper.")
@_json
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
        _table(("family", "year", "strengths", "applications", "models"), rows)
    elif suite is None:
        loaded = [suites.load_suite(name) for name in suites.names()]
        if as_json:
            click.echo(store.json_text([{"suite": s.name, "title": s.title, "cases": len(s.cases)} for s in loaded]))
            return
        _table(("suite", "cases", "title"), [(s.name, str(len(s.cases)), s.title) for s in loaded])
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
        _table(("case", "input", "params", "mult-adds", "G-Ops"), rows)


@cli.command()
@click.argument("baseline", required=False)
@click.argument("run", required=False)
@_margin
@click.option("--fail-on", type=click.Choice(["regression", "inconclusive"]), default="regression", show_default=True)
@click.option("--force", is_flag=True, help="Compare runs that are not comparable, and say so.")
@_results
@_json
def compare(
    baseline: str | None, run: str | None, margin: str, fail_on: str, force: bool, results: Path, as_json: bool
) -> None:
    """Say for each model whether RUN is faster or slower than BASELINE.

    Both are folders or files of runs. [default: this machine's stored baseline, and the latest run]
    """
    from bench import comparison, store
    from bench.units import parse_share

    run_folder = Path(run) if run else store.latest(results)
    candidate = store.load(run_folder)
    reference = store.load(baseline or store.baseline_of(results, candidate))
    verdicts = comparison.compare(reference, candidate, margin=parse_share(margin), force=force)
    if as_json:
        click.echo(store.json_text(verdicts))
    else:
        _show_comparison(verdicts)
    raise SystemExit(comparison.exit_code(verdicts, fail_on))


@cli.group()
def baseline() -> None:
    """Stored baselines of this machine."""


@baseline.command("save")
@click.argument("run", required=False)
@_results
def baseline_save(run: str | None, results: Path) -> None:
    """Store RUN as its machine's baseline for its suite. [default: the latest run]"""
    from bench import store

    path = store.save_baseline(results, store.load(run or store.latest(results)))
    click.echo(f"baseline: {path}")
    click.echo("commit it, so that every clone on a machine like this one compares with it")


@baseline.command("list")
@_results
@_json
def baseline_list(results: Path, as_json: bool) -> None:
    """Show the stored baselines."""
    from bench import store

    found = [(path, store.load(path)) for path in store.baselines(results)]
    if as_json:
        rows = [
            {"path": str(p), "suite": r.suite, "started_at": r.started_at, "cases": len(r.records)} for p, r in found
        ]
        click.echo(store.json_text(rows))
        return
    if not found:
        click.echo("no baselines yet; `bench baseline save` stores the latest run as one")
        return
    _table(
        ("suite", "machine", "measured", "cases", "file"),
        [(r.suite, path.parent.name, r.started_at, str(len(r.records)), str(path)) for path, r in found],
    )


@cli.command()
@click.argument("run", required=False)
@click.option("--p50", metavar="TIME", help="At most, e.g. 10ms.")
@click.option("--p95", metavar="TIME", help="At most, e.g. 15ms.")
@click.option("--p99", metavar="TIME", help="At most, e.g. 20ms.")
@click.option("--size", metavar="SIZE", help="Of the file, at most, e.g. 20MB.")
@click.option("--params", metavar="COUNT", help="Parameters, at most, e.g. 10M.")
@click.option("--memory", metavar="SIZE", help="Peak resident memory, at most, e.g. 500MB.")
@click.option("--top1", metavar="PERCENT", help="Top-1 accuracy, at least, e.g. 70.")
@_results
@_json
def pick(run: str | None, results: Path, as_json: bool, **limits: str | None) -> None:
    """Say which model of RUN to ship within limits. [default: the latest run]"""
    from bench import choice, store
    from bench.units import parse_quantity

    given = {name: parse_quantity(text, choice.LIMITS[name].unit) for name, text in limits.items() if text is not None}
    answer = choice.pick(store.load(run or store.latest(results)), given)
    if as_json:
        click.echo(store.json_text(answer))
        return
    for line in choice.in_words(answer):
        click.echo(line)


@cli.command()
@click.argument("runs", nargs=-1, metavar="[RUN]...")
@click.option("--all", "everything", is_flag=True, help="Every run under the results folder.")
@click.option(
    "-o",
    "out",
    type=click.Path(path_type=Path),
    help="FILE.html, FILE.png or FILE.svg (Figure 2), or a folder for a site of all the runs.",
)
@click.option(
    "--format",
    "kind",
    metavar="FORMAT",
    help="html, site, png or svg. [default: by the file's name]",
)
@_results
def report(runs: tuple[str, ...], everything: bool, out: Path | None, kind: str | None, results: Path) -> None:
    """Write a report of runs. [default: the latest run, as a page beside it]"""
    from bench import store
    from bench.report import write_report

    folders = store.folders(results) if everything else [Path(run) for run in runs] or [store.latest(results)]
    loaded = [store.load(folder) for folder in folders]
    target = out or folders[-1] / "report.html"
    comparison = _against_baseline(loaded[-1], results) if len(loaded) == 1 else None
    click.echo(f"report: {write_report(loaded, target, comparison=comparison, format=kind)}")


def _one_case(model: str, alpha: float | None, input_size: int | None, **more: Any) -> Case:
    from bench import suites

    return suites.case_of_model(model, alpha=alpha, input_size=input_size, **more)


_alpha = click.option("--alpha", type=float, help="Width multiplier.")
_size = click.option("--input-size", type=click.IntRange(min=1), metavar="N", help="Height and width in pixels.")


@cli.command()
@click.argument("model")
@click.option("-o", "out", type=click.Path(path_type=Path), required=True, metavar="FILE.onnx")
@_alpha
@_size
@click.option("--precision", type=click.Choice(["fp32", "fp16", "int8"]), default="fp32", show_default=True)
@click.option("--weights", default="none", show_default=True, help="none, imagenet or a weights file.")
@click.option("--head", type=click.Choice(["native", "none", "notes"]), default="native", show_default=True)
@_json
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
    """Export one model to ONNX, checked against Keras."""
    import shutil

    from bench import export, store
    from bench.units import megabytes, millions

    case = _one_case(model, alpha, input_size, precision=precision, weights=weights, head=head)
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
        click.echo(
            f"logits differ from Keras's by {fidelity.max_rel:.1e} of their size on {fidelity.inputs} inputs, "
            f"top-1 agreement {100 * fidelity.top1_agreement:.0f} %"
        )
    for warning in result.artifact.warnings:
        click.echo(f"warning: {warning}", err=True)


@cli.command()
@click.argument("model")
@_alpha
@_size
@click.option("--per-layer", is_flag=True, help="A row a layer.")
@_json
def cost(model: str, alpha: float | None, input_size: int | None, per_layer: bool, as_json: bool) -> None:
    """Count mult-adds, parameters and memory of MODEL or FILE.onnx."""
    from bench import cost, store
    from bench.units import giga, megabytes, millions

    case = _one_case(model, alpha, input_size)
    total, layers = cost.of_case(case)
    if as_json:
        click.echo(store.json_text({"case": case, "cost": total} | ({"layers": layers} if per_layer else {})))
        return
    if per_layer:
        _table(
            ("layer", "kind", "output", "mult-adds", "params", "activation"),
            [
                (
                    r.name,
                    r.kind,
                    "x".join(map(str, r.output_shape or ())),
                    f"{r.mult_adds:,}",
                    f"{r.params:,}",
                    megabytes(r.activation_bytes),
                )
                for r in layers
            ],
        )
    share = {kind: part.mult_adds / max(total.mult_adds, 1) for kind, part in (total.by_kind or {}).items()}
    _table(
        ("kind", "layers", "mult-adds", "share", "params"),
        [
            (kind, str(part.layers), millions(part.mult_adds), f"{100 * share[kind]:.1f} %", millions(part.params))
            for kind, part in (total.by_kind or {}).items()
        ],
    )
    click.echo(
        f"{case.name}: {total.mult_adds:,} mult-adds ({giga(2 * total.mult_adds)} G-Ops), {total.params:,} parameters"
    )
    if total.peak_activation_bytes:
        click.echo(f"peak activation memory of a straight-line execution: {megabytes(total.peak_activation_bytes)}")
    for operator in total.uncounted:
        click.echo(f"not counted: {operator}", err=True)


@cli.group()
def cache() -> None:
    """Exported files that are kept, by content."""


@cache.command("list")
@_json
def cache_list(as_json: bool) -> None:
    """Show what is kept, least recently used first."""
    from bench import store
    from bench.export import cache
    from bench.units import megabytes

    found = cache.entries()
    if as_json:
        click.echo(store.json_text([{"model": e.label, "path": str(p), "size_bytes": size} for p, e, size in found]))
        return
    _table(("model", "size", "folder"), [(e.label, megabytes(size), str(path)) for path, e, size in found])
    click.echo(f"{megabytes(sum(size for *_, size in found))} of {megabytes(cache.limit_bytes())} in {cache.folder()}")


@cache.command("clear")
def cache_clear() -> None:
    """Remove everything that is kept."""
    from bench.export import cache
    from bench.units import megabytes

    click.echo(f"{megabytes(cache.clear())} freed")


def _against_baseline(run: Run, results: Path) -> Comparison | None:
    """The comparison with this machine's stored baseline, or None when it has none or the two do not compare."""
    from bench import comparison, store

    path = store.baseline_file(results, run)
    if not path.is_file():
        return None
    try:
        return comparison.compare(store.load(path), run)
    except BenchError as error:
        click.echo(f"no comparison with {path}: {error}", err=True)
        return None


def _report_of(folder: Path, run: Run, comparison: Comparison | None) -> Path | None:
    """Write the run's page beside it. A report that fails is said, and costs nothing that was measured."""
    from bench.report import write_report

    try:
        return write_report([run], folder / "report.html", comparison=comparison)
    except BenchError as error:
        click.echo(f"no report: {error}", err=True)
        return None


def _show_comparison(comparison: Comparison) -> None:
    from bench.units import latency, relative

    forced = "  FORCED: these runs are not comparable" if comparison.forced else ""
    click.echo(
        f"compared with the run of {comparison.baseline_started_at}, margin {100 * comparison.margin:.1f} %{forced}"
    )
    for key in comparison.differing:
        click.echo(f"  differs: {key}")
    rows = []
    for v in comparison.verdicts:
        if v.ratio is None or v.ratio_low is None or v.ratio_high is None or v.p50_ms is None:
            rows.append((v.case, v.verdict, "", "", "", v.reason or ""))
            continue
        interval = f"{relative(v.ratio)} [{relative(v.ratio_low)}, {relative(v.ratio_high)}]"
        blind = f"{100 * v.detectable:.1f} %" if v.detectable is not None else ""
        rows.append((v.case, v.verdict, latency(v.p50_ms), interval, blind, ", ".join(v.attribution)))
    _table(("model", "verdict", "p50", "change [95 % interval]", "cannot see less than", "what changed"), rows)


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=box.SIMPLE, pad_edge=False)
    for heading in headings:
        drawn.add_column(heading)
    for cells in rows:
        drawn.add_row(*(Text(cell) for cell in cells))
    _show(drawn)


def _show(drawn: Any) -> None:
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else 180).print(drawn)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line; every error is one line on stderr and an exit code of the contract."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    try:
        code = cli.main(arguments, prog_name="bench", standalone_mode=False)
    except (Exception, KeyboardInterrupt) as error:
        if debug and not isinstance(error, click.ClickException):
            raise
        message, code = _explain(error)
        click.echo(f"bench: {message}", err=True)
    raise SystemExit(code if isinstance(code, int) else 0)


def _explain(error: BaseException) -> tuple[str, int]:
    """One line and the exit code for any error."""
    if isinstance(error, BenchError):
        return str(error), error.exit_code
    if isinstance(error, click.UsageError):
        command = error.ctx.command_path if error.ctx else "bench"
        return f"{error.format_message().rstrip('.')}; see `{command} --help`", WrongUsage.exit_code
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        return "interrupted; what was measured is stored, `bench run --resume` goes on from there", Failed.exit_code
    if isinstance(error, click.ClickException):
        return error.format_message(), WrongUsage.exit_code
    return f"unexpected {type(error).__name__}: {error}; run it again with --debug and report it", Failed.exit_code


if __name__ == "__main__":
    main()
