"""Keras -> .tflite, by TensorFlow's own converter: the same weights, checked in LiteRT against Keras.

The batch is 1: a graph that leaves it open keeps XNNPACK from much of it. Integers are full: activations and weights of
8 bits with sign, weights with a scale a channel; inputs and outputs stay floats.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench import runtimes
from bench.errors import Failed
from bench.export import cache, memory
from bench.export.request import ExportRequest
from bench.models.file import file_sha256
from bench.records import Artifact, Fidelity

TOLERANCE = 1e-3
"""Of fp32, relative to the largest absolute output: XNNPACK adds in another order than Keras."""

_FEW_BYTES = 64e6  # of weights; above, the copies of constants take more memory than `pool.need_bytes` expects


def make(request: ExportRequest) -> tuple[Path, cache.Entry]:
    """Build, convert and check one model, and put it into the cache. Raises Failed when the check fails."""
    import numpy as np

    from bench.cost import total
    from bench.export import calibrating, fidelity
    from bench.export.preparation import prepared

    runtimes.require("litert")
    start = time.perf_counter()
    memory.reset_peak()
    ready = prepared(request)
    images, expected = ready.images, ready.expected
    if ready.layers is None:
        raise Failed(f"{request.model} has no graph to count; export it to .onnx")
    ranges = None
    if request.precision == "int8":
        ranges = calibrating.parts(request, images.shape[1:], str(images.dtype), takes_pixels=ready.takes_pixels)[0]
    with cache.workplace() as place:
        target = place / "converted.tflite"
        target.write_bytes(_converted(ready.model, images, request.precision, ranges, place))
        ready.model = None
        memory.give_back()
        known = runtimes.get("litert")
        threads = int(os.environ.get("TF_NUM_INTRAOP_THREADS", "1"))
        session = known.load(str(target), {"provider": known.DEVICES["cpu"], "threads": threads})
        name = session.inputs[0][0]
        got = np.concatenate([session.run({name: images[i : i + 1]})[0] for i in range(len(images))])
        if not np.isfinite(got).all():
            raise Failed("the .tflite file's outputs are not all numbers (NaN or infinite)")
        seen = _reduced(got, expected)
        if request.precision == "fp32":
            seen = fidelity.compared(got, expected, TOLERANCE)
        if not seen.passed:
            raise Failed(
                f"the .tflite file does not compute what Keras computes: outputs differ by {seen.max_rel:.1e} of their "
                f"size (allowed {TOLERANCE:.0e})"
            )
        of_noise = request.precision == "int8" and request.calibration == calibrating.SYNTHETIC
        if of_noise:
            seen = replace(seen, top1_agreement=None)  # noise has no class
        artifact = Artifact(
            sha256=file_sha256(target), size_bytes=target.stat().st_size, opset=None, key=request.key, fidelity=seen,
            nodes=sum(session.ran()["nodes"].values()), calibration=request.calibration or request.images,
            export_s=round(time.perf_counter() - start, 2), export_peak_rss_bytes=memory.peak(),
            warnings=(*ready.warnings, *([calibrating.OF_NOISE] if of_noise else [])),
        )  # fmt: skip
        entry = cache.Entry(
            label=f"{request.model} {request.precision} .tflite", artifact=artifact, cost=total(ready.layers),
            takes_pixels=ready.takes_pixels, read=ready.read,
        )  # fmt: skip
        return cache.put(request, target, entry), entry


def _reduced(got: Any, expected: Any) -> Fidelity:
    """Outputs of a reduced precision beside Keras's: a probability may be rounded to 0, which has no logarithm."""
    import numpy as np

    most = float(np.abs(got.astype(np.float64) - expected).max())
    rows = len(expected), -1
    agreement = float(np.mean(got.reshape(rows).argmax(1) == expected.reshape(rows).argmax(1)))
    size = max(float(np.abs(expected).max()), 1e-30)
    return Fidelity(max_abs=most, max_rel=most / size, top1_agreement=agreement, inputs=len(expected), passed=True)


def _converted(model: Any, images: Any, precision: str, ranges: Any, place: Path) -> bytes:
    """The file of a Keras model, through a folder. `ranges`: images (n, ...) that set the ranges of int8.

    Many weights stay variables: written into the graph as constants, they are copied again and again (VGG16: 128 s and
    20 GB; so, 43 s and 4.7 GB). Few become constants: saving and loading the variables takes longer than converting
    (MobileNetV2: 6 s of processor time; so, 1.7 s; ResNet50: 10.6 and 8.2 s). The outputs are the same to the bit.
    """
    import tensorflow as tf

    module = tf.Module()
    module.variables_of_the_model = [variable.value for variable in model.variables]
    asked = tf.TensorSpec((1, *images.shape[1:]), images.dtype, name="input")
    module.call = tf.function(lambda image: model(image, training=False), input_signature=[asked])
    signature = module.call.get_concrete_function()
    if sum(variable.value.dtype.size * math.prod(variable.shape) for variable in model.variables) < _FEW_BYTES:
        converter = tf.lite.TFLiteConverter.from_concrete_functions([signature])
    else:
        tf.saved_model.save(module, str(place / "saved"), signatures={"serving_default": signature})
        converter = tf.lite.TFLiteConverter.from_saved_model(str(place / "saved"))
    if precision != "fp32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision == "fp16":
        converter.target_spec.supported_types = [tf.float16]
    if precision == "int8":

        def one_by_one() -> Iterator[list[Any]]:
            for i in range(len(ranges)):
                yield [ranges[i : i + 1]]

        converter.representative_dataset = one_by_one
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    content: bytes = converter.convert()
    return content
