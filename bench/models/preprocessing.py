"""From an image's pixels to a model's input: which part of it, at which size, scaled how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.errors import WrongUsage

CROP = 0.875
"""The share of the resized image's shorter side that the centre crop keeps: 256 -> 224, as in the ImageNet papers."""

DRAFT = 2
"""JPEGs are decoded at 1/2, 1/4 or 1/8 of their size while that leaves them so many times larger than the resized
image."""

RESIZE = "cover"
"""Until both sides cover the input, and the centre cut out; "stretch" takes the whole image, out of shape.

Stretched as Keras's `image_dataset_from_directory` loads images unless it is told otherwise: from the nearest pixels,
without antialiasing.
"""

INTERPOLATION = "bilinear"
"""As torchvision evaluates; bicubic, with which EfficientNet and ConvNeXt were trained, takes half as long again."""

WHOLE = ("uint8", "int32", "int64")
"""Types of inputs that take pixels as they are."""

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Preprocessing:
    """Everything between an image file and the model's input; stored with every result.

    The image is turned as its EXIF orientation says and taken as RGB (transparency is dropped, 16 bits become 8, colour
    profiles are ignored), resized until both sides cover the resized size, and cropped to the centre; or stretched
    to the input's size. Bicubic and bilinear as Pillow does them: with antialiasing, unless stretched.
    """

    preprocess: str  # a key of FORMULAS
    formula: str
    height: int  # of the model's input, in pixels
    width: int
    resize: str = RESIZE  # or "stretch"
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
        if self.resize == "stretch":
            return (
                f"stretched to {self.width}x{self.height} ({self.interpolation}, not antialiased, as Keras loads "
                f"images), {self.formula}, {self.layout} {self.dtype}"
            )
        return (
            f"resized to cover {self.resize_width}x{self.resize_height} ({self.interpolation}, antialiased), "
            f"centre {self.width}x{self.height}, {self.formula}, {self.layout} {self.dtype}"
        )


@dataclass(frozen=True, slots=True)
class Formula:
    """How a pixel from 0 to 255 becomes a number: (pixel / divisor - mean) / deviation, each step rounded to float32.

    As `keras.applications.imagenet_utils.preprocess_input` does it, for the names that it knows.
    """

    says: str
    bgr: bool = False
    divisor: float = 1.0
    mean: tuple[float, ...] = ()  # of each channel
    deviation: tuple[float, ...] = ()


FORMULAS = {
    "caffe": Formula("BGR - (103.939, 116.779, 123.68)", bgr=True, mean=(103.939, 116.779, 123.68)),
    "tf": Formula("RGB / 127.5 - 1", divisor=127.5, mean=(1.0, 1.0, 1.0)),
    "torch": Formula(
        "(RGB / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)",
        divisor=255.0, mean=(0.485, 0.456, 0.406), deviation=(0.229, 0.224, 0.225),
    ),
    "unit": Formula("RGB / 255", divisor=255.0),
    "included": Formula("RGB 0 to 255, scaled inside the model"),
    "none": Formula("RGB 0 to 255"),
}  # fmt: skip


def preprocessing(
    preprocess: str | None, *, height: int, width: int, layout: str, dtype: str, decoder: str,
    crop: float | None = None, resize: str = RESIZE, interpolation: str = INTERPOLATION,
) -> Preprocessing:  # fmt: skip
    """The preprocessing of a model whose input is `height` x `width` pixels.

    `crop`: CROP unless given; stretched images have none.

    Raises WrongUsage when nothing says how the pixels are scaled, when a model takes them as uint8 and cannot get them
    scaled, or for a crop of stretched images.
    """
    stretched = resize == "stretch"
    if stretched and crop not in (None, 1):
        raise WrongUsage(f"stretched images are whole, and none of them is cropped to {crop}; leave the crop out")
    if stretched and interpolation != INTERPOLATION:
        raise WrongUsage(f"stretched images are {INTERPOLATION}, as Keras loads them; leave the interpolation out")
    share = 1.0 if stretched else crop or CROP
    raw = ("none", "included")
    if preprocess is None and dtype in WHOLE:
        preprocess = "none"
    if preprocess is None:
        raise WrongUsage(f"how this model wants its pixels is not known; give --preprocess, one of {_names()}")
    if dtype in WHOLE and preprocess not in raw:
        raise WrongUsage(
            f'the model takes pixels as {dtype}, unscaled; preprocess "{preprocess}" cannot be; use "none"'
        )
    return Preprocessing(
        preprocess=preprocess,
        formula=FORMULAS[preprocess].says,
        height=height,
        width=width,
        resize=resize,
        resize_height=round(height / share),
        resize_width=round(width / share),
        interpolation=interpolation,
        antialias=not stretched,
        jpeg_draft=0 if stretched else DRAFT,
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
    formula = FORMULAS[p.preprocess]
    in_place = row.dtype == np.float32 and p.layout == "NHWC"
    scaled = row if in_place else np.empty(pixels.shape, np.uint8 if row.dtype == np.uint8 else np.float32)
    ordered = pixels[..., ::-1] if formula.bgr else pixels
    if formula.divisor == 1:
        scaled[...] = ordered
    else:
        np.divide(ordered, np.float32(formula.divisor), out=scaled)
    lines = scaled.reshape(p.height, 3 * p.width)  # a loop over three channels at a time would take longer
    if formula.mean:
        np.subtract(lines, np.tile(np.array(formula.mean, np.float32), p.width), out=lines)
    if formula.deviation:
        np.divide(lines, np.tile(np.array(formula.deviation, np.float32), p.width), out=lines)
    if not in_place:
        row[...] = scaled.transpose(2, 0, 1) if p.layout == "NCHW" else scaled


def _names() -> str:
    return ", ".join(FORMULAS)
