"""A runtime of known service times: sleeps, infers nothing. Its file says how: "fixed 5", "exponential 5" ms a batch,
and what each further request of a batch adds."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path
from typing import Any

TITLE = "Sleep"
EXTRA = "sleep"
DISTRIBUTIONS = ("numpy",)
SUFFIXES = (".onnx", ".sleep")
DEVICES = {"cpu": "bed"}
PROBE = b"fixed 0"
PACE = None
_SPUN_S = 300e-6  # of each sleep, at its end: a service time is then as long as it says


def version() -> str:
    return "1.0"


def about() -> dict[str, Any]:
    return {"build": "of feathers", "providers": ["bed"]}


def load(model: str | bytes, options: dict[str, Any]) -> Session:
    return Session(Path(str(model)).read_text(), options)


class Session:
    def __init__(self, content: str, options: dict[str, Any]) -> None:
        kind, *numbers = content.split()
        self.inputs = [("x", "float32", ["n", 4])]
        self.outputs = ["y"]
        self.kind, self.options = kind, options
        self.first_s, self.further_s = [float(n) / 1e3 for n in (*numbers, "0", "0")[:2]]
        self.rng = random.Random(os.getpid())

    def calls(self, feeds: dict[str, Any]) -> tuple[Any, Any]:
        mean = self.first_s + self.further_s * (len(feeds["x"]) - 1)
        clock = time.perf_counter

        def call() -> None:
            until = clock() + (self.rng.expovariate(1 / mean) if self.kind == "exponential" else mean)
            while (left := until - clock()) > 0:
                if left > _SPUN_S:
                    time.sleep(left - _SPUN_S)

        return call, None

    def run(self, feeds: dict[str, Any]) -> list[Any]:
        return [feeds["x"]]

    def ran(self) -> dict[str, Any]:
        return {"providers": ["bed"], "nodes": {}, "threads": None, "precision": None}
