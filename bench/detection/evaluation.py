"""Evaluate detections: COCO-format files in, one Evaluation out."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from bench.detection import coco, coco_files, curves, matching, mistakes
from bench.detection.coco_files import Booleans, Dataset, Floats
from bench.detection.matching import Matching
from bench.detection.results import (
    BACKGROUND,
    ClassResult,
    Counts,
    Curve,
    Evaluation,
    Presence,
    Sweep,
)
from bench.errors import WrongUsage

RULES = (
    "COCO figures: 101-point AP as in pycocotools; at most 100 detections of a class an image, the most confident",
    "all other figures: every detection counts, matched class by class at the one IoU threshold, best score first",
    "crowd regions are not to be found; a detection that finds nothing else and lies in one of its class is ignored",
    "areas (small, medium, large) are the ground truth's `area` in pixels, or the box's where the file has none",
    "classes without ground truth count in no mean; their detections are false positives everywhere else",
    "annotation id 0 is an object like any other, where pycocotools takes it for unmatched",
)
_SWEEP_POINTS = 1000
_CURVE_POINTS = 200


def evaluate(gt: Path, dt: Path, *, iou: float = 0.5, confidence: float = 0.5, worst: int = 20) -> Evaluation:
    """Evaluate a pair of COCO-format files.

    Args:
        gt: ground truth, an object with `images`, `categories` and `annotations`.
        dt: detections, a list of objects with `image_id`, `category_id`, `bbox` and `score`.
        iou: least IoU of a match, above 0 and at most 1, for everything but the COCO figures.
        confidence: detections with this score or a higher one are kept, for what holds at one threshold.
        worst: how many of the worst images to list.

    Raises:
        WrongUsage: a file that is not in COCO's format, naming the entry; thresholds out of range.
        Failed: hotcoco is not installed.
    """
    if not 0 < iou <= 1:
        raise WrongUsage(f"the IoU threshold is {iou:g}; it must be above 0 and at most 1")
    if not math.isfinite(confidence):
        raise WrongUsage(f"the confidence threshold is {confidence:g}; it must be a finite number")
    return evaluate_dataset(coco_files.read(Path(gt), Path(dt)), iou=iou, confidence=confidence, worst=worst)


def evaluate_dataset(data: Dataset, *, iou: float = 0.5, confidence: float = 0.5, worst: int = 20) -> Evaluation:
    """As `evaluate`, of a data set in memory. Raises Failed when hotcoco is not installed."""
    figures, precision = coco.figures(data)
    matched = matching.match(data, iou)
    overlap = _overlap_of_match(matched)
    objects, found = data.objects, data.detections
    judged = mistakes.judge(data, matched, confidence)
    classes = tuple(
        _class(data, matched, overlap, precision[:, :, k], confidence, k) for k in range(len(data.categories))
    )
    steps = curves.steps(
        found.score[~matched.ignored], matched.found[~matched.ignored] >= 0, int((~objects.crowd).sum())
    )
    sweep = _sweep(steps)
    every = np.ones(len(found.score), dtype=bool)
    best = None
    if sweep.best is not None:
        best = _counts(matched, overlap, found.score, every, steps.total, sweep.confidence[sweep.best])
    notes = [c.notes_ap for c in classes if c.notes_ap is not None]
    return Evaluation(
        images=len(data.images),
        empty_images=len(data.images) - len(np.unique(objects.image)),
        objects=steps.total,
        crowds=int(objects.crowd.sum()),
        detections=len(found.score),
        ignored=int(matched.ignored.sum()),
        iou_threshold=iou,
        confidence_threshold=confidence,
        coco=figures,
        notes_map=float(np.mean(notes)) if notes else None,
        counts=_counts(matched, overlap, found.score, every, steps.total, confidence),
        best_f1=best,
        sweep=sweep,
        classes=classes,
        labels=(*(category.name for category in data.categories), BACKGROUND),
        confusion=mistakes.confusion(data, matched, judged),
        errors=mistakes.errors(judged),
        worst=mistakes.worst_images(data, matched, judged, worst),
        rules=RULES,
        warnings=data.warnings,
    )


def _overlap_of_match(matched: Matching) -> Floats:
    """The IoU of each detection with the object it finds; NaN for one that finds none."""
    overlap = np.full(len(matched.found), np.nan)
    pairs = matched.pairs
    chosen = matched.found[pairs.detection] == pairs.object
    overlap[pairs.detection[chosen]] = pairs.overlap[chosen]
    return overlap


def _counts(
    matched: Matching, overlap: Floats, score: Floats, among: Booleans, objects: int, confidence: float
) -> Counts:
    kept = among & ~matched.ignored & (score >= confidence)
    right = kept & (matched.found >= 0)
    hits, all_kept = int(right.sum()), int(kept.sum())
    return Counts(
        confidence=confidence,
        true_positives=hits,
        false_positives=all_kept - hits,
        false_negatives=objects - hits,
        precision=hits / all_kept if all_kept else None,
        recall=hits / objects if objects else None,
        f1=2 * hits / (all_kept + objects) if all_kept + objects else None,
        mean_iou=float(overlap[right].mean()) if hits else None,
    )


def _sweep(steps: curves.Steps) -> Sweep:
    best = int(np.argmax(steps.f1)) if len(steps.threshold) and steps.total else None
    shown = curves.thin(len(steps.threshold), _SWEEP_POINTS, *([] if best is None else [best]))
    return Sweep(
        confidence=tuple(steps.threshold[shown].tolist()),
        true_positives=tuple(steps.right[shown].tolist()),
        false_positives=tuple(steps.wrong[shown].tolist()),
        objects=steps.total,
        best=None if best is None else int(np.searchsorted(shown, best)),
    )


def _class(
    data: Dataset, matched: Matching, overlap: Floats, precision: Floats, confidence: float, k: int
) -> ClassResult:
    objects, found = data.objects, data.detections
    of_class = found.category == k
    counted = of_class & ~matched.ignored
    total = int(((objects.category == k) & ~objects.crowd).sum())
    steps = curves.steps(found.score[counted], matched.found[counted] >= 0, total)
    shown = curves.thin(len(steps.threshold), _CURVE_POINTS)
    ap, ap50 = coco.average(precision)
    return ClassResult(
        name=data.categories[k].name,
        objects=total,
        detections=int(counted.sum()),
        counts=_counts(matched, overlap, found.score, of_class, total, confidence),
        notes_ap=curves.average_precision(steps),
        pr_area=curves.area_under_precision_recall(steps),
        coco_ap=ap,
        coco_ap50=ap50,
        curve=Curve(
            confidence=tuple(steps.threshold[shown].tolist()),
            precision=tuple(steps.precision[shown].tolist()),
            recall=tuple(steps.recall[shown].tolist()),
        ),
        presence=_presence(data, k),
    )


def _presence(data: Dataset, k: int) -> Presence | None:
    objects, found = data.objects, data.detections
    here = np.zeros(len(data.images), dtype=bool)
    here[objects.image[(objects.category == k) & ~objects.crowd]] = True
    unclear = np.zeros(len(data.images), dtype=bool)  # a crowd of the class alone: neither present nor absent
    unclear[objects.image[(objects.category == k) & objects.crowd]] = True
    best = np.full(len(data.images), -np.inf)
    of_class = found.category == k
    np.maximum.at(best, found.image[of_class], found.score[of_class])
    asked = here | ~unclear
    found_roc = curves.roc(best[asked], here[asked])
    if found_roc is None:
        return None
    shown = curves.thin(len(found_roc.true_rate), _CURVE_POINTS)
    return Presence(
        false_rate=tuple(found_roc.false_rate[shown].tolist()),
        true_rate=tuple(found_roc.true_rate[shown].tolist()),
        area=found_roc.area,
        images_with=int(here.sum()),
        images_without=int((asked & ~here).sum()),
    )
