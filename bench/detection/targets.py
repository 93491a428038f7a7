"""The notes' target of a localiser, y = [l_c, xc, yc, w, h, one-hot class], as arrays.

l_c is 1 for an object and 0 for background; where it is 0 everything else is 0 and means nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from bench.detection import boxes
from bench.detection.coco_files import Booleans, Floats, Integers
from bench.errors import WrongUsage

BOX = slice(1, 5)
CLASSES = slice(5, None)


@dataclass(frozen=True, slots=True)
class Decoded:
    """One detection an image."""

    box: Floats  # (n, 4), relative corners, cut off at the image's edges
    label: Integers  # (n,), the most probable class
    score: Floats  # (n,), l_c times the probability of that class
    objectness: Floats  # (n,), l_c


def encode(present: ArrayLike, box: ArrayLike, label: ArrayLike, classes: int) -> Floats:
    """Targets of shape (n, 5 + classes).

    Args:
        present: (n,), whether there is an object.
        box: (n, 4), relative corners; looked at only where there is an object.
        label: (n,), 0 to classes - 1; looked at only where there is an object.
        classes: how many classes there are.

    Raises WrongUsage for a box that is inverted, outside of the image, without area or not finite, or a wrong label.
    """
    here: Booleans = np.asarray(present, dtype=bool)
    there = np.flatnonzero(here)
    corners = boxes.check(np.asarray(box, dtype=np.float64)[there], inside=True)
    flat = boxes.area(corners) <= 0
    if flat.any():
        raise WrongUsage(f"the box of image {there[int(np.argmax(flat))]} has no area; an object has one")
    labels = np.asarray(label, dtype=np.int64)[there]
    wrong = (labels < 0) | (labels >= classes)
    if wrong.any():
        first = int(np.argmax(wrong))
        raise WrongUsage(f"the label of image {there[first]} is {labels[first]}; it must be 0 to {classes - 1}")
    y = np.zeros((len(here), 5 + classes))
    y[there, 0] = 1
    y[there, BOX] = boxes.centre_of_corners(corners)
    y[there, 5 + labels] = 1
    return y


def decode(y: ArrayLike) -> Decoded:
    """The detection that each y of shape (n, 5 + classes) stands for; y may be a target or a prediction."""
    values = np.asarray(y, dtype=np.float64)
    label = values[:, CLASSES].argmax(axis=1)
    certain = values[:, CLASSES].max(axis=1)
    box = boxes.clip(boxes.corners_of_centre(values[:, BOX]))
    return Decoded(box, label.astype(np.int64), values[:, 0] * certain, values[:, 0])
