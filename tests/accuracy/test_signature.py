"""Inputs and outputs of classifiers as others export them: several outputs, one number an image, no batch, bytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import accuracy
from bench.accuracy import signature
from bench.accuracy.results import Evaluation
from bench.cli import main
from bench.errors import WrongUsage
from bench.machine import lock
from tests.accuracy.sets import INT32, UINT8, colours, reader

NAMES = ["ant", "bee", "cow", "doe", "eel"]


def measured(path: Path, images: Path, **settings: Any) -> Evaluation:
    asked = {"preprocess": "unit", "crop": 1.0, "threads": 1} | settings
    return accuracy.evaluate(path, accuracy.Settings(images=images, **asked))


def test_of_two_outputs_the_one_of_the_classes_width_is_taken_and_said(tmp_path: Path) -> None:
    images = colours(tmp_path / "im", NAMES, each=2)
    found = measured(reader(tmp_path / "m.onnx", 5, embedding=64), images)
    assert (found.top1, found.output, found.other_outputs) == (100.0, "scores", ("embedding (64)",))
    assert measured(tmp_path / "m.onnx", images, output="scores").top1 == 100.0
    with pytest.raises(WrongUsage, match=r"5 class names .* for a model with 64 outputs"):
        measured(tmp_path / "m.onnx", images, output="embedding")
    with pytest.raises(WrongUsage, match=r'm.onnx has no output "logits"; it has embedding \(1, 64\), scores \(1, 5\)'):
        measured(tmp_path / "m.onnx", images, output="logits")


def test_of_two_outputs_of_one_width_neither_is_guessed(tmp_path: Path) -> None:
    images = colours(tmp_path / "im", NAMES, each=2)
    path = reader(tmp_path / "m.onnx", 5, embedding=5)
    with pytest.raises(
        WrongUsage, match=r"gives embedding \(5\), scores \(5\): which .* not clear; give --output NAME"
    ):
        measured(path, images)
    assert measured(path, images, output="scores").top1 == 100.0
    few = colours(tmp_path / "few", ["0", "1", "2", "3"], each=1)
    with pytest.raises(WrongUsage, match=r"gives embedding \(64\), scores \(5\): which are the class scores"):
        measured(reader(tmp_path / "n.onnx", 5, embedding=64), few)


@pytest.mark.parametrize("single", ["sigmoid", "logit"])
@pytest.mark.parametrize("embedding", [0, 16])
def test_one_number_an_image_tells_two_classes_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, single: str, embedding: int
) -> None:
    monkeypatch.setattr(lock, "PATH", tmp_path / "measuring.lock")
    images = colours(tmp_path / "im", ["cat", "dog"], each=3)
    path = reader(tmp_path / "m.onnx", 2, single=single, embedding=embedding)
    settings = accuracy.Settings(images=images, preprocess="unit", crop=1.0)
    found = accuracy.evaluate(path, settings, stages=True)
    assert (found.top1, found.outputs, found.n, found.output) == (100.0, 2, 6, "scores")
    kind = "probability" if single == "sigmoid" else "logit"
    assert found.scores == f"one output an image, the {kind} of the second class"
    assert found.stages is not None
    assert found.stages.n == 6
    turned = accuracy.evaluate(path, accuracy.Settings(images=colours(tmp_path / "b", ["z", "a"]), preprocess="unit"))
    assert turned.top1 == 0
    assert all(0.5 < mistake.score <= 1 for mistake in turned.mistakes)
    with pytest.raises(WrongUsage, match=r"which tells two classes apart, and there are 3|which are the class scores"):
        measured(path, colours(tmp_path / "three", ["a", "b", "c"]))


@pytest.mark.long
@pytest.mark.parametrize(
    "options",
    [
        {"batch": None},
        {"batch": 1},
        {"batch": 4},
        {"batch": 100},
        {"kind": UINT8, "scaled_inside": True},
        {"kind": UINT8, "scaled_inside": True, "batch": None},
        {"kind": INT32, "scaled_inside": True, "batch": 3},
        {"batch": None, "embedding": 8},
        {"scaled_inside": True},
    ],
)
def test_every_kind_of_input_is_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    """Eleven images: the last batch is a partial one."""
    monkeypatch.setattr(lock, "PATH", tmp_path / "measuring.lock")
    images = colours(tmp_path / "im", NAMES, each=2)
    (tmp_path / "im" / "eel" / "9.png").write_bytes((images / "eel" / "0.png").read_bytes())
    path = reader(tmp_path / "m.onnx", 5, **options)
    preprocess = None if "kind" in options else "included" if "scaled_inside" in options else "unit"
    settings = accuracy.Settings(images=images, preprocess=preprocess, crop=1.0)
    found = accuracy.evaluate(path, settings, stages=True)
    assert (found.top1, found.n) == (100.0, 11)
    assert found.stages is not None
    assert found.stages.whole.p50_ms > 0


def test_labels_in_one_file_and_numbers_choose_the_output_too(tmp_path: Path) -> None:
    images = colours(tmp_path / "im", ["0", "1", "2"], each=2)
    path = reader(tmp_path / "m.onnx", 3, embedding=7)
    assert measured(path, images).other_outputs == ("embedding (7)",)
    from_1 = colours(tmp_path / "one", ["1", "2", "3"], each=2)
    assert measured(path, from_1).top1 == 100.0


@pytest.mark.parametrize(
    ("single", "values", "kind"),
    [
        ("inside", [[0.0, 1.0], [0.2]], signature.PROBABILITY),
        ("beyond", [[0.0, 1.0], [1.2]], signature.LOGIT),
        ("below", [[-0.1]], signature.LOGIT),
        ("not numbers", [[np.nan, np.inf, 0.5]], signature.PROBABILITY),
    ],
)
def test_probabilities_stay_from_0_to_1(single: str, values: list[list[float]], kind: str) -> None:
    assert signature.kind_of_single([np.array(each) for each in values]) == kind


def test_the_columns_of_one_number() -> None:
    raw = np.array([[0.25], [1.0]])
    np.testing.assert_array_equal(signature.class_scores(raw, 2, "probability"), [[0.75, 0.25], [0, 1]])
    np.testing.assert_array_equal(signature.class_scores(raw, 2, "logit"), [[0, 0.25], [0, 1]])
    np.testing.assert_array_equal(
        signature.class_scores(np.arange(6).reshape(2, 3, 1, 1), 2, None), [[0, 1, 2], [3, 4, 5]]
    )


def test_the_command_takes_the_name(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    colours(tmp_path / "im", NAMES, each=2)
    reader(tmp_path / "m.onnx", 5, embedding=5)
    base = ["accuracy", "m.onnx", "--images", "im", "--preprocess", "unit", "--device", "cpu", "--output"]
    with pytest.raises(SystemExit) as stopped:
        main([*base, "scores", "-o", "there/r.json"])
    out = capsys.readouterr().out
    assert (stopped.value.code, "output: scores, and not embedding (5)" in out) == (0, True)
    assert json.loads((tmp_path / "there" / "r.json").read_text())["output"] == "scores"
    with pytest.raises(SystemExit) as stopped:
        main([*base, "r.json"])
    assert stopped.value.code == 2
    assert 'no output "r.json"' in (err := capsys.readouterr().err)
    assert "the result's file is named with -o" in err
