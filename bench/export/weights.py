"""Random weights and inputs under which every layer matters.

With Keras's own initial values a check proves little: batch norm is the identity, biases are zero, layer scales are
1e-6, and signals fade until any error drowns in a flat softmax.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

_INPUT_SCALES: dict[str, tuple[float, float]] = {  # mean and deviation of an image after each preprocessing
    "caffe": (0.0, 60.0),
    "tf": (0.0, 0.5),
    "torch": (0.0, 1.0),
    "included": (128.0, 60.0),
}
_LOGIT_DEVIATION = 2.5
_SMALLEST_VARIANCE = 1e-3


def images(count: int, shape: tuple[int, ...], preprocess: str, seed: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Random images, float32 (count, height, width, channels): smooth blotches with noise on top.

    White noise alone would average out in global pooling, and all images would look the same to a classifier.
    """
    rng = np.random.default_rng(seed)
    mean, deviation = _INPUT_SCALES.get(preprocess, (0.0, 1.0))
    height, width, channels = shape
    coarse = rng.standard_normal((count, 8, 8, channels), dtype=np.float32)
    rows = np.arange(height) * 8 // height
    columns = np.arange(width) * 8 // width
    smooth = coarse[:, rows][:, :, columns]
    noise = rng.standard_normal((count, *shape), dtype=np.float32)
    return (mean + deviation * (0.8 * smooth + 0.6 * noise)).astype(np.float32)


def randomise(model: keras.Model, calibration: np.ndarray[Any, np.dtype[np.float32]], seed: int = 0) -> None:
    """Give a model that returns logits random weights, in place.

    Kernels as He et al. (arXiv:1502.01852), so that signals keep their size; scales, offsets and biases away from 1
    and 0; batch-norm statistics those of the calibration images; logits of a few units, as a trained network has.
    """
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        value = _random_value(variable.path.rsplit("/", 1)[-1], tuple(variable.shape), rng)
        if value is not None:
            variable.assign(value)
    norms = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]
    momenta = [layer.momentum for layer in norms]
    for layer in norms:
        layer.momentum = 0.0
    if norms:
        model(calibration, training=True)
    for layer, momentum in zip(norms, momenta, strict=True):
        layer.momentum = momentum
        layer.moving_variance.assign(np.maximum(np.asarray(layer.moving_variance), _SMALLEST_VARIANCE))
    _scale_logits(model, calibration)


def _random_value(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray[Any, Any] | None:
    if "kernel" in name:
        depthwise = "depthwise" in name
        fan_in = int(np.prod(shape[:2] if depthwise else shape[:-1]))
        return rng.standard_normal(shape, dtype=np.float32) * np.float32(np.sqrt(2.0 / max(fan_in, 1)))
    if name == "gamma" or name.startswith("variable"):  # a ConvNeXt's layer scale has no name
        return rng.uniform(0.7, 1.3, shape).astype(np.float32)
    if name in ("beta", "bias"):
        return rng.normal(0.0, 0.2, shape).astype(np.float32)
    return None


def _scale_logits(model: keras.Model, calibration: np.ndarray[Any, np.dtype[np.float32]]) -> None:
    """Scale the last kernel so that logits are of a size at which a softmax is neither flat nor a single one."""
    last = next((layer for layer in reversed(model.layers) if layer.weights), None)
    kernel = next((v for v in last.weights if "kernel" in v.path), None) if last is not None else None
    if kernel is None or len(model.output.shape) != 2:
        return
    deviation = float(np.std(np.asarray(model(calibration, training=False))))
    if deviation > 0:
        kernel.assign(np.asarray(kernel) * np.float32(_LOGIT_DEVIATION / deviation))
