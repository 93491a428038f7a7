"""What is shipped: the model that is chosen, and what its record says of how images become its input."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bench import data, suites
from bench.accuracy import classes, images
from bench.accuracy.signature import Signature
from bench.analysis import answer, choice
from bench.data import COLUMNS, folders
from bench.errors import BenchError, Failed, NoModel, WrongUsage, suggestion
from bench.models.preprocessing import INTERPOLATION, RESIZE
from bench.records import LabelledImages, Record, Run
from bench.units import readable

TEST_IMAGES = 5
_LOOKED_AT = 25  # images of which so many that can be read are taken


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What is said beside the run."""

    limits: Mapping[str, float]
    device: str | None = None
    batch_size: int | None = None
    like: str | None = None
    model: str | None = None  # this one, whatever the limits say
    images: Path | None = None  # where test images come from
    classes: Path | None = None  # the names of the model's outputs, one a line
    preprocess: str | None = None  # one of suites.PREPROCESSES


@dataclass(frozen=True, kw_only=True, slots=True)
class Scaling:
    """How images become a model's input, as `preprocessing` takes it."""

    preprocess: str | None
    crop: float | None = None
    resize: str = RESIZE
    interpolation: str = INTERPOLATION


def chosen(run: Run, asked: Asked) -> Record:
    """The record of the model to ship: the one named, or what `pick` chooses.

    Raises WrongUsage where neither a model nor a limit is given and several are on the front, and for an unknown one;
    NoModel where no model meets the limits.
    """
    by_name = {record.case.name: record for record in run.records}
    if asked.model is not None:
        if asked.limits or asked.like:
            raise WrongUsage("--model names the model already; leave the limits out")
        named = {name.lower(): name for name in by_name}.get(asked.model.lower())
        if named is None:
            raise WrongUsage(f'no model of this run is called "{asked.model}"; {suggestion(asked.model, by_name)}')
        return by_name[named]
    picked = choice.pick(
        run, asked.limits, device=asked.device, batch_size=asked.batch_size, like=asked.like
    )  # fmt: skip
    if picked.winner:
        return by_name[picked.winner.case]
    if len(picked.front) == 1:
        return by_name[picked.front[0].model.case]
    if picked.front:
        names = ", ".join(step.model.case for step in picked.front)
        raise WrongUsage(
            f"{len(picked.front)} models of this run may be the one ({names}); give a limit, e.g. --p50 10ms, as for "
            "`bench pick`, or --model NAME"
        )
    first, *more = answer.in_words(picked)
    raise NoModel(" ".join([first, *(line.strip() for line in more[:1])]))


def scaling(record: Record, asked: Asked) -> Scaling:
    """How a record's images become its input. Raises WrongUsage where an own file's scaling is not known."""
    case = record.case
    if case.train and case.train.data:
        return Scaling(preprocess="tf", crop=1.0)  # `data.signed`, of images that have its size
    usual = suites.backbones().get(case.model, {}).get("preprocess")
    if judged := case.accuracy:
        return Scaling(
            preprocess=asked.preprocess or judged.preprocess or usual,
            crop=judged.crop, resize=judged.resize, interpolation=judged.interpolation,
        )  # fmt: skip
    return Scaling(preprocess=asked.preprocess or usual)


def labels(record: Record, asked: Asked, takes: Signature) -> tuple[tuple[str, ...], str | None]:
    """What each output is called, and what is to be said of the names; None where nothing is.

    Raises WrongUsage for names that do not fit the outputs.
    """
    names, note = _names(record, asked, takes)
    return tuple(readable(names.get(output, f"output {output}")) for output in range(takes.outputs)), note


def _names(record: Record, asked: Asked, takes: Signature) -> tuple[dict[int, str], str | None]:
    case = record.case
    if case.train and case.train.data:
        known = data.get(case.train.data)
        names = map(str, range(known.CLASSES)) if known.KIND == "classes" else COLUMNS
        return dict(enumerate(names)), None
    judged = _judged(record, asked)
    if judged:
        listed = images.listing(
            Path(judged.images), labels=Path(judged.labels) if judged.labels else None, listed=bool(judged.classes)
        )
        given = Path(judged.classes) if judged.classes else None
        return images.image_set(listed, takes.outputs, given=given, order=judged.class_order).labelling.names, None
    if asked.classes:
        listed_names = classes.read(asked.classes).names
        if len(listed_names) != takes.outputs:
            raise WrongUsage(
                f"{asked.classes} lists {len(listed_names)} classes, but the model has {takes.outputs} outputs"
            )
        return {number: names[0] for number, names in enumerate(listed_names)}, None
    if case.model in suites.backbones() and takes.outputs in classes.IMAGENET:
        try:
            shift = takes.outputs - 1000
            return {number + shift: names[0] for number, names in enumerate(classes.imagenet().names)}, None
        except BenchError as error:
            return {}, f"the labels are numbers of outputs: {error}"
    return {}, "the labels are numbers of outputs: nothing says what they are called; give --classes FILE"


@contextmanager
def test_images(record: Record, asked: Asked, size: tuple[int, int]) -> Iterator[tuple[list[Path], str]]:
    """Images to choose TEST_IMAGES from, and where they come from; those that are made here are gone afterwards.

    `size`: height and width of the model's input. Raises WrongUsage for a folder without images.
    """
    case, judged = record.case, _judged(record, asked)
    with tempfile.TemporaryDirectory(prefix="backbench-") as name:
        if judged or asked.images:
            folder = asked.images or Path(judged.images if judged else "")
            found = _listed(judged) if judged and not asked.images else folders.images(folder)
            if not found:
                raise WrongUsage(f"{folder} holds no images; give another folder with --images")
            yield found[:: max(1, len(found) // _LOOKED_AT)][:_LOOKED_AT], f"images of {folder}"
        elif case.train and case.train.data:
            pixels = data.get(case.train.data).held_out(size[0])[0][:TEST_IMAGES]
            yield _saved(Path(name), pixels), "held-out images of the embedded data set"
        else:
            yield _made(Path(name)), "made-up pictures, as this run names no images"


def _listed(judged: LabelledImages) -> list[Path]:
    """The images that a run was judged on."""
    folder = Path(judged.images)
    listed = images.listing(folder, labels=Path(judged.labels) if judged.labels else None, listed=bool(judged.classes))
    return [folder / image.file for image in listed.images]


def _judged(record: Record, asked: Asked) -> LabelledImages | None:
    """The labelled images that the run was judged on, while they are there."""
    judged = record.case.accuracy
    if judged and asked.classes:
        judged = replace(judged, classes=str(asked.classes))
    return judged if judged and Path(judged.images).is_dir() else None


def _made(folder: Path) -> list[Path]:
    """Blotches of colour in several sizes and kinds of files: what is read, scaled or cropped wrongly shows."""
    image = _pillow()
    rng = np.random.default_rng(0)
    kinds: list[tuple[str, int, int, str, dict[str, Any]]] = [
        ("0.png", 640, 480, "RGB", {}), ("1.jpg", 480, 640, "RGB", {}), ("2.png", 300, 300, "L", {}),
        ("3.jpg", 97, 331, "CMYK", {}), ("4.jpg", 1600, 1200, "RGB", {"exif": image.Exif()}),
    ]  # fmt: skip
    kinds[-1][-1]["exif"][0x0112] = 6  # turned by 90 degrees
    for name, width, height, mode, more in kinds:
        blotches = rng.integers(0, 256, (height // 20 + 1, width // 20 + 1, 3)).astype(np.uint8)
        picture = image.fromarray(np.kron(blotches, np.ones((20, 20, 1), np.uint8))[:height, :width])
        picture.convert(mode).save(folder / name, **more)
    return [folder / name for name, *_ in kinds]


def _saved(folder: Path, pictures: data.Pixels) -> list[Path]:
    """Pixels (n, height, width, 3) as files."""
    paths = [folder / f"{number}.png" for number in range(len(pictures))]
    for path, pixels in zip(paths, pictures, strict=True):
        _pillow().fromarray(pixels).save(path)
    return paths


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise Failed(f'{error}; install it with `pip install "backbench[images]"`') from error
    return Image
