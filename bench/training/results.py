"""What an exported network is worth on held-out images of its data set: its own file's outputs, judged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench import data
from bench.analysis import pairs, statistics
from bench.data import COLUMNS, DataSet, Labels, Objects
from bench.detection import judging
from bench.errors import Failed
from bench.records import Accuracy, DetectionAccuracy
from bench.training import process


def accuracy(path: Path, name: str, runtime: str) -> Accuracy:
    """Measure an exported network's accuracy on the held-out part of an embedded data set.

    Args:
        path: the file that is timed.
        name: of the data set, one of `suites.DATA_SETS`.
        runtime: the one that times it.

    Raises Failed when the file cannot be run or its outputs are not what the data set asks for.
    """
    known = data.get(name)
    answer = process.ask({"do": "outputs", "path": str(path), "runtime": runtime, "name": name})
    rows = np.array(answer["rows"], dtype=np.float64)
    if not np.isfinite(rows).all():
        raise Failed(f"{path} gives outputs that are not finite; train it again")
    return JUDGES[known.KIND](rows, known.held_out(answer["size"])[1], known, answer["size"])


def _boxes(rows: Any, truth: Objects, known: DataSet, size: int) -> Accuracy:
    _check(rows, len(truth.label), COLUMNS)
    figures = judging.judge(rows, truth, size=size, classes=known.CLASSES)
    return Accuracy(
        origin="measured",
        source=known.SOURCE,
        n=figures.n,
        detection=DetectionAccuracy(
            map=100 * figures.map,
            ap50=100 * figures.ap50,
            ap75=100 * figures.ap75,
            notes_map50=100 * figures.notes_map50,
            mean_iou=100 * figures.mean_iou,
            class_accuracy=100 * figures.class_accuracy,
            presence_accuracy=100 * figures.presence_accuracy,
        ),
    )


def _classes(rows: Any, labels: Labels, known: DataSet, size: int) -> Accuracy:
    _check(rows, len(labels), [f"score of class {label}" for label in range(known.CLASSES)])
    order = np.argsort(-rows, axis=1, kind="stable")
    first = order[:, 0] == labels
    right = int(first.sum())
    low, high = statistics.wilson(right, len(labels))
    return Accuracy(
        origin="measured",
        source=known.SOURCE,
        n=len(labels),
        top1=100 * right / len(labels),
        top5=100 * float((order[:, :5] == labels[:, None]).any(axis=1).mean()),
        top1_low=100 * low,
        top1_high=100 * high,
        images=known.SOURCE,
        right=pairs.packed(first.tolist()),
    )


def _check(rows: Any, images: int, columns: Sequence[str]) -> None:
    if rows.shape != (images, len(columns)):
        raise Failed(
            f"outputs have the shape {rows.shape}; this data set asks for {images} rows of {len(columns)}: "
            f"{', '.join(columns)}"
        )


JUDGES: dict[str, Callable[[Any, Any, DataSet, int], Accuracy]] = {"classes": _classes, "localisation": _boxes}
"""By the kinds of data sets: outputs (n, ...), truth, data set and the images' side in pixels -> accuracy."""
