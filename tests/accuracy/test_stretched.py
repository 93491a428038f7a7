"""Images stretched out of shape, as Keras loads them: pixels held against a recount, and the way to the command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bench import suites
from bench.accuracy import settings_of
from bench.cli import main
from bench.errors import WrongUsage
from bench.models.decoding import decode
from bench.models.preprocessing import Pixels, Preprocessing, preprocessing
from tests import runs
from tests.accuracy.sets import classifier, photo, photos

RNG = np.random.default_rng(5)


def how(height: int = 32, width: int = 32, **options: Any) -> Preprocessing:
    return preprocessing(
        "unit", height=height, width=width, layout="NHWC", dtype="float32", decoder="Pillow",
        **({"resize": "stretch"} | options),
    )  # fmt: skip


def stretched(pixels: Pixels, height: int, width: int) -> Any:
    """Bilinear between the four nearest pixels, their centres at halves: what `tf.image.resize` does."""
    ndimage = pytest.importorskip("scipy.ndimage")
    rows, columns = (
        (np.arange(size) + 0.5) * length / size - 0.5
        for size, length in zip((height, width), pixels.shape[:2], strict=True)
    )
    grid = np.meshgrid(rows, columns, indexing="ij")
    bands = [ndimage.map_coordinates(pixels[..., k].astype(float), grid, order=1, mode="nearest") for k in range(3)]
    return np.stack(bands, axis=-1)


@pytest.mark.parametrize("size", [(60, 45), (500, 30), (33, 200), (8, 8), (1, 1), (32, 32)])
@pytest.mark.parametrize("to", [(32, 32), (20, 48)])
def test_pixels_are_those_of_keras_own_loading(tmp_path: Path, size: tuple[int, int], to: tuple[int, int]) -> None:
    image = photo(RNG, size)
    image.save(tmp_path / "a.png")
    found = decode(tmp_path / "a.png", how(*to))
    assert found.shape == (*to, 3)
    assert np.abs(found - stretched(np.asarray(image), *to)).max() <= 0.501


def test_nothing_is_cut_off_and_no_jpeg_is_decoded_at_a_part_of_its_size(tmp_path: Path) -> None:
    wide = np.zeros((100, 900, 3), np.uint8)
    wide[:, :90] = wide[:, -90:] = 255
    Image.fromarray(wide).save(tmp_path / "a.jpg", quality=100)
    found = decode(tmp_path / "a.jpg", how())
    assert (found[16, 1] > 250).all()
    assert (found[16, 30] > 250).all()
    assert (found[16, 16] < 5).all()
    assert (decode(tmp_path / "a.jpg", how(resize="cover"))[16, 1] < 5).all()
    large = photo(RNG, (1200, 900))
    large.save(tmp_path / "b.jpg", quality=95)
    whole = np.asarray(Image.open(tmp_path / "b.jpg"))
    assert np.abs(decode(tmp_path / "b.jpg", how()) - stretched(whole, 32, 32)).max() <= 0.501


def test_a_crop_of_a_stretched_image_is_refused(tmp_path: Path) -> None:
    assert how(crop=1) == how()
    with pytest.raises(WrongUsage, match=r"stretched images are whole, and none of them is cropped to 0.875"):
        how(crop=0.875)
    photos(tmp_path / "im", ["0"])
    (tmp_path / "s.toml").write_text(
        '[[case]]\nmodel = "m.onnx"\naccuracy = {images = "im", preprocess = "tf", resize = "stretch", crop = 0.9}\n'
    )
    with pytest.raises(WrongUsage, match=r's.toml:3: "accuracy": crop has no effect on images that are stretched'):
        suites.load_suite(str(tmp_path / "s.toml"))


def test_the_suite_and_the_command_take_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    photos(tmp_path / "im", ["0", "1"])
    classifier(tmp_path / "m.onnx")
    (tmp_path / "s.toml").write_text(
        '[[case]]\nmodel = "m.onnx"\n'
        'accuracy = {images = "im", preprocess = "tf", resize = "stretch", class_order = "text"}\n'
    )
    (case,) = map(runs.planned, suites.load_suite("s.toml").cases)
    assert (settings_of(case).resize, settings_of(case).class_order, settings_of(case).crop) == (
        "stretch", "text", None,
    )  # fmt: skip
    with pytest.raises(SystemExit) as stopped:
        main(["accuracy", "m.onnx", "--images", "im", "--preprocess", "tf", "--device", "cpu", "--resize", "stretch",
              "--json"])  # fmt: skip
    assert stopped.value.code == 0
    found = json.loads(capsys.readouterr().out)["preprocessing"]
    assert (found["resize"], found["antialias"], found["jpeg_draft"]) == ("stretch", False, 0)
    assert str(how()).startswith("stretched to 32x32 (bilinear, not antialiased, as Keras loads images), RGB / 255")
