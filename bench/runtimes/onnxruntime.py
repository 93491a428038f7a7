"""ONNX Runtime: reads .onnx, runs on the CPU and on NVIDIA GPUs. What each name means: `bench.runtimes`."""

from __future__ import annotations

import base64
import json
import statistics
from pathlib import Path
from typing import Any

TITLE = "ONNX Runtime"
EXTRA = "cpu"
DISTRIBUTIONS = ("onnxruntime-gpu", "onnxruntime")
SUFFIXES = (".onnx",)
DEVICES = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
PROBE = base64.b64decode(
    "CAk6QQoOCgF4CgF4EgF5IgNBZGQSBXByb2JlWhMKAXgSDgoMCAESCAoCCAEKAggEYhMKAXkSDgoMCAESCAoCCAEKAggEQgQKABAO"
)
PACE = None
CAN_REST = True
PROGRAM = """\
import time

import numpy as np
import onnxruntime

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = $threads
options.inter_op_num_threads = 1
options.add_session_config_entry("session.intra_op.allow_spinning", "$spin")
session = onnxruntime.InferenceSession($model, options, providers=[($provider, $options)])
rng = np.random.default_rng(0)
inputs = $inputs
feeds = {name: rng.random(shape).astype(kind) for name, (shape, kind) in inputs.items()}
times = []
for number in range(2000):
    begin = time.perf_counter()
    outputs = session.run(None, feeds)
    times.append(time.perf_counter() - begin)
    if number >= 20 and sum(times) > 3:
        break
warm = sorted(times[len(times) // 3 :])
print(f"p50 {1e3 * warm[len(warm) // 2]:.3f} ms")
"""
SHIPPED = """\
import onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = $threads
session = onnxruntime.InferenceSession(str(HERE / "model.onnx"), options, providers=[($provider, $options)])


def run(batch):
    return session.run(None, {session.get_inputs()[0].name: batch})[$place]
"""
EXPLAINED = {
    r"Unsupported model IR version: (\d+), max supported IR version: (\d+)": (
        "it has IR version {}, and this ONNX Runtime reads up to {}; upgrade onnxruntime, or export it again with an "
        "older IR version"
    ),
    r"Opset (\d+) is under development.* for domain (\S+) is till opset (\d+)": (
        "it has opset {} of {}, and this ONNX Runtime knows up to {}; upgrade onnxruntime, or export it again with an "
        "older opset"
    ),
}

OPTIONS = {DEVICES["cuda"]: {"use_tf32": "0"}}
"""Else CUDA computes fp32 with 10 bits of mantissa, 356 TFLOP/s where the card's fp32 has 67, and calls it fp32."""
_TYPES = {"float": "float32", "double": "float64"}
_OPERATORS = dict.fromkeys(("FusedConv", "ConvInteger"), "Conv") | dict.fromkeys(
    ("Gemm", "FusedGemm", "FusedMatMul", "QGemm", "MatMulInteger", "MatMulIntegerToFloat", "DynamicQuantizeMatMul"),
    "MatMul",
) | dict.fromkeys(("Transpose", "ReorderInput", "ReorderOutput"), "Layout")  # fmt: skip


def version() -> str:
    """The version that is imported."""
    import onnxruntime

    return str(onnxruntime.__version__)


def about() -> dict[str, Any]:
    """How it was built."""
    import onnxruntime

    build = onnxruntime.get_build_info() if hasattr(onnxruntime, "get_build_info") else ""
    return {"build": build.removeprefix("ORT Build Info: "), "providers": onnxruntime.get_available_providers()}


def load(model: str | bytes, options: dict[str, Any]) -> Session:
    """Load a model for one inference at a time."""
    import onnxruntime

    provider, threads = options["provider"], options["threads"]
    asked = onnxruntime.SessionOptions()
    if options.get("shared"):
        _share_threads(asked, threads)
    elif threads is not None:
        asked.intra_op_num_threads = threads
    asked.inter_op_num_threads = 1
    asked.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    asked.log_severity_level = 3
    asked.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    if not options.get("spin", True):
        asked.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if options.get("profile"):
        asked.enable_profiling = True
        asked.profile_file_prefix = str(Path(options["profile"]) / "profile")
    if provider != DEVICES["cpu"] and hasattr(onnxruntime, "preload_dlls"):
        onnxruntime.preload_dlls()
    providers = [(provider, OPTIONS.get(provider, {}))]
    return Session(onnxruntime.InferenceSession(_named(model, asked), asked, providers=providers), provider)


_POOL: list[int] = []  # the threads of the pool that all sessions share; set once a process


def _share_threads(asked: Any, threads: int) -> None:
    """Have the session use the process's pool of threads: idle threads of a session's own spin on the others' cores."""
    import onnxruntime

    if hasattr(onnxruntime, "set_global_thread_pool_sizes"):
        if not _POOL:
            onnxruntime.set_global_thread_pool_sizes(threads, 1)
            _POOL.append(threads)
        asked.use_per_session_threads = False
    else:  # an older one: threads of its own, that rest between inferences
        asked.intra_op_num_threads = threads
        asked.add_session_config_entry("session.force_spinning_stop", "1")


def _named(model: str | bytes, asked: Any) -> str | bytes:
    """A path that ONNX Runtime takes, or the file's content: it takes only names that are UTF-8."""
    if isinstance(model, bytes) or _is_text(model):
        return model
    folder = str(Path(model).resolve().parent)
    if _is_text(folder):
        asked.add_session_config_entry("session.model_external_initializers_file_folder_path", folder)
    return Path(model).read_bytes()


def _is_text(name: str) -> bool:
    return not any("\ud800" <= c <= "\udfff" for c in name)


class Session:
    """A model that is loaded."""

    def __init__(self, session: Any, provider: str) -> None:
        self.session, self.provider = session, provider
        self.inputs = [(each.name, _type(each.type), each.shape) for each in session.get_inputs()]
        self.outputs = [each.name for each in session.get_outputs()]

    def calls(self, feeds: dict[str, Any]) -> tuple[Any, Any]:
        """One inference; on a GPU with inputs and outputs bound there, and the same with copies."""
        session, run = self.session, self.session.run
        if self.provider == DEVICES["cpu"]:
            return lambda: run(None, feeds), None
        import onnxruntime

        binding, device = session.io_binding(), self.provider.removesuffix("ExecutionProvider").lower()
        for name, value in feeds.items():
            binding.bind_ortvalue_input(name, onnxruntime.OrtValue.ortvalue_from_numpy(value, device, 0))
        for output in self.outputs:
            binding.bind_output(output, device)
        binding.synchronize_inputs()

        def on_device() -> None:
            session.run_with_iobinding(binding)
            binding.synchronize_outputs()

        return on_device, lambda: run(None, feeds)

    def run(self, feeds: dict[str, Any]) -> list[Any]:
        """The outputs for these inputs."""
        return list(self.session.run(None, feeds))

    def ran(self) -> dict[str, Any]:
        """The providers in force and the nodes of each, where this ONNX Runtime tells."""
        nodes: dict[str, int] = {}
        if hasattr(self.session, "get_provider_graph_assignment_info"):
            for part in self.session.get_provider_graph_assignment_info():
                nodes[part.ep_name] = nodes.get(part.ep_name, 0) + len(part.get_nodes())
        options = self.session.get_session_options()
        tf32 = self.session.get_provider_options().get(self.provider, {}).get("use_tf32") == "1"
        return {
            "providers": self.session.get_providers(), "nodes": nodes, "threads": options.intra_op_num_threads or None,
            "precision": "tf32" if tf32 else None,
        }  # fmt: skip

    def profile(self) -> list[tuple[str, list[list[int]], float]]:
        """Each node's time, by ONNX Runtime's own profiler. Ends the profiling."""
        times: dict[tuple[str, str], list[int]] = {}
        shapes: dict[tuple[str, str], list[list[int]]] = {}
        for event in json.loads(Path(self.session.end_profiling()).read_text()):
            if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
                about = event["args"]
                key = (about["op_name"], about.get("node_index", event["name"]))
                times.setdefault(key, []).append(event["dur"])
                shapes[key] = [size for value in about.get("input_type_shape", []) for size in value.values()]
        if any(operator == "QLinearConv" for operator, _ in times):
            raise RuntimeError("its profiler does not show the weights of integer convolutions; see fp32's profile")
        return [(_OPERATORS.get(key[0], key[0]), shapes[key], statistics.median(us) / 1e3) for key, us in times.items()]


def _type(text: str) -> str:
    name = text.removeprefix("tensor(").removesuffix(")")
    return _TYPES.get(name, name)
