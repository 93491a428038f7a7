"""What to export, and the content key of the result."""

from __future__ import annotations

import hashlib
import json
import platform
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bench import data, runtimes
from bench.export import calibrating
from bench.export.calibrating import SYNTHETIC
from bench.machine import facts
from bench.models.file import file_sha256
from bench.models.sources import sources_of
from bench.records import Case
from bench.suites import DATA_SETS
from bench.suites.values import KERAS_FILES

EXPORTER_VERSIONS = {"onnx": 13, "tflite": 15}  # raise it where the same request makes another file
OPSET = 18
INTEGERS = {
    "u8s8": "activations of 8 bits without sign, weights of 8 with sign",
    "u8s7": "activations of 8 bits without sign, weights of 7 with sign: without VNNI, those of 8 would saturate",
    "s8s8": "activations and weights of 8 bits with sign",
}
"""Of int8 files, by their name in `Artifact.integers`."""
VNNI = {"avx512_vnni", "avx_vnni"}
_LIBRARIES = ("tensorflow", "keras", "tf2onnx", "onnx", "numpy", "onnxruntime", "onnxruntime-gpu")


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """Everything that a user's choices can change in the exported file."""

    model: str
    arguments: str  # JSON, by name, sorted: what a builder takes may hold lists and tables
    input_shape: tuple[int, ...] | None
    head: str
    classes: int
    weights: str
    precision: str = "fp32"
    opset: int = OPSET
    calibration: str | None = None  # of a reduced precision: an embedded data set, SYNTHETIC, or None beside `images`
    images: str | None = None  # of a reduced precision: a folder of images of one's own
    preprocess: str | None = None  # how the model wants these images' pixels; None: as its family or its graph says
    integers: str | None = None  # of int8 and int8-dynamic: a key of `quantise.INTEGERS`
    format: str = "onnx"  # or "tflite"
    dense: str | None = None  # the file of the trained values of the head "notes", whose backbone has `weights`

    @property
    def key(self) -> str:
        """A hash over everything that changes the file: the choices, the files they name, and the libraries."""
        content = asdict(self) | {
            "exporter": EXPORTER_VERSIONS[self.format],
            "libraries": _versions(),
            "files": self._files(),
        }
        if self.format == "onnx":
            del content["format"]  # its key is what it was before there was another
        if self.dense is None:
            del content["dense"]  # likewise
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]

    @property
    def full_precision(self) -> ExportRequest:
        """The request for the fp32 file from which a reduced precision is made."""
        return replace(self, precision="fp32", calibration=None, images=None, preprocess=None, integers=None)

    def _files(self) -> dict[str, Any]:
        """The hashes of the files that the request names: a weights file, a .keras file, a builder's module."""
        named = [self.model] if self.model.endswith(KERAS_FILES) else []
        named += [self.dense] if self.dense is not None else []
        named += [self.weights] if self.weights not in ("none", "imagenet") else []
        if ":" in self.model:
            named += map(str, sources_of(self.model))
        hashes: dict[str, Any] = {path: file_sha256(Path(path)) for path in named}
        if self.images is not None:
            hashes["calibration"] = calibrating.hashes(Path(self.images))
        if self.calibration in DATA_SETS:
            hashes["calibration"] = file_sha256(data.file(self.calibration))
        return hashes


def request(case: Case, *, dense: Path | None = None) -> ExportRequest:
    """The export that a case needs. Cases that differ only in threads or batch size share one.

    An int8 file is made for the processor of this machine.

    Args:
        case: of a suite.
        dense: the file (.npz) of the trained values of its head "notes"; None: the head is random, or in the weights.
    """
    reduced = case.precision != "fp32"
    return ExportRequest(
        model=case.model,
        arguments=json.dumps(case.arguments, sort_keys=True),
        input_shape=case.input_shape,
        head=case.head,
        classes=case.classes,
        weights=case.weights,
        precision=case.precision,
        calibration=_data_set(case) if reduced else None,
        images=case.calibrate.images if reduced and case.calibrate else None,
        preprocess=_preprocess(case) if reduced and case.calibrate else None,
        integers=_integers(case.precision),
        format="onnx" if ".onnx" in runtimes.get(case.runtime).SUFFIXES else "tflite",
        dense=str(dense) if dense else None,
    )


def _data_set(case: Case) -> str | None:
    if case.calibrate:
        return None
    return (case.train and case.train.data) or SYNTHETIC


def _preprocess(case: Case) -> str | None:
    return (case.calibrate and case.calibrate.preprocess) or (case.accuracy and case.accuracy.preprocess) or None


def _integers(precision: str) -> str | None:
    if precision not in ("int8", "int8-dynamic"):
        return None
    suited = integers(set(facts.instructions()), platform.machine())
    # At run time, ONNX Runtime quantises activations to unsigned integers on every processor.
    return "u8s8" if (precision, suited) == ("int8-dynamic", "s8s8") else suited


def integers(instructions: set[str], architecture: str) -> str:
    """Which integers suit a processor, as ONNX Runtime's `quantize_static` advises.

    Unsigned activations times signed weights on x86; without VNNI, pairs of products saturate at 16 bits there, so
    weights have 7 bits only. Signed ones on other architectures.

    >>> integers({"avx2", "avx512_vnni"}, "x86_64"), integers({"avx2"}, "x86_64"), integers(set(), "aarch64")
    ('u8s8', 'u8s7', 's8s8')
    """
    if architecture.lower() not in ("x86_64", "amd64"):
        return "s8s8"
    return "u8s8" if instructions & VNNI else "u8s7"


@cache
def _versions() -> dict[str, str]:
    versions: dict[str, str] = {}
    for name in _LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions
