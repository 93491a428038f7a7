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
