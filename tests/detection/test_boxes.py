from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bench.detection import boxes
from bench.errors import WrongUsage

UNIT = st.floats(0, 1, allow_subnormal=False)


@st.composite
def corner_boxes(draw: st.DrawFn, n: int = 5) -> np.ndarray:
    points = draw(hnp.arrays(np.float64, (n, 2, 2), elements=UNIT))
    return np.concatenate([points.min(axis=1), points.max(axis=1)], axis=1)


@given(corner_boxes())
def test_conversions_return(corners: np.ndarray) -> None:
    assert np.allclose(boxes.corners_of_centre(boxes.centre_of_corners(corners)), corners, rtol=0, atol=1e-15)
    pixels = boxes.coco_of_corners(corners, 640, 480)
    assert np.allclose(boxes.corners_of_coco(pixels, 640, 480), corners, rtol=0, atol=1e-15)


def test_conversions_by_hand() -> None:
    corners = [0.25, 0.5, 0.75, 1.0]
    assert boxes.centre_of_corners(corners).tolist() == [0.5, 0.75, 0.5, 0.5]
    assert boxes.coco_of_corners(corners, 200, 100).tolist() == [50, 50, 100, 50]
    sizes = boxes.corners_of_coco([[50, 50, 100, 50], [50, 50, 100, 50]], [200, 400], [100, 200])
    assert sizes.tolist() == [corners, [0.125, 0.25, 0.375, 0.5]]


def test_iou_by_hand() -> None:
    one = [0.0, 0.0, 0.4, 0.4]
    others = [[0.0, 0.0, 0.4, 0.4], [0.2, 0.0, 0.6, 0.4], [0.4, 0.0, 0.8, 0.4], [0.1, 0.1, 0.3, 0.3]]
    assert np.allclose(boxes.iou(one, others), [1, 1 / 3, 0, 0.25], rtol=0, atol=1e-12)
    assert np.allclose(boxes.jaccard_distance(one, others), [0, 2 / 3, 1, 0.75], rtol=0, atol=1e-12)
    assert boxes.iou(np.array(others)[:, None], np.array(others)).shape == (4, 4)


def test_no_pixel_is_added() -> None:
    assert boxes.iou([0, 0, 10, 10], [0, 0, 10, 5]) == 0.5


@given(corner_boxes(), corner_boxes())
def test_iou_is_symmetric_and_bounded(a: np.ndarray, b: np.ndarray) -> None:
    found = boxes.iou(a[:, None], b)
    assert np.array_equal(found, boxes.iou(b[:, None], a).T)
    assert found.min() >= 0
    assert found.max() <= 1 + 1e-9
    solid = boxes.area(a) > 0
    assert np.allclose(np.diag(boxes.iou(a[:, None], a))[solid], 1, rtol=0, atol=1e-12)


@given(corner_boxes(3))
def test_jaccard_distance_is_a_metric(a: np.ndarray) -> None:
    a[:, 2:] += 0.01  # the triangle inequality holds for sets with an area
    d = boxes.jaccard_distance(a[:, None], a)
    assert d[0, 2] <= d[0, 1] + d[1, 2] + 1e-12
    assert np.allclose(np.diag(d), 0)


def test_a_box_without_area_overlaps_nothing() -> None:
    point = [0.5, 0.5, 0.5, 0.5]
    assert boxes.iou(point, point) == 0
    assert boxes.iou(point, [0, 0, 1, 1]) == 0


def test_nan_stays_nan_and_inverted_gives_nothing() -> None:
    assert np.isnan(boxes.iou([0, 0, np.nan, 1], [0, 0, 1, 1]))
    assert boxes.iou([0.9, 0.9, 0.1, 0.1], [0, 0, 1, 1]) == 0


@pytest.mark.parametrize(
    ("box", "says"),
    [
        ([0, 0, np.nan, 1], "not finite"),
        ([0, 0, np.inf, 1], "not finite"),
        ([0.5, 0, 0.4, 1], "inverted"),
        ([0, 0.5, 1, 0.4], "inverted"),
        ([-0.1, 0, 1, 1], "outside"),
        ([0, 0, 1.1, 1], "outside"),
    ],
)
def test_check_names_the_box(box: list[float], says: str) -> None:
    with pytest.raises(WrongUsage, match=rf"^box 1 \(.*{says}"):
        boxes.check([[0, 0, 1, 1], box], inside=True)


def test_check_lets_good_boxes_pass() -> None:
    assert boxes.check([[0, 0, 1, 1], [0.5, 0.5, 0.5, 0.5]], inside=True).dtype == np.float64
    assert boxes.check([-5, 0, 7, 1]).tolist() == [-5, 0, 7, 1]
    with pytest.raises(WrongUsage, match=r"box 0 .*inverted"):
        boxes.check([1, 0, 0, 1])


def test_wrong_shapes_and_sizes() -> None:
    with pytest.raises(WrongUsage, match=r"shape \(3,\)"):
        boxes.iou([0, 0, 1], [0, 0, 1, 1])
    for size in (0, -1, np.nan):
        with pytest.raises(WrongUsage, match="positive"):
            boxes.corners_of_coco([0, 0, 1, 1], size, 10)


def test_clip() -> None:
    assert boxes.clip([-1, 0.5, 2, 0.7]).tolist() == [0, 0.5, 1, 0.7]


def test_any_numbers_in_any_number_of_dimensions_are_computed_in_float64() -> None:
    small = np.array([200, 100, 250, 220], dtype=np.uint8)
    assert boxes.centre_of_corners(small).tolist() == [225, 160, 50, 120]
    assert boxes.corners_of_coco(small, np.uint8(250), np.uint8(250)).tolist() == [0.8, 0.4, 1.8, 1.28]
    assert boxes.area(np.array([9, 9, 2, 20], dtype=np.uint8)) == 0
    stacked = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    for convert in (
        boxes.centre_of_corners,
        boxes.corners_of_centre,
        boxes.clip,
        lambda b: boxes.corners_of_coco(b, 2.0, 4.0),
        lambda b: boxes.coco_of_corners(b, 2.0, 4.0),
    ):
        whole = convert(stacked)
        assert (whole.shape, whole.dtype) == ((2, 3, 4), np.float64)
        assert np.array_equal(whole[1, 2], convert(stacked[1, 2]))
    assert boxes.check(stacked).dtype == np.float64
    assert boxes.check([[[0, 0, 1, 1]]] * 2, inside=True).shape == (2, 1, 4)


def test_what_is_wrong_is_said_in_full() -> None:
    with pytest.raises(WrongUsage) as error:
        boxes.check([[[0, 0, 1, 1], [0.25, 0, 0.125, 1]]])
    assert str(error.value) == (
        "box 0, 1 (0.25, 0, 0.125, 1) is inverted: a corner form has xmin <= xmax and ymin <= ymax"
    )
    with pytest.raises(WrongUsage) as error:
        boxes.check([0, 0, 1, np.inf])
    assert str(error.value) == "box 0 (0, 0, 1, inf) is not finite"
    with pytest.raises(WrongUsage) as error:
        boxes.check([[[0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 2, 1]]], inside=True)
    assert str(error.value) == "box 0, 2 (0, 0, 2, 1) reaches outside of [0, 1]; clip it or leave it out"
    with pytest.raises(WrongUsage) as error:
        boxes.corners_of_coco([0, 0, 1, 1], np.inf, 10)
    assert str(error.value) == "an image's width and height must be positive numbers of pixels"
    assert boxes.corners_of_coco([0, 0, 0.25, 1], 0.5, 1).tolist() == [0, 0, 0.5, 1]
