"""An evaluation as a whole: by hand, against a plain recount, and with every fault a file can have."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from bench.detection import Evaluation, boxes, evaluate
from bench.errors import WrongUsage
from tests.detection.sets import generate, write

BOX = [10.0, 10.0, 40.0, 40.0]


def image(id: int) -> dict[str, Any]:
    return {"id": id, "width": 100, "height": 100, "file_name": f"{id}.png"}


def thing(id: int, image_id: int, category: int, box: list[float] = BOX, crowd: int = 0) -> dict[str, Any]:
    area = box[2] * box[3]
    return {"id": id, "image_id": image_id, "category_id": category, "bbox": box, "area": area, "iscrowd": crowd}


def hit(image_id: int, category: int, score: float, box: list[float] = BOX) -> dict[str, Any]:
    return {"image_id": image_id, "category_id": category, "bbox": box, "score": score}


CATEGORIES = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}, {"id": 3, "name": "cow"}]
TRUTH = {
    "images": [image(i) for i in range(1, 8)],
    "categories": CATEGORIES,
    "annotations": [
        thing(1, 1, 1),
        thing(2, 2, 1),
        thing(3, 3, 2),
        thing(4, 4, 2),
        thing(5, 5, 1, crowd=1),
        thing(6, 6, 2),
    ],
}
FOUND = [
    hit(1, 1, 0.9),  # right
    hit(1, 1, 0.8),  # duplicate
    hit(2, 2, 0.9),  # a cat taken for a dog
    hit(3, 2, 0.7, [30.0, 10.0, 40.0, 40.0]),  # IoU 1/3: badly placed
    hit(5, 1, 0.6),  # on a crowd
    hit(7, 1, 0.9),  # on an image without objects
    hit(7, 3, 0.8),  # of a class without objects
    hit(6, 2, 0.3),  # right, and below the confidence threshold
]


def test_an_example_by_hand(tmp_path: Path) -> None:
    found = evaluate(*write(tmp_path, TRUTH, FOUND))
    assert (found.images, found.empty_images, found.objects, found.crowds) == (7, 1, 5, 1)
    assert (found.detections, found.ignored) == (8, 1)
    assert found.errors.duplicate == 1
    assert found.errors.classification == 1
    assert found.errors.localization == 1
    assert found.errors.background == 2
    assert found.errors.missed == 2  # images 4 and 6; those of 2 and 3 are explained
    counts = found.counts
    assert (counts.true_positives, counts.false_positives, counts.false_negatives) == (1, 5, 4)
    assert (counts.precision, counts.recall, counts.f1) == (1 / 6, 1 / 5, 2 / 11)
    assert counts.mean_iou == 1
    assert found.labels == ("cat", "dog", "cow", "background")
    assert found.confusion == ((1, 1, 0, 0), (0, 0, 0, 3), (0, 0, 0, 0), (2, 1, 1, 0))
    cat, dog, cow = found.classes
    # Cats: of two, one found; scores .9 (right and wrong together), .8 wrong: AP = 1/2 * 1/2. The crowd's is ignored.
    assert (cat.objects, cat.detections, cat.notes_ap) == (2, 3, 0.25)
    # Dogs: of three, one found, at .3 after two wrong ones: AP = 1/3 * 1/3.
    assert (dog.objects, dog.notes_ap) == (3, pytest.approx(1 / 9))
    assert (cow.objects, cow.notes_ap, cow.coco_ap, cow.presence) == (0, None, None, None)
    assert found.notes_map == pytest.approx((1 / 4 + 1 / 9) / 2)
    assert cat.presence is not None
    assert (cat.presence.images_with, cat.presence.images_without) == (2, 4)  # the crowd's image is neither
    # Image 1 beats three images without a detection and ties with image 7; image 2 ties with the three, loses to 7.
    assert cat.presence.area == pytest.approx((3 + 0.5 + 3 * 0.5) / 8)
    assert [w.image_id for w in found.worst] == [2, 3, 7, 1, 4, 6]
    assert found.warnings == ()


def test_the_confidence_threshold_keeps_what_equals_it(tmp_path: Path) -> None:
    found = evaluate(*write(tmp_path, TRUTH, FOUND), confidence=0.3)
    assert found.counts.true_positives == 2
    assert evaluate(*write(tmp_path, TRUTH, FOUND), confidence=0.9).counts.false_positives == 2
    nothing = evaluate(*write(tmp_path, TRUTH, FOUND), confidence=2).counts
    assert (nothing.precision, nothing.recall, nothing.f1, nothing.mean_iou) == (None, 0, 0, None)


def test_the_worst_images_carry_what_a_drawing_needs(tmp_path: Path) -> None:
    worst = {w.image_id: w for w in evaluate(*write(tmp_path, TRUTH, FOUND)).worst}
    assert 5 not in worst
    assert {(b.kind, b.label, b.score) for b in worst[2].boxes} == {
        ("missed", "cat", None),
        ("classification", "dog", 0.9),
    }
    assert {(b.kind, b.score) for b in worst[1].boxes} == {("found", None), ("right", 0.9), ("duplicate", 0.8)}
    assert worst[2].file_name == "2.png"
    assert len(evaluate(*write(tmp_path, TRUTH, FOUND), worst=1).worst) == 1


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("confidence", [0.0, 0.4, 0.95])
def test_the_parts_add_up(seed: int, confidence: float, tmp_path: Path) -> None:
    truth, detections = generate(seed)
    found = evaluate(*write(tmp_path, truth, detections), confidence=confidence)
    matrix, counts, errors = np.array(found.confusion), found.counts, found.errors
    assert np.trace(matrix) == counts.true_positives
    assert matrix[:, :-1].sum() == counts.true_positives + counts.false_positives
    assert matrix[:-1].sum() == found.objects
    assert matrix[-1, -1] == 0
    kinds = errors.duplicate + errors.classification + errors.localization + errors.background
    assert kinds == counts.false_positives
    assert errors.missed <= counts.false_negatives
    assert sum(c.counts.true_positives for c in found.classes) == counts.true_positives
    assert sum(c.counts.false_positives for c in found.classes) == counts.false_positives
    assert sum(c.objects for c in found.classes) == found.objects


@pytest.mark.parametrize("seed", range(3))
def test_the_sweep_is_the_counts_at_each_confidence(seed: int, tmp_path: Path) -> None:
    files = write(tmp_path, *generate(seed))
    found = evaluate(*files)
    sweep = found.sweep
    assert sweep.best is not None
    f1 = []
    for i, confidence in enumerate(sweep.confidence):
        counts = evaluate(*files, confidence=confidence).counts
        assert (counts.true_positives, counts.false_positives) == (sweep.true_positives[i], sweep.false_positives[i])
        f1.append(counts.f1)
    assert found.best_f1 is not None
    assert found.best_f1.f1 == max(f1) == f1[sweep.best]  # type: ignore[type-var]
    assert found.best_f1.confidence == sweep.confidence[sweep.best]


def test_mean_iou_is_recounted(tmp_path: Path) -> None:
    truth = copy.deepcopy(TRUTH)
    found = [hit(1, 1, 0.9, [10.0, 10.0, 40.0, 30.0]), hit(4, 2, 0.9, [12.0, 10.0, 40.0, 40.0])]
    mean = evaluate(*write(tmp_path, truth, found)).counts.mean_iou
    ious = [boxes.iou([10, 10, 50, 50], [10, 10, 50, 40]), boxes.iou([10, 10, 50, 50], [12, 10, 52, 50])]
    assert mean == pytest.approx(np.mean(ious), abs=1e-12)


def test_the_notes_ap_differs_from_cocos(tmp_path: Path) -> None:
    found = evaluate(*write(tmp_path, *generate(5, levels=1000)))
    assert found.notes_map is not None
    assert found.coco.ap50 is not None
    assert abs(found.notes_map - found.coco.ap50) > 0.01


def test_the_notes_map_is_their_ap_averaged_over_ten_thresholds(tmp_path: Path) -> None:
    truth = {
        "images": [image(1), image(2), image(3)],
        "categories": CATEGORIES[:1],
        "annotations": [thing(1, 1, 1), thing(2, 2, 1)],
    }
    placed = hit(2, 1, 0.8, [10.0, 10.0, 40.0, 30.0])  # IoU 30/40: right at 0.5, 0.55, ... 0.75, this one included
    found = evaluate(*write(tmp_path, truth, [hit(3, 1, 0.95), hit(1, 1, 0.9), placed]))
    # Up to 0.75: wrong, right (recall 1/2, precision 1/2), right (recall 1, precision 2/3). Beyond, the last is wrong.
    low, high = 1 / 2 * 1 / 2 + 1 / 2 * 2 / 3, 1 / 2 * 1 / 2
    assert found.notes_map_by_iou == pytest.approx([low] * 6 + [high] * 4)
    assert found.notes_map_over_ious == pytest.approx(0.45)
    assert found.classes[0].notes_ap_over_ious == pytest.approx(0.45)
    assert found.notes_map == pytest.approx(low)


@pytest.mark.parametrize("iou", [0.05, 0.5, 0.75])
def test_each_of_the_ten_is_the_notes_ap_at_that_threshold(iou: float, tmp_path: Path) -> None:
    files = write(tmp_path, *generate(8, levels=50))
    found = evaluate(*files, iou=iou)
    each = [evaluate(*files, iou=float(at)) for at in np.linspace(0.5, 0.95, 10)]
    assert found.notes_map_by_iou == pytest.approx([one.notes_map for one in each], abs=1e-12)
    assert len(set(found.notes_map_by_iou)) > 5
    by_class = [[one.classes[k].notes_ap for one in each] for k in range(len(found.classes))]
    assert [c.notes_ap_over_ious for c in found.classes] == [
        None if aps[0] is None else pytest.approx(np.mean([ap or 0.0 for ap in aps])) for aps in by_class
    ]


def test_a_class_in_one_image_is_not_mixed_up_with_another_in_the_next(tmp_path: Path) -> None:
    """COCO's limit of 100 holds for each class in each image."""
    truth = {"images": [image(1), image(2)], "categories": CATEGORIES[:2], "annotations": [thing(1, 1, 1)]}
    found = [hit(i, k, n / 100) for i in (1, 2) for k in (1, 2) for n in range(70)]
    assert not [line for line in evaluate(*write(tmp_path, truth, found)).warnings if "most confident" in line]
    found += [hit(2, 1, n / 100) for n in range(40)]
    warnings = evaluate(*write(tmp_path, truth, found)).warnings
    assert [line.partition(" are not")[0] for line in warnings if "most confident" in line] == ["10 detections"]


def test_it_is_written_and_read_back(tmp_path: Path) -> None:
    found = evaluate(*write(tmp_path, *generate(1)))
    text = msgspec.json.encode(found)
    assert msgspec.json.decode(text, type=Evaluation) == found
    assert json.loads(text)["labels"][-1] == "background"


def test_a_missing_area_is_the_boxs(tmp_path: Path) -> None:
    truth, found = generate(2)
    for annotation in truth["annotations"]:
        annotation["area"] = annotation["bbox"][2] * annotation["bbox"][3]
    expected = evaluate(*write(tmp_path, truth, found))
    for annotation in truth["annotations"]:
        del annotation["area"]
    assert evaluate(*write(tmp_path, truth, found)) == expected


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t, f: f[0].update(image_id=99), r"dt\.json: entry 0 has the image_id 99, .*does not list; 1 of 8"),
        (lambda t, f: f[3].update(category_id=9), r"dt\.json: entry 3 has the category_id 9"),
        (lambda t, f: t["annotations"][2].update(image_id=0), r"gt\.json: entry 2 has the image_id 0"),
        (lambda t, f: t["annotations"][1].update(category_id=7), r"gt\.json: entry 1 has the category_id 7"),
        (lambda t, f: t["annotations"][1].update(id=1), r"gt\.json: two annotation entries have the id 1"),
        (lambda t, f: t["images"][1].update(id=1), r"gt\.json: two image entries have the id 1"),
        (lambda t, f: t["categories"][1].update(id=1), r"gt\.json: two category entries have the id 1"),
        (
            lambda t, f: f[2].update(bbox=[1, 2, -3, 4]),
            r"dt\.json: detection 2 has the bbox \[1, 2, -3, 4\] of negative",
        ),
        (lambda t, f: t["annotations"][0].update(bbox=[1, 2, 3, -4]), r"gt\.json: annotation 0 .*negative"),
        (lambda t, f: f[1].update(bbox=[float("nan"), 0, 1, 1]), r"dt\.json holds NaN, which is not JSON"),
        (lambda t, f: f[1].update(score=float("inf")), r"dt\.json holds Infinity, which is not JSON"),
        (lambda t, f: f[1].update(bbox=[0, 1, 1]), r"dt\.json is not in COCO's format: .*\$\[1\]\.bbox"),
        (lambda t, f: f[1].update(score="0.5"), r"dt\.json is not in COCO's format: .*\$\[1\]\.score"),
        (lambda t, f: f[1].pop("score"), r"dt\.json is not in COCO's format: .*score"),
        (lambda t, f: f[1].update(image_id=2**70), r"dt\.json: entry 1 has the image_id 1180591620717411303424, which"),
        (lambda t, f: f[1].update(image_id=True), r"dt\.json is not in COCO's format: .*image_id"),
        (lambda t, f: t.pop("images"), r"gt\.json is not in COCO's format: .*images"),
        (lambda t, f: t["annotations"][0].pop("bbox"), r"gt\.json is not in COCO's format: .*bbox"),
    ],
)
def test_every_fault_is_one_line_that_names_it(change: Any, says: str, tmp_path: Path) -> None:
    truth, found = copy.deepcopy(TRUTH), copy.deepcopy(FOUND)
    change(truth, found)
    with pytest.raises(WrongUsage, match=says) as error:
        evaluate(*write(tmp_path, truth, found))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("cut", [0, 1, 40, 200, -1])
def test_half_written_files(cut: int, tmp_path: Path) -> None:
    gt, dt = write(tmp_path, TRUTH, FOUND)
    for path in (gt, dt):
        whole = path.read_text()
        path.write_text(whole[:cut])
        with pytest.raises(WrongUsage, match=rf"{path.name} is not JSON: .*cut short"):
            evaluate(gt, dt)
        path.write_text(whole)


def test_files_that_are_not_there_or_no_text(tmp_path: Path) -> None:
    gt, dt = write(tmp_path, TRUTH, FOUND)
    with pytest.raises(WrongUsage, match=r"cannot read .*none\.json: No such file"):
        evaluate(gt, tmp_path / "none.json")
    with pytest.raises(WrongUsage, match=r"cannot read .*: Is a directory"):
        evaluate(tmp_path, dt)
    dt.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(WrongUsage, match=r"dt\.json is not JSON"):
        evaluate(gt, dt)
    dt.write_text('{"annotations": []}')
    with pytest.raises(WrongUsage, match=r"not in COCO's format: Expected `array`"):
        evaluate(gt, dt)
    dt.write_text('[{"image_id": 1, "category_id": 1, "bbox": [0, 0, 1e999, 1], "score": 1}]')
    with pytest.raises(WrongUsage, match=r"dt\.json"):
        evaluate(gt, dt)


@pytest.mark.parametrize(("iou", "confidence"), [(0.0, 0.5), (1.1, 0.5), (float("nan"), 0.5), (0.5, float("nan"))])
def test_thresholds_out_of_range(iou: float, confidence: float, tmp_path: Path) -> None:
    with pytest.raises(WrongUsage, match="threshold is"):
        evaluate(*write(tmp_path, TRUTH, FOUND), iou=iou, confidence=confidence)


def test_an_iou_of_one_is_met_by_equal_boxes(tmp_path: Path) -> None:
    assert evaluate(*write(tmp_path, TRUTH, FOUND), iou=1.0).counts.true_positives == 1


def test_what_is_odd_is_said(tmp_path: Path) -> None:
    truth, found = copy.deepcopy(TRUTH), copy.deepcopy(FOUND)
    found[0]["bbox"], found[1]["bbox"] = [10, 10, 0, 5], [80, 80, 40, 40]
    said = " ".join(evaluate(*write(tmp_path, truth, found)).warnings)
    assert "1 detections have no area" in said
    assert "1 detections reach outside" in said
    assert "no detections" in evaluate(*write(tmp_path, truth, [])).warnings[0]
    for d in found:
        d["score"] = 0.5
    equal = evaluate(*write(tmp_path, truth, found))
    assert any("all scores are equal" in w for w in equal.warnings)
    assert len(equal.sweep.confidence) == 1


def test_images_without_sizes_are_read(tmp_path: Path) -> None:
    truth = copy.deepcopy(TRUTH)
    for entry in truth["images"]:
        del entry["width"], entry["height"], entry["file_name"]
    found = evaluate(*write(tmp_path, truth, FOUND))
    assert found.worst[0].width is None
    assert found.warnings == ()


def test_what_cocos_limit_leaves_out_is_counted_by_image_and_class(tmp_path: Path) -> None:
    """101 in one image, but of two classes, or of one class in two images: none is beyond the limit of 100."""
    scattered = [hit(1, 2, 0.5)] * 60 + [hit(2, 1, 0.5)] * 60 + [hit(1, 1, 0.4)] * 60 + [hit(2, 2, 0.4)] * 60
    assert not any("not among the 100" in w for w in evaluate(*write(tmp_path, TRUTH, scattered)).warnings)
    crowded = [hit(1, 2, 0.5)] * 103 + [hit(2, 1, 0.5)] * 102 + [hit(3, 1, 0.5)] * 100
    assert any(w.startswith("5 detections are not among the 100 ") for w in
               evaluate(*write(tmp_path, TRUTH, crowded)).warnings)  # fmt: skip
