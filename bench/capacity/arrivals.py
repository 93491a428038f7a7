"""Planned arrivals: when each request is due, known before the first one is sent.

A plan is made from a seed, and nothing that a server does moves it: the load is open loop, and a slow server meets as
many requests as a fast one. Times are in seconds from the plan's begin.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float64]]

JITTER = 0.1
"""A camera's frame comes within this share of its period around the time that it is due."""


class Arrivals(Protocol):
    """A kind of arrivals."""

    @property
    def name(self) -> str:
        """In words."""

    def plan(self, rate_per_s: float, count: int, seed: int) -> Floats:
        """(count,) increasing times in seconds, `rate_per_s` requests a second on average."""


@dataclass(frozen=True, slots=True)
class Poisson:
    """Requests of many who know nothing of each other: exponential times in between.

    The times are those of MLPerf's LoadGen (its Server scenario) for the same `schedule_rng_seed`: the first request
    comes at once; each gap is made of two numbers of MT19937, as libstdc++'s exponential_distribution does it.
    """

    @property
    def name(self) -> str:
        """In words."""
        return "Poisson arrivals"

    def plan(self, rate_per_s: float, count: int, seed: int) -> Floats:
        """See `Arrivals.plan`.

        >>> Poisson().plan(100, 3, seed=1).round(4).tolist()
        [0.0, 0.0587, 0.0857]
        """
        drawn = np.random.RandomState(seed % 2**32).randint(0, 2**32, (count - 1, 2), dtype=np.uint64)
        shares = (drawn[:, 0] + drawn[:, 1] * 2.0**32) / 2.0**64
        return np.concatenate([[0.0], np.cumsum(-np.log1p(-shares) / rate_per_s)])


@dataclass(frozen=True, slots=True)
class Streams:
    """So many cameras of one frame rate, each with a phase of its own and some jitter."""

    streams: int
    jitter: float = JITTER

    @property
    def name(self) -> str:
        """In words."""
        return f"{self.streams} {'stream' if self.streams == 1 else 'streams'}"

    def plan(self, rate_per_s: float, count: int, seed: int) -> Floats:
        """See `Arrivals.plan`; each stream has `rate_per_s / streams` frames a second.

        >>> Streams(1, jitter=0.0).plan(10, 3, seed=2).round(4).tolist()
        [0.0262, 0.1262, 0.2262]
        """
        rng = np.random.default_rng(seed)
        period = self.streams / rate_per_s
        frames = -(-count // self.streams) + 1
        due = rng.uniform(0, period, (self.streams, 1)) + period * np.arange(frames)
        moved = due + rng.uniform(-self.jitter / 2, self.jitter / 2, due.shape) * period
        return np.asarray(np.sort(np.maximum(moved, 0), axis=None)[:count])
