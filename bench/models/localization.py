"""A backbone becomes a localiser: its head, its loss, and the graph that decodes. Only worker processes import this.

The head predicts the notes' y = [l_c, box in centre form, class probabilities], see `bench.detection.targets`.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from bench import models

BUILDER = "bench.models.localization:build"
"""How a suite names `build` as its model."""
BOX_WEIGHT = 1.0
_TINY = 1e-7


def build(
    backbone: str,
    input_shape: tuple[int, ...],
    classes: int,
    alpha: float | None = None,
    include_preprocessing: bool | None = None,
) -> keras.Model:
    """A localiser that ends in decoded detections: (batch, 7), float32.

    A row holds xmin, ymin, xmax, ymax (relative, within [0, 1]), the score l_c x P(class), the class, and l_c.
    Usable in a suite as the builder "bench.models.localization:build"; weights come from `bench.training`.

    Args:
        backbone: a name that `bench.models.build` knows.
        input_shape: (height, width, channels).
        classes: how many classes there are.
        alpha: the backbone's width, where it has one.
        include_preprocessing: of the backbone, where it has it.

    Raises WrongUsage for an unknown backbone or arguments that it does not take.
    """
    given = {"alpha": alpha, "include_preprocessing": include_preprocessing}
    return decoded(predictor(backbone, input_shape, classes, {k: v for k, v in given.items() if v is not None}))


def predictor(backbone: str, input_shape: tuple[int, ...], classes: int, arguments: dict[str, Any]) -> keras.Model:
    """A localiser that ends in y, (batch, 5 + classes): sigmoids for l_c and the box, a softmax over the classes."""
    body = models.build(backbone, arguments=arguments, input_shape=input_shape, head="none")
    # The place of an object is lost in an average over the map: keep the map, with few channels.
    x = keras.layers.Conv2D(96, 1, use_bias=False, name="head_squeeze")(body.output)
    x = keras.layers.BatchNormalization(name="head_norm")(x)
    x = keras.layers.ReLU(name="head_relu")(x)
    x = keras.layers.Flatten(name="head_flatten")(x)
    x = keras.layers.Dense(192, activation="relu", name="head_hidden")(x)
    objectness = keras.layers.Dense(1, activation="sigmoid", name="head_objectness")(x)
    box = keras.layers.Dense(4, activation="sigmoid", name="head_box")(x)
    probabilities = keras.layers.Dense(classes, activation="softmax", name="head_classes")(x)
    y = keras.layers.Concatenate(name="head_y")([objectness, box, probabilities])
    return keras.Model(body.input, y, name=f"{body.name}_predictor")


def decoded(model: keras.Model) -> keras.Model:
    """The same network with the decoding inside, so that timing it times the decoding too. Shares the weights."""
    y = model.output
    objectness, centre, sizes, probabilities = y[:, 0:1], y[:, 1:3], y[:, 3:5], y[:, 5:]
    low = ops.clip(centre - sizes / 2, 0.0, 1.0)
    high = ops.clip(centre + sizes / 2, 0.0, 1.0)
    best, label = ops.top_k(probabilities, 1)  # Keras's argmax casts bits, which tf2onnx cannot translate
    detection = ops.concatenate([low, high, objectness * best, ops.cast(label, "float32"), objectness], axis=1)
    return keras.Model(model.input, detection, name=model.name.removesuffix("_predictor") + "_localizer")


def loss(truth: Any, predicted: Any) -> Any:
    """The loss of each y, (batch,): objectness always, box and class only where there is an object.

    Binary cross-entropy of l_c, plus l_c times (cross-entropy of the class + 1 - GIoU of the boxes + their L1
    distance in corners). GIoU: Rezatofighi et al. 2019.
    """
    here = truth[:, 0]
    kept = ops.clip(predicted, _TINY, 1 - _TINY)
    objectness = -(here * ops.log(kept[:, 0]) + (1 - here) * ops.log(1 - kept[:, 0]))
    category = -ops.sum(truth[:, 5:] * ops.log(kept[:, 5:]), axis=1)
    a, b = _corners(truth[:, 1:5]), _corners(predicted[:, 1:5])
    distance = ops.mean(ops.abs(a - b), axis=1)
    return objectness + here * (category + BOX_WEIGHT * (1 - _giou(a, b) + distance))


def _corners(centre: Any) -> Any:
    middle, half = centre[:, :2], centre[:, 2:] / 2
    return ops.concatenate([middle - half, middle + half], axis=1)


def _giou(a: Any, b: Any) -> Any:
    """Generalised IoU of corner boxes, row by row: IoU less the share of the hull that neither box covers."""
    shared = _area(ops.maximum(a[:, :2], b[:, :2]), ops.minimum(a[:, 2:], b[:, 2:]))
    union = _area(a[:, :2], a[:, 2:]) + _area(b[:, :2], b[:, 2:]) - shared
    hull = _area(ops.minimum(a[:, :2], b[:, :2]), ops.maximum(a[:, 2:], b[:, 2:]))
    return shared / (union + _TINY) - (hull - union) / (hull + _TINY)


def _area(low: Any, high: Any) -> Any:
    side = ops.maximum(high - low, 0.0)
    return side[:, 0] * side[:, 1]
