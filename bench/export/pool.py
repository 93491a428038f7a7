"""Worker processes that export side by side, as many as memory allows.

A worker makes several models, to pay for importing TensorFlow once. One that dies takes down the model in hand and no
other.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import psutil

from bench.errors import BenchError
from bench.export import cache
from bench.export.request import ExportRequest
from bench.processes import process
from bench.records import Artifact, Cost
from bench.suites import backbones

_BASE_BYTES = 1.2e9  # TensorFlow, tf2onnx and ONNX Runtime in one process
_COPIES = {"onnx": 5, "tflite": 9}  # of a model's weights that are alive at once, at most
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
    path: str
    entry: cache.Entry
    cached: bool


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
            hit = cache.find(wanted)
        except BenchError as error:
            yield ExportFailure(wanted, str(error))
            continue
        if hit:
            path, entry = hit
            on_start(wanted)
            yield Exported(wanted, path, entry.artifact, entry.cost, cached=True)
        else:
            missing.append(wanted)
    if missing:
        yield from _Pool(missing, jobs or min(2, len(os.sched_getaffinity(0)))).results(on_start)


def need_bytes(request: ExportRequest) -> float:
    """The memory that an export is expected to take, from the number of weights."""
    params = backbones().get(request.model, {}).get("params") or _UNKNOWN_PARAMS
    return _BASE_BYTES + _COPIES[request.format] * 4 * params


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
        self.events: queue.Queue[ExportRequest | Exported | ExportFailure | Exception] = queue.Queue()
        self.workers: set[process.Process] = set()
        self.stopped = False

    def results(self, on_start: Callable[[ExportRequest], None]) -> Iterator[Exported | ExportFailure]:
        threads = [threading.Thread(target=self._serve, daemon=True) for _ in range(self.jobs)]
        for thread in threads:
            thread.start()
        done = 0
        try:
            while done < self.count:
                event = self.events.get()
                if isinstance(event, Exception):
                    raise event  # of a thread, which would otherwise be waited for in vain
                if isinstance(event, ExportRequest):
                    on_start(event)
                else:
                    done += 1
                    yield event
        finally:
            with self.room:
                self.stopped = True
                self.room.notify_all()
            for worker in list(self.workers):
                worker.kill()

    def _serve(self) -> None:
        """Take requests that fit into memory until there are none left."""
        worker: process.Process | None = None
        try:
            while (request := self._next()) is not None:
                self.events.put(request)
                try:
                    worker = worker or self._start()
                    self.events.put(_exported(worker, request))
                except BenchError as error:
                    self.events.put(ExportFailure(request, str(error)))
                with self.room:
                    self.in_use -= need_bytes(request)
                    self.room.notify_all()
                if worker is not None and _spent(worker):
                    self._end(worker)
                    worker = None
        except Exception as error:
            self.events.put(error)
        finally:
            if worker is not None:
                self._end(worker)

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

    def _start(self) -> process.Process:
        threads = max(1, len(os.sched_getaffinity(0)) // self.jobs)
        changes = {
            "TF_NUM_INTRAOP_THREADS": str(threads),
            "TF_ENABLE_ONEDNN_OPTS": "0",  # its allocator never gives memory back
        }
        worker = process.Process(
            "bench.export.exporter", what="its process", remedy="close other programs or leave this model out",
            keras=True, changes=changes,
        )  # fmt: skip
        self.workers.add(worker)
        return worker

    def _end(self, worker: process.Process) -> None:
        self.workers.discard(worker)
        worker.close()


def _exported(worker: process.Process, request: ExportRequest) -> Exported:
    reply = msgspec.convert(worker.ask(request), _Reply)
    return Exported(request, Path(reply.path), reply.entry.artifact, reply.entry.cost, reply.cached)


def _spent(worker: process.Process) -> bool:
    """Whether it has died, or keeps so much memory that another one takes its place."""
    try:
        return not worker.alive or bool(psutil.Process(worker.popen.pid).memory_info().rss > _RECYCLE_BYTES)
    except psutil.Error:
        return True
