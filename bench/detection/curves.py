"""Curves over the confidence threshold: pure functions of scores and of what was right.

Detections with equal scores enter together: no threshold can part them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.detection.coco_files import Booleans, Floats, Integers


@dataclass(frozen=True, slots=True)
class Steps:
    """The counts at every distinct score, the highest first: what is kept when the threshold stands at that score."""

    threshold: Floats
    right: Integers  # kept and true
    wrong: Integers  # kept and false
    total: int  # objects there are to find, or positives

    @property
    def precision(self) -> Floats:
        """Right over kept; kept is never 0."""
        return self.right / (self.right + self.wrong)

    @property
    def recall(self) -> Floats:
        """Right over what there is; 0 where there is nothing."""
        return self.right / max(self.total, 1)

    @property
    def f1(self) -> Floats:
        """2 right / (kept + what there is), the harmonic mean of precision and recall."""
        return 2 * self.right / (self.right + self.wrong + self.total)


def steps(score: Floats, right: Booleans, total: int) -> Steps:
    """Count what is right and wrong at every distinct score.

    Args:
        score: (n,), the higher the more confident.
        right: (n,).
        total: objects there are to find, found or not.
    """
    order = np.argsort(-score)
    ordered = score[order]
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True)) if len(ordered) else np.empty(0, np.int64)
    hits = np.cumsum(right[order], dtype=np.int64)[last]
    return Steps(ordered[last], hits, last + 1 - hits, total)


def average_precision(curve: Steps) -> float | None:
    """The notes' AP: the sum over thresholds of (r[i+1] - r[i]) P[i+1], with r[0] = 0. None without objects.

    No interpolation and no envelope, unlike COCO's 101 points. scikit-learn's `average_precision_score` is the same
    sum with a recall over the objects found; ours is that times found / all.
    """
    if curve.total == 0:
        return None
    return float(np.sum(np.diff(curve.recall, prepend=0.0) * curve.precision))


def area_under_precision_recall(curve: Steps) -> float | None:
    """The area under the curve by trapezoids from recall 0, at the first precision. None as AP."""
    if curve.total == 0:
        return None
    if not len(curve.threshold):
        return 0.0
    return float(np.trapezoid(np.r_[curve.precision[0], curve.precision], np.r_[0.0, curve.recall]))


@dataclass(frozen=True, slots=True)
class Roc:
    """True positive rate over false positive rate, from (0, 0) to (1, 1)."""

    false_rate: Floats
    true_rate: Floats
    area: float


def roc(score: Floats, positive: Booleans) -> Roc | None:
    """The receiver operating characteristic of a yes-or-no decision; None unless both answers occur.

    For boxes it is undefined, as nobody can count the boxes rightly left out. It is defined for the decision whether a
    class is present in an image: the image's score is its best detection's, and -inf where it has none.
    """
    positives = int(positive.sum())
    negatives = len(positive) - positives
    if not positives or not negatives:
        return None
    counted = steps(score, positive, positives)
    false_rate = np.r_[0.0, counted.wrong / negatives]
    true_rate = np.r_[0.0, counted.right / positives]
    return Roc(false_rate, true_rate, float(np.trapezoid(true_rate, false_rate)))


def thin(length: int, most: int, *keep: int) -> Integers:
    """All positions of `length`, or `most` at most: evenly spread, with the first, the last and `keep` among them."""
    if length <= most:
        return np.arange(length)
    spread = np.linspace(0, length - 1, max(2, most - len(keep))).round().astype(np.int64)
    return np.unique(np.r_[spread, np.array(keep, dtype=np.int64)])
