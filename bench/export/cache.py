"""Exported files, kept by content key. An entry is whole or absent; a damaged one is found and removed."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from filelock import FileLock

from bench.errors import Failed, WrongUsage
from bench.export import reading
from bench.export.request import ExportRequest
from bench.models.file import file_sha256
from bench.processes.environment import cache_folder
from bench.records import Artifact, Cost

_ENTRY = "entry.json"
_DEFAULT_LIMIT_GB = 20.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """What is stored beside a model."""

    label: str
    artifact: Artifact
    cost: Cost
    takes_pixels: bool = False  # whether the model scales pixels from 0 to 255 itself
    read: dict[str, str] = field(default_factory=dict)  # files that its builder read, with their SHA-256


def folder() -> Path:
    """Where exports are kept: below $BACKBENCH_CACHE, or the user's cache folder."""
    return cache_folder("export")


def limit_bytes() -> int:
    """How much the cache may hold: $BACKBENCH_CACHE_GB, or 20 GB."""
    text = os.environ.get("BACKBENCH_CACHE_GB", str(_DEFAULT_LIMIT_GB))
    try:
        return int(float(text) * 1e9)
    except ValueError as error:
        raise WrongUsage(f"BACKBENCH_CACHE_GB is {text!r}; it must be a number of GB") from error


@contextmanager
def locked(request: ExportRequest) -> Iterator[None]:
    """Hold the key's lock, so that one process at a time makes this entry. A killed holder lets go of it."""
    try:
        folder().mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder() / f"{request.key}.lock")
        lock.acquire()
    except OSError as error:
        raise Failed(f"cannot write the export cache {folder()}: {error.strerror}; set BACKBENCH_CACHE") from error
    try:
        yield
    finally:
        lock.release()


def find(request: ExportRequest) -> tuple[Path, Entry] | None:
    """The stored file and what is known of it, or None. An entry whose content is not what it was is removed."""
    place = folder() / request.key
    try:
        entry = msgspec.json.decode((place / _ENTRY).read_bytes(), type=Entry)
        if file_sha256(place / name_of(request)) != entry.artifact.sha256:
            raise Failed("damaged")
    except FileNotFoundError:
        return None
    except (OSError, Failed, msgspec.DecodeError):
        shutil.rmtree(place, ignore_errors=True)
        return None
    if not reading.unchanged(entry.read):
        return None
    os.utime(place)
    return place / name_of(request), entry


@contextmanager
def workplace() -> Iterator[Path]:
    """A temporary folder on the cache's own file system, gone afterwards."""
    folder().mkdir(parents=True, exist_ok=True)
    _remove_leftovers()
    with tempfile.TemporaryDirectory(dir=folder(), prefix=f"tmp-{os.getpid()}-") as name:
        yield Path(name)


def put(request: ExportRequest, model: Path, entry: Entry) -> Path:
    """Move a finished model into its place, with what is known of it, and make room if the cache is too large."""
    place = folder() / request.key
    (model.parent / _ENTRY).write_bytes(msgspec.json.encode(entry))
    model.rename(model.parent / name_of(request))
    staged = folder() / f"tmp-{os.getpid()}-{request.key}"
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir()
    for name in (_ENTRY, name_of(request)):
        (model.parent / name).rename(staged / name)
    shutil.rmtree(place, ignore_errors=True)
    staged.rename(place)
    _shrink(keep=place)
    return place / name_of(request)


def stored(key: str) -> Path | None:
    """The file of a key, if there is one."""
    return next((folder() / key).glob("model.*"), None)


def name_of(request: ExportRequest) -> str:
    """What a request's file is called in its entry."""
    return f"model.{request.format}"


def entries() -> list[tuple[Path, Entry, int]]:
    """Every entry's folder, what is known of it, and its size in bytes; least recently used first."""
    stored = []
    for place in sorted(folder().glob(f"*/{_ENTRY}"), key=lambda path: path.parent.stat().st_mtime):
        if place.parent.name.startswith("tmp-"):
            continue
        try:
            entry = msgspec.json.decode(place.read_bytes(), type=Entry)
        except (OSError, msgspec.DecodeError):
            continue
        stored.append((place.parent, entry, _size(place.parent)))
    return stored


def clear() -> int:
    """Remove every entry; the bytes that were freed."""
    freed = _size(folder())
    shutil.rmtree(folder(), ignore_errors=True)
    return freed


def _shrink(keep: Path) -> None:
    """Remove the least recently used entries until the cache is within its limit."""
    stored = entries()
    total = sum(size for _, _, size in stored)
    for place, _, size in stored:
        if total <= limit_bytes():
            return
        if place != keep:
            shutil.rmtree(place, ignore_errors=True)
            total -= size


def _remove_leftovers() -> None:
    """Remove what killed processes left behind."""
    for place in folder().glob("tmp-*"):
        pid = place.name.split("-")[1]
        if pid.isdigit() and not _alive(int(pid)):
            shutil.rmtree(place, ignore_errors=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _size(place: Path) -> int:
    return sum(path.stat().st_size for path in place.rglob("*") if path.is_file())
