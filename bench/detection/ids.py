"""Ids of COCO-format files: whole numbers of any size, texts, 42.0 for 42; and what detections may say instead."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from bench.errors import WrongUsage
from bench.units import readable

Id = int | str | float
"""Equal as pycocotools has it: 42 and 42.0 are one id, "42" is another."""

Positions = NDArray[np.int64]
Names = Mapping[str, Mapping[Id, int]]
"""What entries may be called, by what that is: positions by name. Earlier ones go first."""


_OTHERWISE = "by its id as text or as a number"
_WITHOUT_FOLDERS = "by its file's name without folders"
_STEM = "by the stem of its file's name"
_PADDED = "by its id with zeros before it"


class _Identified(Protocol):
    @property
    def id(self) -> Id: ...


_T = TypeVar("_T", bound=_Identified)


def by_id(path: Path, what: str, entries: Sequence[_T]) -> tuple[_T, ...]:
    """Entries in the order of their ids, numbers first. Raises WrongUsage for an id that stands twice."""
    ordered = tuple(sorted(entries, key=lambda entry: _order(entry.id)))
    for one, next_one in pairwise(ordered):
        if one.id == next_one.id:
            raise WrongUsage(f"{path}: two {what} entries have the id {shown(one.id)}; ids must differ")
    return ordered


def _order(id: Id) -> tuple[bool, Id]:
    return isinstance(id, str), id


def shown(id: Id) -> str:
    """An id for people; what is no number in quotes.

    >>> shown(42.0), shown("42")
    ('42', '"42"')
    """
    if isinstance(id, str):
        return f'"{readable(id)}"'
    return str(int(id)) if isinstance(id, int) or id.is_integer() else str(id)


def names_of_images(ids: Sequence[Id], files: Sequence[str | None]) -> Names:
    """What detections may call images: ids, ids written as text or number, file names, their stems."""
    paths = [file.replace("\\", "/") if file else None for file in files]
    bases = [path and path.rpartition("/")[2] for path in paths]
    stems = [base and (base.rpartition(".")[0] or base) for base in bases]
    numbers = [int(stem) if stem and re.fullmatch(r"[0-9]{1,18}", stem) else None for stem in stems]
    return _ids(ids) | {
        "by its file's name": _unique(paths),
        _WITHOUT_FOLDERS: _unique(bases),
        _STEM: _unique(stems),
        "by the number that its file is called": _unique(numbers),
        _PADDED: _unique([_unpadded(each) for each in ids]),  # last: files may be called so, by other numbers
    }


def names_of_categories(ids: Sequence[Id], names: Sequence[str]) -> Names:
    """What detections may call categories: ids, ids written as text or number, names."""
    return _ids(ids) | {"by name": _unique(names)}


def _ids(ids: Sequence[Id]) -> dict[str, Mapping[Id, int]]:
    return {"": _unique(ids), _OTHERWISE: _unique([_text(each) for each in ids])}


def _text(id: Id) -> str:
    """An id whatever its kind: 42, 42.0, "42", "42.0" alike."""
    text = shown(id) if not isinstance(id, str) else id
    return re.sub(r"^([0-9]+)\.0+$", r"\1", text)


def _unpadded(id: Id) -> Id:
    """An id whatever its kind, without zeros before it."""
    return re.sub(r"^0+(?=[0-9]+$)", "", _text(id))


def _base(id: Id) -> Id:
    """A path's last part."""
    return id.replace("\\", "/").rpartition("/")[2] if isinstance(id, str) else id


def _unique(names: Sequence[Id | None]) -> Mapping[Id, int]:
    """Positions by name; nothing when two are called the same, or one is not called at all."""
    place_of = {name: place for place, name in enumerate(names) if name is not None}
    return place_of if len(place_of) == len(names) else {}


def positions(path: Path, what: str, wanted: Sequence[Id], names: Names) -> tuple[Positions, str | None]:
    """Where the entry that each one refers to stands, and what they are called by when it is not by id.

    Raises WrongUsage, naming the first that refers to nothing, unless one kind of name fits them all.
    """
    distinct = set(wanted)
    for kind, known in names.items():
        spelt = _SPELT.get(kind, _same)
        if distinct and all(spelt(each) in known for each in distinct):
            if kind in (_WITHOUT_FOLDERS, _STEM) and len({spelt(each) for each in distinct}) < len(distinct):
                continue  # files of one name in several folders
            return np.array([known[spelt(each)] for each in wanted], dtype=np.int64), kind or None
    if not wanted:
        return np.empty(0, dtype=np.int64), None
    known = names[""]
    strangers = [place for place, each in enumerate(wanted) if each not in known]
    raise WrongUsage(
        f"{path}: entry {strangers[0]} has the {what}_id {shown(wanted[strangers[0]])}, which the ground truth does "
        f"not list; {len(strangers)} of {len(wanted)} entries are so: {_remedy(what, distinct, known)}"
    )


def _same(id: Id) -> Id:
    return id


_SPELT: Mapping[str, Callable[[Id], Id]] = {
    _OTHERWISE: _text,
    _WITHOUT_FOLDERS: _base,
    _STEM: _base,
    _PADDED: _unpadded,
}


def _remedy(what: str, wanted: set[Id], known: Mapping[Id, int]) -> str:
    """What may have happened. Detectors number their classes from 0 without gaps, data sets seldom do."""
    counted = all(isinstance(each, int) and 0 <= each < len(known) for each in wanted)
    if what == "category" and counted and 0 not in known:
        return "they count the categories from 0; write the ids of the ground truth's list instead"
    return "are the two files of the same data set?"
