"""COCO-format files read into columns, every fault in them one clear line.

Ground truth is an object with `images`, `categories` and `annotations`; detections are a list of objects with
`image_id`, `category_id`, `bbox` and `score`. Ids become positions in the sorted lists of ids. Those of annotations are
not needed: one with id 0 is one like any other (pycocotools takes it for "unmatched").
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from bench.detection import ids
from bench.detection.ids import Id
from bench.errors import WrongUsage

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]


class Image(msgspec.Struct, frozen=True, gc=False):
    """An image of the ground truth; listed even when nothing is on it, or false positives on it would vanish."""

    id: Id
    width: float | None = None
    height: float | None = None
    file_name: str | None = None


class Category(msgspec.Struct, frozen=True, gc=False):
    """A class of objects."""

    id: Id
    name: str


class _Annotation(msgspec.Struct, gc=False):
    image_id: Id
    category_id: Id
    bbox: tuple[float, float, float, float]
    id: Id | None = None
    area: float | None = None
    iscrowd: int | bool = 0


class _Truth(msgspec.Struct):
    images: list[Image]
    categories: list[Category]
    annotations: list[_Annotation]


class _Detection(msgspec.Struct, gc=False):
    image_id: Id
    category_id: Id
    bbox: tuple[float, float, float, float]
    score: float


@dataclass(frozen=True, slots=True)
class Objects:
    """The boxes of the ground truth, one row each."""

    image: Integers  # positions in Dataset.images
    category: Integers  # positions in Dataset.categories
    box: Floats  # (n, 4), COCO form in pixels
    area: Floats  # square pixels, of the object's outline where the file has it, else of its box
    crowd: Booleans


@dataclass(frozen=True, slots=True)
class Detections:
    """The boxes found, one row each."""

    image: Integers
    category: Integers
    box: Floats  # (n, 4), COCO form in pixels
    score: Floats


@dataclass(frozen=True, slots=True)
class Dataset:
    """Ground truth and detections, with the images and categories that they refer to, each sorted by id."""

    images: tuple[Image, ...]
    categories: tuple[Category, ...]
    objects: Objects
    detections: Detections
    warnings: tuple[str, ...] = ()  # what is odd about the boxes and yet allowed


def read(gt: Path, dt: Path) -> Dataset:
    """Read a pair of COCO-format files.

    Raises WrongUsage, naming the file and the entry, for anything that is not what the format says: JSON cut short,
    missing fields, unknown or duplicate ids, negative sizes, numbers that are not finite.
    """
    truth = _decode(gt, _Truth)
    found = _decode(dt, list[_Detection])
    images, categories = ids.by_id(gt, "image", truth.images), ids.by_id(gt, "category", truth.categories)
    _refuse_twice(gt, truth.annotations)
    called = {
        "image": ids.names_of_images([image.id for image in images], [image.file_name for image in images]),
        "category": ids.names_of_categories([c.id for c in categories], [c.name for c in categories]),
    }
    odd: list[str] = []

    def places(path: Path, what: str, wanted: list[Id]) -> Integers:
        positions, kind = ids.positions(path, what, wanted, called[what])
        if kind:
            odd.append(f"{path.name} names each {what} {kind}, not by its id: so it was read")
        return positions

    boxes = _boxes(gt, "annotation", truth.annotations)
    sizes = boxes[:, 2] * boxes[:, 3]
    areas = np.array([np.nan if a.area is None else a.area for a in truth.annotations], dtype=np.float64)
    objects = Objects(
        image=places(gt, "image", [a.image_id for a in truth.annotations]),
        category=places(gt, "category", [a.category_id for a in truth.annotations]),
        box=boxes,
        area=np.where(np.isnan(areas), sizes, areas),
        crowd=np.array([a.iscrowd for a in truth.annotations], dtype=bool),
    )
    detections = Detections(
        image=places(dt, "image", [d.image_id for d in found]),
        category=places(dt, "category", [d.category_id for d in found]),
        box=_boxes(dt, "detection", found),
        score=np.array([d.score for d in found], dtype=np.float64),
    )
    odd += _oddities(images, objects, detections)
    if any(annotation.id == 0 for annotation in truth.annotations):
        odd.append("an annotation has the id 0: here it is an object like any other, pycocotools would not match it")
    return Dataset(images, categories, objects, detections, tuple(odd))


_T = TypeVar("_T")


_FORMS = {
    True: "ground truth is {images: [...], categories: [...], annotations: [...]}",
    False: "detections are a list of {image_id, category_id, bbox: [x, y, width, height], score}",
}


def _decode(path: Path, kind: type[_T]) -> _T:
    try:
        content = path.read_bytes().removeprefix(b"\xef\xbb\xbf")  # as Windows writes
    except OSError as error:
        raise WrongUsage(f"cannot read {path}: {error.strerror}") from error
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.ValidationError as error:
        raise WrongUsage(f"{path} is not in COCO's format: {error}; {_FORMS[kind is _Truth]}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        stumbled = re.search(r"\(byte (\d+)\)", str(error))
        for word in (b"NaN", b"Infinity"):
            if stumbled and content.startswith(word, int(stumbled[1])):
                raise WrongUsage(f"{path} holds {word.decode()}, which is not JSON; leave such boxes out") from error
        remedy = "write it again; it seems to be cut short" if "truncated" in str(error) else "write it again"
        raise WrongUsage(f"{path} is not JSON: {error}; {remedy}") from error


def _refuse_twice(path: Path, annotations: Sequence[_Annotation]) -> None:
    """Raise WrongUsage for annotations of one id: the same objects may stand in the file twice."""
    twice = [each for each, count in Counter(a.id for a in annotations if a.id is not None).items() if count > 1]
    if twice:
        raise WrongUsage(
            f"{path}: two annotation entries have the id {ids.shown(twice[0])}; ids must differ, or leave them out"
        )


def _boxes(path: Path, what: str, entries: Sequence[_Annotation | _Detection]) -> Floats:
    boxes = np.array([entry.bbox for entry in entries], dtype=np.float64).reshape(-1, 4)
    inverted = (boxes[:, 2:] < 0).any(axis=1)
    if inverted.any():
        first = int(np.argmax(inverted))
        numbers = ", ".join(f"{value:g}" for value in boxes[first])
        raise WrongUsage(
            f"{path}: {what} {first} has the bbox [{numbers}] of negative size; COCO's form is [x, y, width, height]"
        )
    return boxes


def _oddities(images: tuple[Image, ...], objects: Objects, detections: Detections) -> list[str]:
    """What is allowed, and yet worth saying."""
    width = np.array([np.nan if image.width is None else image.width for image in images])
    height = np.array([np.nan if image.height is None else image.height for image in images])
    odd: list[str] = []
    for name, rows in (("objects", objects), ("detections", detections)):
        x, y, w, h = rows.box.T
        flat = int(((w == 0) | (h == 0)).sum())
        if flat:
            odd.append(f"{flat} {name} have no area: they overlap nothing and count as missed or false")
        if len(images):
            out = (x < 0) | (y < 0) | (x + w > width[rows.image] + 1) | (y + h > height[rows.image] + 1)
            if out.any():
                odd.append(
                    f"{int(out.sum())} {name} reach outside of their image; they are used as they are, as COCO does"
                )
                if ((w > x) & (h > y) & (w <= width[rows.image] + 1) & (h <= height[rows.image] + 1)).all():
                    odd.append(f"the boxes of the {name} look like corners; COCO's bbox is [x, y, width, height]")
        if len(rows.box) and rows.box.max() <= 1:
            odd.append(f"the boxes of the {name} look like shares of the image; COCO's bbox is in pixels")
    if not len(detections.score):
        odd.append("there are no detections: every object counts as missed")
    if not (~objects.crowd).any():
        odd.append("there are no objects to find: precision-recall figures are undefined")
    if len(detections.score) > 1 and np.ptp(detections.score) == 0:
        odd.append("all scores are equal: no ranking, so a precision-recall curve has one point")
    return odd
