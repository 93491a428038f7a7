"""Limits of the control groups that this process is in: at its own level and at every one above it, v2 and v1."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import psutil

ROOT = Path("/")


def quota(root: Path | None = None) -> float | None:
    """The least processor limit of all levels, in cores; None where there is none."""
    limits = []
    for level in _levels("cpu", root or ROOT):
        text = _read(level / "cpu.max").split()
        if len(text) != 2:
            text = [_read(level / f"cpu.cfs_{key}_us") for key in ("quota", "period")]
        if all(re.fullmatch(r"\d+", part) for part in text) and int(text[1]) > 0:
            limits.append(int(text[0]) / int(text[1]))
    return min(limits, default=None)


def memory_limit(root: Path | None = None) -> int | None:
    """The least memory limit of all levels, in bytes; None where there is none below what the machine has."""
    texts = [_read(level / name) for level in _levels("memory", root or ROOT)
             for name in ("memory.max", "memory.limit_in_bytes")]  # fmt: skip
    total = psutil.virtual_memory().total
    return min((int(text) for text in texts if text.isdigit() and int(text) < total), default=None)


def cpu_stats(root: Path | None = None) -> list[Path]:
    """The files that count how long a limit held processes back, one a level."""
    return [file for level in _levels("cpu", root or ROOT) if (file := level / "cpu.stat").is_file()]


def _levels(controller: str, root: Path) -> Iterator[Path]:
    """The folders of this process's groups with a controller, from its own up to where they are mounted."""
    groups: dict[str, str] = {}
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        groups |= dict.fromkeys(names.split(","), path)
    for name, top, mount in _mounts(controller, root):
        parts = PurePosixPath(groups.get(name, "/")).parts
        own = PurePosixPath("/", *(part for part in parts if part not in ("/", "..")))  # ..: outside of its name space
        inside = own.relative_to(top if own.is_relative_to(top) else "/")
        for below in (inside, *inside.parents):
            if (folder := mount / below).is_dir():
                yield folder


def _mounts(controller: str, root: Path) -> list[tuple[str, PurePosixPath, Path]]:
    """Where groups with a controller are mounted: how /proc/self/cgroup calls the hierarchy, its top there, the folder.

    The hierarchy of v2 has no name.
    """
    mounts = []
    for line in _read(root / "proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if len(fields) < 5 or len(kind) < 3:
            continue
        if kind[0] == "cgroup2" or (kind[0] == "cgroup" and controller in kind[2].split(",")):
            name = "" if kind[0] == "cgroup2" else controller
            mounts.append((name, PurePosixPath(fields[3]), root / fields[4].lstrip("/")))
    if mounts:
        return mounts
    usual, top = root / "sys/fs/cgroup", PurePosixPath("/")
    of_v1 = [folder for folder in sorted(usual.glob("*")) if controller in folder.name.split(",")]
    return [("", top, usual), ("", top, usual / "unified"), *((controller, top, folder) for folder in of_v1)]


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""
