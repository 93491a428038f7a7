"""The converted graph made small: weights folded, layouts settled, the batch dimension dynamic again.

ONNX Runtime's own basic level does the folding (weight transposes, batch norm into convolution) and pushes layout
transposes together: a maintained optimiser, in C++, and the very one that would do it at every load. It left fewer
transposes than tf2onnx's optimiser loop in a tenth of its time. What it has no rule for is rewritten below.
"""

from __future__ import annotations

import os
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

from bench.errors import Failed

INPUT = "image"
TRACED_BATCH = 13
"""The batch size of the trace. A number that no layer uses, so that it can be told apart and made dynamic again."""
_CLOSE = 1e-6
_BROADCASTING = ("Add", "Sub", "Mul", "Div", "Where", "Gemm")
_BLOCK_BYTES = 1 << 22


def clean(source: Path, target: Path, *, output: str) -> Counter[str]:
    """Optimise the graph in `source` and write it to `target` with its weights inside; how many nodes of each operator.

    The one input is called `image`, the one output as given; both have a dynamic first dimension `batch`.
    """
    skeleton = onnx.load(source, load_external_data=False)
    inferred = onnx.shape_inference.infer_shapes(skeleton).graph
    maps = {v.name for v in (*inferred.value_info, *inferred.input) if len(v.type.tensor_type.shape.dim) == 4}
    _pool_means(_Graph(skeleton.graph), maps)
    onnx.save(skeleton, source)
    folded = source.with_name("folded.onnx")
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    save_optimised(options, folded)
    options.add_session_config_entry("session.disable_prepacking", "1")
    onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])
    model = onnx.load(folded, load_external_data=False)
    graph = _Graph(model.graph)
    for rewrite in (_hard_sigmoids, _batch_norms, _dynamic_batch, _lone_pixels):
        rewrite(graph)
    _batch_constants(graph, folded.parent)
    graph.remove_unused()
    graph.rename(graph.proto.input[0].name, INPUT)
    graph.rename(graph.proto.output[0].name, output)
    del graph.proto.value_info[:]
    model.producer_name = "backbench"
    del model.metadata_props[:]
    operators = [entry for entry in model.opset_import if entry.domain in {node.domain for node in model.graph.node}]
    del model.opset_import[:]
    model.opset_import.extend(operators)
    counts = Counter(node.op_type for node in model.graph.node)
    _save(model, target, folded.parent)
    return counts


def _save(model: onnx.ModelProto, target: Path, folder: Path) -> None:
    """Write the model with its external weights inside, streaming their bytes; protobuf would copy them all, twice.

    A message's fields may come in any order, and a repeated one entry by entry, so only lengths must be known first.
    """
    outside = [t for t in model.graph.initializer if t.data_location == onnx.TensorProto.EXTERNAL]
    inside = [t for t in model.graph.initializer if t.data_location != onnx.TensorProto.EXTERNAL]
    del model.graph.initializer[:]
    model.graph.initializer.extend(inside)
    graph = model.graph.SerializeToString()
    model.ClearField("graph")
    entries = [_entry(tensor) for tensor in outside]
    total = len(graph) + sum(len(head) + length for head, _, _, length in entries)
    with target.open("wb") as file, ExitStack() as stack:
        sources = {name: stack.enter_context((folder / name).open("rb")) for name in {e[1] for e in entries}}
        file.write(model.SerializeToString() + _head(onnx.ModelProto, "graph", total) + graph)
        for head, name, offset, length in entries:
            file.write(head)
            sources[name].seek(offset)
            while length:
                block = sources[name].read(min(length, _BLOCK_BYTES))
                if not block:
                    raise Failed(f"{folder / name} is shorter than the graph says; clear the cache and export again")
                file.write(block)
                length -= len(block)


def _entry(tensor: onnx.TensorProto) -> tuple[bytes, str, int, int]:
    """What stands before an external tensor's bytes in its graph's message; these bytes' file, offset and length."""
    where = {entry.key: entry.value for entry in tensor.external_data}
    length = int(where["length"])
    plain = onnx.TensorProto(name=tensor.name, dims=tensor.dims, data_type=tensor.data_type).SerializeToString()
    head = plain + _head(onnx.TensorProto, "raw_data", length)
    whole = _head(onnx.GraphProto, "initializer", len(head) + length) + head
    return whole, where["location"], int(where.get("offset", 0)), length


def _head(message: Any, field: str, length: int) -> bytes:
    """The bytes before a field of the given length in a protobuf message."""
    return _varint(message.DESCRIPTOR.fields_by_name[field].number << 3 | 2) + _varint(length)


def _varint(value: int) -> bytes:
    """A number as protobuf writes it, seven bits a byte.

    >>> _varint(300)
    b'\\xac\\x02'
    """
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def save_optimised(options: onnxruntime.SessionOptions, path: Path, *, weights: bool = True) -> None:
    """Let a session write the graph that it makes of its model to `path`, with the large weights beside it, or none."""
    options.optimized_model_filepath = str(path)
    options.log_severity_level = 3
    if not weights:
        path.with_suffix(".bin").symlink_to(os.devnull)
    prefix = "session.optimized_model_external_initializers"
    options.add_session_config_entry(f"{prefix}_file_name", f"{path.stem}.bin")
    options.add_session_config_entry(f"{prefix}_min_size_in_bytes", "1024")


def node_counts(path: Path) -> Counter[str]:
    """How many nodes of each operator a file holds. Weights are not read."""
    return Counter(node.op_type for node in onnx.load(path, load_external_data=False).graph.node)


class _Graph:
    """A graph with the look-ups that rewriting needs."""

    def __init__(self, proto: onnx.GraphProto) -> None:
        self.proto = proto
        self.constants = {tensor.name: tensor for tensor in proto.initializer}
        self.producer = {name: node for node in proto.node for name in node.output}
        self.consumers: dict[str, list[onnx.NodeProto]] = {}
        for node in proto.node:
            for name in node.input:
                self.consumers.setdefault(name, []).append(node)

    def scalar(self, name: str) -> float | None:
        """The value of a constant that holds one number."""
        tensor = self.constants.get(name)
        if tensor is None or int(np.prod(tensor.dims)) != 1:
            return None
        return float(numpy_helper.to_array(tensor).reshape(()))

    def per_channel(self, name: str) -> onnx.TensorProto | None:
        """A constant with a number for each channel of a map, (1, channels, 1, 1), as a vector with another name."""
        tensor = self.constants.get(name)
        if tensor is None or len(tensor.dims) != 4 or not 1 < tensor.dims[1] == int(np.prod(tensor.dims)):
            return None  # a single number is no vector: it may stand for every channel
        vector = onnx.TensorProto.FromString(tensor.SerializeToString())
        vector.name = f"{name}_vector"
        vector.dims[:] = [tensor.dims[1]]
        return vector

    def add_constant(self, name: str, value: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> str:
        return self.add(numpy_helper.from_array(value, name))

    def add(self, tensor: onnx.TensorProto) -> str:
        """Make a tensor a constant of the graph, unless there is one of its name; its name."""
        if tensor.name not in self.constants:
            self.proto.initializer.append(tensor)
            self.constants[tensor.name] = tensor
        return str(tensor.name)

    def sole_consumer(self, name: str) -> onnx.NodeProto | None:
        users = self.consumers.get(name, [])
        return users[0] if len(users) == 1 else None

    def replace(self, node: onnx.NodeProto, new: onnx.NodeProto) -> None:
        node.CopyFrom(new)

    def remove_unused(self) -> None:
        """Remove nodes whose outputs nobody reads, then constants that nobody reads."""
        needed = {value.name for value in self.proto.output}
        kept = []
        for node in reversed(self.proto.node):
            if needed.intersection(node.output):
                kept.append(node)
                needed.update(node.input)
        nodes = list(reversed(kept))
        del self.proto.node[:]
        self.proto.node.extend(nodes)
        for i in reversed(range(len(self.proto.initializer))):
            if self.proto.initializer[i].name not in needed:
                del self.proto.initializer[i]

    def rename(self, old: str, new: str) -> None:
        for node in self.proto.node:
            for names in (node.input, node.output):
                for i, name in enumerate(names):
                    if name == old:
                        names[i] = new
        for value in (*self.proto.input, *self.proto.output):
            if value.name == old:
                value.name = new


def _attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    return next((onnx.helper.get_attribute_value(a) for a in node.attribute if a.name == name), default)


def _pool_means(graph: _Graph, maps: set[str]) -> None:
    """Means over height and width of maps -> GlobalAveragePool, which stays in the convolutions' layout.

    Before the layouts are settled: a mean that stays in Keras's layout draws transposes towards itself, in front of
    batch norms that then cannot be folded.
    """
    for i in reversed(range(len(graph.proto.node))):
        node = graph.proto.node[i]
        if node.op_type != "ReduceMean" or len(node.input) < 2 or node.input[0] not in maps:
            continue
        cast = graph.producer.get(node.input[1])
        axes = graph.constants.get(cast.input[0] if cast is not None and cast.op_type == "Cast" else node.input[1])
        if axes is None or sorted(numpy_helper.to_array(axes).tolist()) != [1, 2]:
            continue
        name, (result,) = node.name, node.output
        channels_first, pooled = f"{name}_nchw", f"{name}_pooled"
        if _attribute(node, "keepdims", 1):
            last = onnx.helper.make_node("Transpose", [pooled], [result], f"{name}_nhwc", perm=[0, 2, 3, 1])
        else:
            spatial = graph.add_constant(f"{name}_axes", np.array([2, 3], np.int64))
            last = onnx.helper.make_node("Squeeze", [pooled, spatial], [result], f"{name}_flat")
        first = onnx.helper.make_node("Transpose", [node.input[0]], [channels_first], channels_first, perm=[0, 3, 1, 2])
        pool = onnx.helper.make_node("GlobalAveragePool", [channels_first], [pooled], name)
        node.CopyFrom(first)
        graph.proto.node.insert(i + 1, pool)
        graph.proto.node.insert(i + 2, last)


def _lone_pixels(graph: _Graph) -> None:
    """Squeeze, Reshape and Transpose of maps of one pixel, which only rename dimensions -> nothing."""
    for node in graph.proto.node:
        if node.op_type != "Transpose":
            continue
        reshape = graph.producer.get(node.input[0])
        squeeze = graph.producer.get(reshape.input[0]) if reshape is not None else None
        if reshape is None or squeeze is None or (reshape.op_type, squeeze.op_type) != ("Reshape", "Squeeze"):
            continue
        pool = graph.producer.get(squeeze.input[0])
        constant = graph.constants.get(reshape.input[1])
        target = numpy_helper.to_array(constant).tolist() if constant is not None else []
        if pool is None or pool.op_type != "GlobalAveragePool" or target[:3] != [-1, 1, 1] or len(target) != 4:
            continue
        if _attribute(node, "perm", 0) == [0, 3, 1, 2]:
            for user in graph.consumers.get(node.output[0], []):
                user.input[:] = [pool.output[0] if name == node.output[0] else name for name in user.input]


def _hard_sigmoids(graph: _Graph) -> None:
    """relu6(x + 3) / 6, spelt out in three nodes -> HardSigmoid(x)."""
    for node in graph.proto.node:
        if node.op_type not in ("Div", "Mul") or len(node.input) != 2:
            continue
        clip = graph.producer.get(node.input[0])
        scale = graph.scalar(node.input[1])
        if clip is None or clip.op_type != "Clip" or scale is None or graph.sole_consumer(clip.output[0]) is None:
            continue
        factor = scale if node.op_type == "Mul" else 1 / scale
        add = graph.producer.get(clip.input[0])
        bounds = [graph.scalar(name) for name in clip.input[1:]]
        if add is None or add.op_type != "Add" or bounds != [0.0, 6.0] or abs(factor - 1 / 6) > _CLOSE:
            continue
        shifted = [(i, graph.scalar(name)) for i, name in enumerate(add.input)]
        for i, value in shifted:
            if value is not None and abs(value - 3.0) < _CLOSE:
                x = add.input[1 - i]
                graph.replace(
                    node,
                    onnx.helper.make_node("HardSigmoid", [x], node.output, node.name, alpha=1 / 6, beta=0.5),
                )
                break


def _batch_norms(graph: _Graph) -> None:
    """A product and then a sum with a number per channel -> BatchNormalization, which stays in the layout, too.

    They are batch norms that no convolution stands before, so that nothing could take them up (ResNetV2, DenseNet).
    """
    for node in graph.proto.node:
        if node.op_type != "Add":
            continue
        first, second = node.input
        for name, other in ((first, second), (second, first)):
            product, offset = graph.producer.get(name), graph.per_channel(other)
            if product is None or product.op_type != "Mul" or offset is None or graph.sole_consumer(name) is None:
                continue
            left, right = product.input
            for source, factor in ((left, right), (right, left)):
                scale = graph.per_channel(factor)
                if scale is not None and scale.dims == offset.dims:
                    graph.replace(node, _batch_norm(graph, source, scale, offset, node))


def _batch_norm(
    graph: _Graph, source: str, scale: onnx.TensorProto, offset: onnx.TensorProto, node: onnx.NodeProto
) -> onnx.NodeProto:
    channels = scale.dims[0]
    mean = graph.add_constant(f"zeros_{channels}", np.zeros(channels, np.float32))
    variance = graph.add_constant(f"ones_{channels}", np.ones(channels, np.float32))
    names = [source, graph.add(scale), graph.add(offset), mean, variance]
    return onnx.helper.make_node("BatchNormalization", names, node.output, node.name, epsilon=0.0)


def _dynamic_batch(graph: _Graph) -> None:
    """Give the traced batch size back its freedom: in the input, the output, and the targets of Reshape nodes."""
    for value in (*graph.proto.input, *graph.proto.output):
        first = value.type.tensor_type.shape.dim[0]
        if first.dim_value != TRACED_BATCH:
            raise Failed(f"{value.name} has a first dimension of {first.dim_value}; expected the batch")
        first.dim_param = "batch"
    for node in graph.proto.node:
        if node.op_type == "Reshape" and node.input[1] in graph.constants:
            target = numpy_helper.to_array(graph.constants[node.input[1]]).tolist()
            freed = _freed(target)
            if freed != target:
                name = graph.add_constant(f"{node.name or node.output[0]}_target", np.array(freed, np.int64))
                node.input[1] = name


def _batch_constants(graph: _Graph, folder: Path) -> None:
    """Constants that hold one row for each example of the trace, such as a class token or a first state -> that row.

    Where the row is not repeated by the operator itself, it is repeated as often as there are examples.
    """
    image = graph.proto.input[0].name
    for tensor in list(graph.proto.initializer):
        if len(tensor.dims) < 2 or tensor.dims[0] != TRACED_BATCH:
            continue
        rows = numpy_helper.to_array(tensor, str(folder))
        users = [
            (node, i)
            for node in graph.consumers.get(tensor.name, [])
            for i, n in enumerate(node.input)
            if n == tensor.name
        ]
        if not (rows == rows[:1]).all() or not all(_takes_rows(node, i) for node, i in users):
            continue
        row = graph.add_constant(f"{tensor.name}_row", np.ascontiguousarray(rows[:1]))
        if all(node.op_type in _BROADCASTING for node, _ in users):
            repeated = row
        else:
            repeated = f"{tensor.name}_rows"
            sizes = graph.add_constant(f"{tensor.name}_sizes", np.array(rows.shape[1:], np.int64))
            make = onnx.helper.make_node
            for i, node in enumerate((
                make("Shape", [image], [f"{repeated}_batch"], f"{repeated}_batch", end=1),
                make("Concat", [f"{repeated}_batch", sizes], [f"{repeated}_shape"], f"{repeated}_shape", axis=0),
                make("Expand", [row, f"{repeated}_shape"], [repeated], repeated),
            )):  # fmt: skip
                graph.proto.node.insert(i, node)
        for node, i in users:
            node.input[i] = repeated


def _takes_rows(node: onnx.NodeProto, place: int) -> bool:
    """Whether a constant at this place of a node can stand for one row an example, and is no kernel."""
    if node.op_type == "Concat":
        return bool(_attribute(node, "axis", 0) != 0)
    return node.op_type in _BROADCASTING and (node.op_type != "Gemm" or place == 2)


def _freed(target: list[int]) -> list[int]:
    """A Reshape's target with the dimension that carries the batch left open.

    >>> _freed([13, 1, 1, 64]), _freed([13 * 49, 768]), _freed([13, -1]), _freed([1, 64, 1, 1])
    ([-1, 1, 1, 64], [-1, 768], [0, -1], [1, 64, 1, 1])
    """
    carriers = [i for i, size in enumerate(target) if size > 0 and size % TRACED_BATCH == 0]
    if not carriers or carriers[0] != 0:
        return target
    return [0 if -1 in target else -1, *target[1:]]
