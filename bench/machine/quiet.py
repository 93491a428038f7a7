"""Waiting for moments in which other programs leave the cores alone."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import psutil

from bench.machine import neighbours
from bench.units import duration

BUSY_SHARE = 0.10
"""Of the cores given: others that use more mark a visit as disturbed (`timing.schedule`)."""
_LOOK_S = 0.5  # how long others are watched; this process sleeps meanwhile
_PAUSE_S = 1.0


class Patience:
    """A stock of seconds to wait in, for all visits of a run together."""

    def __init__(self, seconds: float) -> None:
        self.left_s = seconds

    def waits(self) -> Iterator[str]:
        """Wait until others leave the cores alone, or no time is left; before every pause, who is in the way."""
        while self.left_s > 0:
            begun = time.monotonic()
            share, names = look()
            if share > BUSY_SHARE:
                who = f" ({', '.join(names)})" if names else ""
                yield (
                    f"waiting: others use {100 * share:.0f} % of the cores{who}; "
                    f"{duration(self.left_s)} of patience left"
                )
                time.sleep(_PAUSE_S)
            self.left_s -= time.monotonic() - begun
            if share <= BUSY_SHARE:
                return


def look() -> tuple[float, list[str]]:
    """The share of the cores given that others use now, and the busiest of them, by half a second."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    begun, before = time.monotonic(), neighbours.snapshot()
    busy = psutil.cpu_percent(_LOOK_S, percpu=True)
    names = neighbours.busiest(before, neighbours.snapshot(), time.monotonic() - begun)
    given = [busy[core] for core in cores if core < len(busy)] or busy
    return sum(given) / len(given) / 100, names
