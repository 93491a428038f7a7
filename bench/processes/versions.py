"""Interpreters with another version of a runtime, each in a virtual environment of its own, made once and kept."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from filelock import FileLock

from bench.errors import Failed
from bench.processes.environment import cache_folder

_TIMEOUT_S = 900.0


def python_with(requirement: str, folder: Path | None = None) -> str:
    """The interpreter of an environment that holds NumPy and this, e.g. "onnxruntime==1.31.0".

    It has this Python's version. Made by uv, or by venv and pip; kept below `folder`, by default with all that is
    kept. Raises Failed, with what stood in the way, where it cannot be made, as without a network.
    """
    place = (folder or cache_folder("environments")) / _name(requirement)
    python = place / "bin" / "python"
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(place.with_suffix(".lock")):
            if not python.exists():
                _make(place, requirement)
    except OSError as error:
        raise Failed(f"cannot make an environment for {requirement}: {error.strerror}; free some space") from error
    return str(python)


def _name(requirement: str) -> str:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return f"{re.sub(r'[^A-Za-z0-9.]+', '-', requirement)}-py{version}"


def _make(place: Path, requirement: str) -> None:
    """Make it under another name first, so that one that is there is whole. Paths inside an environment that moves stay
    right for what is asked of it: its interpreter finds its packages by where it lies."""
    with tempfile.TemporaryDirectory(dir=place.parent, prefix="tmp-") as name:
        made = Path(name) / "env"
        uv = shutil.which("uv")
        python = str(made / "bin" / "python")
        if uv:
            commands = [
                [uv, "venv", "-q", "--python", sys.executable, str(made)],
                [uv, "pip", "install", "-q", "--python", python, "numpy", requirement],
            ]
        else:
            commands = [
                [sys.executable, "-m", "venv", str(made)],
                [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "numpy", requirement],
            ]
        for command in commands:
            _run(command, requirement)
        made.rename(place)


def _run(command: list[str], requirement: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise Failed(f"installing {requirement} took longer than {_TIMEOUT_S:.0f} s; try again") from error
    if done.returncode:
        said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        last = said[-1][:200] if said else f"exit code {done.returncode}"
        raise Failed(f"cannot install {requirement} (no network, or no such version): {last}")
