"""COCO-format files read into columns, every fault in them one clear line.

Ground truth is an object with `images`, `categories` and `annotations`; detections are a list of objects with
`image_id`, `category_id`, `bbox` and `score`. Ids become positions in the sorted lists of ids, so that an annotation
with id 0 is one like any other (pycocotools takes it for "unmatched").
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from bench.errors import WrongUsage

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]


_Id = Annotated[int, msgspec.Meta(ge=-(2**62), le=2**62)]


class Image(msgspec.Struct, frozen=True, gc=False):
    """An image of the ground truth; listed even when nothing is on it, or false positives on it would vanish."""

    id: _Id
    width: float | None = None
    height: float | None = None
    file_name: str | None = None


class Category(msgspec.Struct, frozen=True, gc=False):
    """A class of objects."""

    id: _Id
    name: str


class _Annotation(msgspec.Struct, gc=False):
    id: _Id
    image_id: _Id
    category_id: _Id
    bbox: tuple[float, float, float, float]
    area: float | None = None
    iscrowd: int | bool = 0


class _Truth(msgspec.Struct):
    images: list[Image]
    categories: list[Category]
    annotations: list[_Annotation]


class _Detection(msgspec.Struct, gc=False):
    image_id: _Id
    category_id: _Id
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
    images, categories = _sorted(gt, "image", truth.images), _sorted(gt, "category", truth.categories)
    _sorted(gt, "annotation", truth.annotations)
    image_ids = np.array([image.id for image in images], dtype=np.int64)
    category_ids = np.array([category.id for category in categories], dtype=np.int64)
    boxes = _boxes(gt, "annotation", truth.annotations)
    sizes = boxes[:, 2] * boxes[:, 3]
    areas = np.array([np.nan if a.area is None else a.area for a in truth.annotations], dtype=np.float64)
    objects = Objects(
        image=_positions(gt, "image", image_ids, [a.image_id for a in truth.annotations]),
        category=_positions(gt, "category", category_ids, [a.category_id for a in truth.annotations]),
        box=boxes,
        area=np.where(np.isnan(areas), sizes, areas),
        crowd=np.array([a.iscrowd for a in truth.annotations], dtype=bool),
    )
    detections = Detections(
        image=_positions(dt, "image", image_ids, [d.image_id for d in found]),
        category=_positions(dt, "category", category_ids, [d.category_id for d in found]),
        box=_boxes(dt, "detection", found),
        score=np.array([d.score for d in found], dtype=np.float64),
    )
    odd = _oddities(images, objects, detections)
    if any(annotation.id == 0 for annotation in truth.annotations):
        odd.append("an annotation has the id 0: here it is an object like any other, pycocotools would not match it")
    return Dataset(images, categories, objects, detections, tuple(odd))


_T = TypeVar("_T")
_Identified = TypeVar("_Identified", Image, Category, _Annotation)


def _decode(path: Path, kind: type[_T]) -> _T:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WrongUsage(f"cannot read {path}: {error.strerror}") from error
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.ValidationError as error:
        raise WrongUsage(f"{path} is not in COCO's format: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        stumbled = re.search(r"\(byte (\d+)\)", str(error))
        for word in (b"NaN", b"Infinity"):
            if stumbled and content.startswith(word, int(stumbled[1])):
                raise WrongUsage(f"{path} holds {word.decode()}, which is not JSON; leave such boxes out") from error
        remedy = "write it again; it seems to be cut short" if "truncated" in str(error) else "write it again"
        raise WrongUsage(f"{path} is not JSON: {error}; {remedy}") from error


def _sorted(path: Path, what: str, entries: Sequence[_Identified]) -> tuple[_Identified, ...]:
    """The entries by id. Raises WrongUsage for an id that stands twice."""
    ordered = tuple(sorted(entries, key=lambda entry: entry.id))
    for one, next_one in pairwise(ordered):
        if one.id == next_one.id:
            raise WrongUsage(f"{path}: two {what} entries have the id {one.id}; ids must differ")
    return ordered


def _positions(path: Path, what: str, known: Integers, ids: list[int]) -> Integers:
    """Where each id stands in the sorted known ones. Raises WrongUsage for the first that does not."""
    wanted = np.array(ids, dtype=np.int64)
    places = np.searchsorted(known, wanted)
    strangers = places == len(known)
    strangers[~strangers] = known[places[~strangers]] != wanted[~strangers]
    if strangers.any():
        first = int(np.argmax(strangers))
        raise WrongUsage(
            f"{path}: entry {first} has the {what}_id {wanted[first]}, which the ground truth does not list; "
            f"{int(strangers.sum())} of {len(wanted)} entries are so: are the two files of the same data set?"
        )
    return places.astype(np.int64)


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
    if not len(detections.score):
        odd.append("there are no detections: every object counts as missed")
    if not (~objects.crowd).any():
        odd.append("there are no objects to find: precision-recall figures are undefined")
    if len(detections.score) > 1 and np.ptp(detections.score) == 0:
        odd.append("all scores are equal: no ranking, so a precision-recall curve has one point")
    return odd
