"""Heads trained on frozen backbones: what scikit-learn says is what the file says."""

from __future__ import annotations

import importlib.util
import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench import accuracy, export, pipeline, suites
from bench.accuracy import features
from bench.accuracy.images import listing
from bench.analysis import transfer as analysis
from bench.analysis import trust
from bench.data import digits, folders
from bench.data.parts import Labelled, divide
from bench.errors import Failed, WrongUsage
from bench.pipeline import running
from bench.processes import process
from bench.records import Case, Run, Training
from bench.training import fine_tuning, head, transfer, weights

needs_keras = pytest.mark.skipif(importlib.util.find_spec("tensorflow") is None, reason="needs TensorFlow")


@pytest.mark.parametrize(("n", "present"), [(60, 2), (60, 3), (5, 2), (90, 5)])
def test_the_dense_layer_says_what_scikit_learn_says(n: int, present: int) -> None:
    rng = np.random.default_rng(n)
    labels = np.arange(n) % present
    rows = 3 * rng.normal(size=(n, 7)) + labels[:, None] + 100
    scaler, regression, strength, validated = head.fit(rows, labels)
    kernel, bias = head.dense(scaler, regression, present + 1)  # and a class without training images
    others = 3 * rng.normal(size=(200, 7)) + rng.integers(0, present, (200, 1)) + 100
    scores = others @ kernel + bias
    assert (scores.argmax(axis=1) == regression.predict(scaler.transform(others))).all()
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    wanted = regression.predict_proba(scaler.transform(others))
    assert np.allclose((powers / powers.sum(axis=1, keepdims=True))[:, :present], wanted, atol=1e-9)
    assert strength in head.STRENGTHS
    assert 0 < validated <= 1


def test_strength_is_chosen_by_cross_validation() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 2
    noisy = rng.normal(size=(60, 200)) + 0.3 * labels[:, None]
    clear = np.linspace(-1, 1, 300)[:, None]
    assert head.fit(noisy, labels)[2] < 1
    assert head.fit(clear, (clear[:, 0] > 0.013).astype(int))[2] == max(head.STRENGTHS)


def test_classes_weigh_the_same_however_many_images_they_have() -> None:
    rng = np.random.default_rng(1)
    labels = np.array([0] * 190 + [1] * 10)
    rows = rng.normal(size=(200, 1)) + labels[:, None]
    scaler, regression, *_ = head.fit(rows, labels)
    middle = -regression.intercept_[0] / regression.coef_[0, 0] * scaler.scale_[0] + scaler.mean_[0]
    assert 0.2 < middle < 0.8  # unweighted, it lies beyond 2


def test_one_class_is_refused() -> None:
    with pytest.raises(Failed, match="of one class"):
        head.fit(np.zeros((3, 2)), np.zeros(3, int))


def test_subsets_are_nested_and_hold_a_share_of_each_class() -> None:
    images = [(Labelled(f"{i}", "ab"[i % 2]), f"{(i * 37) % 100:02}") for i in range(100)]
    subsets = transfer.nested(images)
    assert [len(subset) for subset in subsets] == [10, 20, 50, 100]
    for inner, outer in itertools.pairwise(subsets):
        assert set(inner) < set(outer)
    for subset in subsets:
        assert {images[i][0].word for i in subset} == {"a", "b"}
        assert abs(sum(images[i][0].word == "a" for i in subset) - len(subset) / 2) < 1


def written(place: Path, counts: dict[str, int]) -> Path:
    """Digits as PNG files, in train and test folders."""
    from PIL import Image as Picture

    for part, count in counts.items():
        pictures, labels = digits.part({"train": "train", "test": "test"}[part], 32)
        for number in range(count):
            where = place / part / f"digit {labels[number]}"
            where.mkdir(parents=True, exist_ok=True)
            Picture.fromarray(pictures[number]).save(where / f"{number}.png")
    return place


def suite(images: Path, **changes: object) -> suites.Suite:
    given = {
        "name": "small", "model": "bench.models.resnet20:features", "input_shape": (32, 32, 3), "head": "notes",
        "train": Training(images=str(images), preprocess="tf"),
    } | changes  # fmt: skip
    return suites.Suite("mine", "Mine", (Case(**given),))  # type: ignore[arg-type]


@pytest.mark.slow
@needs_keras
def test_from_a_folder_to_a_file_that_is_judged(tmp_path: Path, built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKBENCH_CACHE", str(built))
    images = written(tmp_path / "images", {"train": 120, "test": 60})
    (images / "test" / "digit 0" / "broken.png").write_bytes(b"no picture")
    phases = (*running.MAKING, *running.JUDGING)
    outcome = pipeline.run(suite(images), results=tmp_path / "results", phases=phases)
    (record,) = outcome.run.records
    assert record.failures == {}
    assert record.transfer is not None
    assert (record.transfer.classes, record.transfer.training, record.transfer.held_out) == (10, 120, 60)
    assert record.transfer.features == 64
    assert [point.images for point in record.transfer.curve][-1] == 120
    assert record.accuracy.n == 60
    assert record.accuracy.top1 == pytest.approx(record.transfer.curve[-1].top1)  # the file says what the head says
    assert record.accuracy.top1 > 40

    # By `bench accuracy` on the same file and folder: the same number; and answer by answer what scikit-learn says.
    path = _file(record.artifact.sha256)
    settings = accuracy.Settings(images=images / "test", preprocess="tf")
    assert accuracy.measure(path, settings).top1 == record.accuracy.top1
    assert _answers(outcome.folder) == _of_scikit_learn(record.case, images)

    # Once more, as in a run taken up again: nothing is computed twice.
    monkeypatch.setattr(process, "ask", lambda *_, **__: pytest.fail("a head was trained again"))
    (made,) = export.export([transfer.of_backbone(record.case)])
    again = transfer.trained(record.case, made.path)
    assert again.transfer.extracted_per_s is None
    assert (again.transfer.curve, again.transfer.strength) == (record.transfer.curve, record.transfer.strength)

    # Fine-tuned after that: never worse on what it can see, and taken up again after a kill.
    monkeypatch.undo()
    monkeypatch.setenv("BACKBENCH_CACHE", str(built))
    tuning = replace(record.case, train=replace(record.case.train, fine_tune=True, epochs=2))

    def killed(done: int, of: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    begun = transfer.trained(tuning, made.path)
    with pytest.raises(KeyboardInterrupt):
        transfer.fine_tuned(tuning, begun, progress=killed)
    seen: list[tuple[int, int]] = []
    file, tuned = transfer.fine_tuned(tuning, begun, progress=lambda *epochs: seen.append(epochs))
    assert seen == [(0, 2), (1, 2), (2, 2)]
    assert len(tuned.transfer.tuned) == 3
    assert file.is_file()
    assert transfer.fine_tuned(tuning, begun, progress=killed)[1] == tuned  # kept: no epoch is told


def _file(sha256: str) -> Path:
    """The exported file of that content."""
    from bench.export import cache

    place = next(place for place, entry, _ in cache.entries() if entry.artifact.sha256 == sha256)
    return next(place.glob("*.onnx"))


def _answers(run: Path) -> dict[str, int]:
    """What the file says of each held-out image, by its name."""
    lines = [json.loads(line) for line in next((run / "accuracy").glob("*.jsonl")).read_bytes().splitlines()[1:]]
    files = [line.split(",")[0] for line in next((run / "transfer").rglob("held-out.csv")).read_text().splitlines()[1:]]
    said = [prediction["top"][:1] for line in lines for prediction in line["predictions"]]
    return {file: top[0] for file, top in zip(files, said, strict=True) if top}


def _of_scikit_learn(case: Case, images: Path) -> dict[str, int]:
    """What scikit-learn says of each held-out image's features."""
    (made,) = export.export([transfer.of_backbone(case)])
    divided = divide(images)
    everything = [image.file for image in (*divided.train, *divided.test)]
    seen = features.features(made.path, accuracy.settings_of(case), everything)
    assert seen.computed == 0
    count = len(divided.train)
    rows = seen.rows.astype(float)
    scaler, regression, *_ = head.fit(
        rows[:count], np.array([divided.classes.index(one.word) for one in divided.train])
    )
    said = regression.predict(scaler.transform(rows[count:]))
    return {image.file: int(answer) for image, answer in zip(divided.test, said, strict=True)}


def test_a_case_without_its_images_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(WrongUsage, match="give their folder: --images DIR"):
        pipeline.run(suites.load_suite("transfer"), results=tmp_path)
    with pytest.raises(WrongUsage, match="no folder"):
        suites.transferred(suites.load_suite("transfer").cases, str(tmp_path / "none"), None)


def test_any_suite_has_heads_trained(tmp_path: Path) -> None:
    cases = suites.transferred(suites.load_suite("default").cases, str(tmp_path), None)
    assert {case.train.images for case in cases if case.train} == {str(tmp_path)}
    assert {(case.head, case.weights) for case in cases} == {("notes", "imagenet")}
    kept = suites.load_suite("digits").cases
    with pytest.raises(WrongUsage, match="none that could be trained"):
        suites.transferred(kept, str(tmp_path), None)


def test_a_suite_s_own_weights_stay(tmp_path: Path) -> None:
    own = [suites.case_of_model("MobileNet", train={}, weights=weights) for weights in ("none", "imagenet", None)]
    for images in (None, str(tmp_path)):
        cases = suites.transferred(own, images, None)
        assert [case.weights for case in cases] == ["none", "imagenet", "imagenet"]
        assert {(case.head, case.accuracy) for case in cases} == {("notes", None)}


def test_weights_of_a_folder_go_by_the_model(tmp_path: Path) -> None:
    case = suites.case_of_model("MobileNet", train={})
    assert suites.transferred([case], None, "none")[0].weights == "none"
    with pytest.raises(WrongUsage, match=r"put MobileNet.weights.h5 there"):
        suites.transferred([case], None, str(tmp_path))
    with pytest.raises(WrongUsage, match="no weights file or folder"):
        suites.transferred([case], None, str(tmp_path / "nowhere"))
    (tmp_path / "MobileNet.weights.h5").touch()
    assert suites.transferred([case], None, str(tmp_path))[0].weights == str(tmp_path / "MobileNet.weights.h5")


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"train": {"data": "digits", "images": "x"}}, "images has no effect with an embedded data set"),
        ({"train": {"epochs": 3}}, "epochs has no effect with images of your own"),
        ({"train": {"images": "nowhere"}}, "there is no folder nowhere"),
        ({"train": {}, "classes": 3}, "follows from the images' folders"),
        ({"train": {}, "head": "native"}, 'train the head "notes"'),
    ],
)
def test_keys_that_do_not_fit_are_refused(keys: dict[str, object], said: str) -> None:
    with pytest.raises(WrongUsage, match=said):
        suites.case_of_model("MobileNet", **keys)


def test_odd_names_are_judged_on_and_those_that_no_table_holds_are_refused(tmp_path: Path) -> None:
    images = written(tmp_path / "images", {"train": 60, "test": 30})
    first, second, third, *_ = sorted((images / "test").rglob("*.png"))
    first.rename(first.with_name('a, "b"\nc.png'))
    second.rename(second.with_name("=1+1;é.png"))
    case = suite(images).cases[0].planned(device="cpu", provider="CPUExecutionProvider", threads=1)
    judged = transfer.judged(case, tmp_path / "run").accuracy
    assert judged is not None
    listed = listing(images, labels=Path(judged.labels), listed=True)
    assert {image.file.split("/")[1] == image.word for image in listed.images} == {True}
    assert len(listed.images) == 30
    third.rename(third.with_name("d\\e.png"))
    with pytest.raises(WrongUsage, match="a table of labels cannot hold this name; rename it"):
        transfer.judged(case, tmp_path / "run")


def test_a_lower_precision_takes_its_ranges_from_the_training_images_alone(tmp_path: Path) -> None:
    images = written(tmp_path / "images", {"train": 60, "test": 30})
    (case,) = suite(images, precision="int8").cases
    planned = case.planned(device="cpu", provider="CPUExecutionProvider", threads=1)
    for _ in range(2):  # a run taken up again links them once more
        judged = transfer.judged(planned, tmp_path / "run")
    assert judged.calibrate is not None
    linked = {path.resolve() for path in folders.images(Path(judged.calibrate.images))}
    assert linked == set((images / "train").rglob("*.png"))
    assert transfer.of_backbone(judged).precision == "fp32"


def test_two_folders_of_images_in_one_run_are_judged_on_apart(tmp_path: Path) -> None:
    places = [written(tmp_path / name, {"train": 60, "test": count}) for name, count in (("a", 20), ("b", 30))]
    cases = [
        suite(place).cases[0].planned(device="cpu", provider="CPUExecutionProvider", threads=1) for place in places
    ]
    judged = [transfer.judged(case, tmp_path / "run").accuracy for case in cases]
    counts = [len(listing(Path(one.images), labels=Path(one.labels), listed=True).images) for one in judged if one]
    assert counts == [20, 30]


def test_what_was_trained_is_made_once_and_again_when_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKBENCH_CACHE", str(tmp_path))
    made: list[Path] = []

    def make(target: Path) -> list[int]:
        made.append(target)
        target.write_bytes(b"weights")
        return [len(made)]

    target, said = weights.kept("x.npz", make)
    assert (target.read_bytes(), said) == (b"weights", [1])
    assert weights.kept("x.npz", make) == (target, [1])
    for damaged in (target, target.with_suffix(".json")):
        damaged.write_bytes(b"weigh")
        before = len(made)
        assert weights.kept("x.npz", make) == (target, [before + 1])
        assert target.read_bytes() == b"weights"


def test_a_solver_that_was_stopped_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    rows = rng.normal(size=(60, 30)) + labels[:, None]
    np.savez(tmp_path / "f.npz", training=rows, training_labels=labels, held_out=rows, held_out_labels=labels)
    question = {"features": str(tmp_path / "f.npz"), "classes": 3, "subsets": [list(range(60))]}
    assert head.train(**question, target=str(tmp_path / "a.npz"))["converged"]
    monkeypatch.setattr(head, "_ITERATIONS", 2)
    assert not head.train(**question, target=str(tmp_path / "b.npz"))["converged"]


def test_the_first_of_the_best_epochs_is_kept() -> None:
    assert [fine_tuning._best(known) for known in ([0.5], [0.5, 0.5], [0.5, 0.7, 0.7, 0.6])] == [0, 0, 1]


def test_the_images_that_choose_an_epoch_are_kept_from_the_head(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = written(tmp_path / "images", {"train": 60, "test": 30})
    (case,) = suite(images).cases
    seen = []

    def fitted(arrays: dict[str, np.ndarray], classes: int, subsets: list[list[int]]) -> tuple[Path, dict[str, object]]:
        seen.append(arrays["training"])
        return tmp_path, {"right": [0] * len(subsets), "strength": 1.0, "validated": 1.0, "converged": True}

    def made(path: Path, settings: object, files: list[str], progress: object = None) -> features.Features:
        rows = np.arange(len(files), dtype=np.float32)[:, None]
        problems = tuple("broken" if place == 7 else None for place in range(len(files)))
        return features.Features(rows, problems, tuple(files), 0, 0.0, 0.0)

    monkeypatch.setattr(transfer, "_fitted", fitted)
    monkeypatch.setattr(transfer, "features", made)
    planned = transfer.judged(case.planned(device="cpu", provider="CPUExecutionProvider", threads=1), tmp_path / "run")
    plain = transfer.trained(planned, tmp_path)
    assert (len(plain.trained_on), plain.validation, plain.transfer.unreadable) == (59, (), 1)
    tuned = transfer.trained(replace(planned, train=replace(planned.train, fine_tune=True)), tmp_path)
    assert set(tuned.trained_on) | set(tuned.validation) == set(range(60)) - {7}
    assert not set(tuned.trained_on) & set(tuned.validation)
    assert set(seen[1][:, 0]) == set(tuned.trained_on)
    words = [divide(images).train[i].word for i in tuned.validation]
    assert len(words) == len({*words}) == 10  # of about six images of each class
    assert (tuned.transfer.training, tuned.transfer.unreadable) == (59 - len(words), 1)


def test_random_features_are_said_first() -> None:
    from tests import runs

    run = runs.of_suite("default")
    record = run.records[0]
    learnt = transfer.Transfer(
        images="photos", weights="none", classes=3, training=90, held_out=30, features=64, strength=1.0, validated=80.0,
        notes=("a note",),
    )  # fmt: skip
    random: Run = replace(run, records=(replace(record, transfer=learnt), *run.records[1:]), trust=None)
    assert any("random features" in line for line in trust.in_words(random))
    assert not any("random features" in line for line in trust.in_words(run))
    assert analysis.in_words(random) == [
        "images: photos: 3 classes, heads trained on 90 images and judged on 30", "images: a note"
    ]  # fmt: skip
    assert analysis.in_words(run) == []
