"""The notes' AP, curves and areas: by hand, and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from bench.detection import curves

SCORED = st.lists(st.tuples(st.sampled_from([0.1, 0.2, 0.5, 0.7, 0.9]), st.booleans()), min_size=1, max_size=40)


def steps(score: list[float], right: list[bool], total: int) -> curves.Steps:
    return curves.steps(np.array(score, dtype=float), np.array(right, dtype=bool), total)


def test_notes_ap_by_hand() -> None:
    # Four objects; kept in order: right, wrong, right, right, wrong. Recalls 1/4, 1/4, 2/4, 3/4, 3/4 and precisions
    # 1, 1/2, 2/3, 3/4, 3/5: AP = 1/4 (1 + 2/3 + 3/4).
    curve = steps([0.9, 0.8, 0.7, 0.6, 0.5], [True, False, True, True, False], 4)
    assert curve.precision.tolist() == pytest.approx([1, 1 / 2, 2 / 3, 3 / 4, 3 / 5], abs=1e-15)
    assert curve.recall.tolist() == [0.25, 0.25, 0.5, 0.75, 0.75]
    assert curves.average_precision(curve) == pytest.approx((1 + 2 / 3 + 3 / 4) / 4, abs=1e-15)
    assert curve.f1.tolist() == pytest.approx([2 / 5, 2 / 6, 4 / 7, 6 / 8, 6 / 9], abs=1e-15)


def test_equal_scores_enter_together() -> None:
    # The same with the first three scores equal: one threshold keeps two right of three.
    curve = steps([0.9, 0.9, 0.9, 0.6, 0.5], [True, False, True, True, False], 4)
    assert curve.threshold.tolist() == [0.9, 0.6, 0.5]
    assert curves.average_precision(curve) == pytest.approx(2 / 4 * 2 / 3 + 1 / 4 * 3 / 4, abs=1e-15)
    assert curves.average_precision(steps([0.9] * 5, [False, True, True, True, False], 4)) == pytest.approx(
        3 / 4 * 3 / 5
    )


@given(SCORED, st.integers(0, 10))
def test_notes_ap_is_scikit_learns_times_found_over_all(scored: list[tuple[float, bool]], unfound: int) -> None:
    score, right = [s for s, _ in scored], [r for _, r in scored]
    found = sum(right)
    ours = curves.average_precision(steps(score, right, found + unfound))
    if not found:
        assert ours == (0 if unfound else None)
        return
    assert ours == pytest.approx(average_precision_score(right, score) * found / (found + unfound), abs=1e-12)


@given(SCORED, st.randoms())
def test_the_order_of_equal_scores_is_nothing(scored: list[tuple[float, bool]], random: object) -> None:
    before = steps(*map(list, zip(*scored, strict=True)), 50)  # type: ignore[call-arg]
    random.shuffle(scored)  # type: ignore[attr-defined]
    after = steps(*map(list, zip(*scored, strict=True)), 50)  # type: ignore[call-arg]
    assert before.right.tolist() == after.right.tolist()
    assert curves.average_precision(before) == curves.average_precision(after)


@given(SCORED)
def test_roc_area_is_scikit_learns(scored: list[tuple[float, bool]]) -> None:
    score, positive = np.array([s for s, _ in scored]), np.array([p for _, p in scored])
    found = curves.roc(score, positive)
    if positive.all() or not positive.any():
        assert found is None
    else:
        assert found is not None
        assert found.area == pytest.approx(roc_auc_score(positive, score), abs=1e-12)
        assert (found.false_rate[0], found.true_rate[0]) == (0, 0)
        assert (found.false_rate[-1], found.true_rate[-1]) == (1, 1)


def test_images_without_a_detection_rank_last_in_the_roc() -> None:
    found = curves.roc(np.array([-np.inf, 0.2, -np.inf]), np.array([False, True, False]))
    assert found is not None
    assert found.area == 1


def test_area_under_precision_recall() -> None:
    curve = steps([0.9, 0.8], [True, False], 2)
    assert curves.area_under_precision_recall(curve) == 0.5
    assert curves.area_under_precision_recall(steps([], [], 2)) == 0
    assert curves.area_under_precision_recall(steps([0.5], [False], 0)) is None


def test_no_detections_and_no_objects() -> None:
    assert curves.average_precision(steps([], [], 3)) == 0
    assert curves.average_precision(steps([0.5], [False], 0)) is None


def test_thinning_keeps_the_ends_and_the_chosen() -> None:
    kept = curves.thin(10_000, 100, 4321).tolist()
    assert len(kept) <= 101
    assert {0, 4321, 9999} <= set(kept)
    assert curves.thin(5, 100).tolist() == [0, 1, 2, 3, 4]
    assert curves.thin(0, 100).tolist() == []
    assert curves.thin(1, 100, 0).tolist() == [0]


def test_thinning_by_hand() -> None:
    assert curves.thin(10, 5).tolist() == [0, 2, 4, 7, 9]
    assert curves.thin(10, 5, 3).tolist() == [0, 3, 6, 9]
    assert curves.thin(10, 5, 4, 5, 6, 7, 8).tolist() == [0, 4, 5, 6, 7, 8, 9], "the ends stay whatever is kept"
    assert curves.thin(100, 3, 7, 8, 9).tolist() == [0, 7, 8, 9, 99]
    assert curves.thin(10, 5).dtype == curves.thin(10, 5, 3).dtype == np.int64, "positions"
    assert curves.thin(6, 6).tolist() == [0, 1, 2, 3, 4, 5]
    assert curves.thin(7, 6).tolist() == [0, 1, 2, 4, 5, 6]


def test_the_curve_below_precision_and_recall_by_hand() -> None:
    curve = steps([0.9, 0.8, 0.7], [True, False, True], 4)
    assert (curve.right.tolist(), curve.wrong.tolist(), curve.total) == ([1, 1, 2], [0, 1, 1], 4)
    # From recall 0 to 1/4 at precision 1, nothing across the wrong one, then from 1/2 to 2/3 over another quarter.
    assert curves.area_under_precision_recall(curve) == pytest.approx(1 / 4 + (1 / 2 + 2 / 3) / 2 / 4, abs=1e-15)
    assert steps([0.5], [False], 0).recall.tolist() == [0]
    assert steps([], [], 0).threshold.tolist() == []


def test_the_roc_by_hand() -> None:
    found = curves.roc(np.array([0.9, 0.8, 0.8, 0.1]), np.array([True, False, True, False]))
    assert found is not None
    assert found.false_rate.tolist() == [0, 0, 0.5, 1]
    assert found.true_rate.tolist() == [0, 0.5, 1, 1]
    assert found.area == 0.875
    assert curves.roc(np.array([0.5]), np.array([True])) is None
    assert curves.roc(np.array([0.5]), np.array([False])) is None
