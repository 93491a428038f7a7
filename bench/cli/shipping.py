"""The command that writes a model's folder."""

from __future__ import annotations

from pathlib import Path

import click

from bench.cli.reading import Limits
from bench.cli.root import as_json_option, cli, results_option, show_trust
from bench.suites import PREPROCESSES


@cli.command(cls=Limits)
@click.argument("run", required=False)
@click.option("--model", metavar="NAME", help="This one of the run's models, whatever the limits would choose.")
@click.option("--like", metavar="MODEL", help="The fastest of those as accurate as MODEL, within the noise.")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), help="Only models that were timed on it.")
@click.option("--batch-size", type=click.IntRange(min=1), metavar="N",
              help="Choose among the models of this batch size. [default: the smallest]")  # fmt: skip
@click.option("--images", type=click.Path(path_type=Path), metavar="DIR",
              help="Where the five images of the check come from. [default: the run's own]")  # fmt: skip
@click.option("--classes", type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="FILE",
              help="The names of the outputs, in order, one a line. [default: the run's, or ImageNet's]")  # fmt: skip
@click.option("--preprocess", type=click.Choice(PREPROCESSES),
              help="How pixels are scaled. [default: as the run was judged, or the family's]")  # fmt: skip
@click.option("-o", "out", type=click.Path(path_type=Path), metavar="DIR",
              help="The folder to write. [default: in results/shipped]")  # fmt: skip
@results_option
@as_json_option
def ship(
    run: str | None,
    model: str | None,
    like: str | None,
    device: str | None,
    batch_size: int | None,
    images: Path | None,
    classes: Path | None,
    preprocess: str | None,
    out: Path | None,
    results: Path,
    as_json: bool,
    **limits: str | None,
) -> None:
    """Write a folder to deploy: the model of RUN that `bench pick` chooses within the same limits.

    It holds the file, labels.txt, predict.py (needs the runtime, NumPy and Pillow alone), requirements.txt and
    model-card.md. It is only written where predict.py says of five images what was measured. [default: the latest run]

    Exit code 5: it does not, or the model's file is gone; 6: no model meets the limits.
    """
    from bench import shipping, store
    from bench.analysis import quantities
    from bench.units import parse_quantity

    known = quantities.limited()
    given = {name: parse_quantity(text, known[name].unit) for name, text in limits.items() if text is not None}
    loaded = store.load(run or store.latest(results, device=device))
    asked = shipping.Asked(
        limits=given, device=device, batch_size=batch_size, like=like, model=model, images=images, classes=classes,
        preprocess=preprocess,
    )  # fmt: skip
    record = shipping.chosen(loaded, asked)
    if not as_json:
        show_trust(loaded, short=True)
    folder = out or shipping.free(results / "shipped" / store.slug(record.case.name))
    shipped = shipping.ship(loaded, record, folder, asked)
    if as_json:
        click.echo(store.json_text(shipped))
        return
    for note in shipped.notes:
        click.echo(f"note: {note}", err=True)
    click.echo(f"{shipped.case}: predict.py says what was measured, of {len(shipped.images)} {shipped.source}; the "
               f"largest difference of a value is {shipped.largest_difference:.1e}")  # fmt: skip
    click.echo(f"shipped: {shipped.folder}: {', '.join(shipped.files)}")
