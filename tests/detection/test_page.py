"""What is on the page of an evaluation, as it is written: matrix, pictures, size."""

from __future__ import annotations

import dataclasses
import json
import re
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from plotly.offline import get_plotlyjs

from bench.detection import Evaluation, evaluate
from bench.detection.coco_files import Category, Dataset, Detections, Image, Objects
from bench.detection.evaluation import evaluate_dataset
from bench.detection.results import DrawnBox, ImageResult
from bench.report.detection import render
from tests.detection.sets import generate, write
from tests.detection.test_evaluation import FOUND, TRUTH


@pytest.fixture
def found(tmp_path: Path) -> Evaluation:
    return evaluate(*write(tmp_path, TRUTH, FOUND))


def matrix(page: str) -> tuple[list[str], list[list[int]]]:
    """The row labels and the counts of the confusion matrix on a page."""
    (table,) = re.findall(r'<table class="matrix">.*?</table>', page, re.S)
    body = re.findall(r'<tr><th scope="row"[^>]*>(.*?)</th>(.*?)</tr>', table)
    counts = [[int(n.replace(",", "")) for n in re.findall(r"<td[^>]*>([\d,]+)</td>", cells)] for _, cells in body]
    return [unescape(label) for label, _ in body], counts


def test_the_confusion_matrix_is_the_evaluations(found: Evaluation) -> None:
    labels, counts = matrix(render(found))
    assert tuple(labels) == found.labels
    assert tuple(map(tuple, counts)) == found.confusion


def test_many_classes_are_summed_up_and_none_is_lost(tmp_path: Path) -> None:
    found = evaluate(*write(tmp_path, *generate(3, classes=40, images=60)), confidence=0.2)
    labels, counts = matrix(render(found))
    assert len(labels) == 22
    assert labels[-2:] == ["21 other classes", "background"]
    whole = np.array(found.confusion)
    for label, row in list(zip(labels, counts, strict=True))[:-2]:
        assert sum(row) == whole[found.labels.index(label)].sum()
        assert row[-1] == whole[found.labels.index(label), -1]
    assert np.sum(counts) == whole.sum()
    assert sum(counts[-1]) == whole[-1].sum()


def test_the_worst_images_are_drawn_with_their_reasons(found: Evaluation) -> None:
    page = render(found)
    pictures = re.findall(r"<li><figure>.*?</figure></li>", page, re.S)
    assert len(pictures) == len(found.worst)
    assert "<strong>2.png</strong>: 1 false, 1 not found" in pictures[0]
    assert re.findall(r'<rect class="(\w+)" x="(\d+)" y="10" width="40" height="40"', pictures[0]) == [
        ("missed", "10"),
        ("wrong", "10"),
    ]
    assert "<li>dog 0.9: classification</li>" in pictures[0]
    assert "<p>Not found: cat</p>" in pictures[0]
    for kind in ("localisation", "duplicate", "background"):
        assert any(f": {kind}</li>" in picture for picture in pictures)


def test_what_is_not_drawn_is_said(found: Evaluation) -> None:
    far = [DrawnBox(box=(1e9, 0, 10, 10), label="far", kind="background", score=n / 100) for n in range(99)]
    unseen = [DrawnBox(box=(0, 0, 10, 10), label=f"class {n % 7}", kind="missed") for n in range(80)]
    crowded = ImageResult(
        image_id=1, file_name=None, width=100, height=100, false_positives=99, false_negatives=80,
        boxes=(*unseen, *far),
    )  # fmt: skip
    page = render(dataclasses.replace(found, worst=(crowded,)))
    assert "<strong>image 1</strong>: 99 false, 80 not found" in page
    assert page.count("<li>far 0.") == 10
    assert "<li>far 0.98: background</li><li>far 0.97: background</li>" in page
    assert "Not found: class 0 × 12, class 1 × 12, class 2 × 12, class 3 × 11, class 4 × 11 and of 2 more" in page
    assert f"{99 + 80 - 10 - 60} boxes are not drawn" in page
    assert 'viewBox="0 0 125 100"' in page  # a box far away does not make the image a dot


def many(classes: int, images: int, objects: int, detections: int) -> Evaluation:
    """A set with a score of its own for every detection."""
    rng = np.random.default_rng(7)
    of, at = rng.integers(0, images, objects), rng.integers(0, objects, detections)
    boxes = np.c_[rng.uniform(0, 500, (objects, 2)), rng.uniform(10, 140, (objects, 2))]
    kinds = rng.integers(0, classes, objects)
    near = boxes[at] * rng.normal(1, 0.1, (detections, 4)).clip(0.5)
    return evaluate_dataset(
        Dataset(
            tuple(Image(i, 640, 640, f"{i:012}.jpg") for i in range(images)),
            tuple(Category(k, f"class {k}") for k in range(classes)),
            Objects(of, kinds, boxes, boxes[:, 2] * boxes[:, 3], np.zeros(objects, dtype=bool)),
            Detections(of[at], kinds[at], near, rng.random(detections)),
        ),
        confidence=None,
    )  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("classes", [80, 1200])
def test_the_page_of_a_large_set_is_small(classes: int) -> None:
    found = many(classes, 5_000, 36_000, 200_000)
    page = render(found)
    assert len(page.encode()) - len(get_plotlyjs().encode()) < 3_000_000
    (text,) = re.findall(r'<script type="application/json" id="evaluation">(.*?)</script>', page, re.S)
    sweeps = json.loads(text)["sweeps"]
    assert sweeps[0]["distinct"] == 200_000
    assert len(sweeps[0]["confidence"]) == 1_000
    assert found.best_f1 is not None
    assert sweeps[0]["confidence"][sweeps[0]["best"]] == found.best_f1.confidence
    assert len(sweeps) == classes + 1
    for sweep, result in zip(sweeps[1:], found.classes, strict=True):
        best = result.sweep.best
        assert best is not None
        assert sweep["confidence"][sweep["best"]] == result.sweep.confidence[best]
