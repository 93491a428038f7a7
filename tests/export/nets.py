"""Networks that test_export*.py builds, named there as `tests.export.nets:NAME`."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import keras
from keras import layers

CHANNELS = 8


def varied(input_shape: tuple[int, ...] = (33, 29, 3), classes: int = 10) -> keras.Model:
    """Every kind of layer that backbones are made of, small: a change anywhere must reach the logits."""
    image = keras.Input(input_shape)
    x = layers.Conv2D(CHANNELS, 3, strides=2, padding="same", use_bias=False, name="stem")(image)
    x = layers.BatchNormalization(name="stem_norm")(x)
    x = layers.Activation("hard_swish", name="stem_act")(x)
    y = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    y = layers.BatchNormalization(name="depthwise_norm")(y)
    y = layers.Activation("swish")(y)
    s = layers.GlobalAveragePooling2D(keepdims=True)(y)
    s = layers.Conv2D(4, 1, activation="relu", name="squeeze")(s)
    s = layers.Conv2D(CHANNELS, 1, activation="hard_sigmoid", name="excite")(s)
    y = layers.Multiply()([y, s])
    x = layers.Add()([x, layers.Conv2D(CHANNELS, 1, name="project")(y)])
    x = layers.Conv2D(2 * CHANNELS, 3, strides=2, padding="same", groups=4, name="grouped")(x)
    x = layers.LayerNormalization(epsilon=1e-6, name="layer_norm")(x)
    x = layers.Activation("gelu")(x)
    x = layers.SeparableConv2D(2 * CHANNELS, 5, padding="same", name="separable")(x)
    x = layers.AveragePooling2D(2, padding="same")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, layers.Dense(classes, activation="softmax", name="predictions")(x), name="varied")


def plain(scale: int = 1) -> keras.Model:
    """Next to nothing; made in no time."""
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(4 * scale, 3, name="conv")(image)
    return keras.Model(image, layers.Dense(5)(layers.GlobalAveragePooling2D()(x)), name="plain")


def solid() -> keras.Model:
    """Enough weights that a file is mostly weights, with a branch, and a softmax at its end."""
    image = keras.Input((16, 16, 3))
    x = layers.Conv2D(64, 3, padding="same", activation="relu", name="first")(image)
    y = layers.Conv2D(64, 3, padding="same", name="second")(x)
    x = layers.ReLU()(layers.Add()([x, y]))
    x = layers.Conv2D(128, 3, strides=2, activation="relu", name="third")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, layers.Dense(10, activation="softmax")(x), name="solid")


def wide() -> keras.Model:
    """Nearly all of its weights and most of its mult-adds in dense layers; also one at every place of a map."""
    image = keras.Input((16, 16, 3))
    x = layers.Conv2D(16, 3, strides=2, padding="same", activation="relu", name="stem")(image)
    x = layers.Dense(32, activation="gelu", name="everywhere")(x)
    x = layers.Dense(512, activation="relu", name="large")(layers.Flatten()(x))
    return keras.Model(image, layers.Dense(10, activation="softmax")(x), name="wide")


def convolutions() -> keras.Model:
    """No product of matrices at all."""
    image = keras.Input((16, 16, 3))
    x = layers.Conv2D(10, 3, name="only")(image)
    return keras.Model(image, layers.GlobalAveragePooling2D()(x), name="convolutions")


def slow(marker: str) -> keras.Model:
    """`plain`, but says in a file that it is being built, and waits until that file is gone."""
    Path(marker).write_text(str(os.getpid()))
    while Path(marker).exists():
        time.sleep(0.05)
    return plain(scale=2)


def killed() -> keras.Model:
    """Ends its process the way the kernel does when memory runs out."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def segfault() -> keras.Model:
    """Ends its process the way a bug in a library does."""
    os.kill(os.getpid(), signal.SIGSEGV)
    raise AssertionError


def talkative() -> keras.Model:
    """Writes to stdout, from Python and below it."""
    print('{"path": "not an answer"}')
    os.write(1, b"nor this\n")
    return plain(scale=3)


def broken() -> keras.Model:
    """A bug of the user's."""
    raise RuntimeError("no such dataset\nsecond line")


def hungry() -> keras.Model:
    """More than there is."""
    raise MemoryError


def two_inputs() -> keras.Model:
    """A network that is not a backbone."""
    a, b = keras.Input((4, 4, 3)), keras.Input((4, 4, 3))
    return keras.Model([a, b], layers.Add()([a, b]))


def open_size() -> keras.Model:
    """A network that leaves its input size open."""
    image = keras.Input((None, None, 3))
    return keras.Model(image, layers.Conv2D(2, 3, padding="same")(image))


def unsupported() -> keras.Model:
    """An operator for which tf2onnx has no translation."""
    import tensorflow as tf

    image = keras.Input((8, 8, 3))
    x = layers.Lambda(lambda t: tf.math.erfcinv(tf.sigmoid(t)), output_shape=(8, 8, 3))(image)
    return keras.Model(image, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))
