"""The machine: what must match for two runs to be comparable, what may drift, and what only informs."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import psutil

from bench.machine import gpu
from bench.records import Machine


@cache
def cores_given() -> int:
    """How many cores this process may use: its affinity, and its container's quota."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cgroup_quota()
    return max(1, min(allowed, int(quota)) if quota else allowed)


def collect(device: str, threads: int, runtimes: Mapping[str, str]) -> Machine:
    """What is known of this machine. `runtimes`: those that measure on it, by name, with their versions."""
    return Machine(
        must_match={"cpu": cpu_model(), "cores": cores_given(), "device": _device_name(device), "threads": threads},
        may_drift={
            **runtimes,
            "os": f"{platform.system()} {platform.release()}",
            "python": platform.python_version(),
            "governor": read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") or "not shown",
        },
        informs={
            "memory_bytes": psutil.virtual_memory().total,
            "architecture": platform.machine(),
            "instructions": instructions(),
            "virtual": "hypervisor" in flags(),
        },
    )


def cpu_model() -> str:
    """The processor, with family and model where its name alone says little."""
    info = read("/proc/cpuinfo")
    parts = [re.search(rf"^{key}\s*:\s*(.+)$", info, re.MULTILINE) for key in ("model name", "cpu family", "model")]
    name, family, model = (part[1].strip() if part else "" for part in parts)
    if not name:
        return platform.processor() or platform.machine()
    return f"{name} family {family} model {model}" if family and model else name


def _device_name(device: str) -> str:
    if device == "cpu":
        return "cpu"
    return f"{device} {gpu.name()}"


def flags() -> set[str]:
    """What the processor says it can do; empty where the system does not say."""
    found = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", read("/proc/cpuinfo"), re.MULTILINE)
    return set(found[1].split()) if found else set()


def instructions() -> list[str]:
    """The vector instructions that matter to inference and that this processor has."""
    known = (
        "avx2",
        "fma",
        "avx512f",
        "avx512_vnni",
        "avx_vnni",
        "avx512_bf16",
        "amx_int8",
        "amx_bf16",
        "asimddp",
        "i8mm",
    )
    return [name for name in known if name in flags()]


def cgroup_quota() -> float | None:
    """The container's limit in cores, if it has one (cgroup v2 or v1)."""
    text = read("/sys/fs/cgroup/cpu.max").split()
    if len(text) == 2 and text[0] != "max":
        return int(text[0]) / int(text[1])
    quota, period = (read(f"/sys/fs/cgroup/cpu/cpu.cfs_{key}_us") for key in ("quota", "period"))
    if quota and period and int(quota) > 0:
        return int(quota) / int(period)
    return None


def cache_bytes() -> int | None:
    """The size of the first core's last-level cache, where the system shows it."""
    sizes = map(read, Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"))
    return max((int(size[:-1]) << 10 for size in sizes if re.fullmatch(r"\d+K", size)), default=None)


def memory_limit() -> int | None:
    """The container's limit in bytes, if it has one (cgroup v2 or v1)."""
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        text = read(path)
        if text.isdigit() and int(text) < psutil.virtual_memory().total:
            return int(text)
    return None


def read(path: str | Path) -> str:
    """A small file's text, or "" where there is none."""
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
