"""What requests wait: the queue that arrivals and service times make, computed for many of both at once.

One queue, first come first served, in front of `servers` alike ones. A server that is free takes what waits, up to
`batch` requests; where `longest_wait_s` is above 0 it waits so long for more, counted from the first one's arrival.
For a batch of 1 this is the recursion of Kiefer and Wolfowitz (1955), of Lindley (1952) for one server.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float64]]
Indices = np.ndarray[Any, np.dtype[np.int64]]

LEFT_OUT = 0.1
"""Of the requests of a step, from its begin: a queue that begins empty is shorter there than it will be."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Setup:
    """How requests are served."""

    instances: int
    threads: int = 1  # of each instance's runtime
    batch: int = 1  # largest number of requests that are served together
    longest_wait_s: float = 0.0  # for a batch to fill, from the arrival of its first request

    @property
    def name(self) -> str:
        """In words.

        >>> Setup(instances=2, threads=1, batch=4).name
        '2 x 1 thread, batches up to 4'
        """
        threads = f"{self.instances} x {self.threads} {'thread' if self.threads == 1 else 'threads'}"
        return threads + (f", batches up to {self.batch}" if self.batch > 1 else "")


def responses(
    arrivals: Floats, services: Mapping[int, Floats], setup: Setup, *, rates: Floats | None = None, order: Indices
) -> Floats:
    """Response times in s of every request, from its arrival to the end of its service.

    `arrivals`: (streams, requests) in s, at a rate of 1 where `rates`, (rates,), divide them. `services`: for each
    size of a batch, (resamples, samples) service times in s; the j-th batch of a stream takes the sample
    `order[stream, j]`, the same one in every resample and at every rate, so that these differ in nothing else.
    Returns (resamples, rates, streams, requests).
    """
    streams, count = arrivals.shape
    by_rate = np.ones(1) if rates is None else rates
    resamples = next(iter(services.values())).shape[0]
    sizes = np.stack([_of_size(services, size) for size in range(1, setup.batch + 1)])  # (batch, resamples, samples)
    shape = (resamples, len(by_rate), streams)
    due = arrivals[None, :, :] / by_rate[:, None, None]  # (rates, streams, requests)
    free = np.zeros((setup.instances, *shape))
    times = np.empty((*shape, count))
    if setup.batch == 1:
        drawn = np.take(sizes[0], order, axis=1)  # (resamples, streams, batches)
        for j in range(count):
            soonest = free.argmin(axis=0)[None] if setup.instances > 1 else None
            begin = free[0] if soonest is None else np.take_along_axis(free, soonest, 0)[0]
            end = np.maximum(begin, due[:, :, j]) + drawn[:, None, :, j]
            if soonest is None:
                free[0] = end
            else:
                np.put_along_axis(free, soonest, end[None], 0)
            times[..., j] = end - due[:, :, j]
        return times
    return _batched(due, sizes, order, setup, free, times)


def _batched(due: Floats, sizes: Floats, order: Indices, setup: Setup, free: Floats, times: Floats) -> Floats:
    """The same where several requests are served together; queues of one table are at different requests."""
    resamples, rates, streams, count = times.shape
    padded = np.concatenate([due, np.full((*due.shape[:2], setup.batch), np.inf)], axis=2)
    b, r, s = np.ogrid[:resamples, :rates, :streams]
    first = np.zeros((resamples, rates, streams), dtype=np.int64)
    for j in range(count):
        going = first < count
        if not going.any():
            break
        here = np.minimum(first, count - 1)
        waiting = np.stack([padded[r, s, here + ahead] for ahead in range(setup.batch)])
        soonest = free.argmin(axis=0)[None]
        begin = np.maximum(np.take_along_axis(free, soonest, 0)[0], waiting[0])
        if setup.longest_wait_s:
            begin = np.maximum(begin, np.minimum(waiting[0] + setup.longest_wait_s, waiting[-1]))
        size = (waiting <= begin).sum(axis=0)
        end = begin + sizes[size - 1, b, order[s, np.full_like(first, j)]]
        np.put_along_axis(free, soonest, np.where(going, end, np.take_along_axis(free, soonest, 0)[0])[None], 0)
        for ahead in range(setup.batch):
            mine = going & (ahead < size)
            at = np.nonzero(mine)
            times[(*at, first[at] + ahead)] = (end - waiting[ahead])[at]
        first = np.where(going, first + size, first)
    return times


def _of_size(services: Mapping[int, Floats], size: int) -> Floats:
    """The service times of a batch of this size; of one that never came, those of the next larger one, else smaller."""
    known = sorted(services)
    return services[next((one for one in known if one >= size), known[-1])]


def quantile(times: Any, q: Any, axis: int | None = None) -> Any:
    """Quantiles of response times, of which those that were not served are infinite: so is what lies among them.

    >>> float(quantile([1.0, 3.0, math.inf, math.inf], 0.9)), float(quantile([1.0, 3.0, math.inf], 0.25))
    (inf, 2.0)
    """
    with np.errstate(invalid="ignore"):  # NumPy takes differences of neighbours; of infinite ones there is none
        values = np.quantile(times, q, axis=axis)
    return np.where(np.isnan(values), math.inf, values)


def settled(times: Floats) -> Floats:
    """Response times without those of the step's begin, along the last axis."""
    return times[..., int(LEFT_OUT * times.shape[-1]) :]
