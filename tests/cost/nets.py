"""Networks that the worker builds for test_cost_networks.py, named there as `tests.cost.nets:NAME`."""

from __future__ import annotations

import keras
from keras import layers


def every_layer() -> keras.Model:
    """One of each kind of layer that multiplies."""
    image = keras.Input((32, 32, 4))
    x = layers.Conv2D(8, 3, strides=2, padding="same", name="standard")(image)
    x = layers.BatchNormalization()(x)
    x = layers.Conv2D(8, 3, padding="same", groups=2, name="grouped")(x)
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, name="depthwise")(x)
    x = layers.Conv2D(6, 1, name="pointwise")(x)
    x = layers.SeparableConv2D(5, 3, padding="same", name="separable")(x)
    x = layers.Conv2DTranspose(3, 2, strides=2, name="transposed")(x)
    x = layers.Dense(7, name="dense_map")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, layers.Dense(10, name="dense")(x))


def shared() -> keras.Model:
    """One layer used twice, within a nested model used once."""
    twice = layers.Conv2D(4, 3, padding="same", name="twice")
    image = keras.Input((8, 8, 4))
    inner = keras.Sequential([keras.Input((8, 8, 4)), layers.Conv2D(4, 1, name="inside"), layers.ReLU()], name="nested")
    return keras.Model(image, layers.Add()([inner(twice(twice(image))), image]))


def open_size() -> keras.Model:
    """A network that leaves its input size open."""
    image = keras.Input((None, None, 3))
    return keras.Model(image, layers.Conv2D(2, 3, padding="same")(image))


class Mystery(keras.layers.Layer):
    """A layer of the user's own."""

    def call(self, x: object) -> object:
        return x


def mystery() -> keras.Model:
    """A network with layers whose work nobody knows."""
    image = keras.Input((8, 8))
    x = Mystery(name="what")(image)
    return keras.Model(image, layers.MultiHeadAttention(2, 4, name="attention")(x, x))


class Subclassed(keras.Model):
    """A model without a graph."""


def subclassed() -> keras.Model:
    return Subclassed(name="loose")
