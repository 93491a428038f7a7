"""Which figures a run has, each with the question that it answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

from bench.analysis import quality, roofline
from bench.records import Comparison, Record, Run, Visit
from bench.report import mobilenet
from bench.report.figures import bars, bubbles, fit, kinds, promise, roof, sweep, tradeoff
from bench.report.figures.forest import forest_figure
from bench.report.figures.frame import FRAMES, Frame
from bench.report.figures.samples import samples_figure
from bench.units import megabytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """A figure of a page, not yet drawn."""

    id: str
    title: str
    question: str
    draw: Callable[[Frame], dict[str, Any]]
    alternative: str  # what the figure shows, for those who do not see it
    notes: tuple[str, ...] = ()

    def drawn(self) -> dict[str, Any]:
        """For each frame the figure as Plotly's JSON; what a frame shares with the first one is left out of it."""
        first, *others = [self.draw(frame) for frame in FRAMES]
        return {FRAMES[0].name: first} | {
            frame.name: {"layout": other["layout"], "data": _differences(first["data"], other["data"])}
            for frame, other in zip(FRAMES[1:], others, strict=True)
        }


_TABLE = "every number in it is in the table of all models"


def figures(run: Run, visits: Sequence[Visit] = (), comparison: Comparison | None = None) -> list[Figure]:
    """The figures of a run, the ones that decide first. Those that it has no data for are left out."""
    records = list(run.records)
    return [
        *_accuracy(records),
        *_prices(records),
        *_operations(records),
        *_roof(run),
        *_kinds(records),
        *_sweeps(records),
        *_promises(run),
        *(comparison_figures(comparison) if comparison else ()),
        *_samples(records, visits),
    ]


def _accuracy(records: list[Record]) -> Iterator[Figure]:
    judged = quality.of(records)
    notes = _origin_notes(records)
    yield Figure(
        id="latency",
        title="Accuracy against measured latency",
        question="Which model is the most accurate within my time? Up and to the left is better; models off the dotted "
        "Pareto front are pale, because another one is both faster and more accurate.",
        draw=partial(tradeoff.tradeoff_figure, records, price=tradeoff.LATENCY),
        alternative=f"Bubbles: {judged.label} against p50; {_TABLE}",
        notes=notes
        + (("Arrows lead from fp32 to the same network in a lower precision.",) if tradeoff.quantised(records) else ()),
    )
    yield Figure(
        id="operations",
        title="Figure 2: accuracy against operations",
        question="How much accuracy does an operation buy? The area of a bubble is proportional to the number of "
        "parameters; grey bubbles give the scale.",
        draw=partial(bubbles.operations_figure, records),
        alternative=f"Bubbles: {judged.label} against G-Ops, areas proportional to parameters; {_TABLE}",
        notes=notes,
    )
    yield Figure(
        id="accuracy",
        title="Figure 1: accuracy of each network",
        question="The accuracies that the other figures stand on, from worst to best. The axis does not begin at 0.",
        draw=partial(bars.accuracy_figure, records),
        alternative=f"Bars: {judged.label} of each network, from worst to best; {_TABLE}",
        notes=("Hatched bars with an interval were measured here.",) if any(map(_is_measured, records)) else (),
    )


def _prices(records: list[Record]) -> Iterator[Figure]:
    judged = quality.of(records)
    if any(tradeoff.SIZE.value(r) for r in records):
        yield Figure(
            id="size",
            title="Accuracy against file size",
            question="What does accuracy cost to store and to send?",
            draw=partial(tradeoff.tradeoff_figure, records, price=tradeoff.SIZE),
            alternative=f"Bubbles: {judged.label} against the size of the file; {_TABLE}",
        )
    if any(tradeoff.MEMORY.value(r) for r in records):
        yield Figure(
            id="memory",
            title="Accuracy against peak memory",
            question="What fits on a small machine? Peak resident memory of the process that was timed, the runtime "
            "included.",
            draw=partial(tradeoff.tradeoff_figure, records, price=tradeoff.MEMORY),
            alternative=f"Bubbles: {judged.label} against peak memory; {_TABLE}",
        )
    if any(judged.value(r) is not None and r.cost and r.cost.params for r in records):
        yield Figure(
            id="density",
            title="Accuracy density",
            question="Which networks use their parameters best? Percentage points for each million parameters.",
            draw=partial(bars.density_figure, records),
            alternative=f"Bars: {judged.label} per million parameters; {_TABLE}",
        )


def _operations(records: list[Record]) -> Iterator[Figure]:
    found = fit.fit(records)
    if found is None:
        return
    off = 100 * (median(max(ratio, 1 / ratio) for ratio in found.ratios) - 1)
    least, most = min(found.ratios), max(found.ratios)
    yield Figure(
        id="fit",
        title="Do operations predict latency?",
        question=f"The line is the best straight one: p50 = {found.factor:.3g} ms x G-Ops^{found.exponent:.2f}, "
        f"R² = {found.r2:.2f}. Half of the networks lie more than {off:.0f} % off it, from {least:.2f} to {most:.2f} "
        "times what it says: choose by measured time.",
        draw=partial(fit.fit_figure, found),
        alternative=f"Measured p50 against G-Ops, both logarithmic, with a straight line; {_TABLE}",
    )
    yield Figure(
        id="residuals",
        title="Which families are slower than their operations?",
        question="How far each network lies from that line, a row a family. Right of the dotted line: slower than its "
        "operations promise.",
        draw=partial(fit.residuals_figure, found),
        alternative="Measured over fitted p50 of each network, a row a family",
    )


def _roof(run: Run) -> Iterator[Figure]:
    placed = [(record, share) for record in run.records if (share := roofline.share(record, run)) is not None]
    if run.roofline is None or not placed:
        return
    shares = [100 * share.share for _, share in placed]
    cache = run.roofline.cache_bytes
    cached = f" (the slope does not bind those whose data fit into {megabytes(cache)} of cache)" if cache else ""
    yield Figure(
        id="roof",
        title="How much of the machine is used?",
        question=f"The line is what it can do at most, measured through ONNX Runtime with the same threads: "
        f"{run.roofline.gflops:.3g} GFLOP/s of a large product of matrices, {run.roofline.gbytes_per_s:.3g} GB/s of "
        f"memory. A typical network reaches {median(shares):.0f} % of its bound, {min(shares):.0f} to "
        f"{max(shares):.0f} % in all; above the line, something is counted or measured wrong{cached}.",
        draw=partial(roof.roof_figure, placed, run.roofline),
        alternative="Achieved GFLOP/s of each network against its operations a byte, under the roofline",
        notes=tuple(roofline.warnings(run)),
    )


def _kinds(records: list[Record]) -> Iterator[Figure]:
    tax = kinds.layout_tax(records)
    if not tax:
        return
    unprofiled = [r.case.name for r in records if r.measurement and not r.kinds_ms]
    worst = next(iter(tax))
    yield Figure(
        id="kinds",
        title="Where the time goes",
        question=f"The layout tax: {100 * median(tax.values()):.1f} % of a typical network's time only changes layouts "
        f"(transposes and reorders), at most {100 * tax[worst]:.1f} %, in {worst}. Hover to compare a kind's share of "
        "the time with its share of the operations: where they differ, operations do not predict latency. Clocked node "
        "by node with ONNX Runtime's profiler: read the shares, not the sum.",
        draw=partial(kinds.kinds_figure, records),
        alternative="Share of the time of each network by kind of layer",
        notes=(f"Could not be profiled: {', '.join(unprofiled)}.",) if unprofiled else (),
    )


def _sweeps(records: list[Record]) -> Iterator[Figure]:
    questions = {
        "batch_size": "Does a larger batch pay? Images in a second, with 95 % intervals.",
        "threads": "Do more threads pay? Images in a second, with 95 % intervals.",
    }
    for key, question in questions.items():
        if sweep.sweeps(records, key):
            yield Figure(
                id=key,
                title=f"Throughput over {sweep.TITLES[key].lower()}",
                question=question,
                draw=partial(sweep.sweep_figure, records, key=key),
                alternative=f"Lines: images a second over {sweep.TITLES[key].lower()}; {_TABLE}",
            )


def _promises(run: Run) -> Iterator[Figure]:
    promises = mobilenet.promises(run)
    if not promises:
        return
    worst = min(promises, key=lambda p: p.measured / p.promised)
    yield Figure(
        id="promise",
        title="What the multipliers promise, and what they keep",
        question="A smaller width α or resolution ρ saves operations; does it save as much time? On the dotted line it "
        f"does. Below it, time is lost to what operations do not count. {worst.case} keeps least: {worst.promised:.2f} "
        f"times fewer mult-adds, {worst.measured:.2f} times faster.",
        draw=partial(promise.promise_figure, promises),
        alternative="Speed-up measured against speed-up promised by counting operations",
    )


def comparison_figures(comparison: Comparison) -> list[Figure]:
    """The forest plot of a comparison; nothing where no model could be compared."""
    if all(v.ratio is None for v in comparison.verdicts):
        return []
    figure = Figure(
        id="forest",
        title="What changed",
        question=f"The band is the margin, {100 * comparison.margin:.1f} %: an interval inside it is equivalent. Grey "
        "ticks show the smallest change that these two runs could have seen.",
        draw=partial(forest_figure, comparison),
        alternative="Change of each model's p50 with its 95 % interval; every number is in the table of verdicts",
    )
    return [figure]


def _samples(records: list[Record], visits: Sequence[Visit]) -> Iterator[Figure]:
    if not visits:
        return
    disturbed = sum(bool(visit.disturbances) for visit in visits)
    yield Figure(
        id="samples",
        title="Raw samples over the time of the run",
        question=f"Was the machine steady? Each point is one inference over its model's p50. {disturbed} of "
        f"{len(visits)} visits were disturbed; they are crossed, and pointing at one says by what.",
        draw=partial(samples_figure, records, visits),
        alternative="Raw samples over time, disturbed visits marked",
        notes=("Of each visit its fastest and slowest sample are drawn, and some between.",),
    )


def _is_measured(record: Record) -> bool:
    return record.accuracy.origin == "measured"


def _origin_notes(records: list[Record]) -> tuple[str, ...]:
    judged = quality.of(records)
    unknown = [r.case.name for r in records if judged.value(r) is None]
    notes = []
    if any(map(_is_measured, records)):
        notes.append("Rings with a vertical interval: accuracy measured here. Dots: published.")
    if unknown:
        notes.append(f"Hollow bubbles at the foot of the axis: no accuracy is known for exactly {', '.join(unknown)}.")
    return tuple(notes)


def _differences(first: list[dict[str, Any]], other: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of each trace what is not the same in the other list; everything where the two lists do not match."""
    if len(first) != len(other):
        return other
    return [{k: v for k, v in b.items() if k not in a or a[k] != v} for a, b in zip(first, other, strict=True)]
