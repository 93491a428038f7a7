"""The arithmetic of one layer with its working shown, as the notes write it: formula, numbers, result.

A layer is given as people write it in Keras: its input (height, width, channels), kernel, filters, stride and padding.
The counts are those of `bench.cost.formulas`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.cost import formulas
from bench.cost.formulas import Count
from bench.errors import WrongUsage


@dataclass(frozen=True, kw_only=True, slots=True)
class Layer:
    """One layer, before the multipliers."""

    height: int  # of its input, in pixels
    width: int
    channels: int  # in
    kernel: int = 1  # side in pixels
    filters: int = 1  # channels out
    stride: int = 1
    padding: str = "same"  # or "valid"
    alpha: float = 1.0  # width multiplier
    rho: float = 1.0  # resolution multiplier
    bias: bool = False

    @property
    def output(self) -> tuple[int, int]:
        """Height and width of the map that the layer writes: D_F, with rho applied to the input.

        Raises WrongUsage when a kernel without padding is larger than its input.
        """
        sides = (formulas.shrunk(self.height, self.rho), formulas.shrunk(self.width, self.rho))
        if self.padding == "same":
            return -(-sides[0] // self.stride), -(-sides[1] // self.stride)
        if min(sides) < self.kernel:
            raise WrongUsage(
                f"a kernel of {self.kernel} does not fit into {sides[0]}x{sides[1]} without padding; "
                "choose a smaller kernel or --padding same"
            )
        return (sides[0] - self.kernel) // self.stride + 1, (sides[1] - self.kernel) // self.stride + 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One line of the working."""

    name: str
    formula: str
    numbers: str
    count: Count


@dataclass(frozen=True, kw_only=True, slots=True)
class Working:
    """The steps, their sum, and what it is as a share of the standard convolution (None where that says nothing)."""

    kind: str
    output: tuple[int, ...]  # (height, width, channels), or (units,)
    steps: tuple[Step, ...]
    total: Count
    standard: Step | None = None
    share: float | None = None


def work(kind: str, layer: Layer) -> Working:
    """Count a layer of a kind in `KINDS` and show how.

    Raises WrongUsage for sizes that are none.

    >>> work("separable", Layer(height=128, width=128, channels=4, kernel=3, filters=10)).total.mult_adds
    1245184
    """
    return KINDS[kind](layer)


def _standard(layer: Layer) -> Step:
    m, n = formulas.widened(layer.channels, layer.alpha), formulas.widened(layer.filters, layer.alpha)
    return Step(
        name="standard",
        formula=f"D_K² · {_a(layer)}M · {_a(layer)}N · D_F²",
        numbers=f"{layer.kernel}² · {m} · {n} · {_area(layer)}",
        count=formulas.standard(layer.kernel, layer.output, m, n, bias=layer.bias),
    )


def _depthwise(layer: Layer) -> Step:
    m = formulas.widened(layer.channels, layer.alpha)
    return Step(
        name="depthwise",
        formula=f"D_K² · {_a(layer)}M · D_F²",
        numbers=f"{layer.kernel}² · {m} · {_area(layer)}",
        count=formulas.depthwise(layer.kernel, layer.output, m, bias=layer.bias),
    )


def _pointwise(layer: Layer) -> Step:
    m, n = formulas.widened(layer.channels, layer.alpha), formulas.widened(layer.filters, layer.alpha)
    return Step(
        name="pointwise",
        formula=f"{_a(layer)}M · {_a(layer)}N · D_F²",
        numbers=f"{m} · {n} · {_area(layer)}",
        count=formulas.pointwise(layer.output, m, n, bias=layer.bias),
    )


def _work_conv(layer: Layer) -> Working:
    step = _standard(layer)
    return Working(kind="conv", output=(*layer.output, _n(layer)), steps=(step,), total=step.count)


def _work_depthwise(layer: Layer) -> Working:
    step = _depthwise(layer)
    m = formulas.widened(layer.channels, layer.alpha)
    return Working(kind="depthwise", output=(*layer.output, m), steps=(step,), total=step.count)


def _work_pointwise(layer: Layer) -> Working:
    step = _pointwise(layer)
    return Working(kind="pointwise", output=(*layer.output, _n(layer)), steps=(step,), total=step.count)


def _work_separable(layer: Layer) -> Working:
    depthwise, pointwise, standard = _depthwise(layer), _pointwise(layer), _standard(layer)
    total = depthwise.count + pointwise.count
    return Working(
        kind="separable",
        output=(*layer.output, _n(layer)),
        steps=(depthwise, pointwise),
        total=total,
        standard=standard,
        share=total.mult_adds / standard.count.mult_adds,
    )


def _work_dense(layer: Layer) -> Working:
    m, n = layer.height * layer.width * layer.channels, layer.filters
    step = Step(name="dense", formula="M · N", numbers=f"{m} · {n}", count=formulas.dense(m, n, bias=layer.bias))
    return Working(kind="dense", output=(n,), steps=(step,), total=step.count)


KINDS: dict[str, Callable[[Layer], Working]] = {
    "conv": _work_conv, "depthwise": _work_depthwise, "pointwise": _work_pointwise, "separable": _work_separable,
    "dense": _work_dense,
}  # fmt: skip


def _a(layer: Layer) -> str:
    return "α" if layer.alpha != 1 else ""


def _n(layer: Layer) -> int:
    return formulas.widened(layer.filters, layer.alpha)


def _area(layer: Layer) -> str:
    height, width = layer.output
    return f"{height}²" if height == width else f"{height} · {width}"
