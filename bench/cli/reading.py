"""Commands that read runs from the disk."""

from __future__ import annotations

from pathlib import Path

import click

from bench.cli.fleet import pick_everywhere
from bench.cli.root import (
    against_baseline,
    as_json_option,
    cli,
    margin_option,
    measured_anew,
    patience_option,
    results_option,
    show_comparison,
    show_trust,
    table,
)
from bench.errors import WrongUsage


@cli.command()
@click.argument("baseline", required=False)
@click.argument("run", required=False)
@margin_option
@click.option("--fail-on", type=click.Choice(["regression", "inconclusive"]), default="regression", show_default=True)
@click.option("--stored", is_flag=True, help="Hold stored figures against each other alone: suspects, no verdicts.")
@click.option("--force", is_flag=True, help="With --stored: also of runs that are not comparable, and say so.")
@click.option(
    "--budget", "budget_s", type=click.FloatRange(min=0, min_open=True), metavar="S",
    help="Seconds for measuring, all models together. [default: 30 for each, more for slow ones]",
)  # fmt: skip
@patience_option
@results_option
@as_json_option
def compare(
    baseline: str | None,
    run: str | None,
    margin: str,
    fail_on: str,
    force: bool,
    stored: bool,
    budget_s: float | None,
    patience: str,
    results: Path,
    as_json: bool,
) -> None:
    """Say for each model whether RUN is faster or slower than BASELINE.

    Both files of every model are timed anew, side by side, on this machine, whatever machine the baseline was measured
    on; its figures only say which model comes first. Both are folders of runs. [default: the suite's stored baseline,
    and the latest run]
    """
    from bench import store
    from bench.analysis import comparison, trust
    from bench.units import parse_duration, parse_share

    candidate = store.read(run or store.latest(results))
    reference = store.read(baseline) if baseline else store.stored_baseline(results, candidate.run)
    verdicts = comparison.compare(
        reference.run, candidate.run, margin=parse_share(margin), force=force, figures=True if stored else None
    )
    if not as_json:
        show_trust(reference.run, "the baseline", short=True)
        show_trust(candidate.run, short=True)
    if not stored:
        verdicts = measured_anew(reference, candidate, verdicts, budget_s, parse_duration(patience))
        store.save_verdicts(candidate.path, verdicts)
    if as_json:
        trusts = {"baseline": trust.stored(reference.run), "run": trust.stored(candidate.run)}
        click.echo(store.json_text(store.as_json(verdicts) | {"trust": trusts}))
    else:
        show_comparison(verdicts)
    raise SystemExit(comparison.exit_code(verdicts, fail_on))


@cli.group()
def baseline() -> None:
    """Stored baselines, one a suite."""


@baseline.command("save")
@click.argument("run", required=False)
@click.option("--force", is_flag=True, help="Store a run in which cases failed, were interrupted or were left out.")
@results_option
def baseline_save(run: str | None, force: bool, results: Path) -> None:
    """Store RUN as the baseline of its suite, with what makes its files again. [default: the latest run]"""
    from bench import store
    from bench.trust import baseline as portable

    whole = store.load(run or store.latest(results))
    if not force:
        store.check_whole(whole)
    path, notes = portable.save(results, whole)
    click.echo(f"baseline: {path}, the run of {whole.started_at}")
    for note in notes:
        click.echo(f"note: {note}", err=True)
    click.echo("commit it, so that every clone measures it again beside its own files, on any machine")


@baseline.command("list")
@results_option
@as_json_option
def baseline_list(results: Path, as_json: bool) -> None:
    """Show the stored baselines."""
    from bench import store

    stored = store.baselines(results)
    if as_json:
        rows = [
            {"path": str(s.path), "suite": s.run.suite, "started_at": s.run.started_at, "cases": len(s.run.records)}
            for s in stored
        ]
        click.echo(store.json_text(rows))
        return
    if not stored:
        click.echo("no baselines yet; `bench baseline save` stores the latest run as one")
        return
    table(
        ("suite", "measured on", "measured", "cases", "folder"),
        [
            (s.run.suite, store.machine_name(s.run.machine), s.run.started_at, str(len(s.run.records)), str(s.path))
            for s in stored
        ],
    )


class Limits(click.Command):
    """A command with an option for each quantity that can be limited."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Those that it declares, and one a quantity."""
        from bench.analysis import quantities

        options = [
            click.Option(
                [f"--{name}"], metavar="LIMIT",
                help=f"{one.about or one.title}, at {'least' if one.at_least else 'most'}, e.g. {one.example}.",
            )
            for name, one in quantities.limited().items()
        ]  # fmt: skip
        return [*options, *super().get_params(ctx)]


@cli.command(cls=Limits)
@click.argument("run", required=False)
@click.option("--device", type=click.Choice(["cpu", "cuda"]), help="Only models that were timed on it.")
@click.option("--batch-size", type=click.IntRange(min=1), metavar="N",
              help="Compare the models of this batch size. [default: the smallest]")  # fmt: skip
@click.option("--streams", type=click.IntRange(min=1), metavar="N", help="With --fps: so many cameras; sets --rps.")
@click.option("--fps", type=click.FloatRange(min=0, min_open=True), metavar="F", help="Frames a second of each camera.")
@click.option("--price-per-hour", type=float, metavar="P", help="Of this machine: adds what a million inferences cost.")
@click.option("--everywhere", is_flag=True, help="One model for all machines of a fleet. [RUN: a folder in fleets/]")
@click.option("--like", metavar="MODEL", help="The fastest of those as accurate as MODEL, within the noise.")
@results_option
@as_json_option
def pick(
    run: str | None,
    device: str | None,
    batch_size: int | None,
    like: str | None,
    streams: int | None,
    fps: float | None,
    price_per_hour: float | None,
    everywhere: bool,
    results: Path,
    as_json: bool,
    **limits: str | None,
) -> None:
    """Say which model of RUN to ship within limits. [default: the latest run, on the device if one is named]

    Without limits: the models that no other beats in both accuracy and p50, and what each step costs and brings.
    Exit code 6: no model meets the limits.
    """
    from msgspec import to_builtins

    from bench import store
    from bench.analysis import answer, choice, quantities
    from bench.units import parse_quantity

    known = quantities.limited()
    given = {name: parse_quantity(text, known[name].unit) for name, text in limits.items() if text is not None}
    if (streams is None) != (fps is None):
        raise WrongUsage("--streams and --fps go together, e.g. --streams 8 --fps 15")
    if streams and fps:  # frames of cameras come less in bursts than requests: what holds these holds those
        given["rps"] = max(given.get("rps", 0.0), streams * fps)
    if everywhere:
        pick_everywhere(Path(run) if run else None, given, batch_size, like, results, as_json)
    loaded = store.load(run or store.latest(results, device=device))
    chosen = choice.pick(loaded, given, device=device, batch_size=batch_size, like=like)
    costs = choice.costs(chosen, price_per_hour) if price_per_hour is not None else {}
    if as_json:
        click.echo(store.json_text(to_builtins(chosen) | ({"cost_of_million": costs} if costs else {})))
    else:
        show_trust(loaded, short=True)
        for line in answer.in_words(chosen):
            click.echo(line)
        for line in answer.costs_in_words(costs, price_per_hour or 0.0):
            click.echo(line)
    raise SystemExit(choice.exit_code(chosen))


@cli.command()
@click.argument("runs", nargs=-1, metavar="[RUN]...")
@click.option("--all", "everything", is_flag=True, help="Every run under the results folder.")
@click.option(
    "-o",
    "out",
    type=click.Path(path_type=Path),
    help="FILE.html, .md, .csv, .json (pytest-benchmark), .png or .svg (Figure 2), or a folder for a site of all runs "
    "(with --format png or svg: for every figure).",
)
@click.option(
    "--format",
    "kind",
    metavar="FORMAT",
    help="html, site, markdown, csv, pytest-benchmark, png or svg. [default: by the file's name]",
)
@results_option
def report(runs: tuple[str, ...], everything: bool, out: Path | None, kind: str | None, results: Path) -> None:
    """Write a report of runs. [default: the latest run, as a page beside it]"""
    from bench import store
    from bench.report import write_report

    if everything:
        stored = store.runs(results)
    else:
        stored = [store.Stored(path, store.load(path)) for path in map(Path, runs or [store.latest(results)])]
    loaded = [each.run for each in stored]
    folders = [each.path if each.path.is_dir() else each.path.parent for each in stored]
    written = write_report(
        loaded,
        out or folders[-1] / "report.html",
        folders=folders,
        comparison=against_baseline(loaded[-1], results, folders[-1]) if len(loaded) == 1 else None,
        others=[each.run for each in store.runs(results)] if len(loaded) == 1 else (),
        baselines=[each.run for each in store.baselines(results)],
        format=kind,
    )
    click.echo(f"report: {written}")
