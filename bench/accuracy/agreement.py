"""Does an exported file say of real images what its Keras model says? Asked in a process of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from bench.accuracy.images import ImageSet
from bench.errors import Failed
from bench.export import ExportRequest, request
from bench.models.preprocessing import Array, Preprocessing, batch_array, write
from bench.processes import process
from bench.records import Case, Fidelity

IMAGES = 256
"""At most so many, spread evenly over the set: Keras runs layer by layer here, and takes its time."""
_CHUNK = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class _Question:
    request: ExportRequest
    onnx: str
    preprocessing: Preprocessing
    files: tuple[str, ...]


def with_keras(case: Case, onnx: Path, images: ImageSet, p: Preprocessing) -> Fidelity:
    """How far the file's outputs are from Keras's on images of a set; unreadable ones are left out.

    Raises Failed when Keras cannot run.
    """
    every = -(-len(images.images) // IMAGES)
    files = tuple(str(images.folder / image.file) for image in images.images[::every])
    question = _Question(request=request(case), onnx=str(onnx), preprocessing=p, files=files)
    reply = process.ask("bench.accuracy.agreement", question, what="the process that runs Keras", keras=True)
    return msgspec.convert(reply, Fidelity)


def answer(asked: dict[str, Any]) -> Fidelity:
    """Compare the two; for the worker process."""
    question = msgspec.convert(asked, _Question)
    from bench.export import rounding, weights
    from bench.export.preparation import prepared

    model = prepared(question.request).model
    fidelities: list[Fidelity] = []
    for start in range(0, len(question.files), _CHUNK):
        batch = _decoded(question.files[start : start + _CHUNK], question.preprocessing)
        if len(batch):
            expected = weights.run(model, batch)
            fidelities.append(rounding.checked(Path(question.onnx), batch, expected, lambda: model))
    if not fidelities:
        raise Failed("not one image could be read")
    inputs = sum(each.inputs for each in fidelities)
    return Fidelity(
        max_abs=max(each.max_abs for each in fidelities),
        max_rel=max(each.max_rel for each in fidelities),
        top1_agreement=sum((each.top1_agreement or 0.0) * each.inputs for each in fidelities) / inputs,
        inputs=inputs,
        passed=all(each.passed for each in fidelities),
    )


def _decoded(files: Sequence[str], p: Preprocessing) -> Array:
    from bench.models.decoding import Unreadable, decode

    batch = batch_array(len(files), p)
    count = 0
    for file in files:
        try:
            write(decode(Path(file), p), batch[count], p)
        except Unreadable:
            continue
        count += 1
    return batch[:count]
