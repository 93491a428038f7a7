"""Instances of a model on this machine, started, asked to serve planned requests, and restarted where they die."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from bench import runtimes
from bench.capacity import instance
from bench.capacity.queueing import Setup
from bench.errors import Failed, WrongUsage
from bench.export.own import fed
from bench.machine import facts
from bench.processes import process
from bench.records import PlannedCase

Floats = np.ndarray[Any, np.dtype[np.float64]]

WARMUP_S = 0.5
RESTARTS = 3  # of the instances of one station; more, and they do not die by chance
_SCRIPT = Path(instance.__file__)
_BEFORE_S = 0.05  # from asking to the first request
_TIMEOUT_S = 300.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """A case, its file, and how instances of it are run."""

    case: PlannedCase
    path: Path
    processes: bool = True  # instances are processes; else threads of one
    runtime: Path | None = None  # another runtime's file than the case's
    faults: Mapping[str, Any] = field(default_factory=dict)  # planted: the harness's test of itself

    def shapes(self, size: int) -> dict[str, list[int]] | None:
        """The shapes of a batch of so many requests; None where the file takes no such batch."""
        if size == 1:
            return _plain(fed(self.path, self.case))
        if self.case.batch_size != 1 or not self.path.name.lower().endswith(".onnx"):
            return None
        one, many = fed(self.path, self.case), {}
        try:
            many = fed(self.path, replace(self.case, batch_size=size, input_shapes={}))
        except WrongUsage:
            return None
        grown = {name: (size, *shape[1:]) for name, shape in one.items() if shape}
        return _plain(many) if many == grown else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Served:
    """What became of a plan. Times in seconds; of a request that was not served, `responses_s` is infinite."""

    responses_s: Floats  # (requests,) from the planned arrival to the end of the service
    waits_s: Floats  # (requests,) from the planned arrival to the begin of the service
    lateness_s: Floats  # (requests,) from when a lane should have woken to when it did; part of the response time
    services_s: dict[int, Floats]  # by the size of the batch, in order of time; from when each could have begun
    begun_s: dict[int, Floats]  # when each of these began, from the plan's begin

    utilisation: float  # the share of the time in which a lane was at work, mean of the lanes
    restarts: int = 0  # instances that died and were started again
    lost: int = 0  # requests that were not served
    rss_bytes: int = 0  # of all instances, at the end


class Station:
    """Instances that are loaded and warm; end them with `close`."""

    def __init__(self, target: Target, setup: Setup) -> None:
        self.target, self.setup = target, setup
        self.restarts = 0
        self._closing = False
        cores = _cores(setup) if target.case.device == "cpu" else None
        lanes = list(range(setup.instances))
        of_process = [[lane] for lane in lanes] if target.processes else [lanes]
        self._specs = [self._spec(mine, [cores[i] if cores else None for i in mine]) for mine in of_process]
        self._pool = ThreadPoolExecutor(len(self._specs))
        self.processes: list[process.Process] = []
        try:
            self.processes = [self._start() for _ in self._specs]
            loaded = list(self._pool.map(lambda one, spec: one.ask(spec), self.processes, self._specs))
        except BaseException:
            self.close()
            raise
        self.rss_bytes = sum(each["rss_bytes"] for each in loaded)
        self.alone_bytes = loaded[0]["alone_bytes"]  # of a process without a model
        self.runtime: str = loaded[0]["runtime"]

    def saturated(self, size: int, seconds: float, least: int = 5) -> tuple[dict[int, Floats], float]:
        """Service times in s of batches of this size while every lane is busy, and the requests a second served."""
        question = {"do": "saturate", "size": size, "seconds": seconds, "least": least,
                    "begin_ns": time.perf_counter_ns() + int(_BEFORE_S * 1e9)}  # fmt: skip
        lanes = [lane for one in self._pool.map(lambda p: p.ask(question), self.processes) for lane in one]
        rate = sum(size * len(times) / (sum(times) / 1e9) for times in lanes)
        longest = max(map(len, lanes))
        mixed = [times[i] for i in range(longest) for times in lanes if i < len(times)]
        return {size: np.asarray(mixed) / 1e9}, rate

    def serve(self, planned_s: Floats, *, grace_s: float, setup: Setup | None = None) -> Served:
        """Serve a plan of arrivals; what is not begun `grace_s` after the last of them is not served any more.

        Raises Failed when instances die again and again.
        """
        how, before = setup or self.setup, self.restarts
        with _board(planned_s, grace_s) as path:
            question = {"do": "serve", "board": str(path), "batch": how.batch,
                        "longest_wait_ns": int(how.longest_wait_s * 1e9)}  # fmt: skip
            answers = list(self._pool.map(lambda i: self._serve(i, question), range(len(self.processes))))
            board = np.fromfile(path, np.int64)
        columns = board[instance.HEAD :].reshape(instance.COLUMNS, len(planned_s))
        served = _served(columns, int(board[instance.BEGIN]), self.setup.instances)
        rss = sum(answer["rss_bytes"] or 0 for answer in answers)
        return replace(served, restarts=self.restarts - before, rss_bytes=rss)

    def close(self) -> None:
        """End every instance."""
        self._closing = True
        for each in self.processes:
            each.kill()  # whoever waits for it learns of it
        self._pool.shutdown()
        for each in self.processes:
            each.close()

    def _serve(self, index: int, question: dict[str, Any]) -> dict[str, Any]:
        while True:
            try:
                answer: dict[str, Any] = self.processes[index].ask(question)
                return answer
            except Failed as error:
                if self._closing or self.processes[index].alive:
                    raise
                if self.restarts >= RESTARTS:
                    raise Failed(f"{error}; instances died {self.restarts + 1} times under this load") from error
                self.restarts += 1
                self.processes[index].close()
                self.processes[index] = self._start()
                self.processes[index].ask(self._specs[index])

    def _start(self) -> process.Process:
        return process.Process(
            _SCRIPT, what="an instance", remedy="close other programs, or use --instances for fewer", gpu=True,
            timeout_s=_TIMEOUT_S,
        )  # fmt: skip

    def _spec(self, lanes: Sequence[int], cores: Sequence[list[int] | None]) -> dict[str, Any]:
        case = self.target.case
        sizes = [size for size in range(1, self.setup.batch + 1) if self.target.shapes(size) is not None]
        return {
            "do": "load",
            "worker": str(process.WORKER),
            "path": str(self.target.path),
            "runtime": str(self.target.runtime or runtimes.file(case.runtime)),
            "provider": case.provider,
            "threads": self.setup.threads,
            "spin": self.setup.instances * self.setup.threads <= facts.cores_given(),
            "precision": case.precision,
            "shapes_by_size": {str(size): self.target.shapes(size) for size in sizes},
            "sizes": sizes,
            "seed": 0,
            "warmup_s": WARMUP_S,
            "lanes": list(lanes),
            "cores": list(cores),
            "faults": dict(self.target.faults),
        }


@contextmanager
def station(target: Target, setup: Setup) -> Iterator[Station]:
    """Instances for the length of a block."""
    one = Station(target, setup)
    try:
        yield one
    finally:
        one.close()


def _cores(setup: Setup) -> list[list[int]] | None:
    """The cores of each lane; None where they do not suffice, or the system pins nothing."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    allowed = sorted(os.sched_getaffinity(0))
    if setup.instances * setup.threads > min(len(allowed), facts.cores_given()):
        return None
    return [allowed[i * setup.threads : (i + 1) * setup.threads] for i in range(setup.instances)]


@contextmanager
def _board(planned_s: Floats, grace_s: float) -> Iterator[Path]:
    """The file that the lanes share, with the plan on it; see `bench.capacity.instance`."""
    folder = Path("/dev/shm")
    count = len(planned_s)
    numbers = np.zeros(instance.HEAD + instance.COLUMNS * count, np.int64)
    planned = (planned_s * 1e9).astype(np.int64)
    begin = time.perf_counter_ns() + int(_BEFORE_S * 1e9)
    numbers[instance.COUNT] = count
    numbers[instance.BEGIN] = begin
    numbers[instance.STOP] = begin + int(planned[-1]) + int(grace_s * 1e9)
    numbers[instance.HEAD : instance.HEAD + count] = planned
    with tempfile.NamedTemporaryFile(dir=folder if os.access(folder, os.W_OK) else None) as file:
        file.write(numbers.tobytes())
        file.flush()
        yield Path(file.name)


def _served(columns: Any, begin: int, lanes: int) -> Served:
    planned, due, started, ended, sizes, _ = columns
    done, begun = ended > 0, started > 0
    firsts, at = [], 0
    while at < len(planned) and begun[at]:
        firsts.append(at)
        at += int(sizes[at])
    first = np.asarray(firsts, dtype=np.int64)
    first = first[done[first]] if len(first) else first
    services = (ended - due)[first] / 1e9  # from when it could have begun: what a lane woke too late is part of it
    busy = float(services.sum())
    span = (int(ended.max()) - begin) / 1e9 if done.any() else 1.0
    of_size = {int(size): sizes[first] == size for size in np.unique(sizes[first])} if len(first) else {}
    return Served(
        responses_s=np.where(done, (ended - planned - begin) / 1e9, np.inf),
        waits_s=np.where(begun, (started - planned - begin) / 1e9, np.inf),
        lateness_s=np.where(begun, (started - due) / 1e9, 0.0),
        services_s={size: services[rows] for size, rows in of_size.items()},
        begun_s={size: ((started - begin)[first] / 1e9)[rows] for size, rows in of_size.items()},
        utilisation=busy / (lanes * span),
        lost=int((~done).sum()),
    )


def _plain(shapes: Mapping[str, Sequence[int]]) -> dict[str, list[int]]:
    return {name: list(shape) for name, shape in shapes.items()}
