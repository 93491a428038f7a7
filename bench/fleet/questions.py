"""What is asked of a machine of the fleet. Questions and answers travel as JSON, and nothing else does.

A file is named by the hash of its content, never by a path.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from bench.accuracy.predictor import Job, Spec
from bench.records import PlannedCase, Settings

Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Token = Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
Suffix = Annotated[str, Meta(pattern=r"^\.(onnx|tflite)$")]


class Question(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", forbid_unknown_fields=True):
    """One question."""


class Device(Question, tag="device", frozen=True, kw_only=True):
    """Which device it has for "auto", "cpu" or "cuda", in a runtime."""

    asked: str
    runtime: str


class Facts(Question, tag="facts", frozen=True, kw_only=True):
    """What is known of the machine."""

    device: str
    threads: int
    runtimes: tuple[str, ...]


class Holds(Question, tag="holds", frozen=True, kw_only=True):
    """How many bytes of a file it has; -1 for all of it."""

    sha256: Sha256
    suffix: Suffix


class Measure(Question, frozen=True, kw_only=True):
    """What is measured once, whoever asks how often: by its token an answer is found again."""

    token: Token


class OfFile(Measure, frozen=True, kw_only=True):
    """What is measured of a file."""

    case: PlannedCase
    sha256: Sha256
    suffix: Suffix


class Visit(OfFile, tag="visit", frozen=True, kw_only=True):
    """One visit, in the round of that number; `patience_s` may pass until others leave the cores alone."""

    settings: Settings
    number: int
    patience_s: float = 0.0
    inject: float = 0.0


class Profile(OfFile, tag="profile", frozen=True, kw_only=True):
    """Where an inference spends its time."""

    settings: Settings


class Fidelity(OfFile, tag="fidelity", frozen=True, kw_only=True):
    """Whether it computes what another runtime does."""

    settings: Settings
    reference: str


class Load(OfFile, tag="load", frozen=True, kw_only=True):
    """What it holds of the load that its case asks for."""


class Calibrate(Measure, tag="calibrate", frozen=True, kw_only=True):
    """What the machine can do at most."""

    settings: Settings
    threads: int
    runtimes: tuple[str, ...]


class Shard(Question, tag="shard", frozen=True, kw_only=True):
    """What a file says of some images: whole batches of a folder that every machine sees under the same path."""

    sha256: Sha256
    suffix: Suffix
    spec: Spec
    job: Job
    sizes: tuple[int, ...]  # of the images, in bytes: -1 for one that the client cannot read


Any = Device | Facts | Holds | Visit | Profile | Fidelity | Load | Calibrate | Shard
