"""Commands that say what can be trusted: two files against each other, the machine, and this harness itself."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.root import (
    Shapes,
    Sizes,
    as_json_option,
    cli,
    dimension_option,
    input_shape_option,
    margin_option,
    patience_option,
    results_option,
    table,
    waiting,
)  # fmt: skip
from bench.errors import Failed, Inconclusive, Regression, WrongUsage
from bench.suites import RUNTIMES, runtime_of

if TYPE_CHECKING:
    from bench.trust.contest import Contest
    from bench.trust.trial import Judgement, Trial

_EXIT = {"slower": Regression.exit_code, "inconclusive": Inconclusive.exit_code}
_STOPPED = {
    "decided": "the verdict was decided",
    "width": "the interval was narrow enough",
    "budget": "the budget was spent",
}

device_option = click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
threads_option = click.option(
    "--threads", type=click.IntRange(min=1), help="Threads of the runtime. [default: the cores given]"
)
_onnx_file = click.Path(exists=True, dir_okay=False, path_type=Path)


@cli.command()
@click.argument("a", type=_onnx_file, metavar="A.onnx")
@click.argument("b", type=_onnx_file, metavar="B.onnx")
@click.option(
    "--budget", "budget_s", type=click.FloatRange(min=0, min_open=True), default=60.0, show_default=True, metavar="S",
    help="Stop after S seconds.",
)  # fmt: skip
@margin_option
@patience_option
@click.option("--width", metavar="SHARE", help="Go on until the interval is this narrow, e.g. 1%. [default: a verdict]")
@threads_option
@device_option
@click.option("--batch-size", type=click.IntRange(min=1), default=1, show_default=True)
@input_shape_option
@dimension_option
@click.option("--python-a", metavar="PY", help="The interpreter that runs A; it needs numpy and the runtime alone.")
@click.option("--python-b", metavar="PY", help="The interpreter that runs B.")
@click.option("--runtime-a", type=click.Choice(list(RUNTIMES)), help="A's runtime. [default: the one for such a file]")
@click.option("--runtime-b", type=click.Choice(list(RUNTIMES)), help="B's runtime.")
@as_json_option
def ab(
    a: Path,
    b: Path,
    budget_s: float,
    margin: str,
    patience: str,
    width: str | None,
    threads: int | None,
    device: str,
    batch_size: int,
    input_shapes: Shapes,
    dimensions: Sizes,
    python_a: str | None,
    python_b: str | None,
    runtime_a: str | None,
    runtime_b: str | None,
    as_json: bool,
) -> None:
    """Say whether file B is faster or slower than file A.

    Both are timed in turn in one process, over several fresh ones. Exit code 1 when B is slower, 3 when the budget
    shows nothing. One file under two runtimes: name it twice and give --runtime-a and --runtime-b, or --python-a and
    --python-b; that takes pairs of processes.
    """
    from bench import store
    from bench.machine import facts
    from bench.runtimes import device as devices
    from bench.trust import ab, contest
    from bench.units import parse_duration, parse_share

    share, target = parse_share(margin), parse_share(width) if width else None
    names = runtime_a or runtime_of(str(a)), runtime_b or runtime_of(str(b))
    places = [devices.resolve(device, name)[0] for name in names]
    setup = ab.Setup(
        device=max(places, key=lambda place: place == "cpu"), threads=threads or facts.cores_given(),
        dimensions=dict(dimensions), input_shapes=dict(input_shapes), batch_size=batch_size,
    )  # fmt: skip
    trial = contest.measure(
        ab.Side(a, python_a or sys.executable, names[0]),
        ab.Side(b, python_b or sys.executable, names[1]),
        setup,
        budget_s=budget_s,
        margin=share,
        width=target,
        on_look=_say_look,
        before=waiting(parse_duration(patience)),
    )
    if as_json:
        click.echo(store.json_text(trial))
    else:
        _show_trial(trial)
    raise SystemExit(_EXIT.get(trial.judgement.verdict, 0))


def _change(judgement: Judgement) -> str:
    from bench.units import relative

    if judgement.ratio_low is None or judgement.ratio_high is None:
        return f"{relative(judgement.ratio)} [too few pairs for an interval]"
    return f"{relative(judgement.ratio)} [{relative(judgement.ratio_low)}, {relative(judgement.ratio_high)}]"


def _say_look(contest: Contest, seconds: float) -> None:
    judgement = contest.judgement
    if judgement:
        click.echo(f"{seconds:.0f} s, {judgement.pairs} pairs: {_change(judgement)} {judgement.verdict}", err=True)


def _show_trial(trial: Trial) -> None:
    from bench.analysis.comparison import ALARM_RATE
    from bench.trust import trial as trials
    from bench.units import latency

    judgement = trial.judgement
    words = {"equivalent": "equivalent to A", "inconclusive": "not told apart from A: inconclusive"}
    click.echo(f"B is {words.get(judgement.verdict, f'{judgement.verdict} than A')}")
    click.echo(f"change   {_change(judgement)}, margin {100 * trial.margin:.1f} %")
    click.echo(f"p50      A {latency(trial.a_p50_ms)}, B {latency(trial.b_p50_ms)}, threads: {trial.threads}")
    if judgement.detectable is not None:
        click.echo(f"power    so many pairs see {100 * judgement.detectable:.1f} % four times in five")
    disturbed, torn = (sum(getattr(pair, kind) for pair in trial.pairs) for kind in ("disturbed", "torn"))
    place = "in one process each" if trial.one_process else "in two processes each"
    click.echo(
        f"pairs    {len(trial.pairs)} in {trial.seconds:.0f} s, {place}"
        + (f", {disturbed} of them disturbed" if disturbed else "")
        + (f", {torn} left out, torn by a change of the machine's pace" if torn else "")
        + f"; stopped because {_STOPPED[trial.stopped]}"
    )
    if trial.a_runtime != trial.b_runtime:
        click.echo(f"runtime  A {trial.a_runtime}, B {trial.b_runtime}")
    elif trial.same_file:
        click.echo("note     A and B are the same file; a verdict other than equivalent is the machine's noise")
    if judgement.verdict == "inconclusive":
        needed = trials.pairs_for(judgement, margin=trial.margin, alarm=ALARM_RATE)
        each = trial.seconds / len(trial.pairs)
        click.echo(f"remedy   about {needed} such pairs see the margin: --budget {2 * math.ceil(needed * each / 2)}")


@cli.command()
@click.option(
    "--seconds", type=click.FloatRange(min=0), default=15.0, show_default=True, metavar="S",
    help="How long to measure the noise floor.",
)  # fmt: skip
@click.option("--require", type=click.Choice(["quiet"]), help="Exit with 5 when the machine cannot measure now.")
@results_option
@as_json_option
def doctor(seconds: float, require: str | None, results: Path, as_json: bool) -> None:
    """Examine the machine and your surroundings: what will disturb a measurement, and the remedy."""
    from bench import store
    from bench.export import cache
    from bench.trust import doctor
    from bench.trust.finding import Finding, conclude

    colours = {"ok": "green", "warn": "yellow", "unknown": None}
    findings: list[Finding] = []
    noise = None
    for finding in doctor.examine(results, cache.folder(), seconds=seconds):
        if isinstance(finding, doctor.Noise):
            noise = finding
            continue
        findings.append(finding)
        if not as_json:
            mark = click.style(f"{'?' if finding.level == 'unknown' else finding.level:4}", fg=colours[finding.level])
            click.echo(f"{mark}  {finding.name}: {finding.found}")
            if finding.remedy:
                click.echo(f"      -> {finding.remedy}")
    conclusion = conclude(findings)
    if as_json:
        rows = [
            {"name": f.name, "found": f.found, "level": f.level, "remedy": f.remedy, "disturbs": f.disturbs}
            for f in findings
        ]
        answer = {"findings": rows, "noise": noise, "quiet": conclusion.quiet, "conclusion": conclusion.text}
        click.echo(store.json_text(answer))
    else:
        click.secho(conclusion.text, fg="green" if conclusion.quiet else "red")
    if require == "quiet" and not conclusion.quiet:
        raise SystemExit(Failed.exit_code)


@cli.command()
@click.option("--minutes", type=click.FloatRange(min=0), default=30.0, show_default=True, help="How long to try.")
@click.option("--model", default="tiny", show_default=True, metavar="tiny|FILE.onnx", help="What to time.")
@click.option(
    "--budget", "budget_s", type=click.FloatRange(min=0, min_open=True), default=60.0, show_default=True, metavar="S",
    help="Of each trial of `ab`.",
)  # fmt: skip
@margin_option
@threads_option
@as_json_option
def selftest(minutes: float, model: str, budget_s: float, margin: str, threads: int | None, as_json: bool) -> None:
    """Measure this harness's own false alarms and power on this machine.

    One file against itself, and against itself slowed by 1, 2, 3, 5 and 10 %, side by side and by the
    stored figures of two runs.
    """
    import tempfile

    from bench import store
    from bench.machine import facts
    from bench.timing import calibration
    from bench.trust import ab, selftest
    from bench.units import parse_share

    share = parse_share(margin)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(model)
        if model == "tiny":
            path = Path(folder) / "tiny.onnx"
            calibration.write_product(path, 512)
        elif not path.is_file():
            raise WrongUsage(f'no file {model}; name an .onnx file, or "tiny"')
        attempts = []
        setup = ab.Setup(threads=threads or facts.cores_given())
        for attempt in selftest.attempts(path, setup, minutes=minutes, margin=share, budget_s=budget_s):
            attempts.append(attempt)
            click.echo(
                f"{attempt.method}, {100 * attempt.injected:.0f} % slower: {attempt.verdict} ({attempt.seconds:.0f} s)",
                err=True,
            )
    rows = selftest.summary(attempts)
    if as_json:
        click.echo(store.json_text({"margin": share, "rows": rows, "attempts": attempts}))
        return
    table(
        (
            "by",
            "truly slower by",
            "tries",
            "slower",
            "faster",
            "equivalent",
            "inconclusive",
            "rate [95 %]",
            "time each",
        ),
        [
            (
                row.method,
                f"{100 * row.injected:.0f} %" if row.injected else "nothing",
                str(row.tries),
                *map(str, row.verdicts.values()),
                f"{'seen' if row.injected else 'false alarms'} {100 * row.rate:.0f} % "
                f"[{100 * row.rate_low:.0f}, {100 * row.rate_high:.0f}]",
                f"{row.seconds:.0f} s",
            )
            for row in rows
        ],
    )
