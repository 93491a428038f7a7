"""Half precision in Keras: such models are exported in fp32, in which their weights are kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from bench.errors import Failed
from bench.export import weights

_HALVES = ("float16", "bfloat16", "float64")


def run_in_full_precision(model: keras.Model, images: Any) -> tuple[Any, tuple[str, ...]]:
    """Set a model to compute in float32, in place; its outputs for the images, and what to say of the change.

    What follows of the change is measured: its outputs before against those after. Raises Failed when the weights
    themselves are kept in half precision.
    """
    names = {str(layer.dtype_policy.name) for layer in _layers(model) if layer.compute_dtype in _HALVES}
    if not names:
        return weights.run(model, images), ()
    kept = sorted({str(variable.dtype) for variable in model.weights} & set(_HALVES))
    if kept:
        raise Failed(
            f"{model.name} keeps its weights in {kept[0]}; build it under the policy mixed_{kept[0]} or float32, load "
            "its weights, and export that"
        )
    before = np.asarray(weights.run(model, images), np.float64)
    for layer in _layers(model):
        if layer.compute_dtype in _HALVES:
            layer.dtype_policy = "float32"
    after = weights.run(model, images)
    difference = float(np.abs(before - after).max()) / max(float(np.abs(after).max()), 1e-30)
    return after, (
        f"the model computes in {', '.join(sorted(names))} and this file in fp32: Keras's own outputs change by "
        f"{difference:.0e} of their size",
    )


def _layers(model: keras.Model) -> Iterator[Any]:
    yield from model._flatten_layers()
