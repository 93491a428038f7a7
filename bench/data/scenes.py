"""The embedded data set: scikit-learn's handwritten digits at random scales and places on textured backgrounds.

One digit or none an image. Training and test scenes are drawn from different digits, so no handwriting is seen twice.
Everything follows from the seed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.data import Labels, Objects, Pixels, signed
from bench.errors import Failed

KIND = "localisation"
SOURCE = "embedded scenes of scikit-learn's digits, held-out part"
CLASSES = 10
EXAMPLES, EPOCHS, LEARNING_RATE = 4000, 12, 0.003
HELD_OUT = 1000  # scenes
_RANGING = 200  # scenes that set the ranges of a reduced precision, and as many others
EMPTY_SHARE = 0.15
SMALLEST, LARGEST = 0.4, 0.85  # of a digit's frame, as a share of the image's side
VERSION = 1  # raise it whenever the same seed gives other scenes
_TEST_SHARE = 0.2  # of the 1,797 digits
_INK = 0.25  # opacity from which a pixel belongs to the digit

Floats = NDArray[np.float64]

model_input = signed


@dataclass(frozen=True, slots=True)
class Scenes(Objects):
    """Images with at most one digit each, boxed by its ink."""

    image: Pixels  # (n, size, size, 3)


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
    return Scenes(present, boxes, np.where(present, labels[chosen], 0).astype(np.int64), images)


def training(n: int, size: int, *, seed: int) -> tuple[Pixels, Scenes]:
    """Scenes of the digits to train on."""
    drawn = scenes("train", n, size, seed=seed)
    return drawn.image, drawn


def validation(size: int) -> None:
    """None: scenes never come twice."""
    return


def held_out(size: int) -> tuple[Pixels, Scenes]:
    """Scenes of the digits that are kept apart."""
    drawn = scenes("test", HELD_OUT, size)
    return drawn.image, drawn


def calibration(size: int) -> tuple[Pixels, Pixels]:
    """Scenes of the digits to train on, drawn for this."""
    images = scenes("train", 2 * _RANGING, size, seed=1).image
    return images[:_RANGING], images[_RANGING:]


def _digits(split: str) -> tuple[Floats, Labels]:
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
