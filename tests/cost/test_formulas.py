"""The notes' arithmetic."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.cost import formulas
from bench.errors import WrongUsage

few = st.integers(1, 64)


def test_the_worked_example() -> None:
    assert formulas.depthwise(3, 128, 4).mult_adds == 589_824
    assert formulas.separable(3, 128, 4, 10).mult_adds == 1_245_184
    assert formulas.standard(3, 128, 4, 10).mult_adds == 5_898_240


def test_table_3_by_formula() -> None:
    rows = [
        formulas.standard(3, 14, 512, 512),
        formulas.separable(3, 14, 512, 512),
        formulas.separable(3, 14, 512, 512, alpha=0.75),
        formulas.separable(3, 14, 512, 512, alpha=0.75, rho=0.714),
    ]
    assert [f"{row.mult_adds / 1e6:.3g}" for row in rows] == ["462", "52.3", "29.6", "15.1"]
    assert [f"{row.params / 1e6:.2f}" for row in rows] == ["2.36", "0.27", "0.15", "0.15"]


@given(d_k=st.integers(1, 11), d_f=few, m=few, n=few)
def test_separable_over_standard_is_the_reduction_factor(d_k: int, d_f: int, m: int, n: int) -> None:
    ratio = Fraction(formulas.separable(d_k, d_f, m, n).mult_adds, formulas.standard(d_k, d_f, m, n).mult_adds)
    assert ratio == formulas.reduction(d_k, n) == Fraction(1, n) + Fraction(1, d_k**2)


@given(d_k=st.integers(1, 11), d_f=few, m=few, groups=st.integers(1, 8))
def test_groups_divide_the_cost(d_k: int, d_f: int, m: int, groups: int) -> None:
    wide = m * groups
    whole, split = formulas.standard(d_k, d_f, wide, wide), formulas.grouped(d_k, d_f, wide, wide, groups)
    assert split.mult_adds * groups == whole.mult_adds
    assert split.params * groups == whole.params
    assert formulas.grouped(d_k, d_f, wide, wide, wide) == formulas.depthwise(d_k, d_f, wide)


@given(d_f=st.integers(1, 32), m=few, n=few)
def test_halving_width_or_resolution_quarters_a_pointwise_convolution(d_f: int, m: int, n: int) -> None:
    whole = formulas.pointwise(2 * d_f, 2 * m, 2 * n)
    assert whole.mult_adds == 4 * formulas.pointwise(2 * d_f, 2 * m, 2 * n, alpha=0.5).mult_adds
    assert whole.mult_adds == 4 * formulas.pointwise(2 * d_f, 2 * m, 2 * n, rho=0.5).mult_adds
    assert whole.params == formulas.pointwise(2 * d_f, 2 * m, 2 * n, rho=0.5).params


def test_sides_that_differ_and_biases() -> None:
    assert formulas.standard((1, 7), (17, 5), 192, 192).mult_adds == 7 * 17 * 5 * 192 * 192
    assert formulas.dense(1024, 1000, bias=True) == formulas.Count(1_024_000, 1_025_000)
    assert formulas.dense(1024, 1000) == formulas.Count(1_024_000, 1_024_000)
    assert formulas.pointwise(7, 16, 8) == formulas.Count(7 * 7 * 16 * 8, 16 * 8)
    assert formulas.pointwise(7, 16, 8, bias=True) == formulas.Count(7 * 7 * 16 * 8, 16 * 8 + 8)


def test_a_depthwise_convolution_with_several_filters_a_channel() -> None:
    count = formulas.depthwise(3, 10, 4, multiplier=2, bias=True)
    assert count == formulas.Count(9 * 8 * 100, 9 * 8 + 8)
    assert type(count.mult_adds) is int
    assert formulas.depthwise(3, 10, 4, multiplier=2) == formulas.Count(9 * 8 * 100, 9 * 8)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: formulas.standard(3, 14, 4, 8, alpha=0.1), "alpha 0.1 leaves no channel of 4; choose one above 0.25$"),
        (lambda: formulas.standard(3, 14, 4, 8, alpha=-1), "leaves no channel"),
        (
            lambda: formulas.standard(3, 14, 4, 8, rho=0.01),
            "rho 0.01 leaves no pixel of 14; choose one above 0.0357143$",
        ),
        (lambda: formulas.grouped(3, 14, 6, 8, 4), "4 groups do not divide 6"),
        (lambda: formulas.standard(0, 14, 4, 8), "0 is no size"),
        (lambda: formulas.reduction(3, 0), "0 is no size"),
    ],
)
def test_impossible_layers_are_named(call: object, says: str) -> None:
    with pytest.raises(WrongUsage, match=says):
        call()  # type: ignore[operator]
