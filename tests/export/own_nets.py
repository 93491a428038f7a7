"""Models as people write them, for test_own_models.py."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers


def _body(x: Any, head: Any = None) -> Any:
    x = layers.Conv2D(6, 3, strides=2, activation="relu")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return (head or layers.Dense(7, activation="softmax"))(x)


def _augmented(shape: tuple[int, ...] = (40, 30, 3)) -> keras.Model:
    """Augmentation at two depths, preprocessing inside, noise and dropout."""
    augmentation = keras.Sequential(
        [
            layers.RandomFlip(), layers.RandomTranslation(0.2, 0.2), layers.RandomBrightness(0.3),
            layers.RandomContrast(0.4), layers.RandomErasing(),
        ],
        name="augmentation",
    )  # fmt: skip
    outer = keras.Sequential([augmentation, layers.RandomZoom(0.2), layers.GaussianNoise(0.9)], name="outer")
    image = keras.Input(shape)
    x = layers.Rescaling(1 / 255)(outer(image))
    return keras.Model(image, _body(layers.Dropout(0.5)(x)), name="augmented")


def _frozen_base(head: Any) -> keras.Model:
    """Transfer learning as a Sequential with a nested base."""
    image = keras.Input((48, 48, 3))
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(image)
    x = layers.BatchNormalization()(x)
    x = layers.ReLU(6.0)(x)
    x = layers.DepthwiseConv2D(3, padding="same")(x)
    base = keras.Model(image, layers.Conv2D(16, 1)(x), name="base")
    base.trainable = False
    return keras.Sequential(
        [keras.Input((48, 48, 3)), layers.Rescaling(1 / 127.5, offset=-1), base, layers.GlobalMaxPooling2D(), *head]
    )


def _cropped() -> keras.Model:
    image = keras.Input((50, 60, 3))
    return keras.Model(image, _body(layers.Rescaling(1 / 255)(layers.RandomCrop(32, 32)(image))), name="cropped")


def _half(policy: str) -> keras.Model:
    keras.config.set_dtype_policy(policy)
    image = keras.Input((24, 24, 3))
    x = layers.Rescaling(1 / 255)(image)
    inner = keras.Sequential([keras.Input((24, 24, 3)), layers.Conv2D(8, 3), layers.BatchNormalization()], name="inner")
    x = layers.Activation("swish")(inner(x))
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(image, layers.Dense(5, activation="softmax", dtype="float32")(x), name=policy)
    keras.config.set_dtype_policy("float32")
    return model


def _open() -> keras.Model:
    base_in = keras.Input((None, None, 3))
    base = keras.Model(base_in, layers.Conv2D(4, 3, strides=2, padding="same")(base_in), name="open_base")
    image = keras.Input((None, None, 3))
    return keras.Model(image, layers.Dense(5)(layers.GlobalAveragePooling2D()(base(image))), name="open")


def _seeded(model: keras.Model) -> keras.Model:
    """With weights and batch-norm statistics that make every layer matter."""
    rng = np.random.default_rng(5)
    for variable in model.weights:
        if variable.dtype == "float32":
            last = variable.path.rpartition("/")[2]
            low, high = (0.5, 1.5) if last in ("gamma", "moving_variance") else (-0.4, 0.6)
            variable.assign(rng.uniform(low, high, variable.shape))
    return model


class Twice(layers.Layer):
    """A layer of one's own."""

    def call(self, x: Any) -> Any:
        return 2 * x


FILES: dict[str, Any] = {
    "augmented.keras": _augmented,
    "cropped.keras": _cropped,
    "logits.keras": lambda: _frozen_base([layers.Dropout(0.2), layers.Dense(4)]),
    "sigmoid.keras": lambda: _frozen_base([layers.Dense(1, activation="sigmoid")]),
    "layer_softmax.keras": lambda: _frozen_base([layers.Dense(4), layers.Softmax()]),
    "legacy.h5": lambda: _frozen_base([layers.Dense(4, activation="softmax")]),
    "float16.keras": lambda: _half("mixed_float16"),
    "bfloat16.keras": lambda: _half("mixed_bfloat16"),
    "open.keras": _open,
    "rows.keras": lambda: keras.Sequential([keras.Input((20, 24)), layers.Flatten(), layers.Dense(8)]),
    "flat.keras": lambda: keras.Sequential([keras.Input((60,)), layers.Dense(9, activation="relu"), layers.Dense(8)]),
    "video.keras": lambda: keras.Sequential(
        [keras.Input((5, 12, 12, 3)), layers.Conv3D(4, 3), layers.GlobalAveragePooling3D(), layers.Dense(3)]
    ),
    "own_layer.keras": lambda: keras.Sequential([keras.Input((8, 8, 3)), Twice(), layers.Flatten(), layers.Dense(2)]),
    "own_layer.h5": lambda: keras.Sequential([keras.Input((8, 8, 3)), Twice(), layers.Flatten(), layers.Dense(2)]),
    "lambda.keras": lambda: keras.Sequential(
        [keras.Input((8, 8, 3)), layers.Lambda(lambda t: t / 2), layers.Flatten(), layers.Dense(2)]
    ),
}


def pixels() -> keras.Model:
    """Takes uint8."""
    image = keras.Input((20, 20, 3), dtype="uint8")
    return _seeded(keras.Model(image, _body(layers.Rescaling(1 / 255)(image)), name="pixels"))


def rows_mean() -> keras.Model:
    """A mean over two axes that are no height and width."""
    image = keras.Input((9, 10, 4))
    x = layers.Reshape((30, 12))(image)
    x = keras.ops.mean(layers.Dense(6, activation="relu")(x), axis=[1, 2], keepdims=True)
    return _seeded(keras.Model(image, layers.Dense(3)(layers.Flatten()(x)), name="rows_mean"))


def unbuilt() -> keras.Model:
    """A Sequential that has seen no input."""
    return keras.Sequential([layers.Conv2D(4, 3), layers.GlobalAveragePooling2D(), layers.Dense(6)])


class Subclassed(keras.Model):
    """A model without a graph, with dropout, and a model without a graph inside."""

    def __init__(self, inner: keras.Model | None = None) -> None:
        super().__init__()
        self.first, self.inner, self.last = layers.Conv2D(4, 3), inner, layers.Dense(6)
        self.pool, self.drop = layers.GlobalAveragePooling2D(), layers.Dropout(0.5)

    def call(self, x: Any, training: bool = False) -> Any:
        x = keras.ops.relu(self.first(x))
        x = self.inner(x) if self.inner is not None else self.pool(x)
        return self.last(self.drop(x, training=training))


def subclassed() -> keras.Model:
    """Not built."""
    return Subclassed(Subclassed())


def whole_dictionary(input_shape: tuple[int, ...] = (16, 16, 3)) -> keras.Model:
    """One output, by name, of one input, by name."""
    image = keras.Input(input_shape, name="picture")
    return _seeded(keras.Model({"picture": image}, {"scores": _body(image)}))


def nothing() -> None:
    """Forgets to return."""
    unbuilt()


def leaves() -> None:
    """Ends the program, as a script's main function may."""
    sys.exit(3)


def layer() -> Any:
    """No model."""
    return layers.Dense(3)


def a_class() -> Any:
    """Not an instance."""
    return Subclassed


def needs_depth(input_shape: tuple[int, ...], depth: int) -> keras.Model:
    """Takes an argument of its own."""
    return unbuilt()


def two_outputs() -> keras.Model:
    """Scores and an embedding."""
    image = keras.Input((16, 16, 3))
    return keras.Model(image, [_body(image), layers.GlobalMaxPooling2D()(image)])


def leaves_settings() -> keras.Model:
    """Changes Keras for whoever comes after."""
    keras.config.set_dtype_policy("mixed_float16")
    keras.config.set_image_data_format("channels_first")
    keras.config.set_epsilon(0.1)
    return two_outputs()


def photographs(mode: str) -> keras.Model:
    """Begins with the preprocessing of a family, or with a layer that scales."""
    image = keras.Input((20, 20, 3))
    if mode == "adapted":
        layer = layers.Normalization()
        layer.adapt(np.random.default_rng(0).uniform(0, 255, (9, 20, 20, 3)).astype(np.float32))
        return _seeded(keras.Model(image, _body(layer(image))))
    if mode == "unit":  # wants 0 to 1
        return _seeded(keras.Model(image, _body(layers.Resizing(16, 16)(image))))
    return _seeded(keras.Model(image, _body(keras.applications.imagenet_utils.preprocess_input(image, mode=mode))))


class Token(layers.Layer):
    """Puts a learnt token before those of an image."""

    def build(self, shape: Any) -> None:
        self.token = self.add_weight(shape=(1, 1, shape[-1]), name="token")

    def call(self, x: Any) -> Any:
        tokens = keras.ops.broadcast_to(self.token, (keras.ops.shape(x)[0], 1, x.shape[-1]))
        return keras.ops.concatenate([tokens, x], axis=1)


def transformer() -> keras.Model:
    """Patches, a class token, places, attention."""
    image = keras.Input((32, 32, 3))
    x = layers.Reshape((16, 16))(layers.Conv2D(16, 8, strides=8)(image))
    x = Token()(x)
    x = x + layers.Embedding(17, 16)(keras.ops.arange(17))
    y = layers.LayerNormalization(epsilon=1e-6)(x)
    x = x + layers.MultiHeadAttention(2, 8, dropout=0.1)(y, y)
    return _seeded(keras.Model(image, layers.Dense(4)(x[:, 0]), name="transformer"))


def over_time(unroll: bool) -> keras.Model:
    """A recurrent layer."""
    rows = keras.Input((6, 5))
    return _seeded(keras.Model(rows, layers.Dense(3)(layers.LSTM(4, unroll=unroll)(rows))))


def all_half() -> keras.Model:
    """Keeps its weights in float16, too."""
    keras.config.set_dtype_policy("float16")
    image = keras.Input((16, 16, 3))
    return keras.Model(image, _body(image), name="all_half")


def untrained() -> keras.Model:
    """Deep, with Keras's initial weights: all of its scores are next to equal."""
    image = keras.Input((16, 16, 3))
    x = image
    small = keras.initializers.RandomNormal(stddev=1e-2)
    for _ in range(12):
        x = layers.ReLU()(layers.Conv2D(8, 3, padding="same", kernel_initializer=small)(x))
    return keras.Model(image, layers.Dense(50, bias_initializer="ones")(layers.GlobalAveragePooling2D()(x)))


def save(folder: Path) -> None:
    """Every file of FILES."""
    for name, build in FILES.items():
        _seeded(build()).save(folder / name)
