"""Runs and baselines on disk. Everything is written whole or not at all, so that a kill loses nothing stored."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import json
import logging
import os
import re
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from filelock import FileLock, Timeout

from bench.errors import BenchError, Failed, NotComparable, WrongUsage
from bench.records import SCHEMA_VERSION, Case, Comparison, Machine, Record, Run, Timed, Visit

RUN_FILE = "run.json"
SAMPLES_FILE = "samples.jsonl.gz"
_LONGEST = 100  # characters of a file name, so that there is room for what others add to it
LOCK_FILE = ".lock"
VERDICTS_FILE = "verdicts.json"
_MEMBER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00"
"""How every member of a sample file begins: gzip, deflated, without a name or a time."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Stored:
    """A run as it lies on the disk."""

    path: Path  # the folder of a run or a baseline
    run: Run


def now() -> str:
    """The present time in UTC, ISO 8601 to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def create(results: Path, run: Run) -> Path:
    """Make the folder `runs/<UTC time>-<suite>/` for a run and write its first `run.json`."""
    folder = new_folder(results / "runs", run.started_at, run.suite)
    write(folder, run)
    return folder


def new_folder(place: Path, started_at: str, suite: str) -> Path:
    """Make the folder `<UTC time>-<suite>` in a place, with a number behind it where there is one already. Raises
    Failed."""
    base = place / _folder_name(started_at, suite)
    for count in itertools.count(1):  # another process may begin one in the same second
        folder = base if count == 1 else base.with_name(f"{base.name}-{count}")
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            continue
        except OSError as error:
            raise _cannot_write(folder, error) from error
    raise AssertionError("the numbers never end")


def _folder_name(started_at: str, suite: str) -> str:
    return f"{re.sub('[-:]', '', started_at)}-{slug(suite)}"


def write(folder: Path, run: Run) -> None:
    """Replace the folder's `run.json`. Raises Failed when the disk is full or read-only; the old file then stays."""
    write_atomically(folder / RUN_FILE, _encode(run))


def append(folder: Path, visit: Visit) -> None:
    """Add a visit's raw samples to the run's sample file: one compressed member a visit, flushed to the disk."""
    member = gzip.compress(_json(visit) + b"\n", compresslevel=6, mtime=0)
    try:
        with (folder / SAMPLES_FILE).open("ab") as file:
            file.write(member)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise _cannot_write(folder, error) from error


def timed(run: Run, record: Record) -> Timed:
    """What a visit to a record's case in this run times."""
    return Timed(
        artifact=record.artifact.sha256 if record.artifact else "",
        runtime=str(run.machine.may_drift.get(record.case.runtime, "")),
        machine=machine_name(run.machine),
    )


def belonging(run: Run, stored: Iterable[Visit]) -> list[Visit]:
    """The visits that timed the run's own files, under its runtime, on its machine."""
    known = {record.case.name: timed(run, record) for record in run.records}
    return [visit for visit in stored if visit.timed in (None, known.get(visit.case))]


def visits(folder: Path, *, every: bool = False) -> list[Visit]:
    """The raw samples of a run, in the order they were taken; the file is only read.

    Those to other files than the run's, or under another runtime, count only with `every`.

    What is no visit is named in the log and left out: a member cut short by a kill, or damaged since. Those after it
    count, and one that is there twice counts once.
    """
    path = folder / SAMPLES_FILE
    try:
        data = path.read_bytes() if path.is_file() else b""
    except OSError as error:
        _log.warning("skipped %s: %s", path, error.strerror)
        return []
    known: dict[tuple[str, int, str], Visit] = {}
    damaged, start = 0, 0
    while start < len(data):
        visit, length = _member(data[start:])
        if visit is None:
            damaged += 1
        else:
            known.setdefault((visit.case, visit.round, visit.started_at), visit)
        start = start + length if length else _next_member(data, start)
    if damaged:
        _log.warning(
            "%s: %d of its visits cannot be read and %s left out", path, damaged, "is" if damaged == 1 else "are"
        )
    return list(known.values()) if every else belonging(load(folder), known.values())


def _next_member(data: bytes, start: int) -> int:
    place = data.find(_MEMBER, start + 1)
    return place if place >= 0 else len(data)


def _member(data: bytes) -> tuple[Visit | None, int]:
    """The visit in the gzip member at the start, or None; and the length of the member, 0 where it is broken."""
    inflate = zlib.decompressobj(wbits=31)
    try:
        line = inflate.decompress(data)
    except zlib.error:
        return None, 0
    if not inflate.eof:
        return None, 0
    length = len(data) - len(inflate.unused_data)
    try:
        return msgspec.json.decode(line, type=Visit), length
    except (msgspec.DecodeError, RecursionError):
        return None, length


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a run's folder while it is measured. Raises Failed while another process does, for both would store all."""
    lock = FileLock(folder / LOCK_FILE, mode=0o666)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise Failed(f"{folder} is being measured by another process; wait for it or stop it") from error
    except OSError as error:
        raise _cannot_write(folder, error) from error
    try:
        yield
    finally:
        lock.release()


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
        version = msgspec.json.decode(data, type=_Versioned).schema_version
        if version != SCHEMA_VERSION:
            remedy = "measure it again" if version < SCHEMA_VERSION else "install the newer backbench"
            raise NotComparable(f"{file} has schema_version {version}, this bench reads {SCHEMA_VERSION}; {remedy}")
        run = msgspec.json.decode(data, type=Run)
        _began(run)
    except (ValueError, RecursionError) as error:
        raise WrongUsage(f"{file} is not a run: {error}; restore it, or delete it and measure again") from error
    return run


def read(path: Path | str) -> Stored:
    """A run with the folder that it lies in. Raises as `load`."""
    place = Path(path)
    return Stored(place if place.is_dir() else place.parent, load(place))


@dataclass(frozen=True, slots=True)
class _Versioned:
    schema_version: int


def runs(results: Path) -> list[Stored]:
    """All runs, by their start, oldest first, whatever their folders are called; what cannot be read is logged."""
    return _readable(path.parent for path in (results / "runs").glob(f"*/{RUN_FILE}"))


def baselines(results: Path) -> list[Stored]:
    """All stored baselines, by their start; what cannot be read is logged."""
    return _readable(path.parent for path in (results / "baselines").glob(f"*/{RUN_FILE}"))


def _readable(paths: Iterable[Path]) -> list[Stored]:
    stored = []
    for path in sorted(paths):
        try:
            stored.append(Stored(path, load(path)))
        except BenchError as error:
            _log.warning("skipped: %s", error)
    return sorted(stored, key=_order)


def _order(stored: Stored) -> tuple[datetime, bool, int, str]:
    """By the start; of one start, copies under another name first, then as `create` numbers them."""
    name, base = stored.path.name, _folder_name(stored.run.started_at, stored.run.suite)
    number = re.fullmatch(re.escape(base) + r"(?:-(\d+))?", name)
    return _began(stored.run), number is not None, int(number[1] or 1) if number else 0, name


def _began(run: Run) -> datetime:
    """When the run began. Raises ValueError when it does not say."""
    began = datetime.fromisoformat(run.started_at)
    if began.tzinfo is None:
        raise ValueError(f"started_at {run.started_at} has no time zone")
    return began


def latest(results: Path, suite: str | None = None, *, device: str | None = None, measured: bool = True) -> Path:
    """The folder of the run that began last, of one suite or device if named.

    A run in which nothing was measured is passed over unless `measured` is False. Raises WrongUsage when there is none.
    """
    empty = 0
    for stored in reversed(runs(results)):
        run = stored.run
        if suite not in (None, run.suite) or device not in (None, run.settings.device):
            continue
        if not measured or any(record.measurement for record in run.records):
            return stored.path
        empty += 1
        _log.warning("passed over %s: nothing was measured in it", stored.path)
    which = (f" of suite {suite}" if suite else "") + (f" on {device}" if device else "")
    asked = f"{suite or 'default'}" + (f" --device {device}" if device else "")
    kind = "run with a measurement" if empty else "run"
    raise WrongUsage(f"no {kind}{which} under {results / 'runs'}; make one with `bench run {asked}`")


def machine_name(machine: Machine) -> str:
    """A file-system-safe name made of everything that must match for two runs to be comparable."""
    return slug("-".join(str(machine.must_match[key]) for key in sorted(machine.must_match)))


def baseline_folder(results: Path, run: Run) -> Path:
    """Where the baseline of this run's suite and device is, or, without one, where it would be stored.

    Its content decides, not its name: an older backbench, or a person, may have named it otherwise.
    """
    device = run.settings.device
    path = results / "baselines" / slug(run.suite if device == "cpu" else f"{run.suite}-{device}")
    if (path / RUN_FILE).is_file():
        return path
    same = (s.path for s in reversed(baselines(results)) if (s.run.suite, s.run.settings.device) == (run.suite, device))
    return next(same, path)


def stored_baseline(results: Path, run: Run) -> Stored:
    """The stored baseline of this run's suite. Raises NotComparable when there is none that can be read."""
    path = baseline_folder(results, run)
    if not (path / RUN_FILE).is_file():
        raise NotComparable(f"no baseline for suite {run.suite}; store one with `bench baseline save`")
    try:
        baseline = load(path)
    except WrongUsage as error:
        raise NotComparable(str(error)) from error
    if baseline.suite != run.suite:
        raise NotComparable(
            f"{path} is a baseline of the suite {baseline.suite}, not of {run.suite}; restore it, or store one with "
            "`bench baseline save`"
        )
    return Stored(path, baseline)


def check_whole(run: Run) -> None:
    """Raise WrongUsage, naming the cases, when a run has holes: a comparison with it would pass what is missing."""
    holes = [f"{r.case.name} ({r.error or 'no measurement'})" for r in run.records if r.error or not r.measurement]
    holes += [f"{name} (not asked for)" for name in run.left_out]
    if holes or not run.records:
        raise WrongUsage(
            f"the run of {run.started_at} is not whole: {'; '.join(holes) or 'it has no cases'}; "
            "measure the whole suite, or store it as it is with --force"
        )


def save_baseline(results: Path, run: Run) -> Path:
    """Store a run as its suite's baseline and return the folder."""
    folder = baseline_folder(results, run)
    make_folder(folder)
    write_atomically(folder / RUN_FILE, _encode(run))
    return folder


def make_folder(path: Path) -> None:
    """Make a folder with all above it. Raises Failed when it cannot be made."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_write(path, error) from error


def save_verdicts(folder: Path, comparison: Comparison) -> None:
    """Keep what was measured anew beside the run that it is about."""
    write_atomically(folder / VERDICTS_FILE, (json_text(comparison) + "\n").encode())


def verdicts(folder: Path) -> Comparison | None:
    """What was last measured anew of a run, or None; what cannot be read is logged."""
    try:
        return msgspec.json.decode((folder / VERDICTS_FILE).read_bytes(), type=Comparison)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        _log.warning("skipped: %s cannot be read (%s); `bench compare` makes it anew", folder / VERDICTS_FILE, error)
        return None


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
    return msgspec.json.format(_json(value), indent=1).decode()


def as_json(value: Any) -> dict[str, Any]:
    """A record as JSON holds it."""
    return dict(msgspec.to_builtins(value))


def asked(case: Case) -> dict[str, Any]:
    """A case that nobody has planned, as JSON holds it: where it will run does not apply yet."""
    return {"device": None, "provider": None} | dict(msgspec.to_builtins(case))


def _json(value: Any) -> bytes:
    try:
        return msgspec.json.encode(value, order="sorted")
    except UnicodeEncodeError:  # a path that is not UTF-8
        text = json.dumps(msgspec.to_builtins(value), ensure_ascii=False)
        return msgspec.json.encode(json.loads(re.sub("[\ud800-\udfff]", "\ufffd", text)), order="sorted")


def _encode(run: Run) -> bytes:
    return (json_text(run) + "\n").encode()


def _cannot_write(path: Path, error: OSError) -> Failed:
    return Failed(f"cannot write {path}: {error.strerror}; free some space or name another folder with --output")
