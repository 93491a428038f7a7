"""Our counts against every published figure: `python FILE` prints those that differ by more than 2 %, and why.

A figure agrees when it lies within 2 %, or within the rounding of its print. Exits with 1 when one that differs by more
than 3 % has no explanation.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from decimal import Decimal

from bench import cost, suites
from bench.models import published
from bench.models.published import Publication
from bench.records import Case, Cost


@dataclass(frozen=True, slots=True)
class Row:
    """One published figure beside ours, both in millions."""

    published: Publication
    quantity: str  # "mult-adds" or "params"
    figure: float
    ours: float
    why: str | None = None

    @property
    def difference(self) -> float:
        return self.ours / self.figure - 1

    @property
    def agrees(self) -> bool:
        return abs(self.difference) <= 0.02 or abs(self.ours - self.figure) <= half_unit(self.figure)


def half_unit(figure: float) -> float:
    """Half a unit of the last digit that is not 0: how far rounding alone may have moved a printed figure.

    >>> half_unit(3800), half_unit(0.47)
    (50.0, 0.005)
    """
    _, _, exponent = Decimal(str(figure)).normalize().as_tuple()
    return float(Decimal(10) ** int(exponent)) / 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Reason:
    """Why figures differ: those whose fields are as given here; a field left out may be anything."""

    why: str
    source: str = ""  # the source begins like this
    model: str = ""  # the model begins like this
    variant: str = ""  # the variant has this key
    quantity: str = ""

    def fits(self, row: Row) -> bool:
        p = row.published
        return (
            p.source.startswith(self.source)
            and p.model.startswith(self.model)
            and (not self.variant or self.variant in p.variant)
            and row.quantity.startswith(self.quantity)
        )


REASONS = (
    Reason(variant="arch", why="another layout: v1.5 strides in the 3x3 convolution, Keras in the 1x1 before it"),
    Reason(variant="cardinality", why="another network: ResNeXt of another cardinality than our 32 x 4"),
    Reason(variant="bottleneck_width", why="another network: ResNeXt of another width than our 32 x 4"),
    Reason(variant="shallow", why="another network: five of the layers at 14 x 14 left out"),
    Reason(
        source="EfficientNet paper Table 2 (comparison", model="ResNet50", quantity="mult-adds",
        why="another layout: what v1.5 costs, 4089 M by torchvision",
    ),
    Reason(source="Keras mobilenet.py docstring", why="a slip of the source: 529 for 569, at every resolution alike"),
    Reason(
        source="TF-slim MobileNet_v1 page", model="MobileNet", quantity="mult-adds",
        why="a slip of the source: the figures of this width do not follow the square of the resolution, or lie below "
        "those of the paper's Table 6",
    ),
    Reason(
        source="imgclsmob", quantity="mult-adds",
        why="another convention: half the floating-point operations, other layers than convolutions included",
    ),
    Reason(
        model="InceptionV3", quantity="params", source="torchvision",
        why="another network: with the auxiliary classifier that only training needs",
    ),
    Reason(
        source="MobileNetV2 paper", model="MobileNetV2", quantity="params",
        why="the paper's rough figure; its authors' own page has 6.06 M and 3.47 M, without batch norm",
    ),
    Reason(
        source="MobileNetV3 paper", model="MobileNetV2", quantity="params",
        why="another convention: without batch norm, and cut off: 1.66 and 3.47 M on the authors' page",
    ),
    Reason(source="TF-slim MobileNetV2 page", quantity="params", why="another convention: without batch norm"),
    Reason(
        source="TF-slim MobileNetV2 page", quantity="mult-adds", why="cut off instead of rounded: 11.9 and 18.9 M"
    ),
    Reason(
        model="MobileNetV3Small",
        why="another network, it seems: the figures of the paper's first version, whose Small network was revised",
    ),
)  # fmt: skip


def table() -> list[Row]:
    """Every published figure about a network that we have, with our count of the network nearest to it."""
    pairs = [(row, _case(row)) for row in published.publications() if row.input_size]
    costs = cost.of_cases({case.name: case for _, case in pairs}.values())
    rows = [(case.name, entry) for row, case in pairs for entry in _entries(row, costs[case.name])]
    return [_explained(entry, [other for name, other in rows if name == case]) for case, entry in rows]


def _case(row: Publication) -> Case:
    allowed = suites.backbones()[row.model].get("arguments", {})
    arguments = {k: v for k, v in row.variant.items() if k in allowed}
    name = f"{row.model} {arguments} {row.input_size}"
    return suites.case_of_model(row.model, name=name, input_size=row.input_size, **arguments)


def _entries(row: Publication, found: Cost) -> list[Row]:
    entries = []
    if row.mult_adds_millions:
        entries.append(Row(row, "mult-adds", row.mult_adds_millions, found.mult_adds / 1e6))
    params = row.params / 1e6 if row.params else row.params_millions
    if params:
        entries.append(Row(row, "params", params, found.params / 1e6))
    return entries


def _explained(row: Row, same_case: list[Row]) -> Row:
    """The row with why it differs: what is known of it, or another source that counts the same network as we do."""
    if row.agrees:
        return row
    known = next((reason.why for reason in REASONS if reason.fits(row)), None)
    closest = min((o for o in same_case if o.quantity == row.quantity), key=lambda o: abs(o.difference))
    if known is None and abs(closest.difference) < 0.01 and closest.published.variant == row.published.variant:
        known = f"the sources disagree: {closest.published.source} has {closest.figure:g} M for this network, as we do"
    return replace(row, why=known)


def main() -> int:
    rows = table()
    shown = [row for row in rows if not row.agrees]
    print(f"{len(rows)} figures, {len(rows) - len(shown)} agree within 2 % or the rounding of their print\n")
    for row in sorted(shown, key=lambda r: -abs(r.difference)):
        p = row.published
        variant = " ".join(f"{k}={v}" for k, v in p.variant.items())
        print(
            f"{p.model:17} {variant:34} {p.input_size} {row.quantity:9} {row.figure:9.5g} {row.ours:9.5g} M "
            f"{100 * row.difference:+6.1f} %  {p.source}: {row.why or 'NOT EXPLAINED'}"
        )
    return any(row.why is None and abs(row.difference) > 0.03 for row in shown)


if __name__ == "__main__":
    sys.exit(main())
