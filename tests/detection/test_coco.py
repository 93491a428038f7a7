"""Our COCO figures and matching against pycocotools."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from bench.detection import coco, evaluate, matching
from tests.detection.sets import Found, Truth, generate, oracle, read, twelve, write

SETS = [
    {"seed": seed, "crowd": crowd, "most": most, "levels": levels}
    for seed, (crowd, most, levels) in enumerate(
        [(0.0, 10, 1000), (0.1, 30, 20), (0.5, 30, 3), (0.1, 400, 50), (0.3, 700, 1000), (1.0, 20, 20), (0.1, 30, 1)]
    )
]


def figures(truth: Truth, found: Found) -> list[float]:
    with tempfile.TemporaryDirectory() as folder:
        return twelve(coco.figures(read(Path(folder), truth, found))[0])


@pytest.mark.parametrize("given_", SETS, ids=str)
def test_the_twelve_figures_are_those_of_pycocotools(given_: dict[str, Any], tmp_path: Path) -> None:
    truth, found = generate(**given_)
    expected = oracle(truth, found)
    ours, precision = coco.figures(read(tmp_path, truth, found))
    assert np.abs(np.array(twelve(ours)) - expected.stats).max() <= 1e-9
    assert np.abs(precision - expected.eval["precision"][:, :, :, 0, 2]).max() <= 1e-9


def test_the_sets_hold_what_they_must() -> None:
    truth, found = generate(**SETS[4])
    ranked = {(d["image_id"], d["category_id"], d["score"]) for d in found}
    assert len(ranked) < len(found)  # ties within an image and a class, where the order decides
    seen: dict[tuple[int, int], int] = {}
    for d in found:
        key = d["image_id"], d["category_id"]
        seen[key] = seen.get(key, 0) + 1
    assert max(seen.values()) > 100
    assert any(a["iscrowd"] for a in truth["annotations"])
    with_objects = {a["image_id"] for a in truth["annotations"]}
    assert {image["id"] for image in truth["images"]} - with_objects
    assert {c["id"] for c in truth["categories"]} - {a["category_id"] for a in truth["annotations"]}


def test_a_change_of_one_box_shows() -> None:
    truth, found = generate(1)
    before = figures(truth, found)
    truth["annotations"][0]["bbox"][0] += 40
    assert np.abs(np.array(before) - figures(truth, found)).max() > 1e-4


BOX = st.tuples(*[st.integers(0, 40)] * 2, *[st.integers(0, 120)] * 2).map(lambda b: [float(v) for v in b])

AREA = st.sampled_from([None, None, 1023.5, 1024.0, 9216.0, 9216.5])  # at the bounds of small and large, or the box's


@st.composite
def sets(draw: st.DrawFn) -> tuple[Truth, Found]:
    images, classes = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    place = st.tuples(st.integers(1, images), st.integers(1, classes))
    truth: Truth = {
        "images": [{"id": i, "width": 160, "height": 160} for i in range(1, images + 1)],
        "categories": [{"id": k, "name": str(k)} for k in range(1, classes + 1)],
        "annotations": [
            {"id": n, "image_id": i, "category_id": k, "bbox": box, "area": area or box[2] * box[3], "iscrowd": crowd}
            for n, ((i, k), box, crowd, area) in enumerate(
                draw(st.lists(st.tuples(place, BOX, st.integers(0, 1), AREA), max_size=8)), 1
            )
        ],
    }
    boxes = [a["bbox"] for a in truth["annotations"]]
    near = st.one_of(BOX, st.sampled_from(boxes)) if boxes else BOX
    drawn = draw(st.lists(st.tuples(place, near, st.sampled_from([0.1, 0.5, 0.9])), min_size=1, max_size=12))
    return truth, [{"image_id": i, "category_id": k, "bbox": box, "score": s} for (i, k), box, s in drawn]


@pytest.mark.long
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(sets())
def test_no_small_set_differs_from_pycocotools(drawn: tuple[Truth, Found]) -> None:
    truth, found = drawn
    expected = oracle(truth, found)
    assert np.abs(np.array(figures(truth, found)) - expected.stats).max() <= 1e-9
    check_matching(truth, found, expected)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 2**32),
    images=st.integers(1, 6),
    classes=st.integers(1, 3),
    crowd=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    most=st.sampled_from([5, 60, 450]),
    levels=st.sampled_from([1, 3, 20, 1000]),
    whole=st.booleans(),
)
def test_no_crowded_set_differs_from_pycocotools(seed: int, whole: bool, **shape: Any) -> None:
    """More than 100 detections of a class in an image, empty images, and a class without objects are among them."""
    truth, found = generate(seed, **shape)
    if not whole:  # nothing on a grid: overlaps and areas of any size
        rng = np.random.default_rng(seed)
        for entry in (*truth["annotations"], *found):
            entry["bbox"] = [v * float(rng.uniform(0.9, 1.1)) for v in entry["bbox"]]
    if not found:  # pycocotools cannot read an empty list
        assert set(figures(truth, found)) <= {-1.0, 0.0}
        return
    expected = oracle(truth, found)
    assert np.abs(np.array(figures(truth, found)) - expected.stats).max() <= 1e-9
    check_matching(truth, found, expected)


@pytest.mark.parametrize("seed", range(6))
def test_our_matching_is_that_of_pycocotools(seed: int) -> None:
    truth, found = generate(seed, most=60, crowd=0.2, levels=10)
    check_matching(truth, found, oracle(truth, found))


def check_matching(truth: Truth, found: Found, expected: Any) -> None:
    """Which detection finds which object, and which are ignored, at IoU 0.5 and 0.75."""
    object_ids = sorted(a["id"] for a in truth["annotations"])
    in_order = [a["id"] for a in truth["annotations"]]
    with tempfile.TemporaryDirectory() as folder:
        data = read(Path(folder), truth, found)
    for at, iou in ((0, 0.5), (5, 0.75)):
        ours = matching.match(data, iou)
        for image in filter(None, expected.evalImgs):
            if image["aRng"] != [0, 1e10]:
                continue
            for n, d in enumerate(image["dtIds"]):
                theirs, ignored = int(image["dtMatches"][at, n]), bool(image["dtIgnore"][at, n])
                mine = ours.found[d - 1]
                assert ours.ignored[d - 1] == ignored
                assert (in_order[mine] if mine >= 0 else 0) == (0 if ignored else theirs)
    assert object_ids == sorted(in_order)


@pytest.mark.parametrize("iou", [0.5, 0.75])
@pytest.mark.parametrize("seed", range(4))
def test_the_notes_ap_is_scikit_learns_on_what_pycocotools_matches(seed: int, iou: float, tmp_path: Path) -> None:
    """From files: scores and matches are pycocotools's own, the AP scikit-learn's times found / all."""
    truth, found = generate(seed, most=60, crowd=0.2)  # never more than the 100 that pycocotools looks at
    ours = evaluate(*write(tmp_path, truth, found), iou=iou)
    expected, at = oracle(truth, found), round((iou - 0.5) / 0.05)
    aps, differences = [], []
    for category, result in zip(truth["categories"], ours.classes, strict=True):
        images = [
            e for e in expected.evalImgs if e and e["category_id"] == category["id"] and e["aRng"] == [0, 1e10]
        ]  # fmt: skip
        score = [s for e in images for s, out in zip(e["dtScores"], e["dtIgnore"][at], strict=True) if not out]
        right = [m > 0 for e in images for m, out in zip(e["dtMatches"][at], e["dtIgnore"][at], strict=True) if not out]
        there = sum(a["category_id"] == category["id"] and not a["iscrowd"] for a in truth["annotations"])
        if not there:
            assert result.notes_ap is None
            continue
        ap = average_precision_score(right, score) * sum(right) / there if any(right) else 0.0
        assert result.notes_ap == pytest.approx(ap, abs=1e-12)
        theirs = expected.eval["precision"][at, :, truth["categories"].index(category), 0, 2].mean()
        assert result.coco_ap_at_iou == pytest.approx(theirs, abs=1e-9)
        aps.append(ap)
        differences.append(ap - theirs)
    assert len(aps) == 3
    assert ours.notes_map == pytest.approx(np.mean(aps), abs=1e-12)
    assert ours.notes_minus_coco == pytest.approx(np.mean(differences), abs=1e-9)
    assert ours.notes_minus_coco != 0


def test_annotation_id_0_is_an_object(tmp_path: Path) -> None:
    truth, found = generate(3, crowd=0)
    expected = twelve(evaluate(*write(tmp_path, truth, found)).coco)
    for annotation in truth["annotations"]:
        annotation["id"] -= 1
    assert twelve(evaluate(*write(tmp_path, truth, found)).coco) == expected
    assert oracle(truth, found).stats[0] < expected[0]  # the trap that we avoid


def test_nothing_found_and_nothing_to_find(tmp_path: Path) -> None:
    truth, found = generate(1)
    nothing_found = evaluate(*write(tmp_path, truth, []))
    assert twelve(nothing_found.coco) == [0.0] * 12
    assert nothing_found.notes_map == 0
    assert nothing_found.counts.false_negatives == nothing_found.objects
    truth["annotations"] = []
    nothing_to_find = evaluate(*write(tmp_path, truth, found))
    assert twelve(nothing_to_find.coco) == [-1.0] * 12
    assert nothing_to_find.notes_map is None
    assert nothing_to_find.errors.background == nothing_to_find.counts.false_positives > 0
    truth["images"] = []
    assert evaluate(*write(tmp_path, truth, [])).coco.ap is None
