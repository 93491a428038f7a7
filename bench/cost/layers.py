"""What each layer costs, and what all of them cost together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod

from bench.records import Cost, KindCost

KINDS = ("standard", "grouped", "depthwise", "pointwise", "dense", "other")
ELEMENT_BYTES = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerCost:
    """One layer of a network at batch size 1, in 4-byte elements.

    Kinds go by the arithmetic, not by the name: a dense layer applied at every position of a map is a pointwise
    convolution, and a 1x1 convolution of a 1x1 map is a dense layer.
    """

    name: str  # unique among the layers
    kind: str  # one of KINDS
    operator: str  # as the graph calls it, e.g. "DepthwiseConv2D" or "Conv"
    mult_adds: int | None  # None: it cannot be counted
    params: int  # bias included; 0 where a layer repeats the weights of an earlier one
    weights: int = 0  # elements of the kernel alone; 0 for layers that multiply no weights
    output_shape: tuple[int, ...] | None  # without the batch, channels last where it convolves; None: unknown
    inputs: tuple[str, ...] = ()  # the layers whose output it reads
    input_bytes: int = 0  # of all its inputs, each once
    elementwise: bool = False  # writes each element from the same place of its inputs, so it can overwrite one

    @property
    def activation_bytes(self) -> int:
        """Size of its output in bytes; 0 where it is unknown."""
        return 0 if self.output_shape is None else ELEMENT_BYTES * prod(self.output_shape)

    @property
    def moved_bytes(self) -> int:
        """Its inputs and weights read once and its output written once, as with a cache that holds all it reuses."""
        return self.input_bytes + ELEMENT_BYTES * self.params + self.activation_bytes

    @property
    def intensity(self) -> float | None:
        """Arithmetic intensity: operations (2 x mult-adds) per byte moved. None where mult-adds are not counted."""
        return None if self.mult_adds is None else 2 * self.mult_adds / max(1, self.moved_bytes)


def kind_of(kernel: Sequence[int], channels_in: int, groups: int, positions: int) -> str:
    """The kind of a convolution that writes `positions` places of a map.

    >>> kind_of((3, 3), 32, 32, 100), kind_of((3, 3), 32, 4, 100), kind_of((1, 1), 32, 1, 100), kind_of((1,), 8, 1, 1)
    ('depthwise', 'grouped', 'pointwise', 'dense')
    """
    if groups > 1:
        return "depthwise" if groups == channels_in else "grouped"
    if prod(kernel) > 1:
        return "standard"
    return "pointwise" if positions > 1 else "dense"


def total(layers: Sequence[LayerCost]) -> Cost:
    """The cost of a network; what cannot be counted is listed in `uncounted`, as `operator (layer)`."""
    kinds = {}
    for kind in KINDS:
        of_kind = [layer for layer in layers if layer.kind == kind]
        if of_kind:
            kinds[kind] = KindCost(
                layers=len(of_kind),
                mult_adds=sum(layer.mult_adds or 0 for layer in of_kind),
                params=sum(layer.params for layer in of_kind),
            )
    known = all(layer.output_shape is not None for layer in layers)
    return Cost(
        mult_adds=sum(layer.mult_adds or 0 for layer in layers),
        params=sum(layer.params for layer in layers),
        activation_bytes=sum(layer.activation_bytes for layer in layers) if known else None,
        peak_activation_bytes=peak_bytes(layers) if known else None,
        by_kind=kinds,
        uncounted=tuple(f"{layer.operator} ({layer.name})" for layer in layers if layer.mult_adds is None),
    )


def peak_bytes(layers: Sequence[LayerCost]) -> int:
    """Peak activation memory in bytes of a straight-line execution: the layers one after another, in this order.

    An output is alive from the start of its layer until the last layer that reads it has ended; outputs that nobody
    reads stay alive. While a layer runs, its inputs and its output are alive together, except that an element-wise
    layer overwrites an input of the same size that nobody needs afterwards. Weights and scratch memory do not count.
    """
    last = {name: step for step, layer in enumerate(layers) for name in layer.inputs}
    sizes = {layer.name: layer.activation_bytes for layer in layers}
    alive = peak = 0
    for step, layer in enumerate(layers):
        dying = {name for name in layer.inputs if last[name] == step and name in sizes}
        reused = layer.elementwise and any(sizes[name] == sizes[layer.name] for name in dying)
        peak = max(peak, alive + (0 if reused else sizes[layer.name]))
        alive += sizes[layer.name] - sum(sizes[name] for name in dying)
    return peak


@dataclass(frozen=True, order=True, slots=True)
class Step:
    """One layer that multiplies, without what differs between two spellings of the same network."""

    depth: int  # multiplying layers on the longest path up to this one
    kind: str
    mult_adds: int
    weights: int
    positions: int
    channels: int


def skeleton(layers: Iterable[LayerCost]) -> list[Step]:
    """The layers that multiply, ordered by depth: equal for two graphs of the same network.

    Branches that run side by side may be listed in any order by either graph, hence the order by depth and size.
    """
    depths: dict[str, int] = {}
    steps = []
    for layer in layers:
        depth = max((depths.get(name, 0) for name in layer.inputs), default=0)
        if layer.mult_adds and layer.weights and layer.output_shape:
            depth += 1
            *places, channels = layer.output_shape
            steps.append(Step(depth, layer.kind, layer.mult_adds, layer.weights, prod(places), channels))
        depths[layer.name] = depth
    return sorted(steps)
