"""What to export, and the content key of the result."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bench.errors import Failed, WrongUsage
from bench.records import Case

EXPORTER_VERSION = 11  # raise it whenever the exporter makes another file from the same request
OPSET = 18
_LIBRARIES = ("tensorflow", "keras", "tf2onnx", "onnx", "numpy", "onnxruntime", "onnxruntime-gpu")


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """Everything that a user's choices can change in the exported file."""

    model: str
    arguments: tuple[tuple[str, Any], ...]
    input_shape: tuple[int, ...] | None
    head: str
    classes: int
    weights: str
    precision: str = "fp32"
    opset: int = OPSET

    @property
    def key(self) -> str:
        """A hash over everything that changes the file: the choices, the files they name, and the libraries."""
        content = asdict(self) | {"exporter": EXPORTER_VERSION, "libraries": _versions(), "files": self._files()}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]

    def _files(self) -> dict[str, str]:
        """The hashes of the files that the request names: a weights file, a .keras file, a builder's module."""
        named = [self.model] if self.model.endswith(".keras") else []
        named += [self.weights] if self.weights not in ("none", "imagenet") else []
        if ":" in self.model:
            named.append(_source_of(self.model))
        return {path: file_sha256(Path(path)) for path in named}


def request(case: Case) -> ExportRequest:
    """The export that a case needs. Cases that differ only in threads or batch size share one.

    Raises WrongUsage for a precision that cannot be made.
    """
    if case.precision != "fp32":
        raise WrongUsage(f'{case.name}: precision "{case.precision}" cannot be exported yet; use "fp32"')
    return ExportRequest(
        model=case.model,
        arguments=tuple(sorted(case.arguments.items())),
        input_shape=case.input_shape,
        head=case.head,
        classes=case.classes,
        weights=case.weights,
        precision=case.precision,
    )


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file's content. Raises Failed when it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise Failed(f"cannot read {path}: {error.strerror}") from error


@cache
def _versions() -> dict[str, str]:
    found: dict[str, str] = {}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _source_of(builder: str) -> str:
    module = builder.partition(":")[0]
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        spec = None
    if spec is None or spec.origin is None:
        raise WrongUsage(f"cannot find the module of the builder {builder}; it must be importable from here")
    return spec.origin
