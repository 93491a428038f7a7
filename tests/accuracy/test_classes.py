"""Classes and outputs by themselves, without images: every rule, and every refusal in its words."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from bench.accuracy import classes
from bench.errors import Failed, WrongUsage
from bench.processes import process
from tests.accuracy.sets import class_index


def listed(folder: Path, *lines: str) -> Path:
    path = folder / "names.txt"
    path.write_text("\n".join(lines))
    return path


def refusal(words: list[str], outputs: int, **more: Any) -> str:
    with pytest.raises(WrongUsage) as refused:
        classes.labelling(words, outputs, **more)
    return str(refused.value)


def test_the_rule_says_how_it_was_decided(tmp_path: Path) -> None:
    names = listed(tmp_path, "x10", "x9", "X8")
    for words, outputs, more, outputs_of, rule in (
        (["2", "0"], 5, {}, [0, 2], "class numbers"),
        (["1", "2"], 2, {}, [0, 1], "class numbers from 1"),
        (["10", "9", "300"], 3, {}, [1, 2, 0], "3 class numbers in natural order (2 before 10)"),
        (["b", "a"], 2, {}, [0, 1], "2 class names in sorted order"),
        (["1", "2"], 4, {"order": "number+1"}, [2, 3], "class numbers, after a class of output 0"),
        (["x9"], 3, {"given": names}, [1], f"names of {names}"),
        (["X8", "x9"], 3, {"given": names, "order": "natural"}, [0, 1],
         f"names of {names}, in natural order (2 before 10)"),
    ):  # fmt: skip
        found = classes.labelling(words, outputs, **more)  # type: ignore[arg-type]
        assert sorted(found.outputs) == sorted(words)
        assert [found.outputs[word] for word in sorted(words, key=lambda w: found.outputs[w])] == sorted(outputs_of)
        assert found.rule == rule
    assert classes.labelling(["b", "a"], 2).names == {0: "a", 1: "b"}
    natural = classes.labelling(["x9"], 3, given=names, order="natural")
    assert (natural.outputs, natural.names) == ({"x9": 1}, {0: "X8", 1: "x9", 2: "x10"})


def test_a_list_beside_a_background_class_is_shifted(tmp_path: Path) -> None:
    names = listed(tmp_path, *(f"thing {n}" for n in range(1000)))
    found = classes.labelling(["thing 7"], 1001, given=names)
    assert (found.outputs, found.names[1]) == ({"thing 7": 8}, "thing 0")
    assert found.rule == f"names of {names}, from output 1 on (0 is the background)"
    text = classes.labelling(["thing 10"], 1001, given=names, order="natural")
    assert (text.outputs, min(text.names), max(text.names)) == ({"thing 10": 11}, 1, 1000)
    assert refusal(["thing 7"], 1002, given=names) == f"{names} lists 1000 classes, but the model has 1002 outputs"
    assert refusal(["thing 7"], 999, given=names) == f"{names} lists 1000 classes, but the model has 999 outputs"


def test_refusals_say_where_the_word_was_read(tmp_path: Path) -> None:
    names = listed(tmp_path, "cat", "Cat", "dog")
    places = {"CAT": "labels.csv:3", "cow": "labels.csv:4", "7": "labels.csv:5"}
    assert refusal(["CAT"], 3, given=names, places=places) == (
        'labels.csv:3: "CAT" is the name of several classes; use synsets or class numbers'
    )
    assert refusal(["cow"], 3, given=names, places=places) == (
        f"labels.csv:4: 1 of 1 class names match nothing in {names}: cow; valid: cat, dog"
    )
    assert refusal(["1", "7"], 4, places=places) == 'labels.csv:5: "7" is no class of this model: it has outputs 0 to 3'
    assert refusal(["1", "4"], 4) == (
        '"4" is no class of this model: it has outputs 0 to 3; if they count from 1, give --class-order number-1'
    )
    many = listed(tmp_path, *(f"thing {n}" for n in range(30)))
    assert refusal(["zzzzzz; X", "dog", "QX", "thing 3", "yyyyy"], 30, given=many) == (
        f"4 of 5 class names match nothing in {many}: QX, dog, yyyyy, ..."
    )
    assert refusal(["zzzz X"], 30, given=many) == f"1 of 1 class names match nothing in {many}: zzzz X"


def test_orders_that_are_none_are_refused(tmp_path: Path) -> None:
    assert refusal(["a", "b"], 9, order="text") == (
        "2 class names (a, b) have no order text in a model with 9 outputs: it needs as many classes as outputs, or "
        "class numbers"
    )
    assert refusal(["a", "b", "c", "d"], 9, order="number-1") == (
        "4 class names (a, b, c, ...) have no order number-1 in a model with 9 outputs: it needs class numbers, and an "
        "output for each"
    )
    assert refusal(["a"], 9) == (
        "1 class names (a) for a model with 9 outputs; give --classes FILE, the names in the order of the outputs"
    )
    assert refusal(["7", "007"], 10) == '"007" and "7" are the same class number; rename one of the classes'
    said = "--classes lists names, which have no order {}; leave one of the two out"
    assert refusal(["a"], 2, given=listed(tmp_path, "a", "b"), order="number") == said.format("number")
    assert refusal(["b"], 3, given=listed(tmp_path, "a", "a", "b"), order="text") == said.format("text")


def test_other_orders_of_a_list_are_of_the_whole_list(tmp_path: Path) -> None:
    names = listed(tmp_path, "x10", "x9", "X8")
    force = classes.labelling(["X8", "x9"], 3, given=names)
    others = classes.alternatives(["X8", "x9"], 3, force, given=names)
    assert {name: other.outputs for name, other in others.items()} == {
        "text": {"X8": 0, "x9": 2}, "natural": {"X8": 0, "x9": 1}, "casefold": {"X8": 1, "x9": 2},
    }  # fmt: skip
    force = classes.labelling(["0", "1"], 3)
    others = classes.alternatives(["1", "0"], 3, force, given=None)
    assert {name: other.outputs for name, other in others.items()} == {"number+1": {"0": 1, "1": 2}}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["0", "4"], (5,)), (["1", "2", "3"], (4, 3)), (["0", "1", "2"], (3,)), (["a", "b", "1"], (3,)),
        (["a", "n01440764"], (1000, 1001)), (["10", "9"], (11,)),
    ],
)  # fmt: skip
def test_how_many_outputs_a_model_of_these_classes_may_have(words: list[str], expected: tuple[int, ...]) -> None:
    assert classes.widths(words) == expected


def test_how_many_outputs_a_list_asks_for(tmp_path: Path) -> None:
    assert classes.widths(["a"], listed(tmp_path, "a", "b", "c")) == (3,)
    assert classes.widths(["a"], listed(tmp_path, *map(str, range(1000)))) == (1000, 1001)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    return tmp_path / "keras"


def test_imagenets_list_is_downloaded_once_or_one_line_says_what_to_do(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def ask(*given: Any, **more: Any) -> None:
        asked.append((given, more))
        raise Failed("x" * 290 + "0123456789abc")

    monkeypatch.setattr(process, "ask", ask)
    with pytest.raises(Failed) as failed:
        classes.imagenet()
    assert str(failed.value) == (
        f"ImageNet's class list is needed and could not be downloaded ({'x' * 290}0123456789); place "
        f"imagenet_class_index.json in {home / 'models'}, or give --classes LOC_synset_mapping.txt of the ImageNet "
        "archive, or name the folders by class number"
    )
    file = {
        "fname": "imagenet_class_index.json", "cache_subdir": "models", "file_hash": "c2c37ea517e94d9795004a39431a14cb",
        "origin": "https://storage.googleapis.com/download.tensorflow.org/data/imagenet_class_index.json",
    }  # fmt: skip
    assert asked == [(("bench.models.download", file), {"what": "the download", "keras": True})]
    monkeypatch.setattr(process, "ask", lambda *given, **more: class_index(home))
    assert len(classes.imagenet().names) == 1000
    monkeypatch.setattr(process, "ask", ask)
    assert len(classes.imagenet().names) == 1000
    assert len(asked) == 1


def test_lists_of_classes_are_read(tmp_path: Path) -> None:
    path = tmp_path / "names.txt"
    path.write_bytes("\ufeffcat \n\n  dog, or hound\nn01440764 tench, Tinca tinca\nn01443537\n".encode() + b"caf\xe9\n")
    found = classes.read(path)
    assert found.names == (
        ("cat",), ("dog, or hound",), ("tench", "Tinca tinca", "n01440764"), ("n01443537",), ("caf\udce9",)
    )  # fmt: skip
    assert found.source == str(path)
    index = tmp_path / "index.json"
    index.write_text(json.dumps({"1": ["n2", "b"], "0": ["n1", "a"]}))
    assert classes.read(index) == classes.ClassList((("a", "n1"), ("b", "n2")), str(index))


def test_lists_that_are_none_are_refused(tmp_path: Path) -> None:
    index = tmp_path / "index.json"
    for content, says in (
        (b'{"0": ["n1", "caf\xe9"]}', "'utf-8' codec can't decode"),
        (b'{"0": ["n1", "a"], "2": ["n2", "b"]}', "the numbers are not 0, 1, 2, ..."),
    ):
        index.write_bytes(content)
        with pytest.raises(WrongUsage, match=rf"^{re.escape(str(index))} is not a list of classes \({says}"
                                             r".*\); write one name a line$"):  # fmt: skip
            classes.read(index)
    with pytest.raises(WrongUsage) as refused:
        classes.read(tmp_path / "none.txt")
    assert str(refused.value) == f"cannot read the class names {tmp_path / 'none.txt'}: No such file or directory"
