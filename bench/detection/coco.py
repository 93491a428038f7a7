"""The COCO protocol's figures through hotcoco: a maintained engine whose arrays are those of pycocotools bit for bit.

hotcoco rather than faster-coco-eval because it takes columns instead of one dict a box, which is where the time goes,
and needs a third of the memory. It is pinned: its figures are held against pycocotools in the tests.
"""

from __future__ import annotations

import numpy as np

from bench.detection.coco_files import Dataset, Floats
from bench.detection.results import CocoFigures
from bench.errors import Failed

MOST_DETECTIONS = 100  # of a class in an image; COCO leaves out what is less confident
IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)  # not arange(0.5, 1, 0.05), which misses 0.75 by a rounding


def figures(data: Dataset) -> tuple[CocoFigures, Floats]:
    """The twelve COCO figures of a data set, and the precisions they come from.

    Returns:
        The figures, from 0 to 1, None where COCO has -1 because nothing of the kind is there to find; and the
        precisions, of shape (IoU threshold, 101 recalls, class), -1 for a class without objects.

    Raises Failed when hotcoco is not installed.
    """
    precision, recall = _accumulated(data)
    at = {round(float(threshold), 2): index for index, threshold in enumerate(IOU_THRESHOLDS)}
    everything = precision[:, :, :, 0, 2]
    figure = CocoFigures(
        ap=average(everything),
        ap50=average(everything[at[0.5]]),
        ap75=average(everything[at[0.75]]),
        ap_small=average(precision[:, :, :, 1, 2]),
        ap_medium=average(precision[:, :, :, 2, 2]),
        ap_large=average(precision[:, :, :, 3, 2]),
        ar1=average(recall[:, :, 0, 0]),
        ar10=average(recall[:, :, 0, 1]),
        ar100=average(recall[:, :, 0, 2]),
        ar_small=average(recall[:, :, 1, 2]),
        ar_medium=average(recall[:, :, 2, 2]),
        ar_large=average(recall[:, :, 3, 2]),
        ap_by_iou=tuple(average(one) for one in everything),
    )
    return figure, everything


def average(precision: Floats) -> float | None:
    """The AP that precisions of any shape amount to; None where nothing is to find."""
    counted = precision[precision > -1]
    return float(np.mean(counted)) if counted.size else None


def position(iou: float) -> int | None:
    """Where an IoU threshold stands among COCO's ten, or None."""
    places = np.flatnonzero(np.isclose(IOU_THRESHOLDS, iou, rtol=0, atol=1e-9))
    return int(places[0]) if len(places) else None


def _accumulated(data: Dataset) -> tuple[Floats, Floats]:
    """Precisions (IoU, recall, class, area, detections) and recalls (IoU, class, area, detections)."""
    try:
        import hotcoco
    except ImportError as error:
        raise Failed('COCO figures need hotcoco; install it with `pip install "backbench[detection]"`') from error
    objects, detections = data.objects, data.detections
    truth = hotcoco.COCO.from_arrays(
        [{"id": i, "width": 1, "height": 1} for i in range(len(data.images))],
        [{"id": k, "name": category.name} for k, category in enumerate(data.categories)],
        objects.image,
        objects.category,
        objects.box,
        ids=np.arange(1, len(objects.image) + 1),
        area=objects.area,
        iscrowd=objects.crowd,
    )
    columns = [detections.image[:, None], detections.box, detections.score[:, None], detections.category[:, None]]
    evaluator = hotcoco.COCOeval(truth, truth.load_res(np.concatenate(columns, axis=1)), "bbox")
    evaluator.evaluate()
    evaluator.accumulate()
    accumulated = evaluator.eval
    assert accumulated is not None
    return np.asarray(accumulated["precision"]), np.asarray(accumulated["recall"])
