"""The side that answers: what a worker of the fleet does for a question. JSON comes in, and JSON goes out.

These are the only functions that the fleet asks Dask to call: `answer`, `hello` and `receive`.
"""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import shutil
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import msgspec

import bench
from bench import runtimes
from bench.errors import BenchError, Failed
from bench.export import cache
from bench.fleet import hush, kept, questions
from bench.machine import facts, lock, quiet
from bench.suites import RUNTIMES

MACHINE = "BACKBENCH_MACHINE"
"""The variable that names a machine, where it has no name of its own: several that share a kernel, as containers do."""
UNFINISHED = "the worker ended while it measured"
"""The answer to a question that was begun, and whose answer is lost: the machine is asked anew, with a new token."""


def hello(dask_worker: Any = None) -> str:
    """Who this machine is, and what may stand in the way: JSON. Dask gives its worker by that argument's name."""
    begun, cores = time.monotonic(), facts.cores_given()
    try:
        share, names = quiet.look()
    except OSError:
        share, names = 0.0, []
    place = cache.folder()
    while not place.exists():
        place = place.parent
    return _json(
        {
            "machine": identity(),
            "name": os.environ.get(MACHINE) or socket.gethostname(),
            "versions": versions(),
            "cpu": facts.cpu_model(),
            "cores": cores,
            "memory_bytes": facts.collect("cpu", cores, {}).informs["memory_bytes"],
            "free_bytes": shutil.disk_usage(place).free,
            "cache": str(cache.folder().parent),
            "busy_share": share,
            "busy_names": names,
            "measuring": lock.held_by(),
            "clock_s": time.time(),
            "took_s": time.monotonic() - begun,
            "nanny_sets": hush.shed(dict(os.environ), dask_worker),
            "idle_share": _idle_share(),
        }
    )


def identity() -> str:
    """What is the same for all processes on a machine, in containers too, and for no other machine."""
    name = os.environ.get(MACHINE)
    boot = facts.read("/proc/sys/kernel/random/boot_id") or f"{socket.gethostname()} {platform.machine()}"
    return hashlib.sha256((name or boot).encode()).hexdigest()[:16]


def versions() -> dict[str, str]:
    """The versions that all machines of a fleet share."""
    known = {"backbench": bench.__version__, "Python": ".".join(platform.python_version_tuple()[:2])}
    for name in ("distributed", "msgspec"):
        try:
            known[name] = version(name)
        except PackageNotFoundError:
            known[name] = "not installed"
    return known | runtimes.versions(RUNTIMES)


def receive(sha256: str, suffix: str, offset: int, data: bytes, last: bool) -> str:
    """Take in a piece of a file: JSON, as `kept.receive`."""
    return _said(lambda: kept.receive(*_checked(sha256, suffix), offset, bytes(data), last=bool(last)))


def answer(text: str) -> str:
    """The answer to a question: JSON `{"answer": …}`, or `{"error": …, "kind": …}` for what stood in the way."""
    return _said(lambda: _answer(msgspec.json.decode(text, type=questions.Any)))


def _answer(question: questions.Any) -> Any:
    if not isinstance(question, questions.Measure):
        return ANSWERS[type(question)](question)
    answers = kept.Answers()
    known = answers.begin(question.token)
    if known == "":
        raise Failed(UNFINISHED)
    if known is not None:
        return msgspec.json.decode(known)
    hush.shed()
    with hush.hushed():
        made = _json(ANSWERS[type(question)](question))
    answers.end(question.token, made)
    return msgspec.json.decode(made)


def _device(question: questions.Device) -> tuple[str, str]:
    from bench.runtimes import device

    return device.resolve(question.asked if runtimes.installed(question.runtime) else "cpu", question.runtime)


def _facts(question: questions.Facts) -> Any:
    return facts.collect(question.device, question.threads, runtimes.versions(question.runtimes))


def _visit(question: questions.Visit) -> Any:
    from bench.timing import Target, schedule

    with lock.measuring():
        patience = quiet.Patience(question.patience_s)
        for _ in patience.waits():
            pass
        target = Target(question.case, _path(question), question.inject)
        visit = schedule.one(target, question.number, question.settings)
    return {"visit": visit, "patience_s": max(0.0, patience.left_s)}


def _profile(question: questions.Profile) -> Any:
    from bench.timing import Target, profile

    return profile.by_kind(Target(question.case, _path(question)), question.settings)


def _fidelity(question: questions.Fidelity) -> Any:
    from bench.timing import fidelity

    return fidelity.against(question.case, _path(question), question.reference, question.settings)


def _load(question: questions.Load) -> Any:
    from bench.pipeline.place import Here

    return Here().load(question.case, _path(question), lambda words: None)


def _calibrate(question: questions.Calibrate) -> Any:
    from bench.timing import calibration

    return calibration.calibrate(question.settings, question.threads, question.runtimes)


def _shard(question: questions.Shard) -> Any:
    from bench.processes import process

    folder = Path(question.job.folder)
    if not folder.is_dir():
        raise Failed(f"there is no folder {folder} on {socket.gethostname()}; mount the images there at the same path")
    for file, size in zip(question.job.files, question.sizes, strict=True):
        if kept.bytes_of(folder / file) != size:
            raise Failed(f"{folder / file} is another file on {socket.gethostname()}; copy the images there again")
    spec = replace(question.spec, path=str(kept.path(question.sha256, question.suffix)))
    with (
        lock.measuring(),
        process.started("bench.accuracy.predictor", what="the process that runs the model", gpu=True) as worker,
    ):
        worker.ask(spec)
        return list(worker.answers(question.job))


ANSWERS: dict[type, Callable[[Any], Any]] = {
    questions.Device: _device,
    questions.Facts: _facts,
    questions.Holds: lambda question: kept.size(question.sha256, question.suffix),
    questions.Visit: _visit,
    questions.Profile: _profile,
    questions.Fidelity: _fidelity,
    questions.Load: _load,
    questions.Calibrate: _calibrate,
    questions.Shard: _shard,
}
"""What answers each kind of question; there is no other."""


def _path(question: questions.OfFile) -> Path:
    return kept.path(question.sha256, question.suffix)


def _checked(sha256: str, suffix: str) -> tuple[str, str]:
    asked = msgspec.convert({"do": "holds", "sha256": sha256, "suffix": suffix}, questions.Holds)
    return asked.sha256, asked.suffix


def _said(work: Callable[[], Any]) -> str:
    try:
        return _json({"answer": work()})
    except msgspec.ValidationError as error:
        return _json({"error": f"no question of the fleet: {error}", "kind": "WrongUsage"})
    except BenchError as error:
        return _json({"error": str(error), "kind": type(error).__name__})
    except Exception as error:
        return _json({"error": f"unexpected {type(error).__name__}: {error}", "kind": "Failed"})


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


@functools.cache
def _start() -> tuple[float, float]:
    times = os.times()
    return time.monotonic(), times.user + times.system


def _idle_share() -> float:
    """The processor time of this process as a share of one core, since it was first asked."""
    begun, used = _start()
    times, passed = os.times(), time.monotonic() - begun
    return (times.user + times.system - used) / passed if passed > 1 else 0.0
