"""Labelled images: a folder a class, or a flat folder and a file of labels."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.accuracy import classes, label_files
from bench.accuracy.classes import Labelling
from bench.data import folders
from bench.data.folders import Layout, Part
from bench.data.parts import Labelled
from bench.errors import WrongUsage


@dataclass(frozen=True, slots=True)
class Listing:
    """The labelled images of a folder in a fixed order, before a model says what its outputs are."""

    folder: Path
    images: tuple[Labelled, ...]
    words: tuple[str, ...]  # every class, also those without images
    places: dict[str, str]  # where a label was read, "labels.csv:3"
    ignored: int  # files that are no images, or that have no label
    leftovers: dict[str, int]  # of archives and systems, and hidden ones, left out: how many by name


@dataclass(frozen=True, slots=True)
class ImageSet:
    """The images to judge a model on, in a fixed order, with the model's output for each."""

    folder: Path
    images: tuple[Labelled, ...]
    labelling: Labelling
    ignored: int  # files that are no images, or that have no label
    leftovers: dict[str, int]
    other_orders: dict[str, Labelling]  # the outputs of the classes under other usual orders, by its name

    @property
    def labels(self) -> tuple[int, ...]:
        """The output that is right, for each image."""
        return tuple(self.labelling.outputs[image.word] for image in self.images)

    @property
    def sha256(self) -> str:
        """A hash of the list: names, labels, sizes and times of the files."""
        return _sha256(
            self.folder, [(image.file, label) for image, label in zip(self.images, self.labels, strict=True)]
        )

    def shown(self, readable: Sequence[bool]) -> str:
        """A hash of those that could be read and of their classes, whatever the outputs of a model are called."""
        return _sha256(
            self.folder, [(image.file, image.word) for image, able in zip(self.images, readable, strict=True) if able]
        )


def listing(folder: Path, *, labels: Path | None = None, listed: bool = False) -> Listing:
    """Find the labelled images of a folder.

    Args:
        folder: one folder a class (synset, name or number), or flat with `labels`.
        labels: a CSV file of file,label.
        listed: whether a list of class names comes with it.

    Raises WrongUsage: no images; parts of a data set instead of classes, with the folder to give; labels that are none.
    """
    there = folders.layout(folder)
    if labels is None:
        _refuse_parts(folder, there)
        words = tuple(there.classes)
        images = tuple(Labelled(file, word) for word, files in there.classes.items() for file in files)
        if not images:
            raise _no_images(folder, there)
        return Listing(folder, images, words, {}, there.others, there.leftovers)
    if not there.images:
        raise WrongUsage(f"{folder} holds no images")
    said = label_files.read(labels, there.images, listed=listed)
    images = tuple(Labelled(name, said.words[name]) for name in sorted(said.words))
    ignored = len(set(there.images) - said.words.keys())
    return Listing(folder, images, tuple(said.places), said.places, ignored, there.leftovers)


def image_set(listing: Listing, outputs: int, *, given: Path | None = None, order: str | None = None) -> ImageSet:
    """The listed images with the outputs of a model that has so many. Arguments and errors as `classes.labelling`."""
    labelling = classes.labelling(listing.words, outputs, given=given, order=order, places=listing.places)
    others = classes.alternatives(listing.words, outputs, labelling, given=given)
    return ImageSet(listing.folder, listing.images, labelling, listing.ignored, listing.leftovers, others)


def _sha256(folder: Path, listed: Iterable[tuple[str, object]]) -> str:
    digest = hashlib.sha256()
    for file, label in listed:
        try:
            about = (folder / file).stat()
            facts = f"{about.st_size} {about.st_mtime_ns}"
        except (OSError, ValueError):
            facts = "missing"
        digest.update(f"{file}\0{label}\0{facts}\n".encode(errors="surrogatepass"))
    return digest.hexdigest()


def _refuse_parts(folder: Path, there: Layout) -> None:
    """Raise WrongUsage for a folder that is divided into parts, with the folder to give."""
    parts = folders.parts(folder, there)
    if parts:
        names = ", ".join(str(part.folder.relative_to(folder)) for part in parts)
        first = next((part for part in parts if _has_classes(part)), None)
        remedy = (
            f"give one of them: --images {first.folder}"
            if first
            else f"give one of them with its labels: --images {parts[0].folder} --labels CSV"
        )
        raise WrongUsage(f"{folder} is divided into parts of a data set ({names}), which are no classes; {remedy}")
    repeated = folders.repeated_classes(there)
    if repeated:
        raise WrongUsage(
            f"{folder / repeated} is no class: it holds the classes beside it once more; move it, or give it: "
            f"--images {folder / repeated}"
        )
    divided = folders.divided_classes(there)
    if divided:
        raise WrongUsage(
            f"{folder / divided} is divided into parts of a data set, and so not the images to judge on alone; put the "
            "images of one part into a folder of class folders"
        )


def _has_classes(part: Part) -> bool:
    return any(folders.layout(part.folder).classes.values())


def _no_images(folder: Path, there: Layout) -> WrongUsage:
    if there.loose:
        holds, remedy = f"{len(there.loose)} images but", "give --labels CSV with their labels"
    else:
        holds, remedy = "no images and", "expected DIR/CLASS/IMAGE, or DIR/IMAGE and --labels"
    return WrongUsage(f"{folder} holds {holds} no class folders with images; {remedy}")
