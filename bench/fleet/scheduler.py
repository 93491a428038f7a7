"""Dask's scheduler with this project's certificates: it hands out what clients ask, and plans nothing itself."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
from pathlib import Path
from typing import Any

from bench import store
from bench.errors import Failed, WrongUsage
from bench.fleet import certificates

SETTINGS = {
    "distributed.scheduler.work-stealing": False,
    "distributed.scheduler.allowed-failures": 0,  # a measurement is never tried again behind its planner's back
    "distributed.admin.tick.interval": "10s",  # it may run on a machine that measures
    "distributed.admin.tick.cycle": "10s",
    "distributed.admin.tick.limit": "60s",
    "distributed.admin.system-monitor.interval": "30s",
    "distributed.admin.system-monitor.gil.enabled": False,
    "distributed.scheduler.http.routes": [],  # its pages would show to everybody what TLS hides
}
_log = logging.getLogger(__name__)


def serve(host: str, port: int, *, scheduler_file: Path | None, tls: Path | None, insecure: bool) -> None:
    """Run a scheduler until SIGTERM or Ctrl-C. Raises WrongUsage without certificates, Failed for a port in use."""
    try:
        import dask
    except ImportError as error:
        raise Failed('Dask distributed is missing; pip install "backbench[fleet]"') from error
    security = None if insecure else certificates.security(tls, "scheduler")
    dask.config.set(SETTINGS)
    logging.getLogger("distributed").setLevel(logging.WARNING)
    try:
        asyncio.run(_serve(host, port, security, scheduler_file))
    except OSError as error:
        raise WrongUsage(
            f"cannot listen on {host or 'all addresses'}, port {port}: {error.strerror}; use another --port"
        ) from error


async def _serve(host: str, port: int, security: Any, file: Path | None) -> None:
    from distributed import Scheduler

    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    protocol = "tcp" if security is None else "tls"
    async with Scheduler(host=host or None, port=port, protocol=protocol, security=security, dashboard=False) as here:
        _log.warning("scheduler: %s (process %d)", here.address, os.getpid())
        if file:
            store.write_atomically(file, json.dumps({"address": here.address}).encode())
        await over.wait()
