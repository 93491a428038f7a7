"""Which output each image's label stands for, and what is said when that cannot be told."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.accuracy import classes
from bench.errors import Failed, WrongUsage
from tests.accuracy.sets import class_index, image_set, photos, synsets


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keras's folder, empty, and no network."""
    folder = tmp_path / "keras"
    monkeypatch.setenv("KERAS_HOME", str(folder))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    return folder


def labels_of(folder: Path, outputs: int, **files: Path) -> dict[str, int]:
    found = image_set(folder, outputs, **files)
    return {image.word: label for image, label in zip(found.images, found.labels, strict=True)}


def test_numbers_are_the_outputs_themselves(tmp_path: Path) -> None:
    assert labels_of(photos(tmp_path, ["10", "9", "007"]), 1000) == {"10": 10, "9": 9, "007": 7}
    with pytest.raises(WrongUsage, match=r'"10" is no class of this model: it has outputs 0 to 9'):
        image_set(tmp_path, 10)


def test_1000_synsets_need_no_list(tmp_path: Path, home: Path) -> None:
    for synset in synsets():
        (tmp_path / "im" / synset).mkdir(parents=True)
    photos(tmp_path / "im", [synsets()[3], synsets()[998]], each=1)
    assert labels_of(tmp_path / "im", 1000) == {synsets()[3]: 3, synsets()[998]: 998}
    with_background = image_set(tmp_path / "im", 1001)
    assert with_background.labels == (4, 999)
    assert "from output 1 on" in with_background.labelling.rule
    assert not home.exists(), "nothing was looked for"


def test_synsets_and_names_are_found_in_keras_list(tmp_path: Path, home: Path) -> None:
    class_index(home)
    folder = photos(tmp_path / "im", [synsets()[20], "thing_7", "Thing 8"], each=1)
    assert labels_of(folder, 1000) == {synsets()[20]: 20, "thing_7": 7, "Thing 8": 8}
    assert labels_of(folder, 1001) == {synsets()[20]: 21, "thing_7": 8, "Thing 8": 9}
    assert image_set(folder, 1000).labelling.names[20] == "thing_20"


def test_names_that_match_nothing_are_answered_with_the_nearest(tmp_path: Path, home: Path) -> None:
    class_index(home)
    folder = photos(tmp_path / "im", ["thing_7", "thign 8"], each=1)
    with pytest.raises(WrongUsage, match=r'1 of 2 class names match nothing.*: thign 8; did you mean "thing'):
        image_set(folder, 1000)
    with pytest.raises(WrongUsage, match=r'"crane" is the name of several classes; use synsets'):
        image_set(photos(tmp_path / "cranes", ["crane"]), 1000)


@pytest.mark.slow
def test_without_the_list_and_offline_one_line_says_what_to_do(tmp_path: Path, home: Path) -> None:
    folder = photos(tmp_path / "im", ["n01440764", "n01443537"])
    with pytest.raises(Failed) as failed:
        image_set(folder, 1000)
    said = str(failed.value)
    assert "could not be downloaded" in said
    assert "URL fetch failure" in said
    assert f"place imagenet_class_index.json in {home / 'models'}" in said
    assert "--classes LOC_synset_mapping.txt" in said
    assert "\n" not in said


def test_a_list_of_ones_own_says_the_order(tmp_path: Path) -> None:
    folder = photos(tmp_path / "im", ["cat", "a dog"])
    (tmp_path / "names.txt").write_text("fish\ncat\n\nA_dog\n")
    assert labels_of(folder, 3, classes=tmp_path / "names.txt") == {"a dog": 2, "cat": 1}
    with pytest.raises(WrongUsage, match=r"lists 3 classes, but the model has 10 outputs"):
        image_set(folder, 10, classes=tmp_path / "names.txt")
    with pytest.raises(WrongUsage, match=r"cannot read the class names"):
        image_set(folder, 3, classes=tmp_path / "nowhere.txt")


def test_names_that_differ_in_case_alone_are_two_classes(tmp_path: Path) -> None:
    folder = photos(tmp_path / "im", ["Cat", "cat"])
    (tmp_path / "names.txt").write_text("cat\nCat\n")
    assert labels_of(folder, 2, classes=tmp_path / "names.txt") == {"Cat": 1, "cat": 0}
    photos(tmp_path / "im", ["CAT"])
    with pytest.raises(WrongUsage, match=r'"CAT" is the name of several classes'):
        image_set(folder, 2, classes=tmp_path / "names.txt")


def test_the_archives_own_synset_list_is_understood(tmp_path: Path) -> None:
    (tmp_path / "LOC_synset_mapping.txt").write_text("n01440764 tench, Tinca tinca\nn01443537 goldfish, gold fish\n")
    found = classes.read(tmp_path / "LOC_synset_mapping.txt")
    assert found.names == (("tench", "Tinca tinca", "n01440764"), ("goldfish", "gold fish", "n01443537"))
    folder = photos(tmp_path / "im", ["n01443537", "tinca_tinca"])
    assert labels_of(folder, 2, classes=tmp_path / "LOC_synset_mapping.txt") == {"n01443537": 1, "tinca_tinca": 0}


@pytest.mark.parametrize("text", ["[]", "{", '{"0": ["n1", "a"], "2": ["n2", "b"]}', '{"0": "a"}', '{"x": ["a", "b"]}'])
def test_a_damaged_list_is_refused(tmp_path: Path, home: Path, text: str) -> None:
    (home / "models").mkdir(parents=True)
    (home / "models" / classes.IMAGENET_FILE).write_text(text)
    with pytest.raises(WrongUsage, match=r"imagenet_class_index.json is not a list of classes"):
        classes.imagenet()


def test_as_many_folders_as_outputs_stand_in_sorted_order(tmp_path: Path) -> None:
    folder = photos(tmp_path, ["dog", "cat", "ant"])
    (folder / "bee").mkdir()  # a class without images counts, as it does for those who train on the folder
    found = image_set(folder, 4)
    assert {image.word: label for image, label in zip(found.images, found.labels, strict=True)} == {
        "ant": 0, "cat": 2, "dog": 3,
    }  # fmt: skip
    assert found.labelling.rule == "4 class names in sorted order"
    with pytest.raises(WrongUsage, match=r"4 class names \(ant, bee, cat, \.\.\.\) for a model with 10 outputs; give"):
        image_set(folder, 10)


def test_other_files_are_counted_and_hidden_ones_are_not(tmp_path: Path) -> None:
    folder = photos(tmp_path, ["0", "1"])
    (folder / "0" / "notes.txt").write_text("x")
    (folder / "0" / "._000.jpg").write_text("x")
    (folder / ".cache").mkdir()
    (folder / "1" / "more").mkdir()
    (folder / "0" / "000.jpg").rename(folder / "1" / "more" / "A.JPEG")
    found = image_set(folder, 2)
    assert [image.file for image in found.images] == ["0/001.jpg", "1/000.jpg", "1/001.jpg", "1/more/A.JPEG"]
    assert found.ignored == 1


def test_folders_without_images(tmp_path: Path) -> None:
    with pytest.raises(WrongUsage, match=r"holds no images and no class folders with images; expected DIR/CLASS/IMAGE"):
        image_set(tmp_path, 10)
    (tmp_path / "0").mkdir()
    with pytest.raises(WrongUsage, match=r"holds no images"):
        image_set(tmp_path, 10)
    with pytest.raises(WrongUsage, match=r"there is no folder"):
        image_set(tmp_path / "nowhere", 10)
    photos(tmp_path, ["."])
    with pytest.raises(WrongUsage, match=r"holds 2 images but no class folders.*give --labels CSV"):
        image_set(tmp_path, 10)


def flat(tmp_path: Path, labels: str) -> tuple[Path, Path]:
    folder = photos(tmp_path / "im", ["."], each=4)
    (tmp_path / "labels.csv").write_text(labels)
    return folder, tmp_path / "labels.csv"


@pytest.mark.parametrize("heading", ["", "file,label\n", "ImageId,PredictionString\n"])
def test_labels_of_a_flat_folder(tmp_path: Path, heading: str) -> None:
    folder, labels = flat(tmp_path, heading + "002.jpg,7\n000.jpg, 3 \n\n003,1,ignored\n")
    found = image_set(folder, 10, labels=labels)
    assert [(i.file, label) for i, label in zip(found.images, found.labels, strict=True)] == [
        ("000.jpg", 3), ("002.jpg", 7), ("003.jpg", 1),
    ]  # fmt: skip
    assert found.ignored == 1, "one image has no label"


def test_the_archives_own_labels_are_understood(tmp_path: Path, home: Path) -> None:
    class_index(home)
    first, second = synsets()[5:7]
    rows = f"000,{first} 85 1 499 272 \n001,{second} 1 2 3 4 {second} 5 6 7 8\n"
    folder, labels = flat(tmp_path, f"ImageId,PredictionString\n{rows}")
    assert image_set(folder, 1000, labels=labels).labels == (5, 6)


def test_labels_of_missing_files_stay_in_the_list(tmp_path: Path) -> None:
    folder, labels = flat(tmp_path, "000.jpg,1\ngone.jpg,2\n")
    assert [image.file for image in image_set(folder, 10, labels=labels).images] == ["000.jpg", "gone.jpg"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a.jpg,1\nb.jpg,2\n", r"has none of the 2 files that .*labels.csv names, e.g. a.jpg; names are relative"),
        ("", r"names no images"),
        ("file,label\n", r"names no images"),
        ("000.jpg\n", r"labels.csv:1: must be file,label; it is '000.jpg'"),
        ("000.jpg,1\n001.jpg,\n", r"labels.csv:2: must be file,label"),
        ("000.jpg,1\n000.jpg,2\n", r"labels.csv:2: 000.jpg is labelled 2, but 1 above"),
        ("000.jpg,10\n", r'"10" is no class of this model'),
    ],
)
def test_wrong_labels(tmp_path: Path, text: str, says: str) -> None:
    folder, labels = flat(tmp_path, text)
    with pytest.raises(WrongUsage, match=says):
        image_set(folder, 10, labels=labels)
    with pytest.raises(WrongUsage, match=r"cannot read the labels"):
        image_set(folder, 10, labels=tmp_path / "nowhere.csv")
    (tmp_path / "labels.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(WrongUsage, match=r"cannot read the labels"):
        image_set(folder, 10, labels=labels)


def test_the_list_changes_its_hash_with_any_file(tmp_path: Path) -> None:
    folder = photos(tmp_path, ["0", "1"])
    before = image_set(folder, 2).sha256
    assert before == image_set(folder, 2).sha256
    (folder / "1" / "001.jpg").write_bytes((folder / "0" / "001.jpg").read_bytes() + b"x")
    assert before != image_set(folder, 2).sha256


def test_a_folder_with_the_classes_once_more_is_refused(tmp_path: Path) -> None:
    for name in ("cat/1.png", "dog/2.png", "val/cat/3.png", "val/dog/4.png"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"")
    with pytest.raises(WrongUsage, match=r"val is no class.*give it: --images .*val$"):
        image_set(tmp_path, 3)
