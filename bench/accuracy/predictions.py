"""Predictions on disk: one line a batch, so that a kill loses no more than the batch in hand."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bench.errors import Failed
from bench.models.preprocessing import Preprocessing

TOP = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Prediction:
    """What a model says of one image; or why it was not asked."""

    top: tuple[int, ...] = ()  # up to TOP outputs, best first; of equals, the first output
    scores: tuple[float, ...] = ()  # their probabilities: the outputs themselves, or their softmax
    label_score: float = 0.0  # the probability of the right output
    unreadable: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """The predictions for neighbouring images of the list."""

    number: int  # 0 for the first batch of the list
    wall_s: float  # from the end of the batch before it, or the start of the process
    inference_s: float
    probabilities: bool  # whether the model's outputs are probabilities themselves
    predictions: tuple[Prediction, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Key:
    """Everything that decides the predictions."""

    artifact_sha256: str
    images_sha256: str
    preprocessing: Preprocessing
    batch_size: int
    runtime: str
    provider: str
    output: str

    @property
    def sha256(self) -> str:
        """A hash of all of it."""
        return hashlib.sha256(msgspec.json.encode(self, order="sorted")).hexdigest()


class _Header(msgspec.Struct):
    key: str


def load(path: Path, key: Key) -> list[Batch]:
    """The whole batches that a file holds for this key, and nothing else left in it; none when the key is another.

    A line cut short by a kill is removed. Raises Failed when the file cannot be written.
    """
    try:
        data = path.read_bytes() if path.is_file() else b""
    except OSError as error:
        raise _cannot(path, error) from error
    lines = data.splitlines(keepends=True)
    batches: list[Batch] = []
    kept = 0
    try:
        if lines and msgspec.json.decode(lines[0], type=_Header).key == key.sha256:
            kept = len(lines[0])
            for line in lines[1:]:
                batch = msgspec.json.decode(line, type=Batch)
                if not line.endswith(b"\n") or batch.number != len(batches):
                    break
                batches.append(batch)
                kept += len(line)
    except msgspec.DecodeError:
        pass  # the rest is not what was written
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if kept:
            with path.open("r+b") as file:
                file.truncate(kept)
        else:
            path.write_bytes(msgspec.json.encode(_Header(key.sha256)) + b"\n")
    except OSError as error:
        raise _cannot(path, error) from error
    return batches


def append(path: Path, batch: Batch) -> None:
    """Add a batch. Raises Failed when the disk is full."""
    try:
        with path.open("ab") as file:
            file.write(msgspec.json.encode(batch) + b"\n")
    except OSError as error:
        raise _cannot(path, error) from error


def _cannot(path: Path, error: OSError) -> Failed:
    return Failed(f"cannot write {path}: {error.strerror}; free some space or name another file with -o")
