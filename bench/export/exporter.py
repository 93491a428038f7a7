"""The export worker: a process that makes one model after another."""

from __future__ import annotations

import functools
import gc
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from bench.cost.layers import LayerCost
from bench.errors import Failed
from bench.export import cache, memory
from bench.export.preparation import prepared
from bench.export.request import ExportRequest
from bench.models.file import file_sha256
from bench.records import Artifact, Cost


def answer(asked: dict[str, Any]) -> dict[str, Any]:
    """Where the file of a request is, and what is known of it; made now unless it is stored."""
    gc.disable()  # making a model leaves little in cycles; collecting while it is made took a tenth of the time
    try:
        path, entry, cached = find_or_make(msgspec.convert(asked, ExportRequest))
    finally:
        memory.give_back()
    return {"path": str(path), "entry": entry, "cached": cached}


def find_or_make(request: ExportRequest) -> tuple[Path, cache.Entry, bool]:
    """The stored or newly made file, what is known of it, and whether it was stored. Raises Failed as `make`."""
    with cache.locked(request):
        hit = cache.find(request)
        if hit:
            return *hit, True
        if request.format == "tflite":
            from bench.export import tflite

            return *tflite.make(request), False
        if request.precision == "fp32":
            return *make(request), False
        from bench.export import quantise

        twin, known, _ = find_or_make(request.full_precision)
        return *quantise.reduce(request, twin, known), False


def make(request: ExportRequest) -> tuple[Path, cache.Entry]:
    """Build, convert, clean and check one model, and put it into the cache. Raises Failed when the check fails."""
    import onnxruntime

    from bench.export import clean, rounding, skeleton

    if not gc.isenabled() and not gc.get_freeze_count():
        gc.freeze()  # TensorFlow's own objects, which every collection would walk through
    start = time.perf_counter()
    memory.reset_peak()
    ready = prepared(request)
    images, expected = ready.images, ready.expected
    with cache.workplace() as place:
        raw, warnings = skeleton.convert(
            ready.model, shape=images.shape[1:], dtype=str(images.dtype), opset=request.opset, folder=place
        )
        ready.model = None
        memory.give_back()  # Keras's copy of the weights, before ONNX's copies come
        target = place / "clean.onnx"
        nodes = clean.clean(raw, target, output=_output_name(expected))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(os.environ.get("TF_NUM_INTRAOP_THREADS", "0"))
        clean.save_optimised(options, place / "optimised.onnx", weights=False)
        built_again = functools.cache(lambda: prepared(request).model)  # a file that passes at once does without
        checked = rounding.checked(target, images, expected, built_again, options=options)
        if not checked.passed:
            raise Failed(
                f"the ONNX file does not compute what Keras computes: outputs differ by {checked.max_rel:.1e} of their "
                f"size, more than rounding explains{_where(target, images[:1], built_again)}"
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
            fidelity=checked,
            export_s=round(time.perf_counter() - start, 2),
            export_peak_rss_bytes=memory.peak(),
            warnings=(*ready.warnings, *warnings),
        )
        entry = cache.Entry(
            label=request.model, artifact=artifact, cost=_cost(ready.layers, target), takes_pixels=ready.takes_pixels,
            read=ready.read,
        )  # fmt: skip
        return cache.put(request, target, entry), entry


def _cost(layers: list[LayerCost] | None, target: Path) -> Cost:
    """Counted from Keras's graph; from the file where there is none, or more of the file can be counted."""
    from bench.cost import onnx_graph, total

    of_keras = total(layers) if layers is not None else None
    if of_keras and not of_keras.uncounted:
        return of_keras
    of_file = total(onnx_graph.layers(target))
    if of_keras is None:
        return of_file
    return of_keras if of_file.uncounted else replace(of_file, params=of_keras.params)


def _output_name(expected: Any) -> str:
    from bench.export import fidelity

    if fidelity.are_probabilities(expected):
        return "probabilities"
    return "logits" if expected.ndim == 2 else "features"


def _where(target: Path, images: Any, model: Callable[[], Any]) -> str:
    """Where file and model part company, as the end of a sentence; nothing where that cannot be said."""
    from bench.export import fidelity

    try:
        layer = fidelity.first_difference(target, images, layer_outputs(model(), images))
    except Exception:  # what was found stands without it
        return ""
    return f", first in layer {layer}" if layer else ""


def layer_outputs(model: Any, images: Any) -> dict[str, Any]:
    """The outputs of all layers at every depth for the images, by name."""
    import numpy as np

    from bench.export import weights

    outputs: dict[str, Any] = {}

    def keep(name: str, output: Any) -> None:
        outputs[f"{name}'" if name in outputs else name] = np.asarray(output)

    weights.run(model, images, after=keep)
    return outputs
