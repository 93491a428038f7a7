"""Evaluate detections: COCO-format files in, one Evaluation out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.detection import coco, coco_files, curves, matching, mistakes
from bench.detection.coco_files import Booleans, Dataset, Floats
from bench.detection.matching import Matching
from bench.detection.results import (
    BACKGROUND,
    BEST_F1,
    GIVEN,
    NO_BEST_F1,
    ClassResult,
    Counts,
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


_USUAL_CONFIDENCE = 0.5


def evaluate(
    gt: Path, dt: Path, *, iou: float = 0.5, confidence: float | None = _USUAL_CONFIDENCE, worst: int = 20
) -> Evaluation:
    """Evaluate a pair of COCO-format files.

    Args:
        gt: ground truth, an object with `images`, `categories` and `annotations`.
        dt: detections, a list of objects with `image_id`, `category_id`, `bbox` and `score`.
        iou: least IoU of a match, above 0 and at most 1, for everything but the COCO figures.
        confidence: detections with this score or a higher one are kept, for what holds at one threshold. None: the
            score where F1 is best, or 0.5 without detections or objects.
        worst: how many of the worst images to list.

    Raises:
        WrongUsage: a file that is not in COCO's format, naming the entry; thresholds out of range.
        Failed: hotcoco is not installed.
    """
    if not 0 < iou <= 1:
        raise WrongUsage(f"the IoU threshold is {iou:g}; it must be above 0 and at most 1")
    if confidence is not None and not math.isfinite(confidence):
        raise WrongUsage(f"the confidence threshold is {confidence:g}; it must be a finite number")
    return evaluate_dataset(coco_files.read(Path(gt), Path(dt)), iou=iou, confidence=confidence, worst=worst)


def evaluate_dataset(
    data: Dataset, *, iou: float = 0.5, confidence: float | None = _USUAL_CONFIDENCE, worst: int = 20
) -> Evaluation:
    """As `evaluate`, of a data set in memory. Raises Failed when hotcoco is not installed."""
    figures, precision = coco.figures(data)
    matched = matching.match(data, iou)
    overlap = _overlap_of_match(matched)
    objects, detections = data.objects, data.detections
    steps = curves.steps(
        detections.score[~matched.ignored], matched.found[~matched.ignored] >= 0, int((~objects.crowd).sum())
    )
    sweep = _sweep(steps, _SWEEP_POINTS)
    every = np.ones(len(detections.score), dtype=bool)
    best, origin = None, GIVEN if confidence is not None else NO_BEST_F1
    if sweep.best is not None:
        best = _counts(matched, overlap, detections.score, every, steps.total, sweep.confidence[sweep.best])
        origin = GIVEN if confidence is not None else BEST_F1
    at = confidence if confidence is not None else best.confidence if best else _USUAL_CONFIDENCE
    standings = mistakes.judge(data, matched, at)
    same_iou = coco.position(iou)
    over_ious = _notes_ap_over_ious(data, matched.pairs)
    classes = tuple(
        _class(data, matched, overlap, precision[:, :, k], over_ious[:, k], same_iou, at, k)
        for k in range(len(data.categories))
    )
    notes_map = _mean([c.notes_ap for c in classes])
    coco_map = None if same_iou is None else figures.ap_by_iou[same_iou]
    return Evaluation(
        images=len(data.images),
        empty_images=len(data.images) - len(np.unique(objects.image)),
        objects=steps.total,
        crowds=int(objects.crowd.sum()),
        detections=len(detections.score),
        ignored=int(matched.ignored.sum()),
        iou_threshold=iou,
        confidence_threshold=at,
        confidence_origin=origin,
        coco=figures,
        coco_map_at_iou=coco_map,
        notes_map=notes_map,
        notes_map_over_ious=_mean([c.notes_ap_over_ious for c in classes]),
        notes_map_by_iou=tuple(_mean([_number(ap) for ap in one]) for one in over_ious),
        notes_minus_coco=None if notes_map is None or coco_map is None else notes_map - coco_map,
        counts=_counts(matched, overlap, detections.score, every, steps.total, at),
        best_f1=best,
        sweep=sweep,
        classes=classes,
        labels=(*(category.name for category in data.categories), BACKGROUND),
        confusion=mistakes.confusion(data, matched, standings),
        errors=mistakes.errors(standings),
        worst=mistakes.worst_images(data, matched, standings, worst),
        rules=RULES,
        warnings=(*data.warnings, *_beyond_coco(data)),
    )


def _notes_ap_over_ious(data: Dataset, pairs: matching.Pairs) -> Floats:
    """The notes' AP at each of COCO's ten IoU thresholds, of shape (IoU threshold, class); NaN without objects."""
    objects, detections = data.objects, data.detections
    totals = np.bincount(objects.category[~objects.crowd], minlength=len(data.categories)).tolist()
    by_class = np.argsort(detections.category, kind="stable")
    starts = np.searchsorted(detections.category[by_class], np.arange(len(totals) + 1))
    figures = np.full((len(coco.IOU_THRESHOLDS), len(totals)), np.nan)
    for i, iou in enumerate(coco.IOU_THRESHOLDS.tolist()):
        matched = matching.match(data, iou, pairs)
        for k, total in enumerate(totals):
            of_class = by_class[starts[k] : starts[k + 1]]
            counted = of_class[~matched.ignored[of_class]]
            ap = curves.average_precision(curves.steps(detections.score[counted], matched.found[counted] >= 0, total))
            figures[i, k] = np.nan if ap is None else ap
    return figures


def _mean(figures: Sequence[float | None]) -> float | None:
    """The mean of those that there are, or None."""
    there = [figure for figure in figures if figure is not None]
    return float(np.mean(there)) if there else None


def _number(figure: float) -> float | None:
    return None if math.isnan(figure) else float(figure)


def _beyond_coco(data: Dataset) -> list[str]:
    """Say how many detections COCO's limit leaves out."""
    detections = data.detections
    _, count = np.unique(detections.image * max(len(data.categories), 1) + detections.category, return_counts=True)
    beyond = int(np.maximum(count - coco.MOST_DETECTIONS, 0).sum())
    said = (
        f"{beyond} detections are not among the {coco.MOST_DETECTIONS} most confident of their class in their image: "
        "the COCO figures leave them out, the others do not"
    )
    return [said] if beyond else []


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


def _sweep(steps: curves.Steps, most: int) -> Sweep:
    best = int(np.argmax(steps.f1)) if len(steps.threshold) and steps.total else None
    shown = curves.thin(len(steps.threshold), most, *([] if best is None else [best]))
    return Sweep(
        confidence=tuple(steps.threshold[shown].tolist()),
        true_positives=tuple(steps.right[shown].tolist()),
        false_positives=tuple(steps.wrong[shown].tolist()),
        objects=steps.total,
        distinct=len(steps.threshold),
        best=None if best is None else int(np.searchsorted(shown, best)),
    )


def _class(
    data: Dataset,
    matched: Matching,
    overlap: Floats,
    precision: Floats,
    over_ious: Floats,
    same_iou: int | None,
    confidence: float,
    k: int,
) -> ClassResult:
    objects, detections = data.objects, data.detections
    of_class = detections.category == k
    counted = of_class & ~matched.ignored
    total = int(((objects.category == k) & ~objects.crowd).sum())
    steps = curves.steps(detections.score[counted], matched.found[counted] >= 0, total)
    return ClassResult(
        name=data.categories[k].name,
        objects=total,
        detections=int(counted.sum()),
        counts=_counts(matched, overlap, detections.score, of_class, total, confidence),
        notes_ap=curves.average_precision(steps),
        notes_ap_over_ious=_mean([_number(ap) for ap in over_ious]),
        pr_area=curves.area_under_precision_recall(steps),
        coco_ap=coco.average(precision),
        coco_ap50=coco.average(precision[0]),
        coco_ap_at_iou=None if same_iou is None else coco.average(precision[same_iou]),
        sweep=_sweep(steps, _CURVE_POINTS),
        presence=_presence(data, k),
    )


def _presence(data: Dataset, k: int) -> Presence | None:
    objects, detections = data.objects, data.detections
    here = np.zeros(len(data.images), dtype=bool)
    here[objects.image[(objects.category == k) & ~objects.crowd]] = True
    unclear = np.zeros(len(data.images), dtype=bool)  # a crowd of the class alone: neither present nor absent
    unclear[objects.image[(objects.category == k) & objects.crowd]] = True
    best = np.full(len(data.images), -np.inf)
    of_class = detections.category == k
    np.maximum.at(best, detections.image[of_class], detections.score[of_class])
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
