"""A contact sheet: the photographs that every network gets wrong, with thumbnails inside the page."""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.report.answers import Answers, missed_by_all

MOST = 48
"""Photographs on a sheet."""
SIDE = 160
"""Pixels of a thumbnail's longer side."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Photograph:
    """One that every network gets wrong."""

    file: str
    name: str  # the class of its folder
    taken_for: str  # the answers with how many networks gave them, the most first
    image: str  # a data: URL; "" where the file is gone or cannot be read
    width: int = SIDE
    height: int = SIDE


@dataclass(frozen=True, kw_only=True, slots=True)
class Sheet:
    """The photographs, those first about which the networks are surest."""

    networks: int
    images: int  # judged on
    missed: int  # by all of them
    photographs: tuple[Photograph, ...]  # MOST of them


def sheet(answers: Mapping[str, Answers]) -> Sheet | None:
    """The photographs that all networks of a run get wrong; None where there are none, or no two networks."""
    missed = missed_by_all(dict(answers))
    if not missed:
        return None
    of = next(iter(answers.values()))
    return Sheet(
        networks=len(answers),
        images=of.n,
        missed=len(missed),
        photographs=tuple(
            _photograph(Path(of.images), mistake.file, mistake.name, Counter(said.values()))
            for mistake, said in missed[:MOST]
        ),
    )


def _photograph(folder: Path, file: str, name: str, said: Counter[str]) -> Photograph:
    taken_for = ", ".join(f"{answer} ({count})" for answer, count in said.most_common())
    url, width, height = _thumbnail(folder / file)
    return Photograph(file=file, name=name, taken_for=taken_for, image=url, width=width, height=height)


def _thumbnail(path: Path) -> tuple[str, int, int]:
    """A small picture as a data: URL, with its width and height; "" where there is none."""
    try:
        from bench.data import pictures
    except ImportError:
        return "", SIDE, SIDE
    try:
        with pictures.opened(path) as image:
            pictures.draft(image, SIDE)
            small = pictures.rgb(pictures.upright(image))
            small.thumbnail((SIDE, SIDE))
            buffer = io.BytesIO()
            small.save(buffer, "JPEG", quality=80)
    except pictures.Unreadable:
        return "", SIDE, SIDE
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}", small.width, small.height
