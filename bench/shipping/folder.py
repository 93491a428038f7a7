"""Writing a model's folder, whole or not at all: only when its program says of five images what the harness says."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import msgspec
import numpy as np

from bench import data, runtimes
from bench.accuracy import measuring
from bench.accuracy.predictions import Batch, Prediction
from bench.accuracy.predictor import Job, Spec
from bench.accuracy.signature import Signature
from bench.errors import Failed, WrongUsage
from bench.export import portable
from bench.models import onnx_file
from bench.models.file import sha256_of, side_files
from bench.models.preprocessing import Preprocessing
from bench.processes import process
from bench.records import Record, Run
from bench.shipping import card, program, subject
from bench.shipping.subject import Asked

RELATIVE, ABSOLUTE = 1e-3, 1e-6
"""By how much a probability may differ from the harness's, which has 6 digits: a network with random weights has a
thousand classes of nearly 0.001 each, and wrong pixels move them by a few percent."""
_RUN_S = 600
_ASK = (
    "import json, runpy, sys; program = runpy.run_path('predict.py'); "
    "print(json.dumps([program['LABELS'], [program['predict'](path).tolist() for path in sys.argv[1:]]]))"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Shipped:
    """A folder that was written."""

    folder: str
    case: str
    files: tuple[str, ...]
    images: tuple[str, ...]  # that the program was checked on
    source: str  # where they come from
    largest_difference: float  # between a value of the program and the harness's, 0 to 1
    notes: tuple[str, ...] = ()


def free(folder: Path) -> Path:
    """The folder, with a number behind it where there is one already."""
    names = (folder if count == 1 else folder.with_name(f"{folder.name}-{count}") for count in itertools.count(1))
    return next(name for name in names if not name.exists())


def ship(run: Run, record: Record, folder: Path, asked: Asked) -> Shipped:
    """Write a record's model as a folder to deploy.

    Raises:
        WrongUsage: the folder is there already, or the record does not say how images become the model's input.
        Failed: the model's file is gone, cannot be run, or `predict.py` says other things than the harness.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise WrongUsage(f"{folder} is there already; remove it, or name another folder with -o")
    path, case = portable.file_of(record), record.case
    runtimes.require(case.runtime)
    with process.started("bench.accuracy.predictor", what="the process that runs the model", gpu=True) as worker:
        spec = Spec(
            path=str(path), runtime=case.runtime, provider=case.provider, threads=case.threads,
            output=case.accuracy.output if case.accuracy else None, sizes=measuring.sizes(path, case),
        )  # fmt: skip
        takes = msgspec.convert(worker.ask(spec), Signature)
        p = measuring.preprocessing_of(subject.scaling(record, asked), takes)
        names, note = subject.labels(record, asked, takes)
        with subject.test_images(record, asked, (p.height, p.width)) as (pictures, source):
            pictures, predictions, probabilities = _said(worker, p, takes, pictures)
            embedded = case.train.data if case.train else None
            rows = embedded is not None and data.get(embedded).KIND != "classes"
            with _staged(folder) as staging:
                model = _copied(path, staging, record)
                text = program.predict_py(
                    runtimes.get(case.runtime), takes, p, place=takes.place, threads=case.threads,
                    provider=case.provider, probabilities=probabilities, rows=rows,
                )  # fmt: skip
                (staging / "predict.py").write_text(text, encoding="utf-8")
                (staging / "labels.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
                versions = [("numpy", version("numpy")), ("pillow", version("pillow"))]
                needed = program.requirements(runtimes.installed(case.runtime) or "", versions)
                (staging / "requirements.txt").write_text(needed, encoding="utf-8")
                largest = _check(staging, pictures, predictions, names, rows=rows)
                checked = card.Checked(
                    images=len(pictures), source=source, largest_difference=largest, preprocessing=p, labels=len(names)
                )
                text = card.text(run, record, model, checked, [note] if note else [])
                (staging / "model-card.md").write_text(text, encoding="utf-8")
                files = tuple(sorted(str(each.relative_to(staging)) for each in staging.rglob("*") if each.is_file()))
                _put(staging, folder)
    return Shipped(
        folder=str(folder), case=case.name, files=files, images=tuple(picture.name for picture in pictures),
        source=source, largest_difference=largest, notes=(note,) if note else (),
    )  # fmt: skip


def _said(
    worker: process.Process, p: Preprocessing, takes: Signature, pictures: Sequence[Path]
) -> tuple[list[Path], list[Prediction], bool]:
    """Those of the pictures to check on, what the harness says of them, and whether its outputs are probabilities.

    Raises Failed where none can be read.
    """
    job = Job(
        preprocessing=p, batch_size=takes.batch_size or 1, first=0, folder="", files=tuple(map(str, pictures)),
        labels=(0,) * len(pictures),
    )  # fmt: skip
    batches = [msgspec.convert(each, Batch) for each in worker.answers(job)]
    said = [prediction for batch in batches for prediction in batch.predictions]
    readable = [each for each in zip(pictures, said, strict=True) if not each[1].unreadable]
    if not readable:
        raise Failed(f"the test image {pictures[0]} cannot be read ({said[0].unreadable}); name other --images")
    chosen = readable[:: max(1, len(readable) // subject.TEST_IMAGES)][: subject.TEST_IMAGES]
    return [path for path, _ in chosen], [each for _, each in chosen], all(batch.probabilities for batch in batches)


@contextmanager
def _staged(folder: Path) -> Iterator[Path]:
    """A folder beside the one to write, gone afterwards. Raises Failed where nothing can be written."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".shipping-", ignore_cleanup_errors=True) as name:
            staging = Path(name) / "folder"
            staging.mkdir()
            yield staging
    except OSError as error:
        raise Failed(f"cannot write {folder}: {error.strerror}; free some space, or name another with -o") from error


def _copied(path: Path, staging: Path, record: Record) -> Path:
    """The model with all that it refers to, as `model.onnx` or `model.tflite`. Raises Failed."""
    model = staging / f"model{path.suffix.lower()}"
    shutil.copyfile(path, model)
    sides = side_files(path, onnx_file.read(path)) if model.suffix == ".onnx" else {}
    for location, side in sides.items():
        place = staging / location
        if Path(location).is_absolute() or not place.resolve().is_relative_to(staging.resolve()):
            raise Failed(f'{path} keeps its weights in "{location}", outside its folder; save it with all beside it')
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(side, place)
    if record.artifact and sha256_of(model) != record.artifact.sha256:
        raise Failed(f"{model.name} is not what was measured, once copied; check the disk")
    return model


def _check(
    folder: Path, pictures: Sequence[Path], said: Sequence[Prediction], names: Sequence[str], *, rows: bool
) -> float:
    """The largest difference between the program's values and the harness's.

    Raises Failed where a value or a label is another.
    """
    labels, told = json.loads(
        _ran(folder, ["-c", _ASK, *(str(picture.absolute()) for picture in pictures)]).rpartition("\n")[2]
    )
    largest = 0.0
    for picture, values, harness in zip(pictures, told, said, strict=True):
        probabilities = np.array(values)
        if rows:  # what is no score comes as the harness keeps it
            probabilities = np.exp(probabilities - probabilities.max())
            probabilities /= probabilities.sum()
        mine, theirs = probabilities[list(harness.top)], np.array(harness.scores)
        others = np.delete(probabilities, list(harness.top))
        allowed = ABSOLUTE + RELATIVE * theirs
        if (
            labels != list(names)
            or len(values) != len(names)
            or (abs(mine - theirs) > allowed).any()
            or (others > mine.min() + allowed.min()).any()
        ):
            best = int(probabilities.argmax())
            raise Failed(
                f"predict.py does not say what was measured; nothing was written. Of {picture.name} it says "
                f"{labels[best] if best < len(labels) else best} ({probabilities[best]:.6f}), the harness "
                f"{names[harness.top[0]]} ({theirs[0]:.6f})"
            )
        largest = max(largest, float(abs(mine - theirs).max()))
    _ran(folder, ["predict.py", str(pictures[0].absolute())])
    return largest


def _ran(folder: Path, arguments: Sequence[str]) -> str:
    """What a fresh Python prints there, which sees no package but the installed ones. Raises Failed."""
    command = [sys.executable, "-I", "-B", *arguments]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_RUN_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise Failed(f"predict.py gave no answer within {_RUN_S} s; nothing was written") from error
    if done.returncode:
        last = done.stderr.strip().rpartition("\n")[2][:300] or f"exit code {done.returncode}"
        raise Failed(f"predict.py does not run: {last}; nothing was written")
    return done.stdout.strip()


def _put(staging: Path, folder: Path) -> None:
    """Make the finished folder the one that was asked for, in one step. Raises WrongUsage when there is one by now."""
    for each in staging.rglob("*"):
        each.chmod(0o755 if each.is_dir() else 0o644)
    staging.chmod(0o755)
    try:
        staging.replace(folder)
    except OSError as error:
        if folder.is_dir() and any(folder.iterdir()):
            raise WrongUsage(f"{folder} is there by now; name another folder with -o") from error
        raise
