"""The identity of a model's file: all that it consists of, its size, its content."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from bench.errors import Failed, WrongUsage
from bench.models import onnx_file


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """A file and whatever it refers to. Equal contents have equal hashes, wherever they lie."""

    path: Path  # as given
    parts: tuple[Path, ...]  # the real files, symbolic links resolved; the model itself first
    size_bytes: int  # of all of them
    sha256: str  # of the file itself, or of it and all that it refers to


def identity(path: Path, header: onnx_file.OnnxFile | None = None) -> Identity:
    """The identity of a file. `header`: what was read of an ONNX file before.

    Raises WrongUsage when there is no such file, and Failed when it, or a file that it refers to, cannot be read, is
    missing or too short.
    """
    sides: dict[str, Path] = {}
    if path.name.lower().endswith(".onnx"):
        sides = side_files(path, header or onnx_file.read(path))
    elif not path.is_file():
        raise WrongUsage(f"no file {path}; correct the path")
    own = path.resolve()
    sha256 = file_sha256(own)
    if sides:
        lines = [sha256, *(f"{file_sha256(side)} {location}" for location, side in sides.items())]
        sha256 = hashlib.sha256("\n".join(lines).encode(errors="surrogatepass")).hexdigest()
    parts = tuple(dict.fromkeys((own, *sides.values())))
    return Identity(path=path, parts=parts, size_bytes=sum(part.stat().st_size for part in parts), sha256=sha256)


def sha256_of(path: Path) -> str:
    """The hash of a model and all that it refers to. Raises as `identity`."""
    return identity(path).sha256


def side_files(path: Path, header: onnx_file.OnnxFile) -> dict[str, Path]:
    """The real files that an ONNX file refers to, by how it calls them. Raises Failed for a missing or short one."""
    return {location: _side(path, location, least) for location, least in sorted(header.references.items())}


def file_sha256(path: Path) -> str:
    """The SHA-256 of one file's own content. Raises Failed when it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise Failed(f"{path} cannot be read ({error.strerror}); check its permissions and the disk") from error


def _side(path: Path, location: str, least: int) -> Path:
    """A file that a model refers to. As ONNX Runtime does, it is looked for beside the path as given."""
    try:
        side = (path.parent / location).resolve()
        size = side.stat().st_size if location and side.is_file() else None
    except (OSError, ValueError):
        size = None
    if size is None:
        raise Failed(f'{path} keeps its weights in "{location}", which is not beside it; download or copy both files')
    if size < least and _begins(side, onnx_file.LFS):
        raise Failed(
            f"{side} is a Git LFS pointer, not the weights of {path.name}; run `git lfs pull` in its repository"
        )
    if size < least:
        raise Failed(
            f"{side} is cut short: {size:,} bytes of the {least:,} that {path.name} reads of it; download it again"
        )
    return side


def _begins(path: Path, mark: bytes) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(mark)) == mark
    except OSError:
        return False
