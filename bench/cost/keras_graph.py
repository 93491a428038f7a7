"""The cost of each layer, counted from a Keras model's graph by the formulas. Imports Keras: for workers only."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import keras
from keras import layers as kl

from bench.cost import formulas
from bench.cost.formulas import Count
from bench.cost.layers import ELEMENT_BYTES, LayerCost, kind_of
from bench.cost.operators import KERAS_AUGMENTING, KERAS_IN_PLACE, KERAS_OTHER
from bench.errors import Failed, WrongUsage
from bench.models import keras_inputs
from bench.models.own import has_graph

_CONVOLUTIONS = (kl.Conv1D, kl.Conv2D, kl.Conv3D)
_TRANSPOSED = (kl.Conv1DTranspose, kl.Conv2DTranspose, kl.Conv3DTranspose)
_DEPTHWISE = (kl.DepthwiseConv1D, kl.DepthwiseConv2D)
_SEPARABLE = (kl.SeparableConv1D, kl.SeparableConv2D)

Shape = tuple[int, ...]


def layers(model: keras.Model, input_shape: Sequence[int] | None = None, name: str | None = None) -> list[LayerCost]:
    """The cost of every layer of a model with a graph at batch size 1, in the order of execution.

    `input_shape` is without the batch, and needed where the model leaves a size open; `name` is what messages call the
    model, None: its own name. A separable convolution comes as its depthwise and its pointwise half. The layers' params
    sum to `model.count_params()`. Raises WrongUsage for an open size and for a model without a graph, Failed when
    weights lie outside of the layers.
    """
    graph = functional(model)
    walk = _Walk()
    if len(graph.inputs) == 1:
        (image,) = graph.inputs
        shape = keras_inputs.shape(model, tuple(input_shape) if input_shape else None, name)
        if None in image.shape[1:]:
            walk.symbols[id(image)] = keras.KerasTensor((None, *shape), image.dtype)
    walk.model(graph, None, "")
    params = sum(layer.params for layer in walk.found)
    if params != model.count_params():
        raise Failed(
            f"{model.name} has {model.count_params():,} params but its layers {params:,}: a layer hides weights; "
            "export it and count the .onnx file"
        )
    return walk.found


@dataclass(slots=True)
class _Walk:
    """The layers found so far, and which of them wrote each tensor."""

    found: list[LayerCost] = field(default_factory=list)
    writers: dict[int, str] = field(default_factory=dict)  # id of a symbolic tensor -> name of its layer
    sizes: dict[str, int] = field(default_factory=dict)  # name of a layer -> bytes of its output
    paid: set[int] = field(default_factory=set)  # ids of the layers whose params are counted
    symbols: dict[int, Any] = field(default_factory=dict)  # id of a symbolic tensor of open sizes -> one without

    def model(self, graph: keras.Model, outer: list[str] | None, prefix: str) -> list[str]:
        """Walk a graph whose inputs the layers `outer` write (None: they are the network's own); name its outputs."""
        if outer is not None:
            self.writers.update((id(tensor), name) for tensor, name in zip(graph.inputs, outer, strict=True))
        for node in in_order(graph):
            operation, tensors = node.operation, list(node.input_tensors)
            if outer is not None and isinstance(operation, kl.InputLayer):
                continue
            names = [self.writers[id(tensor)] for tensor in tensors]
            inner = self._inner(operation, tensors)
            if inner is not None:
                self._pass_on(tensors, inner.inputs)
                written = self.model(inner, names, f"{prefix}{operation.name}/")
                self._pass_on(inner.outputs, node.output_tensors)
            else:
                self._close(node)
                written = [self.layer(operation, node, names, prefix)] * len(node.output_tensors)
            self.writers.update((id(tensor), name) for tensor, name in zip(node.output_tensors, written, strict=True))
        return [self.writers[id(tensor)] for tensor in graph.outputs]

    def _inner(self, operation: Any, tensors: list[Any]) -> Any:
        """The graph of a model that is used as a layer; None for a layer, and a model whose call cannot be followed."""
        if not isinstance(operation, keras.Model):
            return None
        if has_graph(operation):
            return functional(operation)
        return _followed(operation, [keras.Input(self.shape(t, operation), dtype=t.dtype) for t in tensors])

    def _pass_on(self, sources: list[Any], targets: list[Any]) -> None:
        """Let tensors have the sizes of others, where these are open."""
        for source, target in zip(sources, targets, strict=True):
            if id(source) in self.symbols:
                self.symbols[id(target)] = self.symbols[id(source)]

    def _close(self, node: Any) -> None:
        """Work out the sizes of a node's outputs where they were left open."""
        if not self.symbols.keys() & {id(tensor) for tensor in node.input_tensors}:
            return
        arguments, keywords = node.arguments.fill_in(self.symbols)
        sized = keras.tree.flatten(node.operation.compute_output_spec(*arguments, **keywords))
        self.symbols.update((id(open_), known) for open_, known in zip(node.output_tensors, sized, strict=True))

    def shape(self, tensor: Any, operation: Any) -> Shape:
        """A symbolic tensor's shape without the batch. Raises WrongUsage for an open size."""
        shape = self.symbols.get(id(tensor), tensor).shape[1:]
        if any(side is None for side in shape):
            raise WrongUsage(f"{operation.name}: a size of {tensor.shape} is open; give the input size")
        return tuple(shape)

    def layer(self, operation: Any, node: Any, inputs: list[str], prefix: str) -> str:
        """Count one layer; the name of what writes its output."""
        name = prefix + operation.name
        while name in self.sizes:
            name += "'"
        shapes = [self.shape(tensor, operation) for tensor in node.output_tensors]
        shape = shapes[0] if len(shapes) == 1 else (sum(map(prod, shapes)),)
        sources = [self.shape(tensor, operation) for tensor in node.input_tensors]
        params = 0 if id(operation) in self.paid else getattr(operation, "count_params", int)()
        self.paid.add(id(operation))
        if isinstance(operation, _SEPARABLE):
            return self._separable(operation, name, sources[0], shape, inputs, params)
        counted = _count(operation, sources, shape)
        operator = type(operation).__name__
        if counted is None:
            free, in_place = _is_free(operation), operator in KERAS_IN_PLACE
            return self._add(name, operator, shape, inputs, Count(0, 0) if free else None, params, in_place=in_place)
        kind, count, shape = counted
        return self._add(name, operator, shape, inputs, count, params, kind)

    def _separable(self, conv: Any, name: str, source: Shape, shape: Shape, inputs: list[str], params: int) -> str:
        """A separable convolution as two layers, the depthwise and the pointwise one; the latter has the bias."""
        positions, n = _places(conv, shape)
        m = _places(conv, source)[1]
        kernel = tuple(conv.kernel_size)
        wide = m * conv.depth_multiplier
        first = formulas.depthwise(kernel, positions, m, multiplier=conv.depth_multiplier)
        second = formulas.pointwise(positions, wide, n)
        paid = min(params, first.params)
        kinds = kind_of(kernel, m, m, prod(positions)), kind_of((1,), wide, 1, prod(positions))
        operator = type(conv).__name__
        half = self._add(f"{name}/depthwise", operator, (*positions, wide), inputs, first, paid, kinds[0])
        return self._add(name, operator, (*positions, n), [half], second, params - paid, kinds[1])

    def _add(
        self,
        name: str,
        operator: str,
        shape: Shape,
        inputs: list[str],
        count: Count | None,
        params: int,
        kind: str = "other",
        *,
        in_place: bool = False,
    ) -> str:
        """Note one layer down; its name. `count` is of the kernel alone, None where it cannot be counted."""
        self.sizes[name] = ELEMENT_BYTES * prod(shape)
        self.found.append(
            LayerCost(
                name=name,
                kind=kind,
                operator=operator,
                mult_adds=count.mult_adds if count else None,
                params=params,
                weights=count.params if count else 0,
                output_shape=shape,
                inputs=tuple(inputs),
                input_bytes=sum(self.sizes[source] for source in dict.fromkeys(inputs)),
                elementwise=in_place,
            )
        )
        return name


def _count(layer: Any, sources: list[Shape], shape: Shape) -> tuple[str, Count, Shape] | None:
    """Kind, count and output shape (channels last) of a layer that multiplies weights; None for any other."""
    for classes, count in _COUNTERS:
        if isinstance(layer, classes):
            return count(layer, sources[0], shape)
    return None


def _convolution(layer: Any, source: Shape, shape: Shape) -> tuple[str, Count, Shape]:
    (positions, n), (_, m) = _places(layer, shape), _places(layer, source)
    kernel = tuple(layer.kernel_size)
    count = formulas.grouped(kernel, positions, m, n, layer.groups)
    return kind_of(kernel, m, layer.groups, prod(positions)), count, (*positions, n)


def _transposed(layer: Any, source: Shape, shape: Shape) -> tuple[str, Count, Shape]:
    (written, n), (read, m) = _places(layer, shape), _places(layer, source)
    kernel = tuple(layer.kernel_size)
    return kind_of(kernel, m, 1, prod(written)), formulas.standard(kernel, read, m, n), (*written, n)


def _depthwise(layer: Any, source: Shape, shape: Shape) -> tuple[str, Count, Shape]:
    (positions, n), (_, m) = _places(layer, shape), _places(layer, source)
    kernel = tuple(layer.kernel_size)
    count = formulas.depthwise(kernel, positions, m, multiplier=layer.depth_multiplier)
    return kind_of(kernel, m, m, prod(positions)), count, (*positions, n)


def _dense(layer: Any, source: Shape, shape: Shape) -> tuple[str, Count, Shape]:
    positions = shape[:-1] or (1,)
    return kind_of((1,), source[-1], 1, prod(positions)), formulas.pointwise(positions, source[-1], shape[-1]), shape


_Counter = Callable[[Any, Shape, Shape], tuple[str, Count, Shape]]
_COUNTERS: tuple[tuple[tuple[type, ...], _Counter], ...] = (
    (_CONVOLUTIONS, _convolution),
    (_TRANSPOSED, _transposed),
    (_DEPTHWISE, _depthwise),
    ((kl.Dense,), _dense),
)


def _places(layer: Any, shape: Shape) -> tuple[Shape, int]:
    """The spatial sides and the channels of a map."""
    return (shape[1:], shape[0]) if layer.data_format == "channels_first" else (shape[:-1], shape[-1])


def _is_free(operation: Any) -> bool:
    """Whether an operation is one of Keras's own that multiplies no weights."""
    of_keras = type(operation).__module__.partition(".")[0] == "keras"
    return of_keras and type(operation).__name__ in KERAS_IN_PLACE | KERAS_OTHER | KERAS_AUGMENTING


def _followed(model: Any, images: list[Any]) -> Any:
    """The graph of the layers that a subclassed model calls; None where its code asks for more than symbols."""
    inference = {"training": False} if "training" in inspect.signature(model.call).parameters else {}
    try:
        graph = keras.Model(images, model.call(*images, **inference))
    except Exception:  # whatever the model's own code raises
        return None
    return graph if graph.count_params() == model.count_params() else None


def functional(model: Any) -> Any:
    """The graph of a model. Raises WrongUsage for one that has none."""
    if not has_graph(model):
        raise WrongUsage(f"{model.name} is a subclassed model without a graph; export it and count the .onnx file")
    return getattr(model, "_functional", None) or model


def in_order(graph: Any) -> Iterator[Any]:
    """The nodes of a graph, each after those that it reads, depth first from the outputs, as source code would run."""
    makers = {id(t): node for nodes in graph._nodes_by_depth.values() for node in nodes for t in node.output_tensors}
    done: set[int] = set()
    stack = [(makers[id(tensor)], False) for tensor in reversed([*graph.inputs, *graph.outputs])]
    while stack:
        node, ready = stack.pop()
        if ready:
            yield node
        elif id(node) not in done:
            done.add(id(node))
            stack.append((node, True))
            stack.extend((makers[id(tensor)], False) for tensor in reversed(node.input_tensors) if id(tensor) in makers)
