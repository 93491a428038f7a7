"""Which figures a run has: a figure is one file in `figures/` and one entry here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from bench.records import Comparison, Run, Visit
from bench.report.answers import Answers
from bench.report.figures import (
    bars,
    bubbles,
    fit,
    forest,
    kinds,
    learning,
    load,
    own,
    promise,
    roof,
    samples,
    sweep,
    switching,
    tradeoff,
)
from bench.report.figures.figure import Figure, Subject

FIGURES: list[Callable[[Subject], Iterable[Figure]]] = [
    tradeoff.latency,
    switching.of_runtimes,
    load.of_load,
    learning.of_learning,
    own.of_confusion,
    own.of_moves,
    bubbles.operations,
    bars.accuracies,
    tradeoff.size,
    tradeoff.memory,
    bars.densities,
    fit.fits,
    roof.roofs,
    kinds.of_kinds,
    sweep.of_sweeps,
    promise.of_promises,
    forest.of_comparison,
    samples.of_samples,
]
"""In the order of a page, the ones that decide first. Each gives no figure where the run has no data for it."""


def figures(
    run: Run,
    visits: Sequence[Visit] = (),
    comparison: Comparison | None = None,
    earlier: Sequence[Run] = (),
    answers: Mapping[str, Answers] | None = None,
) -> list[Figure]:
    """The figures of a run."""
    subject = Subject(
        run=run, visits=tuple(visits), comparison=comparison, earlier=tuple(earlier), answers=dict(answers or {})
    )
    return [figure for of in FIGURES for figure in of(subject)]
