"""What an evaluation of detections says: frozen, typed, plain numbers; `msgspec.json.encode` writes it as it is."""

from __future__ import annotations

from dataclasses import dataclass

BACKGROUND = "background"


@dataclass(frozen=True, kw_only=True, slots=True)
class CocoFigures:
    """The twelve figures of the COCO protocol, 0 to 1; None where there is nothing to find (COCO prints -1)."""

    ap: float | None  # mean over IoU .5:.05:.95, 101 recalls, classes with objects
    ap50: float | None
    ap75: float | None
    ap_small: float | None  # objects below 32 x 32 pixels
    ap_medium: float | None  # 32 x 32 to 96 x 96 pixels
    ap_large: float | None  # above 96 x 96 pixels
    ar1: float | None  # recall, mean over the same IoUs, with 1 detection of a class an image
    ar10: float | None
    ar100: float | None
    ar_small: float | None
    ar_medium: float | None
    ar_large: float | None
    ap_by_iou: tuple[float | None, ...]  # at .5, .55, ..., .95


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """Detections kept above one confidence threshold, against the objects."""

    confidence: float  # kept: score >= confidence
    true_positives: int
    false_positives: int  # false localisations: wrong box, wrong class, duplicates, background
    false_negatives: int
    precision: float | None  # None when nothing is kept
    recall: float | None  # None when there is nothing to find
    f1: float | None  # None when there is neither
    mean_iou: float | None  # of the true positives


@dataclass(frozen=True, kw_only=True, slots=True)
class Sweep:
    """Counts at each confidence threshold, the highest first: what the confidence slider shows.

    Holds every distinct score when there are no more than a thousand, else a thousand of them, evenly spread by rank.
    """

    confidence: tuple[float, ...]
    true_positives: tuple[int, ...]
    false_positives: tuple[int, ...]
    objects: int
    best: int | None  # the position with the highest F1


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """A precision-recall curve; at most some hundred points of it, for drawing. Areas are from all points."""

    confidence: tuple[float, ...]
    precision: tuple[float, ...]
    recall: tuple[float, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Presence:
    """ROC of the decision "is this class in the image?", the image's score being its best detection's."""

    false_rate: tuple[float, ...]
    true_rate: tuple[float, ...]
    area: float  # from all points
    images_with: int
    images_without: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassResult:
    """One class at the IoU threshold."""

    name: str
    objects: int  # crowd regions not among them
    detections: int  # those on crowd regions not among them
    counts: Counts  # at the confidence threshold
    notes_ap: float | None  # sum of (r[i+1] - r[i]) P[i+1] over thresholds; None without objects
    pr_area: float | None  # by trapezoids
    coco_ap: float | None
    coco_ap50: float | None
    curve: Curve
    presence: Presence | None  # None unless some images have the class and some do not


@dataclass(frozen=True, kw_only=True, slots=True)
class Errors:
    """Why detections above the confidence threshold are false, and what is missed. The first that fits counts."""

    duplicate: int  # enough overlap with an object of its class that a better detection has found
    classification: int  # enough overlap with an object of another class
    localization: int  # overlaps an object of its class by IoU 0.1 at least, and too little
    background: int  # anything else that is false
    missed: int  # objects neither found nor explained by a classification or localisation error


@dataclass(frozen=True, kw_only=True, slots=True)
class DrawnBox:
    """A box of one of the worst images. `kind`: "found" or "missed" for an object; "right", "ignored" or an error."""

    box: tuple[float, float, float, float]  # x, y, width, height in pixels
    label: str
    kind: str
    score: float | None = None  # None for an object


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageResult:
    """An image and what went wrong on it at the confidence threshold."""

    image_id: int
    file_name: str | None
    width: float | None
    height: float | None
    false_positives: int
    false_negatives: int
    boxes: tuple[DrawnBox, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """Detections held against ground truth."""

    images: int
    empty_images: int  # without any object or crowd region
    objects: int
    crowds: int
    detections: int
    ignored: int  # detections on crowd regions, at the IoU threshold
    iou_threshold: float
    confidence_threshold: float
    coco: CocoFigures
    notes_map: float | None  # mean of the classes' notes_ap
    counts: Counts
    best_f1: Counts | None  # at the confidence with the highest F1; None without detections or objects
    sweep: Sweep
    classes: tuple[ClassResult, ...]
    labels: tuple[str, ...]  # of the confusion matrix: the classes, then "background"
    confusion: tuple[tuple[int, ...], ...]  # row: truth, column: detection; last row false, last column missed
    errors: Errors
    worst: tuple[ImageResult, ...]  # most errors first
    rules: tuple[str, ...]  # how crowds, areas, limits and empty classes were treated
    warnings: tuple[str, ...]  # what is odd about the files
