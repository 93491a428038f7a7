"""Commands that judge what models say."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.fleet import insecure_option, judges, tls_option
from bench.cli.root import (
    RESULTS,
    Shapes,
    Sizes,
    as_json_option,
    cli,
    dimension_option,
    input_shape_option,
    table,
)  # fmt: skip
from bench.errors import Failed, WrongUsage
from bench.suites import CLASS_ORDERS, INTERPOLATIONS, PREPROCESSES, RESIZES, RUNTIMES

if TYPE_CHECKING:
    from bench.accuracy.measuring import Progress
    from bench.accuracy.results import Evaluation, Stages
    from bench.records import Case

_SHOWN = 10  # rows of each table; the file has them all

_file = click.Path(path_type=Path, exists=True, dir_okay=False)


@cli.command()
@click.argument("model")
@click.option("--images", type=click.Path(path_type=Path), required=True, metavar="DIR",
              help="A folder a class (synset, name or number), or flat with --labels.")  # fmt: skip
@click.option("--labels", type=_file, metavar="CSV", help="file,label for each image of a flat folder.")
@click.option("--classes", type=_file, metavar="FILE",
              help="The names of the model's outputs, in order, one a line. [default: ImageNet's]")  # fmt: skip
@click.option("--class-order", type=click.Choice(CLASS_ORDERS),
              help="In which order the classes stand. [default: numbers are outputs, names are sorted]")  # fmt: skip
@click.option("--output", metavar="NAME", help="The model's output with the class scores, where it has several.")
@click.option("--weights", metavar="imagenet|FILE", help="Of a named model. [default: imagenet]")
@click.option("--preprocess", type=click.Choice(PREPROCESSES), help="How pixels are scaled. [default: the family's]")
@click.option("--crop", type=click.FloatRange(min=0, min_open=True, max=1),
              help="Share of the shorter side that the centre crop keeps. [default: 0.875]")  # fmt: skip
@click.option("--resize", type=click.Choice(RESIZES), default=RESIZES[0], show_default=True,
              help="Cover the input and cut out its centre, or stretch the whole image, as Keras does.")  # fmt: skip
@click.option("--interpolation", type=click.Choice(INTERPOLATIONS), default="bilinear", show_default=True)
@click.option("--alpha", type=float, help="Width multiplier.")
@click.option("--input-size", type=click.IntRange(min=1), metavar="N", help="Height and width in pixels.")
@input_shape_option
@dimension_option
@click.option("--batch-size", type=click.IntRange(min=1), metavar="N", help="[default: up to 32, as memory allows]")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--threads", type=click.IntRange(min=1), help="Threads of the runtime. [default: the cores given]")
@click.option("--runtime", type=click.Choice(list(RUNTIMES)), help="[default: the one for such a file]")
@click.option("--agree-with-keras", is_flag=True, help="Ask the Keras model about the same images, too.")
@click.option("--stages", is_flag=True, help="Time decoding, resizing, scaling, inference and the rest apart, too.")
@click.option("--resume/--fresh", default=True, show_default=True, help="Go on with the predictions that are kept.")
@click.option("-o", "result", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.json",
              help="The result. [default: in results/accuracy]")  # fmt: skip
@click.option("--scheduler", metavar="URL", help="Judge on all machines of a Dask cluster, which see the same DIR.")
@tls_option
@insecure_option
@as_json_option
def accuracy(
    model: str,
    images: Path,
    labels: Path | None,
    classes: Path | None,
    class_order: str | None,
    output: str | None,
    weights: str | None,
    preprocess: str | None,
    crop: float | None,
    resize: str,
    interpolation: str,
    alpha: float | None,
    input_size: int | None,
    input_shapes: Shapes,
    dimensions: Sizes,
    batch_size: int | None,
    device: str,
    threads: int | None,
    runtime: str | None,
    agree_with_keras: bool,
    stages: bool,
    resume: bool,
    result: Path | None,
    scheduler: str | None,
    tls: Path | None,
    insecure: bool,
    as_json: bool,
) -> None:
    """Measure top-1 and top-5 of MODEL or FILE.onnx on a folder of images.

    Predictions are kept beside the result as they come: an interrupted command goes on where it was.
    """
    from bench import export, runtimes, store, suites
    from bench.accuracy import Settings, evaluate
    from bench.machine import facts
    from bench.runtimes import device as devices

    if not images.is_dir():
        raise WrongUsage(f"there is no folder {images}; give the folder of the images")
    own_file = model.lower().endswith((".onnx", ".tflite"))
    if own_file and weights is not None:
        raise WrongUsage("--weights are for named models; an .onnx file holds its own")
    known = model in suites.backbones()
    case = suites.case_of_model(
        model, alpha=alpha, input_size=None if own_file else input_size,
        weights=weights or ("imagenet" if known else None), runtime=runtime,
    )  # fmt: skip
    (case,) = export.sized([case], dict(input_shapes), dict(dimensions))
    if known and case.weights == "none":
        click.echo("random weights: this accuracy is that of chance", err=True)
    runtimes.require(case.runtime)
    provider = devices.resolve(device, case.runtime)[1]
    out = result or RESULTS / "accuracy" / f"{store.slug(f'{case.name} {images.resolve().name}')}.json"
    kept = out.with_suffix(".predictions.jsonl")
    if not resume:
        kept.unlink(missing_ok=True)
    settings = Settings(
        images=images,
        labels=labels,
        classes=classes,
        output=output,
        class_order=class_order,
        preprocess=preprocess or suites.backbones().get(model, {}).get("preprocess"),
        crop=crop,
        resize=resize,
        interpolation=interpolation,
        input_size=input_size,
        dimensions=case.dimensions,
        input_shapes=case.input_shapes,
        batch_size=batch_size,
        threads=threads or facts.cores_given(),
        runtime=case.runtime,
        provider=provider,
        model=case.name,
    )
    elsewhere = nullcontext() if scheduler is None else judges(scheduler, tls, insecure, case.runtime)
    with elsewhere as shards, _progress() as progress:
        path = Path(model) if own_file else _exported(case)
        found = evaluate(
            path,
            settings,
            kept=kept,
            progress=progress,
            agree_with=case if agree_with_keras else None,
            stages=stages,
            elsewhere=shards,
        )
    store.write_atomically(out, (store.json_text(found) + "\n").encode())
    if as_json:
        click.echo(store.json_text(found))
        return
    _show(found)
    click.echo(f"result: {out}")


def _exported(case: Case) -> Path:
    from bench import export

    (result,) = export.export([export.request(case)])
    if isinstance(result, export.ExportFailure):
        raise Failed(f"{case.name}: {result.message}")
    return result.path


def _show(result: Evaluation) -> None:
    from bench.units import duration, percent

    def interval(value: float | None, low: float | None, high: float | None) -> str:
        if value is None or low is None or high is None:
            return "none, with so few outputs"
        return f"{percent(value)} [{low:.1f}, {high:.1f}]"

    click.echo(f"{result.model} on {result.n:,} images of {len(result.classes):,} classes")
    click.echo(f"top-1 {interval(result.top1, result.top1_low, result.top1_high)}")
    click.echo(f"top-5 {interval(result.top5, result.top5_low, result.top5_high)}")
    if result.other_order:
        click.echo(f"doubtful: {result.other_order.says}")
    click.echo(f"labels: {result.labels}")
    if result.other_outputs:
        click.echo(f"output: {result.output}, and not {', '.join(result.other_outputs)}")
    click.echo(f"images: {result.preprocessing}")
    threads = f"{result.threads} thread{'s' * (result.threads > 1)}"
    click.echo(
        f"{result.provider}, {threads}, batches of {result.batch_size}: {duration(result.wall_s)}, "
        f"{result.images_per_s:.1f} images/s; inference took {percent(100 * result.inference_s / result.wall_s)} of it"
    )
    if result.agreement:
        share = percent(100 * (result.agreement.top1_agreement or 0.0))
        click.echo(
            f"Keras: top-1 agreement {share} on {result.agreement.inputs} images, "
            f"outputs differ by {result.agreement.max_rel:.1e} of their size"
        )
    if result.mistakes:
        table(
            ("worst classes", "images", "top-1 [95 % interval]"),
            [(c.name, str(c.n), interval(c.top1, c.top1_low, c.top1_high)) for c in result.classes[:_SHOWN]],
        )
        table(
            ("class", "taken for", "images"),
            [(c.name, c.taken_for, f"{c.count} of {c.of}") for c in result.confusions[:_SHOWN]],
        )
        table(
            ("surest mistakes", "is", "score", "answer", "score"),
            [(m.file, m.name, f"{m.label_score:.3f}", m.answer, f"{m.score:.3f}") for m in result.mistakes[:_SHOWN]],
        )
    if result.stages:
        _show_stages(result.stages)
    for image in result.unreadable[:_SHOWN]:
        click.echo(f"unreadable: {image.file}: {image.reason}", err=True)
    if len(result.unreadable) > _SHOWN:
        click.echo(f"unreadable: {len(result.unreadable)} images in all; the result lists them", err=True)
    if result.ignored:
        click.echo(f"ignored: {result.ignored} files that are no images, or have no label", err=True)
    if result.leftovers:
        names = ", ".join(f"{count} {name}" for name, count in result.leftovers.items())
        click.echo(f"left out: {names}", err=True)


def _show_stages(stages: Stages) -> None:
    from bench.units import latency, percent, significant

    threads = f"{stages.threads} thread{'s' * (stages.threads > 1)}"
    spans = {
        "read and decode": stages.decode,
        "turn, resize, crop": stages.resize,
        "scale into the input": stages.scale,
        f"inference, {threads}": stages.inference,
        "probabilities, top 5": stages.postprocess,
        "all of it": stages.whole,
    }
    single = stages.batch_size == 1
    whole = f"{significant(stages.whole.p50_ms)} ms"
    table(
        (f"stage, {'an image' if single else f'{stages.batch_size} images'} at a time", "p50", "p95"),
        [
            (name, latency(span.p50_ms), "too few to tell" if span.p95_ms is None else latency(span.p95_ms))
            for name, span in spans.items()
        ],
    )
    click.echo(
        f"preprocessing and post-processing take {percent(100 * stages.outside_share)} of "
        + (f"one image's {whole}" if single else f"the {whole} of {stages.batch_size} images at once")
        + f" ({stages.n:,} images, read from the system's cache)"
    )


@contextmanager
def _progress() -> Iterator[Progress]:
    """Shows how far it is, on stderr: a bar on a terminal, a line every tenth elsewhere."""
    if not sys.stderr.isatty():
        shown = 0

        def say(done: int, total: int, rate: float) -> None:
            nonlocal shown
            if 10 * done // total > shown:
                shown = 10 * done // total
                click.echo(f"{done:,} of {total:,} images, {rate:.1f} images/s", err=True)

        yield say
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]:.1f} images/s"), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), auto_refresh=False, transient=True) as bar:
        task = bar.add_task("", total=None, rate=0.0)

        def draw(done: int, total: int, rate: float) -> None:
            bar.update(task, completed=done, total=total, rate=rate, refresh=True)

        yield draw
