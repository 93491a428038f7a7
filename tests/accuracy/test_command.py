"""`bench accuracy` as it is typed, its key in suites, and beside Keras."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench import accuracy, suites
from bench.cli import main
from bench.errors import WrongUsage
from tests import runs
from tests.accuracy.sets import classifier

TEN = [str(number) for number in range(10)]


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    out, err = capsys.readouterr()
    return int(stopped.value.code or 0), out, err


def test_the_command_prints_tables_or_json_and_keeps_the_result(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, ten: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    classifier(tmp_path / "m.onnx")
    (tmp_path / "names.txt").write_text("\n".join(f"class {n}" for n in "abcdefghij"))
    labels = "".join(f"{n}/000.jpg,{n}\n" for n in TEN) + "0/gone.jpg,0\n"
    (tmp_path / "labels.csv").write_text(labels)
    base = ["accuracy", "m.onnx", "--images", str(ten), "--preprocess", "tf", "--device", "cpu"]
    code, out, err = call(capsys, *base, "--labels", "labels.csv")
    assert code == 0
    assert "m on 10 images of 10 classes" in out
    assert "centre 32x32, RGB / 127.5 - 1, NHWC float32" in out
    assert "unreadable: 0/gone.jpg: no such file" in err
    assert "ignored: 50 files" in err
    stored = list((tmp_path / "results" / "accuracy").glob("*.json"))
    assert len(stored) == 1
    code, out, _ = call(capsys, *base, "--labels", "labels.csv", "--json")
    assert json.loads(out) == json.loads(stored[0].read_text())
    code, out, err = call(capsys, *base, "--labels", "labels.csv", "--fresh", "-o", "there/r.json", "--json")
    assert (code, json.loads(out)["n"]) == (0, 10)
    assert "11 of 11 images" in err
    assert (tmp_path / "there" / "r.json").is_file()


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["m.onnx", "--images", "nowhere"], 2, "there is no folder nowhere"),
        (["m.onnx", "--images", "empty", "--preprocess", "tf"], 2, "empty holds no images"),
        (["m.onnx"], 2, "Missing option '--images'"),
        (["gone.onnx", "--images", "empty"], 2, "there is no file gone.onnx; give a model's name"),
        (["m.onnx", "--images", "empty", "--weights", "imagenet"], 2, "--weights are for named models"),
        (["MobilNet", "--images", "empty"], 2, 'did you mean "MobileNet"'),
        (["m.onnx", "--images", "empty", "--labels", "no.csv"], 2, "'no.csv' does not exist"),
        (["m.onnx", "--images", "empty", "--preprocess", "tff"], 2, "'tff' is not one of"),
        (["m.onnx", "--images", "empty", "--crop", "1.5"], 2, "1.5 is not in the range"),
        (["m.onnx", "--images", "empty", "--agree-with-keras"], 2, "no Keras model to agree with"),
    ],
)  # fmt: skip
def test_wrong_usage_is_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    arguments: list[str], code: int, says: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    classifier(tmp_path / "m.onnx")
    got, out, err = call(capsys, "accuracy", *arguments)
    assert (got, out) == (code, "")
    assert says in err
    assert err.count("\n") == 1


def test_a_suites_key_becomes_the_settings(tmp_path: Path, ten: Path) -> None:
    (tmp_path / "im").symlink_to(ten)
    classifier(tmp_path / "m.onnx", size="s")
    (tmp_path / "s.toml").write_text(
        '[[case]]\nmodel = "m.onnx"\ndimensions = {height = 32, width = 32}\n'
        'accuracy = {images = "im", preprocess = "tf", crop = 1.0}\n'
        '[[case]]\nmodel = "MobileNet"\naccuracy = {images = "im"}\n'
    )
    own, named = map(runs.planned, suites.load_suite(str(tmp_path / "s.toml")).cases)
    found = accuracy.measure(Path(own.model), accuracy.settings_of(own), kept=tmp_path / "kept" / "m.jsonl")
    assert (found.origin, found.n, found.source) == ("measured", 60, str(tmp_path / "im"))
    assert found.top1_low is not None
    assert found.top1 is not None
    assert found.top1_low < found.top1
    assert accuracy.settings_of(own).crop == 1.0
    assert accuracy.settings_of(named).preprocess == "tf"
    with pytest.raises(WrongUsage, match="names no images"):
        accuracy.settings_of(replace(own, accuracy=None))


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("3", r's.toml:3: "accuracy" is 3; it must be a table'),
        ("{}", r'"accuracy" names no images; it must be a table, e.g. {images = "DIR"}'),
        ('{images = "im", label = "x"}', r'label is not a key of it; did you mean "labels"'),
        ('{images = 3, preprocess = "tf"}', r"images is 3; it must be a folder of images"),
        ('{images = "im"}', r'how .*m.onnx wants its pixels is not known; add preprocess = "\.\.\.", one of caffe, tf'),
        (
            '{images = "im", preprocess = "imagenet"}',
            r"preprocess is 'imagenet'; .*valid: caffe, included|did you mean",
        ),
        ('{images = "im", preprocess = "tf", crop = 2}', r"crop is 2; it must be a share above 0 and at most 1"),
        ('{images = "nowhere", preprocess = "tf"}', r"images: there is no folder .*nowhere"),
        ('{images = "im", preprocess = "tf", labels = "no.csv"}', r"labels: there is no file .*no.csv"),
    ],
)
def test_a_wrong_accuracy_key_is_answered_with_its_line(tmp_path: Path, value: str, says: str) -> None:
    (tmp_path / "im").mkdir()
    (tmp_path / "s.toml").write_text(f'[[case]]\nmodel = "m.onnx"\naccuracy = {value}\n')
    with pytest.raises(WrongUsage, match=says):
        suites.load_suite(str(tmp_path / "s.toml"))


@pytest.mark.slow
def test_keras_and_onnx_agree_on_real_images(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, ten: Path, built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BACKBENCH_CACHE", str(built))
    code, out, _ = call(
        capsys, "accuracy", "tests.export.nets:varied", "--images", str(ten), "--preprocess", "tf", "--device", "cpu",
        "--agree-with-keras", "--json",
    )  # fmt: skip
    found = json.loads(out)
    assert code == 0
    assert (found["preprocessing"]["height"], found["preprocessing"]["width"]) == (33, 29)
    assert found["agreement"]["inputs"] == 60
    assert found["agreement"]["top1_agreement"] == 1.0
    assert found["agreement"]["passed"]
    assert 0 < found["agreement"]["max_rel"] < 2e-5


@pytest.mark.slow
def test_disagreement_with_keras_is_seen(
    tmp_path: Path, ten: Path, built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnx
    from onnx import numpy_helper

    from bench import export
    from bench.records import Case

    monkeypatch.setenv("BACKBENCH_CACHE", str(built))
    case = Case(name="varied", model="tests.export.nets:varied")
    (made,) = export.export([export.request(case)])
    assert isinstance(made, export.Exported)
    model = onnx.load(made.path)
    kernel = next(weight for weight in model.graph.initializer if np.prod(weight.dims) == 16_000)
    values = numpy_helper.to_array(kernel).copy()
    values.flat[3] += 0.01
    kernel.CopyFrom(numpy_helper.from_array(values, kernel.name))
    onnx.save(model, tmp_path / "changed.onnx")
    settings = accuracy.Settings(images=ten, preprocess="tf")
    found = accuracy.evaluate(tmp_path / "changed.onnx", settings, agree_with=case)
    assert found.agreement is not None
    assert not found.agreement.passed


@pytest.mark.slow
def test_imagenet_weights_offline_then_placed_by_hand(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, ten: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = tmp_path / "keras" / "models"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BACKBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    command = ["accuracy", "MobileNet", "--alpha", "0.25", "--input-size", "128", "--images", str(ten),
               "--device", "cpu", "--json"]  # fmt: skip
    code, out, err = call(capsys, *command)
    assert (code, out, err.count("\n")) == (5, "", 1)
    assert "keras-applications/mobilenet/mobilenet_2_5_128_tf.h5" in err
    assert f"place the file by hand in {models}" in err
    models.mkdir(exist_ok=True, parents=True)
    script = (
        "import sys, h5py, keras\n"
        "from keras.src.legacy.saving import legacy_h5_format  # the format of the files that Keras ships\n"
        "from bench.export import weights\n"
        "options = {'input_shape': (128, 128, 3), 'alpha': 0.25, 'classifier_activation': None}\n"
        "model = keras.applications.MobileNet(weights=None, **options)\n"
        "weights.randomise(model, weights.images(3, (128, 128, 3), 'tf', 3), 3)\n"
        "legacy_h5_format.save_weights_to_hdf5_group(h5py.File(sys.argv[1], 'w'), model)"
    )
    placed = models / "mobilenet_2_5_128_tf.h5"
    subprocess.run([sys.executable, "-c", script, str(placed)], check=True, capture_output=True)
    code, out, err = call(capsys, *command, "--agree-with-keras")
    assert code == 0, err
    found = json.loads(out)
    assert (found["n"], found["outputs"], found["preprocessing"]["preprocess"]) == (60, 1000, "tf")
    assert found["agreement"]["passed"]
