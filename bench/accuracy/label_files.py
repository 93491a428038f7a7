"""Files of labels: an image and its class a line, as spreadsheets, pandas and data sets write them."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from bench.accuracy.orders import is_number
from bench.data.folders import is_image
from bench.errors import WrongUsage

_DELIMITERS = (",", ";", "\t", "|", " ")
_LABELS = ("label", "labels", "class", "classes", "category", "target", "y", "classname", "classid", "labelid", "breed",
           "species", "synset", "predictionstring")  # fmt: skip
_BOXES = re.compile(r"(?<=^n\d{8}) [\dn ]+$")  # "n03995372 85 1 499 272"
_ESCAPED = re.compile(r"[\udc80-\udcff]")
_WIDEST = 8  # columns that are looked at
_DEEPEST = 12  # folders of a path that may stand before what is relative to the images' folder


@dataclass(frozen=True, slots=True)
class Labels:
    """What a file of labels says. Images may be missing from the folder."""

    words: dict[str, str]  # the class of each image, by its file's name
    places: dict[str, str]  # where each class is named first, "labels.csv:3"


@dataclass(frozen=True, slots=True)
class _Reading:
    """One way to read the file, and how many of its rows then name an image that is there."""

    rows: tuple[tuple[int, list[str]], ...]
    column: int = 0  # of the images' names
    depth: int = 0  # folders before the names that are not the images'
    matches: int = 0
    exact: int = 0  # of these, the ones with the whole name


def read(path: Path, there: Sequence[str], *, listed: bool = False) -> Labels:
    """Read the labels of images; `there`: the names of those in the folder.

    Of delimiters (comma, semicolon, tab, bar, space), encodings, columns, and folders before the names, those are taken
    under which most rows name an image. A first row that names none is a heading. ImageNet's own
    `LOC_val_solution.csv` works too: file names without a suffix, boxes after the label.

    Args:
        listed: whether a list of class names comes with it; without one, a word among numbers is a mistake.

    Raises:
        WrongUsage: naming the line: a row without a label, two labels of one image, a word that fits no other.
    """
    known = _Names(there)
    reading = max(_readings(path, known), key=lambda each: (each.exact, each.matches))
    rows = list(reading.rows)
    heading = rows[0][1] if rows and _is_heading(rows, reading, known) else []
    label_column = _label_column(heading, reading.column)
    _check_one_column(path, rows[bool(heading) :], heading, reading.column)
    words: dict[str, str] = {}
    places: dict[str, str] = {}
    for number, row in rows[bool(heading) :]:
        at = f"{path}:{number}"
        if len(row) <= max(reading.column, label_column) or not row[reading.column] or not row[label_column]:
            raise WrongUsage(f"{at}: must be file,label; it is {','.join(row)!r}")
        name, word = known.file(row[reading.column], reading.depth, at), _BOXES.sub("", row[label_column])
        if words.setdefault(name, word) != word:
            raise WrongUsage(f"{at}: {name} is labelled {word}, but {words[name]} above; keep one of them")
        places.setdefault(word, at)
    if not words:
        raise WrongUsage(f"{path} names no images; write file,label lines")
    if not reading.matches:
        raise WrongUsage(f"the folder has none of the {len(words)} files that {path} names, e.g. {min(words)}; "
                         "names are relative to the folder")  # fmt: skip
    return _whole_numbers(Labels(words, places)) if listed else _one_kind(_whole_numbers(Labels(words, places)))


class _Names:
    """The images that are there, by what a file of labels may call them."""

    def __init__(self, there: Sequence[str]) -> None:
        self._files = {unicodedata.normalize("NFC", file): file for file in there}
        self._stems: dict[str, str] = {}
        self._several: dict[str, tuple[str, str]] = {}
        for name, file in self._files.items():
            stem = name.rpartition(".")[0]
            if (other := self._stems.setdefault(stem, file)) != file:
                self._several[stem] = other, file

    def find(self, name: str, depth: int = 0) -> str | None:
        """The file of that name, or of that name without its suffix; the first `depth` folders left out."""
        plain = _plain(name, depth)
        return self._files.get(plain) or self._stems.get(plain)

    def file(self, name: str, depth: int, at: str) -> str:
        """As `find`, or the name itself. Raises WrongUsage for a name without a suffix that two files have."""
        plain = _plain(name, depth)
        if plain in self._several and plain not in self._files:
            one, other = self._several[plain]
            raise WrongUsage(f"{at}: {plain} may be {one} or {other}; write the whole name")
        return self.find(name, depth) or plain


def _plain(name: str, depth: int) -> str:
    slashes = unicodedata.normalize("NFC", name).replace("\\", "/")
    return "/".join([part for part in slashes.split("/") if part not in ("", ".")][depth:]) or slashes


def _readings(path: Path, known: _Names) -> list[_Reading]:
    """Every way to read the file, the plainest first. Raises WrongUsage when there is none."""
    readings: list[_Reading] = []
    problem: Exception | None = None
    for text, delimiter in product(_texts(path), _DELIMITERS):
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
        try:
            rows = tuple((reader.line_num, [cell.strip() for cell in row]) for row in reader if any(row))
        except csv.Error as error:
            problem = error
            continue
        if rows and rows[0][1][0].startswith("sep="):  # Excel's own first line
            rows = rows[1:]
        readings.append(_Reading(rows))
        for column in range(min(max((len(row) for _, row in rows), default=0), _WIDEST)):
            names = [row[column] for _, row in rows if len(row) > max(column, 1)]
            readings += [_at_depth(rows, column, names, depth, known) for depth in _depths(names, known)]
    if not readings:
        raise WrongUsage(f"cannot read the labels {path}: {problem}")
    return readings


def _depths(names: Sequence[str], known: _Names) -> Sequence[int]:
    """How many folders may have to be left out: none where names are found as they are."""
    if any(known.find(name) for name in names):
        return (0,)
    return range(min(_DEEPEST, max((_plain(name, 0).count("/") for name in names), default=0)) + 1)


def _at_depth(
    rows: tuple[tuple[int, list[str]], ...], column: int, names: Sequence[str], depth: int, known: _Names
) -> _Reading:
    """The reading whose names lie below so many folders, which must be the same for all."""
    files = [(name, file) for name in names if (file := known.find(name, depth))]
    if len({tuple(_plain(name, 0).split("/")[:depth]) for name, _ in files}) > 1:
        return _Reading(rows, column, depth)
    exact = sum(name.endswith(file) for name, file in files)
    return _Reading(rows, column, depth, len(files), exact)


def _texts(path: Path) -> list[str]:
    """The file's text; where it is not UTF-8, with its bytes as a file system has them, and as Windows writes."""
    try:
        data = path.read_bytes()
        if data.startswith((b"\xff\xfe", b"\xfe\xff")):
            return [data.decode("utf-16")]
        text = data.decode("utf-8-sig", errors="surrogateescape")
    except (OSError, UnicodeDecodeError) as error:
        raise WrongUsage(f"cannot read the labels {path}: {error}") from error
    return [text, data.decode("cp1252", errors="replace")] if _ESCAPED.search(text) else [text]


def _is_heading(rows: Sequence[tuple[int, list[str]]], reading: _Reading, known: _Names) -> bool:
    """Whether the first row names columns: no image that is there or could be, while others are there."""
    first = rows[0][1]
    if len(first) <= reading.column or not reading.matches:
        return not reading.matches and len(first) > 1 and _column_word(first[-1]) in _LABELS
    name = first[reading.column]
    if known.find(name, reading.depth) or is_image(name):
        return False
    return first[-1] not in {row[-1] for _, row in rows[1:]}


def _label_column(heading: Sequence[str], images: int) -> int:
    """The column that a heading calls so, else the one after the images', else the one before."""
    for column, name in enumerate(heading):
        if column != images and _column_word(name) in _LABELS:
            return column
    return images + 1 if not heading or images + 1 < len(heading) else max(0, images - 1)


def _check_one_column(path: Path, rows: Sequence[tuple[int, list[str]]], heading: Sequence[str], images: int) -> None:
    """Raises WrongUsage for a file of one column a class, of which no single column is the label."""
    cells = [[cell for column, cell in enumerate(row) if column != images] for _, row in rows]
    if any(column != images and _column_word(name) in _LABELS for column, name in enumerate(heading)) or not cells:
        return
    marks = {frozenset(map(_mark, row)) for row in cells}
    if min(map(len, cells)) >= 2 and len(rows) >= 2 and all(m <= {0.0, 1.0} for m in marks):
        named = f" ({', '.join(name for column, name in enumerate(heading) if column != images)})" if heading else ""
        raise WrongUsage(f"{path} has a column for each class{named}, not one for the label; "
                         "write file,label lines, the label being the column that holds 1")  # fmt: skip


def _mark(word: str) -> float | None:
    return float(word) if _is_float(word) else None


def _column_word(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.lower())


def _whole_numbers(labels: Labels) -> Labels:
    """Labels like "3.0", as pandas writes whole numbers, as "3" when all are so."""
    if not all(re.fullmatch(r"[0-9]{1,9}\.0*", word) for word in labels.places):
        return labels
    short = {word: word.partition(".")[0] for word in labels.places}
    return Labels(
        {file: short[word] for file, word in labels.words.items()},
        {short[word]: place for word, place in reversed(labels.places.items())},
    )


def _one_kind(labels: Labels) -> Labels:
    """The same labels. Raises WrongUsage for a few words among numbers, naming the line of the first."""
    words = [word for word in labels.places if not is_number(word)]
    numbers = len(labels.places) - len(words)
    if not words or not numbers or (3 * len(words) > numbers and not all(map(_is_float, words))):
        return labels
    raise WrongUsage(
        f'{labels.places[words[0]]}: "{words[0]}" is no class number, as {numbers} of {len(labels.places)} labels are; '
        "correct or remove the row, or give --classes FILE"
    )


def _is_float(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
