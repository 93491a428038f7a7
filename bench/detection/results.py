"""What an evaluation of detections says: frozen, typed, plain numbers; `msgspec.json.encode` writes it as it is."""

from __future__ import annotations

from dataclasses import dataclass

from bench.detection.ids import Id

BACKGROUND = "background"

GIVEN, BEST_F1, NO_BEST_F1 = ORIGINS = ("given", "where F1 is best", "the usual one, as no F1 is best")

COCO_FIGURES = {  # field of CocoFigures -> what the figure is
    "ap": "AP, mean over IoU .50:.95",
    "ap50": "AP at IoU .50",
    "ap75": "AP at IoU .75",
    "ap_small": "AP of small objects, below 32 x 32 pixels",
    "ap_medium": "AP of medium objects, 32 x 32 to 96 x 96",
    "ap_large": "AP of large objects, above 96 x 96",
    "ar1": "AR with 1 detection of a class an image",
    "ar10": "AR with 10",
    "ar100": "AR with 100",
    "ar_small": "AR of small objects",
    "ar_medium": "AR of medium objects",
    "ar_large": "AR of large objects",
}

ERRORS = {  # field of Errors -> its name, and what it is
    "classification": ("classification", "on an object of another class"),
    "localization": ("localisation", "near an object of its class, with too little overlap"),
    "duplicate": ("duplicate", "on an object of its class that a more confident detection has found"),
    "background": ("background", "on nothing"),
    "missed": ("missed", "objects neither found nor under a classification or localisation error"),
}


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
    """Counts at confidence thresholds, the highest first: the precision-recall curve, and what a slider shows.

    Holds every distinct score when they are few, else some of them, evenly spread by rank, with the one of the best F1
    among them. The counts are exact at each.
    """

    confidence: tuple[float, ...]
    true_positives: tuple[int, ...]
    false_positives: tuple[int, ...]
    objects: int
    distinct: int  # scores there are
    best: int | None  # the position with the highest F1


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
    notes_ap_over_ious: float | None  # mean over IoU .5:.05:.95: the notes' COCO AP of the class
    pr_area: float | None  # by trapezoids
    coco_ap: float | None
    coco_ap50: float | None
    coco_ap_at_iou: float | None  # at the IoU threshold of the other figures; None unless it is one of COCO's ten
    sweep: Sweep
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

    image_id: Id
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
    confidence_origin: str  # why this one: one of ORIGINS
    coco: CocoFigures
    coco_map_at_iou: float | None  # COCO's AP at iou_threshold; None unless it is one of COCO's ten
    notes_map: float | None  # mean of the classes' notes_ap
    notes_map_over_ious: float | None  # mean of the classes' notes_ap_over_ious: COCO mAP as the notes define it
    notes_map_by_iou: tuple[float | None, ...]  # at .5, .55, ..., .95
    notes_minus_coco: float | None  # notes_map - coco_map_at_iou
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
