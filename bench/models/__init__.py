"""A backbone's name -> a Keras model. Only worker processes import Keras."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras


def keras_models_folder() -> Path:
    """Where Keras keeps what it downloads, and looks for what was placed by hand; a worker has a link to it."""
    return (Path(os.environ.get("KERAS_HOME", Path.home() / ".keras")).expanduser() / "models").resolve()


def build(
    model: str,
    *,
    arguments: dict[str, Any] | None = None,
    input_shape: tuple[int, ...] | None = None,
    head: str = "native",
    classes: int = 1000,
    weights: str = "none",
) -> keras.Model:
    """Build a backbone.

    Args:
        model: a name of `keras.applications`, ResNeXt50, ResNeXt101 or ConvMobileNet, the path of a `.keras` or `.h5`
            file, or `module:function`, a function that takes `arguments`, and `input_shape` and `classes` if it names
            them, and returns a model.
        arguments: further arguments of the constructor, e.g. {"alpha": 0.5}.
        input_shape: (height, width, channels); None: the model's own.
        head: "native", the model's own top; "none", feature maps; "notes", global average pooling and a dense softmax.
        classes: the length of the output of a head.
        weights: "none" (random, seeded), "imagenet", or the path of a weights file.

    Raises:
        WrongUsage: no such model, or arguments that it does not take.
        Failed: the weights cannot be had.
    """
    from bench.models import building

    return building.build(model, arguments or {}, input_shape, head, classes, weights)
