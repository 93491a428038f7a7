"""What rounding does to a network: its outputs in float64, for where float32 leaves open whether a file is right."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnxruntime

from bench.export import fidelity
from bench.records import Fidelity


def checked(
    path: Path, images: Any, expected: Any, model: Callable[[], keras.Model], *,
    options: onnxruntime.SessionOptions | None = None,
) -> Fidelity:  # fmt: skip
    """The file held against Keras's outputs for images (n, ...); where float32 leaves it open, in float64.

    `model` gives the Keras model; it is called only then.
    """
    found = fidelity.check(path, images, expected, options=options)
    if found.passed or (exact := in_float64(model(), images)) is None:
        return found
    return fidelity.settled(path, images, expected, exact, options=options)


def in_float64(model: keras.Model, images: Any) -> np.ndarray[Any, np.dtype[np.float64]] | None:
    """The outputs (n, ...) of a float32 model for images (n, ...), computed in float64; None where it has no such twin.

    What a model's own code computes in float32 stays so: a layer of one's own, a function of a Lambda.
    """
    from bench.export import weights

    try:
        config = json.loads(json.dumps(model.get_config()).replace('"float32"', '"float64"'))
        twin = type(model).from_config(config)
        twin.set_weights(model.get_weights())
        outputs = np.asarray(weights.run(twin, images.astype(twin.inputs[0].dtype)))
    except Exception:  # what was found in float32 stands without it
        return None
    return outputs.astype(np.float64, copy=False) if outputs.dtype == np.dtype(np.float64) else None
