"""A machine that is made up, for tests of the worker: its clock, and a runtime that writes down what it is asked."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bench.timing import worker

MS = 1_000_000


class Made:
    """A machine whose clock moves with what runs on it, and a runtime that writes down what it is asked."""

    def __init__(self) -> None:
        self.now, self.step = 5_000, 0  # ns; how far the clock moves by being looked at
        self.log: list[str] = []
        self.options: list[dict[str, Any]] = []
        self.fed: list[dict[str, Any]] = []
        self.durations: dict[str, Iterator[int]] = {}  # of the calls of a file, by its name
        self.ran: dict[str, Any] = {"providers": ["CPU"], "nodes": {"CPU": 3}, "threads": 2, "precision": {"f32": 4}}
        self.inputs: list[Any] = [("x", "float32", ("n", 3))]
        self.copies = False
        self.error: Exception | None = None
        self.runtime = SimpleNamespace(
            TITLE="Runner", DEVICES={"cpu": "CPU", "cuda": "GPU"}, SUFFIXES=(".onnx", ".run"), PACE=b"chain",
            DISTRIBUTIONS=("runner-gpu", "runner"),
            EXPLAINED={r"level (\d+) of (\w+)": "it has level {} of {}; upgrade"}, version=self.version, load=self.load,
        )  # fmt: skip

    def version(self) -> str:
        self.now += 1_000 * MS  # an import, that no time is to hold
        return "runner 1.2"

    def load(self, model: str | bytes, options: dict[str, Any]) -> Any:
        if self.error:
            raise self.error
        name = "chain" if model == b"chain" else Path(str(model)).name
        self.log.append(f"load {name}")
        self.options.append(options)
        self.now += 40 * MS

        def call() -> None:
            self.log.append(f"call {name}")
            self.now += next(self.durations[name])

        def with_copies() -> None:
            self.log.append("copy")
            self.now += 30 * MS

        def calls(feeds: dict[str, Any]) -> tuple[Any, Any]:
            self.log.append(f"bind {name}")
            self.fed.append(feeds)
            self.now += 10 * MS
            return call, with_copies if self.copies else None

        return SimpleNamespace(
            inputs=[("c", "float32", (4, 3))] if name == "chain" else self.inputs, ran=lambda: self.ran, calls=calls,
            profile=lambda: [("node", 1.0)],
            run=lambda feeds: [2 * feeds["x"], feeds["x"].astype(np.float16)],
        )  # fmt: skip


def lasting(*first: float, then: float) -> Iterator[int]:
    """Durations in ms, as ns."""
    yield from (int(ms * MS) for ms in first)
    while True:
        yield int(then * MS)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[Made]:
    machine = Made()

    def look() -> int:
        machine.now += machine.step
        return machine.now

    clock = SimpleNamespace(perf_counter_ns=look, monotonic=lambda: machine.now / 1e9)
    monkeypatch.setattr(worker, "time", clock)
    monkeypatch.setattr(worker, "_runtime", lambda spec: machine.runtime if spec["runtime"] == "runner.py" else None)
    yield machine
    gc.enable()


@pytest.fixture
def spec(tmp_path: Path) -> dict[str, Any]:
    for name in ("a.onnx", "b.onnx"):
        (tmp_path / name).touch()
    return {
        "runtime": "runner.py", "path": str(tmp_path / "a.onnx"), "provider": "CPU", "threads": 2, "seed": 7,
        "shapes": {}, "batch_size": 4, "inject": 0, "warmup_s": 1.0, "min_time_s": 0.5, "min_count": 3,
        "cpu_stats": ["cpu.stat"],
    }  # fmt: skip
