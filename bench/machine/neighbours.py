"""Other programs on the machine: which of them used the processor, by name."""

from __future__ import annotations

import os

import psutil

_LEAST_SHARE = 0.05  # of a core
_MOST = 3

Snapshot = dict[int, tuple[str, float]]
"""Name and processor time so far, in seconds, by process number."""


def snapshot() -> Snapshot:
    """Every process but this one, as far as the system shows them."""
    times_of = {}
    for process in psutil.process_iter(["name", "cpu_times"]):
        times = process.info["cpu_times"]
        if times is not None and process.pid != os.getpid():
            times_of[process.pid] = process.info["name"] or "?", times.user + times.system
    return times_of


def busiest(before: Snapshot, after: Snapshot, seconds: float) -> list[str]:
    """The programs that used most in between, as shares of a core, e.g. "python 99 %"; those that have ended are not
    known."""
    used = {pid: (total - before.get(pid, ("", 0.0))[1]) / seconds for pid, (_, total) in after.items()}
    order = sorted(used, key=lambda pid: -used[pid])[:_MOST]
    return [f"{after[pid][0]} {100 * used[pid]:.0f} %" for pid in order if used[pid] > _LEAST_SHARE]
