"""The harness's p50 beside a bare loop around `session.run` in a process of its own, in interleaved pairs.

    python -m tests.benchmarks.bare_loop [--pairs 30] [--threads 1] [FILE.onnx ...]

The files are MobileNetV3Small and ResNet50 unless named: 2 and 70 ms with one thread on an ordinary core. Exits with 1
when the ratio of p50s is further from 1 than 1 %.
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
from pathlib import Path
from statistics import median, stdev

from bench.analysis import statistics
from bench.machine import lock
from bench.processes import process
from bench.records import PlannedCase, Settings
from bench.timing.schedule import specification
from tests.benchmarks.ab_vs_peers import exported

GATE = 0.01
MIN_TIME_S, MIN_COUNT, WARMUP_S = 0.4, 7, 1.0
_BARE = """
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
print(statistics.median(taken))
"""


def bare(path: Path, threads: int) -> float:
    """The median in ms; warmed up for as long as it measures."""
    arguments = [str(path), str(threads), str(MIN_TIME_S), str(MIN_COUNT)]
    done = subprocess.run([sys.executable, "-c", _BARE, *arguments], capture_output=True, text=True, check=True)
    return 1e3 * float(done.stdout)


def ours(path: Path, threads: int) -> float:
    """The median of one visit in ms."""
    settings = Settings(rounds=1, min_time_s=MIN_TIME_S, min_count=MIN_COUNT, warmup_s=WARMUP_S, budget_s=None, seed=0,
                        device="cpu", provider="CPUExecutionProvider")  # fmt: skip
    case = PlannedCase(name="m", model=str(path), device="cpu", provider=settings.provider, threads=threads)
    return median(process.visit(specification(case, path, settings))["samples_ns"]) / 1e6


def main() -> int:
    """Measure, print a line a file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--pairs", type=int, default=30)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    worst = 0.0
    for name, path in ({file.stem: file for file in given.files} or exported()).items():
        pairs = []
        with lock.measuring():
            for number in range(given.pairs):
                order = (ours, bare) if number % 2 else (bare, ours)
                taken = {each: each(path, given.threads) for each in order}
                pairs.append((taken[ours], taken[bare]))
        logs = [math.log(a / b) for a, b in pairs]
        shift = statistics.hodges_lehmann(logs)
        half = statistics.student_t975(len(logs) - 1) * stdev(logs) / math.sqrt(len(logs))
        low, high = shift - half, shift + half
        worst = max(worst, abs(math.expm1(shift)))
        print(f"{name}, {given.threads} threads: ours {median(a for a, _ in pairs):.3f} ms, bare loop "
              f"{median(b for _, b in pairs):.3f} ms, ratio {math.exp(shift):.4f} "
              f"[{math.exp(low):.4f}, {math.exp(high):.4f}], {given.pairs} pairs", flush=True)  # fmt: skip
    return int(worst > GATE)


if __name__ == "__main__":
    sys.exit(main())
