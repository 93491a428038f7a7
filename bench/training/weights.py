"""What was trained, kept by content: made in a worker process unless it is there already."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
from filelock import FileLock

from bench.errors import Failed
from bench.models.file import file_sha256
from bench.processes.environment import cache_folder
from bench.store import write_atomically
from bench.training import process
from bench.training.recipe import Recipe


def folder() -> Path:
    """Where what was trained is kept: below $BACKBENCH_CACHE, or the user's cache folder."""
    return cache_folder("trained")


class _Seal(msgspec.Struct):
    """Written last: a file without it, or with another content, is made again."""

    sha256: str
    said: Any  # what making it told


def kept(name: str, make: Callable[[Path], Any]) -> tuple[Path, Any]:
    """A file by its name, which stands for its content, and what making it told; made now unless it is there, whole.

    One process at a time makes it. Raises what `make` raises, and Failed when the cache cannot be written.
    """
    target = folder() / name
    seal = target.with_suffix(".json")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.with_suffix(".lock")):
            known = _sealed(target, seal)
            if known is None:
                known = _Seal(said=make(target), sha256=file_sha256(target))
                write_atomically(seal, msgspec.json.encode(known))
    except OSError as error:
        raise Failed(f"cannot write the weights cache {folder()}: {error.strerror}; set BACKBENCH_CACHE") from error
    return target, known.said


def _sealed(target: Path, seal: Path) -> _Seal | None:
    """The seal of a file that is there and whole."""
    if not (target.is_file() and seal.is_file()):
        return None
    try:
        known = msgspec.json.decode(seal.read_bytes(), type=_Seal)
    except msgspec.DecodeError:
        return None
    return known if known.sha256 == file_sha256(target) else None


def trained(wanted: Recipe) -> Path:
    """The weights that a recipe makes (`.weights.h5`), trained now unless they are there already.

    Raises Failed when training fails or the cache cannot be written.
    """
    return kept(
        f"{wanted.key}.weights.h5",
        lambda target: process.ask({"do": "train", "recipe": asdict(wanted), "target": str(target)}),
    )[0]
