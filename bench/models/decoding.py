"""Image files to pixels, with Pillow: safe to call from several threads at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from PIL import Image, ImageOps

from bench.models.preprocessing import Pixels, Preprocessing
from bench.units import readable

DECODER = f"Pillow {PIL.__version__}"
MAX_PIXELS = 20_000 * 20_000  # 1.2 GB decoded; a file that claims more is a mistake or an attack
_LARGE_PIXELS = 50_000_000  # from here on, one at a time
_ORIENTATION = 0x0112  # the EXIF tag
_FILTERS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}

Indices = np.ndarray[Any, np.dtype[np.intp]]
Shares = np.ndarray[Any, np.dtype[np.float32]]

Image.MAX_IMAGE_PIXELS = None  # the limit is ours, above
_one_large = threading.Lock()


class Unreadable(Exception):
    """Why an image cannot be used, in a few words."""


def decode(path: Path, p: Preprocessing) -> Pixels:
    """The part of an image that a model sees: RGB uint8 (p.height, p.width, 3).

    Raises Unreadable for whatever is no image, or damaged, or too large.
    """
    with (
        _reasons(path),
        Image.open(path) as image,
        _one_large if _pixel_count(image) > _LARGE_PIXELS else nullcontext(),
    ):
        _load(image, p)
        return shaped(image, p)


def read(path: Path, p: Preprocessing) -> Image.Image:
    """The first half of `decode`: a file's pixels, as it stores them. Raises Unreadable as `decode`."""
    with _reasons(path), Image.open(path) as image:
        _pixel_count(image)
        _load(image, p)
        return image


def shaped(image: Image.Image, p: Preprocessing) -> Pixels:
    """The second half of `decode`: turned upright, RGB, resized and cropped, uint8 (p.height, p.width, 3)."""
    rgb = _rgb(_upright(image))
    if not p.antialias:
        return _between_nearest(np.asarray(rgb), p.height, p.width)
    return np.asarray(rgb.resize((p.width, p.height), _FILTERS[p.interpolation], box=crop_box(rgb.size, p)))


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


@contextmanager
def _reasons(path: Path) -> Iterator[None]:
    """Whatever goes wrong with a file, as Unreadable. A pipe or device, which may never end, is none."""
    try:
        if path.exists() and not path.is_file():
            raise Unreadable("not a file")
        yield
    except Unreadable:
        raise
    except FileNotFoundError as error:
        raise Unreadable("no such file") from error
    except PIL.UnidentifiedImageError as error:
        raise Unreadable("not an image that Pillow knows" if path.stat().st_size else "an empty file") from error
    except Exception as error:
        # Whatever a decoder raises concerns this file alone.
        text = " ".join(str(error).split()).replace(str(path), path.name)
        raise Unreadable(readable(text[:200]) or type(error).__name__) from error


def _pixel_count(image: Image.Image) -> int:
    """How many pixels an image has, not decoded yet. Raises Unreadable when they are too many."""
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise Unreadable(f"too large: {width} x {height} pixels")
    return int(width * height)


def _load(image: Image.Image, p: Preprocessing) -> None:
    """Decode an image, a large JPEG at a part of its size."""
    shorter = min(image.size)
    least = p.jpeg_draft * max(p.resize_height, p.resize_width)
    if least and shorter >= 2 * least:
        image.draft(None, (image.size[0] * least // shorter, image.size[1] * least // shorter))
    image.load()


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


def _upright(image: Image.Image) -> Image.Image:
    """An image turned as its EXIF data say; damaged ones say nothing, and the pixels are whole."""
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
    except Exception:
        return image
    return image if orientation == 1 else ImageOps.exif_transpose(image)


def _rgb(image: Image.Image) -> Image.Image:
    """An image as RGB with 8 bits. Pillow would cut 16 bits off at 255 instead of scaling them."""
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64).clip(0, 65535)
        return Image.fromarray(((values * 255 + 32767) // 65535).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise Unreadable("pixels are floating-point numbers of unknown range")
    return image.convert("RGB")
