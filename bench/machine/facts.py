"""The facts of a machine, one table: how each is collected and shown, and what it means for a comparison."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import psutil

from bench.machine import cgroups, gpu
from bench.records import Machine

CPU = "/sys/devices/system/cpu"


@cache
def cores_given() -> int:
    """How many cores this process may use: its affinity, and its container's quota."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cgroups.quota()
    return max(1, min(allowed, int(quota)) if quota else allowed)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a run asks of the machine."""

    device: str
    threads: int


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact of a machine: another is one more in `FACTS`.

    A run holds it under its name: what must match for two runs to be comparable, what may drift and is then named as a
    possible cause, what only informs. `collect` gives what JSON holds, None where the system does not show it.
    """

    name: str
    role: str  # one of ROLES
    label: str  # as people read it
    collect: Callable[[Asked], Any]
    unit: str = ""
    show: Callable[[Any], str] = str
    drift_within: float = 0.0  # of a number: a relative change that is no drift

    def in_words(self, value: Any) -> str:
        """The value with its unit."""
        if value in (None, ""):
            return "not shown"
        return f"{self.show(value)} {self.unit}".strip()


ROLES = ("must_match", "may_drift", "informs")

FACTS: tuple[Fact, ...] = (
    Fact("cpu", "must_match", "processor", lambda asked: cpu_model()),
    Fact("cores", "must_match", "cores given", lambda asked: cores_given()),
    Fact("device", "must_match", "device", lambda asked: _device_name(asked.device)),
    Fact("threads", "must_match", "threads", lambda asked: asked.threads),
    Fact("os", "may_drift", "system", lambda asked: f"{platform.system()} {platform.release()}"),
    Fact("python", "may_drift", "Python", lambda asked: platform.python_version()),
    Fact("governor", "may_drift", "governor", lambda asked: governor()),
    Fact("quota_cores", "may_drift", "processor quota", lambda asked: cgroups.quota(), "cores", lambda x: f"{x:g}"),
    Fact("memory_bytes", "informs", "memory", lambda asked: psutil.virtual_memory().total, "GB",
         lambda x: f"{x / 1e9:.1f}"),
    Fact("memory_limit_bytes", "informs", "memory limit", lambda asked: cgroups.memory_limit(), "GB",
         lambda x: f"{x / 1e9:.1f}"),
    Fact("architecture", "informs", "architecture", lambda asked: platform.machine()),
    Fact("instructions", "informs", "vector instructions", lambda asked: instructions(),
         show=lambda names: ", ".join(names) or "none that are known"),
    Fact("virtual", "informs", "virtual machine", lambda asked: "hypervisor" in flags(),
         show=lambda x: "yes" if x else "no"),
)  # fmt: skip


def collect(device: str, threads: int, runtimes: Mapping[str, str]) -> Machine:
    """What is known of this machine. `runtimes`: those that measure on it, by name, with their versions."""
    asked = Asked(device, threads)
    values = {role: {fact.name: fact.collect(asked) for fact in FACTS if fact.role == role} for role in ROLES}
    values["may_drift"] |= runtimes
    return Machine(**values)


def commit(folder: Path | None = None) -> str | None:
    """The commit of the git repository around a folder, by default the working directory, with "+" where tracked files
    have changed; None where there is no repository, or no git."""
    try:
        said = [
            subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, timeout=10, check=True).stdout
            for words in (["rev-parse", "--short=12", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        ]
    except (OSError, subprocess.SubprocessError):
        return None
    return said[0].strip() + ("+" if said[1].strip() else "")


def label(name: str) -> str:
    """A fact's name as people know it."""
    return next((fact.label for fact in FACTS if fact.name == name), name.replace("_", " "))


def in_words(name: str, value: Any) -> str:
    """A fact's value as people read it; one that this version does not know as it is."""
    known = next((fact for fact in FACTS if fact.name == name), None)
    if known is None:
        return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    try:
        return known.in_words(value)
    except (TypeError, ValueError):  # of a file that somebody else wrote
        return str(value)


def rows(machine: Machine) -> list[tuple[str, str]]:
    """Every fact of a machine as label and value, in the order of `FACTS`, then those that are not in it."""
    values = machine.must_match | machine.may_drift | machine.informs
    labels = {fact.name: fact.label for fact in FACTS}
    names = [name for name in labels if name in values] + [name for name in values if name not in labels]
    return [(labels.get(name, name), in_words(name, values[name])) for name in names]


def drifted(name: str, old: Any, new: Any, within: float = 0.0) -> bool:
    """Whether a fact has changed by more than it may. `within`: of one that is not in `FACTS`."""
    known = next((fact for fact in FACTS if fact.name == name), None)
    limit = known.drift_within if known else within
    if limit and all(isinstance(value, (int, float)) for value in (old, new)):
        return bool(abs(new - old) > limit * abs(old))
    return bool(old != new)


def governor() -> str:
    """The frequency governor of the first core."""
    return read(f"{CPU}/cpu0/cpufreq/scaling_governor") or "not shown"


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
    match = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", read("/proc/cpuinfo"), re.MULTILINE)
    return set(match[1].split()) if match else set()


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


def cache_bytes() -> int | None:
    """The size of the first core's last-level cache, where the system shows it."""
    sizes = map(read, Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"))
    return max((int(size[:-1]) << 10 for size in sizes if re.fullmatch(r"\d+K", size)), default=None)


def read(path: str | Path) -> str:
    """A small file's text, or "" where there is none."""
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
