"""Images and models that are out of the ordinary, alone and all together in one folder."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bench import accuracy
from bench.accuracy.results import Evaluation
from bench.cli import main
from bench.errors import WrongUsage
from bench.machine import lock
from bench.models.decoding import decode
from bench.models.preprocessing import Pixels, Preprocessing, preprocessing
from tests.accuracy.sets import FLOAT16, UINT8, class_index, classifier, image_set, photo, photos, synsets

RNG = np.random.default_rng(11)
ORIENTATION = 0x0112
UPRIGHT = {  # how the stored image was made from the upright one, which undoes what its EXIF value asks for
    1: None, 2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}  # fmt: skip


def how(size: int = 32) -> Preprocessing:
    return preprocessing("tf", height=size, width=size, layout="NHWC", dtype="float32", decoder="Pillow")


def seen(path: Path, image: Image.Image, **options: Any) -> Pixels:
    image.save(path, **options)
    return decode(path, how())


def oriented(value: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = value
    return exif


@pytest.mark.parametrize("value", UPRIGHT)
@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
def test_every_orientation_is_turned_upright_once(tmp_path: Path, value: int, suffix: str) -> None:
    image = photo(RNG, (64, 48))
    way = UPRIGHT[value]
    stored = image if way is None else image.transpose(way)
    options = {"lossless": True} if suffix == "webp" else {}
    got = seen(tmp_path / f"a.{suffix}", stored, exif=oriented(value), **options)
    np.testing.assert_array_equal(got, seen(tmp_path / "upright.png", image))


def test_a_large_jpeg_is_turned_though_decoded_at_a_part_of_its_size(tmp_path: Path) -> None:
    image = photo(RNG, (1600, 1200))
    got = seen(tmp_path / "a.jpg", image.transpose(Image.Transpose.ROTATE_90), exif=oriented(6), quality=95)
    upright = seen(tmp_path / "b.jpg", image, quality=95)
    assert np.abs(got.astype(int) - upright).max() <= 8
    assert np.abs(got.astype(int) - seen(tmp_path / "c.jpg", image.transpose(Image.Transpose.ROTATE_90))).max() > 20


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
@pytest.mark.parametrize(
    "exif", [b"Exif\0\0no EXIF data at all", b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01", b"Exif\0\0", oriented(99)],
    ids=["garbage", "cut short", "empty", "unknown"],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_damaged_exif_data_do_not_lose_the_image(tmp_path: Path, suffix: str, exif: bytes | Image.Exif) -> None:
    image = photo(RNG)
    got = seen(tmp_path / f"a.{suffix}", image, exif=exif)
    np.testing.assert_array_equal(got, seen(tmp_path / f"b.{suffix}", image))


def test_grey_with_transparency_palettes_and_single_bits(tmp_path: Path) -> None:
    grey = photo(RNG).convert("L")
    plain = seen(tmp_path / "l.png", grey)
    with_alpha = grey.convert("LA")
    with_alpha.putalpha(40)
    np.testing.assert_array_equal(seen(tmp_path / "la.png", with_alpha), plain)
    palette = photo(RNG).quantize(64)
    opaque = seen(tmp_path / "p.png", palette)
    np.testing.assert_array_equal(seen(tmp_path / "t.png", palette, transparency=0), opaque)
    bits = Image.fromarray((np.indices((40, 40)).sum(0) // 20 % 2 * 255).astype(np.uint8)).convert("1")
    found = seen(tmp_path / "1.png", bits)
    assert (found.min(), found.max()) == (0, 255)


def png_of_16_bits(path: Path, values: Any) -> None:
    """Write (height, width, 3) values of 0 to 65535, which Pillow itself cannot."""
    height, width, _ = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    parts = (b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts))


def test_colours_of_16_bits_are_scaled(tmp_path: Path) -> None:
    of_8 = np.asarray(photo(RNG))
    png_of_16_bits(tmp_path / "16.png", of_8.astype(int) * 257)
    expected = seen(tmp_path / "8.png", Image.fromarray(of_8))
    assert np.abs(decode(tmp_path / "16.png", how()).astype(int) - expected).max() <= 1


def odd_folder(folder: Path) -> Path:
    """Ten classes of one odd image each, and two files that are none."""
    photos(folder, [str(number) for number in range(10)], each=0)
    plain = photo(RNG, (300, 200))
    plain.convert("L").save(folder / "0" / "grey.jpg")
    plain.convert("RGBA").save(folder / "1" / "transparent.png")
    plain.convert("CMYK").save(folder / "2" / "print.jpg")
    Image.fromarray(np.linspace(0, 65535, 4096).reshape(64, 64).astype(np.uint16)).save(folder / "3" / "deep.png")
    plain.save(folder / "4" / "turned.jpg", exif=oriented(8))
    Image.new("RGB", (1, 1), (9, 8, 7)).save(folder / "5" / "dot.png")
    photo(RNG, (200, 2)).resize((20_000, 200)).save(folder / "6" / "wide.jpg")
    plain.quantize(16).save(folder / "7" / "palette.gif")
    plain.save(folder / "8" / "UPPER.JPEG", quality=90)
    plain.save(folder / "9" / "progressive.jpg", progressive=True)
    (folder / "9" / "corrupt.jpg").write_bytes((folder / "9" / "progressive.jpg").read_bytes()[:500])
    (folder / "9" / "text.png").write_text("not found")
    return folder


VARIANTS: dict[str, dict[str, Any]] = {
    "NHWC": {}, "NCHW": {"layout": "NCHW"}, "logits": {"softmax": False}, "fixed batch": {"batch": 4},
    "half precision, logits": {"kind": FLOAT16, "softmax": False},
}  # fmt: skip


@pytest.mark.parametrize("variant", VARIANTS)
def test_odd_images_are_judged_all_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variant: str) -> None:
    monkeypatch.setattr(lock, "PATH", tmp_path / "measuring.lock")
    folder = odd_folder(tmp_path / "im")
    path = classifier(tmp_path / "m.onnx", **VARIANTS[variant])
    found = accuracy.evaluate(path, accuracy.Settings(images=folder, preprocess="tf"), stages=variant == "NHWC")
    assert found.n == 10
    assert [image.file for image in found.unreadable] == ["9/corrupt.jpg", "9/text.png"]
    assert all(0 <= mistake.score <= 1 for mistake in found.mistakes)
    if variant == "NHWC":
        assert found.stages is not None
        assert found.stages.n == 10, "also timed, every one of them"


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize("batch", ["batch", 3])
def test_uint8_input_in_either_layout_and_with_a_fixed_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str, batch: int | str
) -> None:
    monkeypatch.setattr(lock, "PATH", tmp_path / "measuring.lock")
    folder = photos(tmp_path / "im", ["0", "1", "2"], each=3)

    def answered(path: Path, preprocess: str | None) -> Evaluation:
        return accuracy.evaluate(path, accuracy.Settings(images=folder, preprocess=preprocess), stages=True)

    of_floats = answered(classifier(tmp_path / "f.onnx"), "none")
    of_bytes = answered(classifier(tmp_path / "u.onnx", kind=UINT8, layout=layout, batch=batch), None)
    assert of_bytes.preprocessing.dtype == "uint8"
    assert of_bytes.mistakes == of_floats.mistakes
    assert of_bytes.stages is not None
    assert of_bytes.stages.scale.p50_ms > 0


def test_1001_logits_begin_with_the_background(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    class_index(tmp_path / "keras")
    folder = photos(tmp_path / "im", [synsets()[0], synsets()[999]], each=2)
    path = classifier(tmp_path / "m.onnx", 1001, softmax=False)
    found = accuracy.evaluate(path, accuracy.Settings(images=folder, preprocess="tf"))
    assert (found.outputs, {each.output for each in found.classes}) == (1001, {1, 1000})
    assert found.scores == "softmax of the outputs"


def test_ten_outputs_and_synsets_do_not_fit(tmp_path: Path) -> None:
    folder = photos(tmp_path / "im", synsets(3))
    with pytest.raises(
        WrongUsage, match=r"3 class names \(n01440000, .*\) for a model with 10 outputs; give --classes"
    ):
        image_set(folder, 10)


@pytest.mark.parametrize(
    ("make", "labels", "says"),
    [
        (lambda folder: folder.mkdir(), None, "holds no images and no class folders with images; expected DIR/CLASS"),
        (lambda folder: photos(folder, ["cat", "dog"]), None, "2 class names (cat, dog) for a model with 10 outputs"),
        (lambda folder: photos(folder, ["10", "3"]), None, '"10" is no class of this model: it has outputs 0 to 9'),
        (lambda folder: photos(folder, ["."]), "gone.jpg,1\nlost.jpg,2\n", "has none of the 2 files that labels.csv"),
    ],
    ids=["empty folder", "names that match nothing", "a number too many", "labels of missing files"],
)  # fmt: skip
def test_wrong_folders_are_one_line_of_the_command(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Any, labels: str | None,
    says: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    classifier(tmp_path / "m.onnx")
    make(tmp_path / "im")
    extra = []
    if labels:
        (tmp_path / "labels.csv").write_text(labels)
        extra = ["--labels", "labels.csv"]
    with pytest.raises(SystemExit) as stopped:
        main(["accuracy", "m.onnx", "--images", "im", "--preprocess", "tf", "--device", "cpu", "--stages", *extra])
    out, err = capsys.readouterr()
    assert (stopped.value.code, out, err.count("\n")) == (2, "", 1)
    assert says in err


def test_labels_of_missing_files_are_named_and_the_rest_is_timed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "PATH", tmp_path / "measuring.lock")
    folder = photos(tmp_path / "im", ["."], each=8)
    (tmp_path / "labels.csv").write_text("".join(f"{number:03},{number}\n" for number in range(8)) + "gone.jpg,1\n")
    settings = accuracy.Settings(images=folder, labels=tmp_path / "labels.csv", preprocess="tf")
    found = accuracy.evaluate(classifier(tmp_path / "m.onnx"), settings, stages=True)
    assert [(each.file, each.reason) for each in found.unreadable] == [("gone.jpg", "no such file")]
    assert found.stages is not None
    assert found.stages.n == 8
