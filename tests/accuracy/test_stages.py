"""What `bench accuracy --stages` times: each stage on its own, and the time in the stage that takes it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bench import accuracy
from bench.accuracy import results, staging
from bench.accuracy.predictions import Prediction
from bench.accuracy.predictor import _predictions
from bench.accuracy.results import Stages
from bench.cli import main
from bench.errors import Failed
from bench.machine import lock
from bench.models.decoding import decode, read, shaped
from bench.models.preprocessing import preprocessing
from tests.accuracy.sets import classifier, photo, photos

NAMES = ("decode", "resize", "scale", "inference", "postprocess")
TEN = [str(number) for number in range(10)]
HOW = preprocessing("tf", height=32, width=32, layout="NHWC", dtype="float32", decoder="Pillow")


@pytest.fixture(autouse=True)
def own_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "PATH", tmp_path / "measuring.lock")
    monkeypatch.setattr(staging, "WARM_UP_S", 0.0)


@pytest.fixture(scope="module")
def ten(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven images of each of ten classes, and one that cannot be read."""
    folder = photos(tmp_path_factory.mktemp("ten"), TEN, each=7, size=(160, 120))
    (folder / "3" / "cut.jpg").write_bytes((folder / "3" / "000.jpg").read_bytes()[:300])
    return folder


def timed(path: Path, images: Path, **settings: Any) -> Stages:
    asked = accuracy.Settings(images=images, preprocess="tf", threads=1, **settings)
    found = accuracy.evaluate(path, asked, stages=True).stages
    assert found is not None
    return found


def test_each_stage_has_its_time_and_they_make_up_the_whole(tmp_path: Path, ten: Path) -> None:
    found = timed(classifier(tmp_path / "m.onnx"), ten)
    assert (found.n, found.passes, found.batch_size, found.threads) == (70, 70, 1, 1), "the unreadable one is left out"
    spans = [getattr(found, name) for name in NAMES]
    for span in (*spans, found.whole):
        assert 0 < span.p50_ms < 1000
        assert span.p95_ms is not None
        assert span.p50_ms <= span.p95_ms
    assert found.whole.p50_ms == pytest.approx(sum(span.p50_ms for span in spans), rel=0.3)
    outside = 1 - found.inference.p50_ms / found.whole.p50_ms
    assert found.outside_share == pytest.approx(outside, abs=0.1)
    unasked = accuracy.evaluate(tmp_path / "m.onnx", accuracy.Settings(images=ten, preprocess="tf"))
    assert unasked.stages is None


def test_a_model_that_takes_longer_takes_it_in_inference(tmp_path: Path, ten: Path) -> None:
    small = timed(classifier(tmp_path / "s.onnx"), ten)
    large = timed(classifier(tmp_path / "l.onnx", size=96, filters=64, layers=4), ten)
    assert large.inference.p50_ms > 5 * small.inference.p50_ms
    assert large.outside_share < small.outside_share


def test_large_images_take_it_in_decoding(tmp_path: Path, ten: Path) -> None:
    path = classifier(tmp_path / "m.onnx")
    large = photos(tmp_path / "large", TEN[:2], each=2, size=(1000, 750))
    few = timed(path, large)
    assert few.decode.p50_ms > 3 * timed(path, ten).decode.p50_ms
    assert (few.n, few.decode.p95_ms, few.whole.p95_ms) == (4, None, None), "four passes have no 95th percentile"


@pytest.mark.long
@pytest.mark.parametrize("slow", NAMES)
def test_a_stage_that_is_slowed_down_is_the_one_that_shows_it(slow: str) -> None:
    def stage(name: str) -> Callable[[Any], Any]:
        def work(value: tuple[str, ...]) -> tuple[str, ...]:
            if name == slow:
                time.sleep(0.004)
            return (*value, name)

        return work

    seen: list[tuple[str, ...]] = []
    last = ("postprocess", lambda value: seen.append(stage("postprocess")(value)))
    taken = staging.timed([("a",), ("b",)] * 4, [*((name, stage(name)) for name in NAMES[:-1]), last])
    assert seen[-1] == ("b", *NAMES), "each stage works on what the one before it gave"
    assert len(seen) == staging.WARM_UP + 8
    assert {name: len(values) for name, values in taken.items()} == dict.fromkeys(NAMES, 8)
    found = results.stages(taken, batch_size=1, threads=1)
    for name in NAMES:
        span = getattr(found, name)
        assert (span.p50_ms >= 4) == (name == slow), name
    assert (found.outside_share < 0.5) == (slow == "inference")


def test_passes_are_warmed_up_and_end_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    stages: list[staging.Stage] = [("inference", calls.append)]
    monkeypatch.setattr(staging, "WARM_UP_S", 0.02)
    assert len(staging.timed([1, 2], stages)["inference"]) == 2
    assert len(calls) > 20, "two hundredths of a second of calls that take nothing"
    assert len(staging.timed([1] * 50, [("inference", lambda _: time.sleep(0.01))], limit_s=0.05)["inference"]) <= 6
    assert len(staging.timed([1] * 50, stages, limit_s=0.0)["inference"]) == 1, "one at least"


def test_figures_follow_from_the_times() -> None:
    taken = {name: [ms * 1_000_000] * 60 for name, ms in zip(NAMES, (3, 2, 1, 9, 5), strict=True)}
    taken["decode"][:7] = [23_000_000] * 7
    found = results.stages(taken, batch_size=1, threads=2)
    assert found.whole == results.Span(p50_ms=20.0, p95_ms=40.0)
    assert found.decode == results.Span(p50_ms=3.0, p95_ms=23.0)
    assert (found.outside_share, found.n, found.threads) == (0.55, 60, 2)
    fewer = results.stages({name: values[:59] for name, values in taken.items()}, batch_size=4, threads=2)
    assert (fewer.whole.p95_ms, fewer.n, fewer.passes) == (None, 236, 59)


def test_images_are_spread_over_the_list() -> None:
    files = [str(number) for number in range(1000)]
    found = staging.groups(files, 1)
    assert sorted(int(file) for (file,) in found) == list(range(0, 1000, 10))
    assert found != sorted(found), "in random order"
    assert found == staging.groups(files, 1)
    sevens = staging.groups(files[:30], 7)
    assert [len(group) for group in sevens] == [7] * 4
    assert len({file for group in sevens for file in group}) == 28
    assert sorted(staging.groups(files[:2], 5)[0]) == ["0", "0", "0", "1", "1"]


@pytest.mark.parametrize(("batch", "n", "passes"), [(7, 70, 10), (100, 100, 1)])
def test_a_fixed_batch_is_timed_as_a_whole(tmp_path: Path, ten: Path, batch: int, n: int, passes: int) -> None:
    found = timed(classifier(tmp_path / "m.onnx", batch=batch), ten)
    assert (found.n, found.passes, found.batch_size) == (n, passes, batch)
    assert found.decode.p50_ms > 3 * timed(classifier(tmp_path / "one.onnx"), ten).decode.p50_ms


@pytest.mark.parametrize("options", [{"layout": "NCHW"}, {"softmax": False}, {"size": "side"}])
def test_other_inputs_and_outputs_are_timed(tmp_path: Path, ten: Path, options: dict[str, Any]) -> None:
    found = timed(classifier(tmp_path / "m.onnx", **options), ten, input_size=32)
    assert found.n == 70
    assert found.inference.p50_ms > 0


@pytest.mark.parametrize("probabilities", [True, False])
def test_the_answers_that_are_timed_are_those_that_are_judged(probabilities: bool) -> None:
    scores = np.random.default_rng(0).normal(size=(20, 1000)).astype(np.float32) * 3
    if probabilities:
        scores = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    judged, _ = _predictions(scores, (0,) * 20, [None] * 20)
    for (classes, values), wanted in zip(staging.answers(scores, probabilities), judged, strict=True):
        assert isinstance(wanted, Prediction)
        assert tuple(classes) == wanted.top
        assert values == pytest.approx(wanted.scores, rel=1e-4)
    assert len(staging.answers(scores[:1, :3], probabilities)[0][0]) == 3, "a model of three classes"


def test_the_two_halves_of_decoding_are_the_whole(tmp_path: Path) -> None:
    image = photo(np.random.default_rng(2), (700, 500))
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in ("a.jpg", "b.png", "c.tif", "d.webp"):
        image.save(tmp_path / name, exif=exif)
        halves = shaped(read(tmp_path / name, HOW), HOW)
        np.testing.assert_array_equal(halves, decode(tmp_path / name, HOW))


def test_the_lock_is_held_and_what_goes_wrong_is_one_line(
    tmp_path: Path, ten: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    question = staging.Question(
        path=str(classifier(tmp_path / "m.onnx")), runtime="onnxruntime",
        provider="CPUExecutionProvider", threads=1, preprocessing=HOW,
        batch_size=1, output="scores", probabilities=True, files=(str(ten / "0" / "gone.jpg"),),
    )  # fmt: skip
    with pytest.raises(Failed, match=r"judged cannot be read any more \(no such file\); give the command again"):
        staging.measure(question)
    held = []

    def ask(*_: object, **__: object) -> dict[str, list[int]]:
        held.append(lock.held_by())
        return {name: [1000] for name in NAMES}

    monkeypatch.setattr(staging.process, "ask", ask)
    assert staging.measure(question).n == 1
    assert held != [None], "nobody else measures meanwhile"
    assert lock.held_by() is None


def test_the_process_that_times_imports_no_tensorflow(tmp_path: Path, ten: Path) -> None:
    classifier(tmp_path / "m.onnx")
    script = (
        "import sys, pathlib, msgspec\n"
        "from bench.accuracy import staging; from bench.models import preprocessing as pre\n"
        "how = pre.preprocessing('tf', height=32, width=32, layout='NHWC', dtype='float32', decoder='Pillow')\n"
        "file = sorted(pathlib.Path(sys.argv[2]).glob('0/*.jpg'))[0]\n"
        "staging.answer(msgspec.to_builtins(staging.Question(path=sys.argv[1], runtime='onnxruntime',\n"
        "    provider='CPUExecutionProvider', threads=1, batch_size=1,\n"
        "    preprocessing=how, output='scores', probabilities=True, files=(str(file),))))\n"
        "print([name for name in ('tensorflow', 'keras', 'tf2onnx', 'onnx') if name in sys.modules])"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "m.onnx"), str(ten)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    out, err = capsys.readouterr()
    return int(stopped.value.code or 0), out, err


def test_the_command_prints_the_stages_last_and_keeps_them(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, ten: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    classifier(tmp_path / "m.onnx")
    classifier(tmp_path / "seven.onnx", batch=7)
    base = ["--images", str(ten), "--preprocess", "tf", "--device", "cpu", "--threads", "1"]
    code, out, _ = call(capsys, "accuracy", "m.onnx", *base, "--stages")
    assert code == 0
    assert "inference, 1 thread" in out
    *_, last, where = out.splitlines()
    assert last.startswith("preprocessing and post-processing take ")
    assert " of one image's " in last
    assert last.endswith(" ms (70 images, read from the system's cache)")
    assert where.startswith("result: ")
    code, out, _ = call(capsys, "accuracy", "m.onnx", *base, "--stages", "--json")
    found = json.loads(out)["stages"]
    assert found["n"] == 70
    assert all(found[name]["p50_ms"] > 0 for name in (*NAMES, "whole"))
    assert json.loads(next((tmp_path / "results" / "accuracy").glob("m-*.json")).read_text())["stages"] == found
    code, out, _ = call(capsys, "accuracy", "m.onnx", *base, "--json")
    assert json.loads(out)["stages"] is None
    code, out, _ = call(capsys, "accuracy", "seven.onnx", *base, "--stages")
    assert (code, " ms of 7 images at once (70 images" in out) == (0, True)
    assert "7 images at a time" in out
    assert "too few to tell" in out
