"""The embedded data set: scikit-learn's 1,797 handwritten digits of 8 x 8 pixels, scaled up.

Three parts that share no image, with the same share of each digit: training 60 %, validation 20 %, test 20 % (360
images). The parts are always the same.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data import Labels, Pixels, signed
from bench.errors import Failed

KIND = "classes"
SOURCE = "scikit-learn's digits, held-out part"
CLASSES = 10
EXAMPLES, EPOCHS, LEARNING_RATE = 3000, 8, 0.003
PARTS = {"train": 1077, "validation": 360, "test": 360}
_MOST_TURN = 0.26  # radians, 15 degrees
_MOST_SHIFT = 0.12  # of the image's side
_SCALES = (0.85, 1.1)
_RANGING = 200  # images that set the ranges of a reduced precision

model_input = signed


def part(name: str, size: int) -> tuple[Pixels, Labels]:
    """Images (n, size, size, 3) and their labels (n,) of "train", "validation" or "test".

    Raises Failed when scikit-learn is not installed.
    """
    digits, labels = _parts()[name]
    return _coloured(np.stack([_sampled(digit, size, np.eye(2), np.zeros(2)) for digit in digits])), labels


def training(n: int, size: int, *, seed: int = 0) -> tuple[Pixels, Labels]:
    """n images of the training part, turned, shifted and scaled a little; every digit comes as often as the others."""
    digits, labels = _parts()["train"]
    rng = np.random.default_rng(seed)
    chosen = np.concatenate([rng.permutation(len(digits)) for _ in range(-(-n // len(digits)))])[:n]
    images = np.empty((n, size, size), dtype=np.float32)
    for i, index in enumerate(chosen):
        angle, scale = rng.uniform(-_MOST_TURN, _MOST_TURN), rng.uniform(*_SCALES)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / scale
        images[i] = _sampled(digits[index], size, turn, rng.uniform(-_MOST_SHIFT, _MOST_SHIFT, 2))
    return _coloured(images), labels[chosen]


def validation(size: int) -> tuple[Pixels, Labels]:
    """The validation part."""
    return part("validation", size)


def held_out(size: int) -> tuple[Pixels, Labels]:
    """The test part."""
    return part("test", size)


def calibration(size: int) -> tuple[Pixels, Pixels]:
    """Some of the training part, and all of the validation part."""
    return part("train", size)[0][:_RANGING], validation(size)[0]


def _sampled(digit: NDArray[np.float64], size: int, turn: NDArray[np.float64], shift: NDArray[np.float64]) -> Any:
    """A digit (8, 8) resampled to (size, size), linearly, after an affine map about its centre; 0 outside."""
    from scipy.ndimage import affine_transform

    step = len(digit) / size
    matrix = turn * step
    centre = np.full(2, (len(digit) - 1) / 2)
    offset = centre - matrix @ np.full(2, (size - 1) / 2) - len(digit) * shift
    edge = "nearest" if not shift.any() else "constant"
    return affine_transform(digit, matrix, offset, output_shape=(size, size), order=1, mode=edge)


def _coloured(images: Any) -> Pixels:
    """From 0 to 1 in one channel, to 0 to 255 in three equal ones."""
    return np.repeat((np.clip(images, 0, 1) * 255).round().astype(np.uint8)[..., None], 3, axis=-1)


@cache
def _parts() -> dict[str, tuple[NDArray[np.float64], Labels]]:
    """Digits as (n, 8, 8) from 0 to 1 and their labels, for each part."""
    try:
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split
    except ImportError as error:
        raise Failed(
            'the embedded digits need scikit-learn; install it with `pip install "backbench[data]"`'
        ) from error
    loaded = load_digits()
    images, labels = loaded.images / 16.0, loaded.target.astype(np.int64)
    parts = {}
    left = np.arange(len(labels))
    for name in ("test", "validation"):
        left, chosen = train_test_split(left, test_size=PARTS[name], random_state=0, stratify=labels[left])
        parts[name] = (images[chosen], labels[chosen])
    parts["train"] = (images[left], labels[left])
    return parts
