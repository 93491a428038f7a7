"""Orders of classes: the outputs under each, and when predictions speak for another than the one in force."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import suites
from bench.accuracy import orders
from bench.cli import main
from bench.errors import WrongUsage
from tests.accuracy.sets import colours, image_set, photos, reader


def test_a_suite_names_every_order() -> None:
    assert tuple(orders.NAMES) == suites.CLASS_ORDERS


@pytest.mark.parametrize(
    ("words", "outputs", "order", "expected"),
    [
        (["0", "3"], 4, "number", [0, 3]),
        (["0", "4"], 4, "number", None),
        (["1", "4"], 4, "number-1", [0, 3]),
        (["0", "4"], 4, "number-1", None),
        (["0", "3"], 5, "number+1", [1, 4]),
        (["0", "4"], 5, "number+1", None),
        (["a", "b"], 2, "number", None),
        (["b", "C", "a"], 3, "text", [2, 0, 1]),
        (["b", "C", "a"], 3, "casefold", [1, 2, 0]),
        (["x2", "x10", "X1"], 3, "natural", [1, 2, 0]),
        (["x2", "x10", "X1"], 3, "natural-casefold", [1, 2, 0]),
        (["x2", "X10", "x1"], 3, "natural", [2, 0, 1]),
        (["x2", "X10", "x1"], 3, "natural-casefold", [1, 2, 0]),
        (["x2", "x10"], 3, "natural", None),
        (["10", "30", "200"], 3, "natural", [0, 1, 2]),
        (["10", "30", "200"], 3, "text", [0, 2, 1]),
        (["1", "11", "2"], 12, "text", [1, 3, 4]),  # of 0, 1, 10, 11, 2, ...
        (["1", "12", "2"], 12, "text", [0, 3, 4]),  # of 1, 10, 11, 12, 2, ...
        (["a", "12"], 12, "text", None),
    ],
)
def test_the_outputs_of_classes_under_an_order(
    words: list[str], outputs: int, order: str, expected: list[int] | None
) -> None:
    found = orders.places(words, outputs, order)
    assert (found and [found[word] for word in words]) == expected


TEN = [str(n) for n in range(10)]


def said(words: list[str], answers: list[int], outputs: int) -> str | None:
    """The better order, or None; names stand sorted, numbers are outputs."""
    known = sorted(set(words))
    first = "number" if all(map(orders.is_number, known)) else "text"
    everything = {name: places for name in orders.NAMES if (places := orders.places(known, outputs, name))}
    found = orders.better(words, answers, everything.pop(first), everything)
    return found and (found.order or "none of the usual")


def test_a_perfect_model_under_each_order_is_recognised() -> None:
    words = [word for word in (f"c{n}" for n in range(1, 13)) for _ in range(2)]
    natural = [int(word[1:]) - 1 for word in words]
    assert said(words, natural, 12) == "natural"
    numbers = [word for word in (str(n) for n in range(12)) for _ in range(2)]
    by_text = orders.places(sorted(set(numbers)), 12, "text")
    assert by_text is not None
    assert said(numbers, [by_text[word] for word in numbers], 12) == "text"
    assert said(numbers, [int(word) for word in numbers], 12) is None
    assert said(["1", "2", "3"] * 2, [0, 1, 2] * 2, 10) == "number-1"
    assert said(["1", "2", "3"] * 2, [2, 3, 4] * 2, 10) == "number+1"
    assert said(["ant", "Bee", "cat"] * 3, [0, 1, 2] * 3, 3) == "casefold"


def test_two_swapped_classes_of_many_are_enough_when_chance_does_not_do_it() -> None:
    names = [f"a{n}" for n in range(1, 11)]  # text order has a10 second, natural order last
    other = orders.places(names, 10, "natural")
    assert other is not None
    words = [name for name in names for _ in range(10)]
    answers = [other[word] for word in words]
    assert said(words, answers, 10) == "natural"
    confused = [answer if i % 3 else 0 for i, answer in enumerate(answers)]
    assert said(words, confused, 10) == "natural", "also when a third of the answers are wrong"


def test_a_model_that_is_merely_bad_is_not_suspected() -> None:
    words = [word for word in TEN for _ in range(6)]
    always_4 = [4] * 60
    assert said(words + ["5"] * 500, always_4 + [4] * 500, 10) is None, "it says the same of everything"
    import random

    suspected = 0
    for seed in range(200):
        draw = random.Random(seed)
        suspected += said(words, [draw.randrange(10) for _ in words], 10) is not None
    assert suspected <= 4
    half = [int(word) if i % 2 else (int(word) + 3) % 10 for i, word in enumerate(words)]
    assert said(words, half, 10) is None


def test_few_images_or_one_class_speak_for_no_order() -> None:
    assert said(["1"] * 20, [0] * 20, 10) is None, "one class alone: a model that always says 0"
    few = ["1"] * 2 + ["2"] * 2 + ["9"] * 10
    assert said(few, [0, 0, 1, 1] + [3, 4] * 5, 10) is None, "four images may be chance"
    assert said(few + ["1"] * 4, [0, 0, 1, 1] + [3, 4] * 5 + [0] * 4, 10) == "number-1", "eight are not"
    split = ["2"] * 6 + ["4"] * 6 + ["6"] * 500 + ["8"] * 500 + ["9"] * 6
    assert said(split, [2] * 6 + [4] * 6 + [5] * 500 + [7] * 500 + [2] * 6, 10) is None, "as many classes lose as win"


def test_an_order_that_is_none_of_the_usual_is_seen_too() -> None:
    shuffled = [3, 0, 7, 1, 9, 2, 8, 4, 6, 5]
    words = [word for word in TEN for _ in range(4)]
    assert said(words, [shuffled[int(word)] for word in words], 10) == "none of the usual"
    assert said(TEN, [shuffled[int(word)] for word in TEN], 10) is None, "with one image a class, anything fits"
    wrong = [shuffled[int(word)] if i % 4 else 0 for i, word in enumerate(words)]
    assert said(words, wrong, 10) is None, "with a quarter wrong it may be anything"


def test_numbers_of_the_same_class_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WrongUsage, match=r'"7" and "007" are the same class number|"007" and "7" are the same'):
        image_set(photos(tmp_path, ["7", "007"], each=1), 10)


def test_numbers_from_1_are_recognised_or_the_option_is_named(tmp_path: Path) -> None:
    found = image_set(photos(tmp_path / "all", ["1", "2", "3"], each=1), 3)
    assert (found.labels, found.labelling.rule) == ((0, 1, 2), "class numbers from 1")
    with pytest.raises(WrongUsage, match=r'"4" is no class .* if they count from 1, give --class-order number-1'):
        image_set(photos(tmp_path / "some", ["1", "4"], each=1), 4)
    assert image_set(tmp_path / "some", 4, order="number-1").labels == (0, 3)
    with pytest.raises(WrongUsage, match=r"have no order natural in a model with 9 outputs"):
        image_set(photos(tmp_path / "names", ["a", "b"], each=1), 9, order="natural")


def test_a_list_in_another_order(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("x10\nx9\nX8\n")
    folder = photos(tmp_path / "im", ["X8", "x9", "x10"], each=1)
    found = image_set(folder, 3, classes=tmp_path / "names.txt")
    assert [image.word for image in found.images] == ["X8", "x10", "x9"]
    assert found.labels == (2, 0, 1)
    assert {name: [other.outputs[w] for w in ("X8", "x10", "x9")] for name, other in found.other_orders.items()} == {
        "text": [0, 1, 2], "natural": [0, 2, 1], "casefold": [1, 0, 2],
    }  # fmt: skip
    natural = image_set(folder, 3, classes=tmp_path / "names.txt", order="natural")
    assert natural.labels == (0, 2, 1)
    assert natural.labelling.names == {0: "X8", 1: "x9", 2: "x10"}


def test_the_command_says_so_and_takes_the_option(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = [f"bird {n}" for n in range(1, 12)]
    colours(tmp_path / "im", names, each=2)
    reader(tmp_path / "m.onnx", 11)
    base = ["accuracy", "m.onnx", "--images", "im", "--preprocess", "unit", "--device", "cpu"]

    def call(*options: str) -> str:
        with pytest.raises(SystemExit) as stopped:
            main([*base, *options])
        assert stopped.value.code == 0
        return capsys.readouterr().out

    out = call()
    assert "top-1 9.1 %" in out
    assert "doubtful: the classes seem to stand in another order" in out
    assert "would make top-1 100.0 % instead of 9.1 %; give --class-order natural" in out
    stored = json.loads(call("--json"))
    assert (stored["other_order"]["order"], stored["other_order"]["top1"]) == ("natural", 100.0)
    out = call("--class-order", "natural")
    assert "top-1 100.0 %" in out
    assert "doubtful" not in out
