"""What an exported network is worth on held-out images of its data set: its own file's outputs, judged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench.analysis import statistics
from bench.data import scenes
from bench.detection import judging
from bench.errors import Failed
from bench.records import Accuracy, DetectionAccuracy
from bench.training import process

SCENES = 1000
_SEED = 0


def accuracy(path: Path, data: str, runtime: str) -> Accuracy:
    """Measure an exported network's accuracy on the test part of an embedded data set.

    Args:
        path: the file that is timed.
        data: "scenes" or "digits".
        runtime: the one that times it.

    Raises Failed when the file cannot be run or its outputs are not what the data set asks for.
    """
    answer = process.ask(
        {"do": "outputs", "path": str(path), "runtime": runtime, "data": data, "n": SCENES, "seed": _SEED}
    )
    rows = np.array(answer["rows"], dtype=np.float64)
    if not np.isfinite(rows).all():
        raise Failed(f"{path} gives outputs that are not finite; train it again")
    return _JUDGES[data](rows, answer["size"])


def _on_scenes(rows: Any, size: int) -> Accuracy:
    if rows.shape != (SCENES, len(scenes.COLUMNS)):
        columns = ", ".join(scenes.COLUMNS)
        raise Failed(f"outputs have the shape {rows.shape}; a decoded localiser gives {SCENES} rows of {columns}")
    found = judging.judge(rows, scenes.scenes("test", SCENES, size, seed=_SEED))
    return Accuracy(
        origin="measured",
        source="embedded scenes of scikit-learn's digits, held-out part",
        n=found.n,
        detection=DetectionAccuracy(
            map=100 * found.map,
            ap50=100 * found.ap50,
            ap75=100 * found.ap75,
            notes_map50=100 * found.notes_map50,
            mean_iou=100 * found.mean_iou,
            class_accuracy=100 * found.class_accuracy,
            presence_accuracy=100 * found.presence_accuracy,
        ),
    )


def _on_digits(rows: Any, size: int) -> Accuracy:
    from bench.data import digits

    labels = digits.part("test", size)[1]
    if rows.shape != (len(labels), digits.CLASSES):
        raise Failed(f"outputs have the shape {rows.shape}; a classifier of digits gives {len(labels)} rows of 10")
    order = np.argsort(-rows, axis=1, kind="stable")
    right = int((order[:, 0] == labels).sum())
    low, high = statistics.wilson(right, len(labels))
    return Accuracy(
        origin="measured",
        source="scikit-learn's digits, held-out part",
        n=len(labels),
        top1=100 * right / len(labels),
        top5=100 * float((order[:, :5] == labels[:, None]).any(axis=1).mean()),
        top1_low=100 * low,
        top1_high=100 * high,
    )


_JUDGES: dict[str, Callable[[Any, int], Accuracy]] = {"scenes": _on_scenes, "digits": _on_digits}
