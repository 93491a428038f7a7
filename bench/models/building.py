"""Building Keras models: what each kind of name means, heads, and weights."""

from __future__ import annotations

import inspect
import zipfile
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from bench.errors import Failed, WrongUsage, suggestion
from bench.models import convmobilenet, keras_models_folder, own, resnext
from bench.suites.values import KERAS_FILES

SEED = 0
_OURS: dict[str, Callable[..., keras.Model]] = {
    "ResNeXt50": resnext.ResNeXt50,
    "ResNeXt101": resnext.ResNeXt101,
    "ConvMobileNet": convmobilenet.ConvMobileNet,
}


def fresh() -> None:
    """Forget what an earlier model left behind in Keras: its policy and settings, and the numbers in layers' names."""
    keras.backend.clear_session(free_memory=False)
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_image_data_format("channels_last")
    keras.config.set_dtype_policy("float32")


def constructors() -> dict[str, Callable[..., keras.Model]]:
    """Every named backbone's constructor, all with the keyword arguments of `keras.applications`."""
    names = (name for name in dir(keras.applications) if name[0].isupper())
    return {name: getattr(keras.applications, name) for name in names} | _OURS


def build(
    model: str, arguments: dict[str, Any], input_shape: tuple[int, ...] | None, head: str, classes: int, weights: str
) -> keras.Model:
    """See `bench.models.build`."""
    keras.utils.set_random_seed(SEED)
    if model.endswith(KERAS_FILES):
        built = own.with_input(own.load(model), input_shape, model)
    elif ":" in model:
        built = own.call(model, arguments, {"input_shape": input_shape, "classes": classes})
    else:
        built = _construct(model, arguments, input_shape, head, classes, weights)
    if head == "notes":
        built = with_notes_head(built, classes)
    if weights not in ("none", "imagenet"):
        _load_weights(built, weights)
    return built


def with_notes_head(backbone: keras.Model, classes: int) -> keras.Model:
    """The notes' head on feature maps: GlobalAveragePooling2D, then Dense(classes, softmax)."""
    pooled = keras.layers.GlobalAveragePooling2D(name="head_pool")(backbone.output)
    scores = keras.layers.Dense(classes, activation="softmax", name="head_dense")(pooled)
    return keras.Model(backbone.input, scores, name=f"{backbone.name}_notes")


def with_trained_head(backbone: keras.Model, values: str) -> keras.Model:
    """The notes' head on feature maps, with the values of its dense layer.

    Args:
        backbone: a model that ends in feature maps (n, height, width, channels).
        values: a file (.npz) with `kernel` (channels, classes) and `bias` (classes,).

    Raises Failed when the file cannot be read or does not fit.
    """
    try:
        with np.load(values) as arrays:
            kernel, bias = arrays["kernel"], arrays["bias"]
        model = with_notes_head(backbone, len(bias))
        model.get_layer("head_dense").set_weights([kernel, bias])
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())
        raise Failed(f"the trained head {values} does not fit {backbone.name}: {reason}; train it again") from error
    return model


def _construct(
    model: str, arguments: dict[str, Any], input_shape: tuple[int, ...] | None, head: str, classes: int, weights: str
) -> keras.Model:
    known = constructors()
    if model not in known:
        raise WrongUsage(f'no backbone is called "{model}"; {suggestion(model, known)}'.rstrip("; "))
    accepted = inspect.signature(known[model]).parameters
    for name in arguments:
        if name not in accepted:
            raise WrongUsage(f"{model} takes no {name}; {suggestion(name, accepted)}".rstrip("; "))
    if "dropout" in accepted:
        arguments = {"dropout": 0.0} | arguments  # no part of inference
    try:
        return known[model](
            include_top=head == "native",
            weights="imagenet" if weights == "imagenet" else None,
            input_shape=input_shape,
            **({"classes": classes} if head == "native" else {}),
            **arguments,
        )
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise WrongUsage(
            f"Keras refuses {model} with {arguments or 'no arguments'}, {input_shape}: {reason}"
        ) from error
    except Exception as error:
        # Keras's downloader raises a bare Exception when it is offline.
        if weights != "imagenet":
            raise
        raise Failed(
            f"the ImageNet weights of {model} could not be downloaded ({error}); place the file by hand in "
            f"{keras_models_folder()}, or use --weights none or --weights FILE"
        ) from error


def _load_weights(model: keras.Model, path: str) -> None:
    try:
        model.load_weights(path)
    except (OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise Failed(f"the weights file {path} does not fit {model.name}: {reason}") from error
