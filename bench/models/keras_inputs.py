"""The input of a Keras model: its shape, its type, and whether it takes an image's pixels. Only for workers."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from bench.errors import Failed, WrongUsage

Shape = tuple[int, ...]

_CHANNELS = (1, 3, 4)
_FULL_PRECISION = ("float16", "bfloat16", "float64")
_OF_PIXELS = 50.0  # a divisor, a mean or a deviation so large is one of pixels from 0 to 255


def only(model: keras.Model, name: str | None = None) -> Any:
    """The one symbolic input of a model with one output. Raises Failed, with the remedy, for any other model.

    `name`: what people call the model; None: its own name.
    """
    if len(model.inputs) == 1 and len(model.outputs) == 1:
        return model.inputs[0]
    counts = f"{len(model.inputs)} input{_s(model.inputs)} and {len(model.outputs)} output{_s(model.outputs)}"
    remedy = "name a builder, module:function, that returns keras.Model(model.inputs[0], model.outputs[0])"
    if len(model.inputs) > 1:
        remedy = "name a builder, module:function, that returns the part behind one of them"
    raise Failed(f"{name or model.name} has {counts}; one of each works: {remedy}")


def shape(model: keras.Model, wanted: Shape | None, name: str | None = None) -> Shape:
    """The shape of one example of a model's input, its open sizes filled from `wanted`, (height, width, channels).

    Raises WrongUsage when a size stays open, or when the model was built for another size than the wanted.
    """
    own = tuple(only(model, name).shape[1:])
    sides = _sides(own)
    given = (None,) * len(own) if wanted is None else _aligned(tuple(wanted), own, sides)
    sizes = tuple(mine if mine is not None else theirs for mine, theirs in zip(own, given, strict=True))
    if any(given[axis] is not None and sizes[axis] != given[axis] for axis in sides) or (wanted and not sides):
        asked = _written(tuple(wanted or ()))
        raise WrongUsage(
            f"{name or model.name} was built for an input of {_written(own)}, which a size of {asked} cannot change; "
            "leave out the input size, or build the model for it"
        )
    if None in sizes:
        remedy = "give an input_size" if wanted is None else "build it with a keras.Input of fixed sizes"
        raise WrongUsage(f"{name or model.name} leaves its input shape {_written(own)} open; {remedy}")
    return sizes  # type: ignore[return-value]


def _aligned(wanted: Shape, own: tuple[int | None, ...], sides: list[int]) -> tuple[int | None, ...]:
    """(height, width, channels) along the axes of an input of another rank or order; None where it says nothing."""
    if len(wanted) == len(own) and (wanted[-1] not in _CHANNELS or sides != [1, 2] or len(own) != 3):
        return wanted
    placed: list[int | None] = [None] * len(own)
    for axis, size in zip(sides, wanted, strict=False):
        placed[axis] = size
    return tuple(placed)


def _sides(own: tuple[int | None, ...]) -> list[int]:
    """The axes of height and width; none where the input is no image or map."""
    if len(own) == 3:
        return [1, 2] if own[0] in _CHANNELS and own[-1] not in _CHANNELS else [0, 1]
    return {2: [0, 1], 4: [1, 2]}.get(len(own), [])


def dtype(model: keras.Model) -> str:
    """The type of a model's input as it is exported: its own, or float32 for any other floating-point type."""
    own = str(only(model).dtype)
    return "float32" if own in _FULL_PRECISION else own


def takes_pixels(model: keras.Model) -> bool:
    """Whether a model scales pixels from 0 to 255 itself: by what stands right behind its input."""
    return str(only(model).dtype) == "uint8" or bool(_scales(getattr(model, "_functional", None) or model))


def _scales(graph: Any) -> bool | None:
    """Whether the first layers of a graph scale pixels; None where they leave their input as it is."""
    if not hasattr(graph, "_nodes_by_depth"):
        return False
    tensor = graph.inputs[0]
    nodes = [node for depth in sorted(graph._nodes_by_depth, reverse=True) for node in graph._nodes_by_depth[depth]]
    while True:
        node = next((n for n in nodes if any(source is tensor for source in n.input_tensors)), None)
        if node is None:
            return None
        operation = node.operation
        inner = _scales(getattr(operation, "_functional", None) or operation) if _is_model(operation) else None
        scaling = inner if inner is not None else _scaling(operation, node)
        if scaling is not None or len(node.output_tensors) != 1:
            return bool(scaling)
        tensor = node.output_tensors[0]


def _is_model(operation: Any) -> bool:
    return isinstance(operation, keras.Model)


def _scaling(operation: Any, node: Any) -> bool | None:
    """Whether one layer scales pixels; None when it hands them on as they are."""
    layers = keras.layers
    if isinstance(operation, layers.Rescaling):
        return float(np.min(np.abs(operation.scale))) <= 1 / _OF_PIXELS
    if isinstance(operation, layers.Normalization):
        variance, mean = (np.asarray(operation.variance), np.asarray(operation.mean))
        return bool(np.max(np.abs(mean)) >= _OF_PIXELS or np.max(variance) >= _OF_PIXELS)
    kind = type(operation).__name__
    constants = [x for x in keras.tree.flatten((node.arguments.args, node.arguments.kwargs)) if _is_number(x)]
    largest = max((float(np.max(np.abs(x))) for x in constants), default=0.0)
    if kind in ("TrueDivide", "Divide", "Subtract", "Add"):
        return largest >= _OF_PIXELS
    if kind == "Multiply":
        return bool(constants) and largest <= 1 / _OF_PIXELS
    passes = kind.startswith("Random") or kind in _PASSING or _is_model(operation)
    return None if passes else False


def _is_number(x: object) -> bool:
    if isinstance(x, (int, float)) and not isinstance(x, bool):
        return True
    return isinstance(x, np.ndarray) or (keras.ops.is_tensor(x) and not isinstance(x, keras.KerasTensor))


_PASSING = (
    "InputLayer", "Cast", "CenterCrop", "Resizing", "GetItem", "Stack", "Dropout", "GaussianNoise", "GaussianDropout",
    "SpatialDropout2D", "ZeroPadding2D", "Identity", "AugMix", "AutoContrast", "Equalization", "Solarization",
    "CutMix", "MixUp", "RandAugment", "Permute", "Transpose", "Reshape", "ExpandDims", "Squeeze", "TimeDistributed",
)  # fmt: skip


def _written(sizes: tuple[int | None, ...]) -> str:
    return "x".join("?" if size is None else str(size) for size in sizes)


def _s(things: list[Any]) -> str:
    return "" if len(things) == 1 else "s"
