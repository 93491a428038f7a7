"""What goes wrong above a confidence threshold: confusion matrix, kinds of errors, worst images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.detection.coco_files import Booleans, Dataset, Floats, Integers
from bench.detection.matching import Matching, assign
from bench.detection.results import DrawnBox, Errors, ImageResult

KINDS = ("right", "ignored", "duplicate", "classification", "localization", "background")
_RIGHT, _IGNORED, _DUPLICATE, _CLASSIFICATION, _LOCALIZATION, _BACKGROUND = range(len(KINDS))


@dataclass(frozen=True, slots=True)
class Judged:
    """Detections and objects at one confidence threshold."""

    kept: Booleans  # detections with a score of at least the threshold
    kind: Integers  # of each detection, a position in KINDS; meaningless where not kept
    missed: Booleans  # objects that no kept detection finds, crowd regions not among them
    explained: Booleans  # missed objects under a classification or localisation error
    confused: Integers  # for each kept, false detection the missed object that it stands on, of any class, or -1


def judge(data: Dataset, matched: Matching, confidence: float) -> Judged:
    """Say of every kept detection whether it is right, and if not, why not."""
    objects, detections = data.objects, data.detections
    kept = detections.score >= confidence
    right = kept & (matched.found >= 0)
    missed = ~objects.crowd
    missed[matched.found[right]] = False
    pairs = matched.pairs
    same = detections.category[pairs.detection] == objects.category[pairs.object]
    enough = pairs.overlap >= min(matched.iou, 1 - 1e-10)
    wrong = kept & ~right & ~matched.ignored
    of_wrong = wrong[pairs.detection] & ~objects.crowd[pairs.object]

    def some(chosen: Booleans) -> Booleans:
        flags = np.zeros(len(kept), dtype=bool)
        flags[pairs.detection[chosen & of_wrong]] = True
        return flags

    kind = np.full(len(kept), _BACKGROUND)
    kind[some(same & ~enough)] = _LOCALIZATION
    kind[some(~same & enough)] = _CLASSIFICATION
    # Enough overlap with its own class and yet not right: a better detection was there first.
    kind[some(same & enough)] = _DUPLICATE
    kind[matched.ignored] = _IGNORED
    kind[right] = _RIGHT
    blamed = of_wrong & (
        (same & ~enough & (kind[pairs.detection] == _LOCALIZATION))
        | (~same & enough & (kind[pairs.detection] == _CLASSIFICATION))
    )
    explained = np.zeros(len(missed), dtype=bool)
    explained[pairs.object[blamed]] = True
    free = of_wrong & enough & ~same & missed[pairs.object]
    confused = assign(pairs.where(free), matched.rank, len(missed))
    return Judged(kept, kind, missed, explained & missed, confused)


def confusion(data: Dataset, matched: Matching, standings: Judged) -> tuple[tuple[int, ...], ...]:
    """Objects by class (rows) against detections by class (columns), with background last in both.

    Right detections stand on the diagonal. A false one that overlaps an object enough which no detection of its own
    class finds is a confusion of the two classes; any other false one stands in the last row, and objects that no
    detection is left for in the last column. Ignored detections do not appear.
    """
    objects, detections = data.objects, data.detections
    background = len(data.categories)
    partner = np.where(standings.kind == _RIGHT, matched.found, standings.confused)
    shown = standings.kept & (standings.kind != _IGNORED)
    truth = np.where(partner >= 0, objects.category[partner] if len(objects.category) else 0, background)
    left = standings.missed.copy()
    left[standings.confused[standings.confused >= 0]] = False
    matrix = np.zeros((background + 1, background + 1), dtype=np.int64)
    np.add.at(matrix, (truth[shown], detections.category[shown]), 1)
    matrix[:-1, -1] = np.bincount(objects.category[left], minlength=background)
    return tuple(tuple(row) for row in matrix.tolist())


def errors(standings: Judged) -> Errors:
    """Count each kind of error."""
    count = np.bincount(standings.kind[standings.kept], minlength=len(KINDS)).tolist()
    return Errors(
        duplicate=count[_DUPLICATE],
        classification=count[_CLASSIFICATION],
        localization=count[_LOCALIZATION],
        background=count[_BACKGROUND],
        missed=int((standings.missed & ~standings.explained).sum()),
    )


def worst_images(data: Dataset, matched: Matching, standings: Judged, most: int) -> tuple[ImageResult, ...]:
    """The images with the most false detections and missed objects together; those without any are left out."""
    objects, detections = data.objects, data.detections
    false = standings.kept & (standings.kind != _RIGHT) & (standings.kind != _IGNORED)
    false_count = np.bincount(detections.image[false], minlength=len(data.images))
    missed_count = np.bincount(objects.image[standings.missed], minlength=len(data.images))
    bad = false_count + missed_count
    results = []
    for i in np.argsort(-bad, kind="stable")[:most].tolist():
        if not bad[i]:
            break
        image = data.images[i]
        drawn = [
            _drawn(
                objects.box[o], data.categories[objects.category[o]].name, "missed" if standings.missed[o] else "found"
            )
            for o in np.flatnonzero((objects.image == i) & ~objects.crowd)
        ]
        drawn += [
            _drawn(
                detections.box[d],
                data.categories[detections.category[d]].name,
                KINDS[standings.kind[d]],
                float(detections.score[d]),
            )
            for d in np.flatnonzero((detections.image == i) & standings.kept)
        ]
        results.append(
            ImageResult(
                image_id=image.id,
                file_name=image.file_name,
                width=image.width,
                height=image.height,
                false_positives=int(false_count[i]),
                false_negatives=int(missed_count[i]),
                boxes=tuple(drawn),
            )
        )
    return tuple(results)


def _drawn(box: Floats, label: str, kind: str, score: float | None = None) -> DrawnBox:
    x, y, w, h = (float(value) for value in box)
    return DrawnBox(box=(x, y, w, h), label=label, kind=kind, score=score)
