"""Published accuracies and costs: facts with a source, each for exactly one variant of one model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import msgspec

from bench import suites
from bench.records import Accuracy, Case, PublishedAccuracy

# The record of the weights that Keras ships comes first, then what says least indirectly how those do.
_OF_KERAS_WEIGHTS = ("yes", "keras-applications only", "likely", "no")
_SOURCES = ("Keras Applications table", "keras-applications README table", "Keras mobilenet_v3.py docstring")
_EVALUATIONS = ("single-crop", "unstated")  # before 10-crop and dense evaluation, which a single inference cannot reach


@dataclass(frozen=True, kw_only=True, slots=True)
class Publication:
    """One published row. `variant` holds the arguments that set the network apart from the model's default."""

    model: str
    variant: dict[str, Any]
    input_size: int | None = None  # pixels a side; None for rows about a single layer
    top1: float | None = None  # percent
    top5: float | None = None
    mult_adds_millions: float | None = None
    params_millions: float | None = None  # as printed
    params: int | None = None  # exact, where the source has it
    source: str
    reference: str
    keras_weights: str  # whether the row is about the weights that Keras ships: one of _OF_KERAS_WEIGHTS
    evaluation: str
    training: dict[str, Any] = field(default_factory=dict)  # pre-training and scales, which change no network
    note: str | None = None


@cache
def publications() -> tuple[Publication, ...]:
    """Every row of `suites/published.json`."""
    rows = json.loads((suites.FOLDER / "published.json").read_text(encoding="utf-8"))
    return msgspec.convert(rows, tuple[Publication, ...])


def of_variant(model: str, arguments: Mapping[str, Any], input_size: int) -> list[Publication]:
    """The rows about exactly this network: model, constructor arguments and input size in pixels a side."""
    wanted = _with_defaults(model, arguments)
    return [
        row
        for row in publications()
        if row.model == model and row.input_size == input_size and _with_defaults(model, row.variant) == wanted
    ]


def lookup(case: Case) -> Accuracy:
    """The accuracy published for exactly this case, or origin "none"; never that of a neighbouring variant.

    A changed head, weights of the user's own or a reduced precision make another network than the published one. The
    row about the weights that Keras ships wins; the others become `alternatives`, best first.
    """
    shape = case.input_shape
    altered = case.head != "native" or case.classes != 1000 or case.precision != "fp32"
    if altered or case.weights not in ("none", "imagenet") or shape is None or shape[0] != shape[1]:
        return Accuracy(origin="none")
    rows = sorted(of_variant(case.model, case.arguments, shape[0]), key=_rank)
    found = [
        PublishedAccuracy(top1=r.top1, top5=r.top5, source=r.source, reference=r.reference) for r in rows if r.top1
    ]
    if not found:
        return Accuracy(origin="none")
    best, *others = found
    return Accuracy(
        origin="published",
        top1=best.top1,
        top5=best.top5,
        source=best.source,
        reference=best.reference,
        alternatives=tuple(others),
    )


def _with_defaults(model: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {**suites.backbones().get(model, {}).get("defaults", {}), **arguments}


def _rank(row: Publication) -> tuple[int, int, int]:
    def place(value: str, order: tuple[str, ...]) -> int:
        return order.index(value) if value in order else len(order)

    return place(row.keras_weights, _OF_KERAS_WEIGHTS), place(row.source, _SOURCES), place(row.evaluation, _EVALUATIONS)
