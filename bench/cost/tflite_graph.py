"""The cost of each layer, counted from a .tflite file by the shapes in it. Imports LiteRT's schema: for workers.

As `onnx_graph` counts: weights belong to the node that reads them first, through what is computed of constants alone.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from bench.cost import operators
from bench.cost.layers import ELEMENT_BYTES, LayerCost, kind_of
from bench.errors import Failed

_Shape = tuple[int, ...]


def layers(path: str | Path) -> list[LayerCost]:
    """The cost of every node of a file's main graph, per element of the batch, in the order of the file.

    A batch that is open counts as 1. A node that cannot be counted (a flex or custom operator, one that is not known
    here, a loop that multiplies) has mult_adds None. Raises Failed for a file that is no model or is damaged.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise Failed(f"{path} cannot be read ({error.strerror}); check the path") from error
    if not schema.Model.ModelBufferHasIdentifier(content, 0):
        raise Failed(f"{path} is no TFLite model, or is cut short; download or export it again")
    try:
        return _Reader(schema.Model.GetRootAs(content, 0)).layers()
    except (IndexError, ValueError, TypeError, AttributeError, struct.error) as error:
        # Whatever the schema's reader meets in a file whose offsets lead nowhere.
        raise Failed(f"{path} is damaged ({type(error).__name__}); download or export it again") from error


@dataclass(frozen=True, slots=True)
class _Tensor:
    """What a file says of a tensor."""

    name: str
    shape: _Shape
    buffer: int  # where its values are; tensors of one buffer are one weight
    elements: int  # of a constant that may be learnt, else 0


@dataclass(frozen=True, slots=True)
class _Node:
    """An operator with its tensors by their places; -1: it has none there."""

    operator: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Any  # its table, not yet told which

    @property
    def is_free(self) -> bool:
        return self.operator in operators.TFLITE_IN_PLACE | operators.TFLITE_OTHER


class _Reader:
    """A file's main graph, read node by node."""

    def __init__(self, model: Any) -> None:
        self.model, self.graph = model, model.Subgraphs(0)
        self.tensors = [self._tensor(self.graph.Tensors(i)) for i in range(self.graph.TensorsLength())]
        self.elements = {tensor.buffer: tensor.elements for tensor in self.tensors}
        self.fed = [int(i) for i in self.graph.InputsAsNumpy()]
        fed = [self.tensors[i].shape for i in self.fed]
        firsts = {shape[0] for shape in fed if len(shape) > 2}
        self.batch = max(1, firsts.pop()) if len(firsts) == 1 else 1
        self.made_of = {
            i: frozenset({tensor.buffer}) for i, tensor in enumerate(self.tensors) if self._is_constant(tensor.buffer)
        }
        self.nodes = self._nodes(self.graph)
        self.read = {i for node in self.nodes for i in node.inputs} | {int(i) for i in self.graph.OutputsAsNumpy()}
        self.writers: dict[int, str] = {}  # tensor -> its layer
        self.sizes: dict[str, int] = {}  # layer -> bytes of its output
        self.names: Counter[str] = Counter()
        self.paid: set[int] = set()  # buffers whose elements are counted

    def layers(self) -> list[LayerCost]:
        """Every layer in the order of the file."""
        found = [self._layer("Input", (i,), (), 0) for i in self.fed]
        for node in self.nodes:
            given = [i for i in node.inputs if i >= 0]
            if node.is_free and given and all(i in self.made_of for i in given):
                origins = frozenset().union(*(self.made_of[i] for i in _learnt(node)))
                self.made_of.update((i, origins) for i in node.outputs)
            else:
                found.append(self._node(node))
        return found

    def _node(self, node: _Node) -> LayerCost:
        sources = tuple(dict.fromkeys(self.writers[i] for i in node.inputs if i in self.writers))
        params = self._params(node)
        counter = _COUNTERS.get(node.operator)
        if counter is None:
            idle = node.is_free or self._is_idle(node)
            in_place = node.operator in operators.TFLITE_IN_PLACE
            return self._layer(node.operator, node.outputs, sources, 0 if idle else None, params, in_place=in_place)
        shapes = [self.tensors[i].shape if i >= 0 else () for i in node.inputs]
        written = self.tensors[node.outputs[0]].shape
        count, place = counter
        kind, mult_adds = count(node, shapes, written)
        layer = self._layer(node.operator, node.outputs, sources, mult_adds // self.batch, params)
        weights = prod(shapes[place]) if node.inputs[place] in self.made_of else 0
        return replace(layer, kind=kind, weights=weights)

    def _params(self, node: _Node) -> int:
        """Elements of the weights that this node is the first to read."""
        made_of = (self.made_of.get(i, frozenset()) for i in _learnt(node))
        scalable = node.operator in operators.TFLITE_SCALABLE
        return operators.newly_paid(made_of, self.paid, self.elements, scalable=scalable)

    def _layer(
        self,
        operator: str,
        outputs: Sequence[int],
        sources: tuple[str, ...],
        mult_adds: int | None,
        params: int = 0,
        *,
        in_place: bool = False,
    ) -> LayerCost:
        read = [i for i in outputs if i in self.read or len(outputs) == 1]
        known = [_without_batch(self.tensors[i].shape, self.batch) for i in read]
        shape = known[0] if len(known) == 1 else (sum(map(prod, known)),)
        name = self._name(self.tensors[outputs[0]].name if outputs else operator)
        self.writers.update((i, name) for i in outputs)
        self.sizes[name] = ELEMENT_BYTES * prod(shape)
        return LayerCost(
            name=name, kind="other", operator=operator, mult_adds=mult_adds, params=params, output_shape=shape,
            inputs=sources, input_bytes=sum(self.sizes[source] for source in sources), elementwise=in_place,
        )  # fmt: skip

    def _name(self, name: str) -> str:
        """The output's name; of a node that several layers were fused into, the first one's: unique."""
        base = name = name.partition(";")[0]
        while name in self.sizes:
            self.names[base] += 1
            name = f"{base} ({self.names[base] + 1})"
        return name

    def _tensor(self, tensor: Any) -> _Tensor:
        shape = tuple(int(size) for size in tensor.ShapeAsNumpy()) if tensor.ShapeLength() else ()
        name, buffer = (tensor.Name() or b"").decode("utf-8", "replace"), int(tensor.Buffer())
        learnt = _type_name(tensor.Type()) in operators.TFLITE_WEIGHT_TYPES and self._is_constant(buffer)
        return _Tensor(name, shape, buffer, prod(shape) if learnt else 0)

    @cache  # noqa: B019 - a reader lives as long as its one file is counted
    def _is_constant(self, buffer: int) -> bool:
        return buffer > 0 and (self.model.Buffers(buffer).DataLength() > 0 or self.model.Buffers(buffer).Size() > 1)

    def _is_zero(self, tensor: int) -> bool:
        data = self.model.Buffers(self.tensors[tensor].buffer)
        return bool(data.DataLength()) and not np.any(data.DataAsNumpy())

    def _nodes(self, graph: Any) -> list[_Node]:
        nodes = []
        for node in map(graph.Operators, range(graph.OperatorsLength())):
            operator = _operator(self.model.OperatorCodes(node.OpcodeIndex()))
            inputs, outputs = (
                tuple(int(i) for i in places) if length else ()
                for places, length in (
                    (node.InputsAsNumpy(), node.InputsLength()), (node.OutputsAsNumpy(), node.OutputsLength()),
                )
            )  # fmt: skip
            if operator in _BIASED and len(inputs) > _BIASED[operator] and self._adds_nothing(graph, inputs, operator):
                inputs = inputs[: _BIASED[operator]]
            nodes.append(_Node(operator, inputs, outputs, node.BuiltinOptions()))
        return nodes

    def _adds_nothing(self, graph: Any, inputs: tuple[int, ...], operator: str) -> bool:
        """Whether a bias is all zeros, as the converter adds it to a layer that has none."""
        bias = inputs[_BIASED[operator]]
        return graph is self.graph and bias in self.made_of and self._is_zero(bias)

    def _is_idle(self, node: _Node) -> bool:
        """Whether nothing in the branches of an IF or the body of a WHILE multiplies."""
        if node.operator not in ("IF", "WHILE", "CALL_ONCE"):
            return False
        inner = [self.model.Subgraphs(i) for i in range(1, self.model.SubgraphsLength())]
        return all(each.is_free for graph in inner for each in self._nodes(graph))


def _operator(code: Any) -> str:
    """An operator's name as the schema has it, or its own where it is a custom or flex one."""
    number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    if number == schema.BuiltinOperator.CUSTOM:
        return str((code.CustomCode() or b"custom").decode("utf-8", "replace"))
    return _names("BuiltinOperator").get(number, f"operator {number}")


@cache
def _names(of: str) -> dict[int, str]:
    """The names of an enumeration of the schema by number."""
    return {number: name for name, number in vars(getattr(schema, of)).items() if isinstance(number, int)}


def _type_name(number: int) -> str:
    return _names("TensorType").get(number, "")


def _learnt(node: _Node) -> Iterable[int]:
    """The inputs of a node that may hold learnt weights."""
    free = node.is_free and node.operator not in operators.TFLITE_LEARNT_EVERYWHERE
    inputs = node.inputs[1:] if node.operator == "TRANSPOSE_CONV" else node.inputs[:1] if free else node.inputs
    return [i for i in inputs if i >= 0]


def _without_batch(shape: _Shape, batch: int) -> _Shape:
    return shape[1:] if shape[:1] == (batch,) else shape


def _convolution(_: _Node, shapes: Sequence[_Shape], written: _Shape) -> tuple[str, int]:
    """Every element written takes one product with each weight of its filter; the weight is (N, kernel..., M/G)."""
    kernel, m_of_group = shapes[1][1:-1], shapes[1][-1]
    groups = shapes[0][-1] // m_of_group
    return kind_of(kernel, shapes[0][-1], groups, prod(written[1:-1])), prod(written) * m_of_group * prod(kernel)


def _depthwise(_: _Node, shapes: Sequence[_Shape], written: _Shape) -> tuple[str, int]:
    """A convolution with a group for each channel; the weight is (1, kernel..., N)."""
    kernel, channels = shapes[1][1:-1], shapes[0][-1]
    return kind_of(kernel, channels, channels, prod(written[1:-1])), prod(written) * prod(kernel)


def _convolution_3d(_: _Node, shapes: Sequence[_Shape], written: _Shape) -> tuple[str, int]:
    """As in two dimensions; the weight is (kernel..., M/G, N)."""
    *kernel, m_of_group, _n = shapes[1]
    groups = shapes[0][-1] // m_of_group
    return kind_of(kernel, shapes[0][-1], groups, prod(written[1:-1])), prod(written) * m_of_group * prod(kernel)


def _transposed(_: _Node, shapes: Sequence[_Shape], written: _Shape) -> tuple[str, int]:
    """Every element read takes one product with each weight of its filter; the weight is (N, kernel..., M)."""
    n, *kernel, m = shapes[1]
    return kind_of(kernel, m, 1, prod(written[1:-1])), prod(shapes[2]) * n * prod(kernel)


def _dense(_: _Node, shapes: Sequence[_Shape], written: _Shape) -> tuple[str, int]:
    """Every element written is a sum over the last dimension of the weight, (N, M)."""
    return kind_of((1,), shapes[1][-1], 1, prod(written[1:-1])), prod(written) * shapes[1][-1]


def _matmul(node: _Node, shapes: Sequence[_Shape], written: _Shape) -> tuple[str, int]:
    """Every element written is a sum over the last dimension of the left operand, or the one before if transposed."""
    options = schema.BatchMatMulOptions()
    if node.options is not None:
        options.Init(node.options.Bytes, node.options.Pos)
    summed = shapes[0][-2 if node.options is not None and options.AdjX() else -1]
    return kind_of((1,), summed, 1, prod(written[1:-1])), prod(written) * summed


_BIASED = {"CONV_2D": 2, "DEPTHWISE_CONV_2D": 2, "FULLY_CONNECTED": 2, "CONV_3D": 2, "TRANSPOSE_CONV": 3}
_Count = Callable[[_Node, Sequence[_Shape], _Shape], tuple[str, int]]
_COUNTERS: dict[str, tuple[_Count, int]] = {  # with the place of the weight
    "CONV_2D": (_convolution, 1),
    "DEPTHWISE_CONV_2D": (_depthwise, 1),
    "FULLY_CONNECTED": (_dense, 1),
    "CONV_3D": (_convolution_3d, 1),
    "TRANSPOSE_CONV": (_transposed, 1),
    "BATCH_MATMUL": (_matmul, 1),
}
