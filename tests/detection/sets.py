"""Generated detection sets in COCO's format, and pycocotools as the oracle."""

from __future__ import annotations

import contextlib
import copy
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from bench.detection import coco_files
from bench.detection.results import CocoFigures

Truth = dict[str, Any]
Found = list[dict[str, Any]]

FIGURES = (
    "ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large",
    "ar1", "ar10", "ar100", "ar_small", "ar_medium", "ar_large",
)  # fmt: skip


def generate(
    seed: int, *, images: int = 12, classes: int = 3, crowd: float = 0.1, most: int = 30, levels: int = 20
) -> tuple[Truth, Found]:
    """Boxes on a whole-pixel grid, so that ties of IoU occur; every fifth image empty; one class without objects."""
    rng = np.random.default_rng(seed)
    truth: Truth = {
        "images": [{"id": 7 * i, "width": 300, "height": 300, "file_name": f"{i}.png"} for i in range(images)],
        "categories": [{"id": 3 * k + 1, "name": f"class {k}"} for k in range(classes + 1)],
        "annotations": [],
    }
    found: Found = []
    for i in range(images):
        boxes = []
        for _ in range(int(rng.integers(1, 8)) if i % 5 else 0):
            size = rng.choice([20, 60, 150])
            box = [float(v) for v in (*rng.integers(0, 120, 2), *rng.integers(1, size, 2))]
            category = 3 * int(rng.integers(classes)) + 1
            boxes.append((box, category))
            truth["annotations"].append(
                {
                    "id": len(truth["annotations"]) + 1, "image_id": 7 * i, "category_id": category, "bbox": box,
                    "area": box[2] * box[3] * float(rng.choice([0.5, 1.0])), "iscrowd": int(rng.random() < crowd),
                }
            )  # fmt: skip
        for _ in range(int(rng.integers(0, most + 1))):
            if boxes and rng.random() < 0.7:
                near, category = boxes[int(rng.integers(len(boxes)))]
                box = [max(0.0, v + int(d)) for v, d in zip(near, rng.integers(-5, 6, 4), strict=True)]
            else:
                box = [float(v) for v in (*rng.integers(0, 120, 2), *rng.integers(1, 150, 2))]
                category = 3 * int(rng.integers(classes + 1)) + 1
            score = int(rng.integers(levels)) / levels
            found.append({"image_id": 7 * i, "category_id": category, "bbox": box, "score": score})
    return truth, found


def oracle(truth: Truth, found: Found) -> COCOeval:
    """pycocotools's evaluation."""
    with contextlib.redirect_stdout(io.StringIO()):
        ours = COCO()
        ours.dataset = copy.deepcopy(truth)
        ours.createIndex()
        evaluator = COCOeval(ours, ours.loadRes(copy.deepcopy(found)), "bbox")
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return evaluator


def write(folder: Path, truth: Any, found: Any) -> tuple[Path, Path]:
    """The two files."""
    gt, dt = folder / "gt.json", folder / "dt.json"
    gt.write_text(truth if isinstance(truth, str) else json.dumps(truth))
    dt.write_text(found if isinstance(found, str) else json.dumps(found))
    return gt, dt


def read(folder: Path, truth: Any, found: Any) -> coco_files.Dataset:
    """The data set that the two make."""
    return coco_files.read(*write(folder, truth, found))


def twelve(figures: CocoFigures) -> list[float]:
    """The figures in pycocotools's order, with its -1 for None."""
    values = [getattr(figures, name) for name in FIGURES]
    return [-1.0 if value is None else value for value in values]
