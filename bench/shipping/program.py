"""`predict.py`: a program that needs a runtime, NumPy and Pillow alone, and says what the harness says.

It prepares an image step by step as `bench.models.decoding` and `bench.models.preprocessing` do.
"""

from __future__ import annotations

from collections.abc import Sequence
from string import Template

from bench.accuracy.signature import LOGIT, PROBABILITY, Signature
from bench.data.pictures import MAX_PIXELS
from bench.models.preprocessing import FORMULAS, Preprocessing
from bench.runtimes import Runtime

_PROGRAM = '''\
"""$about

`python predict.py IMAGE...` prints them; `predict(path)` returns a value for each label. Needs what requirements.txt
names: a runtime, NumPy and Pillow.
"""

import sys
from pathlib import Path

import numpy as np
$imports
from PIL import Image, ImageOps

HERE = Path(__file__).resolve().parent
LABELS = (HERE / "labels.txt").read_text(encoding="utf-8").strip("\\n").split("\\n")
Image.MAX_IMAGE_PIXELS = $pixels
$runtime

def prepared(path):
    """What the model sees of an image: $says."""
    image = Image.open(path)
$draft    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):  # 16 bits
        image = Image.fromarray(((np.asarray(image, np.int64).clip(0, 65535) * 255 + 32767) // 65535).astype(np.uint8))
$resize
    return $layout.astype(np.$dtype)


def predict(path):
    """$returns"""
    scores = run($batch)$first.astype(float)
$scores


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="replace")
    for path in sys.argv[1:]:
        values = predict(path)
        $order
        print(f"{path}: " + ", ".join(f"{LABELS[i]} {values[i]:.6f}" for i in order))
'''

_DRAFT = """\
    if min(image.size) >= {twice}:  # a large JPEG is decoded at a part of its size
        image.draft(None, tuple(side * {least} // min(image.size) for side in image.size))
"""

_COVER = """\
    image = image.convert("RGB")
    width, height = max({rw}, image.width * {rh} // image.height), max({rh}, image.height * {rw} // image.width)
    x, y, left, top = image.width / width, image.height / height, (width - {w}) // 2, (height - {h}) // 2
    box = (left * x, top * y, (left + {w}) * x, (top + {h}) * y)
    pixels = np.asarray(image.resize(({w}, {h}), Image.Resampling.{filter}, box=box))"""

_STRETCH = """\
    pixels = np.asarray(image.convert("RGB"))
    for axis, size in (1, {w}), (0, {h}):  # bilinear between the nearest pixels
        at = (np.arange(size, dtype=np.float32) + 0.5) * np.float32(pixels.shape[axis] / size) - 0.5
        at = at.clip(0, pixels.shape[axis] - 1)
        low = at.astype(np.intp)
        far = (at - low).reshape([-1, 1, 1] if axis == 0 else [-1, 1]).astype(np.float32)
        high = np.minimum(low + 1, pixels.shape[axis] - 1)
        pixels = pixels.take(low, axis) * (1 - far) + pixels.take(high, axis) * far
    pixels = np.rint(pixels).astype(np.uint8)"""


def predict_py(
    runtime: Runtime,
    takes: Signature,
    p: Preprocessing,
    *,
    place: int,
    threads: int,
    provider: str,
    probabilities: bool,
    rows: bool = False,
) -> str:
    """The text of `predict.py` beside `model.onnx` or `model.tflite` and `labels.txt`.

    Args:
        runtime: that was timed.
        takes: what the model takes and gives.
        p: how an image becomes its input.
        place: the output with the class scores, from 0.
        threads: of the runtime.
        provider: what the runtime calls the device.
        probabilities: whether the model's outputs are probabilities already.
        rows: whether the output is a row of values that are no class scores, as a localiser's, left as they are.
    """
    shape = [3, p.height, p.width] if p.layout == "NCHW" else [p.height, p.width, 3]
    batch = takes.batch_size or 1
    imports, _, runs = _runtime(
        runtime, [batch, *shape] if takes.batched else shape, place, threads, provider
    ).partition("\n")
    return Template(_PROGRAM).substitute(
        about="What a localiser sees in images." if rows else "The classes of images.",
        pixels=MAX_PIXELS,
        imports=imports,
        runtime=runs,
        says=f"{p}".partition(f", {p.layout}")[0],
        draft=_draft(p),
        resize=(_STRETCH if p.resize == "stretch" else _COVER).format(
            rw=p.resize_width, rh=p.resize_height, w=p.width, h=p.height, filter=p.interpolation.upper()
        ),
        layout=f"({_scaled(p)}).transpose(2, 0, 1)" if p.layout == "NCHW" else f"({_scaled(p)})",
        dtype=p.dtype,
        returns="The row of the model's output." if rows else "The probability of each label.",
        batch=_batch(batch, batched=takes.batched),
        first=".reshape(-1)" if batch == 1 else f".reshape({batch}, -1)[0]",
        scores=_scores(takes.single, probabilities=probabilities or rows),
        order="order = range(len(values))" if rows else 'order = np.argsort(-values, kind="stable")[:5]',
    )


def requirements(distribution: str, versions: Sequence[tuple[str, str]]) -> str:
    """The text of `requirements.txt`: "onnxruntime 1.32.0" and others, pinned."""
    name, _, version = distribution.partition(" ")
    return "".join(f"{package}=={number}\n" for package, number in [(name, version), *versions])


def _runtime(runtime: Runtime, shape: list[int], place: int, threads: int, provider: str) -> str:
    return Template(runtime.SHIPPED).substitute(
        threads=threads, provider=repr(provider), place=place, shape=shape,
        options=repr(dict(getattr(runtime, "OPTIONS", {}).get(provider, {}))),
    )  # fmt: skip


def _draft(p: Preprocessing) -> str:
    least = p.jpeg_draft * max(p.resize_height, p.resize_width)
    return _DRAFT.format(twice=2 * least, least=least) if least else ""


def _scaled(p: Preprocessing) -> str:
    """The formula as NumPy, each step in float32."""
    formula = FORMULAS[p.preprocess]
    text = "pixels[..., ::-1]" if formula.bgr else "pixels"
    if formula.divisor != 1:
        text = f"{text} / np.float32({formula.divisor})"
    if formula.mean:
        text = f"{text} - {_constants(formula.mean)}"
    if formula.deviation:
        text = f"({text}) / {_constants(formula.deviation)}"
    return text


def _constants(values: tuple[float, ...]) -> str:
    """Of three channels; one number where they are equal."""
    if len(set(values)) == 1:
        return f"np.float32({values[0]})"
    return f"np.array([{', '.join(map(repr, values))}], np.float32)"


def _batch(size: int, *, batched: bool) -> str:
    if not batched:
        return "prepared(path)"
    return "prepared(path)[None]" if size == 1 else f"np.repeat(prepared(path)[None], {size}, axis=0)"


def _scores(single: str | None, *, probabilities: bool) -> str:
    """The end of `predict`: probabilities of all classes from the scores of one image."""
    if single == PROBABILITY:
        return "    return np.concatenate([1 - scores, scores])"
    if probabilities:
        return "    return scores"
    both = ["    scores = np.concatenate([np.zeros(1), scores])  # one number an image"] if single == LOGIT else []
    return "\n".join([*both, "    scores = np.exp(scores - scores.max())", "    return scores / scores.sum()"])
