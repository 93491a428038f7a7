"""Mult-adds and weights of one layer, by the formulas of the MobileNet paper (arXiv:1704.04861, section 3).

D_K is the kernel's side, D_F the side of the map that the layer writes, M the channels in and N the channels out. A
side is one number for a square, or one number for each dimension. All results are exact integers.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import prod

from bench.errors import WrongUsage

Side = int | tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Count:
    """Mult-adds of one inference, and weights."""

    mult_adds: int
    params: int

    def __add__(self, other: Count) -> Count:
        return Count(self.mult_adds + other.mult_adds, self.params + other.params)


def standard(
    d_k: Side, d_f: Side, m: int, n: int, *, alpha: float = 1.0, rho: float = 1.0, bias: bool = False
) -> Count:
    """A standard convolution: D_K² · αM · αN · (ρD_F)² mult-adds (the paper's equation 2).

    >>> standard(3, 14, 512, 512)
    Count(mult_adds=462422016, params=2359296)
    """
    return grouped(d_k, d_f, m, n, 1, alpha=alpha, rho=rho, bias=bias)


def grouped(
    d_k: Side, d_f: Side, m: int, n: int, groups: int, *, alpha: float = 1.0, rho: float = 1.0, bias: bool = False
) -> Count:
    """A convolution in G groups, each of which sees M/G channels: D_K² · αM/G · αN · (ρD_F)² mult-adds.

    Raises WrongUsage when the groups do not divide both channel counts.

    >>> grouped(3, 56, 128, 128, 32).mult_adds * 32 == standard(3, 56, 128, 128).mult_adds
    True
    """
    m, n = widened(m, alpha), widened(n, alpha)
    if groups < 1 or m % groups or n % groups:
        raise WrongUsage(f"{groups} groups do not divide {m} channels in and {n} out; choose a common divisor")
    weights = _area(d_k) * (m // groups) * n
    return Count(weights * _area(d_f, rho), weights + (n if bias else 0))


def depthwise(
    d_k: Side, d_f: Side, m: int, *, multiplier: int = 1, alpha: float = 1.0, rho: float = 1.0, bias: bool = False
) -> Count:
    """A depthwise convolution, one filter a channel: D_K² · αM · (ρD_F)² mult-adds (the paper's equation 4).

    `multiplier` filters a channel instead of one.

    >>> depthwise(3, 128, 4)
    Count(mult_adds=589824, params=36)
    """
    m = widened(m, alpha)
    return grouped(d_k, d_f, m, m * multiplier, m, rho=rho, bias=bias)


def pointwise(d_f: Side, m: int, n: int, *, alpha: float = 1.0, rho: float = 1.0, bias: bool = False) -> Count:
    """A 1x1 convolution: αM · αN · (ρD_F)² mult-adds.

    >>> pointwise(128, 4, 10).mult_adds
    655360
    """
    return standard(1, d_f, m, n, alpha=alpha, rho=rho, bias=bias)


def separable(d_k: Side, d_f: Side, m: int, n: int, *, alpha: float = 1.0, rho: float = 1.0) -> Count:
    """A depthwise convolution and the 1x1 convolution after it (the paper's equation 5, with 6 and 7 for α and ρ).

    >>> separable(3, 128, 4, 10).mult_adds
    1245184
    """
    return depthwise(d_k, d_f, m, alpha=alpha, rho=rho) + pointwise(d_f, m, n, alpha=alpha, rho=rho)


def dense(m: int, n: int, *, bias: bool = False) -> Count:
    """A dense layer: M · N mult-adds.

    >>> dense(1024, 1000, bias=True)
    Count(mult_adds=1024000, params=1025000)
    """
    return pointwise(1, m, n, bias=bias)


def reduction(d_k: int, n: int) -> Fraction:
    """What a separable convolution costs as a share of the standard one: 1/N + 1/D_K² (the paper's section 3.1).

    >>> reduction(3, 512) == Fraction(separable(3, 14, 512, 512).mult_adds, standard(3, 14, 512, 512).mult_adds)
    True
    """
    return Fraction(1, _positive(n)) + Fraction(1, _positive(d_k) ** 2)


def widened(channels: int, alpha: float) -> int:
    """Channels under a width multiplier, rounded down as MobileNet does.

    Raises WrongUsage when nothing is left.

    >>> widened(512, 0.75)
    384
    """
    left = int(_positive(channels) * alpha)
    if left < 1:
        raise WrongUsage(f"alpha {alpha} leaves no channel of {channels}; choose one above {1 / channels:g}")
    return left


def shrunk(side: int, rho: float) -> int:
    """A map's side under a resolution multiplier, rounded to whole pixels.

    Raises WrongUsage when nothing is left.

    >>> shrunk(14, 0.714)
    10
    """
    left = round(_positive(side) * rho)
    if left < 1:
        raise WrongUsage(f"rho {rho} leaves no pixel of {side}; choose one above {0.5 / side:g}")
    return left


def _area(side: Side, rho: float = 1.0) -> int:
    """Elements of a square of one side, or of a box of several."""
    sides = (side, side) if isinstance(side, int) else side
    return prod(shrunk(s, rho) for s in sides)


def _positive(value: int) -> int:
    if value < 1:
        raise WrongUsage(f"{value} is no size or number of channels; it must be at least 1")
    return value
