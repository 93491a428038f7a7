"""Images judged by several machines: whole batches, so that each image meets the batch that it would on one machine."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import msgspec

from bench.accuracy.predictions import Batch
from bench.accuracy.predictor import Job, Spec
from bench.errors import BenchError, Failed
from bench.fleet import kept, questions
from bench.fleet.cluster import Cluster, Lost, Machine
from bench.models.file import identity

BATCHES = 8  # of a shard, at least: a shard loads the file anew
SHARDS = 4  # for each machine, so that a slow one keeps nobody waiting for long
MOST = 64  # batches of a shard


class Shards:
    """The batches of jobs, made by the machines of a fleet; `machines` must be alike (`checking.fit`)."""

    def __init__(self, cluster: Cluster, machines: Sequence[Machine]) -> None:
        self.cluster, self.machines = cluster, machines

    def __call__(self, path: Path, spec: Spec, job: Job) -> Iterator[Batch]:
        """The batches in order, each as soon as all before it are there.

        The shard of a machine that is lost goes to another. Raises Failed where none is left, and what a machine says
        stands in its way.
        """
        count = -(-len(job.files) // job.batch_size)
        length = max(BATCHES, min(MOST, -(-(count - job.first) // (SHARDS * len(self.machines)))))
        starts = list(range(job.first, count, length))
        board = _Board(starts)
        with ThreadPoolExecutor(len(self.machines), thread_name_prefix="judge") as pool:
            for machine in self.machines:
                pool.submit(self._work, machine, path, spec, job, length, board)
            try:
                for start in starts:
                    yield from board.wait(start, workers=len(self.machines))
            finally:
                board.stop()

    def _work(self, machine: Machine, path: Path, spec: Spec, job: Job, length: int, board: _Board) -> None:
        try:
            sha256, suffix = identity(path).sha256, path.suffix.lower()
            self.cluster.send(machine.identity, sha256, suffix, path)
            while (start := board.take()) is not None:
                first, last = start * job.batch_size, (start + length) * job.batch_size
                files = job.files[first:last]
                part = replace(job, first=0, files=files, labels=job.labels[first:last],
                               folder=str(Path(job.folder).absolute()))  # fmt: skip
                sizes = tuple(kept.bytes_of(Path(job.folder) / file) for file in files)
                question = questions.Shard(sha256=sha256, suffix=suffix, spec=spec, job=part, sizes=sizes)
                try:
                    said = self.cluster.ask(machine.identity, question)
                except Lost:
                    board.back(start)
                    raise
                batches = msgspec.convert(said, list[Batch])
                board.done(start, [replace(batch, number=start + batch.number) for batch in batches])
        except Lost as error:
            board.leave(Failed(f"{machine.name}: {error}"), fatal=False)
        except BenchError as error:
            board.leave(error, fatal=True)
        except Exception as error:
            board.leave(Failed(f"{machine.name}: unexpected {type(error).__name__}: {error}"), fatal=True)
        else:
            board.leave(None, fatal=False)


class _Board:
    """Which shards are to be made, and those that are there."""

    def __init__(self, starts: Sequence[int]) -> None:
        self.open, self.left = deque(starts), len(starts)
        self.there: dict[int, list[Batch]] = {}
        self.changed = threading.Condition()
        self.gone = 0
        self.error: BenchError | None = None
        self.fatal = False

    def take(self) -> int | None:
        """The next shard to make; None when all are there, or nobody wants more. Waits for those of others."""
        with self.changed:
            while not self.open and self.left and not self.fatal:
                self.changed.wait()
            return self.open.popleft() if self.open and not self.fatal else None

    def back(self, start: int) -> None:
        """A shard is to be made by somebody else."""
        with self.changed:
            self.open.appendleft(start)
            self.changed.notify_all()

    def done(self, start: int, batches: list[Batch]) -> None:
        """A shard is there."""
        with self.changed:
            self.there[start] = batches
            self.left -= 1
            self.changed.notify_all()

    def leave(self, error: BenchError | None, *, fatal: bool) -> None:
        """A machine makes no more."""
        with self.changed:
            self.gone += 1
            self.error, self.fatal = error or self.error, self.fatal or fatal
            self.changed.notify_all()

    def stop(self) -> None:
        """Nobody wants more."""
        with self.changed:
            self.fatal = True
            self.changed.notify_all()

    def wait(self, start: int, workers: int) -> list[Batch]:
        """A shard, once it is there. Raises what stood in the way."""
        with self.changed:
            while start not in self.there:
                if self.fatal or self.gone == workers:
                    raise self.error or Failed("no machine is left that judges; start its worker and give it again")
                self.changed.wait()
            return self.there.pop(start)
