"""The embedded data set: scikit-learn's handwritten digits at random scales and places on textured backgrounds.

One digit or none an image. Training and test scenes are drawn from different digits, so no handwriting is seen twice.
Everything follows from the seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import Failed

CLASSES = 10
EMPTY_SHARE = 0.15
SMALLEST, LARGEST = 0.4, 0.85  # of a digit's frame, as a share of the image's side
VERSION = 1  # raise it whenever the same seed gives other scenes
_TEST_SHARE = 0.2  # of the 1,797 digits
COLUMNS = ("xmin", "ymin", "xmax", "ymax", "score", "class", "objectness")
"""What a localiser of scenes puts out for each image."""
_INK = 0.25  # opacity from which a pixel belongs to the digit

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Scenes:
    """Images with at most one object each."""

    image: NDArray[np.uint8]  # (n, size, size, 3)
    present: NDArray[np.bool_]  # (n,)
    box: Floats  # (n, 4), relative corners of the digit's ink; zeros where there is none
    label: Integers  # (n,), 0 to 9; 0 where there is none


def scenes(split: str, n: int, size: int, *, seed: int = 0) -> Scenes:
    """Draw scenes.

    Args:
        split: "train" or "test": which digits to use.
        n: how many.
        size: side of the square images in pixels, at least 32.
        seed: the same seed gives the same scenes, of any size of image the same layout.

    Raises Failed when scikit-learn is not installed.
    """
    digits, labels = _digits(split)
    rng = np.random.default_rng([VERSION, seed, split == "test"])
    images = np.empty((n, size, size, 3), dtype=np.uint8)
    present = rng.random(n) >= EMPTY_SHARE
    chosen = rng.integers(0, len(digits), n)
    boxes = np.zeros((n, 4))
    for i in range(n):
        one = np.random.default_rng(rng.integers(2**63))
        picture = _texture(one, size)
        if present[i]:
            boxes[i] = _draw(one, picture, digits[chosen[i]])
        noise = np.random.default_rng(one.integers(2**63)).normal(0, 0.03, picture.shape)
        images[i] = np.clip((picture + noise) * 255, 0, 255).astype(np.uint8)
    return Scenes(images, present, boxes, np.where(present, labels[chosen], 0).astype(np.int64))


def model_input(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Images as the localisers take them: float32 from -1 to 1."""
    return images.astype(np.float32) / 127.5 - 1


def coco_truth(drawn: Scenes) -> dict[str, Any]:
    """The scenes' ground truth in COCO's format; image ids are positions, category ids the digit plus 1."""
    size = drawn.image.shape[1]
    boxes = np.concatenate([drawn.box[:, :2], drawn.box[:, 2:] - drawn.box[:, :2]], axis=1) * size
    return {
        "images": [{"id": i, "width": size, "height": size} for i in range(len(drawn.image))],
        "categories": [{"id": digit + 1, "name": str(digit)} for digit in range(CLASSES)],
        "annotations": [
            {
                "id": int(i) + 1,
                "image_id": int(i),
                "category_id": int(drawn.label[i]) + 1,
                "bbox": boxes[i].tolist(),
                "area": float(boxes[i, 2] * boxes[i, 3]),
                "iscrowd": 0,
            }
            for i in np.flatnonzero(drawn.present)
        ],
    }


def _digits(split: str) -> tuple[Floats, Integers]:
    """Digits as (n, 8, 8) from 0 to 1, and their labels."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise Failed(
            'the embedded scenes need scikit-learn; install it with `pip install "backbench[data]"`'
        ) from error
    loaded = load_digits()
    order = np.random.default_rng(0).permutation(len(loaded.target))
    first = round(_TEST_SHARE * len(order))
    chosen = {"test": order[:first], "train": order[first:]}[split]
    return loaded.images[chosen] / 16.0, loaded.target[chosen].astype(np.int64)


def _stretch(n: int, size: int) -> Floats:
    """(size, n) weights of a linear interpolation from n samples to size."""
    at = (np.arange(size) + 0.5) * n / size - 0.5
    low = np.clip(np.floor(at).astype(int), 0, n - 1)
    share = np.clip(at - low, 0, 1)
    weights = np.zeros((size, n))
    weights[np.arange(size), low] += 1 - share
    weights[np.arange(size), np.minimum(low + 1, n - 1)] += share
    return weights


def _texture(rng: np.random.Generator, size: int) -> Floats:
    """Soft coloured patches with stripes over them, (size, size, 3)."""
    cells = int(rng.integers(2, 9))
    up = _stretch(cells, size)
    patches = np.einsum("yi,xj,ijc->yxc", up, up, rng.random((cells, cells, 3)), optimize=True)
    turn, wave, shift = rng.uniform(0, np.pi), rng.uniform(2, 12), rng.uniform(0, 2 * np.pi)
    across = np.linspace(0, 2 * np.pi, size)
    phase = wave * (np.cos(turn) * across[None, :] + np.sin(turn) * across[:, None]) + shift
    stripes: Floats = rng.uniform(0, 0.15) * np.sin(phase)[:, :, None] * rng.random(3)
    picture: Floats = 0.05 + 0.4 * patches + stripes  # dark enough for a light digit
    return picture


def _draw(rng: np.random.Generator, picture: Floats, digit: Floats) -> Floats:
    """Paint the digit into the picture in a light colour; the box of its ink in relative corners."""
    size = len(picture)
    share = rng.uniform(SMALLEST, LARGEST)
    stretch = rng.uniform(0.85, 1.15)
    height, width = (max(8, round(size * min(side, 0.95))) for side in (share * stretch, share / stretch))
    top, left = (int(rng.random() * (size - side + 1)) for side in (height, width))
    opacity = _stretch(8, height) @ digit @ _stretch(8, width).T
    rows, columns = np.flatnonzero((opacity > _INK).any(1)), np.flatnonzero((opacity > _INK).any(0))
    region = picture[top : top + height, left : left + width]
    colour = rng.uniform(0.8, 1.0, 3)
    region += opacity[:, :, None] * (colour - region)
    return np.array([left + columns[0], top + rows[0], left + columns[-1] + 1, top + rows[-1] + 1]) / size
