"""A worker of the fleet: one task at a time, no nanny, nothing on a clock that it can do without.

When the scheduler goes away, it waits for it to come back: whoever started the worker need not be there.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from bench.errors import Failed, WrongUsage
from bench.fleet import answering, certificates

AGAIN_S = 2.0  # between two attempts to reach the scheduler
SETTINGS = {
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "10s",
    "distributed.admin.tick.cycle": "10s",
    "distributed.admin.tick.limit": "60s",
    "distributed.admin.system-monitor.interval": "30s",
    "distributed.admin.system-monitor.gil.enabled": False,
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": False,
    "distributed.worker.http.routes": [],
}
"""Dask's own work in the worker's process, as far as it can be done without."""

_log = logging.getLogger(__name__)


def serve(
    where: str, *, name: str | None = None, tls: Path | None = None, insecure: bool = False, folder: Path | None = None
) -> None:
    """Answer what a scheduler hands out, until SIGTERM or Ctrl-C.

    Args:
        where: the scheduler's address, or its scheduler file.
        name: of this machine; None: its host name. Two on one host with different names are two machines.
        tls: the folder of certificates; None: where `bench fleet certificates` puts them.
        insecure: whether a scheduler without TLS will do.
        folder: for Dask's own small files; None: a temporary one.

    Raises WrongUsage for an address without TLS, Failed without `distributed`.
    """
    try:
        import dask
        import distributed  # noqa: F401
    except ImportError as error:
        raise Failed('Dask distributed is missing; pip install "backbench[fleet]"') from error
    if name:
        os.environ[answering.MACHINE] = name
    address = _address(where)
    if not address.startswith("tls://") and not insecure:
        raise WrongUsage(f"{address} is not encrypted; use tls://, or give --insecure")
    dask.config.set(SETTINGS)
    logging.getLogger("distributed").setLevel(logging.WARNING)
    security = certificates.security(tls, "worker") if address.startswith("tls://") else None
    asyncio.run(_serve(address, security, name, folder))


def _address(where: str) -> str:
    if "://" in where:
        return where
    try:
        return str(msgspec.json.decode(Path(where).read_bytes())["address"])
    except (OSError, ValueError, KeyError) as error:
        raise WrongUsage(f"{where} is neither an address like tls://HOST:8786 nor a scheduler file") from error


async def _serve(address: str, security: Any, name: str | None, folder: Path | None) -> None:
    from distributed import Worker

    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, over.set)
    said = False
    while not over.is_set():
        begun = time.monotonic()
        worker = Worker(
            address, nthreads=1, name=f"{name or os.uname().nodename}-{os.getpid()}-{int(begun)}", security=security,
            resources={"measuring": 1}, memory_limit=0, dashboard=False,
            local_directory=str(folder) if folder else None,
        )  # fmt: skip
        try:
            async with worker:
                _log.warning("ready: %s, scheduler %s", worker.address, address)
                said = False
                ending = asyncio.ensure_future(over.wait())
                closed = asyncio.ensure_future(worker.finished())
                await asyncio.wait({ending, closed}, return_when=asyncio.FIRST_COMPLETED)
                ending.cancel()
                if over.is_set():
                    await worker.close(executor_wait=False)
                closed.cancel()
        except (OSError, TimeoutError, RuntimeError) as error:
            if not said:
                _log.warning("waiting for the scheduler at %s: %s", address, error)
                said = True
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(over.wait(), AGAIN_S)
