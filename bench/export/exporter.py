"""The export worker: a process that makes one model after another."""

from __future__ import annotations

import ctypes
import gc
import json
import os
import re
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import msgspec

from bench.errors import Failed
from bench.export import cache
from bench.export.request import ExportRequest
from bench.models.file import file_sha256
from bench.records import Artifact

CHECK_INPUTS = 3
LARGE_INPUT = 400  # pixels; above, one input fewer: two of them have more values than three of 224, and take longer
_SEED = 0


def answer(asked: dict[str, Any]) -> dict[str, Any]:
    """Where the file of a request is, and what is known of it; made now unless it is stored."""
    gc.disable()  # making a model leaves little in cycles; collecting while it is made took a tenth of the time
    try:
        path, entry, cached = find_or_make(msgspec.convert(asked, ExportRequest))
    finally:
        _give_back()
    return {"path": str(path), "entry": entry, "cached": cached}


def find_or_make(request: ExportRequest) -> tuple[Path, cache.Entry, bool]:
    """The stored or newly made file, what is known of it, and whether it was stored. Raises Failed as `make`."""
    with cache.locked(request):
        found = cache.find(request)
        if found:
            return *found, True
        if request.precision == "fp32":
            return *make(request), False
        from bench.export import quantise

        twin, known, _ = find_or_make(request.full_precision)
        return *quantise.reduce(request, twin, known), False


def make(request: ExportRequest) -> tuple[Path, cache.Entry]:
    """Build, convert, clean and check one model, and put it into the cache. Raises Failed when the check fails."""
    import onnxruntime

    from bench import cost
    from bench.export import clean, fidelity, skeleton

    if not gc.isenabled() and not gc.get_freeze_count():
        gc.freeze()  # TensorFlow's own objects, which every collection would walk through
    start = time.perf_counter()
    _reset_peak()
    model, softmax, images, expected, layers = prepared(request)
    output = "probabilities" if softmax else "logits" if len(model.output.shape) == 2 else "features"
    with cache.workplace() as place:
        raw, warnings = skeleton.convert(model, softmax=softmax, opset=request.opset, folder=place)
        del model
        _give_back()  # Keras's copy of the weights, before ONNX's copies come
        target = place / "clean.onnx"
        nodes = clean.clean(raw, target, output=output)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(os.environ.get("TF_NUM_INTRAOP_THREADS", "0"))
        clean.save_optimised(options, place / "optimised.onnx", weights=False)
        found = fidelity.check(target, images, expected, softmax=softmax, options=options)
        if not found.passed:
            where = fidelity.first_difference(target, images[:1], _layer_outputs(prepared(request)[0], images[:1]))
            raise Failed(
                f"the ONNX file does not compute what Keras computes: logits differ by {found.max_rel:.1e} of their "
                f"size (allowed {fidelity.TOLERANCE:.0e})" + (f", first in layer {where}" if where else "")
            )
        optimised = clean.node_counts(place / "optimised.onnx")
        artifact = Artifact(
            sha256=file_sha256(target),
            size_bytes=target.stat().st_size,
            opset=request.opset,
            key=request.key,
            nodes=nodes.total(),
            transposes=nodes["Transpose"],
            transposes_optimised=optimised["Transpose"],
            reorders_optimised=optimised["ReorderInput"] + optimised["ReorderOutput"],
            fidelity=found,
            export_s=round(time.perf_counter() - start, 2),
            export_peak_rss_bytes=_peak(),
            warnings=tuple(warnings),
        )
        entry = cache.Entry(label=request.model, artifact=artifact, cost=cost.total(layers))
        return cache.put(request, target, entry), entry


def prepared(request: ExportRequest) -> tuple[Any, bool, Any, Any, Any]:
    """The model that ends in logits, whether a softmax was taken off it, images, its output for them, and its layers.

    The same request makes the same weights. Only a named backbone gets random ones: what a file or a function brings
    is the user's own.
    """
    from bench import models
    from bench.cost import keras_graph
    from bench.export import skeleton, weights
    from bench.suites import facts

    random = request.weights == "none" and request.model in facts()
    with weights.unfilled() if random else nullcontext():
        model = models.build(
            request.model, arguments=json.loads(request.arguments), input_shape=request.input_shape, head=request.head,
            classes=request.classes, weights=request.weights,
        )  # fmt: skip
    shape = _shape(model, request)
    layers = keras_graph.layers(model, shape)
    softmax = skeleton.split_softmax(model)
    count = CHECK_INPUTS - (min(shape[:2]) > LARGE_INPUT if len(shape) == 3 else 0)
    images = weights.images(count, shape, facts().get(request.model, {}).get("preprocess", "torch"), _SEED)
    expected = weights.randomise(model, images, _SEED) if random else weights.run(model, images)
    return model, softmax, images, expected, layers


def _shape(model: Any, request: ExportRequest) -> tuple[int, ...]:
    """The model's input shape without the batch. Raises Failed when it is open or the model has several inputs."""
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise Failed(
            f"{request.model} has {len(model.inputs)} inputs and {len(model.outputs)} outputs; one of each works"
        )
    shape = tuple(model.input_shape[1:])
    if None in shape:
        raise Failed(f"{request.model} leaves its input shape {shape} open; give an input_size")
    return shape


def _layer_outputs(model: Any, images: Any) -> dict[str, Any]:
    """The outputs of all layers for the images, by name."""
    import keras
    import numpy as np

    layers = [layer for layer in model.layers[1:] if not isinstance(layer.output, list)]
    outputs = keras.Model(model.input, [layer.output for layer in layers])(images, training=False)
    return {layer.name: np.asarray(value) for layer, value in zip(layers, outputs, strict=True)}


def _give_back() -> None:
    """Return freed memory to the system; glibc would keep it, more than a gigabyte after a large model."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _reset_peak() -> None:
    """Begin a new peak of the resident memory, where the system allows it."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def _peak() -> int | None:
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None
