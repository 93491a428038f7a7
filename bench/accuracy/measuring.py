"""Measuring a model's accuracy on labelled images: the side that starts the worker process and keeps what it says."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import msgspec

from bench import runtimes, store
from bench.accuracy import classes, predictions, staging
from bench.accuracy.agreement import with_keras
from bench.accuracy.images import image_set, listing
from bench.accuracy.predictions import Batch, Key
from bench.accuracy.predictor import Job, Spec
from bench.accuracy.results import Evaluation, evaluation
from bench.accuracy.signature import Signature
from bench.errors import WrongUsage
from bench.models import inputs, onnx_file
from bench.models.file import sha256_of
from bench.models.preprocessing import INTERPOLATION, RESIZE, Preprocessing, preprocessing
from bench.processes import process
from bench.records import Accuracy, Case, PlannedCase
from bench.runtimes.device import DEFAULT
from bench.suites import backbones

BATCH_SIZE = 32
_BATCH_BYTES = 20_000_000  # of one batch of inputs, at most, unless a size is asked for

Elsewhere = Callable[[Path, Spec, Job], Iterable[Batch]]
"""Makes the batches of a job from its first on, in order, with a file as the spec says."""

Progress = Callable[[int, int, float], None]
"""Told, after every batch: images done, images in all, images a second."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What to measure on, and how."""

    images: Path
    labels: Path | None = None
    classes: Path | None = None
    output: str | None = None  # the model's output with the class scores; None: the one that can be it
    class_order: str | None = None  # None: as `classes.labelling` has it
    preprocess: str | None = None
    crop: float | None = None  # None: `preprocessing.CROP`, or none where images are stretched
    resize: str = RESIZE
    interpolation: str = INTERPOLATION
    input_size: int | None = None  # pixels a side, where the file leaves it open
    dimensions: dict[str, int] = field(default_factory=dict)  # sizes of open dimensions, by name
    input_shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)  # by the input's name; "" for the only one
    batch_size: int | None = None  # None: as many as `_BATCH_BYTES` allow, up to BATCH_SIZE
    threads: int = 1
    runtime: str = DEFAULT
    provider: str | None = None  # None: the runtime's name for the CPU
    model: str | None = None  # what people call it; None: the file's name


def settings_of(case: PlannedCase) -> Settings:
    """The settings that a case's key `accuracy` stands for. Raises WrongUsage when it has none."""
    if case.accuracy is None:
        raise WrongUsage(f'{case.name} names no images; give the case accuracy = {{images = "DIR"}}')
    asked = case.accuracy
    return Settings(
        images=Path(asked.images),
        labels=Path(asked.labels) if asked.labels else None,
        classes=Path(asked.classes) if asked.classes else None,
        output=asked.output,
        class_order=asked.class_order,
        preprocess=asked.preprocess or backbones().get(case.model, {}).get("preprocess"),
        crop=asked.crop,
        resize=asked.resize,
        interpolation=asked.interpolation,
        dimensions=case.dimensions,
        input_shapes=case.input_shapes,
        threads=case.threads,
        runtime=case.runtime,
        provider=case.provider,
        model=case.name,
    )


def measure(path: Path, settings: Settings, *, kept: Path | None = None, progress: Progress | None = None) -> Accuracy:
    """The accuracy of an ONNX file as a run's record holds it; as `evaluate`.

    The whole evaluation lies beside the predictions that are kept, as .json.
    """
    found = evaluate(path, settings, kept=kept, progress=progress)
    if kept:
        store.write_atomically(kept.with_suffix(".json"), (store.json_text(found) + "\n").encode())
    return found.accuracy


def evaluate(
    path: Path,
    settings: Settings,
    *,
    kept: Path | None = None,
    progress: Progress | None = None,
    agree_with: Case | None = None,
    stages: bool = False,
    elsewhere: Elsewhere | None = None,
) -> Evaluation:
    """Judge an ONNX file on labelled images, in a worker process.

    Args:
        path: the ONNX file.
        settings: the images, the preprocessing, and how to run.
        kept: the file of predictions, to be resumed after a kill; None: they are not kept.
        progress: told after every batch.
        agree_with: the case that the file was exported from; its Keras model is asked about the same images.
        stages: whether to time what lies between an image file and its answer, too, once the judging has ended.
        elsewhere: who makes the batches in this process's place, as on other machines; None: it does.

    Raises:
        WrongUsage: no images, labels that match nothing, a model that is no classifier, or an impossible setting.
        Failed: the model cannot run, or no image can be read.
    """
    if agree_with and agree_with.is_file:
        raise WrongUsage(f"{path} is a file of its own: there is no Keras model to agree with; name the model instead")
    if not path.is_file():
        raise WrongUsage(f"there is no file {path}; give a model's name or the path of its file")
    listed = listing(settings.images, labels=settings.labels, listed=settings.classes is not None)
    artifact_sha256 = sha256_of(path)
    with process.started(
        "bench.accuracy.predictor", what="the process that runs the model", remedy="use a smaller --batch-size",
        gpu=True,
    ) as worker:  # fmt: skip
        spec = Spec(
            path=str(path),
            runtime=settings.runtime,
            provider=settings.provider or runtimes.get(settings.runtime).DEVICES["cpu"],
            threads=settings.threads,
            input_size=settings.input_size,
            sizes=sizes(path, settings),
            output=settings.output,
            widths=classes.widths(listed.words, settings.classes),
        )
        signature = msgspec.convert(worker.ask(spec), Signature)
        p = preprocessing_of(settings, signature)
        images = image_set(listed, signature.outputs, given=settings.classes, order=settings.class_order)
        batch_size = batch_size_of(settings.batch_size, signature, p)
        key = Key(
            artifact_sha256=artifact_sha256,
            images_sha256=images.sha256,
            preprocessing=p,
            batch_size=batch_size,
            runtime=settings.runtime,
            provider=signature.provider,
            output=signature.output,
        )
        batches = predictions.load(kept, key) if kept else []
        files = tuple(image.file for image in images.images)
        job = Job(
            preprocessing=p,
            batch_size=batch_size,
            first=len(batches),
            folder=str(settings.images),
            files=files,
            labels=images.labels,
        )
        made = (msgspec.convert(answer, Batch) for answer in worker.answers(job)) if elsewhere is None else elsewhere(
            path, spec, job
        )  # fmt: skip
        for batch in made if len(batches) * batch_size < len(files) else ():
            batches.append(batch)
            if kept:
                predictions.append(kept, batch)
            if progress:
                done = sum(len(each.predictions) for each in batches)
                progress(done, len(files), done / sum(each.wall_s for each in batches))
    result = evaluation(
        images,
        batches,
        model=settings.model or path.name,
        artifact_sha256=artifact_sha256,
        outputs=signature.outputs,
        output=signature.output,
        other_outputs=signature.other_outputs,
        single=signature.single,
        preprocessing=p,
        provider=signature.provider,
        threads=settings.threads,
        batch_size=batch_size,
    )
    if stages:
        answered = (prediction for batch in batches for prediction in batch.predictions)
        timed = staging.measure(
            staging.Question(
                path=str(path),
                runtime=settings.runtime,
                provider=signature.provider,
                threads=settings.threads,
                preprocessing=p,
                batch_size=signature.batch_size or 1,
                output=signature.output,
                batched=signature.batched,
                single=signature.single,
                probabilities=all(batch.probabilities for batch in batches),
                files=tuple(
                    str(images.folder / file)
                    for file, prediction in zip(files, answered, strict=True)
                    if prediction.unreadable is None
                ),
            )
        )
        result = replace(result, stages=timed)
    return replace(result, agreement=with_keras(agree_with, path, images, p)) if agree_with else result


def sizes(path: Path, settings: Settings | Case) -> tuple[int | None, ...] | None:
    """The sizes of the file's only input, None where they stay open; None for a file that does not say.

    Raises WrongUsage for sizes that do not fit.
    """
    if not path.name.lower().endswith(".onnx"):
        return None
    known = onnx_file.read(path).inputs
    if settings.input_shapes and len(known) == 1:
        fed = inputs.shapes(known, asked=settings.input_shapes, dimensions=settings.dimensions)
        return fed[known[0].name]
    axes = known[0].axes if len(known) == 1 else None
    return tuple(axis.size or settings.dimensions.get(axis.name) for axis in axes) if axes else None


class Scaled(Protocol):
    """What says how images are scaled, as `preprocessing` takes it."""

    @property
    def preprocess(self) -> str | None:
        """How the model wants its pixels; None: not known."""

    @property
    def crop(self) -> float | None:
        """The share that is kept; None: the usual one."""

    @property
    def resize(self) -> str:
        """One of suites.RESIZES."""

    @property
    def interpolation(self) -> str:
        """One of suites.INTERPOLATIONS."""


def preprocessing_of(settings: Scaled, signature: Signature) -> Preprocessing:
    """How images become what a file takes."""
    return preprocessing(
        settings.preprocess,
        height=signature.height,
        width=signature.width,
        layout=signature.layout,
        dtype=signature.dtype,
        decoder=signature.decoder,
        crop=settings.crop,
        resize=settings.resize,
        interpolation=settings.interpolation,
    )


def batch_size_of(asked: int | None, signature: Signature, p: Preprocessing) -> int:
    """How many images to infer at once: as asked, or as many as fit. Raises WrongUsage for what the file refuses."""
    if signature.batch_size is not None:
        if asked not in (None, signature.batch_size):
            raise WrongUsage(
                f"the model has a fixed batch of {signature.batch_size}; --batch-size {asked} does not fit"
            )
        return signature.batch_size
    image_bytes = 3 * p.height * p.width * {"uint8": 1, "float16": 2, "float64": 8, "int64": 8}.get(p.dtype, 4)
    return asked or max(1, min(BATCH_SIZE, _BATCH_BYTES // image_bytes))
