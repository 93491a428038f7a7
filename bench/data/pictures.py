"""Image files opened with Pillow, upright and as RGB: safe to call from several threads at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np
import PIL
from PIL import Image, ImageOps

from bench.units import readable

MAX_PIXELS = 20_000 * 20_000  # 1.2 GB decoded; a file that claims more is a mistake or an attack
_LARGE_PIXELS = 50_000_000  # from here on, one at a time
_ORIENTATION = 0x0112  # the EXIF tag

Image.MAX_IMAGE_PIXELS = None  # the limit is ours, above
_one_large = threading.Lock()


class Unreadable(Exception):
    """Why an image cannot be used, in a few words."""


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """An image file, its pixels not decoded yet; of large ones, one at a time.

    Raises Unreadable for whatever is no image, or damaged, or too large, whenever that shows.
    """
    with (
        reasons(path),
        Image.open(path) as image,
        _one_large if pixel_count(image) > _LARGE_PIXELS else nullcontext(),
    ):
        yield image


@contextmanager
def reasons(path: Path) -> Iterator[None]:
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


def pixel_count(image: Image.Image) -> int:
    """How many pixels an image has, not decoded yet. Raises Unreadable when they are too many."""
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise Unreadable(f"too large: {width} x {height} pixels")
    return int(width * height)


def draft(image: Image.Image, least: int) -> None:
    """Decode a large JPEG at 1/2, 1/4 or 1/8 of its size, both sides `least` pixels or longer; 0: at its own."""
    shorter = min(image.size)
    if least and shorter >= 2 * least:
        image.draft(None, (image.size[0] * least // shorter, image.size[1] * least // shorter))
    image.load()


def upright(image: Image.Image) -> Image.Image:
    """An image turned as its EXIF data say; damaged ones say nothing, and the pixels are whole."""
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
    except Exception:
        return image
    return image if orientation == 1 else ImageOps.exif_transpose(image)


def rgb(image: Image.Image) -> Image.Image:
    """An image as RGB with 8 bits. Pillow would cut 16 bits off at 255 instead of scaling them."""
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64).clip(0, 65535)
        return Image.fromarray(((values * 255 + 32767) // 65535).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise Unreadable("pixels are floating-point numbers of unknown range")
    return image.convert("RGB")
