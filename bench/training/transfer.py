"""Transfer learning: a head trained on what a frozen backbone makes of images of one's own.

What decides a head is kept by content: the features, the labels and the code that trains it.
"""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from bench import accuracy, store
from bench.accuracy import label_files
from bench.accuracy.features import Features, features, hashes_of
from bench.analysis import statistics
from bench.data import folders, parts
from bench.data.parts import Labelled, Parts
from bench.errors import Failed, WrongUsage
from bench.export import ExportRequest, request
from bench.machine import facts
from bench.models.decoding import DECODER
from bench.models.file import file_sha256
from bench.models.preprocessing import preprocessing
from bench.processes import process
from bench.records import Calibration, Case, CurvePoint, LabelledImages, PlannedCase, Transfer
from bench.training import fine_tuning, head
from bench.training.weights import kept

SHARES = (0.1, 0.2, 0.5, 1.0)  # of the training images, whose heads show what more of them would bring
HELD_OUT, CLASSES, TRAINING = "held-out.csv", "classes.txt", "training"
EPOCHS = 5  # of fine-tuning, where a suite does not say

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Head:
    """A trained head."""

    dense: Path  # `kernel` and `bias` (.npz)
    transfer: Transfer
    trained_on: tuple[int, ...]  # places in the training part of the images
    validation: tuple[int, ...]  # likewise, of those kept from it, that choose the epoch of fine-tuning


def completed(case: Case) -> Case:
    """A case with as many classes as its images have. Raises WrongUsage as `parts.divide`, and without images."""
    training = case.train
    if training is None or training.images is None:
        raise WrongUsage(f"{case.name} is trained on images of your own; give their folder: --images DIR")
    return replace(case, classes=len(_now(training.images).classes))


def judged(case: PlannedCase, folder: Path) -> PlannedCase:
    """A case with the held-out images that its file is judged on, listed in two files below a folder; one of a lower
    precision takes its ranges from the training images.

    `bench accuracy FILE --images DIR --labels held-out.csv --classes classes.txt` judges on the same. Raises WrongUsage
    for names that such files cannot hold, Failed when they cannot be written.
    """
    divided = _parts(case)
    place = folder / store.slug(str(divided.folder))  # a run may have several folders of images
    try:
        place.mkdir(parents=True, exist_ok=True)
        with (place / HELD_OUT).open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
            lines = csv.writer(file)
            lines.writerow(("file", "label"))
            lines.writerows((image.file, image.word) for image in divided.test)
        text = "".join(f"{word}\n" for word in divided.classes)
        (place / CLASSES).write_text(text, encoding="utf-8", errors="surrogateescape")
        lower = case.precision != "fp32" and case.calibrate is None
        if lower:
            _link(divided, place / TRAINING)
    except OSError as error:
        raise Failed(f"cannot write {place}: {error.strerror}; free some space, or name another --results") from error
    said = label_files.read(place / HELD_OUT, [image.file for image in divided.test], listed=True).words
    for image in divided.test:
        if said.get(image.file) != image.word:
            raise WrongUsage(f"{divided.folder / image.file}: a table of labels cannot hold this name; rename it")
    where = LabelledImages(
        images=str(divided.folder), labels=str(place / HELD_OUT), classes=str(place / CLASSES),
        preprocess=case.train.preprocess if case.train else None,
    )  # fmt: skip
    return replace(
        case, accuracy=where, calibrate=Calibration(images=str(place / TRAINING)) if lower else case.calibrate
    )


def _link(divided: Parts, place: Path) -> None:
    """The training images in one folder, as links: a lower precision takes its ranges from them, and from no other."""
    shutil.rmtree(place, ignore_errors=True)  # of a run taken up again, whose images may have changed
    place.mkdir()
    for number, image in enumerate(divided.train):
        link = place / f"{number:06}{Path(image.file).suffix}"
        link.symlink_to((divided.folder / image.file).absolute())


def of_backbone(case: PlannedCase) -> ExportRequest:
    """The export of a case's frozen backbone, in its own runtime's format."""
    return request(replace(case, head="none", train=None, precision="fp32", calibrate=None))


def trained(case: PlannedCase, backbone: Path, *, progress: Progress | None = None) -> Head:
    """Train a case's head on the features that its backbone's file gives, unless it is there already.

    Raises Failed when the backbone cannot run, no two classes can be read, or the cache cannot be written.
    """
    divided = _parts(case)
    images = (*divided.train, *divided.test)
    made = features(backbone, accuracy.settings_of(case), [image.file for image in images], progress=progress)
    known = [problem is None for problem in made.problems]
    count = len(divided.train)
    readable = [i for i in range(count) if known[i]]
    tune = case.train is not None and case.train.fine_tune
    known_images = [(images[i], made.sha256s[i]) for i in readable]
    apart = {readable[place] for place in _validation(known_images)} if tune else set()
    training = [i for i in readable if i not in apart]
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
    told = _transfer(case, divided, made, subsets, len(held_out), answer, count - len(readable))
    return Head(dense, told, tuple(training), tuple(sorted(apart)))


def fine_tuned(case: PlannedCase, head: Head, *, progress: Progress = lambda done, of: None) -> tuple[Path, Head]:
    """The weights (.weights.h5) of a case's whole network after fine-tuning, and its head with how that went.

    Kept by content, and taken up again after a kill at the epoch in which it was. `progress` is told epochs done and
    epochs in all. Raises Failed as the process that tunes, WrongUsage for a case without an input size.
    """
    divided, asked = _parts(case), case.train
    epochs = (asked.epochs if asked else None) or EPOCHS
    images = [divided.train[i] for i in (*head.trained_on, *head.validation)]
    number = {word: label for label, word in enumerate(divided.classes)}
    hashes = hashes_of([divided.folder / image.file for image in images])
    exported = request(replace(case, precision="fp32", calibrate=None), dense=head.dense)
    settings = accuracy.settings_of(case)
    if case.input_shape is None:
        raise WrongUsage(f"{case.name} does not say the size of its images, which fine-tuning needs; add input_size")
    height, width, _ = case.input_shape
    p = preprocessing(
        settings.preprocess, height=height, width=width, layout="NHWC", dtype="float32", decoder=DECODER,
        crop=settings.crop, resize=settings.resize, interpolation=settings.interpolation,
    )  # fmt: skip
    labels = [number[image.word] for image in images]
    content = (exported.key, p, hashes, labels, len(head.validation), epochs, file_sha256(Path(fine_tuning.__file__)))
    key = hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()[:32]

    def make(target: Path) -> list[float]:
        question = fine_tuning.Question(
            request=replace(exported, format="onnx"), preprocessing=p,
            files=[str((divided.folder / image.file).absolute()) for image in images], labels=labels,
            validation=list(range(len(head.trained_on), len(images))), epochs=epochs, target=str(target),
        )  # fmt: skip
        accuracies = []
        with process.started(
            "bench.training.fine_tuning", what="the process that fine-tunes", keras=True, gpu=True
        ) as worker:
            for epoch in worker.answers(question):
                accuracies.append(100 * epoch["accuracy"])
                progress(epoch["epoch"], epochs)
        return accuracies

    weights, tuned = kept(f"{key}.weights.h5", make)
    return weights, replace(head, transfer=replace(head.transfer, tuned=tuple(tuned)))


def _by_class(images: Sequence[tuple[Labelled, str]]) -> list[list[int]]:
    """Places of the images of each class, in an order that the hashes of their contents alone decide."""
    places: dict[str, list[int]] = {}
    for place in sorted(range(len(images)), key=lambda place: images[place][1]):
        places.setdefault(images[place][0].word, []).append(place)
    return list(places.values())


def _validation(images: Sequence[tuple[Labelled, str]]) -> set[int]:
    """Places of the images that choose the epoch: a share of each class that has more than one."""
    share = fine_tuning.VALIDATION_SHARE
    return {
        place
        for places in _by_class(images)
        for place in places[: min(max(1, round(share * len(places))), len(places) - 1)]
    }


def nested(images: Sequence[tuple[Labelled, str]]) -> list[list[int]]:
    """Places of the training images for each of SHARES, that share of each class, each subset within the next.

    `images` come with the hashes of their contents, which alone decide who is in them.
    """
    return [
        sorted(place for places in _by_class(images) for place in places[: max(1, round(share * len(places)))])
        for share in SHARES
    ]


def _parts(case: PlannedCase) -> Parts:
    if case.train is None or case.train.images is None:
        raise WrongUsage(f"{case.name} is not trained on images of your own")
    return _now(case.train.images)


def _now(images: str) -> Parts:
    """The folder divided as it is now: once for all cases of a run, and again where a file has changed."""
    state = []
    for path in folders.images(Path(images)):
        try:
            about = path.stat()
        except OSError:
            continue  # it is named when it is decoded
        state.append((str(path), about.st_size, about.st_mtime_ns))
    return _divided(images, tuple(state))


@lru_cache(maxsize=1)
def _divided(images: str, state: tuple[tuple[str, int, int], ...]) -> Parts:
    return parts.divide(Path(images), threads=facts.cores_given())


def _fitted(arrays: dict[str, Any], classes: int, subsets: list[list[int]]) -> tuple[Path, dict[str, Any]]:
    """The dense layer's file and what `head.train` answers; made now unless both are there."""
    digest = hashlib.sha256(json.dumps([classes, subsets, file_sha256(Path(head.__file__))]).encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.shape} {array.dtype}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())

    def make(target: Path) -> Any:
        with tempfile.TemporaryDirectory(dir=target.parent) as place:
            np.savez(Path(place) / "features.npz", **arrays)
            return process.ask(
                "bench.training.head",
                {"features": f"{place}/features.npz", "classes": classes, "subsets": subsets, "target": str(target)},
                what="the process that trains the head",
            )

    return kept(f"{digest.hexdigest()[:32]}.npz", make)


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
        notes=(f"divided: {divided.rule}", *divided.notes), converged=answer["converged"],
        extracted_per_s=round(made.computed / made.wall_s, 2) if made.computed else None,
        inferred_per_s=round(made.computed / made.inference_s, 2) if made.computed else None,
    )  # fmt: skip
