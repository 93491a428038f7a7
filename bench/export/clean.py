"""The converted graph made small: weights folded, layouts settled, the batch dimension dynamic again.

ONNX Runtime's own basic level does the folding (weight transposes, batch norm into convolution) and pushes layout
transposes together: a maintained optimiser, in C++, and the very one that would do it at every load. It left fewer
transposes than tf2onnx's optimiser loop in a tenth of its time. What it has no rule for is rewritten below.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

from bench.errors import Failed
from bench.export.skeleton import INPUT, TRACED_BATCH

_CLOSE = 1e-6


def clean(source: Path, target: Path, *, output: str) -> None:
    """Optimise the graph in `source` and write it to `target` with its weights inside.

    The one input is called `image`, the one output as given; both have a dynamic first dimension `batch`.
    """
    folded = source.with_name("folded.onnx")
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(folded)
    options.log_severity_level = 3
    onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])
    model = onnx.load(folded)
    folded.unlink()
    graph = _Graph(model.graph)
    for rewrite in (_pool_means, _hard_sigmoids, _dynamic_batch):
        rewrite(graph)
    graph.remove_unused()
    graph.rename(graph.proto.input[0].name, INPUT)
    graph.rename(graph.proto.output[0].name, output)
    del graph.proto.value_info[:]
    model.producer_name = "backbench"
    del model.metadata_props[:]
    onnx.save(model, target)


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

    def add_constant(self, name: str, value: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> str:
        tensor = numpy_helper.from_array(value, name)
        self.proto.initializer.append(tensor)
        self.constants[name] = tensor
        return name

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


def _attribute(node: onnx.NodeProto, name: str, default: int) -> int:
    return next((onnx.helper.get_attribute_value(a) for a in node.attribute if a.name == name), default)


def _pool_means(graph: _Graph) -> None:
    """A mean over height and width that keeps them -> GlobalAveragePool, which stays in the convolutions' layout."""
    for node in graph.proto.node:
        if node.op_type != "ReduceMean" or _attribute(node, "keepdims", 1) != 1 or len(node.input) < 2:
            continue
        axes = graph.constants.get(node.input[1])
        if axes is not None and sorted(numpy_helper.to_array(axes).tolist()) in ([2, 3], [-2, -1]):
            graph.replace(node, onnx.helper.make_node("GlobalAveragePool", node.input[:1], node.output, node.name))


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


def _freed(target: list[int]) -> list[int]:
    """A Reshape's target with the dimension that carries the batch left open.

    >>> _freed([13, 1, 1, 64]), _freed([13 * 49, 768]), _freed([13, -1]), _freed([1, 64, 1, 1])
    ([-1, 1, 1, 64], [-1, 768], [0, -1], [1, 64, 1, 1])
    """
    carriers = [i for i, size in enumerate(target) if size > 0 and size % TRACED_BATCH == 0]
    if not carriers or carriers[0] != 0:
        return target
    return [0 if -1 in target else -1, *target[1:]]
