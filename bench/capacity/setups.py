"""Which instances, threads and batches are worth a look on this machine, and whether they fit into its memory."""

from __future__ import annotations

from collections.abc import Sequence

import psutil

from bench.capacity.queueing import Setup
from bench.capacity.station import Target
from bench.machine import cgroups
from bench.records import LoadAsked

CPU_BATCHES, GPU_BATCHES = (1, 4), (1, 4, 16)
GPU_INSTANCES = (1, 2, 4)
_OF_FREE_MEMORY = 0.9  # that instances may take
_PER_BYTE = 3  # of a loaded model, for each byte of its file: weights, their rearranged copy, activations
_ALONE_BYTES = 300e6  # of a process with a runtime


def candidates(asked: LoadAsked, cores: int, device: str) -> list[tuple[int, int]]:
    """Pairs of instances and threads: those that use all cores or half of them, and one thread alone; or those asked.

    >>> candidates(LoadAsked(p99_ms=50.0), 4, "cpu")
    [(1, 1), (1, 2), (1, 4), (2, 1), (2, 2), (4, 1)]
    """
    if device != "cpu":
        return [(count, asked.threads or 1) for count in ((asked.instances,) if asked.instances else GPU_INSTANCES)]
    powers = [1 << k for k in range(cores.bit_length())]
    threads = [asked.threads] if asked.threads else sorted({*powers, cores})
    if asked.instances:
        most = max(1, cores // asked.instances)
        return [(asked.instances, each) for each in threads if asked.threads or each <= most]
    pairs = {(1, min(threads))}
    for each in threads:
        pairs |= {(count, each) for count in (cores // each, cores // each // 2) if count >= 1} or {(1, each)}
    return sorted(pairs)


def batches(asked: LoadAsked, target: Target) -> list[int]:
    """The largest batches that are tried: those that the file takes."""
    if asked.batch:
        return [asked.batch]
    usual = CPU_BATCHES if target.case.device == "cpu" else GPU_BATCHES
    return [size for size in usual if size == 1 or target.shapes(size) is not None]


def expected_bytes(file_bytes: int, one_bytes: int | None, alone_bytes: int, setup: Setup, processes: bool) -> float:
    """The memory that a setup takes, from what one instance was seen to take, else from its file's size."""
    one = one_bytes or _ALONE_BYTES + _PER_BYTE * file_bytes
    if processes or one_bytes is None:
        return setup.instances * one
    return alone_bytes + setup.instances * (one - alone_bytes)


def refusal(needed_bytes: float, setup: Setup, free: Sequence[float] | None = None) -> str | None:
    """Why so much memory is not to be had, with how many instances fit; None where it is."""
    left = _OF_FREE_MEMORY * min(free or _free())
    if needed_bytes <= left:
        return None
    fit = max(0, int(left / (needed_bytes / setup.instances)))
    return (
        f"{setup.instances} {'instance needs' if setup.instances == 1 else 'instances need'} about "
        f"{needed_bytes / 1e9:.1f} GB, and {left / 1e9:.1f} GB are free; "
        + (f"{fit} fit" if fit else "close other programs")
    )


def _free() -> list[float]:
    limit = cgroups.memory_limit()
    free: list[float] = [psutil.virtual_memory().available]
    return free + ([limit - psutil.Process().memory_info().rss] if limit else [])
