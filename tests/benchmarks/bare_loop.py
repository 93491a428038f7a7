"""The harness's p50 beside an independent loop in a process of its own, in interleaved pairs.

    python -m tests.benchmarks.bare_loop [--pairs 30] [--threads 1] [--runtime onnxruntime|openvino|litert] [FILE ...]

For ONNX Runtime and LiteRT that is a bare loop, for OpenVINO its own `benchmark_app`, one synchronous stream in f32;
with that it takes no hint. The files are MobileNetV3Small and ResNet50 unless named: 2 and 70 ms with one thread on an
ordinary core. Exits with 1 when the ratio of p50s is further from 1 than 1 %.
"""

from __future__ import annotations

import argparse
import math
import re
import subprocess
import sys
from pathlib import Path
from statistics import median, stdev

from bench import export, runtimes, suites
from bench.analysis import statistics
from bench.export.own import fed
from bench.machine import lock
from bench.processes import process
from bench.records import PlannedCase, Settings
from bench.timing.schedule import specification
from tests.benchmarks.ab_vs_peers import MODELS

GATE = 0.01
MIN_TIME_S, MIN_COUNT, WARMUP_S = 0.4, 7, 1.0
_ONNXRUNTIME = """
import statistics, sys, time, numpy, onnxruntime
path, threads, seconds, count = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = threads
session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
given = session.get_inputs()[0]
shape = [size if isinstance(size, int) else 1 for size in given.shape]
feeds = {given.name: numpy.random.default_rng(0).standard_normal(shape, dtype=numpy.float32)}
for least in (seconds, seconds):
    taken, end = [], time.perf_counter() + least
    while time.perf_counter() < end or len(taken) < count:
        start = time.perf_counter()
        session.run(None, feeds)
        taken.append(time.perf_counter() - start)
print(1e3 * statistics.median(taken))
"""
_LITERT = """
import statistics, sys, time, numpy
from ai_edge_litert.interpreter import Interpreter
path, threads, seconds, count = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
interpreter = Interpreter(path, num_threads=threads)
interpreter.allocate_tensors()
given = interpreter.get_input_details()[0]
image = numpy.random.default_rng(0).standard_normal(given["shape"], dtype=numpy.float32)
interpreter.set_tensor(given["index"], image)
for least in (seconds, seconds):
    taken, end = [], time.perf_counter() + least
    while time.perf_counter() < end or len(taken) < count:
        start = time.perf_counter()
        interpreter.invoke()
        taken.append(time.perf_counter() - start)
print(1e3 * statistics.median(taken))
"""


def bare(path: Path, threads: int, runtime: str) -> float:
    """The median in ms; a bare loop warms up for as long as it measures."""
    if runtime == "openvino":
        shape = ",".join(map(str, next(iter(fed(path, planned(path, threads, runtime)).values()))))
        command = [
            str(Path(sys.executable).with_name("benchmark_app")), "-m", str(path), "-d", "CPU", "-api", "sync",
            "-hint", "none", "-nstreams", "1", "-nthreads", str(threads), "-infer_precision", "f32",
            "-shape", f"[{shape}]", "-t", "2",
        ]  # fmt: skip
    else:
        script = {"onnxruntime": _ONNXRUNTIME, "litert": _LITERT}[runtime]
        command = [sys.executable, "-c", script, str(path), str(threads), str(MIN_TIME_S), str(MIN_COUNT)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    match = re.search(r"Median:\s*([\d.]+) ms" if runtime == "openvino" else r"([\d.]+)\s*$", done.stdout)
    return float(match[1]) if match else math.nan


def planned(path: Path, threads: int, runtime: str) -> PlannedCase:
    """The case of a file."""
    provider = runtimes.get(runtime).DEVICES["cpu"]
    return PlannedCase(name="m", model=str(path), device="cpu", runtime=runtime, provider=provider, threads=threads)


def ours(path: Path, threads: int, runtime: str) -> float:
    """The median of one visit in ms."""
    case = planned(path, threads, runtime)
    settings = Settings(rounds=1, min_time_s=MIN_TIME_S, min_count=MIN_COUNT, warmup_s=WARMUP_S, budget_s=None, seed=0,
                        device="cpu", provider=case.provider)  # fmt: skip
    return median(process.visit(specification(case, path, settings))["samples_ns"]) / 1e6


def made(runtime: str) -> dict[str, Path]:
    """The models' files for a runtime."""
    requests = {export.request(suites.case_of_model(name, runtime=runtime)): name for name in MODELS}
    files = {}
    for result in export.export(list(requests)):
        if isinstance(result, export.ExportFailure):
            raise SystemExit(f"{requests[result.request]}: {result.message}")
        files[requests[result.request]] = result.path
    return files


def main() -> int:
    """Measure, print a line a file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--pairs", type=int, default=30)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runtime", choices=list(suites.RUNTIMES), default="onnxruntime")
    given = parser.parse_args()
    worst = 0.0
    for name, path in ({file.stem: file for file in given.files} or made(given.runtime)).items():
        pairs = []
        with lock.measuring():
            for number in range(given.pairs):
                order = (ours, bare) if number % 2 else (bare, ours)
                taken = {each: each(path, given.threads, given.runtime) for each in order}
                pairs.append((taken[ours], taken[bare]))
        logs = [math.log(a / b) for a, b in pairs]
        shift = statistics.hodges_lehmann(logs)
        half = statistics.student_t975(len(logs) - 1) * stdev(logs) / math.sqrt(len(logs))
        low, high = shift - half, shift + half
        worst = max(worst, abs(math.expm1(shift)))
        print(f"{name}, {given.runtime}, {given.threads} threads: ours {median(a for a, _ in pairs):.3f} ms, alone "
              f"{median(b for _, b in pairs):.3f} ms, ratio {math.exp(shift):.4f} "
              f"[{math.exp(low):.4f}, {math.exp(high):.4f}], {given.pairs} pairs", flush=True)  # fmt: skip
    return int(worst > GATE)


if __name__ == "__main__":
    sys.exit(main())
