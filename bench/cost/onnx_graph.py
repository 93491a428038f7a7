"""The cost of each layer, counted from an ONNX graph by shape inference. Imports onnx: for workers only.

Independent of the Keras side on purpose: it goes by the shapes of weights and outputs, not by formulas or layer names.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path

import onnx

from bench.cost import operators
from bench.cost.layers import ELEMENT_BYTES, LayerCost, kind_of
from bench.cost.onnx_shapes import Shape, Shaped, shaped

_WEIGHT_TYPES = {number for name, number in onnx.TensorProto.DataType.items() if name in operators.ONNX_WEIGHT_TYPES}


@dataclass(frozen=True, slots=True)
class Count:
    """The layers of a graph, and what a reader of the figures should know."""

    layers: list[LayerCost]
    warnings: tuple[str, ...]


def count(
    model: str | Path | onnx.ModelProto,
    dimensions: Mapping[str, int] | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    batch_size: int = 1,
) -> Count:
    """The cost of every node of an ONNX graph, per element of the batch, in the order of the file.

    Nodes that compute from constants alone are no layers, but their weights belong to the node that reads them. A node
    that cannot be counted (an operator that is not known here, a shape that cannot be inferred) has mult_adds None.

    Args:
        model: the file, or the graph.
        dimensions: sizes of open dimensions by name.
        shapes: whole shapes by the input's name, the batch included.
        batch_size: of an open batch that nothing else settles.

    Raises WrongUsage for an open dimension without a size, Failed for a file that is no model or contradicts itself.
    """
    known = shaped(model, dimensions, shapes, batch_size)
    return Count(_Reader(known).layers(), known.warnings)


def layers(model: str | Path | onnx.ModelProto, dimensions: Mapping[str, int] | None = None) -> list[LayerCost]:
    """The layers alone; see `count`."""
    return count(model, dimensions).layers


@dataclass(frozen=True, slots=True)
class _Product:
    """What an operator that multiplies works on, and what follows from it."""

    kind: str
    mult_adds: int  # for the whole batch
    output_shape: Shape  # without the batch, channels last


class _Reader:
    """A graph with all its shapes, read node by node."""

    def __init__(self, known: Shaped) -> None:
        self.graph = graph = known.graph
        self.shapes = known.shapes
        self.called = known.called
        self.inputs = known.inputs
        self.batch = known.batch
        self.elements = {t.name: prod(t.dims) for t in graph.initializer if t.data_type in _WEIGHT_TYPES}
        self.origins = {
            t.name: frozenset({t.name}) for t in graph.initializer
        }  # constant -> initialisers it is made of
        self.read = {name for node in graph.node for name in node.input} | {value.name for value in graph.output}
        self.writers: dict[str, str] = {}  # tensor -> its layer
        self.sizes: dict[str, int] = {}  # layer -> bytes of its output
        self.names: Counter[str] = Counter()
        self.paid: set[str] = set()  # initialisers whose elements are counted

    def layers(self) -> list[LayerCost]:
        """Every layer in the order of the file."""
        layers = [self._layer(name, "Input", (), (name,), 0) for name in self.inputs]
        for node in self.graph.node:
            if node.op_type == "Constant" and not node.domain:
                self._constant(node)
            elif operators.is_free(node) and node.input and all(name in self.origins for name in node.input if name):
                made_of = frozenset().union(*(self.origins[name] for name in _learnt(node)))
                self.origins.update((name, made_of) for name in node.output)
            else:
                layers.append(self._node(node))
        return layers

    def _constant(self, node: onnx.NodeProto) -> None:
        """A Constant node is one more initialiser."""
        (name,) = node.output
        self.origins[name] = frozenset({name})
        tensor = next((a.t for a in node.attribute if a.name == "value"), None)
        floats = next((a.floats for a in node.attribute if a.name == "value_floats"), None)
        if floats is not None:
            self.shapes.setdefault(name, (len(floats),))
            self.elements[name] = len(floats)
        if tensor is not None:
            self.shapes.setdefault(name, tuple(tensor.dims))
            if tensor.data_type in _WEIGHT_TYPES:
                self.elements[name] = prod(tensor.dims)

    def _node(self, node: onnx.NodeProto) -> LayerCost:
        """The cost of one node."""
        params = self._params(node)
        name = node.name or next(iter(node.output), node.op_type)
        base = name
        while name in self.sizes:
            self.names[base] += 1
            name = f"{base} ({self.names[base] + 1})"
        sources = tuple(dict.fromkeys(self.writers[source] for source in node.input if source in self.writers))
        product = self._product(node)
        operator = self.called.get(next(iter(node.output), ""), node.op_type)
        if product is None:
            mult_adds = 0 if operators.is_free(node) or _is_idle(node) else None
            in_place = node.op_type in operators.ONNX_IN_PLACE
            return self._layer(name, operator, sources, tuple(node.output), mult_adds, params, in_place=in_place)
        layer = self._layer(name, operator, sources, tuple(node.output), product.mult_adds // self.batch, params)
        held = [self.shapes[n] for n in _operands(node)[::-1] if n in self.origins and n in self.shapes]
        weights = sum(map(prod, held)) if node.op_type in _RECURRENT else prod(held[0]) if held else 0
        return replace(layer, kind=product.kind, weights=weights, output_shape=product.output_shape)

    def _product(self, node: onnx.NodeProto) -> _Product | None:
        """What a node multiplies; None when it is none that multiplies, or its shapes are not known."""
        counter = None if node.domain not in ("", "ai.onnx") else _COUNTERS.get(node.op_type)
        if counter is None:
            return None
        operands, written = _operands(node), self.shapes.get(next((n for n in node.output if n), ""))
        shapes = [self.shapes[name] for name in operands if name in self.shapes]
        if len(shapes) < len(operands) or written is None:
            return None
        try:
            return counter[0](node, shapes, written, self.batch)
        except (IndexError, ValueError, TypeError, ZeroDivisionError):
            return None  # shapes that do not fit its operator

    def _params(self, node: onnx.NodeProto) -> int:
        """Elements of the weights that this node is the first to read."""
        made_of = (self.origins.get(name, frozenset()) for name in _learnt(node))
        scalable = node.op_type in operators.ONNX_SCALABLE
        return operators.newly_paid(made_of, self.paid, self.elements, scalable=scalable)

    def _layer(
        self,
        name: str,
        operator: str,
        sources: tuple[str, ...],
        outputs: tuple[str, ...],
        mult_adds: int | None,
        params: int = 0,
        *,
        in_place: bool = False,
    ) -> LayerCost:
        shapes = [self.shapes.get(output) for output in outputs if output in self.read or len(outputs) == 1]
        known = [_without_batch(shape, self.batch) for shape in shapes if shape is not None]
        shape = None if len(known) < len(shapes) else known[0] if len(known) == 1 else (sum(map(prod, known)),)
        self.writers.update((output, name) for output in outputs)
        self.sizes[name] = 0 if shape is None else ELEMENT_BYTES * prod(shape)
        return LayerCost(
            name=name,
            kind="other",
            operator=operator,
            mult_adds=mult_adds,
            params=params,
            output_shape=shape,
            inputs=sources,
            input_bytes=sum(self.sizes[source] for source in sources),
            elementwise=in_place,
        )


def _learnt(node: onnx.NodeProto) -> list[str]:
    """The inputs of a node that may hold learnt weights."""
    if node.op_type in operators.ONNX_LEARNT_EVERYWHERE or not operators.is_free(node):
        places: Sequence[int] = operators.ONNX_LEARNT_AT.get(node.op_type, range(len(node.input)))
    else:
        places = (0,)
    return [node.input[place] for place in places if place < len(node.input) and node.input[place]]


def _is_idle(node: onnx.NodeProto) -> bool:
    """Whether nothing in the branches of an If or the body of a Loop multiplies, whichever runs and how often."""
    graphs = [a.g for a in node.attribute if a.type == onnx.AttributeProto.GRAPH]
    inner = [each for graph in graphs for each in graph.node]
    return bool(graphs) and not node.domain and all(operators.is_free(n) or n.op_type == "Constant" for n in inner)


def _operands(node: onnx.NodeProto) -> list[str]:
    """The inputs that a node multiplies with each other."""
    places = _COUNTERS[node.op_type][1]
    return list(node.input) if places is None else [node.input[place] for place in places if place < len(node.input)]


def _without_batch(shape: Shape, batch: int) -> Shape:
    return shape[1:] if shape[:1] == (batch,) else shape


def _attribute(node: onnx.NodeProto, name: str, default: int) -> int:
    return next((int(attribute.i) for attribute in node.attribute if attribute.name == name), default)


def _convolution(node: onnx.NodeProto, shapes: Sequence[Shape], written: Shape, _: int) -> _Product:
    """Every element written takes one product with each weight of its filter; the weight is (N, M/G, kernel...)."""
    n, m_of_group, *kernel = shapes[1]
    groups, places = _attribute(node, "group", 1), written[2:]
    kind = kind_of(kernel, m_of_group * groups, groups, prod(places))
    return _Product(kind, prod(written) * m_of_group * prod(kernel), (*places, n))


def _transposed(node: onnx.NodeProto, shapes: Sequence[Shape], written: Shape, _: int) -> _Product:
    """Every element read takes one product with each weight of its filter; the weight is (M, N/G, kernel...)."""
    m, n_of_group, *kernel = shapes[1]
    groups, places = _attribute(node, "group", 1), written[2:]
    mult_adds = prod(shapes[0]) * n_of_group * prod(kernel)
    return _Product(kind_of(kernel, m, groups, prod(places)), mult_adds, (*places, written[1]))


def _matmul(_: onnx.NodeProto, shapes: Sequence[Shape], written: Shape, batch: int) -> _Product:
    """Every element written is a sum over the last dimension of the left operand."""
    a, shape = shapes[0], _without_batch(written, batch)
    return _Product(kind_of((1,), a[-1], 1, prod(shape[:-1])), prod(written) * a[-1], shape)


def _gemm(node: onnx.NodeProto, shapes: Sequence[Shape], written: Shape, batch: int) -> _Product:
    """As a MatMul of two matrices, either of which may be transposed."""
    return _matmul(node, [shapes[0][::-1] if _attribute(node, "transA", 0) else shapes[0]], written, batch)


def _einsum(node: onnx.NodeProto, shapes: Sequence[Shape], written: Shape, batch: int) -> _Product:
    """A product for every choice of all indices of two operands; none for one operand, which only moves or sums."""
    equation = next(a.s.decode() for a in node.attribute if a.name == "equation").replace(" ", "")
    terms = equation.partition("->")[0].split(",")
    if len(terms) > 2 or len(terms) != len(shapes):
        raise ValueError("the order in which three are multiplied is not said")
    sizes: dict[str, int] = {}
    for term, shape in zip(terms, shapes, strict=True):
        letters = [*re.sub(r"\.\.\.", "", term)]
        spread = len(shape) - len(letters)  # the places that ... stands for, counted from the right as broadcast
        before = term.find("...") if "..." in term else len(letters)
        names = [*letters[:before], *(f"...{spread - i}" for i in range(spread)), *letters[before:]]
        for name, size in zip(names, shape, strict=True):
            sizes[name] = max(size, sizes.get(name, 1))
    shape = _without_batch(written, batch)
    mult_adds = prod(sizes.values()) if len(terms) == 2 else 0
    return _Product(kind_of((1,), 1, 1, prod(shape[:-1])), mult_adds, shape)


def _recurrent(_: onnx.NodeProto, shapes: Sequence[Shape], written: Shape, batch: int) -> _Product:
    """Every step multiplies the weights of all gates with its input and with the state before it, in each direction."""
    steps = prod(shapes[0][:2])  # of all sequences of the batch, in either layout
    return _Product("dense", steps * (prod(shapes[1]) + prod(shapes[2])), _without_batch(written, batch))


_RECURRENT = ("LSTM", "GRU", "RNN")
_Counter = Callable[[onnx.NodeProto, Sequence[Shape], Shape, int], _Product]
_COUNTERS: dict[str, tuple[_Counter, tuple[int, ...] | None]] = {  # with the places of its operands; None: all inputs
    "Conv": (_convolution, (0, 1)),
    "ConvInteger": (_convolution, (0, 1)),
    "QLinearConv": (_convolution, (0, 3)),
    "ConvTranspose": (_transposed, (0, 1)),
    "MatMul": (_matmul, (0, 1)),
    "MatMulInteger": (_matmul, (0, 1)),
    "QLinearMatMul": (_matmul, (0, 3)),
    "Gemm": (_gemm, (0, 1)),
    "Einsum": (_einsum, None),
    **dict.fromkeys(_RECURRENT, (_recurrent, (0, 1, 2))),
}
