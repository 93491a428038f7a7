"""A worker of a fleet whose measured process is made up: `python -m tests.fleet.made_up SCHEDULER TLS TRACE [FACTOR]`.

Everything else is real: Dask, TLS, the files that are sent, the machine's lock. Its visits leave their begin and end in
TRACE, one line each. MADE_UP_VISIT_S: how long a visit takes. MADE_UP_VERSION: of ONNX Runtime, as it says.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

from bench import runtimes
from bench.errors import Failed
from bench.fleet import worker
from bench.machine import lock, neighbours, quiet
from bench.processes import process
from bench.records import Roofline
from bench.timing import calibration


def visit(spec: dict[str, Any], **_: object) -> dict[str, Any]:
    if spec.get("do") == "profile":
        return {"nodes": [["Add", [], 1.0]]}
    path = Path(spec["path"])
    _say(f"begin {path.stem}")
    time.sleep(float(os.environ.get("MADE_UP_VISIT_S", "0.02")))
    size = path.stat().st_size
    if not lock.held_by():
        raise AssertionError("nobody holds this machine's lock")
    _say(f"end {path.stem}")
    if size % 10 == 7:
        raise Failed("the timing process was killed, most likely for want of memory; leave it out")
    centre_ns = size * 1e3 * float(sys.argv[4] if len(sys.argv) > 4 else 1)
    return {
        "samples_ns": [int(centre_ns * (1 + 0.001 * i)) for i in range(20)], "sampling_ns": 20 * centre_ns,
        "copy_samples_ns": [], "warmup_ns": [], "warmed_up": True, "load_ms": 1.0, "first_inference_ms": 1.0,
        "peak_rss_bytes": 1, "provider": spec["provider"], "threads": spec["threads"], "provider_nodes": {},
        "health": {}, "runtime": "1.0", "precisions": {}, "meters": {},
    }  # fmt: skip


def _say(what: str) -> None:
    with Path(sys.argv[3]).open("a") as file:
        file.write(f"{time.time():.4f} {os.environ['BACKBENCH_MACHINE']} {os.getpid()} {what}\n")


def installed(name: str) -> str | None:
    return f"onnxruntime {os.environ.get('MADE_UP_VERSION', '1.32.0')}" if name == "onnxruntime" else None


if __name__ == "__main__":
    process.visit = visit  # type: ignore[assignment]
    neighbours.snapshot = dict  # type: ignore[assignment]
    quiet.look = lambda: (0.0, [])
    runtimes.installed = installed
    calibration.calibrate = lambda *_: Roofline(gflops=1e9, gbytes_per_s=1e9, threads=1, provider="made up")  # type: ignore[assignment]
    worker.serve(sys.argv[1], name=os.environ["BACKBENCH_MACHINE"], tls=Path(sys.argv[2]))
