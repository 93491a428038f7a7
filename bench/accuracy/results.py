"""What predictions amount to: accuracies with intervals, classes, confusions, mistakes. Pure functions of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.accuracy import orders
from bench.accuracy.images import ImageSet
from bench.accuracy.orders import OtherOrder
from bench.accuracy.predictions import TOP, Batch, Prediction
from bench.analysis.pairs import packed
from bench.analysis.statistics import percentile, supports, wilson
from bench.errors import Failed
from bench.models.preprocessing import Preprocessing
from bench.records import Accuracy, Fidelity
from bench.units import readable

SCHEMA_VERSION = 1
_PAIRS = 20

Array = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassAccuracy:
    """The images of one class."""

    output: int
    name: str
    n: int
    top1: float  # percent, with its Wilson interval
    top1_low: float
    top1_high: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Confusion:
    """Images of one class that were taken for another."""

    name: str
    taken_for: str
    count: int
    of: int  # images of the class


@dataclass(frozen=True, kw_only=True, slots=True)
class Mistake:
    """An image whose first answer is wrong."""

    file: str
    name: str  # the right class
    label_score: float  # its probability, 0 to 1
    answer: str
    score: float
    rank: int | None  # of the right class, 2 to 5; None: further back


@dataclass(frozen=True, kw_only=True, slots=True)
class Unreadable:
    """An image that could not be judged, and why."""

    file: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """What one stage takes of one pass."""

    p50_ms: float
    p95_ms: float | None  # None: too few passes to tell


@dataclass(frozen=True, kw_only=True, slots=True)
class Stages:
    """What lies between an image file and its answer, one image at a time on one thread, each stage timed apart.

    Files come from the system's cache: judging has just read them. A model whose batch is fixed takes so many images in
    one pass, and the times are those of the pass.
    """

    decode: Span  # the file read and decoded
    resize: Span  # turned upright, RGB, resized and cropped
    scale: Span  # scaled into the model's input
    inference: Span
    postprocess: Span  # scores to probabilities and the top 5
    whole: Span  # all of them
    outside_share: float  # of the whole that is not inference, 0 to 1; the median over the passes
    n: int  # images; with fewer than one pass takes, some of them come more than once
    passes: int
    batch_size: int  # images in one pass: 1 unless the model's batch is fixed
    threads: int  # of inference; everything else has one


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """A model judged on labelled images: the content of the result file. Accuracies in percent.

    Names are text: what a file system holds beside it is replaced.
    """

    schema_version: int
    model: str
    artifact_sha256: str
    images: str
    labels: str  # how the labels were matched with the model's outputs
    output: str  # the model's output with the class scores
    other_outputs: tuple[str, ...]  # those that might hold them too, with their widths
    outputs: int
    n: int
    top1: float
    top1_low: float
    top1_high: float
    top5: float | None  # None for 5 outputs or fewer
    top5_low: float | None
    top5_high: float | None
    classes: tuple[ClassAccuracy, ...]  # worst first
    confusions: tuple[Confusion, ...]  # the most frequent
    mistakes: tuple[Mistake, ...]  # the surest first
    unreadable: tuple[Unreadable, ...]
    ignored: int  # files that are no images, or that have no label
    leftovers: dict[str, int]  # of archives and systems, and hidden ones, left out: how many by name
    other_order: OtherOrder | None  # of the classes, which the predictions speak for: then the figures are doubtful
    scores: str  # what a score is
    preprocessing: Preprocessing
    provider: str
    threads: int
    batch_size: int
    wall_s: float
    inference_s: float
    images_per_s: float
    images_sha256: str | None = None  # of the images that could be read, in their order: equal for the same ones
    right: str | None = None  # whether the first answer is right, of each of them: see `analysis.pairs.packed`
    agreement: Fidelity | None = None  # with Keras, on these images
    stages: Stages | None = None  # None unless asked for

    @property
    def accuracy(self) -> Accuracy:
        """The part that a record of a run holds."""
        return Accuracy(
            origin="measured",
            top1=self.top1,
            top5=self.top5,
            source=self.images,
            doubt=self.other_order.says if self.other_order else None,
            n=self.n,
            top1_low=self.top1_low,
            top1_high=self.top1_high,
            images=self.images_sha256,
            right=self.right,
        )


def evaluation(
    images: ImageSet,
    batches: Sequence[Batch],
    *,
    model: str,
    artifact_sha256: str,
    outputs: int,
    output: str,
    other_outputs: tuple[str, ...],
    single: str | None,
    preprocessing: Preprocessing,
    provider: str,
    threads: int,
    batch_size: int,
) -> Evaluation:
    """Sum up the predictions for all images of a set. Raises Failed when not one image could be read."""
    predictions = [prediction for batch in batches for prediction in batch.predictions]
    everything = list(zip(images.images, images.labels, predictions, strict=True))
    unreadable = tuple(
        Unreadable(file=readable(i.file), reason=readable(p.unreadable)) for i, _, p in everything if p.unreadable
    )
    rows = [(readable(i.file), label, p) for i, label, p in everything if p.unreadable is None]
    if not rows:
        raise Failed(f"not one of {len(everything)} images could be read; {unreadable[0].file}: {unreadable[0].reason}")
    n = len(rows)
    right = [label == p.top[0] for _, label, p in rows]
    among = [label in p.top for _, label, p in rows]
    top1 = _percent(sum(right), n)
    top5 = _percent(sum(among), n) if outputs > TOP else (None, None, None)
    wall_s = sum(batch.wall_s for batch in batches)
    return Evaluation(
        schema_version=SCHEMA_VERSION,
        model=readable(model),
        artifact_sha256=artifact_sha256,
        images=readable(str(images.folder)),
        labels=readable(images.labelling.rule),
        output=readable(output),
        other_outputs=tuple(map(readable, other_outputs)),
        outputs=outputs,
        n=n,
        top1=top1[0],
        top1_low=top1[1],
        top1_high=top1[2],
        top5=top5[0],
        top5_low=top5[1],
        top5_high=top5[2],
        classes=_classes(rows, images),
        confusions=_confusions(rows, images),
        mistakes=_mistakes(rows, images),
        unreadable=unreadable,
        ignored=images.ignored,
        leftovers=images.leftovers,
        other_order=_other_order(images, predictions),
        scores=_scores(single, all(batch.probabilities for batch in batches)),
        preprocessing=preprocessing,
        provider=provider,
        threads=threads,
        batch_size=batch_size,
        wall_s=round(wall_s, 3),
        inference_s=round(sum(batch.inference_s for batch in batches), 3),
        images_per_s=round(len(everything) / wall_s, 2),
        images_sha256=images.shown([prediction.unreadable is None for prediction in predictions]),
        right=packed(right),
    )


def _scores(single: str | None, probabilities: bool) -> str:
    """What a score is, in words."""
    if single:
        return f"one output an image, the {single} of the second class"
    return "probabilities" if probabilities else "softmax of the outputs"


def stages(taken_ns: Mapping[str, Sequence[int]], *, batch_size: int, threads: int) -> Stages:
    """Sum up the times of every stage: for each of them as many ns as there were passes, in the same order."""
    whole: Array = np.array(list(taken_ns.values()), np.float64).sum(axis=0)
    outside = 1 - np.asarray(taken_ns["inference"]) / whole
    return Stages(
        **{name: _span(np.asarray(values, np.float64)) for name, values in taken_ns.items()},
        whole=_span(whole),
        outside_share=round(float(np.median(outside)), 4),
        n=len(whole) * batch_size,
        passes=len(whole),
        batch_size=batch_size,
        threads=threads,
    )


def _span(ns: Array) -> Span:
    ms = [ns / 1e6]
    return Span(
        p50_ms=round(percentile(ms, 0.5), 4),
        p95_ms=round(percentile(ms, 0.95), 4) if supports(len(ns), 0.95) else None,
    )


Judged = Sequence[tuple[str, int, Prediction]]


def _classes(rows: Judged, images: ImageSet) -> tuple[ClassAccuracy, ...]:
    right: dict[int, list[bool]] = defaultdict(list)
    for _, label, prediction in rows:
        right[label].append(label == prediction.top[0])
    classes = []
    for label, values in right.items():
        top1, low, high = _percent(sum(values), len(values))
        classes.append(
            ClassAccuracy(
                output=label, name=_name(label, images), n=len(values), top1=top1, top1_low=low, top1_high=high
            )
        )
    return tuple(sorted(classes, key=lambda c: (c.top1, c.output)))


def _confusions(rows: Judged, images: ImageSet) -> tuple[Confusion, ...]:
    of = Counter(label for _, label, _ in rows)
    pairs = Counter((label, p.top[0]) for _, label, p in rows if label != p.top[0])
    worst = sorted(pairs.items(), key=lambda item: (-item[1], item[0]))[:_PAIRS]
    return tuple(
        Confusion(name=_name(label, images), taken_for=_name(answer, images), count=count, of=of[label])
        for (label, answer), count in worst
    )


def _mistakes(rows: Judged, images: ImageSet) -> tuple[Mistake, ...]:
    mistakes = [
        Mistake(
            file=file,
            name=_name(label, images),
            label_score=p.label_score,
            answer=_name(p.top[0], images),
            score=p.scores[0],
            rank=p.top.index(label) + 1 if label in p.top else None,
        )
        for file, label, p in rows
        if label != p.top[0]
    ]
    return tuple(sorted(mistakes, key=lambda mistake: (-mistake.score, mistake.file)))


def _other_order(images: ImageSet, predictions: Sequence[Prediction]) -> OtherOrder | None:
    answered = [
        (image.word, prediction.top[0])
        for image, prediction in zip(images.images, predictions, strict=True)
        if prediction.unreadable is None
    ]
    return orders.better(
        [word for word, _ in answered],
        [answer for _, answer in answered],
        images.labelling.outputs,
        {name: other.outputs for name, other in images.other_orders.items()},
    )


def _name(output: int, images: ImageSet) -> str:
    return readable(images.labelling.names.get(output, str(output)))


def _percent(successes: int, n: int) -> tuple[float, float, float]:
    """A share in percent with its Wilson interval."""
    low, high = wilson(successes, n)
    return round(100 * successes / n, 4), round(100 * low, 4), round(100 * high, 4)
