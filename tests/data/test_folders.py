"""How folders of images are laid out: classes, parts, leftovers, links."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench.data import folders
from bench.errors import WrongUsage


def tree(root: Path, *files: str) -> Path:
    """Empty files below a folder; a name that ends in / is a folder."""
    for file in files:
        place = root / file
        (place if file.endswith("/") else place.parent).mkdir(parents=True, exist_ok=True)
        if not file.endswith("/"):
            place.touch()
    return root


def parts(root: Path) -> list[tuple[str, str]]:
    return [(p.name, p.folder.relative_to(root).as_posix()) for p in folders.parts(root, folders.layout(root))]


def test_classes_hold_their_images_at_any_depth_and_empty_ones_count(tmp_path: Path) -> None:
    found = folders.layout(
        tree(tmp_path, "cat/b.JPG", "cat/a.png", "dog/more/c.webp", "eel/", "x.png", "cat/t.txt", "r.md")
    )
    assert found.classes == {"cat": ("cat/a.png", "cat/b.JPG"), "dog": ("dog/more/c.webp",), "eel": ()}
    assert (found.loose, found.others, found.leftovers) == (("x.png",), 2, {})
    assert found.images == ("cat/a.png", "cat/b.JPG", "dog/more/c.webp", "x.png")


LEFTOVERS = [
    "__MACOSX/cat/._a.png", "lost+found/", "@eaDir/cat/a.png", "$RECYCLE.BIN/a.png", "System Volume Information/",
    ".ipynb_checkpoints/a.png", "cat/Thumbs.db", "cat/.DS_Store", "cat/._a.png", "cat/@eaDir/a.png/THUMB.png",
    "cat/desktop.ini", ".git/x.png",
]  # fmt: skip


@pytest.mark.parametrize("leftover", LEFTOVERS)
def test_each_leftover_is_left_out_and_counted(tmp_path: Path, leftover: str) -> None:
    found = folders.layout(tree(tmp_path, "cat/a.png", "dog/b.png", leftover))
    assert found.classes == {"cat": ("cat/a.png",), "dog": ("dog/b.png",)}
    assert (sum(found.leftovers.values()), found.others, found.loose) == (1, 0, ())


def test_leftovers_are_named(tmp_path: Path) -> None:
    found = folders.layout(tree(tmp_path, "a/x.png", *LEFTOVERS))
    assert found.leftovers == {
        "$RECYCLE.BIN": 1, "@eaDir": 2, "System Volume Information": 1, "Thumbs.db": 1, "__MACOSX": 1,
        "desktop.ini": 1, "hidden": 4, "lost+found": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["train/a/1.png", "val/a/2.png"], [("validation", "val"), ("train", "train")]),
        (["Training/a/1.png", "Validation/a/2.png"], [("validation", "Validation"), ("train", "Training")]),
        (
            ["TEST/a/1.png", "valid/a/2.png", "train/b/1.png"],
            [("test", "TEST"), ("validation", "valid"), ("train", "train")],
        ),
        (["sets/train/a/1.png", "sets/test/a/2.png"], [("test", "sets/test"), ("train", "sets/train")]),
        (["x/y/train/a/1.png", "x/y/dev/a/2.png"], [("validation", "x/y/dev"), ("train", "x/y/train")]),
        (
            ["seg_train/seg_train/a/1.png", "seg_test/seg_test/a/2.png"],
            [("test", "seg_test/seg_test"), ("train", "seg_train/seg_train")],
        ),
        (["train2017/a/1.png", "val2017/a/1.png"], [("validation", "val2017"), ("train", "train2017")]),
        (["train/a/1.png"], [("train", "train")]),
        (["train/1.png", "test/2.png"], [("test", "test"), ("train", "train")]),
        (["train/a/1.png", "test/a/1.png", "samples/1.png"], [("test", "test"), ("train", "train")]),
        (["train/a/1.png", "test/a/1.png", "__MACOSX/train/1.png"], [("test", "test"), ("train", "train")]),
        (["fold_2/a/1.png", "fold_1/a/2.png"], [("fold", "fold_1"), ("fold", "fold_2")]),
        (["fold/1.png", "crease/2.png"], []),
        (["0/writer1/1.png", "0/writer2/2.png", "1/writer1/3.png", "1/writer2/4.png"], []),
        (["train/1.png", "car/2.png", "plane/3.png"], []),
        (["train/more/1.png", "car/more/2.png"], []),
        (["diesel train/1.png", "steam train/2.png"], []),
        (["trainer/1.png", "valid/2.png"], []),
        (["cat/1.png", "dog/2.png"], []),
        (["train/", "cat/1.png"], []),
    ],
)
def test_parts_are_told_from_classes(tmp_path: Path, files: list[str], expected: list[tuple[str, str]]) -> None:
    assert parts(tree(tmp_path, *files)) == expected


def test_classes_once_more_in_a_folder_beside_them(tmp_path: Path) -> None:
    inside = tree(tmp_path / "inside", "cat/1.png", "dog/2.png", "val/cat/3.png", "val/dog/4.png")
    assert folders.repeated_classes(folders.layout(inside)) == "val"
    deep = tree(
        tmp_path / "deep", "cat/left/1.png", "cat/right/2.png", "dog/left/3.png", "wolf/dog/4.png", "left/5.png"
    )
    assert folders.repeated_classes(folders.layout(deep)) is None


def test_classes_that_are_divided_themselves(tmp_path: Path) -> None:
    assert folders.divided_classes(folders.layout(tree(tmp_path, "cat/train/1.png", "cat/test/2.png"))) == "cat"
    tree(tmp_path / "no", "cat/train/1.png", "cat/2.png", "dog/left/1.png", "dog/right/2.png")
    assert folders.divided_classes(folders.layout(tmp_path / "no")) is None


@pytest.mark.parametrize("target", ["..", "../..", ".", "../../..", "loop"])
def test_a_link_to_a_folder_above_multiplies_nothing(tmp_path: Path, target: str) -> None:
    root = tree(tmp_path / "up" / "im", "a/1.png", "b/2.png", "b/c/3.png")
    tree(tmp_path, "other.png", "up/im2/x.png")
    (root / "b" / "loop").symlink_to(target)
    found = folders.layout(root)
    assert found.images == ("a/1.png", "b/2.png", "b/c/3.png")
    assert sum(found.leftovers.values()) + found.others == 1


def test_links_to_each_other_end_and_links_elsewhere_are_followed(tmp_path: Path) -> None:
    root = tree(tmp_path / "im", "a/1.png", "b/2.png")
    (root / "a" / "b").symlink_to(root / "b")
    (root / "b" / "a").symlink_to(root / "a")
    tree(tmp_path / "elsewhere", "3.png", "deep/4.png")
    (root / "c").symlink_to(tmp_path / "elsewhere")
    found = folders.layout(root)
    assert found.classes["c"] == ("c/3.png", "c/deep/4.png")
    assert found.classes["a"] == ("a/1.png", "a/b/2.png")
    assert found.leftovers == {"link to a folder above": 2}


def test_what_is_no_file_is_no_image_and_a_broken_link_is_a_missing_one(tmp_path: Path) -> None:
    root = tree(tmp_path, "a/1.png", "a/2.png/3.jpg")
    os.mkfifo(root / "a" / "pipe.png")
    (root / "a" / "gone.png").symlink_to("nowhere")
    (root / "a" / "to-pipe.png").symlink_to("pipe.png")
    found = folders.layout(root)
    assert found.images == ("a/1.png", "a/2.png/3.jpg", "a/gone.png")
    assert found.others == 2


def test_a_deep_folder_is_read(tmp_path: Path) -> None:
    deep = "/".join(["d"] * 300)
    assert folders.layout(tree(tmp_path, f"a/{deep}/1.png")).images == (f"a/{deep}/1.png",)


def test_names_that_are_not_utf8_stay_as_they_are(tmp_path: Path) -> None:
    place = os.fsencode(tmp_path) + b"/caf\xe9"
    os.mkdir(place)  # noqa: PTH102 - bytes
    with open(place + b"/\xff.png", "wb"):  # noqa: PTH123 - bytes
        pass
    found = folders.layout(tmp_path)
    assert [os.fsencode(file) for file in found.images] == [b"caf\xe9/\xff.png"]


def test_a_folder_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(WrongUsage, match=r"there is no folder .*nowhere; give the folder of the images"):
        folders.layout(tmp_path / "nowhere")
