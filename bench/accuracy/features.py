"""What a frozen backbone makes of images, in the runtime that is timed: computed once, kept by content.

The features of an image follow from its content, the backbone's file, the preprocessing and the runtime; each of these
has its own file of features, of one record after another, to which a killed process leaves whole records.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from bench import runtimes
from bench.accuracy.measuring import Settings, batch_size_of, preprocessing_of
from bench.accuracy.predictor import FeatureBatch, Job, Spec
from bench.accuracy.signature import Signature
from bench.errors import Failed
from bench.machine import facts
from bench.models.file import file_sha256, sha256_of
from bench.models.preprocessing import Preprocessing
from bench.processes import process
from bench.processes.environment import cache_folder

Rows = NDArray[np.float32]

_FORMAT = 1  # raise it where the same key would stand for other records


@dataclass(frozen=True, slots=True)
class Features:
    """What a backbone makes of a list of images."""

    rows: Rows  # (n, features); zeros where an image could not be read
    problems: tuple[str | None, ...]  # why it could not be
    sha256s: tuple[str, ...]  # of the images' content
    computed: int  # images that were not stored before
    wall_s: float  # that these took, decoding included
    inference_s: float  # of which the backbone itself


def folder() -> Path:
    """Where features are kept: below $BACKBENCH_CACHE, or the user's cache folder."""
    return cache_folder("features")


def features(
    path: Path, settings: Settings, files: Sequence[str], *, progress: Callable[[int, int], None] | None = None
) -> Features:
    """What a backbone's file makes of images, in a worker process.

    Args:
        path: the backbone's file, which ends in feature maps.
        settings: the images' folder, the preprocessing, and how to run.
        files: images of that folder, relative to it.
        progress: told images done and images in all, after every batch.

    Raises WrongUsage for a file that gives no features; Failed when it cannot run, or the cache cannot be written.
    """
    with process.started(
        "bench.accuracy.predictor", what="the process that runs the backbone", gpu=True,
        remedy="close other programs",
    ) as worker:  # fmt: skip
        provider = settings.provider or runtimes.get(settings.runtime).DEVICES["cpu"]
        spec = Spec(
            path=str(path), runtime=settings.runtime, provider=provider, threads=settings.threads, features=True
        )
        signature = msgspec.convert(worker.ask(spec), Signature)
        p = preprocessing_of(settings, signature)
        key = _key(path, p, settings.runtime, provider)
        with _Kept(key, signature.outputs) as kept:
            sha256s = hashes_of([settings.images / file for file in files])
            missing = [i for i, sha256 in enumerate(sha256s) if sha256 not in kept.rows]
            problems: dict[int, str] = {}
            wall_s = inference_s = 0.0
            done = len(files) - len(missing)
            batch_size = batch_size_of(settings.batch_size, signature, p)
            job = Job(preprocessing=p, batch_size=batch_size, first=0, folder=str(settings.images),
                      files=tuple(files[i] for i in missing))  # fmt: skip
            for number, answer in enumerate(worker.answers(job) if missing else ()):
                batch = msgspec.convert(answer, FeatureBatch)
                part = missing[number * batch_size : number * batch_size + len(batch.problems)]
                rows = np.frombuffer(batch.rows, "<f4").reshape(len(part), -1)
                readable = [i for i, problem in enumerate(batch.problems) if problem is None]
                kept.add([sha256s[part[i]] for i in readable], rows[readable])
                problems |= {i: problem for i, problem in zip(part, batch.problems, strict=True) if problem is not None}
                wall_s, inference_s, done = wall_s + batch.wall_s, inference_s + batch.inference_s, done + len(part)
                if progress:
                    progress(done, len(files))
            none = np.zeros(signature.outputs, np.float32)
            rows = np.stack([kept.rows.get(sha256, none) for sha256 in sha256s])
    return Features(
        rows=rows,
        problems=tuple(problems.get(i) for i in range(len(files))),
        sha256s=tuple(sha256s),
        computed=len(missing) - len(problems),
        wall_s=wall_s,
        inference_s=inference_s,
    )


def hashes_of(paths: Sequence[Path]) -> list[str]:
    """The hashes of images' contents; of one that cannot be read, of its path: decoding it says why."""

    def of(path: Path) -> str:
        try:
            return file_sha256(path)
        except (Failed, ValueError):
            return hashlib.sha256(str(path).encode(errors="surrogatepass")).hexdigest()

    with ThreadPoolExecutor(facts.cores_given()) as pool:
        return list(pool.map(of, paths))


def _key(path: Path, p: Preprocessing, runtime: str, provider: str) -> str:
    """The content key of a file of features."""
    installed = runtimes.installed(runtime)
    content = msgspec.json.encode((_FORMAT, sha256_of(path), p, runtime, installed, provider), order="sorted")
    return hashlib.sha256(content).hexdigest()[:32]


class _Kept:
    """One file of features, for this process alone while it is open."""

    def __init__(self, key: str, width: int) -> None:
        self.path = folder() / f"{key}.features"
        self.record = np.dtype([("sha256", "u1", (32,)), ("crc32", "<u4"), ("row", "<f4", (width,))])
        self.rows: dict[str, Rows] = {}  # by the hash of the image's content

    def __enter__(self) -> _Kept:
        try:
            folder().mkdir(parents=True, exist_ok=True)
            self.lock = FileLock(self.path.with_suffix(".lock"))
            self.lock.acquire()
            self.path.touch()
            whole = self.path.stat().st_size // self.record.itemsize
            with self.path.open("r+b") as file:
                file.truncate(whole * self.record.itemsize)  # what a kill cut short
            for record in np.fromfile(self.path, self.record):
                if zlib.crc32(record["row"].tobytes()) == record["crc32"]:
                    self.rows[record["sha256"].tobytes().hex()] = record["row"]
        except OSError as error:
            raise self._cannot(error) from error
        return self

    def __exit__(self, *_: object) -> None:
        self.lock.release()

    def add(self, sha256s: Sequence[str], rows: Rows) -> None:
        """Store the features of some images. Raises Failed when the disk is full; what was stored before stays."""
        records = np.zeros(len(sha256s), self.record)
        for record, sha256, row in zip(records, sha256s, rows, strict=True):
            record["sha256"] = np.frombuffer(bytes.fromhex(sha256), np.uint8)
            record["crc32"], record["row"] = zlib.crc32(row.tobytes()), row
            self.rows[sha256] = record["row"]
        try:
            with self.path.open("ab") as file:
                file.write(records.tobytes())
        except OSError as error:
            raise self._cannot(error) from error

    def _cannot(self, error: OSError) -> Failed:
        return Failed(f"cannot write the features cache {folder()}: {error.strerror}; free some space, or set "
                      "BACKBENCH_CACHE")  # fmt: skip
