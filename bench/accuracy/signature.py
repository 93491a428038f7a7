"""What a classifier's file takes and gives: the layout of its input, and which of its outputs are the class scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from bench.errors import WrongUsage
from bench.models.preprocessing import Array

DTYPES = ("float32", "float16", "float64", "uint8", "int32", "int64")

PROBABILITY, LOGIT = "probability", "logit"


@dataclass(frozen=True, kw_only=True, slots=True)
class Signature:
    """What the file takes and gives."""

    layout: str
    batched: bool  # whether the input has an axis for the batch; one image at a time is given without
    height: int
    width: int
    dtype: str
    batch_size: int | None  # None: any
    outputs: int  # classes
    output: str  # the output's name
    other_outputs: tuple[str, ...]  # those that might be class scores too, with their width: "embedding (64)"
    single: str | None  # PROBABILITY or LOGIT of the second class, where the output is one number an image
    provider: str
    decoder: str
    place: int = 0  # of the output among the model's


def layouts(shape: Sequence[int | None]) -> list[tuple[str, tuple[int | None, int | None]]]:
    """The layouts that an input's shape allows, with or without a batch, the likeliest first: its height and width.

    >>> layouts([None, 3, 224, 224]), layouts([8, 6, 3])
    ([('NCHW', (224, 224))], [('NHWC', (8, 6))])
    """
    if len(shape) == 3:
        shape = [1, *shape]
    if len(shape) != 4:
        return []
    for channels in (3, None):
        matching = [
            (layout, sizes)
            for layout, axis, sizes in (("NHWC", 3, (shape[1], shape[2])), ("NCHW", 1, (shape[2], shape[3])))
            if shape[axis] == channels
        ]
        if matching:
            return matching[:1] if channels else matching
    return []


def pooled(raw: Array, images: int) -> Array:
    """What a backbone puts out for so many images, as rows of features: feature maps averaged over the image.

    As Keras's GlobalAveragePooling2D with channels last. Raises WrongUsage for an output of another kind.
    """
    if raw.shape[0] != images or raw.ndim not in (2, 4):
        raise WrongUsage(f"a backbone that puts out {list(raw.shape)} has no features of images; it must be "
                         "[n, height, width, channels]")  # fmt: skip
    return raw.mean(axis=(1, 2), dtype=np.float32) if raw.ndim == 4 else raw


def scores_of(
    name: str, outputs: Sequence[str], results: Sequence[Any], batch: int, *, asked: str | None, widths: Sequence[int]
) -> tuple[int, int]:
    """The place of the output with the class scores, and how many each image gets; 1 for two classes told apart by one.

    Args:
        name: the file's, for messages.
        outputs: their names.
        results: what they were for so many images.
        batch: that number.
        asked: the output to take; None: the one that can be it.
        widths: how many classes there may be, where several outputs can be it; nothing: any.

    Raises WrongUsage when there is none, or several, or not the one that was asked for.
    """
    each = {output: _width(result, batch) for output, result in zip(outputs, results, strict=True)}
    shapes = ", ".join(
        f"{output} {getattr(result, 'shape', type(result).__name__)}"
        for output, result in zip(outputs, results, strict=True)
    )
    if asked is not None and asked not in each:
        raise WrongUsage(f'{name} has no output "{asked}"; it has {shapes}; the result\'s file is named with -o')
    scores = {output: width for output, width in each.items() if width and asked in (None, output)}
    if not scores:
        what = f"{asked} of {name} is" if asked else f"{name} gives {shapes}, and"
        raise WrongUsage(f"{what} no list of class scores; is it a classifier, with its head?")
    fitting = {output: width for output, width in scores.items() if max(width, 2) in widths}
    if len(scores) > 1 and len(fitting) != 1:
        listed = ", ".join(f"{output} ({width})" for output, width in scores.items())
        raise WrongUsage(f"{name} gives {listed}: which are the class scores is not clear; give --output NAME")
    ((output, width),) = (fitting if len(scores) > 1 else scores).items()
    if width == 1 and widths and 2 not in widths:
        raise WrongUsage(
            f"{name} gives one number an image, which tells two classes apart, and there are {widths[0]}; "
            "give --output NAME if another output holds the scores"
        )
    return list(outputs).index(output), width


def others(outputs: Sequence[str], results: Sequence[Any], batch: int, chosen: int) -> tuple[str, ...]:
    """The other outputs that might be class scores, with their widths."""
    widths = [_width(result, batch) for result in results]
    return tuple(f"{outputs[i]} ({width})" for i, width in enumerate(widths) if width and i != chosen)


def _width(result: Any, batch: int) -> int:
    """How many numbers an output has for each image, when these are a list; else 0.

    >>> [_width(np.zeros(shape), 2) for shape in ((2, 9), (2, 9, 1, 1), (2, 1, 1, 9), (2, 1), (2,), (2, 4, 4), (3, 9))]
    [9, 9, 9, 1, 1, 0, 0]
    >>> _width(np.zeros(9), 1), _width(np.zeros(2, int), 2), _width([{0: 0.5}], 1)
    (9, 0, 0)
    """
    shape: tuple[int, ...] = getattr(result, "shape", ())
    floating = isinstance(result, np.ndarray) and result.dtype.kind == "f"
    if not isinstance(result, np.ndarray) or not shape or prod(shape) == 0 or result.dtype.kind not in "fiu":
        return 0
    if len(shape) == 1:
        return shape[0] // batch if floating and (shape[0] == batch or batch == 1) else 0
    if shape[0] != batch or prod(shape[1:]) != max(shape[1:]):
        return 0
    return prod(shape[1:]) if floating or prod(shape[1:]) > 1 else 0


def noise(shape: Sequence[int], dtype: str, scale: float, seed: int) -> Array:
    """Random inputs, to see what range outputs have."""
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind in "iu":
        return rng.integers(0, 256, shape).astype(dtype)
    return (scale * rng.normal(size=shape)).astype(dtype)


def kind_of_single(values: Sequence[Array]) -> str:
    """Whether single numbers are probabilities: they stay from 0 to 1, whatever comes in."""
    finite = np.concatenate([np.ravel(each).astype(np.float64) for each in values])
    finite = finite[np.isfinite(finite)]
    return PROBABILITY if ((finite >= 0) & (finite <= 1)).all() else LOGIT


def class_scores(raw: Array, images: int, single: str | None) -> Array:
    """Scores (images, classes) from an output; of one number an image, those of the first and the second class."""
    values = raw.reshape(images, -1)
    if single is None:
        return values
    return np.concatenate([1 - values if single == PROBABILITY else np.zeros_like(values), values], axis=1)
