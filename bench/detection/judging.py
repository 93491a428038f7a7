"""Localisers judged on images with at most one object each, by what their exported files say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.data import Objects
from bench.detection import boxes, coco_files
from bench.detection.evaluation import evaluate_dataset
from bench.detection.results import Evaluation

PRESENT = 0.5  # an object is said to be present from this l_c on


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalizationAccuracy:
    """A localiser's file judged on images that it was not trained on. Shares from 0 to 1."""

    n: int
    map: float  # COCO mAP @[.5:.05:.95]
    ap50: float
    ap75: float
    notes_map50: float  # the notes' AP at IoU 0.5, mean over classes
    mean_iou: float  # of the detection with the object, over images with one, whatever the class
    class_accuracy: float  # over images with an object
    presence_accuracy: float  # over all images, at l_c >= 0.5
    evaluation: Evaluation


def judge(rows: coco_files.Floats, truth: Objects, *, size: int, classes: int) -> LocalizationAccuracy:
    """Judge decoded outputs, (n, 7) in the order of `bench.data.COLUMNS`. One detection an image.

    Args:
        rows: the outputs.
        truth: the objects in the images.
        size: a side of the images in pixels.
        classes: how many classes the data set has.
    """
    data = _dataset(rows, truth, size, classes)
    evaluation = evaluate_dataset(data)
    here = truth.present
    figures = evaluation.coco
    return LocalizationAccuracy(
        n=len(rows),
        map=figures.ap or 0.0,
        ap50=figures.ap50 or 0.0,
        ap75=figures.ap75 or 0.0,
        notes_map50=evaluation.notes_map or 0.0,
        mean_iou=float(boxes.iou(rows[here, :4], truth.box[here]).mean()),
        class_accuracy=float((rows[here, 5] == truth.label[here]).mean()),
        presence_accuracy=float(((rows[:, 6] >= PRESENT) == here).mean()),
        evaluation=evaluation,
    )


def _dataset(rows: coco_files.Floats, truth: Objects, size: int, classes: int) -> coco_files.Dataset:
    n = len(rows)
    here = np.flatnonzero(truth.present)
    box = boxes.coco_of_corners(truth.box[here], size, size)
    return coco_files.Dataset(
        images=tuple(coco_files.Image(i, size, size) for i in range(n)),
        categories=tuple(coco_files.Category(label + 1, str(label)) for label in range(classes)),
        objects=coco_files.Objects(
            here, truth.label[here], box, box[:, 2] * box[:, 3], np.zeros(len(here), dtype=bool)
        ),
        detections=coco_files.Detections(
            np.arange(n), rows[:, 5].astype(np.int64), boxes.coco_of_corners(rows[:, :4], size, size), rows[:, 4]
        ),
    )
