"""ResNeXt, which Keras no longer ships (arXiv:1611.05431, Table 1: 32 groups, 4 channels each).

Grouped convolutions without bias, batch norm after each; 25,097,128 and 44,315,560 parameters for 1000 classes.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

GROUPS = 32
_EPSILON = 1.001e-5


def ResNeXt50(**options: Any) -> keras.Model:  # noqa: N802 - named as in keras.applications
    """ResNeXt-50 (32x4d); options as in `keras.applications.ResNet50`."""
    return _resnext((3, 4, 6, 3), name="resnext50", **options)


def ResNeXt101(**options: Any) -> keras.Model:  # noqa: N802
    """ResNeXt-101 (32x4d); options as in `keras.applications.ResNet101`."""
    return _resnext((3, 4, 23, 3), name="resnext101", **options)


def _resnext(
    blocks: tuple[int, ...],
    *,
    name: str,
    include_top: bool = True,
    weights: str | None = None,
    input_shape: tuple[int, ...] | None = None,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
) -> keras.Model:
    if weights is not None:
        raise ValueError("Keras ships no weights for ResNeXt; use a weights file of your own")
    image = layers.Input(input_shape or (224, 224, 3))
    x = layers.ZeroPadding2D(3, name="conv1_pad")(image)
    x = _conv_norm(x, 64, 7, stride=2, padding="valid", name="conv1")
    x = layers.ReLU(name="conv1_relu")(x)
    x = layers.ZeroPadding2D(1, name="pool1_pad")(x)
    x = layers.MaxPooling2D(3, strides=2, name="pool1_pool")(x)
    for stage, count in enumerate(blocks):
        for block in range(count):
            stride = 2 if block == 0 and stage > 0 else 1
            x = _block(x, 128 * 2**stage, stride, shortcut=block == 0, name=f"conv{stage + 2}_block{block + 1}")
    if include_top:
        x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
        x = layers.Dense(classes, activation=classifier_activation, name="predictions")(x)
    return keras.Model(image, x, name=name)


def _block(x: Any, filters: int, stride: int, *, shortcut: bool, name: str) -> Any:
    """1x1, grouped 3x3, 1x1 to twice the filters, and a residual connection."""
    same = _conv_norm(x, 2 * filters, 1, stride=stride, name=f"{name}_0") if shortcut else x
    x = layers.ReLU(name=f"{name}_1_relu")(_conv_norm(x, filters, 1, name=f"{name}_1"))
    x = layers.ZeroPadding2D(1, name=f"{name}_2_pad")(x)
    x = _conv_norm(x, filters, 3, stride=stride, groups=GROUPS, padding="valid", name=f"{name}_2")
    x = layers.ReLU(name=f"{name}_2_relu")(x)
    x = _conv_norm(x, 2 * filters, 1, name=f"{name}_3")
    return layers.ReLU(name=f"{name}_out")(layers.Add(name=f"{name}_add")([same, x]))


def _conv_norm(
    x: Any, filters: int, size: int, *, name: str, stride: int = 1, groups: int = 1, padding: str = "same"
) -> Any:
    x = layers.Conv2D(
        filters, size, strides=stride, padding=padding, groups=groups, use_bias=False, name=f"{name}_conv"
    )(x)
    return layers.BatchNormalization(epsilon=_EPSILON, name=f"{name}_bn")(x)
