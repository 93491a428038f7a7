"""The machine's measuring lock: two runs at once would time each other."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from bench.errors import Failed
from bench.units import readable

WAIT_S = 900.0
PATH = Path(tempfile.gettempdir()) / "backbench-measuring.lock"

_log = logging.getLogger(__name__)


@contextmanager
def measuring(wait_s: float | None = None) -> Iterator[None]:
    """Hold this machine's measuring lock; a second run logs who holds it and waits.

    The system frees the lock of a process that was killed. Raises Failed with the holder's name when it is still held
    after `wait_s` seconds (None: `WAIT_S`).
    """
    wait_s = WAIT_S if wait_s is None else wait_s
    lock = FileLock(PATH, mode=0o666)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if wait_s:
            _log.warning("waiting: %s is measuring on this machine", holder())
        try:
            lock.acquire(timeout=wait_s, poll_interval=1.0)
        except Timeout as error:
            raise Failed(
                f"{holder()} is measuring on this machine; two at once would time each other; wait for it or stop it"
            ) from error
    except OSError as error:
        raise Failed(f"cannot open the measuring lock {PATH}: {error.strerror}; remove that file") from error
    note = _note()
    try:
        note.write_text(f"process {os.getpid()} ({readable(' '.join(sys.argv)[:120])})")
        yield
    finally:
        note.unlink(missing_ok=True)
        lock.release()


def holder() -> str:
    """Who holds the lock, in words."""
    try:
        return _note().read_text()
    except OSError:
        return "another process"


def held_by() -> str | None:
    """Who is measuring on this machine at present, or None."""
    try:
        with measuring(wait_s=0):
            return None
    except Failed:
        return holder()


def _note() -> Path:
    return PATH.with_suffix(".holder")
