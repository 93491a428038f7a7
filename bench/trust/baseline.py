"""Portable baselines: a run with what makes its files again, to be measured on any machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from bench import store
from bench.errors import Failed
from bench.export import portable
from bench.records import Record, Run

FILES, GRAPHS = "files.json", "graphs"


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptFile:
    """How the file of one case is had again."""

    sha256: str  # of the file that is timed
    graph: str | None  # the graph from which it is drawn, in the baseline's folder; None: kept whole in the store
    source: str  # where it came from, in words


def save(results: Path, run: Run) -> tuple[Path, list[str]]:
    """Store a run as its suite's baseline; its folder, and why files of it cannot be had again elsewhere, a line each.

    Graphs are written first, and old ones removed last. Raises Failed when the folder cannot be written.
    """
    folder = store.baseline_folder(results, run)
    store.make_folder(folder)
    files, notes = {}, []
    for record in run.records:
        if record.measurement is None:
            continue
        try:
            path = portable.file_of(record)
            files[record.case.name] = _kept(folder, record, path)
        except Failed as error:
            notes.append(f"{record.case.name}: {error}")
            continue
        if files[record.case.name].graph is None:
            notes.append(f"{record.case.name}: {_SELF_MADE}")
    store.write_atomically(folder / FILES, (store.json_text(files) + "\n").encode())
    path = store.save_baseline(results, run)
    named = {each.graph for each in files.values()}
    for old in (folder / GRAPHS).glob("*.gz"):
        if f"{GRAPHS}/{old.name}" not in named:
            old.unlink()
    return path, notes


_SELF_MADE = (
    "its weights are trained or your own, so that its file is kept on this machine alone; copy it where you compare"
)


def _kept(folder: Path, record: Record, path: Path) -> KeptFile:
    if not portable.can_be_drawn(record):
        assert record.artifact is not None
        portable.keep(path, record.artifact.sha256)
        case = record.case
        source = case.model if case.is_file else f"{case.model}, weights: {case.weights}"
        if case.train:
            source += f", trained on {case.train.data}"
        return KeptFile(sha256=record.artifact.sha256, graph=None, source=source)
    graph = portable.drawn_from(path)
    name = f"{GRAPHS}/{graph.sha256[:16]}.gz"
    store.make_folder(folder / GRAPHS)
    store.write_atomically(folder / name, portable.packed(graph))
    return KeptFile(sha256=graph.sha256, graph=name, source=f"{record.case.model}, exported with random weights")


def files(folder: Path) -> dict[str, KeptFile]:
    """How a baseline's files are had again, by case; a plain run has nothing. Raises Failed when that is damaged."""
    try:
        return msgspec.json.decode((folder / FILES).read_bytes(), type=dict[str, KeptFile])
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, msgspec.DecodeError) as error:
        raise Failed(f"{folder / FILES} cannot be read ({error}); restore it, or save the baseline again") from error


def sides(baseline: store.Stored, old: Record, new: Record) -> tuple[Path, Path]:
    """The two files of a case, as they are timed against each other.

    Where the baseline keeps a graph, both are drawn, so that two exports of one graph are one file. Raises Failed when
    one cannot be had.
    """
    known = files(baseline.path).get(old.case.name)
    if known is None:
        return _said("the baseline's", old), _said("the run's", new)
    if known.graph is None:
        if old.artifact:
            old = replace(old, artifact=replace(old.artifact, sha256=known.sha256))
        return _said(f"the baseline's ({known.source})", old), _said("the run's", new)
    own = _said("the run's", new)
    drawn = portable.remade(portable.drawn_from(own)) if portable.can_be_drawn(new) else own
    return _remade(baseline.path / known.graph), drawn


def made_again(folder: Path) -> Iterator[tuple[str, Path]]:
    """Every case whose file is drawn, with that file. Raises Failed when one does not come out as it was."""
    for name, known in files(folder).items():
        if known.graph is not None:
            yield name, _remade(folder / known.graph)


def _remade(graph: Path) -> Path:
    try:
        packed = graph.read_bytes()
    except OSError as error:
        raise Failed(f"{graph}: {error.strerror}; restore it, or save the baseline again") from error
    return portable.remade(portable.unpacked(packed))


def _said(whose: str, record: Record) -> Path:
    try:
        return portable.file_of(record)
    except Failed as error:
        raise Failed(str(error).replace("its file", f"{whose} file", 1)) from error
