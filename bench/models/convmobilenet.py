"""The full-convolution MobileNet of the MobileNet paper's Table 4 (arXiv:1704.04861).

MobileNet V1 with every depthwise-separable block replaced by one full 3x3 convolution: 29.3 M parameters and
4866 M mult-adds against MobileNet's 4.2 M and 569 M.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

_BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))
"""Filters and stride of each block: the paper's Table 1."""


def ConvMobileNet(  # noqa: N802 - named as in keras.applications
    *,
    include_top: bool = True,
    weights: str | None = None,
    input_shape: tuple[int, ...] | None = None,
    alpha: float = 1.0,
    classes: int = 1000,
    classifier_activation: str | None = "softmax",
) -> keras.Model:
    """MobileNet V1 with full convolutions; options as in `keras.applications.MobileNet`."""
    if weights is not None:
        raise ValueError("nobody has published weights for the full-convolution MobileNet; use a file of your own")
    image = layers.Input(input_shape or (224, 224, 3))
    x = _block(image, int(32 * alpha), 2, name="conv1")
    for number, (filters, stride) in enumerate(_BLOCKS, start=1):
        x = _block(x, int(filters * alpha), stride, name=f"conv_full_{number}")
    if include_top:
        x = layers.GlobalAveragePooling2D(keepdims=True)(x)
        x = layers.Conv2D(classes, 1, padding="same", name="conv_preds")(x)
        x = layers.Reshape((classes,), name="reshape_2")(x)
        x = layers.Activation(classifier_activation or "linear", name="predictions")(x)
    return keras.Model(image, x, name="conv_mobilenet")


def _block(x: Any, filters: int, stride: int, *, name: str) -> Any:
    """A padded 3x3 convolution, batch norm and ReLU6, as in Keras's MobileNet."""
    padding = "same"
    if stride == 2:
        x, padding = layers.ZeroPadding2D(((0, 1), (0, 1)), name=f"{name}_pad")(x), "valid"
    x = layers.Conv2D(filters, 3, strides=stride, padding=padding, use_bias=False, name=name)(x)
    x = layers.BatchNormalization(name=f"{name}_bn")(x)
    return layers.ReLU(6.0, name=f"{name}_relu")(x)
