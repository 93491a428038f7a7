"""Which files a builder reads beside its source: weights, tables. What it makes depends on them. Only for workers."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from bench.errors import Failed
from bench.models.file import file_sha256

_SOURCES = (".py", ".pyc", ".so")  # they are part of a request's key, or of the libraries
_NO_FILES = ("/proc", "/sys", "/dev")
_opened: list[set[str]] = []  # one for each recording under way


@contextmanager
def recorded() -> Iterator[dict[str, str]]:
    """The files of one's own that are read within the block, with their SHA-256; filled in at its end."""
    _listen()
    _opened.append(set())
    facts: dict[str, str] = {}
    try:
        yield facts
    finally:
        for path in sorted(_opened.pop()):
            if _of_ones_own(path):
                facts[path] = file_sha256(Path(path))


def unchanged(files: dict[str, str]) -> bool:
    """Whether files are what they were."""
    try:
        return all(file_sha256(Path(path)) == sha256 for path, sha256 in files.items())
    except Failed:
        return False


@cache
def _listen() -> None:
    """Begin to hear of files that are opened: by Python itself, and by HDF5, which opens them in C."""
    import h5py

    sys.addaudithook(_hear)
    original = h5py.File.__init__

    def opened(self: Any, name: Any, *arguments: Any, **keywords: Any) -> None:
        _note(name)
        original(self, name, *arguments, **keywords)

    h5py.File.__init__ = opened


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and _opened:
        path, mode, _ = arguments
        if mode is None or not set(str(mode)) & set("wax+"):
            _note(path)


def _note(path: Any) -> None:
    if _opened and isinstance(path, (str, bytes, os.PathLike)):
        _opened[-1].add(os.path.abspath(os.fsdecode(path)))  # noqa: PTH100 - within an audit hook, as little as can be


def _of_ones_own(path: str) -> bool:
    libraries = {os.path.realpath(place) for place in (sys.prefix, sys.base_prefix)}
    real = os.path.realpath(path)
    inside = any(real.startswith(f"{place}{os.sep}") for place in (*libraries, *_NO_FILES))
    return not inside and not real.endswith(_SOURCES) and Path(real).is_file()
