"""Labelled images: a folder a class, or a flat folder and a CSV of labels."""

from __future__ import annotations

import csv
import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.accuracy.classes import Labelling, labelling
from bench.errors import WrongUsage

SUFFIXES = (
    ".bmp", ".gif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tga", ".tif", ".tiff",
    ".webp", ".avif",
)  # fmt: skip
_HEADINGS = ("file", "filename", "image", "imageid", "path", "name")
_BOXES = re.compile(r"(?<=^n\d{8}) [\dn ]+$")  # "n03995372 85 1 499 272"


@dataclass(frozen=True, slots=True)
class Labelled:
    """One image and the class that it shows."""

    file: str  # relative to the folder, with forward slashes
    word: str  # the class as the folder's name or the label says it


@dataclass(frozen=True, slots=True)
class ImageSet:
    """The images to judge a model on, in a fixed order, with the model's output for each."""

    folder: Path
    images: tuple[Labelled, ...]
    labelling: Labelling
    ignored: int  # files that are no images, or that have no label

    @property
    def labels(self) -> tuple[int, ...]:
        """The output that is right, for each image."""
        return tuple(self.labelling.outputs[image.word] for image in self.images)

    @property
    def sha256(self) -> str:
        """A hash of the list: names, labels, sizes and times of the files."""
        found = hashlib.sha256()
        for image, label in zip(self.images, self.labels, strict=True):
            try:
                about = (self.folder / image.file).stat()
                facts = f"{about.st_size} {about.st_mtime_ns}"
            except OSError:
                facts = "missing"
            found.update(f"{image.file}\0{label}\0{facts}\n".encode(errors="surrogateescape"))
        return found.hexdigest()


def image_set(
    folder: Path,
    outputs: int,
    *,
    labels: Path | None = None,
    classes: Path | None = None,
) -> ImageSet:
    """Find the labelled images of a folder, for a model with so many outputs.

    Args:
        folder: one folder a class (synset, name or number), or flat with `labels`.
        outputs: how many classes the model has.
        labels: a CSV file of file,label.
        classes: a file of class names in the order of the outputs.

    Raises:
        WrongUsage: no images, or classes that match nothing.
        Failed: ImageNet's class list is needed and cannot be had.
    """
    if not folder.is_dir():
        raise WrongUsage(f"there is no folder {folder}; give the folder of the images")
    images, words, ignored = _listed(folder, labels) if labels else _of_folders(folder)
    return ImageSet(folder, images, labelling(words, outputs, given=classes), ignored)


def _of_folders(folder: Path) -> tuple[tuple[Labelled, ...], list[str], int]:
    """The images, every class, empty ones too, and the number of other files."""
    words = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith("."))
    images: list[Labelled] = []
    others = 0
    for word in words:
        for file in _files(folder / word):
            is_image = file.suffix.lower() in SUFFIXES
            others += not is_image
            if is_image:
                images.append(Labelled(file.relative_to(folder).as_posix(), word))
    if not images:
        loose = sum(file.suffix.lower() in SUFFIXES for file in _files(folder))
        remedy = (
            "give --labels CSV with their labels" if loose else "expected DIR/CLASS/IMAGE, or DIR/IMAGE and --labels"
        )
        raise WrongUsage(f"{folder} holds {f'{loose} images but' if loose else 'no images and'} no class folders "
                         f"with images; {remedy}")  # fmt: skip
    return tuple(images), words, others


def _files(folder: Path) -> Iterator[Path]:
    """All files below a folder in sorted order, hidden ones left out."""
    for place, folders, names in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith("."):
                yield Path(place) / name


def _listed(folder: Path, labels: Path) -> tuple[tuple[Labelled, ...], list[str], int]:
    """The images that a CSV names, whether they are there or not, every label, and the number of unlabelled images.

    ImageNet's own `LOC_val_solution.csv` works too: file names without a suffix, boxes after the label.
    """
    there = [file.relative_to(folder).as_posix() for file in _files(folder) if file.suffix.lower() in SUFFIXES]
    if not there:
        raise WrongUsage(f"{folder} holds no images")
    stems = {name.rpartition(".")[0]: name for name in there}
    found: dict[str, str] = {}
    for number, row in _rows(labels):
        if len(row) < 2 or not row[0].strip() or not row[1].strip():
            raise WrongUsage(f"{labels}:{number}: must be file,label; it is {','.join(row)!r}")
        name, label = row[0].strip().replace("\\", "/"), row[1].strip()
        if number == 1 and name.lower() in _HEADINGS:
            continue
        name, word = stems.get(name, name), _BOXES.sub("", label)
        if found.setdefault(name, word) != word:
            raise WrongUsage(f"{labels}:{number}: {name} is labelled {word}, but {found[name]} above; keep one of them")
    if not found:
        raise WrongUsage(f"{labels} names no images; write file,label lines")
    missing = found.keys() - set(there)
    if len(missing) == len(found):
        raise WrongUsage(f"{folder} has none of the {len(found)} files that {labels} names, e.g. {min(missing)}; "
                         "names are relative to the folder")  # fmt: skip
    images = tuple(Labelled(name, found[name]) for name in sorted(found))
    return images, list(found.values()), len(set(there) - found.keys())


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            for row in reader:
                if row:
                    yield reader.line_num, row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise WrongUsage(f"cannot read the labels {path}: {error}") from error
