"""Embedded data sets, recipes, and networks trained, exported, timed and judged end to end."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench import pipeline, suites, training
from bench.data import digits, scenes
from bench.errors import Failed, WrongUsage
from bench.records import Case, Training
from bench.training import process

needs_keras = pytest.mark.skipif(importlib.util.find_spec("tensorflow") is None, reason="needs TensorFlow")


def case(**changes: object) -> Case:
    given = {
        "name": "x", "model": "MobileNet", "arguments": {"alpha": 0.25}, "input_shape": (32, 32, 3), "head": "notes",
        "classes": 10, "train": Training(data="digits", examples=64, epochs=1),
    } | changes  # fmt: skip
    return Case(**given)  # type: ignore[arg-type]


def test_the_parts_share_no_digit_and_hold_them_all() -> None:
    parts = {name: digits._parts()[name] for name in digits.PARTS}
    assert {name: len(labels) for name, (_, labels) in parts.items()} == digits.PARTS
    everything = np.concatenate([images for images, _ in parts.values()]).reshape(-1, 64)
    assert len(everything) == 1797
    assert len(np.unique(everything, axis=0)) == len(everything)
    for _, labels in parts.values():
        assert np.bincount(labels).min() >= 0.09 * len(labels)


def test_digits_keep_their_shape_when_scaled_up() -> None:
    images, labels = digits.part("test", 64)
    assert images.shape == (360, 64, 64, 3)
    assert images.dtype == np.uint8
    small = images[:, 4::8, 4::8, 0].astype(float) / 255  # near the middle of each of the 8 x 8 fields
    original, known = digits._parts()["test"]
    assert np.array_equal(labels, known)
    assert np.abs(small - original).mean() < 0.05


def test_varied_digits_follow_from_the_seed() -> None:
    one, same, other = (digits.training(40, 32, seed=seed)[0] for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    _, labels = digits.training(2 * 1077, 8)
    assert np.array_equal(np.bincount(labels), 2 * np.bincount(digits._parts()["train"][1]))


def test_a_recipe_is_read_from_a_case() -> None:
    found = training.recipe(case(train=Training(data="digits")))
    assert (found.model, found.input_size, found.arguments, found.head) == (
        "MobileNet",
        32,
        (("alpha", 0.25),),
        "notes",
    )
    assert found.examples > 1000
    with pytest.raises(WrongUsage, match="is not trained on embedded data"):
        training.recipe(case(train=None))


def test_the_key_covers_the_recipe() -> None:
    base = training.recipe(case())
    others = [replace(base, **more) for more in ({"seed": 1}, {"epochs": 3}, {"examples": 7}, {"model": "MobileNetV2"})]
    assert len({base.key, *(other.key for other in others)}) == 5
    assert training.recipe(case()).key == base.key


def test_the_suites_know_what_they_train() -> None:
    for name, data in (("digits", "digits"), ("localization", "scenes")):
        cases = suites.load_suite(name).cases
        assert {c.train.data for c in cases if c.train} == {data}
        assert all(c.train for c in cases)
        full = [c for c in cases if c.precision == "fp32"]
        assert len({training.recipe(c).key for c in full}) == len(full)
        assert {training.recipe(c).key for c in cases} == {training.recipe(c).key for c in full}


@pytest.mark.parametrize(
    ("train", "says"),
    [
        ('{data = "cats"}', "data is 'cats'; did you mean|one of|valid"),
        ('{data = "digits", epochs = 0}', "epochs is 0"),
        ('{data = "digits", epoch = 1}', 'did you mean "epochs"'),
    ],
)
def test_a_wrong_key_train_is_named(tmp_path: Path, train: str, says: str) -> None:
    file = tmp_path / "x.toml"
    file.write_text(f'[[case]]\nmodel = "MobileNet"\ntrain = {train}\n')
    with pytest.raises(WrongUsage, match=says) as error:
        suites.load_suite(str(file))
    assert "x.toml:3" in str(error.value)


@pytest.mark.long
def test_a_file_that_is_none_fails_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "no.onnx").write_bytes(b"nothing")
    with pytest.raises(Failed, match="outputs failed: ") as error:
        training.accuracy(tmp_path / "no.onnx", "digits", "onnxruntime")
    assert "\n" not in str(error.value)


def test_outputs_are_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A perfect classifier of digits but for 9 of 360 images, and a perfect localiser."""
    labels = digits.part("test", 32)[1]
    rows = np.eye(10)[labels]
    rows[:9] = np.eye(10)[(labels[:9] + 1) % 10]
    monkeypatch.setattr(process, "ask", lambda question: {"size": 32, "rows": rows.tolist()})
    found = training.accuracy(tmp_path / "x.onnx", "digits", "onnxruntime")
    assert (found.origin, found.n, found.top1) == ("measured", 360, 97.5)
    assert found.top1_low is not None
    assert found.top1_high is not None
    assert 95 < found.top1_low < 97.5 < found.top1_high < 99
    truth = scenes.scenes("test", scenes.HELD_OUT, 32)
    here = truth.present
    perfect = np.concatenate([truth.box, here[:, None], truth.label[:, None], here[:, None]], axis=1).astype(float)
    monkeypatch.setattr(process, "ask", lambda question: {"size": 32, "rows": perfect.tolist()})
    detection = training.accuracy(tmp_path / "x.onnx", "scenes", "onnxruntime").detection
    assert detection is not None
    assert (detection.map, detection.mean_iou, detection.presence_accuracy) == pytest.approx((100, 100, 100))
    monkeypatch.setattr(process, "ask", lambda question: {"size": 32, "rows": rows[:, :7].tolist()})
    with pytest.raises(Failed, match="shape"):
        training.accuracy(tmp_path / "x.onnx", "digits", "onnxruntime")


@needs_keras
@pytest.mark.slow
def test_trained_exported_timed_and_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few steps only: that every part fits the next, that weights are kept, and that damaged ones are made again."""
    monkeypatch.setenv("BACKBENCH_CACHE", str(tmp_path / "cache"))
    localiser = case(
        name="y", model="bench.models.localization:build", arguments={"backbone": "MobileNet", "alpha": 0.25},
        input_shape=(64, 64, 3), head="native", train=Training(data="scenes", examples=64, epochs=1),
    )  # fmt: skip
    wrong = case(name="z", train=Training(data="scenes", examples=64, epochs=1))
    suite = suites.Suite("tiny", "tiny", (case(), localiser, wrong))
    options = pipeline.Options(rounds=2, min_time_s=0.01, min_count=2, warmup_s=0.05, spacing_s=0)
    outcome = pipeline.run(suite, options=options, results=tmp_path / "results")
    x, y, z = outcome.run.records
    assert x.error is None, x.error
    assert y.error is None, y.error
    assert x.measurement is not None
    assert (x.accuracy.origin, x.accuracy.n) == ("measured", 360)
    assert y.accuracy.detection is not None
    assert 0 <= y.accuracy.detection.map <= y.accuracy.detection.ap50 <= 100
    assert z.error is not None
    assert z.error.startswith("training failed: ")
    assert z.measurement is None

    asked: list[dict[str, object]] = []
    monkeypatch.setattr(process, "ask", lambda question: asked.append(question) or {})
    weights = training.trained(training.recipe(case()))
    assert not asked
    weights.write_bytes(b"damaged")
    training.trained(training.recipe(case()))
    assert [question["do"] for question in asked] == ["train"]
