"""What a machine of the fleet keeps: files by their content, and answers by the token of their question."""

from __future__ import annotations

import os
import time
from pathlib import Path

from filelock import FileLock

from bench.errors import Failed
from bench.export import cache, portable
from bench.models.file import file_sha256

_WEEK_S = 7 * 86400.0


def size(sha256: str, suffix: str) -> int:
    """How many bytes of a file are here: -1 for all of them, whose hash is right; a damaged file is removed."""
    place = portable.kept(sha256, suffix)
    if place.is_file():
        if file_sha256(place) == sha256:
            return -1
        place.unlink(missing_ok=True)
    part = _part(place)
    return part.stat().st_size if part.is_file() else 0


def receive(sha256: str, suffix: str, offset: int, data: bytes, *, last: bool) -> int:
    """Add bytes to a file that is on its way: how many are here now, -1 when it is whole.

    Bytes that are here already count once. Raises Failed when they cannot be written, or the whole has another hash.
    """
    place = portable.kept(sha256, suffix)
    part = _part(place)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(part.with_suffix(".lock")):
            if place.is_file():
                return -1
            here = part.stat().st_size if part.is_file() else 0
            if offset > here:
                return here
            with part.open("ab") as file:
                file.write(memoryview(data)[here - offset :])
            if not last:
                return part.stat().st_size
            if file_sha256(part) != sha256:
                part.unlink()
                raise Failed(f"a file arrived damaged: its content is not {sha256[:12]}…; run it again")
            part.chmod(0o644)
            part.replace(place)
    except OSError as error:
        raise Failed(
            f"cannot keep a file under {place.parent}: {error.strerror}; free some space there, or set BACKBENCH_CACHE"
        ) from error
    return -1


def path(sha256: str, suffix: str) -> Path:
    """A file that is here whole. Raises Failed when it is not."""
    place = portable.kept(sha256, suffix)
    if not place.is_file():
        raise Failed(f"the file {sha256[:12]}… is not on this machine any more; run it again with --resume")
    return place


class Answers:
    """Answers on disk: what was measured once is never measured a second time for the same question."""

    def __init__(self) -> None:
        self.folder = cache.folder().with_name("fleet")

    def begin(self, token: str) -> str | None:
        """None when the question is new; the answer when there is one; "" when it was begun and has none.

        Raises Failed when nothing can be written.
        """
        place = self._place(token)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._forget()
            with place.with_suffix(".begun").open("x") as file:
                file.write(str(os.getpid()))
        except FileExistsError:
            try:
                return place.read_text()
            except FileNotFoundError:
                return ""
        except OSError as error:
            raise Failed(
                f"cannot write {self.folder}: {error.strerror}; free some space there, or set BACKBENCH_CACHE"
            ) from error
        return None

    def end(self, token: str, answer: str) -> None:
        """Keep an answer. On a full disk it is only given."""
        place = self._place(token)
        try:
            temporary = place.with_suffix(f".{os.getpid()}")
            temporary.write_text(answer)
            temporary.replace(place)
        except OSError:
            return

    def _place(self, token: str) -> Path:
        return self.folder / f"{token}.json"

    def _forget(self) -> None:
        limit = time.time() - _WEEK_S
        for file in self.folder.iterdir():
            if file.stat().st_mtime < limit:
                file.unlink(missing_ok=True)


def bytes_of(file: Path) -> int:
    """The size of a file, -1 where it cannot be read."""
    try:
        return file.stat().st_size
    except (OSError, ValueError):
        return -1


def _part(place: Path) -> Path:
    return place.with_name(f"{place.name}.part")
