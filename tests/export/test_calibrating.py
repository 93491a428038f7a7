"""Ranges from images of one's own: which are used, how they become inputs, what is said where there are none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from bench import export, suites
from bench.analysis import precision
from bench.cli import main
from bench.errors import Failed, WrongUsage
from bench.export import cache, calibrating, quantise
from bench.records import Accuracy, Artifact, Calibration, Case, Cost
from bench.report import page
from bench.report.markdown import summary
from tests import runs

SIZE = 16


def picture(path: Path, level: float, seed: int = 0) -> Path:
    """A grey image of a level from 0 to 255 with a little noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(-3, 4, (SIZE, SIZE, 3))
    Image.fromarray((level + noise).clip(0, 255).astype(np.uint8)).save(path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Forty images of four classes, each of its own level, in two layers of folders."""
    for i in range(40):
        picture(tmp_path / "images" / f"part{i % 2}" / f"class{i // 10}" / f"{i}.png", 30 + 60 * (i // 10), seed=i)
    return tmp_path / "images"


def test_images_are_spread_over_the_folder_and_used_once(folder: Path) -> None:
    ranging, others = calibrating.files(folder)
    assert (len(ranging), len(others)) == (20, 20)
    assert not set(ranging) & set(others)
    for part in (ranging, others):
        assert {path.parent.name for path in part} == {"class0", "class1", "class2", "class3"}


def test_leftovers_and_links_back_are_no_images(folder: Path) -> None:
    before = calibrating.files(folder)
    for name in ("__MACOSX/._0.png", "@eaDir/0.png", "$RECYCLE.BIN/0.png", ".trash/0.png", "part0/.hidden.png"):
        picture(folder / name, 9)
    (folder / "notes.txt").write_text("no image")
    (folder / "part0" / "again").symlink_to(folder)
    assert calibrating.files(folder) == before


def test_at_most_so_many_are_used_of_a_large_folder(tmp_path: Path) -> None:
    for i in range(1000):
        (tmp_path / f"{i:04}.png").write_bytes(b"")
    ranging, others = calibrating.files(tmp_path)
    assert (len(ranging), len(others)) == (200, 200)
    assert others[-1].name >= "0990.png"


def test_too_few_images_and_no_folder_are_said(tmp_path: Path) -> None:
    for i in range(15):
        picture(tmp_path / f"{i}.png", 10)
    with pytest.raises(WrongUsage, match=r"holds 15 images; calibration needs 16 or more"):
        calibrating.files(tmp_path)
    with pytest.raises(WrongUsage, match="there is no folder"):
        calibrating.files(tmp_path / "nowhere")


def request(images: Path | None, model: str = "ResNet50", **more: str) -> export.ExportRequest:
    calibrate = Calibration(images=str(images), **more) if images else None
    return export.request(Case(name="x", model=model, precision="int8", calibrate=calibrate))


def test_other_images_are_another_file(folder: Path, tmp_path: Path) -> None:
    known = request(folder).key
    assert request(folder).key == known
    assert request(None).key != known
    assert request(folder).full_precision == request(None).full_precision
    picture(folder / "part0" / "class0" / "0.png", 200)
    changed = request(folder).key
    assert changed != known
    picture(folder / "part1" / "more.png", 20)
    assert request(folder).key not in (known, changed)
    assert request(folder, preprocess="tf").key != request(folder).key


@pytest.mark.parametrize(
    ("asked", "takes_pixels", "dtype", "least", "most"),
    [
        ({"preprocess": "unit"}, False, "float32", 0.1, 0.85),
        ({"preprocess": "tf"}, True, "float32", -0.8, 0.68),
        ({}, True, "float32", 27, 213),
        ({}, False, "uint8", 27, 213),
    ],
)
def test_pixels_are_scaled_as_the_model_wants_them(
    asked: dict[str, str], takes_pixels: bool, dtype: str, least: float, most: float, folder: Path
) -> None:
    wanted = request(folder, model=str(folder / "m.keras"), **asked)
    for shape in ((SIZE, SIZE, 3), (SIZE, SIZE, 1), (SIZE, SIZE), (24, 12, 3)):
        parts = calibrating.parts(wanted, shape, dtype, takes_pixels=takes_pixels)
        for part in parts:
            assert (part.shape, part.dtype) == ((20, *shape), np.dtype(dtype))
            assert least <= part.min() < part.max() <= most
        assert parts[0].max() - parts[0].min() > 0.75 * (most - least)


def test_what_is_not_known_or_impossible_is_said(folder: Path) -> None:
    wanted = request(folder, model=str(folder / "m.keras"))
    with pytest.raises(WrongUsage, match="give --preprocess, one of caffe"):
        calibrating.parts(wanted, (SIZE, SIZE, 3), "float32", takes_pixels=False)
    for shape in ((784,), (4, SIZE, SIZE, 3), (SIZE, SIZE, 5)):
        with pytest.raises(Failed, match="takes no images of height x width x 1 or 3"):
            calibrating.parts(wanted, shape, "float32", takes_pixels=True)
    for path in folder.rglob("*.png"):
        path.write_bytes(b"no image")
    with pytest.raises(Failed, match="only 0 can be read"):
        calibrating.parts(wanted, (SIZE, SIZE, 3), "float32", takes_pixels=True)
    named = calibrating.parts  # of a named family the preprocessing is known
    with pytest.raises(Failed, match="only 0 can be read"):
        named(request(folder), (SIZE, SIZE, 3), "float32", takes_pixels=False)


def levels(path: Path) -> Path:
    """A classifier of the level of an image in pixels from 0 to 255, (batch, 16, 16, 3), with a hidden layer.

    What separates the classes is a small part of what noise brings about: ranges from noise leave few steps for it.
    """
    rng = np.random.default_rng(4)
    centres = np.array([30, 90, 150, 210], np.float32)
    mean = np.full((SIZE * SIZE * 3, 1), 1 / (SIZE * SIZE * 3), np.float32)
    rough = rng.normal(0, 40, (SIZE * SIZE * 3, 12)).astype(np.float32)
    rough -= rough.mean(axis=0)  # nothing for an even image, much for noise
    scores = np.concatenate([2 * centres[None] / 100, np.zeros((12, 4), np.float32)]).astype(np.float32)
    tensors = {
        "shape": np.array([-1, SIZE * SIZE * 3]), "first": np.concatenate([mean, rough], axis=1), "second": scores,
        "bias": (-(centres**2) / 100).astype(np.float32),
    }  # fmt: skip
    nodes = [
        helper.make_node("Reshape", ["image", "shape"], ["flat"], "flat"),
        helper.make_node("MatMul", ["flat", "first"], ["hidden"], "first"),
        helper.make_node("MatMul", ["hidden", "second"], ["product"], "second"),
        helper.make_node("Add", ["product", "bias"], ["logits"], "add"),
    ]
    graph = helper.make_graph(
        nodes, "levels",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", SIZE, SIZE, 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 4])],
        [numpy_helper.from_array(value, name) for name, value in tensors.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(onnx.shape_inference.infer_shapes(model), path)
    return path


def right(path: Path, folder: Path) -> float:
    """The share of a folder's images of which a file finds the class."""
    from bench.export import fidelity

    paths = sorted(folder.rglob("*.png"))
    pixels: NDArray[np.float32] = np.stack([np.asarray(Image.open(p), np.float32) for p in paths])
    found = fidelity.run(path, pixels).argmax(1)
    return float(np.mean(found == [int(p.parent.name[-1]) for p in paths]))


def test_noise_is_told_from_images(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """int8 of a classifier that is always right: all but blind with ranges from noise, right with its images."""
    monkeypatch.setenv("BACKBENCH_CACHE", str(tmp_path / "cache"))
    twin = levels(tmp_path / "levels.onnx")
    assert right(twin, folder) == 1.0
    (tmp_path / "m.keras").write_bytes(b"stands for its Keras model")
    known = cache.Entry(
        label="levels", artifact=Artifact(sha256="0", size_bytes=1, opset=18), cost=Cost(mult_adds=1, params=1),
        takes_pixels=True,
    )  # fmt: skip
    path, entry = quantise.reduce(request(None, str(tmp_path / "m.keras")), twin, known)
    blind = entry.artifact
    assert right(path, folder) < 0.6
    assert blind.fidelity is not None
    assert (blind.fidelity.top1_agreement, blind.calibration, blind.calibration_images) == (None, "synthetic", 64)
    assert any("random noise" in said and "--calibrate DIR" in said for said in blind.warnings)

    path, entry = quantise.reduce(request(folder, str(tmp_path / "m.keras")), twin, known)
    good = entry.artifact
    assert right(path, folder) > 0.95
    assert good.fidelity is not None
    assert good.fidelity.top1_agreement is not None
    assert good.fidelity.top1_agreement > 0.95
    assert (good.fidelity.inputs, good.calibration, good.calibration_images) == (20, str(folder), 20)
    assert good.warnings == ()
    assert good.integers == export.request(Case(name="x", model="VGG16", precision="int8")).integers


def test_a_single_score_says_yes_or_no() -> None:
    for rows, wanted in (([[0.2], [0.7]], [False, True]), ([[-3.0], [0.4]], [False, True])):
        values = np.array(rows)
        assert quantise._class_reader(values)(values).tolist() == wanted


def test_suites_name_images(folder: Path, tmp_path: Path) -> None:
    suite = tmp_path / "suite.toml"
    both = '[[case]]\nmodel = "MobileNet"\nprecision = ["fp32", "int8"]\n'
    suite.write_text(both + 'calibrate = "images"\n')
    plain, reduced = suites.load_suite(suite).cases
    assert (plain.calibrate, reduced.calibrate) == (None, Calibration(images=str(folder)))
    suite.write_text(both + 'calibrate = { images = "images", preprocess = "tf" }\n')
    assert suites.load_suite(suite).cases[1].calibrate == Calibration(images=str(folder), preprocess="tf")
    for text, says in (
        (both + 'calibrate = "nowhere"\n', "there is no folder"),
        (both + "calibrate = 3\n", "must be a folder of images"),
        (both + 'calibrate = { image = "images" }\n', 'did you mean "images"'),
        (both + 'calibrate = { preprocess = "tf" }\n', "names no images"),
        ('[[case]]\nmodel = "MobileNet"\ncalibrate = "images"\n', "has no effect on fp32"),
    ):
        suite.write_text(text)
        with pytest.raises(WrongUsage, match=says):
            suites.load_suite(suite)


def test_the_option_is_for_lower_precisions(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cases = (Case(name="a", model="MobileNet"), Case(name="b", model="MobileNet", precision="int8"))
    assert [case.calibrate for case in suites.calibrated(cases, str(folder), "tf")] == [
        None, Calibration(images=str(folder), preprocess="tf"),
    ]  # fmt: skip
    for command in (
        ["export", "MobileNet", "-o", "m.onnx", "--calibrate", str(folder)],
        ["run", "default", "--calibrate", str(folder)],
    ):
        with pytest.raises(SystemExit) as stopped:
            main(command)
        assert stopped.value.code == 2
        assert "no effect on fp32" in capsys.readouterr().err


def test_the_warning_stands_in_table_page_and_markdown() -> None:
    full = replace(runs.record(suites.case_of_model("ResNet50")), accuracy=Accuracy(origin="none"))
    assert full.artifact is not None
    small = replace(
        full, case=replace(full.case, name="ResNet50 int8", precision="int8", calibrate=Calibration(images="x")),
        artifact=replace(full.artifact, warnings=("from random noise",)),
    )  # fmt: skip
    assert precision.pairs([full, small]) == [(full, small)]
    for records in ([full, small], [small]):
        run = runs.run(records)
        (change,) = precision.changes(run)
        assert "from random noise" in precision.row(change)[-1]
        assert "from random noise" in page.render(run)
        assert "from random noise" in summary(run)
    seven = replace(small, artifact=replace(full.artifact, integers="u8s7"))
    assert "weights of 7 bits" in precision.row(precision.changes(runs.run([full, seven]))[0])[-1]
    odd = replace(full, artifact=replace(full.artifact, warnings=("computes in mixed_float16",)))
    assert "computes in mixed_float16" in page.render(runs.run([odd]))
    assert "computes in mixed_float16" in summary(runs.run([odd]))
