"""From pixels to a model's input, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from bench.errors import WrongUsage
from bench.models import preprocessing
from bench.models.preprocessing import Preprocessing

PIXELS = np.array([[[10, 20, 30], [255, 0, 128]]], np.uint8)  # one row of two pixels, RGB


def plan(preprocess: str | None, *, layout: str = "NHWC", dtype: str = "float32", size: tuple[int, int] = (1, 2)) -> (
    Preprocessing
):  # fmt: skip
    return preprocessing.preprocessing(
        preprocess, height=size[0], width=size[1], layout=layout, dtype=dtype, decoder="none"
    )


def written(preprocess: str, **how: str) -> np.ndarray:
    p = plan(preprocess, **how)  # type: ignore[arg-type]
    batch = preprocessing.batch_array(2, p)
    preprocessing.write(PIXELS, batch[1], p)
    assert not batch[0].any()
    return batch[1]


def test_caffe_s_channels_are_blue_green_red() -> None:
    expected = [[[30 - 103.939, 20 - 116.779, 10 - 123.68], [128 - 103.939, 0 - 116.779, 255 - 123.68]]]
    assert np.allclose(written("caffe"), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("preprocess", "first"),
    [
        ("tf", [10 / 127.5 - 1, 20 / 127.5 - 1, 30 / 127.5 - 1]),
        ("torch", [(10 / 255 - 0.485) / 0.229, (20 / 255 - 0.456) / 0.224, (30 / 255 - 0.406) / 0.225]),
        ("unit", [10 / 255, 20 / 255, 30 / 255]),
        ("included", [10, 20, 30]),
        ("none", [10, 20, 30]),
    ],
)
def test_the_others_are_red_green_blue(preprocess: str, first: list[float]) -> None:
    assert np.allclose(written(preprocess)[0, 0], first, rtol=0, atol=1e-5)


@pytest.mark.parametrize("preprocess", list(preprocessing.FORMULAS))
def test_channels_first_holds_the_same_numbers(preprocess: str) -> None:
    first = written(preprocess, layout="NCHW")
    assert first.shape == (3, 1, 2)
    assert np.array_equal(first.transpose(1, 2, 0), written(preprocess))


def test_half_precision_and_bytes() -> None:
    assert written("none", dtype="uint8").tolist() == PIXELS.tolist()
    half = written("tf", dtype="float16")
    assert half.dtype == np.float16
    assert np.allclose(half, written("tf"), atol=1e-3)


def test_the_crop_keeps_seven_eighths() -> None:
    p = plan("tf", size=(224, 192))
    assert (p.resize_height, p.resize_width) == (256, 219)
    assert str(p) == "resized to cover 219x256 (bilinear, antialiased), centre 192x224, RGB / 127.5 - 1, NHWC float32"


def test_what_cannot_be_is_said() -> None:
    assert plan(None, dtype="uint8").preprocess == "none"
    with pytest.raises(WrongUsage, match=r"give --preprocess, one of caffe, tf, torch, unit, included, none$"):
        plan(None)
    with pytest.raises(WrongUsage, match='uint8, unscaled; preprocess "torch" cannot be'):
        plan("torch", dtype="uint8")


def test_everything_that_was_asked_is_in_the_plan() -> None:
    p = preprocessing.preprocessing(
        "torch", height=224, width=160, layout="NCHW", dtype="float16", decoder="Pillow 13", crop=0.8,
        interpolation="bicubic",
    )  # fmt: skip
    assert p == Preprocessing(
        preprocess="torch", formula="(RGB / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)", height=224,
        width=160, resize="cover", resize_height=280, resize_width=200, interpolation="bicubic", antialias=True,
        jpeg_draft=2, layout="NCHW", dtype="float16", decoder="Pillow 13",
    )  # fmt: skip
    assert str(p) == f"resized to cover 200x280 (bicubic, antialiased), centre 160x224, {p.formula}, NCHW float16"


@pytest.mark.parametrize("crop", [None, 1, 1.0])
def test_stretched_images_are_whole_and_decoded_in_full(crop: float | None) -> None:
    p = preprocessing.preprocessing(
        "caffe", height=224, width=160, layout="NHWC", dtype="float32", decoder="d", crop=crop, resize="stretch"
    )
    assert (p.resize, p.resize_height, p.resize_width) == ("stretch", 224, 160)
    assert (p.antialias, p.jpeg_draft, p.interpolation) == (False, 0, "bilinear")
    assert str(p) == (
        "stretched to 160x224 (bilinear, not antialiased, as Keras loads images), "
        "BGR - (103.939, 116.779, 123.68), NHWC float32"
    )


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"crop": 0.9}, "stretched images are whole, and none of them is cropped to 0.9; leave the crop out"),
        (
            {"interpolation": "bicubic"},
            "stretched images are bilinear, as Keras loads them; leave the interpolation out",
        ),
    ],
)
def test_stretched_images_take_no_more(how: dict[str, object], says: str) -> None:
    with pytest.raises(WrongUsage) as raised:
        preprocessing.preprocessing(
            "tf",
            height=8,
            width=8,
            layout="NHWC",
            dtype="float32",
            decoder="",
            resize="stretch",
            **how,  # type: ignore[arg-type]
        )
    assert str(raised.value) == says


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64"])
@pytest.mark.parametrize("preprocess", ["none", "included"])
def test_whole_numbers_are_taken_as_they_are(dtype: str, preprocess: str) -> None:
    assert plan(None, dtype=dtype).preprocess == "none"
    assert plan(preprocess, dtype=dtype).formula == preprocessing.FORMULAS[preprocess].says
    assert written(preprocess, dtype=dtype).tolist() == PIXELS.tolist()
    assert written(preprocess, dtype=dtype).dtype == dtype
    assert written(preprocess, dtype=dtype, layout="NCHW").tolist() == PIXELS.transpose(2, 0, 1).tolist()
    with pytest.raises(WrongUsage) as raised:
        plan("unit", dtype=dtype)
    said = f'the model takes pixels as {dtype}, unscaled; preprocess "unit" cannot be; use "none"'
    assert str(raised.value) == said


def test_each_step_is_rounded_to_float32() -> None:
    """As Keras does it: the same bits, not only nearly."""
    pixel = np.arange(256, dtype=np.float32)
    for name, formula in preprocessing.FORMULAS.items():
        p = preprocessing.preprocessing(name, height=2, width=128, layout="NHWC", dtype="float32", decoder="")
        row = preprocessing.batch_array(1, p)[0]
        pixels = np.repeat(np.arange(256, dtype=np.uint8).reshape(2, 128, 1), 3, axis=2)
        preprocessing.write(pixels, row, p)
        for channel in range(3):
            expected = pixel / np.float32(formula.divisor)
            if formula.mean:
                expected = expected - np.float32(formula.mean[channel])
            if formula.deviation:
                expected = expected / np.float32(formula.deviation[channel])
            assert row[..., channel].ravel().tolist() == expected.tolist()
