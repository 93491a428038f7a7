"""An instance: a process that holds a model once, or once for each of its lanes, and serves planned requests.

Self-contained on purpose, as the worker that times (`bench/timing/worker.py`), whose file it loads by path: it needs
the standard library, NumPy and one runtime. `bench/capacity/station.py` starts it and asks.

Requests are not sent: all lanes of all instances share a board, a file in memory with the planned time of every
request. A lane that is free takes the next ones under a lock, sleeps until they are due, and writes down when their
service began and ended. So there is no generator that takes a core from the instances, or a queue that adds its own
time; how late a lane woke is on the board. The lock is the file's, which the system frees when its holder dies.
"""

from __future__ import annotations

import fcntl
import gc
import importlib.util
import mmap
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

HEAD = 4  # numbers at the board's begin: NEXT, BEGIN, STOP and COUNT
NEXT, BEGIN, STOP, COUNT = range(HEAD)
COLUMNS = 6  # after them, COUNT numbers each: PLANNED ... LANE
PLANNED, DUE, STARTED, ENDED, SIZE, LANE = range(COLUMNS)
_SLACK_NS = 1  # how late the kernel may wake a lane to save power; 50 us by default
_PR_SET_TIMERSLACK = 29
_clock = time.perf_counter_ns


def answer(question: dict[str, Any]) -> Any:
    """`load`, `saturate` or `serve`."""
    return {"load": _load, "saturate": _saturate, "serve": _serve}[question["do"]](question)


class _Lane:
    """A model that is loaded, with one call for each size of a batch."""

    def __init__(self, worker: Any, spec: dict[str, Any], number: int, cores: list[int] | None) -> None:
        self.number, self.cores = number, cores
        _settle(self)  # the runtime's threads are started on the cores of this one
        np, runtime = _numpy(), worker._runtime(spec)
        with worker._explained(runtime, spec):
            options = {"provider": spec["provider"], "threads": spec["threads"], "spin": spec["spin"]}
            self.session = runtime.load(spec["path"], options)
            worker._ran(self.session, spec)
            self.calls = {}
            for size in spec["sizes"]:
                asked = spec | {"batch_size": size, "shapes": spec["shapes_by_size"][str(size)]}
                alone, copying = self.session.calls(worker._inputs(np, self.session, asked))
                self.calls[size] = copying or alone  # a request's data come from the host, and go back to it
                self.calls[size]()
        worker._ran(self.session, spec)
        for call in self.calls.values():
            worker._warm_up(call, spec["warmup_s"])


_LANES: list[_Lane] = []
_FAULTS: dict[str, Any] = {}  # planted: the harness's test of itself


def _load(spec: dict[str, Any]) -> dict[str, Any]:
    """Load every lane of this instance, one after the other."""
    worker = _module(spec["worker"], "backbench_worker")
    _FAULTS.update(spec.get("faults", {}))
    version = worker._runtime(spec).version()
    alone = worker._peak_rss()
    for number, cores in zip(spec["lanes"], spec["cores"], strict=True):
        _LANES.append(_Lane(worker, spec, number, cores))
    gc.collect()
    gc.disable()
    return {"rss_bytes": _rss() or worker._peak_rss(), "alone_bytes": alone, "runtime": version, "pid": os.getpid()}


def _saturate(question: dict[str, Any]) -> list[list[int]]:
    """The service times in ns of each lane, while all of them are busy all the time."""
    times: dict[int, list[int]] = {}
    begin = question["begin_ns"]

    def work(lane: _Lane) -> None:
        call, mine = lane.calls[question["size"]], times.setdefault(lane.number, [])
        call()  # a runtime may plan anew for another size of the batch: CUDA took 150 ms for it
        _sleep_until(begin)
        until = begin + int(question["seconds"] * 1e9)
        while True:
            start = _clock()
            call()
            stop = _clock()
            mine.append(stop - start)
            if stop >= until and len(mine) >= question["least"]:
                return

    _at_once(work)
    return [times[number] for number in sorted(times)]


def _serve(question: dict[str, Any]) -> dict[str, Any]:
    """Serve what is on the board, until it is empty or its time is over."""
    _at_once(lambda lane: _serve_lane(lane, question))
    return {"rss_bytes": _rss()}


def _serve_lane(lane: _Lane, question: dict[str, Any]) -> None:
    with _board(question["board"]) as (file, board):
        batch, longest_wait = question["batch"], question["longest_wait_ns"]
        count, begin, stop = board[COUNT], board[BEGIN], board[STOP]
        planned, due, started, ended, sizes, lanes = (HEAD + column * count for column in range(COLUMNS))
        calls, faults = lane.calls, _FAULTS
        while True:
            free = _clock()
            fcntl.flock(file, fcntl.LOCK_EX)
            first = board[NEXT]
            if first >= count or _clock() > stop:
                fcntl.flock(file, fcntl.LOCK_UN)
                return
            ready = begin + board[planned + first]
            if batch > 1 and longest_wait:
                last = first + batch - 1
                ready += longest_wait if last >= count else min(
                    longest_wait, board[planned + last] - board[planned + first])  # fmt: skip
            _sleep_until(ready)
            size, now = 1, _clock()
            while size < batch and first + size < count and begin + board[planned + first + size] <= now:
                size += 1
            board[NEXT] = first + size
            for request in range(first, first + size):
                board[due + request] = max(ready, free)
                board[sizes + request] = size
                board[lanes + request] = lane.number
                board[started + request] = now
            fcntl.flock(file, fcntl.LOCK_UN)
            if faults:
                _misbehave(faults, first, size, now - begin)
            calls[size]()
            end = _clock()
            for request in range(first, first + size):
                board[ended + request] = end


def _misbehave(faults: dict[str, Any], first: int, size: int, since_begin_ns: int) -> None:
    """Do what a test has planted: a stall at some requests, an end at one, a slow-down from some time on."""
    mine = range(first, first + size)
    if any(request in mine for request in faults.get("stall_at", ())):
        time.sleep(faults["stall_s"])
    if faults.get("die_at") in mine:
        os._exit(13)
    if "slow_from_s" in faults and since_begin_ns > faults["slow_from_s"] * 1e9:
        time.sleep(faults["slow_by_s"])


class _board:  # noqa: N801 - used like a function
    """The board's file and its numbers, for the length of a block. Each lane opens it anew: a lock is the opening's."""

    def __init__(self, path: str) -> None:
        self.file = os.open(path, os.O_RDWR)
        self.memory = mmap.mmap(self.file, 0)
        self.numbers = memoryview(self.memory).cast("q")

    def __enter__(self) -> tuple[int, Any]:
        return self.file, self.numbers

    def __exit__(self, *_: object) -> None:
        self.numbers.release()
        self.memory.close()
        os.close(self.file)


def _at_once(work: Any) -> None:
    """Do the work in every lane at the same time, each in a thread of its own where there are several."""
    failures: list[BaseException] = []

    def guarded(lane: _Lane) -> None:
        try:
            _settle(lane)
            work(lane)
        except BaseException as error:  # handed on below
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(lane,)) for lane in _LANES]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def _sleep_until(due_ns: int) -> None:
    while (left := due_ns - _clock()) > 0:
        time.sleep(left / 1e9)


def _settle(lane: _Lane) -> None:
    """Keep this thread to the lane's cores, and have it woken in time."""
    if lane.cores:
        os.sched_setaffinity(0, lane.cores)
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, _SLACK_NS, 0, 0, 0)


def _rss() -> int | None:
    """The memory that this process has now, in bytes; None where the system does not show it."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def _numpy() -> Any:
    import numpy

    return numpy


def _module(path: str, name: str) -> Any:
    found = importlib.util.spec_from_file_location(name, path)
    if found is None or found.loader is None:
        raise ImportError(f"no module in {path}")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module
