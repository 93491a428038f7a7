"""Classes: from what people call them (synsets, names, numbers) to the outputs of a model."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.accuracy import orders
from bench.errors import Failed, WrongUsage, suggestion
from bench.models import keras_models_folder
from bench.processes import process
from bench.units import readable

IMAGENET_FILE = "imagenet_class_index.json"
_IMAGENET_URL = f"https://storage.googleapis.com/download.tensorflow.org/data/{IMAGENET_FILE}"
_IMAGENET_MD5 = "c2c37ea517e94d9795004a39431a14cb"  # as Keras checks it

_SYNSET = re.compile(r"n\d{8}")
IMAGENET = (1000, 1001)  # outputs; with 1001, output 0 is a background class


@dataclass(frozen=True, slots=True)
class ClassList:
    """The classes of a model in the order of its outputs: everything that each is called, the best name first."""

    names: tuple[tuple[str, ...], ...]
    source: str


@dataclass(frozen=True, slots=True)
class Labelling:
    """Which output each class stands for."""

    outputs: dict[str, int]  # by the name that the folders or labels use
    names: dict[int, str]  # for people, by output
    rule: str  # how it was decided, in words


def labelling(
    words: Iterable[str],
    outputs: int,
    *,
    given: Path | None = None,
    order: str | None = None,
    places: Mapping[str, str] | None = None,
) -> Labelling:
    """The output that each class name stands for, in a model with so many outputs.

    Args:
        words: folder names, or labels.
        outputs: how many classes the model has.
        given: a file of class names, in the order of the outputs.
        order: one of `orders.NAMES`; None: class numbers are outputs, and names stand in the list's or in sorted order.
        places: where each word was read, "labels.csv:3", for messages.

    Raises:
        WrongUsage: names that match nothing, several classes, or an output that the model does not have.
        Failed: ImageNet's class list is needed and cannot be had.
    """
    known = sorted(set(words))
    if given is not None:
        listed = _listed(known, read(given), outputs, places or {})
        return _of_list(listed, order, outputs) if order else listed
    if order is not None:
        return _ordered(known, outputs, order)
    if all(map(orders.is_number, known)):
        return _numbered(known, outputs, places or {})
    if outputs in IMAGENET:
        if all(map(_is_synset, known)) and len(known) == 1000:
            shift = outputs - 1000
            by_text = {word: number + shift for number, word in enumerate(known)}
            return _labelling(by_text, "ImageNet's synsets in sorted order" + _shifted(shift))
        return _listed(known, imagenet(), outputs, places or {})
    if len(known) == outputs:
        return _ordered(known, outputs, "text")
    raise WrongUsage(
        f"{len(known)} class names ({_some(known)}) for a model with {outputs} outputs; "
        "give --classes FILE, the names in the order of the outputs"
    )


def alternatives(words: Iterable[str], outputs: int, force: Labelling, *, given: Path | None) -> dict[str, Labelling]:
    """The other usual orders of the same classes that set at least one of them apart, by their names."""
    known = sorted(set(words))
    labellings: dict[str, Labelling] = {}
    for name in orders.NAMES:
        try:
            other = _of_list(force, name, outputs) if given else _ordered(known, outputs, name)
        except WrongUsage:
            continue
        if all(other.outputs != each.outputs for each in (force, *labellings.values())):
            labellings[name] = other
    return labellings


def widths(words: Iterable[str], given: Path | None = None) -> tuple[int, ...]:
    """How many outputs a model of these classes may have, as far as they tell."""
    known = set(words)
    if given is not None:
        count = len(read(given).names)
        return (count, 1001) if count == 1000 else (count,)
    if any(map(_is_synset, known)):
        return IMAGENET
    if all(map(orders.is_number, known)):
        largest = max(map(int, known))
        return (largest + 1, *([largest] if largest == len(known) else []))
    return (len(known),)


def imagenet() -> ClassList:
    """ImageNet's synsets and names, from the file that Keras downloads. Raises Failed when it cannot be had."""
    path = keras_models_folder() / IMAGENET_FILE
    reason = None if path.is_file() else _download()
    if reason:
        raise Failed(
            f"ImageNet's class list is needed and could not be downloaded ({reason}); place {IMAGENET_FILE} in "
            f"{path.parent}, or give --classes LOC_synset_mapping.txt of the ImageNet archive, or name the folders by "
            "class number"
        )
    return read(path)


def _download() -> str | None:
    """Fetch the list with Keras's own downloader, which checks it; what stood in the way, or None."""
    file = {"fname": IMAGENET_FILE, "origin": _IMAGENET_URL, "cache_subdir": "models", "file_hash": _IMAGENET_MD5}
    try:
        process.ask("bench.models.download", file, what="the download", keras=True)
    except Failed as error:
        return str(error)[:300]
    return None


def read(path: Path) -> ClassList:
    """A list of classes: JSON as Keras's `imagenet_class_index.json`, or text with one class a line.

    A line is a name, or a synset and its names separated by commas ("n01440764 tench, Tinca tinca").
    Raises WrongUsage when it is neither.
    """
    try:
        text = path.read_text(encoding="utf-8-sig", errors="strict" if path.suffix == ".json" else "surrogateescape")
        if path.suffix != ".json":
            return ClassList(tuple(_line(line) for line in text.split("\n") if line.strip()), str(path))
        table = {int(number): (str(name), str(synset)) for number, (synset, name) in json.loads(text).items()}
        if sorted(table) != list(range(len(table))):
            raise ValueError("the numbers are not 0, 1, 2, ...")
    except OSError as error:
        raise WrongUsage(f"cannot read the class names {path}: {error.strerror}") from error
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise WrongUsage(f"{path} is not a list of classes ({error}); write one name a line") from error
    return ClassList(tuple(table[number] for number in range(len(table))), str(path))


def _line(line: str) -> tuple[str, ...]:
    first, _, rest = line.strip().partition(" ")
    if not _SYNSET.fullmatch(first) or not rest.strip():
        return (line.strip(),)
    return (*(name.strip() for name in rest.split(",")), first)


def _numbered(words: list[str], outputs: int, places: Mapping[str, str]) -> Labelling:
    """Class numbers are outputs. Where one is too large, as many numbers as outputs still have an order."""
    for order in ("number", *(("number-1", "natural") if len(words) == outputs else ())):
        if orders.places(words, outputs, order) is not None:
            return _ordered(words, outputs, order)
    largest = max(words, key=int)
    from_1 = "; if they count from 1, give --class-order number-1" if int(largest) == outputs else ""
    raise WrongUsage(
        f'{_at(largest, places)}"{largest}" is no class of this model: it has outputs 0 to {outputs - 1}{from_1}'
    )


def _ordered(words: list[str], outputs: int, order: str) -> Labelling:
    places = orders.places(words, outputs, order)
    if places is None:
        raise WrongUsage(
            f"{len(words)} class names ({_some(words)}) have no order {order} in a model with {outputs} outputs: "
            f"{orders.NEEDS[order.startswith('number')]}"
        )
    by_output: dict[int, str] = {}
    for word, output in places.items():
        if (same := by_output.setdefault(output, word)) != word:
            raise WrongUsage(f'"{same}" and "{word}" are the same class number; rename one of the classes')
    numbers = all(map(orders.is_number, words))
    says = orders.NAMES[order] if order.startswith("number") else f"{len(words)} {orders.NAMES[order]}"
    return _labelling(places, says.replace("class names", "class numbers") if numbers else says)


def _labelling(places: dict[str, int], rule: str) -> Labelling:
    return Labelling(places, {number: word for word, number in places.items()}, rule)


def _of_list(force: Labelling, order: str, outputs: int) -> Labelling:
    """A listed labelling with the list in another order than the file's."""
    names = [force.names[number] for number in sorted(force.names)]
    places = None if order.startswith("number") else orders.places(names, len(names), order)
    if places is None or len(set(names)) < len(names):
        raise WrongUsage(f"--classes lists names, which have no order {order}; leave one of the two out")
    shift = min(force.names)
    by_word = {word: places[force.names[number]] + shift for word, number in force.outputs.items()}
    return Labelling(
        by_word,
        {place + shift: name for name, place in places.items()},
        f"{force.rule}, {orders.NAMES[order].removeprefix('class names ')}",
    )


def _listed(words: list[str], classes: ClassList, outputs: int, places: Mapping[str, str]) -> Labelling:
    shift = outputs - len(classes.names)
    if shift and (outputs, shift) != (1001, 1):
        raise WrongUsage(f"{classes.source} lists {len(classes.names)} classes, but the model has {outputs} outputs")
    exact: dict[str, set[int]] = {}
    meanings: dict[str, set[int]] = {}
    for number, names in enumerate(classes.names):
        for name in names:
            exact.setdefault(name, set()).add(number + shift)
            meanings.setdefault(_plain(name), set()).add(number + shift)
    meaning = {word: exact.get(word) or meanings.get(_plain(word), set()) for word in words}
    unknown = [word for word in words if not meaning[word]]
    if unknown:
        near = suggestion(_plain(unknown[0]), meanings)
        reason = f"{len(unknown)} of {len(words)} class names match nothing in {classes.source}: {_some(unknown)}"
        raise WrongUsage(f"{_at(unknown[0], places)}{reason}; {near}".rstrip("; "))
    several = [word for word in words if len(meaning[word]) > 1]
    if several:
        raise WrongUsage(
            f'{_at(several[0], places)}"{several[0]}" is the name of several classes; use synsets or class numbers'
        )
    return Labelling(
        {word: min(meaning[word]) for word in words},
        {number + shift: names[0] for number, names in enumerate(classes.names)},
        f"names of {classes.source}" + _shifted(shift),
    )


def _at(word: str, places: Mapping[str, str]) -> str:
    return f"{places[word]}: " if word in places else ""


def _is_synset(word: str) -> bool:
    return _SYNSET.fullmatch(word) is not None


def _shifted(shift: int) -> str:
    return f", from output {shift} on (0 is the background)" if shift else ""


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", " ", unicodedata.normalize("NFC", name)).strip().lower()


def _some(words: list[str]) -> str:
    return ", ".join(map(readable, words[:3])) + (", ..." if len(words) > 3 else "")
