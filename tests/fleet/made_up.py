"""Workers of a fleet whose measured process is made up, its scheduler and a client, each in a process of its own.

Everything else is real: Dask, TLS, the files that are sent, the machine's lock. Visits leave their begin and end in the
trace, one line each.
"""

from __future__ import annotations

import os
import resource
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import runtimes
from bench.errors import Failed
from bench.fleet import answering, cluster, running, scheduler, worker
from bench.machine import lock, neighbours, quiet
from bench.pipeline import Options
from bench.processes import process
from bench.records import Roofline
from bench.suites import load_suite
from bench.timing import calibration


def visit(spec: dict[str, Any], **_: object) -> dict[str, Any]:
    if spec.get("do") == "profile":
        return {"nodes": [["Add", [], 1.0]]}
    path = Path(spec["path"])
    _say(f"begin {path.stem}")
    time.sleep(HERE[0].visit_s)
    size = path.stat().st_size
    if not lock.held_by():
        raise AssertionError("nobody holds this machine's lock")
    _say(f"end {path.stem}")
    if size % 10 == 7:
        raise Failed("the timing process was killed, most likely for want of memory; leave it out")
    centre_ns = size * 1e3 * HERE[0].factor
    return {
        "samples_ns": [int(centre_ns * (1 + 0.001 * i)) for i in range(20)], "sampling_ns": 20 * centre_ns,
        "copy_samples_ns": [], "warmup_ns": [], "warmed_up": True, "load_ms": 1.0, "first_inference_ms": 1.0,
        "peak_rss_bytes": 1, "provider": spec["provider"], "threads": spec["threads"], "provider_nodes": {},
        "health": {}, "runtime": "1.0", "precisions": {}, "meters": {},
    }  # fmt: skip


def _say(what: str) -> None:
    with HERE[0].trace.open("a") as file:
        file.write(f"{time.time():.4f} {HERE[0].machine} {os.getpid()} {what}\n")


def installed(name: str) -> str | None:
    return f"onnxruntime {HERE[0].version}" if name == "onnxruntime" else None


@dataclass(frozen=True)
class MadeUp:
    """A worker as it shall be."""

    machine: str
    url: str
    tls: Path
    trace: Path
    home: Path
    factor: float = 1.0
    visit_s: float = 0.02
    version: str = "1.32.0"
    largest_file: int | None = None  # bytes; as on a full disk


HERE: list[MadeUp] = []


def work(made_up: MadeUp, log: Path) -> None:
    """Be that worker; in a process of its own."""
    HERE.append(made_up)
    to_log(log)
    made_up.home.mkdir(exist_ok=True)
    os.environ |= {answering.MACHINE: made_up.machine, "BACKBENCH_CACHE": str(made_up.home / "cache")}
    if made_up.largest_file:
        resource.setrlimit(resource.RLIMIT_FSIZE, (made_up.largest_file, made_up.largest_file))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    lock.PATH = made_up.home / "measuring.lock"
    process.visit = visit  # type: ignore[assignment]
    neighbours.snapshot = dict  # type: ignore[assignment]
    quiet.look = lambda: (0.0, [])
    runtimes.installed = installed
    calibration.calibrate = lambda *_: Roofline(gflops=1e9, gbytes_per_s=1e9, threads=1, provider="made up")  # type: ignore[assignment]
    worker.serve(made_up.url, name=made_up.machine, tls=made_up.tls, folder=made_up.home)


def schedule(port: int, tls: Path, log: Path) -> None:
    """Be the scheduler."""
    to_log(log)
    scheduler.serve("127.0.0.1", port, scheduler_file=None, tls=tls, insecure=False)


def ask(url: str, tls: Path, models: list[str], options: Options, folder: Path, log: Path) -> None:
    """Be a client."""
    to_log(log)
    os.chdir(folder)
    os.environ["BACKBENCH_CACHE"] = str(folder / "cache")
    running.run(load_suite(models), cluster.Cluster(url, tls=tls), options=options)


def to_log(log: Path) -> None:
    number = os.open(log, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    os.dup2(number, 1)
    os.dup2(number, 2)
