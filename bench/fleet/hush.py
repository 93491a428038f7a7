"""Keeping Dask's own work off a measurement, in whatever kind of worker it is made.

A worker has callbacks on clocks: it watches its event loop fifty times a second, looks at every thread's stack for its
profiler a hundred times a second, reads memory, beats its heart. All but the heartbeat are stopped while something is
measured, and the heartbeat comes once in `BEAT_S`, sooner than a scheduler gives a worker up. What a nanny puts into
its worker's environment is taken out again: it would reach the measured process.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

BEAT_S = 20.0


_STOPPED: list[Any] = []  # the callbacks that are stopped
_INSTEAD: list[Any] = []  # the heartbeat that comes instead
_HUSHED = 0  # questions that want it: in a worker with several threads, another one may wait for the machine's lock
_LOCK = threading.Lock()


@contextmanager
def hushed() -> Iterator[None]:
    """Nothing of Dask's on a clock in this process but the heartbeat; outside a Dask worker nothing at all."""
    global _HUSHED
    worker = _worker()
    if worker is None:
        yield
        return
    with _LOCK:
        _HUSHED += 1
        if _HUSHED == 1:
            _on_loop(worker, _stop(worker))
    try:
        yield
    finally:
        with _LOCK:
            _HUSHED -= 1
            if not _HUSHED:
                _on_loop(worker, _start(worker))


async def _stop(worker: Any) -> None:
    from tornado.ioloop import PeriodicCallback

    running = [callback for callback in worker.periodic_callbacks.values() if callback.is_running()]
    for callback in running:
        callback.stop()
    beat = PeriodicCallback(worker.heartbeat, 1e3 * BEAT_S)  # its own beat comes as often as the scheduler last said
    beat.start()
    _INSTEAD.append(beat)
    _STOPPED.extend(running)


async def _start(worker: Any) -> None:
    while _INSTEAD:
        _INSTEAD.pop().stop()
    while _STOPPED:
        _STOPPED.pop().start()


def shed(environment: MutableMapping[str, str] | None = None, worker: Any = None) -> list[str]:
    """Take what a nanny has set out of the environment; the names. Where no nanny started this process, nothing."""
    worker = worker or _worker()
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
