"""Random weights and inputs under which every layer matters.

With Keras's own initial values a check proves little: batch norm is the identity, biases are zero, layer scales are
1e-6, and signals fade until any error drowns in a flat softmax.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bench.cost.keras_graph import functional, in_order
from bench.models.own import has_graph

_INPUT_SCALES: dict[str, tuple[float, float]] = {  # mean and deviation of an image after each preprocessing
    "caffe": (0.0, 60.0),
    "tf": (0.0, 0.5),
    "torch": (0.0, 1.0),
    "included": (128.0, 60.0),
}
_LOGIT_DEVIATION = 2.5
_SMALLEST_VARIANCE = 1e-3
_BLOCK = 1 << 24  # values
_BRANCH_SCALE = 0.3
"""Of the last scale of a residual branch. At 1, a deep ResNet is chaotic: rounding in its first layer grew to 1.4e-4 of
the logits of ResNet152. Trained networks add little per block, too."""

Array = np.ndarray[Any, np.dtype[np.float32]]


def images(count: int, shape: tuple[int, ...], preprocess: str, seed: int, dtype: str = "float32") -> Array:
    """Random inputs (count, *shape), e.g. of shape (height, width, channels): smooth blotches with noise on top.

    White noise alone would average out in global pooling, and all images would look the same to a classifier.
    Integers are pixels from 0 to 255.
    """
    rng = np.random.default_rng(seed)
    whole = np.issubdtype(np.dtype(dtype), np.integer)
    mean, deviation = _INPUT_SCALES.get("included" if whole else preprocess, (0.0, 1.0))
    sides = shape[:-1] if len(shape) > 2 else shape  # all but the channels
    smooth = rng.standard_normal((count, *(8 for _ in sides), *shape[len(sides) :]), dtype=np.float32)
    for axis, size in enumerate(sides, start=1):
        smooth = smooth.take(np.arange(size) * 8 // size, axis)
    noise = rng.standard_normal((count, *shape), dtype=np.float32)
    drawn = mean + deviation * (0.8 * smooth + 0.6 * noise)
    return (drawn.clip(0, 255).round() if whole else drawn).astype(dtype)


@contextmanager
def unfilled() -> Iterator[None]:
    """Give new variables zeros instead of Keras's own random values, which `randomise` would only write over."""
    known = keras.initializers
    kinds = (known.VarianceScaling, known.RandomNormal, known.RandomUniform, known.TruncatedNormal)  # the others' bases
    originals = {kind: kind.__call__ for kind in kinds}

    def zeros(self: Any, shape: tuple[int, ...], dtype: Any = None) -> Any:
        return keras.ops.zeros(shape, dtype)

    for kind in kinds:
        kind.__call__ = zeros
    try:
        yield
    finally:
        for kind, original in originals.items():
            kind.__call__ = original


def randomise(model: keras.Model, calibration: Array, seed: int = 0) -> Array:
    """Give a model random weights, in place, and return its output for the calibration images.

    What a final softmax makes of them comes in double precision. Kernels have the variance of He et al.
    (arXiv:1502.01852), so that signals keep their size, uniform, because drawing normal ones took as long as converting
    a large network; scales away from 1, offsets and biases positive, so that few units are silent and rounding does not
    grow with depth; batch-norm statistics those of the calibration images; logits of a few units, as a trained network
    has.
    """
    rng = np.random.default_rng(seed)
    norms = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]
    branch_ends = {id(layer.gamma) for layer in norms if layer.scale and _ends_a_branch(layer)}
    for variable in model.weights:
        scale = _BRANCH_SCALE if id(variable) in branch_ends else 1.0
        _fill(variable, variable.path.rsplit("/", 1)[-1], scale, rng)
    scored = model.layers if len(model.outputs[0].shape) == 2 else []
    last: Any = next((layer for layer in reversed(scored) if layer.weights), None)

    def settle(layer: Any, inputs: Any) -> None:
        if isinstance(layer, keras.layers.BatchNormalization):
            axes = [axis for axis in range(len(inputs.shape)) if axis != layer.axis % len(inputs.shape)]
            mean, variance = keras.ops.moments(inputs, axes)
            layer.moving_mean.assign(mean)
            layer.moving_variance.assign(keras.ops.maximum(variance, _SMALLEST_VARIANCE))
        elif layer is last:
            kernel = next((v for v in layer.weights if "kernel" in v.path), None)
            deviation = float(np.std(np.asarray(layer(inputs))))
            if kernel is not None and deviation > 0:
                kernel.assign(kernel * (_LOGIT_DEVIATION / deviation))

    with _without_softmax(model) as softmax:
        logits = run(model, calibration, before=settle)
    if not softmax:
        return logits
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True), dtype=np.float64)
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


@contextmanager
def _without_softmax(model: keras.Model) -> Iterator[bool]:
    """Have a model return logits within the block. Whether its last layer has a softmax otherwise."""
    last = model.layers[-1]
    softmax = getattr(last, "activation", None) is keras.activations.softmax
    if softmax:
        last.activation = keras.activations.linear
    try:
        yield softmax
    finally:
        if softmax:
            last.activation = keras.activations.softmax


def run(
    model: keras.Model,
    images: Array,
    before: Callable[[Any, Any], None] = lambda layer, inputs: None,
    after: Callable[[str, Any], None] = lambda name, output: None,
) -> Array:
    """A model's output for the images in inference, layer by layer.

    `before(layer, inputs)` is called before each layer at every depth, `after(name, output)` after it.

    Keras keeps every layer's output until the end, which for large inputs is many times the weights; here each is
    let go after its last reader.
    """
    with inlined():
        return np.asarray(_run(functional(model), [keras.ops.convert_to_tensor(images)], before, after)[0])


@contextmanager
def inlined() -> Iterator[None]:
    """Run the bodies of tf.functions in place.

    Keras wraps grouped convolutions in an XLA-compiled one: slow to compile, and tf2onnx leaves it as a call that
    nothing can run.
    """
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(False)


def _run(
    graph: Any, inputs: list[Any], before: Callable[[Any, Any], None], after: Callable[[str, Any], None]
) -> list[Any]:
    values = {id(symbol): value for symbol, value in zip(graph.inputs, inputs, strict=True)}
    nodes = [node for node in in_order(graph) if not isinstance(node.operation, keras.layers.InputLayer)]
    readers = Counter(id(symbol) for node in nodes for symbol in node.input_tensors)
    readers.update(id(symbol) for symbol in graph.outputs)
    for node in nodes:
        arguments, keywords = node.arguments.fill_in(values)
        operation = node.operation
        if isinstance(operation, keras.Model) and has_graph(operation):
            results = _run(functional(operation), [values[id(s)] for s in node.input_tensors], before, after)
        else:
            before(operation, arguments[0] if arguments else None)
            inference = {"training": False} if "training" in getattr(operation, "_call_context_args", ()) else {}
            results = keras.tree.flatten(operation(*arguments, **keywords | inference))
            if len(results) == 1:
                after(operation.name, results[0])
        values.update((id(symbol), value) for symbol, value in zip(node.output_tensors, results, strict=True))
        for symbol in node.input_tensors:
            readers[id(symbol)] -= 1
            if not readers[id(symbol)]:
                values.pop(id(symbol), None)
    return [values[id(symbol)] for symbol in graph.outputs]


def _ends_a_branch(norm: Any) -> bool:
    """Whether a batch norm is added to something that is not one, too: to what skips its block."""
    readers = norm._outbound_nodes
    while readers and isinstance(readers[0].operation, keras.layers.Dropout):
        readers = readers[0].operation._outbound_nodes
    return any(
        isinstance(node.operation, keras.layers.Add)
        and any(not isinstance(tensor._keras_history.operation, type(norm)) for tensor in node.input_tensors)
        for node in readers
    )


def _fill(variable: Any, name: str, scale: float, rng: np.random.Generator) -> None:
    """Give a variable random values of its kind, block by block: TensorFlow copies what it is assigned, twice."""
    shape = tuple(variable.shape)
    if "kernel" in name:
        fan_in = int(np.prod(shape[:2] if "depthwise" in name else shape[:-1]))
        limit = np.float32(np.sqrt(6.0 / max(fan_in, 1)))

        def block(rows: int) -> Array:
            drawn = rng.random((rows, *shape[1:]), dtype=np.float32)
            drawn -= np.float32(0.5)
            drawn *= 2 * limit
            return drawn
    elif name == "gamma" or name.startswith("variable"):  # a ConvNeXt's layer scale has no name

        def block(rows: int) -> Array:
            return (scale * rng.uniform(0.7, 1.3, (rows, *shape[1:]))).astype(np.float32)
    elif name in ("beta", "bias"):

        def block(rows: int) -> Array:
            return rng.normal(0.5, 0.2, (rows, *shape[1:])).astype(np.float32)
    else:
        return
    step = max(1, _BLOCK * shape[0] // max(int(np.prod(shape)), 1))
    for start in range(0, shape[0], step):
        end = min(start + step, shape[0])
        variable.value[start:end].assign(block(end - start))
