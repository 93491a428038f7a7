"""A model as it is exported: built, with its weights, and the images and outputs that its file is checked with."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from bench.cost.layers import LayerCost
from bench.errors import BenchError
from bench.export.request import ExportRequest

CHECK_INPUTS = 3
LARGE_INPUT = 400  # pixels; above, one input fewer: two of them have more values than three of 224, and take longer
_SEED = 0
_LEAST_SPREAD = 10  # times the tolerance: how far outputs differ between images, at least


@dataclass(slots=True)
class Prepared:
    """A model as it is exported, and what it is checked with."""

    model: Any  # in float32, in inference
    images: Any  # (n, *shape), of the type of the model's input
    expected: Any  # its outputs for them
    layers: list[LayerCost] | None  # None: it has no graph to count
    takes_pixels: bool
    read: dict[str, str]  # files that its builder read, with their SHA-256
    warnings: tuple[str, ...]


def prepared(request: ExportRequest) -> Prepared:
    """Build what a request names. The same request makes the same weights.

    Only a named backbone gets random ones: what a file or a function brings is the user's own.
    """
    from bench import models
    from bench.cost import keras_graph
    from bench.export import policies, reading, weights
    from bench.models import building, keras_inputs
    from bench.suites import backbones

    building.fresh()
    random = request.weights == "none" and request.model in backbones()
    head = "none" if request.dense else request.head
    read: dict[str, str]
    with reading.recorded() as read, weights.unfilled() if random else nullcontext():
        model = models.build(
            request.model, arguments=json.loads(request.arguments), input_shape=request.input_shape, head=head,
            classes=request.classes, weights=request.weights,
        )  # fmt: skip
    shape, dtype = keras_inputs.shape(model, request.input_shape, request.model), keras_inputs.dtype(model)
    count = CHECK_INPUTS - (min(shape[:2]) > LARGE_INPUT if len(shape) == 3 else 0)
    preprocess = _preprocess(request, model)
    images = weights.images(count, shape, preprocess, _SEED, dtype)
    warnings: tuple[str, ...] = ()
    if random:
        expected = weights.randomise(model, images, _SEED)
    if request.dense:
        model = building.with_trained_head(model, request.dense)
    if request.dense or not random:
        expected, warnings = policies.run_in_full_precision(model, images)
    try:
        layers = keras_graph.layers(model, shape)
    except BenchError:
        layers = None
    pixels = preprocess == "included"
    read = read if ":" in request.model else {}  # what others read is part of the key
    return Prepared(model, images, expected, layers, pixels, read, (*warnings, *_hardly_checked(expected)))


def _preprocess(request: ExportRequest, model: Any) -> str:
    """How a model wants its pixels: by its family, or by what stands right behind its input."""
    from bench.models import keras_inputs
    from bench.suites import backbones

    return backbones().get(request.model, {}).get("preprocess") or (
        "included" if keras_inputs.takes_pixels(model) else "torch"
    )


def _hardly_checked(expected: Any) -> tuple[str, ...]:
    """A warning where outputs that do not depend on the images would hide a wrong file."""
    import numpy as np

    from bench.export import fidelity

    if fidelity.are_probabilities(expected):
        expected = np.log(np.maximum(expected, 1e-30))
    spread = np.ptp(expected, axis=0).max() if len(expected) > 1 else np.inf
    if spread > _LEAST_SPREAD * fidelity.TOLERANCE * np.abs(expected).max():
        return ()
    return (
        "its outputs are nearly the same for all images, as those of an untrained network: the check against Keras "
        "proves little; give it its trained weights",
    )
