"""Image files to pixels, with Pillow: safe to call from several threads at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import PIL
from PIL import Image

from bench.data.pictures import Unreadable, draft, opened, rgb, upright
from bench.models.preprocessing import Pixels, Preprocessing

__all__ = ["DECODER", "Unreadable", "crop_box", "decode", "read", "shaped"]

DECODER = f"Pillow {PIL.__version__}"
_FILTERS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}

Indices = np.ndarray[Any, np.dtype[np.intp]]
Shares = np.ndarray[Any, np.dtype[np.float32]]


def decode(path: Path, p: Preprocessing) -> Pixels:
    """The part of an image that a model sees: RGB uint8 (p.height, p.width, 3).

    Raises Unreadable for whatever is no image, or damaged, or too large.
    """
    with opened(path) as image:
        _load(image, p)
        return shaped(image, p)


def read(path: Path, p: Preprocessing) -> Image.Image:
    """The first half of `decode`: a file's pixels, as it stores them. Raises Unreadable as `decode`."""
    with opened(path) as image:
        _load(image, p)
        return image


def shaped(image: Image.Image, p: Preprocessing) -> Pixels:
    """The second half of `decode`: turned upright, RGB, resized and cropped, uint8 (p.height, p.width, 3)."""
    colours = rgb(upright(image))
    if not p.antialias:
        return _between_nearest(np.asarray(colours), p.height, p.width)
    return np.asarray(colours.resize((p.width, p.height), _FILTERS[p.interpolation], box=crop_box(colours.size, p)))


def _between_nearest(pixels: Pixels, height: int, width: int) -> Pixels:
    """Bilinear between the four nearest pixels, however far apart: `tf.image.resize` without antialiasing."""
    (top, bottom, down), (left, right, across) = (
        _neighbours(*at) for at in zip(pixels.shape[:2], (height, width), strict=True)
    )
    down, across = down[:, None, None], across[None, :, None]
    upper, lower = (
        pixels[row[:, None], left] * (1 - across) + pixels[row[:, None], right] * across for row in (top, bottom)
    )
    return np.rint(upper * (1 - down) + lower * down).astype(np.uint8)


def _neighbours(length: int, size: int) -> tuple[Indices, Indices, Shares]:
    """For each of `size` points on a side of `length` pixels: the pixels before and after it, and how far between."""
    at = ((np.arange(size, dtype=np.float32) + 0.5) * np.float32(length / size) - 0.5).clip(0, length - 1)
    before = np.floor(at).astype(np.intp)
    return before, np.minimum(before + 1, length - 1), (at - before).astype(np.float32)


def _load(image: Image.Image, p: Preprocessing) -> None:
    """Decode an image, a large JPEG at a part of its size."""
    draft(image, p.jpeg_draft * max(p.resize_height, p.resize_width))


def crop_box(size: tuple[int, int], p: Preprocessing) -> tuple[float, float, float, float]:
    """Where the centre crop of the resized image lies in an image of (width, height): left, top, right, bottom.

    Resizing this box alone gives the pixels that resizing the whole image and cropping gives, in less time.
    """
    width, height = size
    if height * p.resize_width <= width * p.resize_height:
        resized = max(p.resize_width, width * p.resize_height // height), p.resize_height
    else:
        resized = p.resize_width, max(p.resize_height, height * p.resize_width // width)
    left, top = (resized[0] - p.width) // 2, (resized[1] - p.height) // 2
    x, y = width / resized[0], height / resized[1]
    return left * x, top * y, (left + p.width) * x, (top + p.height) * y
