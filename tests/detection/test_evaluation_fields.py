"""Every field of an evaluation: what COCO's figures of classes add up to, thresholds, origins, presence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.detection import evaluate
from bench.detection.evaluation import RULES
from bench.errors import WrongUsage
from tests.detection.sets import generate, write
from tests.detection.test_evaluation import CATEGORIES, FOUND, TRUTH, hit, image, thing


def test_cocos_figures_of_classes_have_their_mean_in_those_of_all(tmp_path: Path) -> None:
    found = evaluate(*write(tmp_path, *generate(8, levels=50)), iou=0.75)
    known = [each for each in found.classes if each.coco_ap is not None]
    assert len(known) > 1
    for field, whole in (
        ("coco_ap", found.coco.ap),
        ("coco_ap50", found.coco.ap50),
        ("coco_ap_at_iou", found.coco.ap75),
    ):
        assert np.mean([getattr(each, field) for each in known]) == pytest.approx(whole)
    assert len({round(value or 0, 6) for value in (found.coco.ap, found.coco.ap50, found.coco.ap75)}) == 3
    assert found.coco_map_at_iou == found.coco.ap75
    assert found.notes_map is not None
    assert found.notes_minus_coco == pytest.approx(found.notes_map - (found.coco.ap75 or 0))
    between = evaluate(*write(tmp_path, *generate(8, levels=50)), iou=0.77)
    assert (between.coco_map_at_iou, between.notes_minus_coco) == (None, None)
    assert {each.coco_ap_at_iou for each in between.classes} == {None}
    assert (between.iou_threshold, found.iou_threshold) == (0.77, 0.75)


def test_where_the_confidence_threshold_comes_from(tmp_path: Path) -> None:
    files = write(tmp_path, TRUTH, FOUND)
    given, best = evaluate(*files), evaluate(*files, confidence=None)
    assert (given.confidence_threshold, given.confidence_origin) == (0.5, "given")
    assert best.best_f1 is not None
    assert given.best_f1 == best.best_f1 == best.counts
    # .3 keeps two right ones of seven, and of five objects: 4 / 12; .9 one of three: 2 / 8.
    assert (best.confidence_threshold, best.confidence_origin) == (0.3, "where F1 is best")
    assert best.counts.f1 == pytest.approx(4 / 12)
    nothing = evaluate(*write(tmp_path, TRUTH, []), confidence=None)
    assert (nothing.confidence_threshold, nothing.best_f1) == (0.5, None)
    assert nothing.confidence_origin == "the usual one, as no F1 is best"
    assert (nothing.sweep.best, nothing.sweep.distinct, nothing.sweep.objects) == (None, 0, 5)
    assert given.rules == RULES


@pytest.mark.parametrize(
    ("iou", "confidence", "says"),
    [
        (0.0, 0.5, "the IoU threshold is 0; it must be above 0 and at most 1"),
        (1.5, 0.5, "the IoU threshold is 1.5; it must be above 0 and at most 1"),
        (0.5, float("inf"), "the confidence threshold is inf; it must be a finite number"),
    ],
)
def test_thresholds_that_are_none(iou: float, confidence: float, says: str, tmp_path: Path) -> None:
    with pytest.raises(WrongUsage, match=f"^{says}$"):
        evaluate(*write(tmp_path, TRUTH, FOUND), iou=iou, confidence=confidence)


def test_a_sweep_counts_everything_at_each_score(tmp_path: Path) -> None:
    sweep = evaluate(*write(tmp_path, TRUTH, FOUND)).sweep
    assert (sweep.confidence, sweep.true_positives, sweep.false_positives) == (
        (0.9, 0.8, 0.7, 0.3), (1, 1, 1, 2), (2, 4, 5, 5)
    )  # fmt: skip
    assert (sweep.objects, sweep.distinct, sweep.best) == (5, 4, 3)
    cat, dog, cow = evaluate(*write(tmp_path, TRUTH, FOUND)).classes
    assert (cat.sweep.confidence, cat.sweep.objects, dog.sweep.objects, cow.sweep.best) == ((0.9, 0.8), 2, 3, None)
    assert (cat.counts.true_positives, cat.counts.false_positives, cat.counts.false_negatives) == (1, 2, 1)
    assert (dog.detections, dog.counts.true_positives, dog.counts.false_positives) == (3, 0, 2)


def test_twenty_of_the_worst_images_are_listed(tmp_path: Path) -> None:
    truth = {"images": [image(i) for i in range(1, 26)], "categories": CATEGORIES,
             "annotations": [thing(i, i, 1) for i in range(1, 26)]}  # fmt: skip
    files = write(tmp_path, truth, [hit(1, 1, 0.9)])
    assert len(evaluate(*files).worst) == 20
    assert len(evaluate(*files, worst=3).worst) == 3


def test_a_class_of_an_image_is_no_other_one_of_another(tmp_path: Path) -> None:
    truth = {"images": [image(1), image(2), image(3)], "categories": CATEGORIES[:2], "annotations": [thing(1, 1, 1)]}
    scattered = [hit(i, k, n / 100) for i in (1, 2, 3) for k in (1, 2) for n in range(70)]
    assert not [line for line in evaluate(*write(tmp_path, truth, scattered)).warnings if "most confident" in line]
    crowded = [*scattered, *(hit(3, 1, n / 100) for n in range(33))]
    assert [line for line in evaluate(*write(tmp_path, truth, crowded)).warnings if "most confident" in line] == [
        "3 detections are not among the 100 most confident of their class in their image: the COCO figures leave them "
        "out, the others do not"
    ]
