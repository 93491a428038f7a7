"""Files of a reduced precision, made from the fp32 file of the same network, and how far they agree with it."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnxruntime import quantization
from onnxruntime.quantization import QuantType

from bench import data
from bench.cost import onnx_graph
from bench.errors import Failed
from bench.export import cache, calibrating, clean, fidelity
from bench.export.calibrating import SYNTHETIC
from bench.export.request import ExportRequest
from bench.models.file import file_sha256
from bench.records import Artifact, Fidelity
from bench.suites import DATA_SETS
from bench.units import percent

INTEGERS: dict[str, dict[str, Any]] = {
    "u8s8": {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8},
    "u8s7": {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8, "reduce_range": True},
    "s8s8": {"activation_type": QuantType.QInt8, "weight_type": QuantType.QInt8},
}
LEAST_AGREEMENT = 0.5
LEAST_REACHED = 0.1  # of the mult-adds: where int8-dynamic reaches less, it is of little use
_PRODUCTS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
_SLOW_ON_CPU = "fp16 is for a GPU: on most processors it is slower than fp32"

Array = np.ndarray[Any, np.dtype[np.float32]]
Classes = Callable[[Any], Any]


def reduce(request: ExportRequest, twin: Path, known: cache.Entry) -> tuple[Path, cache.Entry]:
    """Make the file of a request for a reduced precision from its fp32 file, and put it into the cache.

    Raises Failed when it cannot be made or run, or its outputs are not finite.
    """
    start = time.perf_counter()
    shape, dtype = _input(twin)
    ranging, others = calibrating.parts(request, shape, dtype, takes_pixels=known.takes_pixels)
    with cache.workplace() as place:
        source, target = place / "fp32.onnx", place / "reduced.onnx"
        source.symlink_to(twin.resolve())  # ONNX Runtime writes beside what it reads, where two workers would collide
        warnings = []
        if request.precision == "fp16":
            fp16(source, target)
            warnings = [_SLOW_ON_CPU]
        else:
            assert request.integers is not None
            if request.precision == "int8":
                int8(source, target, ranging, request.integers)
                warnings = [calibrating.OF_NOISE] if request.calibration == SYNTHETIC else []
            else:
                int8_dynamic(source, target, request.integers)
                warnings = _little_reached(target)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(os.environ.get("TF_NUM_INTRAOP_THREADS", "0"))
        clean.save_optimised(options, place / "optimised.onnx", weights=False)
        agreed = agreement(target, twin, others, options, _classes_of(request.calibration or ""))
        if request.calibration == SYNTHETIC:
            agreed = replace(agreed, top1_agreement=None)  # noise has no class
        if not agreed.passed:
            raise Failed(
                f"the {request.precision} file gives outputs that are not finite; use another precision for "
                f"{request.model}"
            )
        nodes, optimised = clean.node_counts(target), clean.node_counts(place / "optimised.onnx")
        if agreed.top1_agreement is not None and agreed.top1_agreement < LEAST_AGREEMENT:
            warnings.append(
                f"only {100 * agreed.top1_agreement:.0f} % of {agreed.inputs} inputs get the class that fp32 gives them"
            )
        artifact = Artifact(
            sha256=file_sha256(target),
            size_bytes=target.stat().st_size,
            opset=known.artifact.opset,
            key=request.key,
            nodes=nodes.total(),
            transposes=nodes["Transpose"],
            transposes_optimised=optimised["Transpose"],
            reorders_optimised=optimised["ReorderInput"] + optimised["ReorderOutput"],
            quantize_nodes_optimised=(
                sum(optimised[f"{kind}Linear"] for kind in ("Quantize", "Dequantize", "DynamicQuantize"))
                if request.integers
                else None
            ),
            calibration=request.images or request.calibration,
            calibration_images=len(ranging) if request.precision == "int8" else None,
            integers=request.integers,
            fidelity=agreed,
            export_s=round(time.perf_counter() - start, 2),
            warnings=tuple(warnings),
        )
        entry = replace(known, label=f"{known.label} {request.precision}", artifact=artifact)
        return cache.put(request, target, entry), entry


def int8(source: Path, target: Path, images: Array, integers: str) -> None:
    """Quantise a file statically: integers between nodes of quantise and dequantise (QDQ), weights per channel.

    Ranges are the least and greatest values that the images (n, height, width, channels) bring about. What follows the
    last convolution or product stays in fp32: probabilities below 1/255 would be 0, and a decoded box's corners would
    share their steps with its class. ONNX Runtime's pre-processing is left out: its basic optimisations made the fp32
    file, and shapes are inferred here anyway; with it, the result was the same.
    """
    with _quiet():
        quantization.quantize_static(
            source, target, _Reader(source, images), quant_format=quantization.QuantFormat.QDQ, per_channel=True,
            nodes_to_exclude=_tail(onnx.load(source, load_external_data=False).graph), **INTEGERS[integers],
        )  # fmt: skip


def int8_dynamic(source: Path, target: Path, integers: str) -> None:
    """Quantise a file's products of matrices (MatMul, Gemm): weights per channel, activations as they come.

    The ranges of activations are found anew at every inference, so no images are needed. Convolutions stay in fp32:
    ONNX Runtime has no quick kernel for dynamic ones (ConvInteger). Raises Failed when no product has constant weights.
    """
    kind = {key: value for key, value in INTEGERS[integers].items() if key != "activation_type"}
    with _quiet():
        # A Gemm is taken apart into a MatMul and a sum beforehand.
        quantization.quantize_dynamic(source, target, op_types_to_quantize=["MatMul"], per_channel=True, **kind)
    if not clean.node_counts(target)["MatMulInteger"]:
        raise Failed(
            "int8-dynamic quantises products of matrices with constant weights, and this network has none; use int8"
        )


def reached(path: Path) -> tuple[float, float]:
    """The shares (0 to 1) of a network's weights and of its mult-adds that lie in a file's integer products."""
    layers = onnx_graph.layers(path)
    products = [layer for layer in layers if layer.operator == "MatMulInteger"]
    return (
        sum(layer.weights for layer in products) / max(1, sum(layer.params for layer in layers)),
        sum(layer.mult_adds or 0 for layer in products) / max(1, sum(layer.mult_adds or 0 for layer in layers)),
    )


def _little_reached(path: Path) -> list[str]:
    weights, mult_adds = reached(path)
    if mult_adds >= LEAST_REACHED:
        return []
    return [
        f"int8-dynamic reaches {percent(100 * weights)} of the weights and {percent(100 * mult_adds)} of the "
        "mult-adds: convolutions stay fp32, and so does most of the time; use int8 for speed"
    ]


def fp16(source: Path, target: Path) -> None:
    """Convert weights and arithmetic to float16; input and output stay float32."""
    from onnxruntime.transformers.float16 import convert_float_to_float16

    with _quiet():
        onnx.save(convert_float_to_float16(onnx.load(source), keep_io_types=True), target)


def agreement(
    path: Path,
    twin: Path,
    images: Array,
    options: onnxruntime.SessionOptions | None = None,
    classes: Classes | None = None,
) -> Fidelity:
    """Hold a file's outputs for the images against those of its fp32 twin. Passed: they are finite.

    `classes` reads the classes (n,) off the outputs (n, ...); None: the place of the largest, or whether a single score
    says yes.
    """
    expected = fidelity.run(twin, images).astype(np.float64)
    classes = classes or _class_reader(expected)
    got = fidelity.run(path, images, options=options).astype(np.float64)
    finite = bool(np.isfinite(got).all())
    max_abs = float(np.abs(got - expected).max()) if finite else float("inf")
    return Fidelity(
        max_abs=max_abs,
        max_rel=max_abs / max(float(np.abs(expected).max()), 1e-30),
        top1_agreement=float(np.mean(classes(expected) == classes(got))),
        inputs=len(images),
        passed=finite,
        reference="fp32",
    )


class _Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
    """Hands images one by one to ONNX Runtime's calibration."""

    def __init__(self, path: Path, images: Array) -> None:
        (given,) = onnx.load(path, load_external_data=False).graph.input
        self.feeds: Iterator[dict[str, Array]] = ({given.name: images[i : i + 1]} for i in range(len(images)))

    def get_next(self) -> dict[str, Array] | None:
        """The next input, or None when there is none left."""
        return next(self.feeds, None)


def _tail(graph: onnx.GraphProto) -> list[str]:
    """The names of the nodes that no convolution or product comes after."""
    read = {output.name for output in graph.output}
    needed: set[str] = set()
    tail = []
    for node in reversed(graph.node):
        if node.op_type in _PRODUCTS or needed.intersection(node.output):
            needed.update(node.input)
        elif read.intersection(node.output):
            read.update(node.input)
            tail.append(node.name)
    return tail


def _class_reader(expected: Array) -> Classes:
    """How classes are read off outputs such as these: the place of the largest, or yes or no of a single score."""
    if expected[0].size > 1:
        return lambda rows: rows.reshape(len(rows), -1).argmax(1)
    threshold = 0.5 if expected.min() >= 0 and expected.max() <= 1 else 0.0  # of a probability, or of a logit
    return lambda rows: rows.reshape(len(rows)) > threshold


def _input(path: Path) -> tuple[tuple[int, ...], str]:
    """Shape without the batch, and NumPy's name of the type, of a file's input."""
    (given,) = onnx.load(path, load_external_data=False).graph.input
    tensor = given.type.tensor_type
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
    return tuple(dim.dim_value for dim in tensor.shape.dim[1:]), str(dtype)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the converters' advice, which is given on the root logger whether it applies or not, out of the log."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _classes_of(calibration: str) -> Classes | None:
    """How classes are read off the outputs of a network of an embedded data set; None: as off any others."""
    return CLASSES_OF.get(data.get(calibration).KIND) if calibration in DATA_SETS else None


CLASSES_OF: dict[str, Classes] = {"localisation": lambda rows: rows[:, data.COLUMNS.index("class")]}
"""How classes are read off the outputs, for the kinds of data where it is not the largest output."""
