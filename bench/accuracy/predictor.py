"""The worker process that runs a model's file on images: decoding in threads, inference beside it or in turn.

A `Spec` is answered by a `Signature`; a `Job` by one `Batch` after another, or, where features are asked for, by one
`FeatureBatch` after another.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from bench import runtimes
from bench.accuracy import signature
from bench.accuracy.predictions import TOP, Batch, Prediction
from bench.accuracy.signature import Signature
from bench.errors import Failed, WrongUsage
from bench.machine.facts import cores_given
from bench.models import inputs
from bench.models.preprocessing import Array, Preprocessing, batch_array, write
from bench.timing.worker import reason

AHEAD = 2  # batches that are decoded while one is inferred, where cores are free for it: what bounds the memory
_SUM_TOLERANCE = 1e-2  # of probabilities, in half precision


@dataclass(frozen=True, kw_only=True, slots=True)
class Spec:
    """The file to run, and how."""

    path: str
    runtime: str
    provider: str
    threads: int
    input_size: int | None = None  # pixels a side, for an input that leaves it open
    sizes: tuple[int | None, ...] | None = None  # of the only input, None where open; None: as the session says
    features: bool = False  # whether what it gives are features, not class scores
    output: str | None = None  # the output with the class scores; None: the one that can be it
    widths: tuple[int, ...] = ()  # how many classes there may be; nothing: any


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """The images to run it on, from batch `first` on."""

    preprocessing: Preprocessing
    batch_size: int
    first: int
    folder: str
    files: tuple[str, ...]  # all of them
    labels: tuple[int, ...] = ()  # of features, none


@dataclass(frozen=True, kw_only=True, slots=True)
class FeatureBatch:
    """The features of neighbouring images of the list."""

    wall_s: float  # from the end of the batch before it, or the start of the job
    inference_s: float
    rows: bytes  # float32, little-endian, image by image; zeros where it could not be read
    problems: tuple[str | None, ...]  # why an image could not be read


_Loaded = tuple[Any, int, Signature, int, bool]
_LOADED: dict[str, _Loaded] = {}  # the session, the place of its scores, what it takes and gives, batches ahead,
# whether features are asked for


def answer(asked: dict[str, Any]) -> Signature | Iterator[Batch] | Iterator[FeatureBatch]:
    """A Spec is answered by its Signature; the Job that follows, by one batch after another."""
    if "folder" in asked:
        session, output, takes, ahead, features = _LOADED["session"]
        job = msgspec.convert(asked, Job)
        runs = _runs(session, output, takes, job, ahead)
        return _features(runs) if features else _predicted(runs, takes, job)
    spec = msgspec.convert(asked, Spec)
    try:
        session = _session(spec)
        takes, output = _signature(session, spec)
    except ImportError as error:
        raise Failed(f'{error}; install it with `pip install "backbench[cpu,images]"`') from error
    _LOADED["session"] = session, output, takes, _ahead(spec), spec.features
    return takes


def _ahead(spec: Spec) -> int:
    """How many batches to decode while one is inferred.

    None where inference has every core: a thread of a layer that loses its core to a decoder keeps all the others
    waiting, which costs more than taking turns.
    """
    return AHEAD if spec.provider != runtimes.get(spec.runtime).DEVICES["cpu"] or spec.threads < cores_given() else 0


def _session(spec: Spec) -> runtimes.Session:
    known = runtimes.get(spec.runtime)
    try:
        # Threads that spin while they wait, also after a run, would take the cores from those that decode.
        session = known.load(spec.path, {"provider": spec.provider, "threads": spec.threads, "spin": False})
    except ImportError:
        raise
    except Exception as error:
        text = " ".join(str(error).split())
        raise Failed(f"{known.TITLE} cannot load {spec.path}: {reason(known, text)}") from error
    if spec.provider not in session.ran()["providers"]:
        raise Failed(f"asked for {spec.provider}, but the session runs on {', '.join(session.ran()['providers'])}")
    return session


def _signature(session: runtimes.Session, spec: Spec) -> tuple[Signature, int]:
    """What the file takes and gives, found by running it once on zeros, and the place of the output with the scores."""
    from bench.models.decoding import DECODER

    name = Path(spec.path).name
    if len(session.inputs) != 1:
        raise WrongUsage(f"{name} has {len(session.inputs)} inputs; a classifier of images has one")
    ((given, dtype, asked),) = session.inputs
    if dtype not in signature.DTYPES:
        raise WrongUsage(f"{name} takes {dtype}; {', '.join(signature.DTYPES)} work")
    if 0 in asked:
        raise WrongUsage(f"{name} takes {list(asked)}: {inputs.EMPTY}")
    shape: list[int | None] = [size if isinstance(size, int) and size > 0 else None for size in asked]
    if spec.sizes is not None:
        shape = list(spec.sizes)
    layouts = signature.layouts(shape)
    if not layouts:
        raise WrongUsage(f"{name} takes {asked}: not a batch of images with 3 channels, NHWC or NCHW")
    batched = len(shape) == 4
    batch = shape[0] if batched else 1
    problem = ""
    for layout, sizes in layouts:
        if spec.input_size and any(size not in (None, spec.input_size) for size in sizes):
            raise WrongUsage(f"{name} takes {sizes[1]}x{sizes[0]} pixels; --input-size {spec.input_size} does not fit")
        height, width = (size or spec.input_size for size in sizes)
        if height is None or width is None:
            raise WrongUsage(f"{name} leaves its input size open ({asked}); give --input-size N")
        size = (3, height, width) if layout == "NCHW" else (height, width, 3)
        whole = (batch or 1, *size) if batched else size
        try:
            results = session.run({given: np.zeros(whole, dtype)})
        except Exception as error:
            # With every size open, only running it tells the layout.
            problem = problem or " ".join(str(error).split())
            continue
        if spec.features:
            place, scores = 0, signature.pooled(np.asarray(results[0]), batch or 1).shape[1]
        else:
            place, scores = signature.scores_of(
                name, session.outputs, results, batch or 1, asked=spec.output, widths=spec.widths
            )
        single = None
        if scores == 1 and not spec.features:
            noises = [signature.noise(whole, dtype, 10.0**seed, seed) for seed in range(5)]
            single = signature.kind_of_single([session.run({given: each})[place] for each in noises])
        return Signature(
            layout=layout,
            batched=batched,
            height=height,
            width=width,
            dtype=dtype,
            batch_size=batch,
            outputs=2 if single else scores,
            output=session.outputs[place],
            other_outputs=signature.others(session.outputs, results, batch or 1, place),
            single=single,
            provider=spec.provider,
            decoder=DECODER,
            place=place,
        ), place
    raise Failed(f"{name} cannot run on {width}x{height} pixels: {problem[:300]}")


@dataclass(frozen=True, slots=True)
class _Ran:
    """One batch that was inferred."""

    begun: int  # its first image's place in the list
    raw: Array  # what the model put out for it, filled up to its batch
    whole: int  # rows of that
    problems: list[str | None]
    inference_s: float


def _runs(session: runtimes.Session, output: int, takes: Signature, job: Job, ahead: int) -> Iterator[_Ran]:
    """The batches in order, inferred. While one is, the next `ahead` are decoded."""
    ((name, *_),) = session.inputs
    starts = range(job.first * job.batch_size, len(job.files), job.batch_size)
    free = [batch_array(job.batch_size, job.preprocessing) for _ in range(min(ahead + 1, len(starts)))]
    waiting: deque[tuple[int, Array, list[Future[str | None]]]] = deque()
    with ThreadPoolExecutor(cores_given()) as pool:
        try:
            for start in [*starts, *[None] * ahead]:
                if start is not None:
                    array = free.pop()
                    files = job.files[start : start + job.batch_size]
                    array[len(files) :] = 0
                    filling = [
                        pool.submit(_fill, Path(job.folder) / file, array[row], job.preprocessing)
                        for row, file in enumerate(files)
                    ]
                    waiting.append((start, array, filling))
                if not waiting or (start is not None and len(waiting) <= ahead):
                    continue
                begun, array, filling = waiting.popleft()
                problems = [each.result() for each in filling]
                whole = len(problems) if takes.batch_size is None else job.batch_size
                before_run = time.perf_counter()
                raw = np.asarray(session.run({name: array[:whole] if takes.batched else array[0]})[output])
                after_run = time.perf_counter()
                free.append(array)
                yield _Ran(begun, raw, whole, problems, after_run - before_run)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _predicted(runs: Iterator[_Ran], takes: Signature, job: Job) -> Iterator[Batch]:
    """What the model says of each batch."""
    before = time.perf_counter()
    for ran in runs:
        problems = ran.problems
        predictions, probabilities = _predictions(
            signature.class_scores(ran.raw, ran.whole, takes.single)[: len(problems)],
            job.labels[ran.begun : ran.begun + len(problems)],
            problems,
        )
        now = time.perf_counter()
        yield Batch(
            number=ran.begun // job.batch_size,
            wall_s=round(now - before, 6),
            inference_s=round(ran.inference_s, 6),
            probabilities=probabilities,
            predictions=predictions,
        )
        before = now


def _features(runs: Iterator[_Ran]) -> Iterator[FeatureBatch]:
    """What the model makes of each batch, averaged over the image."""
    before = time.perf_counter()
    for ran in runs:
        rows = signature.pooled(ran.raw, ran.whole)[: len(ran.problems)].astype("<f4")
        readable = [problem is None for problem in ran.problems]
        if not np.isfinite(rows[readable]).all():
            raise Failed("the backbone's features are not all numbers (NaN or infinite); use other weights")
        rows[[not one for one in readable]] = 0
        now = time.perf_counter()
        yield FeatureBatch(
            wall_s=round(now - before, 6),
            inference_s=round(ran.inference_s, 6),
            rows=rows.tobytes(),
            problems=tuple(ran.problems),
        )
        before = now


def _fill(path: Path, row: Array, p: Preprocessing) -> str | None:
    """Decode one image into its row of the batch; the reason when it cannot be."""
    from bench.models.decoding import Unreadable, decode

    try:
        write(decode(path, p), row, p)
    except Unreadable as error:
        row[...] = 0
        return str(error)
    return None


def _predictions(
    scores: Array, labels: tuple[int, ...], problems: list[str | None]
) -> tuple[tuple[Prediction, ...], bool]:
    """Predictions from scores (images, classes), and whether the scores of all images are probabilities."""
    readable = np.array([problem is None for problem in problems])
    if not np.isfinite(scores[readable]).all():
        raise Failed("the model's outputs are not all numbers (NaN or infinite); with fp16, values overflow: use fp32")
    values = scores.astype(np.float64)
    probabilities = bool((np.abs(values[readable].sum(1) - 1) < _SUM_TOLERANCE).all() and (values[readable] >= 0).all())
    if not probabilities:
        values = np.exp(values - values.max(1, keepdims=True))
        values /= values.sum(1, keepdims=True)
    best = np.argsort(-scores.astype(np.float64), axis=1, kind="stable")[:, :TOP]
    return tuple(
        Prediction(unreadable=problem)
        if problem is not None
        else Prediction(
            top=tuple(best[i].tolist()),
            scores=tuple(float(f"{values[i, k]:.6g}") for k in best[i]),
            label_score=float(f"{values[i, labels[i]]:.6g}"),
        )
        for i, problem in enumerate(problems)
    ), probabilities
