"""Boxes as float64 arrays of shape (..., 4), in three forms, and how much two of them overlap.

- corners: (xmin, ymin, xmax, ymax), relative to the image's width and height, in [0, 1]
- centre: (xc, yc, w, h), relative in the same way
- COCO: (x, y, w, h) of the upper left corner, in pixels

Keras's `keras.utils.bounding_boxes` is not used: its IoU adds 1e-7 to the union, works in float32, and needs Keras in
this process. No "+1 pixel" anywhere: a box is a region of the plane, as in COCO.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.errors import WrongUsage

Boxes = NDArray[np.float64]


def _split(boxes: ArrayLike) -> tuple[Boxes, Boxes, Boxes, Boxes]:
    array = np.asarray(boxes, dtype=np.float64)
    if array.shape[-1:] != (4,):
        raise WrongUsage(f"boxes have shape {array.shape}; give (..., 4), four numbers a box")
    return array[..., 0], array[..., 1], array[..., 2], array[..., 3]


def centre_of_corners(boxes: ArrayLike) -> Boxes:
    """Corners (xmin, ymin, xmax, ymax) to centre form (xc, yc, w, h); the unit stays."""
    x0, y0, x1, y1 = _split(boxes)
    return np.stack([(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0], axis=-1)


def corners_of_centre(boxes: ArrayLike) -> Boxes:
    """Centre form (xc, yc, w, h) to corners (xmin, ymin, xmax, ymax); the unit stays."""
    x, y, w, h = _split(boxes)
    return np.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], axis=-1)


def corners_of_coco(boxes: ArrayLike, width: ArrayLike, height: ArrayLike) -> Boxes:
    """COCO's (x, y, w, h) in pixels to relative corners.

    `width` and `height` are the images' in pixels, scalars or one for each box. Raises WrongUsage unless positive.
    """
    x, y, w, h = _split(boxes)
    across, down = _size(width), _size(height)
    return np.stack([x / across, y / down, (x + w) / across, (y + h) / down], axis=-1)


def coco_of_corners(boxes: ArrayLike, width: ArrayLike, height: ArrayLike) -> Boxes:
    """Relative corners to COCO's (x, y, w, h) in pixels; arguments as for `corners_of_coco`."""
    x0, y0, x1, y1 = _split(boxes)
    across, down = _size(width), _size(height)
    return np.stack([x0 * across, y0 * down, (x1 - x0) * across, (y1 - y0) * down], axis=-1)


def _size(pixels: ArrayLike) -> Boxes:
    size = np.asarray(pixels, dtype=np.float64)
    if not np.all(np.isfinite(size) & (size > 0)):
        raise WrongUsage("an image's width and height must be positive numbers of pixels")
    return size


def check(boxes: ArrayLike, *, inside: bool = False) -> Boxes:
    """Corners as float64, when every box is one. A box without area is one; it overlaps nothing.

    Raises WrongUsage for the first box that is not finite, is inverted (xmax < xmin or ymax < ymin) or, with `inside`,
    reaches out of [0, 1].
    """
    array = np.asarray(boxes, dtype=np.float64)
    x0, y0, x1, y1 = _split(array)
    rules = {
        "is not finite": ~np.isfinite(array).all(axis=-1),
        "is inverted: a corner form has xmin <= xmax and ymin <= ymax": (x1 < x0) | (y1 < y0),
    }
    if inside:
        rules["reaches outside of [0, 1]; clip it or leave it out"] = ((array < 0) | (array > 1)).any(axis=-1)
    for complaint, wrong in rules.items():
        if np.any(wrong):
            first = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
            numbers = ", ".join(f"{value:g}" for value in array[first])
            raise WrongUsage(f"box {', '.join(map(str, first)) or '0'} ({numbers}) {complaint}")
    return array


def clip(boxes: ArrayLike) -> Boxes:
    """Corners cut off at the edges of the image, [0, 1]. One that lies wholly outside loses its area."""
    clipped: Boxes = np.clip(np.asarray(boxes, dtype=np.float64), 0.0, 1.0)
    return clipped


def area(boxes: ArrayLike) -> Boxes:
    """Areas of corner boxes; 0 for an inverted one."""
    x0, y0, x1, y1 = _split(boxes)
    return np.maximum(x1 - x0, 0.0) * np.maximum(y1 - y0, 0.0)


def intersection(a: ArrayLike, b: ArrayLike) -> Boxes:
    """Areas that two broadcast arrays of corner boxes share."""
    ax0, ay0, ax1, ay1 = _split(a)
    bx0, by0, bx1, by1 = _split(b)
    wide = np.minimum(ax1, bx1) - np.maximum(ax0, bx0)
    high = np.minimum(ay1, by1) - np.maximum(ay0, by0)
    shared: Boxes = np.maximum(wide, 0.0) * np.maximum(high, 0.0)
    return shared


def iou(a: ArrayLike, b: ArrayLike) -> Boxes:
    """Jaccard index |A ∩ B| / |A ∪ B| (Jaccard 1901) of corner boxes, broadcast: `iou(a[:, None], b)` gives all pairs.

    0 where the union has no area, as in COCO. Boxes are taken as they are; `check` them first when they may be wrong:
    a NaN gives NaN, an inverted box 0.
    """
    shared = intersection(a, b)
    union = area(a) + area(b) - shared
    overlaps: Boxes = np.divide(shared, union, out=np.where(np.isnan(union), np.nan, 0.0), where=union > 0)
    return overlaps


def jaccard_distance(a: ArrayLike, b: ArrayLike) -> Boxes:
    """1 - IoU: a metric on boxes that have an area; broadcast as `iou`."""
    return 1.0 - iou(a, b)
