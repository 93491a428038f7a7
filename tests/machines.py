"""A made-up machine: visits answer at once, and only they and sleeping move its clock."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bench.errors import Failed
from bench.machine import neighbours
from bench.processes import process

Spec = dict[str, Any]


class Machine:
    """Stands in for the worker processes and the clock.

    `p50_ms` gives a visit's median by its specification, and may raise Failed; visits differ by `spread` (log standard
    deviation) around it. Keeps the specifications in `specs`, when their visits began in `begun` (s), and what was
    slept in `slept` (s).
    """

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        p50_ms: Callable[[Spec], float] = lambda _: 1.0,
        *,
        visit_s: float = 1.0,
        spread: float = 0.001,
    ) -> None:
        self.now, self.visit_s, self.p50_ms, self.spread = 0.0, visit_s, p50_ms, spread
        self.specs, self.begun, self.slept = list[Spec](), list[float](), list[float]()
        self.rng = np.random.default_rng(6)
        monkeypatch.setattr(process, "visit", self.visit)
        monkeypatch.setattr(neighbours, "snapshot", dict)  # nobody else is on it

    @property
    def clock(self) -> SimpleNamespace:
        """In place of the module `time`."""
        return SimpleNamespace(monotonic=lambda: self.now, sleep=self.sleep)

    @property
    def order(self) -> str:
        """The names of the files in the order of their visits."""
        return "".join(Path(spec["path"]).stem for spec in self.specs)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def visit(self, spec: Spec, python: str = sys.executable, **_: object) -> dict[str, Any]:
        """A worker's answer."""
        spec = spec | {"python": python}
        if spec.get("do") == "profile":
            return {"nodes": [["Add", [], 1.0]]}
        if spec.get("do") == "turns":
            return self._turns(spec)
        self.specs.append(spec)
        self.begun.append(self.now)
        self.now += self.visit_s
        try:
            centre_ns = 1e6 * self.p50_ms(spec) * math.exp(self.rng.normal(0, self.spread))
        except Failed:
            self.now -= self.visit_s
            raise
        return {
            "samples_ns": [int(centre_ns)] * 7, "sampling_ns": 7 * centre_ns, "copy_samples_ns": [], "warmup_ns": [],
            "warmed_up": True, "load_ms": 1.0, "first_inference_ms": 1.0, "peak_rss_bytes": 1,
            "provider": spec["provider"], "threads": spec["threads"], "provider_nodes": {spec["provider"]: 1},
            "health": {}, "runtime": Path(python).name if python != sys.executable else "1.0", "precisions": {},
        }  # fmt: skip

    def _turns(self, spec: Spec) -> dict[str, Any]:
        """A worker's answer for two files in turn: their ratio differs by `spread` between processes."""
        both = (spec["beside"], spec) if spec["b_first"] else (spec, spec["beside"])
        self.specs += both
        self.begun.append(self.now)
        a_ns, b_ns = (1e6 * self.p50_ms(each) for each in (spec, spec["beside"]))
        self.now += 2 * self.visit_s
        b_ns *= math.exp(self.rng.normal(0, self.spread))
        return {
            "blocks_ns": [[a_ns] * 7, [b_ns] * 7], "sampling_ns": 7 * (a_ns + b_ns), "health": {}, "runtime": "1.0",
        }  # fmt: skip
