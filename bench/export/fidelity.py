"""Does an ONNX file compute what Keras computes? An artifact that does not is never timed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

from bench.records import Fidelity

TOLERANCE = 2e-5
"""Largest difference that passes, relative to the largest absolute logit: ten times what rounding was seen to give on
most backbones, and a small part of what one wrong weight does."""
ROUNDED, MOST_ROUNDED = 3.0, 2e-4
"""A file may be so many times as far from exact values as Keras in float32 is, but no farther than that. Features of
InceptionV3 with random weights were 2.3e-05 (Keras) and 1.5e-05 (ONNX Runtime) of their size from those in float64."""

_PRODUCTS = ("Conv", "Gemm", "MatMul")
_ACTIVATION_NODES = 4  # of which an activation is spelt out, at most
_SUM_CLOSE = 1e-4
_LEAST_LOG_PROBABILITY = -80.0  # below, float32 probabilities lose their digits

Array = np.ndarray[Any, np.dtype[np.float32]]


def check(path: Path, images: Array, expected: Array, *, options: onnxruntime.SessionOptions | None = None) -> Fidelity:
    """Run the file on images (n, ...) and compare with Keras's outputs (n, ...).

    Probabilities of several classes are compared as their logarithms: the logits up to one constant an image, which is
    all that a softmax lets through. The class that the file gives an image agrees when Keras gives it the largest
    score, or one that rounding cannot tell from the largest.
    """
    return compared(run(path, images, options=options), expected, TOLERANCE)


def compared(got: Array, expected: Array, tolerance: float) -> Fidelity:
    """Outputs (n, ...) against those of Keras, as `check` compares them."""
    if got.shape != expected.shape:
        return Fidelity(
            max_abs=float("inf"), max_rel=float("inf"), top1_agreement=0.0, inputs=len(expected), passed=False
        )
    wanted, answers = expected.astype(np.float64), got.astype(np.float64)
    if are_probabilities(expected):
        with np.errstate(divide="ignore", invalid="ignore"):
            wanted, answers = np.log(wanted).clip(_LEAST_LOG_PROBABILITY), np.log(answers)
        answers = np.where(wanted > _LEAST_LOG_PROBABILITY, answers, wanted)
    difference = np.abs(answers - wanted)
    max_abs = float(difference.max()) if np.isfinite(difference).all() else float("inf")
    size = max(float(np.abs(wanted).max()), 1e-30)
    max_rel = max_abs / size
    scores, classes = wanted.reshape(len(expected), -1), answers.reshape(len(expected), -1).argmax(1)
    short = scores.max(1) - scores[np.arange(len(expected)), classes]
    agreement = float(np.mean(short <= 2 * tolerance * size))
    return Fidelity(
        max_abs=max_abs,
        max_rel=max_rel,
        top1_agreement=agreement,
        inputs=len(expected),
        passed=max_rel <= tolerance,
    )


def settled(
    path: Path, images: Array, expected: Array, exact: Any, *, options: onnxruntime.SessionOptions | None = None
) -> Fidelity:
    """The file's outputs against Keras's in float64 (n, ...), with room for what rounding does to Keras's own."""
    own = compared(expected, exact, TOLERANCE).max_rel
    return compared(run(path, images, options=options), exact, min(max(TOLERANCE, ROUNDED * own), MOST_ROUNDED))


def are_probabilities(outputs: Array) -> bool:
    """Whether outputs (n, ..., classes) are what a softmax makes: none negative, and those of an example sum to 1."""
    if outputs.ndim < 2 or outputs.shape[-1] < 2 or not np.isfinite(outputs).all():
        return False
    return bool((outputs >= 0).all() and np.abs(outputs.sum(axis=-1, dtype=np.float64) - 1).max() < _SUM_CLOSE)


def run(
    path: Path,
    images: Array,
    *,
    extra_outputs: list[str] | None = None,
    options: onnxruntime.SessionOptions | None = None,
) -> Any:
    """The file's output for the images; with extra outputs, a dictionary of them all by name."""
    options = options or onnxruntime.SessionOptions()
    options.log_severity_level = 3
    source: str | bytes = str(path)
    if extra_outputs:
        model = onnx.load(path)
        model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in extra_outputs)
        source = model.SerializeToString()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    if not extra_outputs:  # in pairs, so that large images fit
        return np.concatenate([session.run(None, {name: images[i : i + 2]})[0] for i in range(0, len(images), 2)])
    results = session.run(None, {name: images})
    return dict(zip([output.name for output in session.get_outputs()], results, strict=True))


def first_difference(path: Path, images: Array, layers: dict[str, Array]) -> str | None:
    """The first convolution or matrix product whose result no Keras layer has, by the name that Keras gave its layer.

    `layers` holds the outputs of the Keras layers for the same images, by name, in order. Batch norm may be folded into
    a node and an activation into a layer, so that a node's result, or what its activation makes of it, may be the
    output of any layer of its shape.
    """
    graph = onnx.load(path, load_external_data=False).graph
    inner = {name for node in graph.node for name in node.output} - {output.name for output in graph.output}
    results = run(path, images, extra_outputs=sorted(inner))
    consumers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            consumers.setdefault(name, []).append(node)
    inside: str | None = None  # a part of a layer of several products, which Keras shows only as a whole
    for node in graph.node:
        if node.op_type not in _PRODUCTS:
            continue
        if any(_known(np.asarray(results[name]), layers) for name in _until_next_product(node.output[0], consumers)):
            inside = None
        elif any(user.op_type in _PRODUCTS for user in consumers.get(node.output[0], [])):
            inside = inside or node.name
        else:
            where = inside or node.name
            named = [name for name in layers if name in where]
            return max(named, key=lambda name: (-where.index(name), len(name))) if named else where
    return None


def _until_next_product(name: str, consumers: dict[str, list[onnx.NodeProto]]) -> list[str]:
    """A tensor and what the next few nodes make of it, short of another convolution or matrix product."""
    names = [name]
    step = [name]
    for _ in range(_ACTIVATION_NODES):
        step = [
            output
            for tensor in step
            for node in consumers.get(tensor, [])
            if node.op_type not in _PRODUCTS
            for output in node.output
        ]
        names += step
    return names


def _known(result: Array, layers: dict[str, Array]) -> bool:
    if result.ndim == 4:
        result = result.transpose(0, 2, 3, 1)
    return any(
        _close(result.reshape(value.shape), value)
        for value in layers.values()
        if value.size == result.size and result.ndim and value.shape[-1] == result.shape[-1]
    )


def _close(a: Array, b: Array) -> bool:
    return bool(np.abs(a - b).max() <= 1e-3 * max(float(np.abs(b).max()), 1e-30))
