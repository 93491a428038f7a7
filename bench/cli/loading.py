"""The command that puts a load on a model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.root import (
    Shapes,
    Sizes,
    alpha_option,
    as_json_option,
    cli,
    command_line,
    dimension_option,
    input_shape_option,
    one_case,
    report_of,
    results_option,
    size_option,
    table,
)
from bench.errors import Failed, Inconclusive, NoModel
from bench.suites import PRECISIONS, RUNTIMES

if TYPE_CHECKING:
    from bench.records import Record

_ROUNDS, _SPACING_S = 3, 0.5  # of the timing without a load, which `pick` goes by
_EXIT = {"does not hold": NoModel.exit_code, "cannot say": Inconclusive.exit_code}


@cli.command()
@click.argument("model", metavar="MODEL|FILE")
@click.option("--p99", metavar="TIME", help="Limit of the response time's 99th percentile, e.g. 50ms.")
@click.option("--streams", type=click.IntRange(min=1), metavar="N", help="With --fps: do so many cameras hold?")
@click.option("--fps", type=click.FloatRange(min=0, min_open=True), metavar="F",
              help="Frames a second of each camera. Alone: how many cameras hold?")  # fmt: skip
@click.option("--offline", is_flag=True, help="The most images a second, however long each takes.")
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), metavar="M",
              help="Keep the load up for so long in the end, and say what becomes of it.")  # fmt: skip
@click.option("--instances", type=click.IntRange(min=1), metavar="N", help="[default: those that hold most]")
@click.option("--threads", type=click.IntRange(min=1), metavar="N",
              help="Of each instance. [default: those that hold most]")  # fmt: skip
@click.option("--batch", type=click.IntRange(min=1), metavar="N",
              help="The most requests that are served together. [default: those that hold most]")  # fmt: skip
@click.option("--longest-wait", metavar="TIME", help="For a batch to fill. [default: none; it takes what is there]")
@click.option("--instances-are", type=click.Choice(["processes", "threads"]), default="processes", show_default=True)
@click.option("--price-per-hour", type=click.FloatRange(min=0), metavar="P",
              help="Of this machine: adds what a million inferences cost.")  # fmt: skip
@click.option("--budget", type=click.FloatRange(min=0, min_open=True), metavar="S",
              help="Seconds for the search. [default: 70]")  # fmt: skip
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--runtime", type=click.Choice(list(RUNTIMES)), help="[default: the one that reads the file]")
@click.option("--precision", type=click.Choice(PRECISIONS), help="Of a model. [default: fp32]")
@alpha_option
@size_option
@input_shape_option
@dimension_option
@click.option("--seed", type=click.IntRange(min=1), metavar="N", help="Of the arrivals.")
@results_option
@as_json_option
def load(
    model: str,
    device: str,
    runtime: str | None,
    precision: str | None,
    alpha: float | None,
    input_size: int | None,
    input_shapes: Shapes,
    dimensions: Sizes,
    price_per_hour: float | None,
    results: Path,
    as_json: bool,
    **asked: str | float | bool | None,
) -> None:
    """Say how many requests a second this machine holds within p99, and with which instances, threads and batch.

    Requests come when they are planned (Poisson arrivals), however long the last ones took; a response time counts
    from then on. Exit code 6: the load that was asked for does not hold, or nothing meets the limit; 3: it cannot be
    said.
    """
    from bench import export, pipeline, store
    from bench.pipeline.running import OF_LOAD
    from bench.suites import Suite, load_asked

    case = one_case(model, alpha, input_size, runtime=runtime, precision=precision)
    (case,) = export.sized([case], dict(input_shapes), dict(dimensions))
    case = replace(case, load=load_asked(asked | {"offline": asked["offline"] or None}, "bench load"))
    options = pipeline.Options(device=device, rounds=_ROUNDS, spacing_s=_SPACING_S, command=command_line())
    outcome = pipeline.run(
        Suite(f"load-{case.name}", f"Load on {case.name}", (case,)), options=options, results=results, watch=_Lines(),
        phases=OF_LOAD,
    )  # fmt: skip
    (record,) = outcome.run.records
    page = report_of(outcome.folder, outcome.run, None)
    if as_json:
        click.echo(store.json_text(record), nl=False)
    if record.load is None:
        raise Failed(record.error or "no load was put on it")
    if not as_json:
        _show(record, price_per_hour)
        click.echo(f"run:    {outcome.folder}")
        if page:
            click.echo(f"report: {page}")
    nothing = record.load.rate_per_s == 0
    raise SystemExit(NoModel.exit_code if nothing else _EXIT.get(record.load.verdict, 0))


class _Lines:
    """A Watch that says on stderr what is done."""

    def plan(self, steps: dict[str, int]) -> None:
        """Nothing to say."""

    def phase(self, name: str) -> None:
        """Nothing to say."""

    def begin(self, what: str) -> None:
        """Say it."""
        click.echo(what, err=True)

    def end(self, record: Record) -> None:
        """Nothing to say."""


def _show(record: Record, price_per_hour: float | None) -> None:
    """The answer, what it rests on, and the setups that were tried."""
    from bench.analysis import capacity

    held = record.load
    if held is None:
        return
    for line in capacity.in_words(record, price_per_hour):
        click.echo(line)
    for doubt in held.doubts:
        click.echo(f"doubt: {doubt}")
    if held.steps:
        table(capacity.STEP_HEADINGS, [capacity.step_row(step) for step in held.steps])
    table(capacity.SETUP_HEADINGS, [capacity.setup_row(setup) for setup in held.setups])
