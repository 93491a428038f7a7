"""Classes: from what people call them (synsets, names, numbers) to the outputs of a model."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bench.errors import Failed, WrongUsage, suggestion
from bench.models import keras_models_folder

IMAGENET_FILE = "imagenet_class_index.json"
_IMAGENET_URL = f"https://storage.googleapis.com/download.tensorflow.org/data/{IMAGENET_FILE}"
_IMAGENET_MD5 = "c2c37ea517e94d9795004a39431a14cb"  # as Keras checks it

_SYNSET = re.compile(r"n\d{8}")
_IMAGENET = (1000, 1001)  # outputs; with 1001, output 0 is a background class


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


def labelling(words: Iterable[str], outputs: int, *, given: Path | None = None) -> Labelling:
    """The output that each class name stands for, in a model with so many outputs.

    Args:
        words: folder names, or labels.
        outputs: how many classes the model has.
        given: a file of class names, in the order of the outputs.

    Raises:
        WrongUsage: names that match nothing, several classes, or an output that the model does not have.
        Failed: ImageNet's class list is needed and cannot be had.
    """
    known = sorted(set(words))
    if given is not None:
        return _listed(known, read(given), outputs)
    if all(word.isdecimal() for word in known):
        return _numbered(known, outputs)
    synsets = all(_SYNSET.fullmatch(word) for word in known)
    if outputs in _IMAGENET:
        if synsets and len(known) == 1000:
            return _sorted(known, "ImageNet's synsets in sorted order", shift=outputs - 1000)
        return _listed(known, imagenet(), outputs)
    if len(known) == outputs:
        return _sorted(known, f"{outputs} class names in sorted order")
    raise WrongUsage(
        f"{len(known)} class names ({_some(known)}) for a model with {outputs} outputs; "
        "give --classes FILE, the names in the order of the outputs"
    )


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
    script = (
        f"import keras; keras.utils.get_file({IMAGENET_FILE!r}, {_IMAGENET_URL!r}, cache_subdir='models', "
        f"file_hash={_IMAGENET_MD5!r})"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    )
    return done.stderr.strip().rpartition("\n")[2][:300] if done.returncode else None


def read(path: Path) -> ClassList:
    """A list of classes: JSON as Keras's `imagenet_class_index.json`, or text with one class a line.

    A line is a name, or a synset and its names separated by commas ("n01440764 tench, Tinca tinca").
    Raises WrongUsage when it is neither.
    """
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix != ".json":
            return ClassList(tuple(_line(line) for line in text.splitlines() if line.strip()), str(path))
        table = {int(number): (str(name), str(synset)) for number, (synset, name) in json.loads(text).items()}
        if sorted(table) != list(range(len(table))):
            raise ValueError("the numbers are not 0, 1, 2, ...")
    except OSError as error:
        raise WrongUsage(f"cannot read the class names {path}: {error.strerror}") from error
    except (ValueError, AttributeError, TypeError) as error:
        raise WrongUsage(f"{path} is not a list of classes ({error}); write one name a line") from error
    return ClassList(tuple(table[number] for number in range(len(table))), str(path))


def _line(line: str) -> tuple[str, ...]:
    first, _, rest = line.strip().partition(" ")
    if not _SYNSET.fullmatch(first) or not rest.strip():
        return (line.strip(),)
    return (*(name.strip() for name in rest.split(",")), first)


def _numbered(words: list[str], outputs: int) -> Labelling:
    largest = max(words, key=int)
    if int(largest) >= outputs:
        raise WrongUsage(f'"{largest}" is no class of this model: it has outputs 0 to {outputs - 1}')
    return Labelling({word: int(word) for word in words}, {int(word): word for word in words}, "class numbers")


def _sorted(words: list[str], rule: str, *, shift: int = 0) -> Labelling:
    found = {word: number + shift for number, word in enumerate(words)}
    return Labelling(found, {number: word for word, number in found.items()}, rule + _shifted(shift))


def _listed(words: list[str], classes: ClassList, outputs: int) -> Labelling:
    shift = outputs - len(classes.names)
    if shift and (outputs, shift) != (1001, 1):
        raise WrongUsage(f"{classes.source} lists {len(classes.names)} classes, but the model has {outputs} outputs")
    meanings: dict[str, set[int]] = {}
    for number, names in enumerate(classes.names):
        for name in names:
            meanings.setdefault(_plain(name), set()).add(number + shift)
    unknown = [word for word in words if _plain(word) not in meanings]
    if unknown:
        near = suggestion(_plain(unknown[0]), meanings)
        reason = f"{len(unknown)} of {len(words)} class names match nothing in {classes.source}: {_some(unknown)}"
        raise WrongUsage(f"{reason}; {near}".rstrip("; "))
    several = [word for word in words if len(meanings[_plain(word)]) > 1]
    if several:
        raise WrongUsage(f'"{several[0]}" is the name of several classes; use synsets or class numbers')
    return Labelling(
        {word: min(meanings[_plain(word)]) for word in words},
        {number + shift: names[0] for number, names in enumerate(classes.names)},
        f"names of {classes.source}" + _shifted(shift),
    )


def _shifted(shift: int) -> str:
    return f", from output {shift} on (0 is the background)" if shift else ""


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", " ", name).strip().lower()


def _some(words: list[str]) -> str:
    return ", ".join(words[:3]) + (", ..." if len(words) > 3 else "")
