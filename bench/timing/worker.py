"""One visit: a fresh process that times one model.

Self-contained on purpose: it needs the standard library, NumPy and ONNX Runtime alone, so that any interpreter can run
it by path. The specification comes as JSON on stdin, the result goes as JSON to stdout; nothing else reaches stdout.
"""

from __future__ import annotations

import gc
import json
import os
import re
import signal
import sys
import time
from pathlib import Path
from typing import Any

_STEADY_WINDOW = 5
_STEADY_SPREAD = 0.05  # the two halves of the window's medians differ by less
_MAX_SAMPLES = 20_000


def main() -> None:
    """Read the specification, measure, write the result or one line of error."""
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    _die_with_parent()
    spec = json.load(sys.stdin)
    try:
        result = _visit(spec)
    except MemoryError:
        result = {"error": "not enough memory; close other programs or leave this model out"}
    except _Refused as error:
        result = {"error": str(error)}
    except Exception as error:
        # ONNX Runtime raises many kinds of exception, all about this file or this device; one line tells which.
        result = {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:400]}"}
    json.dump(result, answer)
    answer.close()


class _Refused(Exception):
    """What makes a measurement impossible, in one line."""


def _visit(spec: dict[str, Any]) -> dict[str, Any]:
    import numpy as np
    import onnxruntime

    provider = spec["provider"]
    before_load = time.perf_counter_ns()
    session = _session(onnxruntime, spec)
    load_ns = time.perf_counter_ns() - before_load
    _check_provider(session, provider)
    feeds = _inputs(np, session, spec)
    call, with_copies = _calls(onnxruntime, session, feeds, provider, spec["inject"])
    gc.collect()
    gc.disable()
    start = time.perf_counter_ns()
    call()
    first_ns = time.perf_counter_ns() - start
    warmup_ns, steady = _warm_up(call, spec["warmup_s"])
    before = _counters()
    samples = _sample(call, spec["min_time_s"], spec["min_count"])
    after = _counters()
    copies = _sample(with_copies, spec["min_time_s"] / 2, spec["min_count"]) if with_copies else []
    return {
        "samples_ns": samples,
        "copy_samples_ns": copies,
        "warmup_ns": warmup_ns,
        "warmed_up": steady,
        "load_ms": load_ns / 1e6,
        "first_inference_ms": first_ns / 1e6,
        "peak_rss_bytes": _peak_rss(),
        "provider": provider,
        "health": _health(before, after, spec["cores"]),
        "runtime": onnxruntime.__version__,
    }


def _session(onnxruntime: Any, spec: dict[str, Any]) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = spec["threads"]
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3
    if spec["provider"] != "CPUExecutionProvider":
        # Without this, ONNX Runtime runs on the CPU what the device cannot, and says nothing.
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        if hasattr(onnxruntime, "preload_dlls"):
            onnxruntime.preload_dlls()
    try:
        return onnxruntime.InferenceSession(spec["path"], options, providers=[spec["provider"]])
    except Exception as error:
        text = " ".join(str(error).split())
        if spec["provider"] != "CPUExecutionProvider" and Path(spec["path"]).is_file():
            raise _Refused(f"{spec['provider']} cannot run this model here: {text[:300]}") from error
        raise _Refused(
            f"ONNX Runtime cannot load {spec['path']}: {text[:300]}; export it again, or check the file"
        ) from error


def _check_provider(session: Any, provider: str) -> None:
    if provider not in session.get_providers():
        raise _Refused(f"asked for {provider}, but the session runs on {', '.join(session.get_providers())}")


def _inputs(np: Any, session: Any, spec: dict[str, Any]) -> dict[str, Any]:
    """Random inputs of the model's types, dynamic dimensions filled from the specification."""
    rng = np.random.default_rng(spec["seed"])
    kinds = {"float": np.float32, "float16": np.float16, "double": np.float64, "uint8": np.uint8, "int8": np.int8,
             "int32": np.int32, "int64": np.int64, "bool": np.bool_}  # fmt: skip
    sizes = spec["dimensions"]
    unknown = set(sizes) - {d for value in session.get_inputs() for d in value.shape} - {"batch"}
    if unknown:
        raise _Refused(
            f"no input has a dimension called {', '.join(sorted(unknown))}; the inputs are "
            + "; ".join(f"{value.name} {value.shape}" for value in session.get_inputs())
        )
    feeds = {}
    for value in session.get_inputs():
        kind = re.sub(r"tensor\((.*)\)", r"\1", value.type)
        if kind not in kinds:
            raise _Refused(f"input {value.name} is of type {value.type}, which cannot be filled with random numbers")
        shape = []
        for axis, size in enumerate(value.shape):
            if isinstance(size, int):
                shape.append(size)
            elif size in sizes:
                shape.append(sizes[size])
            elif axis == 0:
                shape.append(spec["batch_size"])
            else:
                raise _Refused(
                    f"input {value.name} leaves dimension {axis} ({size}) open; give it a size in the suite, e.g. "
                    f'dimensions = {{ "{size or "name"}" = 224 }}'
                )
        if spec["batch_size"] != 1 and shape and shape[0] != spec["batch_size"]:
            raise _Refused(
                f"input {value.name} has a fixed batch of {shape[0]}; batch_size {spec['batch_size']} does not fit"
            )
        dtype = kinds[kind]
        random = rng.standard_normal(shape) if np.issubdtype(dtype, np.floating) else rng.integers(0, 2, shape)
        feeds[value.name] = random.astype(dtype)
    return feeds


def _calls(onnxruntime: Any, session: Any, feeds: dict[str, Any], provider: str, inject: float) -> tuple[Any, Any]:
    """The call to time, and the one with host-device copies (None on the CPU).

    With `inject`, a call takes that share longer by real work: it spins until the share of its own time has passed.
    """
    if provider == "CPUExecutionProvider":
        names = None

        def run() -> None:
            session.run(names, feeds)

        return (_slowed(run, inject) if inject else run), None
    binding = session.io_binding()
    device = provider.removesuffix("ExecutionProvider").lower()
    for name, value in feeds.items():
        binding.bind_ortvalue_input(name, onnxruntime.OrtValue.ortvalue_from_numpy(value, device, 0))
    for output in session.get_outputs():
        binding.bind_output(output.name, device)
    binding.synchronize_inputs()

    def on_device() -> None:
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()

    def with_copies() -> None:
        session.run(None, feeds)

    return (_slowed(on_device, inject) if inject else on_device), with_copies


def _slowed(call: Any, share: float) -> Any:
    clock = time.perf_counter_ns

    def slower() -> None:
        start = clock()
        call()
        end = clock()
        until = end + int((end - start) * share)
        while clock() < until:
            pass

    return slower


def _warm_up(call: Any, bound_s: float) -> tuple[list[int], bool]:
    """Run until two neighbouring windows of samples have the same median, or the bound has passed."""
    from statistics import median

    clock = time.perf_counter_ns
    taken: list[int] = []
    deadline = clock() + int(bound_s * 1e9)
    while clock() < deadline and len(taken) < _MAX_SAMPLES:
        start = clock()
        call()
        taken.append(clock() - start)
        if len(taken) >= 2 * _STEADY_WINDOW:
            earlier = median(taken[-2 * _STEADY_WINDOW : -_STEADY_WINDOW])
            if abs(median(taken[-_STEADY_WINDOW:]) / earlier - 1) < _STEADY_SPREAD:
                return taken, True
    return taken, False


def _sample(call: Any, min_time_s: float, min_count: int) -> list[int]:
    """Samples in ns until both the minimum time and the minimum count are reached."""
    clock = time.perf_counter_ns
    samples: list[int] = []
    append = samples.append
    end = clock() + int(min_time_s * 1e9)
    while True:
        start = clock()
        call()
        stop = clock()
        append(stop - start)
        if (stop >= end and len(samples) >= min_count) or len(samples) >= _MAX_SAMPLES:
            return samples


def _counters() -> dict[str, float]:
    """What the system counts, where it shows it; all in seconds but the switches."""
    found: dict[str, float] = {"wall": time.monotonic(), "own": sum(os.times()[:2])}
    tick = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
    first = _read("/proc/stat").partition("\n")[0].split()
    if len(first) > 8:
        user, nice, system, _, _, irq, softirq, steal = (int(x) / tick for x in first[1:9])
        found |= {"busy": user + nice + system + irq + softirq, "stolen": steal}
    switches = [int(n) for n in re.findall(r"nonvoluntary_ctxt_switches:\s+(\d+)", _all_tasks())]
    if switches:
        found["switches"] = sum(switches)
    speeds = [float(x) for x in re.findall(r"cpu MHz\s*:\s*([\d.]+)", _read("/proc/cpuinfo"))]
    if speeds:
        found |= {"mhz_min": min(speeds), "mhz_max": max(speeds)}
    heats = [
        int(path.read_text()) / 1000 for path in Path("/sys/class/thermal").glob("thermal_zone*/temp") if _read(path)
    ]
    if heats:
        found["temperature"] = max(heats)
    return found


def _health(before: dict[str, float], after: dict[str, float], cores: int) -> dict[str, float | int | None]:
    def change(key: str) -> float | None:
        return after[key] - before[key] if key in before and key in after else None

    wall = max(after["wall"] - before["wall"], 1e-9)
    stolen, busy, own, switches = change("stolen"), change("busy"), change("own"), change("switches")
    return {
        "stolen_ms": None if stolen is None else round(stolen * 1e3, 1),
        "involuntary_switches": None if switches is None else int(switches),
        "others_cpu_share": None if busy is None or own is None else round(max(0.0, busy - own) / wall / cores, 4),
        "mhz_min": after.get("mhz_min"),
        "mhz_max": after.get("mhz_max"),
        "temperature_c": after.get("temperature"),
    }


def _all_tasks() -> str:
    return "".join(_read(path) for path in Path("/proc/self/task").glob("*/status"))


def _peak_rss() -> int:
    found = re.search(r"VmHWM:\s+(\d+) kB", _read("/proc/self/status"))
    if found:
        return int(found[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _read(path: str | Path) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def _die_with_parent() -> None:
    """On Linux, have the kernel kill this process when its parent dies, so that no orphan goes on measuring."""
    if sys.platform != "linux":
        return
    import ctypes

    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


if __name__ == "__main__":
    main()
