"""Does an exported file say of real images what its Keras model says? Asked in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bench.accuracy.images import ImageSet
from bench.accuracy.preprocessing import Array, Preprocessing, batch_array, write
from bench.errors import BenchError, Failed
from bench.export import ExportRequest, request
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
    done = subprocess.run(
        [sys.executable, "-m", "bench.accuracy.agreement"], input=msgspec.json.encode(question), capture_output=True
    )
    if done.returncode or not done.stdout:
        last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise Failed(f"the process that runs Keras ended with exit code {done.returncode}: {last[:300]}")
    answer = json.loads(done.stdout)
    if "error" in answer:
        raise Failed(answer["error"])
    return msgspec.convert(answer, Fidelity)


def main() -> None:
    """Answer one question. Nothing else reaches stdout: file descriptor 1 is moved away first."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    try:
        answer: object = _compared(msgspec.json.decode(sys.stdin.buffer.read(), type=_Question))
    except BenchError as error:
        answer = {"error": str(error)}
    except Exception as error:
        # Whatever a library raises concerns this model alone; it is reported as its reason.
        answer = {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"}
    answers.write(msgspec.json.encode(answer))
    answers.close()


def _compared(question: _Question) -> Fidelity:
    from bench.export import fidelity, weights, worker

    model, softmax, *_ = worker._prepared(question.request)
    found: list[Fidelity] = []
    for start in range(0, len(question.files), _CHUNK):
        batch = _decoded(question.files[start : start + _CHUNK], question.preprocessing)
        if len(batch):
            expected = weights.run(model, batch)
            found.append(fidelity.check(Path(question.onnx), batch, expected, softmax=softmax))
    if not found:
        raise Failed("not one image could be read")
    inputs = sum(each.inputs for each in found)
    return Fidelity(
        max_abs=max(each.max_abs for each in found),
        max_rel=max(each.max_rel for each in found),
        top1_agreement=sum(each.top1_agreement * each.inputs for each in found) / inputs,
        inputs=inputs,
        passed=all(each.passed for each in found),
    )


def _decoded(files: Sequence[str], p: Preprocessing) -> Array:
    from bench.accuracy.decoding import Unreadable, decode

    batch = batch_array(len(files), p)
    count = 0
    for file in files:
        try:
            write(decode(Path(file), p), batch[count], p)
        except Unreadable:
            continue
        count += 1
    return batch[:count]


if __name__ == "__main__":
    main()
