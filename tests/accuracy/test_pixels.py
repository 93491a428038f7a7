"""From image files to a model's input: every kind of file, and the families' own preprocessing."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from PIL import Image

from bench import suites
from bench.errors import WrongUsage
from bench.models import preprocessing as pre
from bench.models.decoding import Unreadable, crop_box, decode
from tests.accuracy.sets import photo

RNG = np.random.default_rng(5)


def how(size: int = 32, width: int | None = None, **changes: Any) -> pre.Preprocessing:
    known = {"layout": "NHWC", "dtype": "float32", "decoder": "Pillow"}
    return pre.preprocessing(changes.pop("preprocess", "tf"), height=size, width=width or size, **(known | changes))


def saved(path: Path, image: Image.Image, **options: Any) -> Path:
    image.save(path, **options)
    return path


def resized_and_cropped(image: Image.Image, size: int, kind: str = "bilinear") -> Any:
    """What the preprocessing says, done the long way."""
    side = round(size / 0.875)
    width, height = image.size
    short = min(width, height)
    whole = image.resize((side * width // short, side * height // short), Image.Resampling[kind.upper()])
    left, top = (whole.width - size) // 2, (whole.height - size) // 2
    return np.asarray(whole.crop((left, top, left + size, top + size))).astype(int)


def test_the_formulas_are_the_ones_that_a_suite_may_name() -> None:
    assert tuple(pre.FORMULAS) == suites.PREPROCESSES
    assert {fact["preprocess"] for fact in suites.backbones().values()} <= set(pre.FORMULAS)


@pytest.mark.slow
def test_scaling_is_that_of_keras_for_every_family() -> None:
    pixels = RNG.integers(0, 256, (16, 16, 3), dtype=np.uint8)
    script = (
        "import sys, numpy as np; from keras import applications as a\n"
        "pixels = np.frombuffer(sys.stdin.buffer.read(), np.uint8).reshape(16, 16, 3)\n"
        "of = {f.__module__.rpartition('.')[2] + ':' + n: getattr(getattr(a, m), 'preprocess_input')\n"
        "      for m in dir(a) if hasattr(getattr(a, m), 'preprocess_input')\n"
        "      for n, f in vars(getattr(a, m)).items() if n[0].isupper()}\n"
        "found = {k.partition(':')[2]: np.asarray(f(pixels.astype('float32'))).tolist() for k, f in of.items()}\n"
        "found |= {n: np.asarray(a.mobilenet_v3.preprocess_input(pixels.astype('float32'))).tolist()\n"
        "          for n in ('MobileNetV3Small', 'MobileNetV3Large')}\n"
        "import json; print(json.dumps(found))"
    )
    done = subprocess.run([sys.executable, "-c", script], input=pixels.tobytes(), capture_output=True, check=True)
    of_keras = msgspec.json.decode(done.stdout.splitlines()[-1])
    assert set(suites.backbones()) - set(of_keras) == {"ConvMobileNet", "ResNeXt50", "ResNeXt101"}
    checked = set()
    for name, fact in suites.backbones().items():
        if name not in of_keras:
            continue
        p = how(16, preprocess=fact["preprocess"])
        row = pre.batch_array(1, p)[0]
        pre.write(pixels, row, p)
        np.testing.assert_allclose(row, of_keras[name], rtol=0, atol=2e-6 if p.preprocess != "caffe" else 1e-4)
        checked.add(p.preprocess)
    assert checked == {"caffe", "tf", "torch", "included"}


def test_layouts_and_types_hold_the_same_numbers() -> None:
    pixels = RNG.integers(0, 256, (4, 6, 3), dtype=np.uint8)
    rows = {}
    for layout, dtype in (("NHWC", "float32"), ("NCHW", "float32"), ("NHWC", "float16"), ("NCHW", "float64")):
        p = how(4, 6, preprocess="torch", layout=layout, dtype=dtype)
        row = pre.batch_array(1, p)[0]
        pre.write(pixels, row, p)
        assert row.dtype == dtype
        rows[layout, dtype] = row
    np.testing.assert_array_equal(rows["NHWC", "float32"].transpose(2, 0, 1), rows["NCHW", "float32"])
    np.testing.assert_allclose(rows["NHWC", "float16"], rows["NHWC", "float32"], atol=2e-3)


def test_uint8_input_takes_pixels_as_they_are_and_nothing_else() -> None:
    pixels = RNG.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    p = how(4, preprocess=None, dtype="uint8")
    row = pre.batch_array(1, p)[0]
    pre.write(pixels, row, p)
    np.testing.assert_array_equal(row, pixels)
    with pytest.raises(WrongUsage, match=r'uint8, unscaled; preprocess "tf" cannot be; use "none"'):
        how(4, preprocess="tf", dtype="uint8")
    with pytest.raises(WrongUsage, match=r"not known; give --preprocess, one of caffe, tf"):
        how(4, preprocess=None)


@pytest.mark.parametrize("size", [(500, 375), (375, 500), (333, 334), (40, 300), (37, 37), (20, 9), (1, 1)])
def test_the_crop_is_that_of_the_whole_image_resized(tmp_path: Path, size: tuple[int, int]) -> None:
    image = photo(RNG, size)
    path = saved(tmp_path / "a.png", image)
    for kind in suites.INTERPOLATIONS:
        got = decode(path, how(32, interpolation=kind)).astype(int)
        assert got.shape == (32, 32, 3)
        assert np.abs(got - resized_and_cropped(image, 32, kind)).max() <= 1


def test_a_wide_input_is_covered_and_centred(tmp_path: Path) -> None:
    p = how(14, 56)
    assert (p.resize_height, p.resize_width) == (16, 64)
    left, top, right, bottom = crop_box((640, 480), p)
    assert (left, right) == (40, 600), "7/8 of the width"
    assert (top + bottom, bottom - top) == (480, 140), "centred, the same scale"
    assert decode(saved(tmp_path / "a.png", photo(RNG, (640, 480))), p).shape == (14, 56, 3)


def test_a_large_jpeg_is_drafted_and_stays_close(tmp_path: Path) -> None:
    image = photo(RNG, (1600, 1200))
    path = saved(tmp_path / "a.jpg", image, quality=95)
    drafted, whole = decode(path, how(32)).astype(int), resized_and_cropped(Image.open(path).convert("RGB"), 32)
    assert 0 < np.abs(drafted - whole).max() <= 6, "decoded at a smaller size, and hardly different"
    small = saved(tmp_path / "b.jpg", photo(RNG, (140, 105)), quality=95)
    assert np.abs(decode(small, how(32)) - resized_and_cropped(Image.open(small), 32)).max() <= 1, "not drafted"


def test_grey_is_spread_over_the_channels(tmp_path: Path) -> None:
    for name in ("a.png", "a.jpg"):
        got = decode(saved(tmp_path / name, photo(RNG).convert("L")), how())
        assert (got[..., 0] == got[..., 1]).all()
        assert (got[..., 0] == got[..., 2]).all()
        assert got.std() > 5


def test_transparency_is_dropped(tmp_path: Path) -> None:
    image = photo(RNG)
    seen = decode(saved(tmp_path / "a.png", image), how())
    image.putalpha(100)
    np.testing.assert_array_equal(decode(saved(tmp_path / "b.png", image), how()), seen)
    palette = image.convert("RGB").quantize(200)
    assert decode(saved(tmp_path / "c.gif", palette), how()).shape == (32, 32, 3)


def test_cmyk_jpegs_have_the_right_colours(tmp_path: Path) -> None:
    red = Image.new("RGB", (40, 40), (220, 10, 10)).convert("CMYK")
    got = decode(saved(tmp_path / "a.jpg", red, quality=95), how())
    assert np.abs(got.astype(int) - (220, 10, 10)).max() < 12


def test_16_bits_are_scaled_not_cut_off(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 64 * 64).reshape(64, 64)
    of_8 = saved(tmp_path / "8.png", Image.fromarray((ramp / 257).round().astype(np.uint8)))
    for name in ("16.png", "16.tif"):
        of_16 = saved(tmp_path / name, Image.fromarray(ramp.astype(np.uint16)))
        difference = decode(of_16, how()).astype(int) - decode(of_8, how())
        assert np.abs(difference).max() <= 1, name


def test_exif_rotation_is_applied(tmp_path: Path) -> None:
    image = photo(RNG, (64, 48))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it rotated by 90 degrees clockwise
    turned = decode(saved(tmp_path / "a.png", image, exif=exif), how())
    upright = decode(saved(tmp_path / "b.png", image.transpose(Image.Transpose.ROTATE_270)), how())
    np.testing.assert_array_equal(turned, upright)
    assert np.abs(turned.astype(int) - decode(saved(tmp_path / "c.png", image), how())).max() > 20


def test_a_single_pixel_fills_the_input(tmp_path: Path) -> None:
    got = decode(saved(tmp_path / "a.png", Image.new("RGB", (1, 1), (10, 200, 30))), how())
    assert (got == (10, 200, 30)).all()


def test_a_20000_pixel_image_is_read(tmp_path: Path) -> None:
    colours = Image.new("RGB", (2, 1))
    colours.putdata([(255, 0, 0), (0, 0, 255)])
    for name, size in (("a.jpg", (20_000, 5_000)), ("b.png", (20_000, 20)), ("c.png", (1, 20_000))):
        large = colours.resize(size, Image.Resampling.NEAREST)
        got = decode(saved(tmp_path / name, large), how())
        assert got.shape == (32, 32, 3)
        if size[0] > 1:
            assert got[16, 2, 0] > 200, name
            assert got[16, 29, 2] > 200, name


def test_what_claims_to_be_too_large_is_not_decoded(tmp_path: Path) -> None:
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    (tmp_path / "a.png").write_bytes(bomb + struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT")))
    with pytest.raises(Unreadable, match=r"too large: 60000 x 60000 pixels"):
        decode(tmp_path / "a.png", how())


def test_what_is_no_image_is_named(tmp_path: Path) -> None:
    jpeg = saved(tmp_path / "whole.jpg", photo(RNG, (200, 200))).read_bytes()
    png = saved(tmp_path / "whole.png", photo(RNG, (200, 200))).read_bytes()
    floats = Image.fromarray(np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8))
    files = {
        "cut.jpg": (jpeg[: len(jpeg) // 2], "truncated"),
        "cut.png": (png[: len(png) // 2], "truncated|broken|Truncated"),
        "noise.png": (png[:60] + bytes(200) + png[260:], "broken|CRC|zlib|checksum|decoder error|truncated"),
        "text.jpg": (b"not found", "not an image that Pillow knows"),
        "empty.jpg": (b"", "an empty file"),
        "floats.tif": (saved(tmp_path / "f.tif", floats).read_bytes(), "floating-point"),
    }
    for name, (data, says) in files.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(Unreadable, match=says):
            decode(tmp_path / name, how())
    with pytest.raises(Unreadable, match="no such file"):
        decode(tmp_path / "gone.jpg", how())
