"""One visit: a fresh process that times one model, or two of them in turn.

Self-contained on purpose: it needs the standard library, NumPy and one runtime alone, whose file (`bench.runtimes`) it
loads by path, so that any interpreter can run it, through `bench/processes/answering.py`.
"""

from __future__ import annotations

import base64
import gc
import importlib.util
import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_STEADY_COUNT = 5  # samples in a window of the warm-up, at least
_STEADY_NS = 50_000_000  # ... and its time, at least
_STEADY_SPREAD = 0.03  # steady: the medians of two neighbouring windows differ by less
_PACE_S = 0.06  # for the machine's pace; the first third warms up
_KINDS = ("float32", "float16", "float64", "uint8", "int8", "int32", "int64", "bool")  # that random numbers can fill
_SHARED_NS = 5_000_000  # an inference that takes longer has work for more than one thread
_TELLING_NS = 20_000_000  # that the busiest thread ran, at least: else a tenth of it is less than a thread's own upkeep
_MAX_SAMPLES = 20_000  # kept of a visit; a faster model's samples are thinned evenly
_BLOCK_CALLS, _BLOCK_NS = 5, 10_000_000  # calls of one file before the other's turn, at most, and about their time


def answer(spec: dict[str, Any]) -> dict[str, Any]:
    """What a visit, or a profile, gives. Raises _Refused with one line."""
    try:
        return {"profile": _profile, "outputs": _outputs, "turns": _turns}.get(spec.get("do", "visit"), _visit)(spec)
    except _Refused:
        raise
    except MemoryError as error:
        raise _Refused(_NO_MEMORY) from error
    except ImportError as error:
        raise _Refused(
            f"{sys.executable} lacks what timing needs ({error}); "
            f"run `pip install numpy {_runtime(spec).DISTRIBUTIONS[-1]}` there"
        ) from error
    except Exception as error:
        # Runtimes raise many kinds of exception, all about this file or this device; one line tells which.
        text = " ".join(str(error).split())
        raise _Refused(_NO_MEMORY if _MEMORY.search(text) else f"{type(error).__name__}: {text[:400]}") from error


_NO_MEMORY = "not enough memory; close other programs, use a smaller batch, or leave this model out"
_MEMORY = re.compile(r"bad_alloc|[Ff]ailed to allocate|out of memory|BFCArena")


class _Refused(Exception):
    """What makes a measurement impossible, in one line."""

    exit_code = 5


def _visit(spec: dict[str, Any]) -> dict[str, Any]:
    import numpy as np

    runtime = _runtime(spec)
    version = runtime.version()  # imports it, which is no part of loading a model
    before_load = time.perf_counter_ns()
    with _explained(runtime, spec):
        session = _session(runtime, spec)
        _ran(session, spec)  # before inputs are bound on a device that is not there
        call, with_copies = session.calls(_inputs(np, session, spec))
    load_ns = time.perf_counter_ns() - before_load
    if spec["inject"]:
        call = _slowed(call, spec["inject"])
    gc.collect()
    gc.disable()
    start = time.perf_counter_ns()
    call()
    first_ns = time.perf_counter_ns() - start
    ran = _ran(session, spec)
    warmup_ns, steady = _warm_up(call, spec["warmup_s"])
    before, at_work = _counters(spec.get("cpu_stats", [])), _at_work()
    samples = _samples(call, spec["min_time_s"], spec["min_count"])
    after, worked = _counters(spec.get("cpu_stats", [])), _at_work()
    threads = _threads(at_work, worked)
    if spec["provider"] == runtime.DEVICES["cpu"]:
        _check_threads(runtime.TITLE, spec["threads"], threads, sorted(samples)[len(samples) // 2])
    copies = _samples(with_copies, spec["min_time_s"] / 2, spec["min_count"]) if with_copies else []
    peak_rss_bytes = _peak_rss()
    del session, call, with_copies  # two sessions alive would disturb each other
    return {
        "samples_ns": _thinned(samples),
        "sampling_ns": sum(samples),
        "copy_samples_ns": _thinned(copies),
        "warmup_ns": _thinned(warmup_ns),
        "warmed_up": steady,
        "load_ms": load_ns / 1e6,
        "first_inference_ms": first_ns / 1e6,
        "peak_rss_bytes": peak_rss_bytes,
        "provider": spec["provider"],
        "threads": spec["threads"],
        "provider_nodes": ran["nodes"],
        "precisions": ran["precision"] or {},
        "health": _health(before, after) | {"pace_ms": _pace(np, runtime, spec), "threads_at_work": threads},
        "runtime": version,
    }


def _turns(spec: dict[str, Any]) -> dict[str, Any]:
    """Two files of one runtime in turn, block by block, on one pool of threads: the one of the specification, A, and
    the one of `spec["beside"]`, B.

    What shifts the machine's speed shifts neighbouring blocks of both. Which comes first is chance in every pair of
    blocks; `spec["b_first"]` says which is loaded and warmed up first.
    """
    import random
    from statistics import median

    import numpy as np

    runtime = _runtime(spec)
    version = runtime.version()
    clock = time.perf_counter_ns
    sides = {"A": spec, "B": spec["beside"]}
    names = "BA" if spec["b_first"] else "AB"
    sessions, calls = {}, {}
    for name in names:
        with _of_side(name, sides[name]), _explained(runtime, sides[name]):
            session = _session(runtime, sides[name], shared=True)
            _ran(session, sides[name])
            call, _ = session.calls(_inputs(np, session, sides[name]))
            sessions[name] = session
            calls[name] = _slowed(call, sides[name]["inject"]) if sides[name]["inject"] else call
    gc.collect()
    gc.disable()
    longest = 0.0
    for name in names:
        with _of_side(name, sides[name]):
            calls[name]()
            _ran(sessions[name], sides[name])
            warmup_ns, _ = _warm_up(calls[name], spec["warmup_s"])
            longest = max(longest, median(warmup_ns[len(warmup_ns) // 2 :] or [0]))
    block = max(1, min(_BLOCK_CALLS, round(_BLOCK_NS / max(longest, 1))))
    before, at_work = _counters(spec.get("cpu_stats", [])), _at_work()
    rng = random.Random(spec["seed"])
    blocks: dict[str, list[float]] = {"A": [], "B": []}
    begun = clock()
    end = begun + int(spec["min_time_s"] * 1e9)
    while clock() < end or len(blocks["A"]) < spec["min_count"]:
        for name in "AB" if rng.random() < 0.5 else "BA":
            blocks[name].append(median(_samples(calls[name], 0, block)))
    sampling_ns = clock() - begun
    after, worked = _counters(spec.get("cpu_stats", [])), _at_work()
    return {
        "blocks_ns": [blocks["A"], blocks["B"]],
        "sampling_ns": sampling_ns,
        "health": _health(before, after) | {"pace_ms": None, "threads_at_work": _threads(at_work, worked)},
        "runtime": version,
    }


@contextmanager
def _of_side(name: str, side: dict[str, Any]) -> Iterator[None]:
    """What stands in the way of one of two files, with its name."""
    try:
        yield
    except _Refused as error:
        raise _Refused(f"{name} ({side['path']}): {error}") from error


def _profile(spec: dict[str, Any]) -> dict[str, Any]:
    """The time of each node by the runtime's own profiler, median over the inferences."""
    import tempfile

    import numpy as np

    runtime = _runtime(spec)
    with tempfile.TemporaryDirectory() as folder:
        with _explained(runtime, spec):
            session = _session(runtime, spec, profile=folder)
            call, _ = session.calls(_inputs(np, session, spec))
        _warm_up(call, spec["warmup_s"])
        _samples(call, spec["min_time_s"], spec["min_count"])
        return {"nodes": session.profile()}


def _outputs(spec: dict[str, Any]) -> dict[str, Any]:
    """The outputs for the inputs that a visit times, as float32 in base64 with their shapes, and what ran."""
    import numpy as np

    runtime = _runtime(spec)
    with _explained(runtime, spec):
        session = _session(runtime, spec)
        results = session.run(_inputs(np, session, spec))
    ran = _ran(session, spec)
    arrays = [np.ascontiguousarray(result, np.float32) for result in results]
    return {
        "outputs": [{"shape": each.shape, "data": base64.b64encode(each.tobytes()).decode()} for each in arrays],
        "precisions": ran["precision"] or {},
    }


def _runtime(spec: dict[str, Any]) -> Any:
    """The runtime's file as a module, under a name that no package has."""
    path = Path(spec["runtime"])
    found = importlib.util.spec_from_file_location(f"backbench_runtime_{path.stem}", path)
    if found is None or found.loader is None:
        raise _Refused(f"{path} is no runtime's file")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def _session(runtime: Any, spec: dict[str, Any], profile: str | None = None, shared: bool = False) -> Any:
    path, provider = spec["path"], spec["provider"]
    if not Path(path).is_file():
        raise _Refused(f"no file {path}; export it again, or correct the path")
    if Path(path).suffix.lower() not in runtime.SUFFIXES:
        raise _Refused(f"{runtime.TITLE} reads {', '.join(runtime.SUFFIXES)}, not {Path(path).name}")
    options = {"provider": provider, "threads": spec["threads"], "profile": profile, "shared": shared}
    options["spin"] = spec.get("spin", True)
    return runtime.load(path, options)


@contextmanager
def _explained(runtime: Any, spec: dict[str, Any]) -> Iterator[None]:
    """What a runtime raises over a file or a device, in one line that says what to do."""
    try:
        yield
    except (ImportError, MemoryError, _Refused):
        raise
    except Exception as error:
        text, path, provider = " ".join(str(error).split()), spec["path"], spec["provider"]
        if _MEMORY.search(text):
            raise _Refused(_NO_MEMORY) from error
        if provider != runtime.DEVICES["cpu"]:
            raise _Refused(f"{provider} cannot run this model here: {text[:300]}; see `bench doctor`") from error
        raise _Refused(f"{runtime.TITLE} cannot load {path}: {reason(runtime, text)}") from error


def reason(runtime: Any, text: str) -> str:
    """What stands in a runtime's way, and the remedy, from its message; the reason stands at the message's end."""
    for pattern, says in getattr(runtime, "EXPLAINED", {}).items():
        if match := re.search(pattern, text):
            return str(says).format(*match.groups())
    return f"{text if len(text) <= 300 else f'... {text[-300:]}'}; export it again, or check the file"


def _ran(session: Any, spec: dict[str, Any]) -> dict[str, Any]:
    """What runs, held against what was asked for: a runtime may fall back to another device without an error."""
    provider, ran = spec["provider"], session.ran()
    if provider not in ran["providers"]:
        running = ", ".join(ran["providers"])
        raise _Refused(f"asked for {provider}, but the session runs on {running}; see `bench doctor`")
    if ran["nodes"] and provider not in ran["nodes"]:
        raise _Refused(f"asked for {provider}, but every node runs on {', '.join(ran['nodes'])}; see `bench doctor`")
    if ran["threads"] not in (None, spec["threads"]):
        raise _Refused(f"asked for {spec['threads']} threads, but the session has {ran['threads']}")
    streams, hint = ran.get("streams", 1), ran.get("hint", "latency")
    if (streams, hint) != (1, "latency"):
        raise _Refused(
            f"asked for one inference at a time, but the session is set up for {streams} at once and for {hint}"
        )
    _check_precision(spec.get("precision"), ran["precision"] or {})
    return dict(ran)


def _check_precision(asked: str | None, layers: dict[str, int]) -> None:
    """Hold the precisions of the layers with weights, by their number, against the one asked for."""
    lower = {name: count for name, count in layers.items() if name in ("bf16", "f16")}
    if asked == "fp32" and lower:
        told = ", ".join(f"{count} in {name}" for name, count in lower.items())
        raise _Refused(f"asked for fp32, but of {sum(layers.values())} layers with weights {told} run")
    if asked == "int8" and layers and not {"u8", "i8"} & set(layers):
        raise _Refused(f"asked for int8, but all {sum(layers.values())} layers with weights run in {', '.join(layers)}")


def _check_threads(title: str, asked: int, at_work: int | None, p50_ns: int) -> None:
    """Hold the threads that worked against those asked for. A short inference may have nothing for a second one."""
    if at_work is not None and (at_work > asked or (at_work == 1 < asked and p50_ns > _SHARED_NS)):
        raise _Refused(f"asked for {asked} thread{'s' * (asked > 1)}, but {at_work} did the work: {title} ignores it")


def _at_work() -> dict[str, int]:
    """The time in ns that each thread of this process has run for; {} where the system does not show it."""
    texts = ((path.parent.name, _read(path).split()) for path in Path("/proc/self/task").glob("*/schedstat"))
    return {name: int(text[0]) for name, text in texts if text}


def _threads(before: dict[str, int], after: dict[str, int]) -> int | None:
    """How many threads did the work in between, each at least a tenth of what the busiest did; None: not known, as
    the system does not show it, or it was too short to tell."""
    ran = [time_ns - before.get(name, 0) for name, time_ns in after.items()]
    busiest = max(ran, default=0)
    return None if busiest < _TELLING_NS else sum(time_ns > busiest / 10 for time_ns in ran)


def _inputs(np: Any, session: Any, spec: dict[str, Any]) -> dict[str, Any]:
    """Random inputs of the model's types, in the shapes that the specification gives by name."""
    rng = np.random.default_rng(spec["seed"])
    feeds = {}
    for name, kind, given in session.inputs:
        if kind not in _KINDS:
            raise _Refused(f"input {name} is of type {kind}, which cannot be filled with random numbers")
        if 0 in given:
            raise _Refused(
                f"input {name} takes {list(given)}: a size of 0 stands for an open one, but nothing else than 0 can be "
                "fed; give that axis a name or -1, e.g. with onnx.tools.update_model_dims"
            )
        declared = [size if isinstance(size, int) and size > 0 else None for size in given]
        shape = spec["shapes"].get(name)
        if shape is None:
            shape = [size or spec["batch_size"] for size in declared]
        if len(declared) != len(shape) or any(
            size not in (None, fed) for size, fed in zip(declared, shape, strict=True)
        ):
            raise _Refused(f"input {name} takes {list(given)}, not {list(shape)}; see `bench cost` for its inputs")
        dtype = np.dtype(kind)
        random = rng.standard_normal(shape) if np.issubdtype(dtype, np.floating) else rng.integers(0, 2, shape)
        feeds[name] = random.astype(dtype)
    return feeds


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
    windows: list[float] = []
    begun, elapsed = 0, 0  # where the present window begins in `taken`, and its time
    deadline = clock() + int(bound_s * 1e9)
    while clock() < deadline:
        start = clock()
        call()
        taken.append(clock() - start)
        elapsed += taken[-1]
        if len(taken) - begun >= _STEADY_COUNT and elapsed >= _STEADY_NS:
            windows.append(median(taken[begun:]))
            begun, elapsed = len(taken), 0
            if len(windows) > 1 and abs(windows[-1] / windows[-2] - 1) < _STEADY_SPREAD:
                return taken, True
    return taken, False


def _samples(call: Any, min_time_s: float, min_count: int) -> list[int]:
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
        if stop >= end and len(samples) >= min_count:
            return samples


def _pace(np: Any, runtime: Any, spec: dict[str, Any]) -> float | None:
    """The median time in ms of a chain of small products; None on a GPU, or where there is none."""
    chain = runtime.PACE or (spec.get("pace") and base64.b64decode(spec["pace"]))
    if spec["provider"] != runtime.DEVICES["cpu"] or not chain:
        return None
    from statistics import median

    session = runtime.load(chain, {"provider": spec["provider"], "threads": spec["threads"]})
    ((name, _, shape),) = session.inputs
    call, _ = session.calls({name: np.full(shape, 1 / shape[0], np.float32)})
    taken = _samples(call, _PACE_S, _STEADY_COUNT)
    return round(median(taken[len(taken) // 3 :]) / 1e6, 4)


def _thinned(samples: list[int]) -> list[int]:
    """Every n-th sample, so that a microsecond model's visit stays storable; the distribution stays the same."""
    return samples[:: -(-len(samples) // _MAX_SAMPLES) or 1]


def _counters(cpu_stats: list[str]) -> dict[str, float]:
    """What the system counts, where it shows it; times in seconds. `cpu_stats`: the files that count throttling.

    Processor time is summed over the processors that this process may use: on a large shared host the rest is not ours
    to feel.
    """
    found: dict[str, float] = {"wall": time.monotonic(), "own": sum(os.times()[:2])}
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    tick = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
    for line in _read("/proc/stat").splitlines():
        name, *rest = line.split()
        if re.fullmatch(r"cpu\d+", name) and int(name[3:]) in cores and len(rest) >= 8:
            user, nice, system, _, _, irq, softirq, steal = (int(x) / tick for x in rest[:8])
            found["busy"] = found.get("busy", 0.0) + user + nice + system + irq + softirq
            found["stolen"] = found.get("stolen", 0.0) + steal
            found["cores"] = found.get("cores", 0.0) + 1
    switches = [int(n) for n in re.findall(r"nonvoluntary_ctxt_switches:\s+(\d+)", _all_tasks())]
    if switches:
        found["switches"] = sum(switches)
    units = {"throttled_usec": 1e6, "throttled_time": 1e9}  # of version 2 and version 1 of control groups
    for name, count in re.findall(r"^(throttled_usec|throttled_time) (\d+)", "\n".join(map(_read, cpu_stats)), re.M):
        found["throttled"] = found.get("throttled", 0.0) + int(count) / units[name]
    speeds = [float(x) for x in re.findall(r"cpu MHz\s*:\s*([\d.]+)", _read("/proc/cpuinfo"))]
    if speeds:
        found |= {"mhz_min": min(speeds), "mhz_max": max(speeds)}
    heats = [_read(path) for path in Path("/sys/class/thermal").glob("thermal_zone*/temp")]
    if any(heats):
        found["temperature"] = max(int(heat) / 1000 for heat in heats if heat)
    return found


def _health(before: dict[str, float], after: dict[str, float]) -> dict[str, float | int | None]:
    """The change of the counters over a visit's samples, under the names of `records.Health`."""

    def change(key: str) -> float | None:
        return after[key] - before[key] if key in before and key in after else None

    def ms(key: str) -> float | None:
        seconds = change(key)
        return None if seconds is None else round(seconds * 1e3, 1)

    wall = max(after["wall"] - before["wall"], 1e-9)
    busy, own, switches = change("busy"), change("own"), change("switches")
    share = None if busy is None or own is None else max(0.0, busy - own) / wall / after["cores"]
    return {
        "stolen_ms": ms("stolen"),
        "throttled_ms": ms("throttled"),
        "involuntary_switches": None if switches is None else int(switches),
        "others_cpu_share": None if share is None else round(share, 4),
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
