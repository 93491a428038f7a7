"""Folders as people have them: which parts they have, and what is the same photograph."""

from __future__ import annotations

import shutil
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.data import likeness, parts
from bench.data.parts import Labelled, divide
from bench.errors import WrongUsage
from tests.accuracy.sets import photo

RNG = np.random.default_rng(5)


def filled(folder: Path, words: dict[str, int], size: tuple[int, int] = (60, 45)) -> Path:
    """Class folders with so many different photographs each; the same names and counts give the same ones."""
    for word, count in words.items():
        (folder / word).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            rng = np.random.default_rng(zlib.crc32(f"{folder.name} {word} {number}".encode()))
            photo(rng, size).save(folder / word / f"{number:03}.jpg", quality=92)
    return folder


def files(side: tuple[Labelled, ...]) -> set[str]:
    return {each.file for each in side}


def test_a_fifth_of_each_class_is_judged_on_the_same_every_time(tmp_path: Path) -> None:
    folder = filled(tmp_path / "set", {"cat": 20, "dog": 10, "emu": 5})
    divided = divide(folder)
    count = {word: sum(each.word == word for each in divided.test) for word in divided.classes}
    assert count == {"cat": 4, "dog": 2, "emu": 1}
    assert not files(divided.train) & files(divided.test)
    assert len(divided.train) + len(divided.test) == 35
    assert divided == divide(folder, threads=2)
    assert files(divide(folder, seed=1).test) != files(divided.test)
    assert divided.rule == "20 % of each class to judge on, seed 0"
    shutil.move(folder / "cat" / "000.jpg", folder / "cat" / "zzz.jpg")
    moved = divide(folder)
    renamed = {file.replace("000.jpg", "zzz.jpg") if file == "cat/000.jpg" else file for file in files(divided.test)}
    assert files(moved.test) == renamed


@pytest.mark.parametrize(
    ("train", "judge"),
    [("train", "test"), ("Training", "valid"), ("training_set", "Testing"), ("nested/train", "nested/val")],
)
def test_the_parts_that_people_made_are_taken(train: str, judge: str, tmp_path: Path) -> None:
    filled(tmp_path / train, {"cat": 6, "dog": 6})
    filled(tmp_path / judge, {"cat": 2, "dog": 2})
    divided = divide(tmp_path)
    assert files(divided.test) == {f"{judge}/{word}/{n:03}.jpg" for word in ("cat", "dog") for n in range(2)}
    assert len(divided.train) == 12
    assert train in divided.rule
    assert judge in divided.rule


def test_validation_images_are_trained_on_where_there_are_test_images(tmp_path: Path) -> None:
    for part, count in (("train", 6), ("val", 3), ("test", 2)):
        filled(tmp_path / part, {"cat": count, "dog": count})
    divided = divide(tmp_path)
    assert (len(divided.train), len(divided.test)) == (18, 4)
    assert divided.rule == "train, val to train on and test to judge on, as the folders are called"


def test_classes_one_folder_deeper(tmp_path: Path) -> None:
    filled(tmp_path / "photos", {"cat": 5, "dog": 5})
    assert {each.file.split("/")[0] for each in divide(tmp_path).train} == {"photos"}
    assert divide(tmp_path).classes == ("cat", "dog")


def test_a_test_part_without_classes_is_left_out(tmp_path: Path) -> None:
    filled(tmp_path / "train", {"cat": 10, "dog": 10})
    (tmp_path / "test").mkdir()
    photo(RNG).save(tmp_path / "test" / "1.jpg")
    divided = divide(tmp_path)
    assert (len(divided.train), len(divided.test)) == (16, 4)
    assert "test has no class folders and is left out" in divided.rule


def planted(folder: Path, source: str, target: str, **options: int) -> None:
    """A copy of an image, at half the size and another quality, or of its bytes without options."""
    (folder / target).parent.mkdir(parents=True, exist_ok=True)
    if not options:
        shutil.copy(folder / source, folder / target)
        return
    picture = Image.open(folder / source)
    picture.resize((picture.width // 2, picture.height // 2)).save(folder / target, **options)


@pytest.mark.parametrize("options", [{}, {"quality": 60}])
def test_a_copy_across_the_parts_is_found_and_the_test_part_stays_whole(
    options: dict[str, int], tmp_path: Path
) -> None:
    filled(tmp_path / "train", {"cat": 6, "dog": 6}, size=(320, 240))
    filled(tmp_path / "test", {"cat": 2, "dog": 2}, size=(320, 240))
    planted(tmp_path, "test/cat/001.jpg", "train/cat/copy.jpg", **options)
    divided = divide(tmp_path)
    assert (divided.copies, divided.dropped) == (1, 1)
    assert "train/cat/copy.jpg" not in files(divided.train)
    assert len(divided.test) == 4
    assert "none is on both sides; 1 of them in the part to train on, left out" in divided.notes[0]


def test_copies_of_a_photograph_stay_on_one_side(tmp_path: Path) -> None:
    folder = filled(tmp_path / "set", {"cat": 12, "dog": 12}, size=(320, 240))
    for number in range(12):
        planted(folder, f"cat/{number:03}.jpg", f"cat/{number:03} small.jpg", quality=70)
        planted(folder, f"cat/{number:03}.jpg", f"cat/{number:03} (1).jpg")
    divided = divide(folder)
    assert divided.copies == 24
    sides = [{each.file[4:7] for each in side if each.word == "cat"} for side in (divided.train, divided.test)]
    assert not sides[0] & sides[1]
    assert sides[1]


def test_one_file_under_two_classes_is_named_and_left_out(tmp_path: Path) -> None:
    folder = filled(tmp_path / "set", {"cat": 10, "dog": 10})
    planted(folder, "cat/003.jpg", "dog/again.jpg")
    divided = divide(folder)
    assert divided.two_classes == (("cat/003.jpg", "dog/again.jpg"),)
    assert not {"cat/003.jpg", "dog/again.jpg"} & files(divided.train + divided.test)
    assert any("cat/003.jpg = dog/again.jpg" in note for note in divided.notes)


def test_nearly_one_photograph_under_two_classes_is_named_and_kept_on_one_side(tmp_path: Path) -> None:
    folder = filled(tmp_path / "set", {"cat": 10, "dog": 10}, size=(320, 240))
    planted(folder, "cat/003.jpg", "dog/again.jpg", quality=80)
    divided = divide(folder)
    sides = [{"cat/003.jpg", "dog/again.jpg"} <= files(side) for side in (divided.train, divided.test)]
    assert sides.count(True) == 1
    assert any("look at them: cat/003.jpg = dog/again.jpg" in note for note in divided.notes)


def test_what_cannot_be_read_and_what_archives_leave_is_left_out_and_said(tmp_path: Path) -> None:
    folder = filled(tmp_path / "set", {"cat": 25, "dog": 25})
    (folder / "cat" / "empty.jpg").touch()
    (folder / "cat" / "none.jpg").write_text("not an image")
    (folder / "cat" / "cut.jpg").write_bytes((folder / "cat" / "000.jpg").read_bytes()[:400])
    (folder / "dog" / "Thumbs.db").write_bytes(b"x")
    (folder / "dog" / "._000.jpg").write_bytes(b"x")
    (folder / "__MACOSX" / "cat").mkdir(parents=True)
    (folder / "dog" / "read me.txt").touch()
    divided = divide(folder)
    assert set(divided.unreadable or {}) == {"cat/empty.jpg", "cat/none.jpg", "cat/cut.jpg"}
    assert len(divided.train) + len(divided.test) == 50
    text = "\n".join(divided.notes)
    assert "cat/empty.jpg (an empty file)" in text
    assert "1 file that is no image" in text
    assert "1 Thumbs.db" in text
    assert "1 __MACOSX" in text


def test_odd_images_are_seen_as_what_they_are(tmp_path: Path) -> None:
    picture = photo(RNG, (320, 240))
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "cat").mkdir()
    picture.save(tmp_path / "cat" / "upright.jpg", quality=95)
    picture.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "cat" / "turned.jpg", quality=95, exif=exif)
    picture.convert("L").save(tmp_path / "cat" / "grey.png")
    picture.convert("L").convert("RGB").save(tmp_path / "cat" / "grey too.png")
    picture.convert("CMYK").save(tmp_path / "cat" / "printed.jpg", quality=95)
    picture.quantize(256).save(tmp_path / "cat" / "palette.png")
    names = ["upright.jpg", "turned.jpg", "grey.png", "grey too.png", "printed.jpg", "palette.png"]
    seen = likeness.looks([tmp_path / "cat" / name for name in names], threads=2)
    assert not [look.unreadable for look in seen if look.unreadable]
    upright, turned, grey, grey_too, printed, palette = likeness.groups(seen)
    assert upright == turned == printed
    assert palette in (upright, 5)  # 256 colours of their own may be another look
    assert grey == grey_too != upright


@pytest.mark.long
def test_a_photograph_of_20_000_pixels(tmp_path: Path) -> None:
    folder = filled(tmp_path / "set", {"cat": 5, "dog": 5})
    Image.new("L", (20_000, 300), 90).save(folder / "cat" / "wide.png")
    Image.new("L", (20_001, 20_000), 90).save(folder / "dog" / "huge.png", compress_level=1)
    divided = divide(folder)
    assert divided.unreadable == {"dog/huge.png": "too large: 20001 x 20000 pixels"}


def test_what_a_class_lacks_is_said(tmp_path: Path) -> None:
    folder = filled(tmp_path / "set", {"cat": 30, "dog": 2, "emu": 1, "fox": 0})
    divided = divide(folder)
    assert divided.classes == ("cat", "dog", "emu")
    assert divided.untested == ("emu",)
    text = "\n".join(divided.notes)
    assert "no test image of emu" in text
    assert "dog (1), emu (1)" in text
    assert "folders without images: fox" in text


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ({"set/cat": 5}, "one class, cat"),
        ({"set/cat": 1, "set/dog": 1}, "no image to judge on"),
        ({"set": 0}, "no class folders"),
        (
            {"set/train/cat": 3, "set/train/dog": 3, "set/test/cat": 1, "set/test/elk": 1},
            "elk has test images but none",
        ),
        ({"set/test/cat": 2, "set/val/cat": 2, "set/test/dog": 2}, "dog has test images but none"),
        ({"set/test/cat": 2, "set/test/dog": 2}, "none to train on"),
        ({"set/cat": 2, "set/dog": 2, "set/val/cat": 2, "set/val/dog": 2}, "beside classes"),
        ({"set/cat/train": 2, "set/cat/test": 2, "set/dog/train": 2, "set/dog/test": 1}, "beside classes"),
    ],
)
def test_a_folder_that_cannot_be_divided_says_why(words: dict[str, int], says: str, tmp_path: Path) -> None:
    for word, count in words.items():
        filled(tmp_path / Path(word).parent, {Path(word).name: count})
    with pytest.raises(WrongUsage, match=says):
        divide(tmp_path / "set")


def test_a_class_that_has_copies_of_test_images_alone_cannot_be_trained(tmp_path: Path) -> None:
    filled(tmp_path / "train", {"cat": 4})
    filled(tmp_path / "test", {"cat": 2, "dog": 2})
    planted(tmp_path, "test/dog/000.jpg", "train/dog/a.jpg")
    with pytest.raises(WrongUsage, match="dog has test images but none"):
        divide(tmp_path)


def test_near_pairs_are_those_of_every_pair_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    thumbnails = rng.integers(0, 256, (60, 192))
    thumbnails[30:] = (
        (thumbnails[:30] + rng.integers(-9, 10, (30, 192)) * np.linspace(0.2, 1, 30)[:, None]).clip(0, 255).round()
    )
    seen = [
        likeness.Look(sha256=str(i), thumbnail=pixels.astype(np.uint8).tobytes(), ratio=1 + 0.02 * (i % 3))
        for i, pixels in enumerate(thumbnails)
    ]
    expected = {
        (i, j)
        for i in range(60)
        for j in range(i)
        if np.sqrt(((thumbnails[i] - thumbnails[j]) ** 2).mean()) <= likeness.NEAR
        and abs(np.log(seen[i].ratio / seen[j].ratio)) <= 0.03
    }
    for block in (7, 1024):
        monkeypatch.setattr(likeness, "_BLOCK", block)
        assert {tuple(sorted(pair, reverse=True)) for pair in likeness._near(seen)} == expected
    assert 5 < len(expected) < 30


def test_progress_reaches_the_end(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    divide(filled(tmp_path / "set", {"cat": 60, "dog": 3}), progress=lambda done, of: told.append((done, of)))
    assert told == [(50, 63), (63, 63)]


def test_hostile_names_stay_names(tmp_path: Path) -> None:
    folder = filled(tmp_path / "set", {"cat": 5, "do\x1bg": 5})
    (folder / "cat" / "a\nb.jpg").touch()
    notes = divide(folder).notes
    assert not [note for note in notes if "\x1b" in note or "\n" in note]
    assert parts.FEW == 20
