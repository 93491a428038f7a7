"""The memory of a process that exports: its peak for each model, and what a model leaves behind."""

from __future__ import annotations

import ctypes
import gc
import re
from pathlib import Path


def give_back() -> None:
    """Return freed memory to the system; glibc would keep it, more than a gigabyte after a large model."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def reset_peak() -> None:
    """Begin a new peak of the resident memory, where the system allows it."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def peak() -> int | None:
    """The peak of the resident memory in bytes since; None where the system does not show it."""
    try:
        match = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    except OSError:
        return None
    return int(match[1]) * 1024 if match else None
