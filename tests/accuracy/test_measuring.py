"""`bench accuracy` from the images to the figures, beside loops that do the same the long way."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from PIL import Image

from bench import accuracy
from bench.accuracy import predictions
from bench.accuracy.predictions import Batch
from bench.accuracy.results import Evaluation
from bench.analysis import statistics
from bench.errors import Failed, WrongUsage
from tests.accuracy.sets import FLOAT16, UINT8, classifier, photos

TEN = [str(number) for number in range(10)]
TIMES = ("wall_s", "inference_s", "images_per_s")


def measured(path: Path, images: Path, **settings: Any) -> Evaluation:
    return accuracy.evaluate(path, accuracy.Settings(images=images, **({"preprocess": "tf", "threads": 1} | settings)))


def answers(path: Path, images: Path, **settings: Any) -> dict[str, int]:
    """The first answer for every image, by file."""
    kept = images.parent / f"{path.stem}.jsonl"
    asked = accuracy.Settings(images=images, **({"preprocess": "tf", "threads": 1} | settings))
    accuracy.evaluate(path, asked, kept=kept)
    said = [p for line in kept.read_bytes().splitlines()[1:] for p in msgspec.json.decode(line, type=Batch).predictions]
    kept.unlink()
    return dict(
        zip(sorted(f.relative_to(images).as_posix() for f in images.glob("*/*")), (p.top[0] for p in said), strict=True)
    )


def ten_line_loop(path: Path, images: Path, size: int) -> dict[str, int]:
    """The same, independently."""
    import onnxruntime

    found = {}
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for file in sorted(images.glob("*/*")):
        image = Image.open(file).convert("RGB")
        scale = round(size / 0.875) / min(image.size)
        image = image.resize(
            (int(image.width * scale + 1e-9), int(image.height * scale + 1e-9)), Image.Resampling.BILINEAR
        )
        left, top = (image.width - size) // 2, (image.height - size) // 2
        pixels = np.asarray(image.crop((left, top, left + size, top + size)), np.float32) / 127.5 - 1
        found[file.relative_to(images).as_posix()] = int(session.run(None, {"image": pixels[None]})[0].argmax())
    return found


def test_an_independent_loop_gives_the_same_predictions_on_every_image(tmp_path: Path, ten: Path) -> None:
    path = classifier(tmp_path / "m.onnx", size=112)
    loop = ten_line_loop(path, ten, 112)
    assert answers(path, ten) == loop
    assert answers(path, ten, batch_size=7, threads=2) == loop
    assert len(set(loop.values())) > 2, "a model that always says the same would agree with anything"
    assert answers(path, ten, preprocess="torch") != loop, "and the preprocessing matters"
    right = sum(int(file.partition("/")[0]) == answer for file, answer in loop.items())
    found = measured(path, ten)
    assert (found.n, found.top1) == (60, pytest.approx(100 * right / 60, abs=1e-4))
    low, high = statistics.wilson(right, 60)
    assert (found.top1_low, found.top1_high) == (round(100 * low, 4), round(100 * high, 4))


VARIANTS: dict[str, dict[str, Any]] = {
    "NCHW": {"layout": "NCHW"},
    "logits": {"softmax": False},
    "fixed batch": {"batch": 7},
    "fixed batch, NCHW": {"batch": 1, "layout": "NCHW"},
    "open size": {"size": "open"},
    "open size, NCHW": {"size": "open", "layout": "NCHW"},
    "half precision": {"kind": FLOAT16},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_kind_of_input_and_output_gives_the_same_answers(tmp_path: Path, ten: Path, variant: str) -> None:
    of_plain = answers(classifier(tmp_path / "plain.onnx"), ten)
    path = classifier(tmp_path / "other.onnx", **VARIANTS[variant])
    assert answers(path, ten, **({"input_size": 32} if "open" in variant else {})) == of_plain
    found = measured(path, ten, input_size=32)
    assert found.scores == ("softmax of the outputs" if variant == "logits" else "probabilities")
    assert all(0 <= mistake.label_score <= mistake.score <= 1 for mistake in found.mistakes)
    assert found.preprocessing.layout == ("NCHW" if "NCHW" in variant else "NHWC")


def test_uint8_input_is_that_of_a_model_that_scales_itself(tmp_path: Path, ten: Path) -> None:
    of_floats = answers(classifier(tmp_path / "f.onnx"), ten, preprocess="included")
    assert answers(classifier(tmp_path / "u.onnx", kind=UINT8), ten, preprocess=None) == of_floats
    with pytest.raises(WrongUsage, match=r'uint8, unscaled; preprocess "caffe" cannot be'):
        measured(tmp_path / "u.onnx", ten, preprocess="caffe")


def test_1001_outputs_begin_with_the_background(tmp_path: Path) -> None:
    from tests.accuracy.sets import synsets

    folder = tmp_path / "im"
    for synset in synsets():
        (folder / synset).mkdir(parents=True)
    photos(folder, synsets()[:3], each=3)
    path = classifier(tmp_path / "m.onnx", 1001)
    found = measured(path, folder)
    assert found.outputs == 1001
    assert {c.output for c in found.classes} == {1, 2, 3}
    assert "0 is the background" in found.labels


def test_figures_follow_from_the_predictions(tmp_path: Path, ten: Path) -> None:
    path = classifier(tmp_path / "m.onnx")
    loop = ten_line_loop(path, ten, 32)
    wrong = {file: answer for file, answer in loop.items() if int(file.partition("/")[0]) != answer}
    found = measured(path, ten)
    assert {m.file: int(m.answer) for m in found.mistakes} == wrong
    assert [m.score for m in found.mistakes] == sorted((m.score for m in found.mistakes), reverse=True)
    assert sum(c.n for c in found.classes) == 60
    for each in found.classes:
        correct = sum(loop[file] == each.output for file in loop if file.startswith(f"{each.name}/"))
        assert each.top1 == pytest.approx(100 * correct / each.n, abs=1e-4)
    worst = found.confusions[0]
    pair = [f for f, answer in wrong.items() if f.startswith(f"{worst.name}/") and str(answer) == worst.taken_for]
    assert (worst.count, worst.of) == (len(pair), 6)
    assert found.top5 is not None
    among = 60 - sum(m.rank is None for m in found.mistakes)
    assert found.top5 == pytest.approx(100 * among / 60, abs=1e-4)
    assert measured(classifier(tmp_path / "few.onnx", 5), photos(tmp_path / "few", TEN[:5])).top5 is None


def test_unreadable_and_missing_images_are_counted_and_named(tmp_path: Path, ten: Path) -> None:
    folder = tmp_path / "im"
    shutil.copytree(ten, folder)
    path = classifier(tmp_path / "m.onnx")
    before = measured(path, folder)
    (folder / "0" / "a.jpg").write_bytes((folder / "0" / "000.jpg").read_bytes()[:300])
    (folder / "9" / "z.png").write_bytes(b"")
    after = measured(path, folder)
    assert [(u.file, u.reason) for u in after.unreadable][1] == ("9/z.png", "an empty file")
    assert after.unreadable[0].file == "0/a.jpg"
    assert "Truncated" in after.unreadable[0].reason
    assert (after.n, after.top1, after.mistakes) == (60, before.top1, before.mistakes)
    labels = tmp_path / "labels.csv"
    labels.write_text("0/000.jpg,0\n0/gone.jpg,0\n")
    found = measured(path, folder, labels=labels)
    assert [(u.file, u.reason) for u in found.unreadable] == [("0/gone.jpg", "no such file")]
    (folder / "0" / "000.jpg").write_bytes(b"x")
    with pytest.raises(Failed, match=r"not one of 2 images could be read; 0/000.jpg: not an image"):
        measured(path, folder, labels=labels)


def not_a_classifier(path: Path) -> Path:
    import onnx

    model = onnx.load(classifier(path))
    model.graph.output[0].name = "r0"
    del model.graph.output[0].type.tensor_type.shape.dim[:]
    onnx.save(model, path)
    return path


def not_a_number(path: Path) -> Path:
    return classifier(path, offset=float("nan"))


def two_channels(path: Path) -> Path:
    import onnx

    model = onnx.load(classifier(path))
    for size in model.graph.input[0].type.tensor_type.shape.dim:
        size.dim_value = 2
    onnx.save(model, path)
    return path


def cut_short(path: Path) -> Path:
    path.write_bytes(classifier(path).read_bytes()[:200])
    return path


@pytest.mark.parametrize(
    ("make", "settings", "error", "says"),
    [
        (not_a_classifier, {}, WrongUsage, r"gives r0 \(1, 8, 16, 16\), and no list of class scores"),
        (not_a_number, {}, Failed, r"not all numbers \(NaN or infinite\)"),
        (two_channels, {}, WrongUsage, r"not a batch of images with 3 channels, NHWC or NCHW"),
        (cut_short, {}, Failed, r"is cut short"),
        (classifier, {"input_size": 64}, WrongUsage, r"takes 32x32 pixels; --input-size 64 does not fit"),
        (classifier, {"preprocess": None}, WrongUsage, r"not known; give --preprocess"),
        (lambda p: classifier(p, batch=4), {"batch_size": 8}, WrongUsage, r"fixed batch of 4; --batch-size 8"),
        (lambda p: classifier(p, size="s"), {}, WrongUsage, r"leaves its input size open .* give --input-size N"),
        (lambda p: p, {}, WrongUsage, r"there is no file .*m.onnx; give"),
        (lambda p: classifier(p, 1000), {"labels": Path("no.csv")}, WrongUsage, "cannot read the lab"),
    ],
)  # fmt: skip
def test_models_that_cannot_be_judged(
    tmp_path: Path, ten: Path, make: Callable[[Path], Path], settings: dict[str, Any], error: type, says: str
) -> None:
    with pytest.raises(error, match=says) as raised:
        measured(make(tmp_path / "m.onnx"), ten, **settings)
    assert "\n" not in str(raised.value)


def test_a_worker_that_dies_is_one_line(tmp_path: Path, ten: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(Failed, match=r"the process that runs the model ended with exit code 1"):
        measured(classifier(tmp_path / "m.onnx"), ten)


def same(found: Evaluation) -> dict[str, Any]:
    """A result without its times."""
    everything: dict[str, Any] = msgspec.to_builtins(found)
    return {key: value for key, value in everything.items() if key not in TIMES}


def test_predictions_are_kept_torn_lines_dropped_and_other_keys_refused(tmp_path: Path, ten: Path) -> None:
    path = classifier(tmp_path / "m.onnx")
    settings = accuracy.Settings(images=ten, preprocess="tf", batch_size=8)
    kept = tmp_path / "kept.jsonl"
    told: list[int] = []
    whole = accuracy.evaluate(path, settings, kept=kept, progress=lambda done, total, rate: told.append(done))
    assert told == [8, 16, 24, 32, 40, 48, 56, 60]
    data = kept.read_bytes()
    lines = data.splitlines(keepends=True)
    assert len(lines) == 9
    for torn in (b"".join(lines[:4]) + lines[4][:50], b"".join(lines[:4]) + lines[4][:-1], b"".join(lines[:4])):
        kept.write_bytes(torn)
        told.clear()
        again = accuracy.evaluate(path, settings, kept=kept, progress=lambda done, total, rate: told.append(done))
        assert same(again) == same(whole)
        assert told[-1] == 60
        assert 3 <= len(told) - 2 <= 4, "three whole batches are not done again"
        assert kept.read_bytes().startswith(b"".join(lines[:4]))
    told.clear()
    accuracy.evaluate(path, settings, kept=kept, progress=lambda done, total, rate: told.append(done))
    assert told == [], "nothing is left to do"
    other = replace(settings, preprocess="torch")
    accuracy.evaluate(path, other, kept=kept, progress=lambda done, total, rate: told.append(done))
    assert len(told) == 8, "with another preprocessing, all is done anew"
    kept.write_bytes(b"\x00\x01 not ours")
    assert same(accuracy.evaluate(path, settings, kept=kept)) == same(whole)


def test_a_full_disk_is_one_line(tmp_path: Path, ten: Path) -> None:
    with pytest.raises(Failed, match=r"cannot write /dev/full"):
        predictions.append(
            Path("/dev/full"), Batch(number=0, wall_s=1, inference_s=1, probabilities=True, predictions=())
        )
    (tmp_path / "file").write_text("")
    path = classifier(tmp_path / "m.onnx")
    with pytest.raises(Failed, match=r"cannot write .*; free some space or name another file with -o"):
        accuracy.evaluate(path, accuracy.Settings(images=ten, preprocess="tf"), kept=tmp_path / "file" / "kept.jsonl")


@pytest.mark.long
def test_killed_in_the_middle_and_resumed_the_result_is_the_same(tmp_path: Path) -> None:
    images = photos(tmp_path / "im", TEN, each=12)
    model = classifier(tmp_path / "m.onnx", size=128, filters=48, layers=3)
    command = [sys.executable, "-m", "bench.cli", "accuracy", str(model), "--images", str(images), "--preprocess", "tf",
               "--batch-size", "4", "--threads", "1", "--device", "cpu", "-o"]  # fmt: skip
    subprocess.run([*command, str(tmp_path / "whole.json")], check=True, capture_output=True)
    kept = tmp_path / "cut.predictions.jsonl"
    process = subprocess.Popen(
        [*command, str(tmp_path / "cut.json")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while not (kept.is_file() and kept.read_bytes().count(b"\n") > 5):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(0.5)
    before = kept.read_bytes()
    assert 5 < before.count(b"\n") < 30, "it was killed in the middle"
    assert not (tmp_path / "cut.json").exists()
    time.sleep(1)
    assert kept.read_bytes() == before, "nobody goes on writing"
    done = subprocess.run([*command, str(tmp_path / "cut.json")], check=True, capture_output=True, text=True)
    assert kept.read_bytes().startswith(before[: before.rindex(b"\n") + 1]), "what was kept was not done again"
    assert "120 of 120 images" in done.stderr
    whole, cut = (msgspec.json.decode((tmp_path / f"{n}.json").read_bytes(), type=Evaluation) for n in ("whole", "cut"))
    assert same(whole) == same(cut)
