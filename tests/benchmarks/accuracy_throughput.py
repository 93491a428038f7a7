"""Throughput of `bench accuracy` beside inference alone, at the same batch size and threads, in one run.

    python -m tests.benchmarks.accuracy_throughput [MODEL...] [--images 2000] [--threads N] [--batch-size 32]

The images are JPEGs of ImageNet's usual size, 500x375, made in a temporary folder. Inference alone is ONNX Runtime with
its own defaults, in a fresh process, on batches that are in memory already. The two take turns; the medians of the
rounds are compared. Exits with 1 when `bench accuracy` reaches less than 80 % of it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from bench import accuracy, export, suites
from bench.machine.facts import cores_given
from bench.records import Case

GATE = 0.80
_ALONE = """
import sys, time, numpy, onnxruntime
path, threads, batch, count = sys.argv[1], *map(int, sys.argv[2:])
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = threads
session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
given = session.get_inputs()[0]
images = numpy.random.default_rng(0).standard_normal((batch, *given.shape[1:]), dtype=numpy.float32)
session.run(None, {given.name: images})
start = time.perf_counter()
for _ in range(count // batch):
    session.run(None, {given.name: images})
print(count // batch * batch / (time.perf_counter() - start))
"""


def make(folder: Path, count: int) -> int:
    """Write so many JPEGs into ten folders named 0 to 9; their bytes in all."""
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 12, (4, 375 + 64, 500 + 64, 3))
    for number in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)).resize((500, 375), 3)
        x, y = rng.integers(0, 64, 2)
        pixels = np.asarray(coarse) + noise[number % 4, y : y + 375, x : x + 500]
        place = folder / str(number % 10) / f"{number:05}.jpg"
        place.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(place, quality=92)
    return sum(file.stat().st_size for file in folder.glob("*/*"))


def alone(path: Path, threads: int, batch_size: int, count: int) -> float:
    """Images a second of inference by itself."""
    arguments = [str(path), str(threads), str(batch_size), str(max(count, batch_size))]
    done = subprocess.run([sys.executable, "-c", _ALONE, *arguments], capture_output=True, text=True, check=True)
    return float(done.stdout)


def judged(path: Path, case: Case, folder: Path, threads: int, batch_size: int) -> tuple[float, float]:
    """Images a second of `bench accuracy`, and with the start of its process."""
    settings = accuracy.Settings(
        images=folder, preprocess=suites.backbones()[case.model]["preprocess"], threads=threads, batch_size=batch_size
    )
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as place:
        found = accuracy.evaluate(path, settings, kept=Path(place) / "kept.jsonl")
    return found.images_per_s, found.n / (time.perf_counter() - start)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=["MobileNet", "ResNet50"])
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--threads", type=int, default=cores_given())
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    worst = 1.0
    with tempfile.TemporaryDirectory() as place:
        size = make(Path(place), asked.images)
        print(f"{asked.images} JPEGs of 500x375, {size / asked.images / 1000:.0f} kB each; {asked.threads} threads on "
              f"{cores_given()} cores, batches of {asked.batch_size}")  # fmt: skip
        for model in asked.models:
            case = suites.case_of_model(model)
            (made,) = export.export([export.request(case)])
            assert isinstance(made, export.Exported), made
            rows = []
            for _ in range(asked.rounds):
                limit = alone(made.path, asked.threads, asked.batch_size, asked.images)
                rows.append((limit, *judged(made.path, case, Path(place), asked.threads, asked.batch_size)))
                print(json.dumps({"model": model, "alone": rows[-1][0], "accuracy": rows[-1][1]}), file=sys.stderr)
            limit, rate, whole = (statistics.median(column) for column in zip(*rows, strict=True))
            worst = min(worst, rate / limit)
            print(f"{model}: inference alone {limit:.1f} images/s, bench accuracy {rate:.1f} "
                  f"({100 * rate / limit:.0f} %), with the start of its process {whole:.1f} "
                  f"({100 * whole / limit:.0f} %)", flush=True)  # fmt: skip
    return int(worst < GATE)


if __name__ == "__main__":
    sys.exit(main())
