"""Instances in made-up time: what `search` asks of a station, answered by computation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from bench.capacity import queueing
from bench.capacity.queueing import Setup
from bench.capacity.station import Served, Target
from bench.records import PlannedCase

Law = Callable[[np.random.Generator, int, int], Any]
"""Service times in s: of so many batches of one size."""


def exponential(mean_s: float) -> Law:
    return lambda rng, count, size: rng.exponential(mean_s, count)


def fixed(mean_s: float) -> Law:
    return lambda rng, count, size: np.full(count, mean_s)


class Simulated:
    rss_bytes = 100_000_000
    alone_bytes = 50_000_000

    def __init__(
        self, law: Law, setup: Setup, rng: np.random.Generator, late_s: float = 0.0, restarts: int = 0
    ) -> None:
        self.law, self.setup, self.rng, self.late_s, self.restarts = law, setup, rng, late_s, restarts

    def saturated(self, size: int, seconds: float, least: int = 5) -> tuple[dict[int, Any], float]:
        times = self.law(self.rng, 150, size)
        return {size: times}, size * self.setup.instances / float(np.mean(times))

    def serve(self, planned_s: Any, *, grace_s: float) -> Served:
        count = len(planned_s)
        services = {size: self.law(self.rng, count, size) for size in range(1, self.setup.batch + 1)}
        order = np.arange(count)[None]
        one = {size: times[None] for size, times in services.items()}
        times = queueing.responses(planned_s[None], one, self.setup, order=order)[0, 0, 0]
        begun = planned_s + times - services[1] if self.setup.batch == 1 else planned_s
        return Served(
            responses_s=times, waits_s=times, lateness_s=np.full(count, self.late_s), services_s=services,
            begun_s=dict.fromkeys(services, begun), utilisation=0.5, restarts=self.restarts,
        )  # fmt: skip


def opened(law: Law, seed: int = 0, **faults: Any) -> Any:
    """An opener for `search`; every station draws other service times."""
    rng = np.random.default_rng(seed)

    @contextmanager
    def open_(target: Target, setup: Setup) -> Iterator[Simulated]:
        yield Simulated(law, setup, rng, **faults)

    return open_


def target(folder: Path) -> Target:
    path = folder / "model.sleep"
    path.write_text("fixed 1")
    return Target(case=PlannedCase(name="sleep", model=str(path), device="cpu", provider="bed", threads=1), path=path)
