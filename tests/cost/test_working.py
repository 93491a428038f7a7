"""One layer's arithmetic at the prompt, against the notes' and the paper's own numbers."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.cli import main
from bench.cost import formulas, working
from bench.cost.working import Layer
from bench.errors import WrongUsage


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        main(["cost", *arguments])
    printed = capsys.readouterr()
    assert isinstance(end.value.code, int)
    return end.value.code, printed.out, printed.err


def test_the_notes_example(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "separable", "--input", "128x128x4", "--kernel", "3", "--filters", "10")
    assert code == 0
    assert "589,824 + 655,360 = 1,245,184 mult-adds, 76 parameters" in out
    assert "5,898,240: 1/N + 1/D_K² = 1/10 + 1/3² = 0.211, 4.74 times fewer" in out
    assert "3² · 4 · 128²" in out


@pytest.mark.parametrize(
    ("arguments", "mult_adds", "params"),
    [
        (("conv", "--input", "14x14x512", "--kernel", "3", "--filters", "512"), 462_422_016, 2_359_296),
        # Table 3 of the MobileNet paper, last row
        (
            [
                "separable",
                "--input",
                "14x14x512",
                "--kernel",
                "3",
                "--filters",
                "512",
                "--alpha",
                ".75",
                "--rho",
                ".714",
            ],
            15_091_200,
            150_912,
        ),
        # MobileNet's first layer: 224 x 224 x 3, stride 2, 32 filters, 3 x 3
        (["conv", "--input", "224x224x3", "--kernel", "3", "--filters", "32", "--stride", "2"], 10_838_016, 864),
        (
            ["conv", "--input", "224x224x3", "--kernel", "3", "--filters", "32", "--stride", "2", "--padding", "valid"],
            10_645_344,
            864,
        ),
        (["depthwise", "--input", "112x112x64", "--kernel", "3", "--stride", "2"], 1_806_336, 576),
        (["pointwise", "--input", "128x96x4", "--filters", "10", "--bias"], 491_520, 50),
        (["dense", "--input", "1024", "--filters", "1000", "--bias"], 1_024_000, 1_025_000),
        (["dense", "--input", "7x7x512", "--filters", "4096"], 102_760_448, 102_760_448),
    ],
)
def test_layers(arguments: list[str], mult_adds: int, params: int, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, *arguments, "--json")
    assert code == 0
    assert json.loads(out)["cost"] == {"mult_adds": mult_adds, "params": params}


sides = st.integers(1, 64)


@given(sides, sides, st.integers(1, 9), st.integers(1, 4), st.integers(1, 16), st.integers(1, 16))
def test_the_share_is_the_papers(height: int, width: int, kernel: int, stride: int, m: int, n: int) -> None:
    layer = Layer(height=height, width=width, channels=m, kernel=kernel, filters=n, stride=stride)
    assert working.work("separable", layer).share == pytest.approx(float(formulas.reduction(kernel, n)))


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ("depthwise --input 4x4 --kernel 3", "4x4 is not HEIGHTxWIDTHxCHANNELS"),
        ("depthwise --input 4x4x3 --kernel 3 --filters 3", "No such option '--filters'"),
        ("dense --input 10 --filters 3 --kernel 1", "No such option '--kernel'"),
        ("conv --input 2x2x1 --kernel 3 --filters 1 --padding valid", "a kernel of 3 does not fit into 2x2"),
        ("conv --input 0x2x1 --kernel 3 --filters 1", "is not HEIGHTxWIDTHxCHANNELS"),
        ("separable --input 9x9x9 --kernel 3 --filters 4 --alpha 0.1", "leaves no channel"),
    ],
)
def test_wrong_layers_are_one_line(arguments: str, reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = call(capsys, *arguments.split())
    assert (code, out) == (2, "")
    assert reason in err
    assert err.count("\n") == 1


def test_a_kernel_needs_no_padding_to_fit() -> None:
    with pytest.raises(WrongUsage):
        _ = Layer(height=2, width=9, channels=1, kernel=3, padding="valid").output
    assert Layer(height=3, width=9, channels=1, kernel=3, padding="valid").output == (1, 7)
