"""The model card: what a shipped model is, what was measured of it, where, and under which licence its weights are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import suites
from bench.analysis import quality, quantities, trust
from bench.errors import printable
from bench.machine import facts
from bench.models.preprocessing import Preprocessing
from bench.records import Record, Run
from bench.units import quantity


@dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    """How `predict.py` was checked, and what it does."""

    images: int
    source: str
    largest_difference: float  # of a probability from the harness's
    preprocessing: Preprocessing
    labels: int


def text(run: Run, record: Record, model: Path, checked: Checked, notes: Sequence[str]) -> str:
    """The card as Markdown. Whatever a suite or a file may name stands as code, where nothing in it acts."""
    case = record.case
    size = "x".join(map(str, (checked.preprocessing.height, checked.preprocessing.width)))
    sections = [
        f"# {_code(case.name)}",
        f"{_code(case.model)} in {case.precision}, {size} pixels, {checked.labels} outputs: `{model.name}`, "
        f"SHA-256 `{record.artifact.sha256 if record.artifact else ''}`.",
        "    pip install -r requirements.txt\n    python predict.py IMAGE...",
        "## Measured",
        "\n".join(_figures(record)),
        "## Where, and whether to trust it",
        "\n".join(_where(run, record)),
        "## Images",
        f"An image is {checked.preprocessing}.",
        f"`predict.py` was run on {checked.images} {_code(checked.source)}: it says what was measured, the largest "
        f"difference of a value is {checked.largest_difference:.1e}.",
        *(f"Note: {_code(note)}" for note in notes),
        "## Weights and licence",
        "\n".join(_weights(record)),
    ]
    return "\n\n".join(sections) + "\n"


def _figures(record: Record) -> Iterator[str]:
    """Every known quantity with its unit and interval, and where the accuracy comes from."""
    yield from _accuracy(record)
    for one in quantities.limited().values():
        value = one.read(record)
        if value is None or one.metric is not None:
            continue
        yield f"- {one.label}: {quantity(value, one.unit, one.interval_of(record))}"
    if m := record.measurement:
        yield (
            f"- the times are of one inference of a batch of {record.case.batch_size}, from {m.visits} visits and "
            f"{m.samples:,} samples; intervals are of 95 %"
        )


def _accuracy(record: Record) -> Iterator[str]:
    metric, accuracy = quality.of([record]), record.accuracy
    value = metric.value(record)
    if value is None:
        yield "- accuracy: not known"
        return
    images = f" on {accuracy.n:,} images" if accuracy.n else ""
    source = f": {_code(accuracy.source)}" if accuracy.source else ""
    label = quantities.QUANTITIES[metric.name].label
    yield f"- {label}: {quantity(value, 'percent', metric.interval(record))}, {accuracy.origin}{images}{source}"
    if accuracy.origin == "published" and record.case.weights != "imagenet":
        yield "  - **not this file's**: it was published for weights trained on ImageNet, and these are others"
    if accuracy.doubt:
        yield f"  - doubtful: {_code(accuracy.doubt)}"


def _where(run: Run, record: Record) -> Iterator[str]:
    case, machine = record.case, run.machine
    yield f"- run of {_code(run.started_at)}, suite {_code(run.suite)}"
    runtime = machine.may_drift.get(case.runtime, case.runtime)
    yield f"- runtime: {_code(runtime)}, {_code(case.provider)}, {case.threads} thread{'s' * (case.threads > 1)}"
    values = machine.must_match | machine.may_drift
    yield from (
        f"- {fact.label}: {_code(fact.show(values[fact.name]))}{f' {fact.unit}' if fact.unit else ''}"
        for fact in facts.FACTS
        if fact.name in ("cpu", "cores", "device", "os") and values.get(fact.name) is not None
    )
    yield from (f"- {_code(line)}" for line in trust.in_words(run))


def _weights(record: Record) -> Iterator[str]:
    """Where the weights come from, and what is known of their licence."""
    case = record.case
    if learned := record.transfer:
        yield (
            f"- the last layer was trained here on {learned.training:,} images of {_code(learned.images)}: their "
            "licence is where you have them from; the backbone before it:"
        )
    if case.train and case.train.data:
        yield f"- trained here on the embedded data set {_code(case.train.data)}, from random weights on"
    elif case.is_file or case.model not in suites.backbones():
        yield "- a file of your own: its licence is where you have it from"
    elif case.weights == "none" and record.transfer:
        yield "- **random**: its features are, so that most of what could be learnt was not; use ImageNet's weights"
    elif case.weights == "none":
        yield "- **random**: what this model says means nothing; train it, or export it with other weights"
    elif case.weights == "imagenet":
        yield from _licence(case.model)
    else:
        yield f"- from {_code(case.weights)}: their licence is where you have them from"


def _licence(model: str) -> Iterator[str]:
    known = json.loads((suites.FOLDER / "licences.json").read_text(encoding="utf-8"))
    licence = known.get(suites.backbones()[model]["family"])
    yield "- pretrained on ImageNet, as Keras distributes them"
    if licence:
        yield f"- licence: {licence['says']}, says {licence['from']} ({licence['url']})"
    else:
        yield "- licence: not known; ask those who trained them"
    yield (
        "- ImageNet's images themselves are for research and teaching that is not commercial "
        "(https://www.image-net.org/download.php); whether that reaches weights trained on them is for your lawyer"
    )


def _code(value: object) -> str:
    """A text as Markdown's code, whatever it holds."""
    line = printable(str(value))
    fence = "`" * (max((len(run) for run in re.findall("`+", line)), default=0) + 1)
    space = " " if line.startswith("`") or line.endswith("`") or not line else ""
    return f"{fence}{space}{line}{space}{fence}"
