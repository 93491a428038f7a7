"""An evaluation of detections as one self-contained page: curves, a confidence slider, confusions, worst images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plotly.offline import get_plotlyjs

from bench.detection import curves
from bench.detection.coco import IOU_THRESHOLDS
from bench.detection.results import COCO_FIGURES, ERRORS, DrawnBox, Evaluation, ImageResult, Sweep
from bench.errors import Failed
from bench.report.page import environment, script_hash
from bench.store import write_atomically

_SCRIPT = Path(__file__).parent / "static" / "detection.js"
_CURVE_POINTS = 20_000  # of all classes together: keeps the page of a thousand classes small
_LABELS = 20  # classes of the confusion matrix; the rest are summed up
_OBJECTS, _RIGHT, _FALSE, _NAMED = 60, 30, 10, 5  # drawn on one image, and classes named below it


def write_page(evaluation: Evaluation, out: Path, *, title: str = "Detections") -> Path:
    """Write the page and return its path. Raises Failed when the file cannot be written."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Failed(f"cannot write {out}: {error.strerror}; name another place with -o") from error
    write_atomically(out, render(evaluation, title=title).encode(errors="replace"))
    return out


def render(evaluation: Evaluation, *, title: str = "Detections") -> str:
    """The page as HTML. Its scripts and style are inside; the page's policy allows no other."""
    script, library = _SCRIPT.read_text(encoding="utf-8"), get_plotlyjs()
    most = max(20, _CURVE_POINTS // max(len(evaluation.classes), 1))
    areas = [c.presence.area for c in evaluation.classes if c.presence]
    data = {
        "iou": evaluation.iou_threshold,
        "confidence": evaluation.confidence_threshold,
        "thresholds": [round(float(threshold), 2) for threshold in IOU_THRESHOLDS],
        "ap": evaluation.coco.ap_by_iou,
        "sweeps": [_sweep(evaluation.sweep, len(evaluation.sweep.confidence))]
        + [_sweep(c.sweep, most) for c in evaluation.classes],
        "presence": [
            c.presence and {"false": _short(c.presence.false_rate), "true": _short(c.presence.true_rate)}
            for c in evaluation.classes
        ],
    }
    return (
        environment()
        .get_template("detection.html.j2")
        .render(
            title=title,
            found=evaluation,
            classes=sorted(
                enumerate(evaluation.classes, 1), key=lambda c: _worst_first(c[1].coco_ap_at_iou, c[1].notes_ap)
            ),
            figures=[(what, getattr(evaluation.coco, name)) for name, what in COCO_FIGURES.items()],
            kinds={field: name for field, (name, _) in ERRORS.items()},
            errors=[(name, getattr(evaluation.errors, field), what) for field, (name, what) in ERRORS.items()],
            roc_area=sum(areas) / len(areas) if areas else None,
            roc_classes=len(areas),
            matrix=_matrix(evaluation),
            pictures=[_picture(image) for image in evaluation.worst],
            named=_NAMED,
            data=data,
            script=script,
            library=library,
            hashes=[script_hash(script), script_hash(library)],
        )
    )


def _sweep(sweep: Sweep, most: int) -> dict[str, Any]:
    """A sweep's columns, at most so many points of it, the best F1's among them."""
    kept = curves.thin(len(sweep.confidence), most, *([] if sweep.best is None else [sweep.best])).tolist()
    return {
        "confidence": [sweep.confidence[i] for i in kept],
        "right": [sweep.true_positives[i] for i in kept],
        "wrong": [sweep.false_positives[i] for i in kept],
        "objects": sweep.objects,
        "distinct": sweep.distinct,
        "best": None if sweep.best is None else kept.index(sweep.best),
    }


def _short(rates: Sequence[float]) -> list[float]:
    return [round(rate, 4) for rate in rates]


def _worst_first(*figures: float | None) -> float:
    """The first figure there is; classes without one come last."""
    return next((figure for figure in figures if figure is not None), 2.0)


@dataclass(frozen=True, slots=True)
class Matrix:
    """A confusion matrix as it is drawn: (label, [(count, share of the row)]) a row, and the columns' labels."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[tuple[int, float], ...]], ...]
    summed: int  # classes that stand in "other classes"


def _matrix(evaluation: Evaluation) -> Matrix:
    """The classes with the most confusions in full, the others in one row and one column, then background."""
    counts, classes = evaluation.confusion, len(evaluation.classes)
    errors = [sum(counts[k]) + sum(row[k] for row in counts) - 2 * counts[k][k] for k in range(classes)]
    chosen = sorted(sorted(range(classes), key=lambda k: -errors[k])[:_LABELS])
    groups = [[k] for k in chosen]
    labels = [evaluation.labels[k] for k in chosen]
    others = sorted(set(range(classes)) - set(chosen))
    if others:
        groups.append(others)
        labels.append(f"{len(others)} other classes")
    groups.append([classes])
    labels.append(evaluation.labels[-1])
    rows = []
    for label, truth in zip(labels, groups, strict=True):
        cells = [sum(counts[i][k] for i in truth for k in columns) for columns in groups]
        rows.append((label, tuple((cell, cell / max(sum(cells), 1)) for cell in cells)))
    return Matrix(tuple(labels), tuple(rows), len(others))


@dataclass(frozen=True, slots=True)
class Picture:
    """One of the worst images as a drawing in pixels: the view, the boxes without a number, and those from 1."""

    image: ImageResult
    left: float
    top: float
    width: float
    height: float
    plain: tuple[DrawnBox, ...]  # objects, and detections that are right or ignored
    false: tuple[DrawnBox, ...]  # the most confident first
    missed: tuple[tuple[str, int], ...]  # objects not found by class, the most first
    left_out: int


def _picture(image: ImageResult) -> Picture:
    kinds: dict[str, list[DrawnBox]] = {"object": [], "right": [], "false": []}
    for box in image.boxes:
        kinds["object" if box.score is None else "right" if box.kind in ("right", "ignored") else "false"].append(box)
    objects = sorted(kinds["object"], key=lambda box: box.kind != "missed")
    plain = (*objects[:_OBJECTS], *kinds["right"][:_RIGHT])
    false = tuple(sorted(kinds["false"], key=lambda box: -(box.score or 0.0))[:_FALSE])
    missed = Counter(box.label for box in objects if box.kind == "missed").most_common()
    drawn = [box.box for box in (*plain, *false)]
    left, width = _span(image.width, [(x, x + w) for x, _, w, _ in drawn])
    top, height = _span(image.height, [(y, y + h) for _, y, _, h in drawn])
    return Picture(image, left, top, width, height, plain, false, tuple(missed), len(image.boxes) - len(drawn))


def _span(size: float | None, spans: list[tuple[float, float]]) -> tuple[float, float]:
    """Where the view begins, and how long it is: the image, and of what lies outside a quarter of its size at most."""
    low, high = min([0.0, *(one[0] for one in spans)]), max([size or 1.0, *(one[1] for one in spans)])
    if size:
        low, high = max(low, -size / 4), min(high, 1.25 * size)
    return low, high - low
