"""OpenVINO: reads .onnx, runs on the CPU. What each name means: `bench.runtimes`.

What makes it comparable is set in `load`: by default its inference precision is bf16 where the processor has it, and
its number of streams follows a hint. Its telemetry is off: the package that sends it is not imported.
"""

from __future__ import annotations

import base64
import statistics
import sys
from typing import Any

TITLE = "OpenVINO"
EXTRA = "openvino"
DISTRIBUTIONS = ("openvino",)
SUFFIXES = (".onnx",)
DEVICES = {"cpu": "CPU"}
PROBE = base64.b64decode(
    "CAk6QQoOCgF4CgF4EgF5IgNBZGQSBXByb2JlWhMKAXgSDgoMCAESCAoCCAEKAggEYhMKAXkSDgoMCAESCAoCCAEKAggEQgQKABAO"
)
PACE = None
CAN_REST = False
PROGRAM = """\
import time

import numpy as np
import openvino

core = openvino.Core()
model = core.read_model($model)
inputs = $inputs
model.reshape({name: shape for name, (shape, kind) in inputs.items()})
options = {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
request = core.compile_model(model, $provider, options | {"INFERENCE_NUM_THREADS": $threads}).create_infer_request()
rng = np.random.default_rng(0)
feeds = {name: rng.random(shape).astype(kind) for name, (shape, kind) in inputs.items()}
times = []
for number in range(2000):
    begin = time.perf_counter()
    outputs = request.infer(feeds, share_inputs=True, share_outputs=True)
    times.append(time.perf_counter() - begin)
    if number >= 20 and sum(times) > 3:
        break
warm = sorted(times[len(times) // 3 :])
print(f"p50 {1e3 * warm[len(warm) // 2]:.3f} ms")
"""

SHIPPED = """\
import openvino
options = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": $threads}
model = openvino.Core().read_model(str(HERE / "model.onnx"))
model.reshape($shape)
compiled = openvino.compile_model(model, $provider, options)


def run(batch):
    return compiled([batch])[$place]
"""
_PROFILED = 10  # inferences
_OPERATORS = {
    "Convolution": "Conv", "GroupConvolution": "Conv", "FullyConnected": "MatMul", "MatMul": "MatMul",
    "Reorder": "Layout", "Transpose": "Layout",
}  # fmt: skip
_WEIGHTED = ("Convolution", "GroupConvolution", "FullyConnected", "MatMul")


def _imported() -> Any:
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type] # its import fails, and all do without
    import openvino

    return openvino


def version() -> str:
    """The version that is imported."""
    return str(_imported().__version__).partition("-")[0]


def about() -> dict[str, Any]:
    """How it was built."""
    openvino = _imported()
    return {"build": openvino.__version__, "providers": openvino.Core().available_devices}


def load(model: str | bytes, options: dict[str, Any]) -> Session:
    """Read a model; it is compiled for the shapes of its inputs once they are known."""
    asked: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1, "PERFORMANCE_HINT_NUM_REQUESTS": 1,  # one inference at a time
        "INFERENCE_PRECISION_HINT": "f32", "PERF_COUNT": bool(options.get("profile")),
    }  # fmt: skip
    if options["threads"] is not None:
        asked["INFERENCE_NUM_THREADS"] = options["threads"]
    core = _imported().Core()
    return Session(core, core.read_model(model), options["provider"], asked)


class Session:
    """A model that is read, and compiled for the last shapes."""

    def __init__(self, core: Any, model: Any, device: str, asked: dict[str, Any]) -> None:
        self.core, self.model, self.device, self.asked = core, model, device, asked
        self.inputs = [
            (each.any_name, str(each.element_type.to_dtype()), [
                size.get_length() if size.is_static else None for size in each.partial_shape
            ])
            for each in model.inputs
        ]  # fmt: skip
        self.outputs = [each.any_name if each.names else f"output {i}" for i, each in enumerate(model.outputs)]
        self.shapes: dict[str, tuple[int, ...]] | None = None
        self.compiled: Any = None
        self.request: Any = None
        self.feeds: dict[str, Any] = {}

    def calls(self, feeds: dict[str, Any]) -> tuple[Any, Any]:
        """One inference on inputs that are shared with the request; outputs are views of its own."""
        request = self._request(feeds)
        return lambda: request.infer(share_outputs=True), None

    def run(self, feeds: dict[str, Any]) -> list[Any]:
        """The outputs for these inputs."""
        request = self._request(feeds)
        request.infer(share_outputs=True)
        return [request.get_output_tensor(i).data.copy() for i in range(len(self.outputs))]

    def ran(self) -> dict[str, Any]:
        """The device, the threads, the streams and the hint, and the precisions of what has weights, node by node."""
        if self.compiled is None:
            return {"providers": [self.device], "nodes": {}, "threads": None, "precision": None}
        precisions: dict[str, int] = {}
        nodes = 0
        for node in self.compiled.get_runtime_model().get_ops():
            facts = node.get_rt_info()
            if node.get_type_name() == "ExecutionNode":
                nodes += 1
                if str(facts["layerType"].value) in _WEIGHTED:
                    name = str(facts["runtimePrecision"].value)
                    precisions[name] = precisions.get(name, 0) + 1
        devices = list(self.compiled.get_property("EXECUTION_DEVICES"))
        return {
            "providers": devices, "nodes": {devices[0]: nodes} if len(devices) == 1 else {},
            "threads": self.compiled.get_property("INFERENCE_NUM_THREADS"), "precision": precisions,
            "streams": self.compiled.get_property("NUM_STREAMS"),
            "hint": str(self.compiled.get_property("PERFORMANCE_HINT")).rpartition(".")[2].lower(),
        }  # fmt: skip

    def profile(self) -> list[tuple[str, list[list[int]], float]]:
        """Each node's time, by OpenVINO's own counters."""
        shapes: dict[str, list[list[int]]] = {}
        for node in self.compiled.get_runtime_model().get_ops():
            shapes[node.get_friendly_name()] = [list(each.get_shape()) for each in node.inputs()]
        times: dict[tuple[str, str], list[float]] = {}
        for _ in range(_PROFILED):
            self.request.infer(share_outputs=True)
            for part in self.request.get_profiling_info():
                if str(part.status).endswith("EXECUTED"):
                    ms = part.real_time.total_seconds() * 1e3
                    times.setdefault((part.node_type, part.node_name), []).append(ms)
        return [
            (_OPERATORS.get(kind, kind), _as_onnx(kind, shapes.get(name, [])), statistics.median(ms))
            for (kind, name), ms in times.items()
        ]

    def _request(self, feeds: dict[str, Any]) -> Any:
        shapes = {name: tuple(value.shape) for name, value in feeds.items()}
        if shapes != self.shapes:
            self.model.reshape({name: list(shape) for name, shape in shapes.items()})
            self.compiled = self.core.compile_model(self.model, self.device, self.asked)
            self.request = self.compiled.create_infer_request()
            self.shapes = shapes
        self.feeds = feeds  # whose memory the request reads
        for name, value in feeds.items():
            self.request.set_tensor(name, _imported().Tensor(value, shared_memory=value.flags.c_contiguous))
        return self.request


def _as_onnx(kind: str, shapes: list[list[int]]) -> list[list[int]]:
    """Weights of groups (groups, out, in, ...) as ONNX has them: (all out, in, ...)."""
    if kind == "GroupConvolution" and len(shapes) > 1 and len(shapes[1]) == len(shapes[0]) + 1:
        groups, out, *rest = shapes[1]
        return [shapes[0], [groups * out, *rest], *shapes[2:]]
    return shapes
