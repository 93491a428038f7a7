"""Localisers trained on the embedded scenes and judged on their exported files, each in a worker process.

Weights are kept by content: the key covers the recipe, the code that trains and the libraries.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from filelock import FileLock
from platformdirs import user_cache_path

from bench.detection import boxes, coco_files, scenes
from bench.detection.evaluation import evaluate_dataset
from bench.detection.results import Evaluation
from bench.errors import Failed, WrongUsage
from bench.records import Case
from bench.store import write_atomically

BUILDER = "bench.detection.localization:build"
COLUMNS = ("xmin", "ymin", "xmax", "ymax", "score", "class", "objectness")
PRESENT = 0.5  # an object is said to be present from this l_c on
_LIBRARIES = ("tensorflow", "keras", "numpy", "scikit-learn")
_CODE = ("scenes.py", "targets.py", "localization.py", "worker.py")
_TIMEOUT_S = 3600.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """All that decides what the weights become."""

    backbone: str
    input_size: int
    arguments: tuple[tuple[str, Any], ...] = ()  # of the builder, beyond the backbone
    scenes: int = 6000
    epochs: int = 16
    batch_size: int = 32
    learning_rate: float = 0.003
    seed: int = 0

    @property
    def key(self) -> str:
        """A hash of the recipe, the code that follows it and the versions of the libraries."""
        from importlib.metadata import PackageNotFoundError, version

        versions = {}
        for name in _LIBRARIES:
            try:
                versions[name] = version(name)
            except PackageNotFoundError as error:
                raise Failed(
                    f'training needs {name}; install it with `pip install "backbench[export,data]"`'
                ) from error
        code = {name: hashlib.sha256((Path(__file__).parent / name).read_bytes()).hexdigest() for name in _CODE}
        content = msgspec.json.encode([asdict(self), versions, code])
        return hashlib.sha256(content).hexdigest()[:32]


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalizationAccuracy:
    """A localiser's file judged on scenes that it was not trained on. Shares from 0 to 1."""

    n: int
    map: float  # COCO mAP @[.5:.05:.95]
    ap50: float
    ap75: float
    notes_map50: float  # the notes' AP at IoU 0.5, mean over classes
    mean_iou: float  # of the detection with the object, over images with one, whatever the class
    class_accuracy: float  # over images with an object
    presence_accuracy: float  # over all images, at l_c >= 0.5
    evaluation: Evaluation


def recipe(case: Case) -> Recipe:
    """The recipe of a suite's case whose model is `BUILDER`; `scenes`, `epochs`, ... stand beside `backbone`.

    Raises WrongUsage for a case that is no localiser.
    """
    given = dict(case.arguments)
    if case.model != BUILDER or "backbone" not in given or case.input_shape is None:
        raise WrongUsage(
            f'{case.name} is no localiser: it needs model = "{BUILDER}", an input_size and arguments.backbone'
        )
    return Recipe(
        backbone=given.pop("backbone"), input_size=case.input_shape[0], arguments=tuple(sorted(given.items()))
    )


def folder() -> Path:
    """Where weights are kept: below $BACKBENCH_CACHE, or the user's cache folder."""
    base = os.environ.get("BACKBENCH_CACHE")
    return (Path(base) if base else user_cache_path("backbench")) / "localization"


def trained(wanted: Recipe) -> Path:
    """The weights that a recipe makes (`.weights.h5`), trained now unless they are there already.

    Raises Failed when training fails or the cache cannot be written.
    """
    target = folder() / f"{wanted.key}.weights.h5"
    seal = target.with_suffix(".sha256")  # written last: weights without it, or with another content, are made again
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.with_suffix(".lock")):
            if not (target.is_file() and seal.is_file() and seal.read_text() == _sha256(target)):
                _ask({"do": "train", "recipe": asdict(wanted), "target": str(target)})
                write_atomically(seal, _sha256(target).encode())
    except OSError as error:
        raise Failed(f"cannot write the weights cache {folder()}: {error.strerror}; set BACKBENCH_CACHE") from error
    return target


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def measure(onnx: Path, *, n: int = 1000, seed: int = 0) -> LocalizationAccuracy:
    """Judge an exported localiser by its file's own outputs on n test scenes of the size that it takes.

    Raises Failed when the file cannot be run or is no decoded localiser.
    """
    answer = _ask({"do": "detect", "onnx": str(onnx), "n": n, "seed": seed})
    size, rows = answer["size"], np.array(answer["rows"], dtype=np.float64)
    if rows.shape != (n, len(COLUMNS)) or not np.isfinite(rows).all():
        raise Failed(f"{onnx} gives outputs of shape {rows.shape}; a decoded localiser gives {', '.join(COLUMNS)}")
    return judge(rows, scenes.scenes("test", n, size, seed=seed))


def judge(rows: coco_files.Floats, truth: scenes.Scenes) -> LocalizationAccuracy:
    """Judge decoded outputs, (n, 7) in the order of `COLUMNS`, against the scenes. One detection an image."""
    size = truth.image.shape[1]
    data = _dataset(rows, truth, size)
    found = evaluate_dataset(data)
    here = truth.present
    figures = found.coco
    return LocalizationAccuracy(
        n=len(rows),
        map=figures.ap or 0.0,
        ap50=figures.ap50 or 0.0,
        ap75=figures.ap75 or 0.0,
        notes_map50=found.notes_map or 0.0,
        mean_iou=float(boxes.iou(rows[here, :4], truth.box[here]).mean()),
        class_accuracy=float((rows[here, 5] == truth.label[here]).mean()),
        presence_accuracy=float(((rows[:, 6] >= PRESENT) == here).mean()),
        evaluation=found,
    )


def _dataset(rows: coco_files.Floats, truth: scenes.Scenes, size: int) -> coco_files.Dataset:
    n = len(rows)
    here = np.flatnonzero(truth.present)
    box = boxes.coco_of_corners(truth.box[here], size, size)
    return coco_files.Dataset(
        images=tuple(coco_files.Image(i, size, size) for i in range(n)),
        categories=tuple(coco_files.Category(digit + 1, str(digit)) for digit in range(scenes.CLASSES)),
        objects=coco_files.Objects(
            here, truth.label[here], box, box[:, 2] * box[:, 3], np.zeros(len(here), dtype=bool)
        ),
        detections=coco_files.Detections(
            np.arange(n), rows[:, 5].astype(np.int64), boxes.coco_of_corners(rows[:, :4], size, size), rows[:, 4]
        ),
    )


def _ask(question: dict[str, Any]) -> dict[str, Any]:
    """Have a fresh worker process answer. Raises Failed with its reason."""
    with subprocess.Popen(
        [sys.executable, "-m", "bench.detection.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        try:
            out, err = process.communicate(msgspec.json.encode(question), timeout=_TIMEOUT_S)
        except subprocess.TimeoutExpired as error:
            process.kill()
            raise Failed(f"no answer to {question['do']} within {_TIMEOUT_S:.0f} s; use fewer scenes") from error
        except BaseException:
            process.kill()
            raise
    if not out:
        last = err.decode(errors="replace").strip().rpartition("\n")[2][:300]
        raise Failed(
            f"the process to {question['do']} ended with code {process.returncode}" + (f": {last}" if last else "")
        )
    answer: dict[str, Any] = msgspec.json.decode(out)
    if "error" in answer:
        raise Failed(f"{question['do']} failed: {answer['error']}")
    return answer
