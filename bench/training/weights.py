"""Trained weights, kept by content: made in a worker process unless they are there already."""

from __future__ import annotations

import hashlib
import os
from dataclasses import asdict
from pathlib import Path

from filelock import FileLock
from platformdirs import user_cache_path

from bench.errors import Failed
from bench.store import write_atomically
from bench.training import process
from bench.training.recipe import Recipe


def folder() -> Path:
    """Where weights are kept: below $BACKBENCH_CACHE, or the user's cache folder."""
    base = os.environ.get("BACKBENCH_CACHE")
    return (Path(base) if base else user_cache_path("backbench")) / "trained"


def trained(wanted: Recipe) -> Path:
    """The weights that a recipe makes (`.weights.h5`), trained now unless they are there already.

    Raises Failed when training fails or the cache cannot be written.
    """
    target = folder() / f"{wanted.key}.weights.h5"
    seal = target.with_suffix(".sha256")  # written last: weights without it, or with another content, are made again
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.with_suffix(".lock")):
            if not (target.is_file() and seal.is_file() and seal.read_text() == _sha256(target)):
                process.ask({"do": "train", "recipe": asdict(wanted), "target": str(target)})
                write_atomically(seal, _sha256(target).encode())
    except OSError as error:
        raise Failed(f"cannot write the weights cache {folder()}: {error.strerror}; set BACKBENCH_CACHE") from error
    return target


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
