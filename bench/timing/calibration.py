"""What this machine can do at most, through a runtime that reads .onnx, with the threads of the run: the roofline.

The arithmetic peak is that of the fastest of several kinds of work: a large product of matrices, whose right side is a
constant, so that it is packed in advance as a convolution's weights are, and chains of convolutions of the sizes that
networks have. Which of them is fastest differs from processor to processor. The bandwidth is a large elementwise Add:
two arrays read and one written, each far larger than the caches; its result is cut to one number, so that nothing is
copied out. All are taken from the fastest sample, at the beginning and at the end of a run: a bound is what was reached
once.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench import runtimes
from bench.errors import Failed
from bench.machine import facts, lock
from bench.processes import process
from bench.records import PlannedCase, Roofline, Settings
from bench.suites import RUNTIMES
from bench.timing.schedule import specification, timeout_s

MIN_TIME_S, MIN_COUNT, WARMUP_S = 0.4, 5, 0.4
CONVOLUTIONS = ((64, 56, 3), (256, 14, 3), (512, 14, 1))  # channels, side of the image, of the kernel; as in ResNet50
_LINKS = 8  # of such a chain
_ADDED = 1 << 24  # floats in each array: 64 MiB
_FLOAT_BYTES = 4
Node = tuple[str, list[str], list[str], dict[str, Any]]
"""Operator, inputs, outputs and attributes."""
_OPSET, _IR_VERSION = 17, 8  # old enough for any ONNX Runtime in use


def calibrate(settings: Settings, threads: int, names: Iterable[str]) -> Roofline:
    """Measure the peak and the bandwidth, each kind of work in a worker process; about 6 s.

    `names`: the run's runtimes, of which the first in `suites.RUNTIMES` that reads .onnx is used. Raises Failed when
    none does, when `onnx`, which makes the graphs, is missing, or a worker fails.
    """
    suited = [name for name in RUNTIMES if name in names and ".onnx" in runtimes.get(name).SUFFIXES]
    if not suited:
        raise Failed("the roofline is measured through a runtime that reads .onnx, and this run has none")
    runtime = suited[0]
    side = _side(settings.device, threads)
    with tempfile.TemporaryDirectory() as folder, lock.measuring():
        product, added = Path(folder) / "product.onnx", Path(folder) / "sum.onnx"
        write_product(product, side)
        _write_sum(added)
        work = {product: 2 * side**3}
        for sizes in CONVOLUTIONS:
            path = Path(folder) / f"convolutions-{'-'.join(map(str, sizes))}.onnx"
            work[path] = _write_convolutions(path, *sizes)
        added_s = _fastest_s(added, settings, threads, runtime)
        per_s = [operations / _fastest_s(path, settings, threads, runtime) for path, operations in work.items()]
    return Roofline(
        gflops=float(f"{max(per_s) / 1e9:.4g}"),
        gbytes_per_s=float(f"{3 * _FLOAT_BYTES * _ADDED / added_s / 1e9:.4g}"),
        threads=threads,
        provider=runtimes.get(runtime).DEVICES[settings.device],
        cache_bytes=facts.cache_bytes() if settings.device == "cpu" else None,
    )


def higher(one: Roofline, other: Roofline) -> Roofline:
    """The bounds of two moments together: what was reached at one of them."""
    return replace(
        one,
        gflops=max(one.gflops, other.gflops),
        gbytes_per_s=max(one.gbytes_per_s, other.gbytes_per_s),
        moments=one.moments + other.moments,
    )


def write_product(path: Path, side: int) -> None:
    """Write the graph y = x w for square matrices of floats, w constant. Raises Failed without `onnx`."""
    import numpy as np

    weights = np.random.default_rng(0).standard_normal((side, side), dtype=np.float32)
    _write(path, [("MatMul", ["x", "w"], ["y"], {})], {"x": (side, side)}, (side, side), {"w": weights})


def _write_convolutions(path: Path, channels: int, side: int, kernel: int) -> int:
    """Write a chain of convolutions that keep the image's size; its operations, 2 a mult-add."""
    import numpy as np

    rng, names = np.random.default_rng(0), ["x", *(f"v{i}" for i in range(1, _LINKS)), "y"]
    shape, pad = (1, channels, side, side), kernel // 2
    weights = {
        f"w{i}": rng.standard_normal((channels, channels, kernel, kernel), dtype=np.float32)
        / np.float32(np.sqrt(channels) * kernel)
        for i in range(_LINKS)
    }
    nodes: list[Node] = [
        ("Conv", [names[i], f"w{i}"], [names[i + 1]], {"pads": [pad] * 4, "kernel_shape": [kernel] * 2})
        for i in range(_LINKS)
    ]
    _write(path, nodes, {"x": shape}, shape, weights)
    return 2 * _LINKS * channels * channels * (kernel * side) ** 2


def _write_sum(path: Path) -> None:
    import numpy as np

    rows = 1 << 10
    shape = (rows, _ADDED // rows)
    nodes: list[Node] = [("Add", ["a", "b"], ["whole"], {}), ("Slice", ["whole", "zeros", "ones"], ["y"], {})]
    limits = {"zeros": np.zeros(2, np.int64), "ones": np.ones(2, np.int64)}
    _write(path, nodes, {"a": shape, "b": shape}, (1, 1), limits)


def _side(device: str, threads: int) -> int:
    """The side of the matrices: large enough to keep all cores busy, small enough for ten products in a second."""
    return 4096 if device != "cpu" else 2048 if threads > 8 else 1024


def _fastest_s(path: Path, settings: Settings, threads: int, runtime: str) -> float:
    case = PlannedCase(
        name=path.stem, model=str(path), device=settings.device, runtime=runtime,
        provider=runtimes.get(runtime).DEVICES[settings.device], threads=threads,
    )  # fmt: skip
    spec = specification(case, path, settings, min_time_s=MIN_TIME_S, min_count=MIN_COUNT, warmup_s=WARMUP_S)
    return float(min(process.visit(spec, timeout_s=timeout_s(settings))["samples_ns"]) / 1e9)


def _write(
    path: Path,
    nodes: Sequence[Node],
    inputs: Mapping[str, tuple[int, ...]],
    output: tuple[int, ...],
    constants: Mapping[str, object],
) -> None:
    try:
        import onnx
        from onnx import TensorProto, helper, numpy_helper
    except ImportError as error:
        raise Failed("the package onnx, which makes the graph, is missing; pip install backbench[export]") from error
    graph = helper.make_graph(
        [helper.make_node(kind, taken, given, **how) for kind, taken, given, how in nodes],
        path.stem,
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, output)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)])
    model.ir_version = _IR_VERSION
    onnx.save(model, path)
