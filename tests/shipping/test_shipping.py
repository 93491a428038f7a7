"""A model's folder: what its program says, what it needs, and when it is not written."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from markdown_it import MarkdownIt
from PIL import Image

from bench import data, shipping, store, suites
from bench.accuracy import measuring
from bench.cli import main
from bench.errors import Failed, NoModel, WrongUsage
from bench.export import artifact_of_file, completed
from bench.models.preprocessing import batch_array, preprocessing, write
from bench.records import Accuracy, Case, Record, Run
from bench.shipping import card, program
from bench.suites import DATA_SETS
from bench.units import latency
from tests import runs
from tests.accuracy.sets import FLOAT16, UINT8, classifier, photo, photos

WORDS = [f"kind {letter}" for letter in "abcdefghij"]
FILES = ("labels.txt", "model-card.md", "model.onnx", "predict.py", "requirements.txt")
RNG = np.random.default_rng(3)


def own(path: Path, folder: Path | None = None, **more: Any) -> Record:
    """The record of an own file, judged on a folder of images."""
    judged = {"images": str(folder), "preprocess": "tf"} | more if folder else None
    case = completed(runs.planned(suites.case_of_model(str(path), accuracy=judged)))
    return replace(runs.record(case), case=case, artifact=artifact_of_file(path))


def shipped(record: Record, folder: Path, **more: Any) -> shipping.Shipped:
    return shipping.ship(runs.run([record]), record, folder, shipping.Asked(limits={}, **more))


def says(folder: Path, *pictures: Path) -> list[str]:
    """What the program prints when it is run elsewhere."""
    command = [sys.executable, "-I", str(folder / "predict.py"), *map(str, pictures)]
    done = subprocess.run(command, cwd=folder.parent, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


@pytest.mark.long
def test_the_program_says_what_was_measured(tmp_path: Path) -> None:
    images = photos(tmp_path / "images", WORDS, each=2)
    record = own(classifier(tmp_path / "net.onnx"), images)
    done = shipped(record, tmp_path / "out")
    assert done.files == FILES
    assert len(done.images) == 5
    assert done.largest_difference < 1e-5
    settings = measuring.settings_of(record.case)
    judged = measuring.evaluate(tmp_path / "net.onnx", settings)
    for mistake in judged.mistakes:
        (line,) = says(tmp_path / "out", images / mistake.file)
        assert re.search(r": (kind \w) (0\.\d+), ", line)[1] == mistake.answer  # type: ignore[index]
        assert f"{mistake.answer} {mistake.score:.6f}"[:-1] in line


@pytest.mark.long
@pytest.mark.parametrize(
    ("net", "judged"),
    [
        ({"layout": "NCHW"}, {}),
        ({"softmax": False}, {"preprocess": "torch"}),
        ({"batch": 4}, {"preprocess": "caffe"}),
        ({"kind": UINT8}, {"preprocess": "none"}),
        ({"kind": FLOAT16}, {"preprocess": "unit"}),
        ({"layout": "NCHW", "kind": UINT8}, {"preprocess": "none", "interpolation": "bicubic"}),
        ({"size": 40}, {"crop": 0.6}),
        ({}, {"resize": "stretch"}),
        ({"batch": 1}, {"preprocess": "included"}),
    ],
)
def test_every_way_of_preparing_an_image(net: dict[str, Any], judged: dict[str, Any], tmp_path: Path) -> None:
    images = photos(tmp_path / "images", WORDS, each=1, size=(90, 61))
    record = own(classifier(tmp_path / "net.onnx", **net), images, **judged)
    assert shipped(record, tmp_path / "out").largest_difference < 1e-5


def test_odd_images_are_prepared_as_they_were_judged(tmp_path: Path) -> None:
    images = photos(tmp_path / "images", WORDS, each=1)
    odd = tmp_path / "odd"
    odd.mkdir()
    exif = Image.Exif()
    exif[0x0112] = 8
    photo(RNG, (1600, 1200)).save(odd / "a.jpg", exif=exif)  # large: decoded at a part of its size, and turned
    photo(RNG).convert("CMYK").save(odd / "b.jpg")
    photo(RNG).convert("L").save(odd / "c.png")
    Image.fromarray(RNG.integers(0, 65535, (50, 70), dtype=np.uint16)).save(odd / "d.png")
    photo(RNG).convert("RGBA").save(odd / "e.png")
    record = own(classifier(tmp_path / "net.onnx"), images)
    done = shipped(record, tmp_path / "out", images=odd)
    assert done.images == ("a.jpg", "b.jpg", "c.png", "d.png", "e.png")
    assert done.largest_difference < 1e-5


def test_images_that_cannot_be_read_are_passed_over(tmp_path: Path) -> None:
    images = photos(tmp_path / "images", WORDS, each=1)
    for number in range(8):
        (images / WORDS[0] / f"{number} broken.jpg").write_bytes(b"no image")
    record = own(classifier(tmp_path / "net.onnx"), images)
    assert len(shipped(record, tmp_path / "out").images) == 5
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "a.jpg").write_bytes(b"no image")
    with pytest.raises(Failed, match="cannot be read"):
        shipped(record, tmp_path / "none", images=bad)


def test_the_program_needs_the_runtime_numpy_and_pillow_alone(tmp_path: Path) -> None:
    record = own(classifier(tmp_path / "net.onnx"), photos(tmp_path / "images", WORDS, each=1))
    shipped(record, tmp_path / "out")
    tree = ast.parse((tmp_path / "out" / "predict.py").read_text())
    names = {a.name for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names}
    names |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in names} - sys.stdlib_module_names == {"numpy", "onnxruntime", "PIL"}
    needed = (tmp_path / "out" / "requirements.txt").read_text().split()
    assert [line.partition("==")[0] for line in needed] == ["onnxruntime", "numpy", "pillow"]
    body = (tmp_path / "out" / "predict.py").read_text().partition("HERE =")[2].splitlines()
    assert len([line for line in body if line.strip() and not line.strip().startswith(('"""', "#"))]) <= 35


@pytest.mark.parametrize(
    ("what", "slip"),
    [
        ("_scaled", lambda p: "pixels / np.float32(127.5) - np.float32(0.98)"),
        ("_draft", lambda p: "    image = image.rotate(90)\n"),
        ("_scores", lambda single, probabilities: "    return scores[::-1]"),
        ("_draft", lambda p: "    raise SystemExit(3)\n"),
    ],
)
def test_a_program_that_says_anything_else_is_never_written(
    what: str, slip: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = own(classifier(tmp_path / "net.onnx"), photos(tmp_path / "images", WORDS, each=1))
    monkeypatch.setattr(program, what, slip)
    with pytest.raises(Failed, match="nothing was written"):
        shipped(record, tmp_path / "place" / "out")
    assert list((tmp_path / "place").iterdir()) == []


def test_labels_in_another_order_are_never_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = own(classifier(tmp_path / "net.onnx"), photos(tmp_path / "images", WORDS, each=1))
    text = Path.write_text

    def swapped(path: Path, said: str, **more: Any) -> int:
        return text(path, "\n".join(said.splitlines()[::-1]) if path.name == "labels.txt" else said, **more)

    monkeypatch.setattr(Path, "write_text", swapped)
    with pytest.raises(Failed, match="does not say what was measured"):
        shipped(record, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_disk_that_is_full_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = own(classifier(tmp_path / "net.onnx"), photos(tmp_path / "images", WORDS, each=1))

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", full)
    with pytest.raises(Failed, match="No space left"):
        shipped(record, tmp_path / "place" / "out")
    assert list((tmp_path / "place").iterdir()) == []


def test_a_folder_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    record = own(classifier(tmp_path / "net.onnx"), photos(tmp_path / "images", WORDS, each=1))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("x")
    with pytest.raises(WrongUsage, match="is there already"):
        shipped(record, tmp_path / "out")
    assert [each.name for each in (tmp_path / "out").iterdir()] == ["mine"]


@pytest.mark.long
def test_an_own_file_without_images_needs_to_be_told_the_scaling(tmp_path: Path) -> None:
    record = own(classifier(tmp_path / "net.onnx"))
    with pytest.raises(WrongUsage, match="give --preprocess"):
        shipped(record, tmp_path / "out")
    done = shipped(record, tmp_path / "out", preprocess="tf")
    assert done.source.startswith("made-up")
    assert "--classes" in done.notes[0]
    (tmp_path / "names.txt").write_text("\n".join(WORDS))
    shipped(record, tmp_path / "named", preprocess="tf", classes=tmp_path / "names.txt")
    assert (tmp_path / "named" / "labels.txt").read_text().split("\n")[:2] == WORDS[:2]
    (tmp_path / "names.txt").write_text("\n".join(WORDS[:4]))
    with pytest.raises(WrongUsage, match="lists 4 classes"):
        shipped(record, tmp_path / "fewer", preprocess="tf", classes=tmp_path / "names.txt")


def test_a_file_that_is_gone_or_changed_is_said(tmp_path: Path) -> None:
    record = own(classifier(tmp_path / "net.onnx"), photos(tmp_path / "images", WORDS, each=1))
    classifier(tmp_path / "net.onnx", offset=0.1)
    with pytest.raises(Failed, match="its file is gone"):
        shipped(record, tmp_path / "out")
    with pytest.raises(Failed, match="nothing was exported"):
        shipped(replace(record, artifact=None), tmp_path / "out")


def test_names_that_try_to_be_code_stay_names(tmp_path: Path) -> None:
    words = ["`a` <script>", "b, 1.0", "c\u2028d", *WORDS[3:]]
    record = own(classifier(tmp_path / "net.onnx"), photos(tmp_path / "images", words, each=1))
    record = replace(record, case=replace(record.case, name=runs.HOSTILE[0]),
                     accuracy=Accuracy(origin="measured", top1=50.0, n=10, top1_low=20.0, top1_high=80.0,
                                       source="``` <img src=x>"))  # fmt: skip
    shipped(record, tmp_path / "out")
    assert len((tmp_path / "out" / "labels.txt").read_text().rstrip("\n").split("\n")) == 10
    html = MarkdownIt().render((tmp_path / "out" / "model-card.md").read_text())
    assert "<script" not in html
    assert "<img" not in html


def chosen(run: Run, **more: Any) -> str:
    return shipping.chosen(run, shipping.Asked(**{"limits": {}} | more)).case.name


def test_the_same_choice_as_pick() -> None:
    from bench.analysis import choice

    run = runs.of_suite()
    limits = {"p50": 20.0}
    assert chosen(run, limits=limits) == choice.pick(run, limits).winner.case  # type: ignore[union-attr]
    assert chosen(run, model="mobilenet") == "MobileNet"
    assert chosen(runs.run(run.records[:1])) == run.records[0].case.name
    with pytest.raises(WrongUsage, match="give a limit"):
        chosen(run)
    with pytest.raises(NoModel, match="nearest"):
        chosen(run, limits={"p50": 0.001})
    with pytest.raises(WrongUsage, match='did you mean "MobileNet"'):
        chosen(run, model="MobilNet")
    with pytest.raises(WrongUsage, match="leave the limits out"):
        chosen(run, model="MobileNet", limits=limits)


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    photos(tmp_path / "images", WORDS, each=1)
    record = own(classifier(Path("net.onnx")), Path("images"))  # from here, as one types them
    store.create(Path("results"), runs.run([record]))
    with pytest.raises(SystemExit) as ended:
        main(["ship", "--p50", "1s", "--json"])
    assert ended.value.code == 0
    said = json.loads(capsys.readouterr().out)
    assert tuple(said["files"]) == FILES
    assert Path(said["folder"]).parent == Path("results/shipped")
    with pytest.raises(SystemExit) as ended:
        main(["ship", "--p50", "1s"])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert out.index("this run is") < out.index("shipped: ")
    assert len(list(Path("results/shipped").iterdir())) == 2
    with pytest.raises(SystemExit) as ended:
        main(["ship", "--p50", "1us"])
    assert ended.value.code == 6


def card_of(case: Case, **more: Any) -> str:
    record = replace(runs.record(case), **more)
    p = preprocessing("tf", height=8, width=8, layout="NHWC", dtype="float32", decoder="Pillow")
    checked = card.Checked(images=5, source="images", largest_difference=1e-7, preprocessing=p, labels=10)
    return card.text(runs.run([record]), record, Path("model.onnx"), checked, ())


def test_the_card_says_where_figures_and_weights_come_from() -> None:
    case = suites.case_of_model("VGG16", weights="imagenet")
    record = runs.record(case)
    text = card_of(case)
    m = record.measurement
    assert m
    assert latency(m.p50_ms, m.p50_ms_low, m.p50_ms_high) in text
    assert "Imaginary CPU 9000" in text
    assert "this run is" in text
    assert "Creative Commons" in text
    assert "not commercial" in text
    assert "not this file's" not in text
    assert "not this file's" in card_of(suites.case_of_model("VGG16"))
    assert "**random**" in card_of(suites.case_of_model("VGG16"))
    assert "licence: not known" in card_of(suites.case_of_model("ResNeXt50", weights="imagenet"))
    measured = Accuracy(origin="measured", top1=91.0, n=120, top1_low=84.5, top1_high=95.0, source="mine")
    assert "91.0 % [84.5, 95.0], measured on 120 images: `mine`" in card_of(case, accuracy=measured)


@pytest.mark.parametrize("name", DATA_SETS)
def test_embedded_images_are_scaled_as_the_program_scales_them(name: str) -> None:
    pixels = RNG.integers(0, 256, (1, 8, 8, 3), dtype=np.uint8)
    p = preprocessing("tf", height=8, width=8, layout="NHWC", dtype="float32", decoder="Pillow", crop=1.0)
    batch = batch_array(1, p)
    write(pixels[0], batch[0], p)
    np.testing.assert_array_equal(batch, data.get(name).model_input(pixels))
