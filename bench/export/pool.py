"""Worker processes that export side by side, as many as memory allows.

A worker makes several models, to pay for importing TensorFlow once. One that dies takes down the model in hand and no
other.
"""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import psutil

from bench.errors import BenchError
from bench.export import cache
from bench.export.request import ExportRequest
from bench.records import Artifact, Cost
from bench.suites import facts

_BASE_BYTES = 1.2e9  # TensorFlow, tf2onnx and ONNX Runtime in one process
_COPIES = 5  # of a model's weights that are alive at once, at most
_RECYCLE_BYTES = 1.3e9  # a worker that keeps more than this after a model is replaced
_UNKNOWN_PARAMS = 60_000_000


@dataclass(frozen=True, slots=True)
class Exported:
    """A finished export."""

    request: ExportRequest
    path: Path
    artifact: Artifact
    cost: Cost
    cached: bool


@dataclass(frozen=True, slots=True)
class ExportFailure:
    """An export that failed, and why."""

    request: ExportRequest
    message: str


class _Reply(msgspec.Struct):
    path: str | None = None
    entry: cache.Entry | None = None
    cached: bool = False
    error: str | None = None


def export(
    requests: Iterable[ExportRequest],
    *,
    jobs: int | None = None,
    on_start: Callable[[ExportRequest], None] = lambda request: None,
) -> Iterator[Exported | ExportFailure]:
    """Export the requests, yielding each as it is done; those in the cache come first.

    Args:
        requests: what to export.
        jobs: how many at once at most; None: one a core, and no more than memory allows.
        on_start: called from this thread when an export begins.
    """
    missing: list[ExportRequest] = []
    for wanted in requests:
        try:
            found = cache.find(wanted)
        except BenchError as error:
            yield ExportFailure(wanted, str(error))
            continue
        if found:
            path, entry = found
            on_start(wanted)
            yield Exported(wanted, path, entry.artifact, entry.cost, cached=True)
        else:
            missing.append(wanted)
    if missing:
        yield from _Pool(missing, jobs or min(2, len(os.sched_getaffinity(0)))).results(on_start)


def need_bytes(request: ExportRequest) -> float:
    """The memory that an export is expected to take, from the number of weights."""
    params = facts().get(request.model, {}).get("params") or _UNKNOWN_PARAMS
    return _BASE_BYTES + _COPIES * 4 * params


class _Pool:
    """Threads, each feeding one worker process; a thread sleeps while its worker works."""

    def __init__(self, requests: list[ExportRequest], jobs: int) -> None:
        # Those in fp32 first: the others are made from them.
        self.waiting = sorted(requests, key=lambda request: (request.precision != "fp32", -need_bytes(request)))
        self.count = len(requests)
        self.jobs = min(jobs, len(requests))
        self.room = threading.Condition()
        self.in_use = 0.0
        self.total = 0.9 * psutil.virtual_memory().available
        self.events: queue.Queue[ExportRequest | Exported | ExportFailure] = queue.Queue()
        self.workers: set[subprocess.Popen[str]] = set()
        self.stopped = False

    def results(self, on_start: Callable[[ExportRequest], None]) -> Iterator[Exported | ExportFailure]:
        threads = [threading.Thread(target=self._serve, daemon=True) for _ in range(self.jobs)]
        for thread in threads:
            thread.start()
        done = 0
        try:
            while done < self.count:
                event = self.events.get()
                if isinstance(event, ExportRequest):
                    on_start(event)
                else:
                    done += 1
                    yield event
        finally:
            self.stopped = True
            for worker in list(self.workers):
                worker.kill()

    def _serve(self) -> None:
        """Take requests that fit into memory until there are none left."""
        worker: subprocess.Popen[str] | None = None
        while (request := self._next()) is not None:
            self.events.put(request)
            if worker is None or worker.poll() is not None:
                worker = self._start()
            self.events.put(self._ask(worker, request))
            with self.room:
                self.in_use -= need_bytes(request)
                self.room.notify_all()
            if _grown(worker):
                self._stop(worker)
                worker = None
        if worker is not None:
            self._stop(worker)

    def _next(self) -> ExportRequest | None:
        """The largest waiting request that fits beside what runs; alone, any does."""
        with self.room:
            while self.waiting and not self.stopped:
                for request in self.waiting:
                    if self.in_use == 0 or self.in_use + need_bytes(request) <= self.total:
                        self.waiting.remove(request)
                        self.in_use += need_bytes(request)
                        return request
                self.room.wait()
        return None

    def _start(self) -> subprocess.Popen[str]:
        threads = max(1, len(os.sched_getaffinity(0)) // self.jobs)
        worker = subprocess.Popen(
            [sys.executable, "-m", "bench.export.exporter"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | {"TF_NUM_INTRAOP_THREADS": str(threads), "PYTHONWARNINGS": "ignore"},
        )
        self.workers.add(worker)
        return worker

    def _stop(self, worker: subprocess.Popen[str]) -> None:
        if worker.stdin:
            worker.stdin.close()
        worker.kill()
        worker.wait()
        self.workers.discard(worker)

    def _ask(self, worker: subprocess.Popen[str], request: ExportRequest) -> Exported | ExportFailure:
        line = ""
        if worker.stdin and worker.stdout:
            try:
                worker.stdin.write(msgspec.json.encode(request).decode() + "\n")
                worker.stdin.flush()
                line = worker.stdout.readline()
            except BrokenPipeError:
                line = ""
        if not line:
            return ExportFailure(request, _death(worker.wait()))
        reply = msgspec.json.decode(line, type=_Reply)
        if reply.error is not None or reply.path is None or reply.entry is None:
            return ExportFailure(request, reply.error or "the worker gave no answer")
        return Exported(request, Path(reply.path), reply.entry.artifact, reply.entry.cost, reply.cached)


def _grown(worker: subprocess.Popen[str]) -> bool:
    try:
        return bool(psutil.Process(worker.pid).memory_info().rss > _RECYCLE_BYTES)
    except psutil.Error:
        return True


def _death(code: int) -> str:
    if code == -9:
        return "its process was killed, most likely for want of memory; close other programs or leave this model out"
    return (
        f"its process died ({'signal ' + str(-code) if code < 0 else 'exit ' + str(code)}); see it with `bench export`"
    )
