"""Features of images: what a backbone's file makes of them, averaged, computed once and kept by content."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from bench.accuracy import Settings
from bench.accuracy import features as kept
from bench.accuracy.features import features
from bench.errors import Failed, WrongUsage
from bench.runtimes.device import DEFAULT
from tests.accuracy import sets

CHANNELS = 5


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A convolution whose maps come out as Keras's do, channels last."""
    kernel = np.random.default_rng(3).normal(0, 0.3, (CHANNELS, 3, 3, 3)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Transpose", ["image"], ["nchw"], perm=[0, 3, 1, 2]),
            helper.make_node("Conv", ["nchw", "kernel"], ["maps"]),
            helper.make_node("Transpose", ["maps"], ["features"], perm=[0, 2, 3, 1]),
        ],
        "backbone",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 32, 32, 3])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", 30, 30, CHANNELS])],
        [numpy_helper.from_array(kernel, "kernel")],
    )
    path = tmp_path_factory.mktemp("backbone") / "backbone.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.fixture
def photographs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Settings, list[str]]:
    monkeypatch.setenv("BACKBENCH_CACHE", str(tmp_path / "cache"))
    folder = sets.photos(tmp_path / "photos", ["cat", "dog"], each=10)
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.jpg"))
    return Settings(images=folder, preprocess="unit", batch_size=4), files


def test_features_are_the_averages_of_the_maps(backbone: Path, photographs: tuple[Settings, list[str]]) -> None:
    settings, files = photographs
    plain = settings.images / "cat" / "grey.png"
    Image.new("RGB", (64, 64), (51, 102, 204)).save(plain)
    made = features(backbone, settings, ["cat/grey.png"])
    kernel = numpy_helper.to_array(onnx.load(backbone).graph.initializer[0])
    wanted = kernel.sum(axis=(2, 3)) @ np.array([51, 102, 204]) / 255
    assert made.rows.shape == (1, CHANNELS)
    assert np.allclose(made.rows[0], wanted, atol=1e-4)
    everything = features(backbone, settings, files).rows
    alone = np.concatenate([features(backbone, settings, [file]).rows for file in files[:3]])
    assert np.allclose(everything[:3], alone, atol=1e-6)


def test_they_follow_from_the_content_wherever_it_lies(backbone: Path, photographs: tuple[Settings, list[str]]) -> None:
    settings, files = photographs
    first = features(backbone, settings, files)
    assert first.computed == 20
    moved = settings.images.parent / "moved"
    shutil.move(settings.images, moved)
    again = features(backbone, Settings(images=moved, preprocess="unit"), files[::-1])
    assert again.computed == 0
    assert np.array_equal(again.rows, first.rows[::-1])
    other = features(backbone, Settings(images=moved, preprocess="tf"), files)
    assert other.computed == 20
    assert not np.allclose(other.rows, first.rows)


def test_after_a_kill_only_the_rest_is_computed(
    backbone: Path, photographs: tuple[Settings, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, files = photographs
    whole = features(backbone, settings, files)

    def killed(done: int, of: int) -> None:
        if done == 8:
            raise KeyboardInterrupt

    monkeypatch.setenv("BACKBENCH_CACHE", str(tmp_path / "other"))
    with pytest.raises(KeyboardInterrupt):
        features(backbone, settings, files, progress=killed)
    (file,) = kept.folder().glob("*.features")
    with file.open("ab") as cut:
        cut.write(b"half a record")
    again = features(backbone, settings, files)
    assert again.computed == 12
    assert np.array_equal(again.rows, whole.rows)


def test_a_damaged_record_is_computed_again(backbone: Path, photographs: tuple[Settings, list[str]]) -> None:
    settings, files = photographs
    whole = features(backbone, settings, files)
    (file,) = kept.folder().glob("*.features")
    content = bytearray(file.read_bytes())
    content[len(content) // 2 + 40] ^= 1
    file.write_bytes(content)
    again = features(backbone, settings, files)
    assert again.computed == 1
    assert np.array_equal(again.rows, whole.rows)


def test_a_full_disk_says_so_and_loses_nothing(
    backbone: Path, photographs: tuple[Settings, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, files = photographs
    real = Path.open

    def full(path: Path, mode: str = "r", *rest: object, **more: object) -> object:
        if path.suffix == ".features" and mode == "ab" and path.stat().st_size > 300:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(path, mode, *rest, **more)  # type: ignore[call-overload]

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", full)
        with pytest.raises(Failed, match=r"cannot write the features cache .*No space left on device; free some space"):
            features(backbone, settings, files)
    assert features(backbone, settings, files).computed < 20


def test_what_cannot_be_read_is_named_and_has_no_features(
    backbone: Path, photographs: tuple[Settings, list[str]]
) -> None:
    settings, files = photographs
    (settings.images / "cat" / "broken.png").write_bytes(b"no picture")
    made = features(backbone, settings, ["cat/broken.png", files[0], "cat/gone.png"])
    assert [problem is None for problem in made.problems] == [False, True, False]
    assert made.computed == 1
    assert not made.rows[[0, 2]].any()
    assert made.rows[1].any()


def test_a_file_without_maps_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKBENCH_CACHE", str(tmp_path / "cache"))
    folder = sets.photos(tmp_path / "photos", ["cat"])
    path = sets.classifier(tmp_path / "odd.onnx", outputs=4)
    model = onnx.load(path)
    model.graph.node.append(helper.make_node("Unsqueeze", ["scores", "axes"], ["deep"]))
    model.graph.initializer.append(numpy_helper.from_array(np.array([2]), "axes"))
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info("deep", TensorProto.FLOAT, ["batch", 4, 1]))
    onnx.save(model, path)
    with pytest.raises(WrongUsage, match="has no features of images"):
        features(path, Settings(images=folder, preprocess="unit", runtime=DEFAULT), ["cat/000.jpg"])
