"""Fleet records on disk: which runs of several machines belong together."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bench import store
from bench.errors import BenchError, WrongUsage
from bench.records import SCHEMA_VERSION, Fleet, Member, Run

FLEET_FILE = "fleet.json"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StoredFleet:
    """A fleet record as it lies on the disk."""

    path: Path  # its folder
    fleet: Fleet

    @property
    def results(self) -> Path:
        """The results folder that holds it and its runs."""
        return self.path.parent.parent

    def runs(self) -> list[tuple[Member, Run]]:
        """The machines that have a run, with it; what cannot be read is logged."""
        runs = []
        for member in self.fleet.members:
            if member.run is None:
                continue
            try:
                runs.append((member, store.load(self.results / "runs" / Path(member.run).name)))
            except BenchError as error:
                _log.warning("left out %s: %s", member.name, error)
        return runs


def create(results: Path, fleet: Fleet) -> Path:
    """Make the folder `fleets/<UTC time>-<suite>/` for a fleet and write its `fleet.json`. Raises Failed."""
    folder = store.new_folder(results / "fleets", fleet.started_at, fleet.suite)
    write(folder, fleet)
    return folder


def write(folder: Path, fleet: Fleet) -> None:
    """Replace a folder's `fleet.json`. Raises Failed when it cannot be written; the old file then stays."""
    store.write_atomically(folder / FLEET_FILE, (store.json_text(fleet) + "\n").encode())


def load(path: Path) -> StoredFleet:
    """Read a fleet from its folder or its `fleet.json`. Raises WrongUsage when it is none."""
    folder = path if path.is_dir() else path.parent
    try:
        fleet = msgspec.json.decode((folder / FLEET_FILE).read_bytes(), type=Fleet)
    except OSError as error:
        raise WrongUsage(
            f"no fleet at {path}: {error.strerror}; `bench run SUITE --scheduler URL` makes one"
        ) from error
    except (ValueError, RecursionError) as error:
        raise WrongUsage(f"{folder / FLEET_FILE} is no fleet: {error}; restore it, or measure again") from error
    if fleet.schema_version != SCHEMA_VERSION:
        raise WrongUsage(f"{folder} has schema_version {fleet.schema_version}, this bench reads {SCHEMA_VERSION}")
    return StoredFleet(folder, fleet)


def latest(results: Path) -> StoredFleet:
    """The fleet that began last. Raises WrongUsage when there is none that can be read."""
    known = []
    for path in (results / "fleets").glob(f"*/{FLEET_FILE}"):
        try:
            known.append(load(path))
        except BenchError as error:
            _log.warning("skipped: %s", error)
    if not known:
        raise WrongUsage(f"no fleet under {results / 'fleets'}; make one with `bench run SUITE --scheduler URL`")
    return max(known, key=lambda stored: (stored.fleet.started_at, stored.path.name))
