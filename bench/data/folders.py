"""How a folder of images is laid out: classes, parts (train, validation, test), leftovers, and all other files.

A class is a folder with its images at any depth. A part holds class folders of its own. Leftovers are what archives and
systems leave behind, and whatever is hidden.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.errors import WrongUsage

SUFFIXES = (
    ".bmp", ".gif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tga", ".tif", ".tiff",
    ".webp", ".avif",
)  # fmt: skip
PARTS = {
    "test": ("test", "testing", "tst"),
    "validation": ("validation", "val", "valid", "dev", "eval", "evaluation"),
    "train": ("train", "training", "trn"),
    "fold": ("fold", "folds", "kfold", "subset"),
}
"""What the folders of a data set's parts are called; the part to judge on first."""

_BESIDE = {"data", "dataset", "folder", "image", "images", "img", "imgs", "photos", "set", "split"}
"""What may stand after a part's name in its folder's: "Test Set", "train_images"."""

_LEFTOVERS = {
    "#recycle", "$recycle.bin", "@eadir", "@recycle", "@recycled", "@tmp", "__macosx", "__pycache__", "desktop.ini",
    "ehthumbs.db", "ehthumbs_vista.db", "found.000", "icon\r", "lost+found", "network trash folder", "recycler",
    "system volume information", "temporary items", "thumbs.db", "thumbs.db:encryptable",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a data set, as a folder of class folders."""

    name: str  # a key of PARTS
    folder: Path


@dataclass(frozen=True, slots=True)
class Layout:
    """What a folder holds. Files are relative to it, with forward slashes, in sorted order."""

    classes: dict[str, tuple[str, ...]]  # the images by the name of their class folder, also of those without any
    loose: tuple[str, ...]  # images beside the class folders
    others: int  # files that are no images
    leftovers: dict[str, int]  # how many of each name were left out; "hidden" for hidden ones

    @property
    def images(self) -> tuple[str, ...]:
        """All images, those in class folders included."""
        return tuple(sorted((*self.loose, *(file for files in self.classes.values() for file in files))))


def layout(folder: Path) -> Layout:
    """What lies in a folder.

    Raises WrongUsage for a folder that is not there or cannot be read, or that links to a folder which cannot.
    """
    if not folder.is_dir():
        raise WrongUsage(f"there is no folder {folder}; give the folder of the images")
    classes: dict[str, list[str]] = {}
    loose: list[str] = []
    leftovers: Counter[str] = Counter()
    others = 0
    for file, kind in _walk(folder, leftovers):
        word, below, _ = file.partition("/")
        if kind == "folder":
            if not below:
                classes[word] = []
        elif kind == "other":
            others += 1
        elif below:
            classes[word].append(file)
        else:
            loose.append(file)
    return Layout(
        {word: tuple(sorted(files)) for word, files in sorted(classes.items())}, tuple(sorted(loose)), others,
        dict(sorted(leftovers.items())),
    )  # fmt: skip


def parts(folder: Path, found: Layout) -> tuple[Part, ...]:
    """The parts of a data set that a folder is divided into, in the order of PARTS; none when its folders are classes.

    Parts may lie in one folder below it. A class may be called "train", too: parts are what all folders with images are
    called after, or two or more that hold nothing but class folders.
    """
    filled = [word for word, files in found.classes.items() if files]
    named = {word: part for word in filled if (part := _part_of(word))}
    nested = [word for word in named if all(file.count("/") > 1 for file in found.classes[word])]
    several = len(set(named.values())) > 1
    if (len(named) == len(filled) and (nested or several)) or (several and len(nested) == len(named)):
        order = list(PARTS)
        each = [Part(part, _innermost(folder, word, found.classes[word])) for word, part in named.items()]
        return tuple(sorted(each, key=lambda part: (order.index(part.name), part.folder)))
    if len(filled) == 1 and not found.loose:
        (word,) = filled
        inner = layout(folder / word)
        return () if inner.loose else parts(folder / word, inner)
    return ()


def repeated_classes(layout: Layout) -> str | None:
    """A folder beside class folders that holds class folders of the same names (`cat`, `dog`, `val/cat`), or None."""
    for word, files in layout.classes.items():
        below = {rest.partition("/")[0] if "/" in (rest := file.partition("/")[2]) else "" for file in files}
        if len(below) > 1 and below <= layout.classes.keys() - {word}:
            return word
    return None


def divided_classes(layout: Layout) -> str | None:
    """A class folder that is divided into parts (`cat/train`, `cat/test`), or None."""
    for word, files in layout.classes.items():
        below = {rest.partition("/")[0] for file in files if "/" in (rest := file.partition("/")[2])}
        if len({_part_of(name) for name in below} - {None}) > 1 and all(_part_of(name) for name in below):
            return word
    return None


def images(folder: Path) -> list[Path]:
    """The images of a folder, in whatever folders below it, sorted; leftovers are no images. Raises WrongUsage."""
    return sorted(folder / name for name, kind in _walk(folder, Counter()) if kind == "image")


def is_image(name: str) -> bool:
    """Whether a file's name is that of an image."""
    return name.lower().endswith(SUFFIXES)


def _part_of(name: str) -> str | None:
    """The part that a folder's name stands for, or None.

    >>> [_part_of(name) for name in ("Training", "ILSVRC2012_img_val", "seg_test", "test_set", "trains", "trainer")]
    ['train', 'validation', 'test', 'test', None, None]
    """
    words = [word for word in re.split(r"[\W\d_]+", name.lower()) if word and word not in _BESIDE]
    ends = {*words[:1], *words[-1:]}
    fitting = [part for part, names in PARTS.items() if ends.intersection(names)]
    return fitting[0] if len(fitting) == 1 else None


def _innermost(folder: Path, word: str, files: tuple[str, ...]) -> Path:
    """A part's folder; of `train/train/CLASS`, as archives unpack, the inner one."""
    below = {file.split("/")[1] for file in files}
    inner = next(iter(below))
    again = len(below) == 1 and _part_of(inner) == _part_of(word) and all(file.count("/") > 2 for file in files)
    return folder / word / inner if again else folder / word


def _walk(folder: Path, leftovers: Counter[str]) -> Iterator[tuple[str, str]]:
    """Everything below a folder, links followed: (file, "image" or "other") and (folder, "folder").

    A link to a folder above is left out: what lies there would come over and over.
    """
    waiting: list[tuple[str, frozenset[tuple[int, int]]]] = [("", frozenset())]
    while waiting:
        below, above = waiting.pop()
        place = folder / below
        try:
            about = place.stat()
            entries = sorted(os.scandir(place), key=lambda entry: entry.name)
        except OSError as error:
            raise WrongUsage(f"cannot read the folder {place}: {error.strerror}; change its rights or move it") from (
                error
            )
        above |= {(about.st_dev, about.st_ino)}
        for entry in entries:
            name = below + entry.name
            if entry.name.lower() in _LEFTOVERS:
                leftovers[entry.name] += 1
            elif entry.name.startswith((".", "~$")):
                leftovers["hidden"] += 1
            elif not _is_folder(entry):
                there = entry.is_file(follow_symlinks=False) or (entry.is_symlink() and _may_be_file(entry.path))
                yield name, "image" if there and is_image(entry.name) else "other"
            elif entry.is_symlink() and _leads_up(Path(entry.path), above):
                leftovers["link to a folder above"] += 1
            else:
                yield name, "folder"
                waiting.append((f"{name}/", above))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir()  # noqa: PTH112 - as below


def _may_be_file(path: str) -> bool:
    """Whether a link leads to a file, or to nothing: then an image is missing, and named so."""
    return os.path.isfile(path) or not os.path.exists(path)  # noqa: PTH110,PTH113 - pathlib raises for circles


def _leads_up(link: Path, above: frozenset[tuple[int, int]]) -> bool:
    about = link.stat()
    return (about.st_dev, about.st_ino) in above or link.parent.resolve().is_relative_to(link.resolve())
