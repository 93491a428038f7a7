"""What lies between an image file and its answer, stage by stage: timed in a process of its own.

One image after another, as a deployment would serve them: nothing is decoded ahead, and the session spins as it does by
default. The process that judges has ended by then; two sessions alive at once disturb each other.
"""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from bench import runtimes
from bench.accuracy import results
from bench.accuracy.predictions import TOP
from bench.accuracy.signature import class_scores
from bench.errors import Failed
from bench.machine import lock
from bench.models.preprocessing import Array, Pixels, Preprocessing, batch_array, write
from bench.processes import process

PASSES = 100  # at most; with batch 1, as many images, spread evenly over the set
WARM_UP, WARM_UP_S = 3, 0.3  # passes and seconds before the first that counts, both at least
LIMIT_S = 60.0  # no pass begins later; the passes are in random order, so that what is left out is no part of the set
_SEED = 0

Stage = tuple[str, Callable[[Any], Any]]
"""A stage's name, and the function that makes its result of the result of the stage before."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """A file that has been judged, and the images that can be read."""

    path: str
    runtime: str
    provider: str
    threads: int  # of inference
    preprocessing: Preprocessing
    batch_size: int  # images in one pass: 1 unless the model's batch is fixed
    output: str  # the output with the scores
    batched: bool = True  # whether the input has an axis for the batch
    single: str | None = None  # as `Signature` has it
    probabilities: bool  # whether it holds probabilities, or their logits
    files: tuple[str, ...]


def measure(question: Question) -> results.Stages:
    """Time each stage on up to PASSES images of those given, alone on this machine as far as the lock reaches.

    Raises Failed when the worker process dies, or another program holds the measuring lock for too long.
    """
    with lock.measuring():
        durations: dict[str, list[int]] = process.ask(
            "bench.accuracy.staging", question, what="the process that times the stages", gpu=True
        )
    return results.stages(durations, batch_size=question.batch_size, threads=question.threads)


def groups(files: Sequence[str], batch_size: int) -> list[tuple[str, ...]]:
    """The images of each pass, spread evenly over the list and in random order; with too few for one pass, repeated.

    >>> groups("abcdef", 4)
    [('e', 'c', 'b', 'a')]
    >>> groups("a", 2)
    [('a', 'a')]
    """
    count = min(PASSES * batch_size, len(files))
    chosen = [files[i * len(files) // count] for i in range(count)]
    if count < batch_size:
        chosen = [file for file, _ in zip(cycle(chosen), range(batch_size), strict=False)]
    random.Random(_SEED).shuffle(chosen)
    return [tuple(chosen[i : i + batch_size]) for i in range(0, len(chosen) - batch_size + 1, batch_size)]


def timed(items: Sequence[object], stages: Sequence[Stage], *, limit_s: float = LIMIT_S) -> dict[str, list[int]]:
    """Send each item through the stages: the ns that each stage took, in the order of the items.

    Passes that do not count come first, until WARM_UP of them and WARM_UP_S are over; no pass begins after `limit_s`.
    """
    clock = time.perf_counter_ns
    durations: dict[str, list[int]] = {name: [] for name, _ in stages}
    gc.collect()
    gc.disable()
    try:
        begun = clock()
        for done, item in enumerate(cycle(items)):
            if done >= WARM_UP and clock() - begun >= WARM_UP_S * 1e9:
                break
            for _, stage in stages:
                item = stage(item)
        begun = clock()
        for item in items:
            if durations[stages[0][0]] and clock() - begun >= limit_s * 1e9:
                break
            value = item
            for name, stage in stages:
                start = clock()
                value = stage(value)
                durations[name].append(clock() - start)
    finally:
        gc.enable()
    return durations


def pipeline(question: Question, run: Callable[[Array], Array]) -> list[Stage]:
    """The stages from the paths of one pass to its answers; `run` makes scores (n, classes) of a batch of inputs."""
    from bench.models.decoding import read, shaped

    p = question.preprocessing
    batch = batch_array(question.batch_size, p)

    def scaled(images: list[Pixels]) -> Array:
        for pixels, row in zip(images, batch, strict=True):
            write(pixels, row, p)
        return batch

    return [
        ("decode", lambda files: [read(Path(file), p) for file in files]),
        ("resize", lambda images: [shaped(image, p) for image in images]),
        ("scale", scaled),
        ("inference", run),
        ("postprocess", lambda raw: answers(class_scores(raw, len(batch), question.single), question.probabilities)),
    ]


def answers(scores: Array, probabilities: bool) -> list[tuple[list[int], list[float]]]:
    """For each row of scores (n, classes) the top 5 classes, best first, and their probabilities."""
    values = scores.reshape(len(scores), -1).astype(np.float32)
    if not probabilities:
        values = np.exp(values - values.max(1, keepdims=True))
        values /= values.sum(1, keepdims=True)
    top = min(TOP, values.shape[1])
    best = np.argpartition(-values, top - 1, axis=1)[:, :top]
    results = []
    for row, among in zip(values, best, strict=True):
        order = among[np.argsort(-row[among], kind="stable")]
        results.append((order.tolist(), row[order].tolist()))
    return results


def answer(asked: dict[str, Any]) -> dict[str, list[int]]:
    """The ns that each stage took, pass by pass; for the worker process."""
    question = msgspec.convert(asked, Question)
    from bench.models.decoding import Unreadable

    # As a deployment has it: its threads spin while they wait for the next layer.
    session = runtimes.get(question.runtime).load(
        question.path, {"provider": question.provider, "threads": question.threads}
    )
    ((name, *_),), place = session.inputs, list(session.outputs).index(question.output)

    def run(batch: Array) -> Array:
        return np.asarray(session.run({name: batch if question.batched else batch[0]})[place])

    try:
        return timed(groups(question.files, question.batch_size), pipeline(question, run))
    except Unreadable as error:
        raise Failed(f"an image that was judged cannot be read any more ({error}); give the command again") from error
