"""Runs and baselines on disk. Everything is written whole or not at all, so that a kill loses nothing stored."""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import tempfile
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from bench.errors import Failed, NotComparable, WrongUsage
from bench.records import SCHEMA_VERSION, Machine, Run, Visit

RUN_FILE = "run.json"
SAMPLES_FILE = "samples.jsonl.gz"
_LONGEST = 100  # characters of a file name, so that there is room for what others add to it


def now() -> str:
    """The present time in UTC, ISO 8601 to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def create(results: Path, run: Run) -> Path:
    """Make the folder `runs/<UTC time>-<suite>/` for a run and write its first `run.json`."""
    stamp = re.sub(r"[-:]", "", run.started_at)
    base = results / "runs" / f"{stamp}-{slug(run.suite)}"
    folder, count = base, 1
    while folder.exists():
        count += 1
        folder = base.with_name(f"{base.name}-{count}")
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise _cannot_write(folder, error) from error
    write(folder, run)
    return folder


def write(folder: Path, run: Run) -> None:
    """Replace the folder's `run.json`. Raises Failed when the disk is full or read-only; the old file then stays."""
    write_atomically(folder / RUN_FILE, _encode(run))


def append(folder: Path, visit: Visit) -> None:
    """Add a visit's raw samples to the run's sample file: one compressed member a visit, flushed to the disk."""
    member = gzip.compress(msgspec.json.encode(visit) + b"\n", compresslevel=6, mtime=0)
    try:
        with (folder / SAMPLES_FILE).open("ab") as file:
            file.write(member)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise _cannot_write(folder, error) from error


def visits(folder: Path, *, repair: bool = False) -> list[Visit]:
    """The raw samples of a run, in the order they were taken. A member cut short by a kill is left out.

    With `repair`, the cut-off member is removed from the file, so that more can be appended.
    """
    path = folder / SAMPLES_FILE
    if not path.is_file():
        return []
    data = path.read_bytes()
    found: list[Visit] = []
    rest = data
    while rest:
        inflate = zlib.decompressobj(wbits=31)
        try:
            line = inflate.decompress(rest)
        except zlib.error:
            break
        if not inflate.eof:
            break
        found.append(msgspec.json.decode(line, type=Visit))
        rest = inflate.unused_data
    if rest and repair:
        with path.open("r+b") as file:
            file.truncate(len(data) - len(rest))
    return found


def load(path: Path | str) -> Run:
    """Read a run from its folder, its `run.json`, or a baseline file.

    Raises WrongUsage when there is none or it is not one, and NotComparable when another version wrote it.
    """
    file = Path(path)
    file = file / RUN_FILE if file.is_dir() else file
    try:
        data = file.read_bytes()
    except OSError as error:
        raise WrongUsage(f"no run at {path}: {error.strerror}; `ls results/runs` shows the runs there are") from error
    try:
        version = msgspec.json.decode(data).get("schema_version")
    except (msgspec.DecodeError, AttributeError) as error:
        raise WrongUsage(f"{file} is not a run: {error}") from error
    if version != SCHEMA_VERSION:
        raise NotComparable(f"{file} has schema_version {version}, this bench reads {SCHEMA_VERSION}; measure it again")
    try:
        return msgspec.json.decode(data, type=Run)
    except msgspec.ValidationError as error:
        raise WrongUsage(f"{file} is not a run: {error}") from error


def folders(results: Path) -> list[Path]:
    """The folders of all runs, oldest first."""
    return sorted(path.parent for path in (results / "runs").glob(f"*/{RUN_FILE}"))


def latest(results: Path, suite: str | None = None, *, device: str | None = None) -> Path:
    """The folder of the newest run, of one suite or device if named. Raises WrongUsage when there is none."""
    for folder in reversed(folders(results)):
        if suite is None and device is None:
            return folder
        run = load(folder)
        if suite in (None, run.suite) and device in (None, run.settings.device):
            return folder
    which = (f" of suite {suite}" if suite else "") + (f" on {device}" if device else "")
    asked = f"{suite or 'default'}" + (f" --device {device}" if device else "")
    raise WrongUsage(f"no run{which} under {results / 'runs'}; make one with `bench run {asked}`")


def machine_name(machine: Machine) -> str:
    """A file-system-safe name made of everything that must match for two runs to be comparable."""
    return slug("-".join(str(machine.must_match[key]) for key in sorted(machine.must_match)))


def baseline_file(results: Path, run: Run) -> Path:
    """Where the baseline of this run's machine and suite is, whether it exists or not."""
    return results / "baselines" / machine_name(run.machine) / f"{slug(run.suite)}.json"


def baseline_of(results: Path, run: Run) -> Path:
    """The stored baseline of this run's machine and suite. Raises NotComparable when there is none."""
    path = baseline_file(results, run)
    if not path.is_file():
        raise NotComparable(
            f"no baseline for suite {run.suite} on this machine ({machine_name(run.machine)}); "
            "store one with `bench baseline save`"
        )
    return path


def save_baseline(results: Path, run: Run) -> Path:
    """Store a run as its machine's baseline for its suite and return the file."""
    path = baseline_file(results, run)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_write(path, error) from error
    write_atomically(path, _encode(run))
    return path


def baselines(results: Path) -> list[Path]:
    """All stored baselines, of every machine."""
    return sorted((results / "baselines").glob("*/*.json"))


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file whole or not at all. Raises Failed when it cannot be written."""
    temporary: str | None = None
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            temporary = file.name
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except OSError as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        raise _cannot_write(path, error) from error


def slug(text: str) -> str:
    """A text as a file name: letters, digits, dots, dashes and underscores.

    Different texts have different names: one that lost something, or is too long for a file system, ends in a hash of
    the whole.

    >>> slug("MobileNet-v2"), slug("v1+fast") == slug("v1 fast")
    ('MobileNet-v2', False)
    """
    safe = re.sub(r"[^A-Za-z0-9._]+", "-", text).strip("-.")[:_LONGEST].rstrip("-.")
    if safe and safe == text:
        return safe
    return "-".join(filter(None, (safe, hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:8])))


def json_text(value: Any) -> str:
    """Any record as JSON with sorted keys, for people and diffs."""
    return msgspec.json.format(msgspec.json.encode(value, order="sorted"), indent=1).decode()


def _encode(run: Run) -> bytes:
    return (json_text(run) + "\n").encode()


def _cannot_write(path: Path, error: OSError) -> Failed:
    return Failed(f"cannot write {path}: {error.strerror}; free some space or name another folder with --output")
