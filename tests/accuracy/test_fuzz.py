"""Folders, images and files of labels made by chance: an answer, or one line of the contract; no traceback, no hang.

`BACKBENCH_FUZZ=5000 pytest tests/accuracy/test_fuzz.py` tries more.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from bench.accuracy import images, label_files, orders
from bench.errors import BenchError, WrongUsage
from bench.models.decoding import Unreadable, decode
from bench.models.preprocessing import preprocessing

TRIES = int(os.environ.get("BACKBENCH_FUZZ", "60"))
often = settings(max_examples=TRIES, deadline=None, suppress_health_check=list(HealthCheck))

WORDS = ["train", "Val", "test", "0", "1", "2", "10", "007", "-1", "3.0", "cat", "Dog", "n01440764", "n01443537",
         "__MACOSX", "lost+found", "@eaDir", ".hidden", "Thumbs.db", "a.png", "b.JPG", "c.txt",
         "seg_train"]  # fmt: skip
odd_bytes = st.binary(min_size=1, max_size=12).map(lambda b: b.replace(b"/", b"_").replace(b"\0", b"_"))
names = st.one_of(st.sampled_from(WORDS).map(os.fsencode), odd_bytes, odd_bytes.map(lambda b: b + b".png")).filter(
    lambda name: name not in (b".", b"..")
)
kinds = st.sampled_from(["file", "image", "link", "up", "nowhere", "itself", "pipe", "folder"])
trees = st.lists(st.tuples(st.lists(names, min_size=1, max_size=4), kinds, st.binary(max_size=40)), max_size=14)


def png(folder: Path) -> bytes:
    Image.new("RGB", (5, 4), (200, 30, 40)).save(folder / "one.png")
    return (folder / "one.png").read_bytes()


def grow(root: bytes, tree: list[tuple[list[bytes], str, bytes]], image: bytes) -> None:
    """Make what can be made of a tree."""
    for parts, kind, content in tree:
        place = os.path.join(root, *parts)  # noqa: PTH118 - bytes
        if os.path.lexists(place) and kind != "folder":  # a pipe that is opened waits for ever
            continue
        try:
            os.makedirs(place if kind == "folder" else os.path.dirname(place), exist_ok=True)  # noqa: PTH103,PTH120
            if kind in ("file", "image"):
                with open(place, "wb") as file:  # noqa: PTH123 - bytes
                    file.write(content if kind == "file" else image[: len(image) - len(content) % 7] + content)
            elif kind == "pipe":
                os.mkfifo(place)
            elif kind != "folder":
                target = {"link": b".", "up": b"../..", "nowhere": b"gone", "itself": parts[-1]}[kind]
                os.symlink(target, place)  # noqa: PTH211 - bytes
        except OSError:
            event("a name that cannot be")


def one_line(error: Exception) -> None:
    assert "\n" not in str(error)
    assert not isinstance(error, BenchError) or error.exit_code in (2, 5)


@often
@given(tree=trees, outputs=st.sampled_from([1, 2, 3, 10, 11]), order=st.sampled_from([None, *orders.NAMES]))
def test_any_folder_is_listed_or_refused(tree: list[tuple[list[bytes], str, bytes]], outputs: int, order: str) -> None:
    how = preprocessing("unit", height=8, width=8, layout="NHWC", dtype="float32", decoder="")
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / "im"
        root.mkdir()
        grow(os.fsencode(root), tree, png(Path(scratch)))
        try:
            listed = images.listing(root)
            found = images.image_set(listed, outputs, order=order)
        except BenchError as error:
            event("refused")
            one_line(error)
            return
        event("listed")
        assert found.images
        assert all(0 <= label < outputs for label in found.labels)
        assert len({image.file for image in found.images}) == len(found.images)
        assert found.sha256 == images.image_set(images.listing(root), outputs, order=order).sha256
        orders.better([i.word for i in found.images], list(found.labels), found.labelling.outputs,
                      {name: other.outputs for name, other in found.other_orders.items()})  # fmt: skip
        for image in found.images:
            try:
                assert decode(root / image.file, how).shape == (8, 8, 3)
            except Unreadable as error:
                one_line(error)
                str(error).encode()


cells = st.one_of(
    st.sampled_from(["a.png", "b", "sub/c.png", "0", "1", "-1", "3.0", "cat", "file", "label", "", "gone.png",
                     '"a.png"']),
    st.text(max_size=6),
)  # fmt: skip
tables = st.tuples(st.lists(st.lists(cells, max_size=4), max_size=8), st.sampled_from([",", ";", "\t", " ", "|"])).map(
    lambda table: "\n".join(table[1].join(row) for row in table[0]).encode("utf-8", "surrogatepass")
)


@often
@given(content=st.one_of(tables, st.binary(max_size=80)), listed=st.booleans())
@example(content=b"\xff\xfe", listed=False)
@example(content=b'"' + b"x" * 200_000, listed=False)
@example(content=b"a.png," + b"9" * 5000, listed=False)
def test_any_file_of_labels_is_read_or_refused(content: bytes, listed: bool) -> None:
    there = ["a.png", "b.jpg", "sub/c.png", "sub/a.png"]
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "labels.csv"
        path.write_bytes(content)
        try:
            found = label_files.read(path, there, listed=listed)
        except WrongUsage as error:
            one_line(error)
            return
    assert set(found.words) & set(there), "what names no image is refused"
    assert set(found.words.values()) == set(found.places)


@often
@given(data=st.data())
def test_any_predictions_speak_for_an_order_or_for_none(data: st.DataObject) -> None:
    words = data.draw(st.lists(st.sampled_from(["0", "1", "2", "10", "11"]), min_size=1, max_size=30))
    answers = data.draw(st.lists(st.integers(0, 11), min_size=len(words), max_size=len(words)))
    known = sorted(set(words))
    places = {name: found for name in orders.NAMES if (found := orders.places(known, 12, name))}
    force = places.pop("number")
    better = orders.better(words, answers, force, places)
    right = 100 * sum(force[word] == answer for word, answer in zip(words, answers, strict=True)) / len(words)
    assert better is None or better.top1 > right
