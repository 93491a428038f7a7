"""The command that finds a model's best setting."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.cli.root import (
    Shapes,
    Sizes,
    alpha_option,
    as_json_option,
    cli,
    dimension_option,
    input_shape_option,
    margin_option,
    one_case,
    size_option,
    table,
)
from bench.errors import Failed, WrongUsage
from bench.suites import PRECISIONS, RUNTIMES

if TYPE_CHECKING:
    from bench.trust.tuning import Choice, Tuned


@cli.command()
@click.argument("model", metavar="MODEL|FILE")
@click.option(
    "--goal", type=click.Choice(["latency", "throughput"]), default="latency", show_default=True,
    help="One input at a time, or batches of up to 16 for the most inputs a second.",
)  # fmt: skip
@click.option(
    "--runtime", "names", multiple=True, type=click.Choice(list(RUNTIMES)),
    help="Only this one. Repeatable. [default: every installed one that reads the file]",
)  # fmt: skip
@click.option(
    "--precision", "precisions", multiple=True, type=click.Choice(PRECISIONS),
    help="Only this one, of a model. Repeatable. [default: fp32 and int8]",
)  # fmt: skip
@click.option(
    "--budget", "budget_s", type=click.FloatRange(min=0, min_open=True), default=240.0, show_default=True, metavar="S",
    help="About how long to time; a third of it is always for the final.",
)  # fmt: skip
@margin_option
@alpha_option
@size_option
@click.option("--weights", default="none", show_default=True, help="none, imagenet or a weights file.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@input_shape_option
@dimension_option
@click.option("-o", "out", type=click.Path(dir_okay=False, path_type=Path), help="Write the program here, too.")
@as_json_option
def tune(
    model: str,
    goal: str,
    names: tuple[str, ...],
    precisions: tuple[str, ...],
    budget_s: float,
    margin: str,
    alpha: float | None,
    input_size: int | None,
    weights: str,
    device: str,
    input_shapes: Shapes,
    dimensions: Sizes,
    out: Path | None,
    as_json: bool,
) -> None:
    """Find a model's best setting on this machine: runtime, precision, threads, spinning, batch size.

    The best is timed again beside those that come near; what cannot be told apart from it is called a tie. Prints the
    setting as a program, which was run here. Precisions differ in accuracy, too: `bench accuracy` measures it.
    """
    from bench import store
    from bench.machine import facts
    from bench.runtimes import device as devices
    from bench.trust import tuning
    from bench.trust.ab import Setup
    from bench.units import parse_share

    is_file = model.lower().endswith((".onnx", ".tflite"))
    if is_file and (precisions or weights != "none"):
        raise WrongUsage(f"{model} is exported already; --precision and --weights are for a model's name")
    case = one_case(model, alpha, input_size, **({} if is_file else {"weights": weights}))
    place = devices.resolve(device, names[0] if names else next(iter(RUNTIMES)))[0]
    cores = facts.cores_given()
    files, refused = tuning.files_of(case, names=names, precisions=precisions, device=place)
    for name, reason in refused.items():
        click.echo(f"left out: {name}: {reason}", err=True)
    choices = tuning.settings_of(files, cores=cores, throughput=goal == "throughput")
    click.echo(f"{len(choices)} settings on {cores} core{'s' * (cores > 1)}", err=True)
    setup = Setup(device=place, threads=cores, dimensions=dict(dimensions), input_shapes=dict(input_shapes))
    tuned = tuning.tune(
        choices, setup, budget_s=budget_s, margin=parse_share(margin), say=lambda words: click.echo(words, err=True)
    )
    program = tuning.program(tuned.best, setup)
    ratio = tuning.program_ratio(program, tuned.best, setup)
    if as_json:
        answer = {
            "model": model, "goal": goal, "refused": refused, "settings": [_as_row(each) for each in tuned.choices],
            "margin": tuned.margin, "seconds": tuned.seconds, "visits": tuned.visits, "pairs": tuned.pairs,
            "program": program, "program_ratio": ratio,
        }  # fmt: skip
        click.echo(store.json_text(answer))
    else:
        _show(tuned, goal)
        doubt = "" if tuning.agrees(ratio) else ": it does not agree, so measure again on a quiet machine"
        click.echo(f"\nThis program has that setting; run here, its p50 is {ratio:.2f} of visits' around it{doubt}:\n")
        click.echo(program, nl=False)
    if out is not None:  # last: what was measured is told even where this fails
        try:
            out.write_text(program, encoding="utf-8")
        except OSError as error:
            raise Failed(f"cannot write {out}: {error.strerror}; the program is above") from error


def _as_row(choice: Choice) -> dict[str, Any]:
    side = choice.side
    return {
        "runtime": side.runtime, "precision": side.precision, "threads": side.threads, "spin": side.spin,
        "batch_size": side.batch_size or 1, "file": str(side.path), "standing": choice.standing, "error": choice.error,
        "p50_ms": choice.p50_ms if choice.p50s_ms else None, "ratio": choice.ratio, "ratio_low": choice.ratio_low,
        "ratio_high": choice.ratio_high, "left_in_round": choice.left_in,
    }  # fmt: skip


def _show(tuned: Tuned, goal: str) -> None:
    from bench.units import latency, significant

    def row(choice: Choice) -> tuple[str, ...]:
        if choice.standing == "failed":
            return choice.name, "", "", "", f"failed: {choice.error}"
        interval = ""
        if choice.ratio_low is not None and choice.ratio_high is not None:
            interval = f"[{choice.ratio_low:.3f}, {choice.ratio_high:.3f}]"
        where = f"{choice.standing}, gone in round {choice.left_in}" if choice.left_in else choice.standing
        speed = significant(1e3 / choice.p50_ms, 3)
        return choice.name, latency(choice.p50_ms), speed, f"{choice.ratio:.3f} {interval}".strip(), where

    table(
        ("setting", "p50 an input", "inputs a second", "times the best", "standing"),
        [row(choice) for choice in tuned.choices],
    )
    best = tuned.best
    words = f"best for {goal}: {best.name}"
    if tuned.ties:
        words += f"; a tie with {', '.join(choice.name for choice in tuned.ties)}: choose by ease or accuracy"
    click.echo(words)
    others: list[Any] = [each for each in tuned.choices if each.side.precision == "fp32" and each.standing != "failed"]
    if best.side.precision != "fp32" and others:
        click.echo(f"best in fp32, which loses no accuracy: {others[0].name}, {others[0].ratio:.2f} times as long")
    click.echo(f"{tuned.visits} visits and {tuned.pairs} pairs in {tuned.seconds:.0f} s; "
               f"within {100 * tuned.margin:.0f} % is a tie")  # fmt: skip
