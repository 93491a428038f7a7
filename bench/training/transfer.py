"""Transfer learning: a head trained on what a frozen backbone makes of images of one's own.

What decides a head is kept by content: the features, the labels and the code that trains it.
"""

from __future__ import annotations

import csv
import hashlib
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from bench import accuracy, store
from bench.accuracy import label_files
from bench.accuracy.features import Features, features
from bench.analysis import statistics
from bench.data import parts
from bench.data.parts import Labelled, Parts
from bench.errors import Failed, WrongUsage
from bench.export import ExportRequest, request
from bench.machine import facts
from bench.models.file import file_sha256
from bench.processes import process
from bench.records import Accuracy, Calibration, Case, CurvePoint, LabelledImages, PlannedCase, Transfer
from bench.training import head
from bench.training.weights import folder

SHARES = (0.1, 0.2, 0.5, 1.0)  # of the training images, whose heads show what more of them would bring
HELD_OUT, CLASSES, TRAINING = "held-out.csv", "classes.txt", "training"


@dataclass(frozen=True, slots=True)
class Head:
    """A trained head."""

    dense: Path  # `kernel` and `bias` (.npz)
    transfer: Transfer


def completed(case: Case) -> Case:
    """A case with as many classes as its images have. Raises WrongUsage as `parts.divide`, and without images."""
    training = case.train
    if training is None or training.data:
        return case
    if training.images is None:
        raise WrongUsage(f"{case.name} is trained on images of your own; give their folder: --images DIR")
    return replace(case, classes=len(_divided(training.images).classes))


def judged(case: PlannedCase, folder: Path) -> PlannedCase:
    """A case with the held-out images that its file is judged on, listed in two files of a folder; one of a lower
    precision takes its ranges from the training images.

    `bench accuracy FILE --images DIR --labels held-out.csv --classes classes.txt` judges on the same. Raises WrongUsage
    for names that such files cannot hold.
    """
    divided = _parts(case)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / HELD_OUT).open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        lines = csv.writer(file)
        lines.writerow(("file", "label"))
        lines.writerows((image.file, image.word) for image in divided.test)
    text = "".join(f"{word}\n" for word in divided.classes)
    (folder / CLASSES).write_text(text, encoding="utf-8", errors="surrogateescape")
    said = label_files.read(folder / HELD_OUT, [image.file for image in divided.test], listed=True).words
    for image in divided.test:
        if said.get(image.file) != image.word:
            raise WrongUsage(f"{divided.folder / image.file}: a table of labels cannot hold this name; rename it")
    where = LabelledImages(
        images=str(divided.folder), labels=str(folder / HELD_OUT), classes=str(folder / CLASSES),
        preprocess=case.train.preprocess if case.train else None,
    )  # fmt: skip
    if case.precision == "fp32" or case.calibrate:
        return replace(case, accuracy=where)
    _link(divided, folder / TRAINING)
    return replace(case, accuracy=where, calibrate=Calibration(images=str(folder / TRAINING)))


def _link(divided: Parts, place: Path) -> None:
    """The training images in one folder, as links: a lower precision takes its ranges from them, and from no other."""
    place.mkdir(exist_ok=True)
    for number, image in enumerate(divided.train):
        link = place / f"{number:06}{Path(image.file).suffix}"
        if not link.exists():
            link.symlink_to((divided.folder / image.file).absolute())


def of_backbone(case: PlannedCase) -> ExportRequest:
    """The export of a case's frozen backbone, in its own runtime's format."""
    return request(replace(case, head="none", train=None, precision="fp32", calibrate=None))


def trained(case: PlannedCase, backbone: Path, *, progress: Callable[[int, int], None] | None = None) -> Head:
    """Train a case's head on the features that its backbone's file gives, unless it is there already.

    Raises Failed when the backbone cannot run, no two classes can be read, or the cache cannot be written.
    """
    divided = _parts(case)
    images = (*divided.train, *divided.test)
    made = features(backbone, accuracy.settings_of(case), [image.file for image in images], progress=progress)
    known = [problem is None for problem in made.problems]
    count = len(divided.train)
    training = [i for i in range(count) if known[i]]
    held_out = [i for i in range(count, len(images)) if known[i]]
    if not training or not held_out:
        first = next(i for i, problem in enumerate(made.problems) if problem)
        raise Failed(f"no {'held-out' if training else 'training'} image could be read; {images[first].file}: "
                     f"{made.problems[first]}")  # fmt: skip
    number = {word: label for label, word in enumerate(divided.classes)}
    labels = np.array([number[image.word] for image in images], np.int64)
    subsets = nested([(images[i], made.sha256s[i]) for i in training])
    arrays = {
        "training": made.rows[training], "training_labels": labels[training],
        "held_out": made.rows[held_out], "held_out_labels": labels[held_out],
    }  # fmt: skip
    dense, answer = _fitted(arrays, len(divided.classes), subsets)
    return Head(dense, _transfer(case, divided, made, subsets, len(held_out), answer, count - len(training)))


def nested(images: Sequence[tuple[Labelled, str]]) -> list[list[int]]:
    """Places of the training images for each of SHARES, that share of each class, each subset within the next.

    `images` come with the hashes of their contents, which alone decide who is in them.
    """
    by_class: dict[str, list[int]] = {}
    for place in sorted(range(len(images)), key=lambda place: images[place][1]):
        by_class.setdefault(images[place][0].word, []).append(place)
    return [
        sorted(place for places in by_class.values() for place in places[: max(1, round(share * len(places)))])
        for share in SHARES
    ]


def _parts(case: PlannedCase) -> Parts:
    if case.train is None or case.train.images is None:
        raise WrongUsage(f"{case.name} is not trained on images of your own")
    return _divided(case.train.images)


@cache
def _divided(images: str) -> Parts:
    return parts.divide(Path(images), threads=facts.cores_given())


def _fitted(arrays: dict[str, Any], classes: int, subsets: list[list[int]]) -> tuple[Path, dict[str, Any]]:
    """The dense layer's file and what `head.train` answers; made now unless both are there."""
    digest = hashlib.sha256(json.dumps([classes, subsets, file_sha256(Path(head.__file__))]).encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.shape} {array.dtype}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    dense = folder() / f"{digest.hexdigest()[:32]}.npz"
    kept = dense.with_suffix(".json")  # written last
    try:
        folder().mkdir(parents=True, exist_ok=True)
        with FileLock(dense.with_suffix(".lock")):
            if dense.is_file() and kept.is_file():
                said = json.loads(kept.read_bytes())
                if said["sha256"] == file_sha256(dense):
                    return dense, said["answer"]
            with tempfile.TemporaryDirectory(dir=folder()) as place:
                np.savez(Path(place) / "features.npz", **arrays)
                answer: dict[str, Any] = process.ask(
                    "bench.training.head",
                    {"features": f"{place}/features.npz", "classes": classes, "subsets": subsets, "target": str(dense)},
                    what="the process that trains the head",
                )
            store.write_atomically(kept, json.dumps({"sha256": file_sha256(dense), "answer": answer}).encode())
    except OSError as error:
        raise Failed(f"cannot write the weights cache {folder()}: {error.strerror}; set BACKBENCH_CACHE") from error
    return dense, answer


def _transfer(
    case: PlannedCase, divided: Parts, made: Features, subsets: list[list[int]], held_out: int,
    answer: dict[str, Any], unreadable: int,
) -> Transfer:  # fmt: skip
    points: dict[int, CurvePoint] = {}
    for subset, right in zip(subsets, answer["right"], strict=True):
        low, high = statistics.wilson(right, held_out)
        points[len(subset)] = CurvePoint(
            images=len(subset), top1=100 * right / held_out, top1_low=100 * low, top1_high=100 * high
        )
    return Transfer(
        images=str(divided.folder), weights=case.weights, classes=len(divided.classes), training=len(subsets[-1]),
        held_out=held_out, features=made.rows.shape[1], strength=answer["strength"],
        validated=100 * answer["validated"], curve=tuple(points.values()), unreadable=unreadable,
        notes=(f"divided: {divided.rule}", *divided.notes),
        extracted_per_s=round(made.computed / made.wall_s, 2) if made.computed else None,
        inferred_per_s=round(made.computed / made.inference_s, 2) if made.computed else None,
    )  # fmt: skip


def said(case: PlannedCase, measured: Accuracy) -> Accuracy:
    """The accuracy of a case on its held-out images, as people are told of it."""
    if case.train is None or case.train.images is None:
        return measured
    random = "; the backbone's weights are random" if case.weights == "none" else ""
    return replace(measured, source=f"{measured.source}, held-out part{random}")
