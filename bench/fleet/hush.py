"""Keeping Dask's own work off a measurement, in whatever kind of worker it is made.

A worker has callbacks on clocks: it watches its event loop fifty times a second, looks at every thread's stack for its
profiler a hundred times a second, reads memory, beats its heart. All but the heartbeat are stopped while something is
measured, and the heartbeat comes once in `BEAT_S`, sooner than a scheduler gives a worker up. What a nanny puts into
its worker's environment is taken out again: it would reach the measured process.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

BEAT_S = 20.0


@contextmanager
def hushed() -> Iterator[None]:
    """Nothing of Dask's on a clock in this process but the heartbeat; outside a Dask worker nothing at all."""
    worker = _worker()
    if worker is None:
        yield
        return
    stopped: list[Any] = []

    async def stop() -> None:
        for name, callback in worker.periodic_callbacks.items():
            if name == "heartbeat":
                callback.callback_time = 1e3 * BEAT_S
                callback.stop()
                callback.start()
            elif callback.is_running():
                callback.stop()
                stopped.append(callback)

    async def start() -> None:
        for callback in stopped:
            callback.start()
        beat = worker.periodic_callbacks.get("heartbeat")
        if beat is not None:
            beat.callback_time = 1e3
            beat.stop()
            beat.start()

    _on_loop(worker, stop())
    try:
        yield
    finally:
        _on_loop(worker, start())


def shed(environment: MutableMapping[str, str] | None = None) -> list[str]:
    """Take what a nanny has set out of the environment; the names. Where no nanny started this process, nothing."""
    worker = _worker()
    if worker is None or not worker.nanny:
        return []
    import dask

    environment = os.environ if environment is None else environment
    set_ = {
        **dask.config.get("distributed.nanny.environ", {}),
        **dask.config.get("distributed.nanny.pre-spawn-environ", {}),
    }
    names = [name for name, value in set_.items() if environment.get(name) == str(value)]
    for name in names:
        del environment[name]
    return names


def _on_loop(worker: Any, coroutine: Any) -> None:
    """Run a coroutine on the worker's event loop, from another thread."""
    try:
        asyncio.run_coroutine_threadsafe(coroutine, worker.loop.asyncio_loop).result(timeout=5)
    except (TimeoutError, RuntimeError):  # it is closing: nobody beats any longer
        coroutine.close()


def _worker() -> Any:
    try:
        from distributed import get_worker

        return get_worker()
    except (ImportError, ValueError):
        return None
