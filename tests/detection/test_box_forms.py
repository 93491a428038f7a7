"""Boxes in another form than COCO's are evaluated as they are, and said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.detection import evaluate
from tests.detection.sets import write

BOXES = [[10.0, 20.0, 60.0, 50.0], [90.0, 80.0, 100.0, 110.0]]
Form = Callable[[list[float]], list[float]]


def warnings(folder: Path, truth: Form, detections: Form) -> str:
    gt: dict[str, Any] = {
        "images": [{"id": 1, "width": 200, "height": 200}],
        "categories": [{"id": 1, "name": "car"}],
        "annotations": [
            {"id": i, "image_id": 1, "category_id": 1, "bbox": truth(box), "iscrowd": 0}
            for i, box in enumerate(BOXES, 1)
        ],
    }
    dt = [{"image_id": 1, "category_id": 1, "bbox": detections(box), "score": 0.1 + box[0] / 200} for box in BOXES]
    return "; ".join(evaluate(*write(folder, gt, dt)).warnings)


def pixels(box: list[float]) -> list[float]:
    return box


def corners(box: list[float]) -> list[float]:
    return [box[0], box[1], box[0] + box[2], box[1] + box[3]]


def shares(box: list[float]) -> list[float]:
    return [side / 200 for side in box]


def test_pixels_are_what_coco_has(tmp_path: Path) -> None:
    assert warnings(tmp_path, pixels, pixels) == ""


@pytest.mark.parametrize(
    ("form", "says"),
    [(corners, "look like corners; COCO's bbox is [x, y, width, height]"),
     (shares, "look like shares of the image; COCO's bbox is in pixels")],
)  # fmt: skip
def test_other_forms_are_said_of_either_file(tmp_path: Path, form: Form, says: str) -> None:
    assert f"the boxes of the detections {says}" in warnings(tmp_path, pixels, form)
    assert f"the boxes of the objects {says}" in warnings(tmp_path, form, pixels)


def test_a_box_that_only_reaches_outside_is_not_taken_for_corners(tmp_path: Path) -> None:
    said = warnings(tmp_path, pixels, lambda box: [box[0] + 60, box[1], *box[2:]])
    assert "reach outside" in said
    assert "corners" not in said
