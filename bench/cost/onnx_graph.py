"""The cost of each layer, counted from an ONNX graph by shape inference. Imports onnx: for workers only.

Independent of the Keras side on purpose: it goes by the shapes of weights and outputs, not by formulas or layer names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

from bench.cost import operators
from bench.cost.layers import ELEMENT_BYTES, LayerCost, kind_of
from bench.errors import WrongUsage, suggestion

_WEIGHT_TYPES = {number for name, number in onnx.TensorProto.DataType.items() if name in operators.ONNX_WEIGHT_TYPES}
_WHOLE = {onnx.TensorProto.INT32, onnx.TensorProto.INT64, onnx.TensorProto.BOOL}  # the types of sizes and indices
_LARGE = 1024  # elements; initialisers above it hold weights, never a shape that inference has to read

Shape = tuple[int, ...]


def layers(model: str | Path | onnx.ModelProto, dimensions: Mapping[str, int] | None = None) -> list[LayerCost]:
    """The cost of every node of an ONNX graph, per element of the batch, in the order of the file.

    `dimensions` gives sizes to dynamic dimensions by name; a dynamic first dimension is the batch, 1 unless given.
    Nodes that compute from constants alone are no layers, but their weights belong to the node that reads them. A node
    that cannot be counted (an operator that is not known here, a shape that cannot be inferred) has mult_adds None.
    Raises WrongUsage for a file that is no model and for a dynamic dimension without a size.
    """
    graph = _inferred(_loaded(model), dimensions or {}).graph
    return _Reader(graph).layers()


def _loaded(model: str | Path | onnx.ModelProto) -> onnx.ModelProto:
    """A copy of the model without its large weights, which no count needs."""
    loaded = onnx.ModelProto()
    if isinstance(model, onnx.ModelProto):
        loaded.CopyFrom(model)
    else:
        try:
            loaded = onnx.load(str(model), load_external_data=False)
        except OSError as error:
            raise WrongUsage(f"{model}: cannot be read ({error.strerror}); check the path") from error
        except DecodeError as error:
            raise WrongUsage(f"{model} is no ONNX model, or is cut short; export or download it again") from error
    if not loaded.graph.node:
        raise WrongUsage(f"{model if not isinstance(model, onnx.ModelProto) else 'the model'} has an empty graph")
    if loaded.functions:
        from onnx import inliner

        loaded = inliner.inline_local_functions(loaded)
    for tensor in loaded.graph.initializer:
        if prod(tensor.dims) > _LARGE:
            for name in ("raw_data", "float_data", "int32_data", "int64_data", "double_data", "external_data"):
                tensor.ClearField(name)
    return loaded


def _inferred(model: onnx.ModelProto, dimensions: Mapping[str, int]) -> onnx.ModelProto:
    """The model with every shape that can be inferred, its dynamic input dimensions fixed."""
    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    known = {d.dim_param for value in inputs for d in value.type.tensor_type.shape.dim if d.dim_param}
    for name in dimensions:
        if name not in known:
            said = suggestion(name, known) or "it has none"
            raise WrongUsage(f'the graph has no dynamic dimension "{name}"; {said}')
    for value in inputs:
        if not value.type.tensor_type.HasField("shape"):
            raise WrongUsage(f'input "{value.name}" has no shape; export the model with one')
        for place, dim in enumerate(value.type.tensor_type.shape.dim):
            if dim.HasField("dim_value") and dim.dim_value > 0:
                continue
            size = dimensions.get(dim.dim_param, 1 if place == 0 else None)
            if size is None:
                name = f'"{dim.dim_param}"' if dim.dim_param else f"number {place}"
                raise WrongUsage(
                    f'dimension {name} of input "{value.name}" is dynamic; give it a size, '
                    f"e.g. dimensions = {{{dim.dim_param or 'NAME'} = 224}}"
                )
            dim.dim_value = size
    for value in [*graph.value_info, *graph.output]:  # an open size noted here would stand in inference's way
        if not all(dim.HasField("dim_value") for dim in value.type.tensor_type.shape.dim):
            value.type.tensor_type.ClearField("shape")
    large = [tensor for tensor in graph.initializer if prod(tensor.dims) > _LARGE]
    stand_ins = [onnx.helper.make_tensor_value_info(t.name, t.data_type, list(t.dims)) for t in large]
    already = {value.name for value in graph.input}
    graph.input.extend(value for value in stand_ins if value.name not in already)
    kept = [tensor for tensor in graph.initializer if prod(tensor.dims) <= _LARGE]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    inferred = _shaped(model)
    while _fold(inferred.graph):
        inferred = _shaped(inferred)
    inferred.graph.initializer.extend(large)
    return inferred


def _shaped(model: onnx.ModelProto) -> onnx.ModelProto:
    try:
        return onnx.shape_inference.infer_shapes(model, data_prop=True)
    except onnx.shape_inference.InferenceError as error:
        reason = " ".join(str(error).split())
        raise WrongUsage(f"the graph contradicts itself: {reason}; check it with onnx.checker") from error


def _fold(graph: onnx.GraphProto) -> bool:
    """Make constants of the sizes that nodes compute at run time, and are known beforehand. Whether there were any.

    Exporters write a reshape as arithmetic on the shape of its input, which inference alone does not always follow.
    """
    values = {t.name: numpy_helper.to_array(t) for t in graph.initializer if t.data_type in _WHOLE}
    shapes = _known_shapes([*graph.input, *graph.value_info])
    folded = []
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value" and node.attribute[0].t.data_type in _WHOLE:
            values[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
        elif node.op_type == "Shape" and not node.attribute and node.input[0] in shapes:
            values[node.output[0]] = np.array(shapes[node.input[0]], dtype=np.int64)
            folded.append(node)
        elif _is_free(node) and node.input and all(name in values for name in node.input if name):
            feeds = {name: values[name] for name in node.input if name}
            values.update(zip(node.output, ReferenceEvaluator(node).run(None, feeds), strict=True))
            folded.append(node)
    for node in folded:
        graph.node.remove(node)
        graph.initializer.extend(numpy_helper.from_array(np.asarray(values[name]), name) for name in node.output)
    return bool(folded)


def _known_shapes(values: Iterable[onnx.ValueInfoProto]) -> dict[str, Shape]:
    """The shapes without an open size, by tensor."""
    tensors = {value.name: value.type.tensor_type for value in values}
    return {
        name: tuple(dim.dim_value for dim in tensor.shape.dim)
        for name, tensor in tensors.items()
        if tensor.HasField("shape") and all(dim.HasField("dim_value") for dim in tensor.shape.dim)
    }


@dataclass(frozen=True, slots=True)
class _Product:
    """What an operator that multiplies works on, and what follows from it."""

    kind: str
    mult_adds: int  # for the whole batch
    output_shape: Shape  # without the batch, channels last


class _Reader:
    """A graph with all its shapes, read node by node."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.graph = graph
        self.shapes = _known_shapes([*graph.input, *graph.value_info, *graph.output])
        self.shapes |= {t.name: tuple(t.dims) for t in graph.initializer}
        self.elements = {t.name: prod(t.dims) for t in graph.initializer if t.data_type in _WEIGHT_TYPES}
        self.origins = {
            t.name: frozenset({t.name}) for t in graph.initializer
        }  # constant -> initialisers it is made of
        self.inputs = [value.name for value in graph.input if value.name not in self.origins]
        self.batch = max(1, min((self.shapes[n][0] for n in self.inputs if self.shapes.get(n)), default=1))
        self.writers: dict[str, str] = {}  # tensor -> its layer
        self.sizes: dict[str, int] = {}  # layer -> bytes of its output
        self.paid: set[str] = set()  # initialisers whose elements are counted

    def layers(self) -> list[LayerCost]:
        """Every layer in the order of the file."""
        found = [self._layer(name, "Input", (), (name,), 0) for name in self.inputs]
        for node in self.graph.node:
            if node.op_type == "Constant" and not node.domain:
                self._constant(node)
            elif _is_free(node) and node.input and all(name in self.origins for name in node.input if name):
                made_of = frozenset().union(*(self.origins[name] for name in _learnt(node)))
                self.origins.update((name, made_of) for name in node.output)
            else:
                found.append(self._node(node))
        return found

    def _constant(self, node: onnx.NodeProto) -> None:
        """A Constant node is one more initialiser."""
        (name,) = node.output
        self.origins[name] = frozenset({name})
        tensor = next((a.t for a in node.attribute if a.name == "value"), None)
        if tensor is not None:
            self.shapes.setdefault(name, tuple(tensor.dims))
            if tensor.data_type in _WEIGHT_TYPES:
                self.elements[name] = prod(tensor.dims)

    def _node(self, node: onnx.NodeProto) -> LayerCost:
        """The cost of one node."""
        params = self._params(node)
        name = node.name or node.output[0]
        while name in self.sizes:
            name += "'"
        sources = tuple(dict.fromkeys(self.writers[source] for source in node.input if source in self.writers))
        counter = None if node.domain else _COUNTERS.get(node.op_type)
        if counter is None:
            mult_adds = 0 if _is_free(node) else None
            in_place = node.op_type in operators.ONNX_IN_PLACE
            return self._layer(name, node.op_type, sources, tuple(node.output), mult_adds, params, in_place=in_place)
        count, left, right = counter
        shapes = [self.shapes.get(name) for name in (node.input[left], node.input[right], node.output[0])]
        a, b, written = shapes
        if a is None or b is None or written is None:
            return self._layer(name, node.op_type, sources, tuple(node.output), None, params)
        product = count(node, a, b, written, self.batch)
        held = [self.shapes[n] for n in (node.input[right], node.input[left]) if n in self.origins]
        layer = self._layer(name, node.op_type, sources, tuple(node.output), product.mult_adds // self.batch, params)
        weights = prod(held[0]) if held else 0
        return replace(layer, kind=product.kind, weights=weights, output_shape=product.output_shape)

    def _params(self, node: onnx.NodeProto) -> int:
        """Elements of the weights that this node is the first to read."""
        made_of = frozenset().union(*(self.origins.get(name, frozenset()) for name in _learnt(node))) - self.paid
        self.paid |= made_of
        sizes = [self.elements.get(name, 0) for name in made_of]
        return sum(size for size in sizes if size > 1 or node.op_type not in operators.ONNX_SCALABLE)

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
        shapes = [self.shapes.get(output) for output in outputs if output]
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
    if node.op_type in operators.ONNX_LEARNT_EVERYWHERE or not _is_free(node):
        places: Sequence[int] = operators.ONNX_LEARNT_AT.get(node.op_type, range(len(node.input)))
    else:
        places = (0,)
    return [node.input[place] for place in places if place < len(node.input) and node.input[place]]


def _is_free(node: onnx.NodeProto) -> bool:
    """Whether a standard operator multiplies no weights."""
    return node.domain in ("", "ai.onnx") and node.op_type in operators.ONNX_IN_PLACE | operators.ONNX_OTHER


def _without_batch(shape: Shape, batch: int) -> Shape:
    return shape[1:] if shape[:1] == (batch,) else shape


def _attribute(node: onnx.NodeProto, name: str, default: int) -> int:
    return next((int(attribute.i) for attribute in node.attribute if attribute.name == name), default)


def _convolution(node: onnx.NodeProto, _: Shape, weight: Shape, written: Shape, __: int) -> _Product:
    """Every element written takes one product with each weight of its filter; the weight is (N, M/G, kernel...)."""
    n, m_of_group, *kernel = weight
    groups, places = _attribute(node, "group", 1), written[2:]
    kind = kind_of(kernel, m_of_group * groups, groups, prod(places))
    return _Product(kind, prod(written) * m_of_group * prod(kernel), (*places, n))


def _transposed(node: onnx.NodeProto, read: Shape, weight: Shape, written: Shape, _: int) -> _Product:
    """Every element read takes one product with each weight of its filter; the weight is (M, N/G, kernel...)."""
    m, n_of_group, *kernel = weight
    groups, places = _attribute(node, "group", 1), written[2:]
    return _Product(
        kind_of(kernel, m, groups, prod(places)), prod(read) * n_of_group * prod(kernel), (*places, written[1])
    )


def _matmul(_: onnx.NodeProto, a: Shape, __: Shape, written: Shape, batch: int) -> _Product:
    """Every element written is a sum over the last dimension of the left operand."""
    shape = _without_batch(written, batch)
    return _Product(kind_of((1,), a[-1], 1, prod(shape[:-1])), prod(written) * a[-1], shape)


def _gemm(node: onnx.NodeProto, a: Shape, _: Shape, written: Shape, batch: int) -> _Product:
    """As a MatMul of two matrices, either of which may be transposed."""
    return _matmul(node, a[::-1] if _attribute(node, "transA", 0) else a, a, written, batch)


_Counter = Callable[[onnx.NodeProto, Shape, Shape, Shape, int], _Product]
_COUNTERS: dict[str, tuple[_Counter, int, int]] = {  # with the places of the two operands among the inputs
    "Conv": (_convolution, 0, 1),
    "ConvInteger": (_convolution, 0, 1),
    "QLinearConv": (_convolution, 0, 3),
    "ConvTranspose": (_transposed, 0, 1),
    "MatMul": (_matmul, 0, 1),
    "MatMulInteger": (_matmul, 0, 1),
    "QLinearMatMul": (_matmul, 0, 3),
    "Gemm": (_gemm, 0, 1),
}
