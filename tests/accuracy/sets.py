"""Images and tiny classifiers for test_accuracy*.py, made here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.random import Generator
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from bench.accuracy import images
from bench.accuracy.images import ImageSet

FLOAT, UINT8, FLOAT16 = TensorProto.FLOAT, TensorProto.UINT8, TensorProto.FLOAT16
INT32 = TensorProto.INT32
Array = np.ndarray[Any, np.dtype[np.float32]]


def photo(rng: Generator, size: tuple[int, int] = (60, 45)) -> Image.Image:
    """Blotches of colour with some noise, (width, height)."""
    coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC)
    noisy = np.asarray(coarse).astype(int) + rng.normal(0, 6, (size[1], size[0], 3))
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def photos(folder: Path, words: Sequence[str], each: int = 2, size: tuple[int, int] = (60, 45), seed: int = 0) -> Path:
    """One folder a class with so many JPEGs in it."""
    rng = np.random.default_rng(seed)
    for word in words:
        (folder / word).mkdir(parents=True, exist_ok=True)
        for number in range(each):
            photo(rng, size).save(folder / word / f"{number:03}.jpg", quality=90)
    return folder


def classifier(
    path: Path,
    outputs: int = 10,
    *,
    layout: str = "NHWC",
    kind: int = FLOAT,
    batch: int | str = "batch",
    size: int | str = 32,
    softmax: bool = True,
    offset: float = 0.0,
    filters: int = 8,
    layers: int = 1,
) -> Path:
    """A small convolutional classifier with random weights, as an ONNX file.

    `offset` is added to the first kernel's bias; larger `filters` and more `layers` take longer.
    """
    rng = np.random.default_rng(7)
    weights: dict[str, Any] = {
        "k0": rng.normal(0, 0.3, (filters, 3, 3, 3)),
        "b0": rng.normal(0, 0.3, filters) + offset,
        "w": rng.normal(0, 1, (filters, outputs)),
        "b": rng.normal(0, 0.1, outputs),
    }
    x = "image"
    nodes = []
    if kind != FLOAT:
        nodes.append(helper.make_node("Cast", [x], ["as_float"], to=FLOAT))
        x = "as_float"
    if layout == "NHWC":
        nodes.append(helper.make_node("Transpose", [x], ["nchw"], perm=[0, 3, 1, 2]))
        x = "nchw"
    for i in range(layers):
        if i:
            weights |= {f"k{i}": rng.normal(0, 0.05, (filters, filters, 3, 3)), f"b{i}": np.zeros(filters)}
        stride = 1 if i else 2
        nodes += [
            helper.make_node("Conv", [x, f"k{i}", f"b{i}"], [f"c{i}"], strides=[stride] * 2, pads=[1] * 4),
            helper.make_node("Relu", [f"c{i}"], [f"r{i}"]),
        ]
        x = f"r{i}"
    nodes += [
        helper.make_node("GlobalAveragePool", [x], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w", "b"], ["logits"]),
    ]
    if softmax:
        nodes.append(helper.make_node("Softmax", ["logits"], ["scores"], axis=1))
    side = ("height", "width") if isinstance(size, str) else (size, size)
    shape = [batch, 3, *side] if layout == "NCHW" else [batch, *side, 3]
    graph = helper.make_graph(
        nodes,
        "classifier",
        [helper.make_tensor_value_info("image", kind, shape)],
        [helper.make_tensor_value_info("scores" if softmax else "logits", FLOAT, [batch, outputs])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


def synsets(count: int = 1000) -> list[str]:
    """Made-up synsets in ImageNet's form, sorted."""
    return [f"n{1_440_000 + 7 * number:08}" for number in range(count)]


def class_index(keras_home: Path) -> None:
    """Place a made-up class list in the form of ImageNet's; two classes share a name, as two cranes do there."""
    names = [f"thing_{number}" for number in range(1000)]
    names[517] = names[134] = "crane"
    (keras_home / "models").mkdir(parents=True)
    table = {str(number): [synset, names[number]] for number, synset in enumerate(synsets())}
    (keras_home / "models" / "imagenet_class_index.json").write_text(json.dumps(table))


def image_set(folder: Path, outputs: int, *, labels: Path | None = None, classes: Path | None = None,
              order: str | None = None) -> ImageSet:  # fmt: skip
    """The images of a folder for a model with so many outputs."""
    listed = images.listing(folder, labels=labels, listed=classes is not None)
    return images.image_set(listed, outputs, given=classes, order=order)


def _palette(count: int) -> Array:
    """Colours (count, 3) from 0 to 1 that are far from each other."""
    import colorsys

    return np.array([colorsys.hsv_to_rgb(k / count, 1, 0.6 + 0.4 * (k % 2)) for k in range(count)], np.float32)


def colours(folder: Path, words: Sequence[str], each: int = 3, size: tuple[int, int] = (24, 24)) -> Path:
    """One folder a class, in this order, each with images of the class's own colour."""
    for word, colour in zip(words, _palette(len(words)), strict=True):
        (folder / word).mkdir(parents=True, exist_ok=True)
        for number in range(each):
            Image.new("RGB", size, tuple(int(255 * c) for c in colour)).save(folder / word / f"{number}.png")
    return folder


def reader(
    path: Path, outputs: int, *, size: int = 16, batch: int | str | None = "batch", kind: int = FLOAT,
    embedding: int = 0, single: str | None = None, scaled_inside: bool = False,
) -> Path:  # fmt: skip
    """A model, NHWC 0 to 1, that knows the colours of `colours` without a mistake, in the order of its words.

    `batch`: None for an input of one image, without an axis for the batch. `embedding`: the width of an output before
    the logits. `single`: "sigmoid" or "logit" of the second of two classes, as the only output or after the embedding.
    """
    palette = _palette(outputs)
    weights: dict[str, Any] = {
        "w": 200 * palette.T, "b": -100 * (palette**2).sum(1), "axes": np.array([1, 2]), "first": np.array([0]),
        "e": np.random.default_rng(3).normal(size=(3, max(embedding, 1))).astype(np.float32), "255": np.float32([255]),
        "one": np.array([1]), "two": np.array([2]),
    }  # fmt: skip
    x, nodes = "image", []

    def node(operator: str, *inputs: str, **attributes: Any) -> str:
        out = f"n{len(nodes)}"
        nodes.append(helper.make_node(operator, inputs, [out], **attributes))
        return out

    if kind != FLOAT:
        x = node("Cast", x, to=FLOAT)
    if scaled_inside:
        x = node("Div", x, "255")
    if batch is None:
        x = node("Unsqueeze", x, "first")
    colour = node("ReduceMean", x, "axes", keepdims=0)
    logits = node("Gemm", colour, "w", "b")
    if single:
        logits = node("Sub", node("Slice", logits, "one", "two", "one"), node("Slice", logits, "first", "one", "one"))
        logits = node("Sigmoid", logits) if single == "sigmoid" else logits
    said = {"embedding": (node("MatMul", colour, "e"), embedding)} if embedding else {}
    said["scores"] = (logits, 1 if single else outputs)
    for name, (value, _) in said.items():
        nodes.append(helper.make_node("Identity", [value], [name]))
    graph = helper.make_graph(
        nodes,
        "reader",
        [helper.make_tensor_value_info("image", kind, [*([batch] if batch else []), size, size, 3])],
        [helper.make_tensor_value_info(name, FLOAT, [batch or 1, width]) for name, (_, width) in said.items()],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), path)
    return path
