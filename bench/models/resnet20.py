"""ResNet20, the small residual network for small images (He et al. 2015, arXiv:1512.03385, section 4.2)."""

from __future__ import annotations

from typing import Any

import keras

_WIDTHS = (16, 32, 64)
_BLOCKS = 3  # a stage
_SMALL = 48  # pixels; the paper's images have 32


def features(input_shape: tuple[int, ...]) -> keras.Model:
    """The network up to its last maps, (height / 4, width / 4, 64); above 48 pixels the first convolution halves, too.

    Usable in a suite as the builder "bench.models.resnet20:features", with `head = "notes"` as a classifier.

    Args:
        input_shape: (height, width, channels).
    """
    image = keras.Input(input_shape)
    x = _convolved(image, _WIDTHS[0], 2 if input_shape[0] > _SMALL else 1)
    x = keras.layers.ReLU()(x)
    for stage, width in enumerate(_WIDTHS):
        for block in range(_BLOCKS):
            x = _block(x, width, 2 if stage and not block else 1)
    return keras.Model(image, x, name="resnet20")


def _block(x: Any, width: int, stride: int) -> Any:
    """Two convolutions and a shortcut; a projection where the shape changes (the paper's option B)."""
    inner = keras.layers.ReLU()(_convolved(x, width, stride))
    inner = _convolved(inner, width, 1)
    shortcut = x if x.shape[-1] == width else _convolved(x, width, stride, size=1)
    return keras.layers.ReLU()(keras.layers.Add()([inner, shortcut]))


def _convolved(x: Any, width: int, stride: int, size: int = 3) -> Any:
    x = keras.layers.Conv2D(
        width, size, strides=stride, padding="same", use_bias=False, kernel_initializer="he_normal"
    )(x)
    return keras.layers.BatchNormalization()(x)
