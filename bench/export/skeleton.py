"""Keras model -> ONNX graph whose weights lie beside it.

Feeding tf2onnx a graph with its weights inside copies them over and over through protobuf: most of the time and memory
of a plain conversion. Here the traced function takes the weights as inputs, tf2onnx converts that skeleton, and the
weights are bound afterwards as external initialisers, written once from where Keras holds them.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import keras
import numpy as np
import onnx
import tensorflow as tf

from bench.errors import Failed
from bench.export import weights
from bench.export.clean import INPUT, TRACED_BATCH

# tf2onnx 1.17 calls names that NumPy 2 dropped, and hides what follows from it.
for _name, _now in (("product", np.prod), ("object", object), ("bool", bool)):
    if _name not in np.__dict__:
        setattr(np, _name, _now)

from tf2onnx import tfonnx, utils  # noqa: E402 - after the names it needs are there

_LOOPS = {"While", "StatelessWhile", "Enter", "If", "StatelessIf", "TensorListReserve", "RaggedTensorToVariant"}
_OVER_TIME = {"While", "StatelessWhile", "TensorListReserve"}
_FOR_LOOPS = {
    tfonnx.rewriter_lstm_tf2, tfonnx.rewrite_gru_tf2, tfonnx.rewrite_single_direction_lstm,
    tfonnx.rewrite_bi_direction_lstm, tfonnx.rewrite_single_direction_gru, tfonnx.rewrite_bi_direction_gru,
    tfonnx.rewrite_custom_rnn_cell, tfonnx.rewrite_generic_loop, tfonnx.rewrite_cond,
    tfonnx.rewrite_ragged_variant_shape,
}  # fmt: skip


def convert(
    model: keras.Model, *, shape: tuple[int, ...], dtype: str, opset: int, folder: Path
) -> tuple[Path, list[str]]:
    """Convert a model with one input, of which an example has this shape and type, and one output.

    Returns the ONNX file, whose weights lie in another file of the same folder, and what tf2onnx warned of.
    Raises Failed when tf2onnx has no translation for an operator.
    """
    variables = [*model.trainable_variables, *model.non_trainable_variables]
    concrete = _trace(model, variables, shape, dtype)
    definition = concrete.graph.as_graph_def(add_shapes=True)
    if _OVER_TIME & {node.op for node in definition.node}:
        raise Failed(
            f"{model.name} has a loop over time (LSTM, GRU or another recurrent layer), which cannot be exported; give "
            "the layer unroll=True, or use a convolution over time instead"
        )
    names = [tensor.name for tensor in concrete.inputs]
    values = dict(zip(names[1:], [*variables, *concrete.captured_inputs], strict=True))
    warnings: list[str] = []
    utils.INTERNAL_NAME = 1  # tf2onnx numbers nodes through a process's life: one model would be two files
    with tf.Graph().as_default() as graph, _heard(warnings), _no_search_for_loops():
        tf.import_graph_def(definition, name="")
        try:
            converted = tfonnx.process_tf_graph(
                graph, opset=opset, input_names=names, output_names=[tensor.name for tensor in concrete.outputs]
            )
        except ValueError as error:
            raise Failed(f"tf2onnx cannot convert {model.name}: {' '.join(str(error).split())}") from error
    unsupported = sorted({line.split(": ")[-1].rstrip("]") for line in warnings if "is not supported" in line})
    if unsupported:
        raise Failed(f"tf2onnx has no translation for {', '.join(unsupported)}, which {model.name} uses")
    skeleton = converted.make_model(model.name).graph
    return _bind(skeleton, values, opset, folder), warnings


def _trace(model: keras.Model, variables: list[Any], shape: tuple[int, ...], dtype: str) -> Any:
    """The model in inference as a concrete function of the image and its weights."""
    trainable = len(model.trainable_variables)

    def call(image: tf.Tensor, *given: tf.Tensor) -> tf.Tensor:
        outputs, _ = model.stateless_call(given[:trainable], given[trainable:], image, training=False)
        (output,) = keras.tree.flatten(outputs)
        return output

    image = tf.TensorSpec((TRACED_BATCH, *shape), dtype, name=INPUT)
    specs = [tf.TensorSpec(v.shape, v.dtype, name=f"weight_{i}") for i, v in enumerate(variables)]
    with weights.inlined(), _exact_gelu(), _plain_layer_norm():
        return tf.function(call, autograph=False).get_concrete_function(image, *specs)


@contextmanager
def _exact_gelu() -> Iterator[None]:
    """Trace GELU as x/2 (1 + erf(x/sqrt 2)): tf2onnx knows no Erfc, and ONNX Runtime fuses this form."""
    original = tf.nn.gelu

    def gelu(features: tf.Tensor, approximate: bool = False, name: str | None = None) -> tf.Tensor:
        if approximate:
            return original(features, approximate=True, name=name)
        return 0.5 * features * (1.0 + tf.math.erf(features / math.sqrt(2.0)))

    tf.nn.gelu = gelu
    try:
        yield
    finally:
        tf.nn.gelu = original


@contextmanager
def _plain_layer_norm() -> Iterator[None]:
    """Trace layer normalisation in the textbook's form, which ONNX Runtime fuses into one node."""
    original = keras.layers.LayerNormalization.call

    def call(self: Any, inputs: tf.Tensor) -> tf.Tensor:
        axes = self.axis if isinstance(self.axis, (list, tuple)) else [self.axis]
        rank = len(inputs.shape)
        if self.rms_scaling or not (self.scale and self.center) or [axis % rank for axis in axes] != [rank - 1]:
            return original(self, inputs)
        centred = inputs - tf.reduce_mean(inputs, axis=-1, keepdims=True)
        variance = tf.reduce_mean(tf.pow(centred, 2.0), axis=-1, keepdims=True)
        return centred / tf.sqrt(variance + self.epsilon) * self.gamma.value + self.beta.value

    keras.layers.LayerNormalization.call = call
    try:
        yield
    finally:
        keras.layers.LayerNormalization.call = original


@contextmanager
def _no_search_for_loops() -> Iterator[None]:
    """Spare a graph without loops tf2onnx's search for recurrent cells, which takes longer than the conversion."""
    original = tfonnx.run_rewriters

    def run_rewriters(graph: Any, rewriters: list[Any], *more: Any) -> None:
        if not _LOOPS & {node.type for node in graph.get_nodes()}:
            rewriters = [rewriter for rewriter in rewriters if rewriter not in _FOR_LOOPS]
        original(graph, rewriters, *more)

    tfonnx.run_rewriters = run_rewriters
    try:
        yield
    finally:
        tfonnx.run_rewriters = original


class _Ear(logging.Handler):
    def __init__(self, heard: list[str]) -> None:
        super().__init__(logging.WARNING)
        self.heard = heard

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(record.getMessage())


@contextmanager
def _heard(into: list[str]) -> Iterator[None]:
    """Collect what tf2onnx logs as a warning or worse, instead of letting it scroll by."""
    logger = logging.getLogger("tf2onnx")
    ear, propagate = _Ear(into), logger.propagate
    logger.addHandler(ear)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(ear)
        logger.propagate = propagate


def _bind(graph: onnx.GraphProto, values: dict[str, Any], opset: int, folder: Path) -> Path:
    """Give the graph its weights as external initialisers; only the image stays an input."""
    used = {name for node in graph.node for name in node.input}
    images = [value for value in graph.input if value.name not in values]
    with (folder / "weights.bin").open("wb") as file:
        for name, value in values.items():
            if name in used:
                graph.initializer.append(_external(name, np.asarray(value), file))
    del graph.input[:]
    graph.input.extend(images)
    path = folder / "skeleton.onnx"
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)], ir_version=9)
    onnx.save(model, path)
    return path


def _external(name: str, value: np.ndarray[Any, Any], file: BinaryIO) -> onnx.TensorProto:
    tensor = onnx.TensorProto(
        name=name, dims=value.shape, data_type=onnx.helper.np_dtype_to_tensor_dtype(value.dtype),
        data_location=onnx.TensorProto.EXTERNAL,
    )  # fmt: skip
    offset = file.tell()
    file.write(np.ascontiguousarray(value).data)
    for key, text in (("location", "weights.bin"), ("offset", str(offset)), ("length", str(file.tell() - offset))):
        tensor.external_data.add(key=key, value=text)
    return tensor
