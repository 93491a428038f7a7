"""The command group, what several commands share, and how they print."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.cli import tables
from bench.errors import BenchError
from bench.units import parse_shape

if TYPE_CHECKING:
    from bench.records import Case, Comparison, Run
    from bench.store import Stored
    from bench.trust.contest import Contest

RESULTS = Path("results")

as_json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document on stdout and nothing else."
)
results_option = click.option(
    "--output", "results", type=click.Path(path_type=Path), default=RESULTS, show_default=True, metavar="DIR",
    help="The results folder.",
)  # fmt: skip
margin_option = click.option(
    "--margin", type=str, default="3%", show_default=True, help="Changes within this margin are equivalent."
)
patience_option = click.option(
    "--patience", default="0", metavar="TIME",
    help="Wait, for so long in all, for moments in which others leave the cores alone, e.g. 5m.",
)  # fmt: skip

alpha_option = click.option("--alpha", type=float, help="Width multiplier.")
size_option = click.option("--input-size", type=click.IntRange(min=1), metavar="N", help="Height and width in pixels.")


class _Named(click.ParamType[tuple[str, Any]]):
    """NAME=VALUE; the name may be left out where the option says so."""

    def __init__(self, name: str, convert: Callable[[str], Any], *, optional: bool) -> None:
        self.name, self._convert, self._optional = name, convert, optional

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, Any]:
        name, separator, text = value.rpartition("=")  # the name of an input may hold anything
        if not separator and not self._optional:
            self.fail(f'"{value}" is not {self.name}, e.g. side=224', param, ctx)
        try:
            return name, self._convert(text)
        except (BenchError, ValueError) as error:
            self.fail(f"{error}", param, ctx)


def _size_of(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 2**31:
        raise ValueError(f'"{text}" is not a size; write it as side=224')
    return int(text)


input_shape_option = click.option(
    "--input-shape", "input_shapes", multiple=True, type=_Named("[NAME=]1x3x224x224", parse_shape, optional=True),
    metavar="[NAME=]1x3x224x224", help="The shape that a file's input is fed. Repeatable.",
)  # fmt: skip
dimension_option = click.option(
    "--dimension", "dimensions", multiple=True, type=_Named("NAME=SIZE", _size_of, optional=False),
    metavar="NAME=SIZE", help="The size of a file's open dimension. Repeatable.",
)  # fmt: skip
Shapes = tuple[tuple[str, tuple[int, ...]], ...]
Sizes = tuple[tuple[str, int], ...]


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--debug", is_flag=True, help="Show the traceback of an error. May stand anywhere.")
@click.version_option(package_name="backbench")
def cli(debug: bool) -> None:
    """Which vision backbone to ship on this machine, within X ms, Y MB and Z % accuracy.

    \b
    bench run             measure the default suite, compare with the baseline, write the report
    bench list            the suites; `bench list SUITE` its cases
    bench compare         a run against this machine's baseline
    bench ab A B          two files against each other
    bench tune MODEL      its best runtime, precision, threads and batch size on this machine
    bench ship            the model that `bench pick` chooses, as a folder to deploy
    bench load MODEL      requests a second, or cameras, that this machine holds within p99
    bench fleet           one suite on many machines
    bench doctor          the machine: what disturbs a measurement, and the remedy
    bench selftest        this harness: its false alarms and its power on this machine

    \b
    Exit codes: 0 fine; 1 a regression is confirmed; 2 wrong usage; 3 inconclusive;
    4 not comparable, or no baseline; 5 a measurement or an export failed; 6 no model meets the limits of `pick`.
    """


def one_case(model: str, alpha: float | None, input_size: int | None, **more: Any) -> Case:
    """The case of a model or file named at the prompt."""
    from bench import suites

    return suites.case_of_model(model, alpha=alpha, input_size=input_size, **more)


def command_line() -> str | None:
    """The command that is running, as one would type it again; None where it was called from Python."""
    context = click.get_current_context(silent=True)
    words = context.find_root().obj if context else None
    return shlex.join(["bench", *words]) if words else None


def sort_options(*keys: str) -> Callable[[Any], Any]:
    """`--sort` by one of these columns, the largest first, and `--top` rows."""
    by = click.option("--sort", "sort", type=click.Choice(keys), help="Order by this, the largest first.")
    top = click.option("--top", type=click.IntRange(min=1), metavar="N", help="Only the first N rows.")
    return lambda command: by(top(command))


def against_baseline(run: Run, results: Path, folder: Path | None = None) -> Comparison | None:
    """The comparison with the suite's stored baseline, or None when there is none, it is this run, or cannot be read.

    What was measured anew for the run in this folder comes before what stored figures say.
    """
    from bench import store
    from bench.analysis import comparison

    place = store.baseline_folder(results, run)
    if not (place / store.RUN_FILE).is_file():
        return None
    try:
        reference = store.stored_baseline(results, run).run
        if (reference.started_at, reference.records) == (run.started_at, run.records):
            return None
        kept = store.verdicts(folder) if folder else None
        if kept and (kept.baseline_started_at, kept.run_started_at) == (reference.started_at, run.started_at):
            return kept
        return comparison.compare(reference, run, figures=None)
    except BenchError as error:
        click.echo(f"no comparison with {place}: {error}", err=True)
        return None


def measured_anew(
    baseline: Stored, run: Stored, comparison: Comparison, budget_s: float | None, patience_s: float
) -> Comparison:
    """The comparison with both files of every model measured anew, and progress on stderr."""
    from bench.trust import anew
    from bench.units import relative

    def say(contest: Contest, seconds: float) -> None:
        judgement = contest.judgement
        if judgement is None:
            return
        interval = "" if judgement.ratio_low is None or judgement.ratio_high is None else (
            f" [{relative(judgement.ratio_low)}, {relative(judgement.ratio_high)}]")  # fmt: skip
        click.echo(
            f"{seconds:4.0f} s  {contest.name}: {relative(judgement.ratio)}{interval} from {judgement.pairs} pairs, "
            f"{judgement.verdict if contest.stopped else 'not decided yet'}",
            err=True,
        )

    asked = anew.Asked(budget_s=budget_s, on_look=say, before=waiting(patience_s))
    return anew.measured(baseline, run, comparison, asked)


def waiting(patience_s: float) -> Callable[[Contest], None]:
    """What waits before each pair of a contest for others to leave the cores alone, so long in all, and says so."""
    from bench.machine.quiet import Patience

    patience = Patience(patience_s)

    def wait(contest: Contest) -> None:
        for words in patience.waits():
            click.echo(f"      {contest.name + ': ' if contest.name else ''}{words}", err=True)

    return wait


def report_of(folder: Path, run: Run, comparison: Comparison | None) -> Path | None:
    """Write the run's page beside it. A report that fails is said, and costs nothing that was measured."""
    from bench import store
    from bench.report import write_report

    try:
        others = [each.run for each in store.runs(folder.parent.parent)]
        return write_report([run], folder / "report.html", folders=[folder], comparison=comparison, others=others)
    except BenchError as error:
        click.echo(f"no report: {error}", err=True)
        return None


def show_trust(run: Run, who: str = "this run", *, short: bool = False) -> None:
    """Print whether to trust a run's figures, before them: with every doubt, or with the worst one alone."""
    from bench.analysis import trust

    colour = {"sound": "green", "shaky": "yellow", "unsound": "red"}[trust.stored(run).verdict]
    verdict, *more = trust.in_words(run)
    click.secho(verdict.replace("this run", who, 1), fg=colour)
    if short and len(more) > 1:
        more = [f"and {len(more)} more doubts, which its report names"]
    for line in more:
        click.echo(f"  {line}")


def show_comparison(comparison: Comparison) -> None:
    """Print the verdicts."""
    from bench.analysis import comparison as comparing
    from bench.analysis.quantities import change_in_words
    from bench.units import latency, relative

    forced = "  FORCED: these runs are not comparable" if comparison.forced else ""
    click.echo(
        f"compared with the run of {comparison.baseline_started_at}, margin {100 * comparison.margin:.1f} %{forced}"
    )
    for key in comparison.differing:
        click.echo(f"  differs: {key}")
    for change in comparison.changed:
        click.echo(f"  changed: {change}")
    rows = []
    for v in comparison.verdicts:
        if v.ratio is None or v.ratio_low is None or v.ratio_high is None or v.p50_ms is None:
            rows.append((v.case, v.verdict, "", "", "", v.reason or ""))
            continue
        interval = f"{relative(v.ratio)} [{relative(v.ratio_low)}, {relative(v.ratio_high)}]"
        seen = f"{100 * v.detectable:.1f} %" if v.detectable is not None else ""
        both = f"{latency(v.baseline_p50_ms)} -> {latency(v.p50_ms)}" if v.baseline_p50_ms else latency(v.p50_ms)
        rows.append((v.case, v.verdict, both, interval, seen, ", ".join(v.attribution)))
    table(("model", "verdict", "p50", "change [95 % interval]", "seen 4 times in 5 from", "what changed"), rows,
          drop=("seen 4 times in 5 from", "p50"))  # fmt: skip
    for v in comparison.verdicts:
        if v.ratio is not None and v.reason:
            click.echo(f"{v.case}: {v.reason}")
    for v in comparison.verdicts:
        if v.quantities:
            click.echo(f"{v.case}: {', '.join(map(change_in_words, v.quantities))}")
    for line in comparing.conclusion(comparison):
        click.echo(line)


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], drop: Sequence[str] = ()) -> None:
    """Print a table of texts as they are. Where there is no room columns go: `drop` first, then from the right."""
    show(tables.draw(headings, rows, tables.width(), drop=drop))


def show(drawn: Any) -> None:
    """Print what rich draws, in full width when it goes to a file."""
    from rich.console import Console

    Console(width=tables.width()).print(drawn)
