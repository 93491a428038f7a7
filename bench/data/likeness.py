"""The same photograph twice: by content, or by nearly the same thumbnail, as of a copy at another size or quality."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

SIDE = 8
"""Pixels of a thumbnail's side, in colour."""
NEAR = 3.0
"""Levels of 255 by which thumbnails of one photograph differ at most, as the root of the mean square.

Copies at a tenth of the size or at JPEG quality 20 differ by up to 1.5; cut by 2 % or made 5 % brighter, a photograph
differs by 3.7 or more, and no two of scikit-learn's digits by less than 10 (`tests/benchmarks/near_copies.py`).
"""
_SHAPE = 0.03  # by which the logarithms of their sides' ratios differ at most
_BLOCK = 1024

Vectors = np.ndarray[Any, np.dtype[np.float32]]
Progress = Callable[[int, int], None]
"""Told, now and then: images done, images in all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """What is compared of an image."""

    sha256: str  # of the file
    thumbnail: bytes = b""  # SIDE x SIDE x 3; empty where it cannot be read
    ratio: float = 1.0  # of width to height, upright
    unreadable: str | None = None


def looks(paths: Sequence[Path], *, threads: int, progress: Progress = lambda done, of: None) -> list[Look]:
    """What is compared of each image, decoded in so many threads."""
    found = []
    with ThreadPoolExecutor(threads) as pool:
        for look in pool.map(_look, paths):
            found.append(look)
            if len(found) % 50 == 0 or len(found) == len(paths):
                progress(len(found), len(paths))
    return found


def groups(seen: Sequence[Look]) -> list[int]:
    """A number for each image: the same for those that are the same photograph."""
    leader = list(range(len(seen)))

    def first(i: int) -> int:
        while leader[i] != i:
            leader[i] = i = leader[leader[i]]
        return i

    by_content: dict[str, int] = {}
    for i, look in enumerate(seen):
        leader[i] = by_content.setdefault(look.sha256, i)
    once = [i for i in sorted(by_content.values()) if seen[i].thumbnail]
    for i, j in _near([seen[i] for i in once]):
        a, b = sorted((first(once[i]), first(once[j])))
        leader[b] = a
    return [first(i) for i in range(len(seen))]


def _look(path: Path) -> Look:
    from PIL import Image

    from bench.data import pictures

    try:
        content = path.read_bytes() if path.is_file() else b""
    except OSError as error:
        return Look(sha256=f"unreadable {path}", unreadable=error.strerror or "cannot be read")
    sha256 = hashlib.sha256(content).hexdigest()
    del content
    try:
        with pictures.opened(path) as image:
            pictures.draft(image, 4 * SIDE)
            upright = pictures.upright(image)
            small = pictures.rgb(upright).resize((SIDE, SIDE), Image.Resampling.BOX)
            return Look(sha256=sha256, thumbnail=small.tobytes(), ratio=upright.width / upright.height)
    except pictures.Unreadable as error:
        return Look(sha256=sha256 if path.is_file() else f"missing {path}", unreadable=str(error))


def _near(seen: Sequence[Look]) -> list[tuple[int, int]]:
    """The pairs whose thumbnails and shapes are nearly the same.

    Sorted by brightness, an image is compared with those after it that are not brighter by more than NEAR: the means of
    two vectors differ by no more than the root of their mean squared difference.
    """
    if len(seen) < 2:
        return []
    pixels = np.frombuffer(b"".join(look.thumbnail for look in seen), np.uint8)
    vectors: Vectors = pixels.reshape(len(seen), -1).astype(np.float32)
    means = vectors.mean(1)
    order = np.argsort(means, kind="stable")
    vectors, means = vectors[order], means[order]
    shapes = np.log([seen[i].ratio for i in order])
    pairs = []
    for start in range(0, len(order), _BLOCK):
        stop = min(start + _BLOCK, len(order))
        end = int(np.searchsorted(means, means[stop - 1] + NEAR, side="right"))
        squares = _squares(vectors[start:stop], vectors[start:end]) / vectors.shape[1]
        alike = (squares <= NEAR**2) & (abs(shapes[start:stop, None] - shapes[None, start:end]) <= _SHAPE)
        pairs += [(int(order[start + i]), int(order[start + j])) for i, j in np.argwhere(np.triu(alike, 1))]
    return pairs


def _squares(a: Vectors, b: Vectors) -> Vectors:
    """The squared distances (rows of a, rows of b): of whole numbers below 2**24, exact in float32."""
    squares: Vectors = (a * a).sum(1)[:, None] + (b * b).sum(1)[None, :] - 2 * (a @ b.T)
    return squares
