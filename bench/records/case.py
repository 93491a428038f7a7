"""What is asked: a case of a suite, and what belongs to it."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from bench.records.numbers import AtLeastZero, Count, Positive

Arguments = dict[str, Any]
"""Arguments of a model's constructor beyond its input shape: JSON scalars by name, e.g. {"alpha": 0.5}."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelledImages:
    """Images on which a case's accuracy is measured, as a suite's key `accuracy` names them."""

    images: str  # folder: one folder a class, or flat with `labels`
    labels: str | None = None  # CSV of file,label
    classes: str | None = None  # file of the class names, in the order of the model's outputs
    preprocess: str | None = None  # one of suites.PREPROCESSES; None: the family's own
    output: str | None = None  # the model's output with the class scores; None: the one that can be it
    class_order: str | None = None  # one of suites.CLASS_ORDERS
    crop: float | None = None  # the share of the resized image's shorter side that is kept; None: 0.875
    resize: str = "cover"  # one of suites.RESIZES
    interpolation: str = "bilinear"


@dataclass(frozen=True, kw_only=True, slots=True)
class Training:
    """What a case's weights are trained on here, and its accuracy measured.

    An embedded data set, on which the whole network is trained; or images of one's own, on which a head is trained on
    what the frozen backbone makes of them.
    """

    data: str | None = None  # one of suites.DATA_SETS; None with `images`
    images: str | None = None  # folder: one folder a class, or parts of a data set with one folder a class each
    preprocess: str | None = None  # with `images`: one of suites.PREPROCESSES; None: the family's own
    fine_tune: bool = False  # with `images`: whether the backbone goes on learning after its head
    examples: int | None = None  # training images, with changes; None: as many as the data set's recipe says
    epochs: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibration:
    """Images of one's own that set the ranges of a reduced precision, as a suite's key `calibrate` names them."""

    images: str  # folder, in any layout
    preprocess: str | None = None  # one of suites.PREPROCESSES; None: as for accuracy, or as the model's graph says


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadAsked:
    """What a case's load is asked for, as a suite's key `load` names it."""

    p99_ms: Positive | None = None  # limit of the response time's p99; None: with `fps`, a frame's period
    streams: Count | None = None  # whether so many cameras hold; None with `fps`: how many do
    fps: Positive | None = None  # frames a second of each camera; None: Poisson arrivals
    offline: bool = False  # the most images a second, with no limit
    minutes: Positive | None = None  # how long the load is kept up in the end, to see whether it lasts
    budget_s: Positive = 70.0  # of the search
    instances: Count | None = None  # None: those that hold most
    threads: Count | None = None  # of each instance; None: those that hold most
    batch: Count | None = None  # most requests served together; None: those that hold most
    longest_wait_ms: AtLeastZero = 0.0  # for a batch to fill
    processes: bool = True  # instances are processes; else threads of one
    seed: int = 0  # of the arrivals


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """What a suite asks for: a model with its arguments, in one precision, with one batch size, in one runtime."""

    name: str  # shown to people and unique within a run, e.g. "MobileNet alpha=0.5 192px"
    model: str  # a backbone's name, "module:function", or the path of a .keras or .onnx file
    arguments: Arguments = field(default_factory=dict)
    input_shape: tuple[int, ...] | None = None  # without the batch, e.g. (224, 224, 3); None: as the .onnx file says
    dimensions: dict[str, int] = field(default_factory=dict)  # sizes of an .onnx file's open dimensions, by name
    input_shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)  # of a file's inputs by name ("": the only
    # one), the batch included: those asked for; once completed, all as they are fed
    head: str = "native"  # "native" (the model's own top), "none", or "notes" (global average pool + dense softmax)
    classes: int = 1000
    weights: str = "none"  # "none" (random), "imagenet", or the path of a weights file
    precision: str = "fp32"  # one of suites.PRECISIONS
    batch_size: Count = 1
    runtime: str = "onnxruntime"  # one of suites.RUNTIMES
    threads: Count | None = None  # intra-op threads; None: every core given to this process
    accuracy: LabelledImages | None = None  # None: not measured on images
    train: Training | None = None  # None: not trained here
    calibrate: Calibration | None = None  # of a reduced precision; None: embedded data, or noise
    load: LoadAsked | None = None  # None: no load is put on it

    @property
    def is_onnx(self) -> bool:
        """Whether the case is a user's own ONNX file."""
        return self.model.lower().endswith(".onnx")

    @property
    def is_file(self) -> bool:
        """Whether the case is a user's own file that is timed as it is and needs no export."""
        return self.model.lower().endswith((".onnx", ".tflite"))

    def planned(self, *, device: str, provider: str, threads: int) -> PlannedCase:
        """The case as it is timed there, with so many threads unless it says how many itself."""
        asked = {each.name: getattr(self, each.name) for each in fields(Case)}
        return PlannedCase(**asked | {"device": device, "provider": provider, "threads": self.threads or threads})


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedCase(Case):
    """What is timed: a case, where it runs, and with how many threads."""

    device: str  # "cpu" or "cuda"
    provider: str  # what the runtime calls the device
    threads: Count  # intra-op threads
