"""A folder of labelled images as a part to train on and a part to judge on, that share no photograph."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.data import folders, likeness
from bench.data.folders import Layout
from bench.data.likeness import Look, Progress
from bench.errors import WrongUsage
from bench.units import readable

TEST_SHARE = 0.2
"""Of a folder without parts: how much of each class is judged on."""
FEW = 20
"""Training images of a class below which that is said."""
_NAMED = 5  # files or classes that a note names


@dataclass(frozen=True, slots=True)
class Labelled:
    """One image and the class that it shows."""

    file: str  # relative to the folder, with forward slashes
    word: str  # the class, as its folder is called


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """A divided folder. No photograph is in both parts, and none is under two classes."""

    folder: Path
    classes: tuple[str, ...]  # those with training images, in text order: the order of a head's outputs
    train: tuple[Labelled, ...]  # sorted by file, as the other one
    test: tuple[Labelled, ...]
    rule: str  # how it was divided, in words
    copies: int = 0  # images of photographs that are there more than once, each counted but for the first
    dropped: int = 0  # training images left out because the test part has the same photograph
    two_classes: tuple[tuple[str, str], ...] = ()  # one file under two classes: left out, both of them
    unreadable: Mapping[str, str] | None = None  # file -> why: left out
    untested: tuple[str, ...] = ()  # classes without test images
    notes: tuple[str, ...] = ()  # all of that in words, and what else is to be said


def divide(folder: Path, *, seed: int = 0, threads: int = 1, progress: Progress = lambda done, of: None) -> Parts:
    """Divide a folder of images: by its own parts where it has them, else each class by itself, the same every time.

    A photograph that is there twice stays on one side. Of parts that people made, the part to judge on stays whole.

    Args:
        folder: one folder a class; or parts (train, val, test, ...) that hold one each; or either one folder deeper.
        seed: of the division, where the folder has no parts.
        threads: that decode, to find what is there twice or cannot be read.
        progress: told while that is done.

    Raises WrongUsage for a folder without two classes that can be trained and judged, with what stands in the way.
    """
    inner, there = _unwrapped(folder)
    found = folders.parts(inner, there)
    if found:
        sides, rule = _given(folder, found)
    else:
        _refuse(inner, there)
        prefix = "" if inner == folder else f"{inner.relative_to(folder).as_posix()}/"
        every = [Labelled(prefix + file, word) for word, files in there.classes.items() for file in files]
        sides, rule = {"": every}, f"{TEST_SHARE:.0%} of each class to judge on, seed {seed}".replace("%", " %")
    listed = [each for side in sides.values() for each in side]
    if not listed:
        raise WrongUsage(
            f"{folder} holds no class folders with images; put them into a folder a class: DIR/CLASS/IMAGE"
        )
    seen = likeness.looks([folder / each.file for each in listed], threads=threads, progress=progress)
    known = dict(zip(listed, zip(seen, likeness.groups(seen), strict=True), strict=True))
    unreadable = {each.file: look.unreadable for each, (look, _) in known.items() if look.unreadable}
    two_classes = _under_two_classes(listed, {each: look for each, (look, _) in known.items()})
    gone = {file for pair in two_classes for file in pair} | unreadable.keys()
    group = {each: number for each, (_, number) in known.items() if each.file not in gone}
    sides = {name: [each for each in side if each in group] for name, side in sides.items()}
    if "" in sides:
        train, test = _drawn(sides[""], group, {each: known[each][0] for each in group}, seed)
        dropped = 0
    else:
        judged = {group[each] for each in sides["test"]}
        train = [each for each in sides["train"] if group[each] not in judged]
        test, dropped = sides["test"], len(sides["train"]) - len(train)
    parts = Parts(
        folder=folder,
        classes=tuple(sorted({each.word for each in train})),
        train=tuple(sorted(train, key=lambda each: each.file)),
        test=tuple(sorted(test, key=lambda each: each.file)),
        rule=rule,
        copies=len(group) - len(set(group.values())),
        dropped=dropped,
        two_classes=tuple(two_classes),
        unreadable=unreadable,
        untested=tuple(sorted({each.word for each in train} - {each.word for each in test})),
    )
    _check(parts)
    return replace(parts, notes=tuple(_notes(parts, group, there)))


def _unwrapped(folder: Path) -> tuple[Path, Layout]:
    """The folder that holds the classes or parts, and what lies in it: itself, or the only one with images in it."""
    there = folders.layout(folder)
    filled = [word for word, files in there.classes.items() if files]
    if len(filled) == 1 and not there.loose and not folders.parts(folder, there):
        inner = folders.layout(folder / filled[0])
        if not inner.loose and sum(map(bool, inner.classes.values())) > 1:
            return folder / filled[0], inner
    return folder, there


def _refuse(folder: Path, there: Layout) -> None:
    """Raise WrongUsage for a folder whose folders are parts and classes mixed."""
    mixed = folders.repeated_classes(there) or folders.divided_classes(there)
    if mixed:
        raise WrongUsage(
            f"{folder / mixed} holds classes or parts beside classes; put the classes into train and test folders, or "
            "all images of a class into one folder"
        )


def _given(folder: Path, found: Sequence[folders.Part]) -> tuple[dict[str, list[Labelled]], str]:
    """The images of parts that people made, to train and to judge on, and how the parts were taken."""
    held: dict[str, list[Labelled]] = defaultdict(list)
    names: dict[str, list[str]] = defaultdict(list)
    for part in found:
        prefix = part.folder.relative_to(folder).as_posix()
        classes = folders.layout(part.folder).classes
        images = [Labelled(f"{prefix}/{file}", word) for word, files in classes.items() for file in files]
        held[part.name] += images
        if images:
            names[part.name].append(prefix)
    unlabelled = [part.folder.relative_to(folder).as_posix() for part in found if not held[part.name]]
    without = f"; {', '.join(unlabelled)} has no class folders and is left out" if unlabelled else ""
    judged = next((part for part in ("test", "validation") if held.get(part)), None)
    trained = [part for part in ("train", "validation") if held.get(part) and part != judged]
    if judged is None and trained == ["train"] and not held.get("fold"):
        says = f"{', '.join(names['train'])}, of which {TEST_SHARE:.0%} of each class to judge on".replace("%", " %")
        return {"": held["train"]}, says + without
    if judged is None or not trained:
        there = ", ".join(part.folder.relative_to(folder).as_posix() for part in found)
        raise WrongUsage(
            f"{folder} has the parts {there}, and none to {'train' if judged else 'judge'} on; call its folders train "
            "and test, or put the images of all parts into one folder a class"
        )
    to_train = ", ".join(name for part in trained for name in names[part])
    rule = f"{to_train} to train on and {', '.join(names[judged])} to judge on, as the folders are called{without}"
    return {"train": [each for part in trained for each in held[part]], "test": held[judged]}, rule


def _under_two_classes(listed: Iterable[Labelled], look: Mapping[Labelled, Look]) -> list[tuple[str, str]]:
    """Files of the same content under two classes: the first of them with each other one."""
    by_content: dict[str, list[Labelled]] = defaultdict(list)
    for each in listed:
        if not look[each].unreadable:
            by_content[look[each].sha256].append(each)
    return [
        (same[0].file, other.file)
        for same in by_content.values()
        if len({each.word for each in same}) > 1
        for other in same[1:]
    ]


def _drawn(
    images: Sequence[Labelled], group: Mapping[Labelled, int], look: Mapping[Labelled, Look], seed: int
) -> tuple[list[Labelled], list[Labelled]]:
    """To train and to judge on: of each class, whole photographs with all their copies, in an order that follows from
    their content and the seed alone, so that other images or other names change little."""
    members: dict[int, list[Labelled]] = defaultdict(list)
    for each in images:
        members[group[each]].append(each)
    of_class: dict[str, list[list[Labelled]]] = defaultdict(list)
    for copies in members.values():
        of_class[min(each.word for each in copies)].append(copies)
    train: list[Labelled] = []
    test: list[Labelled] = []
    for photographs in of_class.values():
        order = sorted(photographs, key=lambda copies: _lot(min(look[each].sha256 for each in copies), seed))
        wanted = max(1, round(TEST_SHARE * sum(map(len, order)))) if len(order) > 1 else 0
        judged = 0
        for copies in order:
            room = wanted - judged
            if room > 0 and (len(copies) <= room or (judged == 0 and copies is order[-2])):
                test += copies
                judged += len(copies)
            else:
                train += copies
    return train, test


def _lot(sha256: str, seed: int) -> str:
    return hashlib.sha256(f"{seed} {sha256}".encode()).hexdigest()


def _check(parts: Parts) -> None:
    """Raise WrongUsage where nothing can be trained or judged."""
    if not parts.train:
        raise WrongUsage(f"{parts.folder} leaves no image to train on: {_counts(parts)}; add images")
    unknown = sorted({each.word for each in parts.test} - set(parts.classes))
    if unknown:
        raise WrongUsage(
            f"{parts.folder}: {_some(unknown)} {'has' if len(unknown) == 1 else 'have'} test images but none to train "
            "on; add some, or take the class out of the part to judge on"
        )
    if len(parts.classes) < 2:
        raise WrongUsage(
            f"{parts.folder} has one class, {readable(parts.classes[0])}; there is nothing to tell apart: add a folder "
            "for each other class"
        )
    if not parts.test:
        raise WrongUsage(f"{parts.folder} leaves no image to judge on: {_counts(parts)}; add images to each class")


def _counts(parts: Parts) -> str:
    return (
        f"{len(parts.unreadable or {})} unreadable, {len(parts.two_classes)} under two classes, {parts.dropped} the "
        "same as a test image"
    )


def _notes(parts: Parts, group: Mapping[Labelled, int], there: Layout) -> Iterable[str]:
    """What was left out and what is doubtful, a line each."""
    if parts.copies:
        dropped = f"; {parts.dropped} of them in the part to train on, left out" if parts.dropped else ""
        yield (
            f"{parts.copies} image{'s are' if parts.copies > 1 else ' is'} the same photograph as another, by content "
            f"or nearly: none is on both sides{dropped}"
        )
    if parts.two_classes:
        shown = [f"{a} = {b}" for a, b in parts.two_classes]
        yield f"the same file lies under two classes, and is left out: {_some(shown)}"
    words: dict[int, set[str]] = defaultdict(set)
    files: dict[int, list[str]] = defaultdict(list)
    for each, number in group.items():
        words[number].add(each.word)
        files[number].append(each.file)
    alike = [" = ".join(files[number]) for number in files if len(words[number]) > 1]
    if alike:
        yield f"nearly the same photograph lies under two classes; look at them: {_some(alike)}"
    if parts.unreadable:
        shown = [f"{file} ({why})" for file, why in parts.unreadable.items()]
        yield f"{len(shown)} image{'s' if len(shown) > 1 else ''} cannot be read, and left out: {_some(shown)}"
    if parts.untested:
        yield f"no test image of {_some(parts.untested)}: what the models make of it is not known; add some"
    counts = Counter(each.word for each in parts.train)
    few = [f"{word} ({count})" for word, count in sorted(counts.items()) if count < FEW]
    if few:
        yield f"fewer than {FEW} images to train on: {_some(few)}; more photographs help most there"
    empty = [word for word, files_ in there.classes.items() if not files_]
    if empty:
        yield f"folders without images: {_some(empty)}"
    if there.others:
        yield f"{there.others} file{'s that are no images' if there.others > 1 else ' that is no image'}"
    if there.leftovers:
        yield "left out: " + ", ".join(f"{count} {readable(name)}" for name, count in there.leftovers.items())


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(map(readable, names[:_NAMED]))
    return shown + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
