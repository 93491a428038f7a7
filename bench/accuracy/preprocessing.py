"""From an image's pixels to a model's input: which part of it, at which size, scaled how."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.errors import WrongUsage

CROP = 0.875
"""The share of the resized image's shorter side that the centre crop keeps: 256 -> 224, as in the ImageNet papers."""

DRAFT = 2
"""JPEGs are decoded at 1/2, 1/4 or 1/8 of their size while that leaves them so many times larger than the resized
image."""

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Preprocessing:
    """Everything between an image file and the model's input; stored with every result.

    The image is turned as its EXIF orientation says and taken as RGB (transparency is dropped, 16 bits become 8, colour
    profiles are ignored), resized until both sides cover `resize`, and cropped to the centre. Bicubic and bilinear as
    Pillow does them: with antialiasing.
    """

    preprocess: str  # a key of FORMULAS
    formula: str
    height: int  # of the model's input, in pixels
    width: int
    resize_height: int  # of the resized image, at least; one of the two exactly
    resize_width: int
    interpolation: str
    antialias: bool = True
    jpeg_draft: int = DRAFT
    layout: str  # "NHWC" or "NCHW"
    dtype: str  # of the model's input, e.g. "float32"
    decoder: str  # e.g. "Pillow 13.0.0"

    def __str__(self) -> str:
        """One line for people."""
        return (
            f"resized to cover {self.resize_width}x{self.resize_height} ({self.interpolation}, antialiased), "
            f"centre {self.width}x{self.height}, {self.formula}, {self.layout} {self.dtype}"
        )


def _caffe(pixels: Pixels) -> Array:
    return pixels[..., ::-1] - np.array([103.939, 116.779, 123.68], np.float32)


def _tf(pixels: Pixels) -> Array:
    return pixels / np.float32(127.5) - np.float32(1)


def _torch(pixels: Pixels) -> Array:
    scaled = pixels / np.float32(255) - np.array([0.485, 0.456, 0.406], np.float32)
    return scaled / np.array([0.229, 0.224, 0.225], np.float32)


def _unit(pixels: Pixels) -> Array:
    return pixels / np.float32(255)


def _as_they_are(pixels: Pixels) -> Array:
    return pixels


FORMULAS: dict[str, tuple[str, Callable[[Pixels], Array]]] = {
    "caffe": ("BGR - (103.939, 116.779, 123.68)", _caffe),
    "tf": ("RGB / 127.5 - 1", _tf),
    "torch": ("(RGB / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)", _torch),
    "unit": ("RGB / 255", _unit),
    "included": ("RGB 0 to 255, scaled inside the model", _as_they_are),
    "none": ("RGB 0 to 255", _as_they_are),
}


def preprocessing(
    preprocess: str | None, *, height: int, width: int, layout: str, dtype: str, decoder: str,
    crop: float = CROP, interpolation: str = "bicubic",
) -> Preprocessing:  # fmt: skip
    """The preprocessing of a model whose input is `height` x `width` pixels.

    Raises WrongUsage when nothing says how the pixels are scaled, or when a model takes them as uint8 and cannot get
    them scaled.
    """
    raw = ("none", "included")
    if preprocess is None and dtype == "uint8":
        preprocess = "none"
    if preprocess is None:
        raise WrongUsage(f"how this model wants its pixels is not known; give --preprocess, one of {_names()}")
    if dtype == "uint8" and preprocess not in raw:
        raise WrongUsage(f'the model takes pixels as uint8, unscaled; preprocess "{preprocess}" cannot be; use "none"')
    return Preprocessing(
        preprocess=preprocess,
        formula=FORMULAS[preprocess][0],
        height=height,
        width=width,
        resize_height=round(height / crop),
        resize_width=round(width / crop),
        interpolation=interpolation,
        layout=layout,
        dtype=dtype,
        decoder=decoder,
    )


def batch_array(size: int, p: Preprocessing) -> Array:
    """An empty batch of `size` images in the model's layout and type."""
    shape = (3, p.height, p.width) if p.layout == "NCHW" else (p.height, p.width, 3)
    return np.zeros((size, *shape), dtype=p.dtype)


def write(pixels: Pixels, row: Array, p: Preprocessing) -> None:
    """Scale RGB pixels (height, width, 3) into one row of a batch."""
    scaled = FORMULAS[p.preprocess][1](pixels)
    row[...] = scaled.transpose(2, 0, 1) if p.layout == "NCHW" else scaled


def _names() -> str:
    return ", ".join(FORMULAS)
