"""Commands about detections."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.root import as_json_option, cli, table
from bench.units import readable

if TYPE_CHECKING:
    from bench.detection import Evaluation
    from bench.detection.results import Counts

_CONFUSIONS, _WORST = 10, 5


@cli.group()
def detect() -> None:
    """Detections: what they are worth."""


@detect.command()
@click.option("--gt", type=click.Path(path_type=Path), required=True, metavar="GT.json", help="The ground truth.")
@click.option("--dt", type=click.Path(path_type=Path), required=True, metavar="DT.json", help="The detections.")
@click.option("--iou", type=float, default=0.5, show_default=True, help="Least IoU of a match, but for COCO's figures.")
@click.option("--confidence", type=float, help="Keep detections with at least this score. [default: where F1 is best]")
@click.option(
    "-o", "out", type=click.Path(path_type=Path), metavar="PAGE.html", help="Write a page with the curves too."
)
@as_json_option
def evaluate(gt: Path, dt: Path, iou: float, confidence: float | None, out: Path | None, as_json: bool) -> None:
    """Evaluate detections against ground truth, both in COCO's format."""
    from bench import store
    from bench.detection import evaluate

    result = evaluate(gt, dt, iou=iou, confidence=confidence)
    if out:
        from bench.report.detection import write_page

        write_page(result, out, title=f"{dt.name} against {gt.name}")
    if as_json:
        click.echo(store.json_text(result))
        return
    _show(result)
    if out:
        click.echo(f"page: {out}")


def _show(result: Evaluation) -> None:
    from bench.detection.results import COCO_FIGURES, ERRORS

    click.echo(
        f"{result.images:,} images, {result.empty_images:,} of them empty; {result.objects:,} objects, "
        f"{result.crowds:,} crowd regions; {result.detections:,} detections, "
        f"{result.ignored:,} of them ignored on crowds"
    )
    table(
        ("COCO figure", "value"),
        [(what, _percent(getattr(result.coco, name))) for name, what in COCO_FIGURES.items()],
    )
    at = f"at IoU {result.iou_threshold:g}"
    recalls = "101 recalls, the highest precision at each or beyond it"
    if result.objects and result.coco_map_at_iou is None:
        recalls = "COCO has none at this IoU, only at .50, .55, … .95"
    over = "mean over IoU .50:.95"
    coco_ap, notes_ap = result.coco.ap, result.notes_map_over_ious
    table(
        ("mean AP", at, over, "how"),
        [
            ("the notes' AP", _percent(result.notes_map), _percent(notes_ap), "sum of (r[i+1] - r[i]) P[i+1]"),
            ("COCO's AP", _percent(result.coco_map_at_iou), _percent(coco_ap), recalls),
            ("notes' - COCO's", _points(result.notes_minus_coco), _points(_difference(notes_ap, coco_ap)), ""),
        ],
    )
    kept = f"at confidence {result.confidence_threshold:g}"
    table(
        (
            "class", "objects", "detections", "COCO AP", "notes' AP", f"COCO AP {at}", f"notes' AP {at}", "precision",
            "recall", "F1",
        ),
        [
            (
                readable(c.name), f"{c.objects:,}", f"{c.detections:,}", _percent(c.coco_ap),
                _percent(c.notes_ap_over_ious), _percent(c.coco_ap_at_iou), _percent(c.notes_ap), *_rates(c.counts),
            )
            for c in result.classes
        ]
        + [
            (
                "all", f"{result.objects:,}", f"{result.detections - result.ignored:,}",
                _percent(result.coco.ap), _percent(notes_ap), _percent(result.coco_map_at_iou),
                _percent(result.notes_map), *_rates(result.counts),
            )
        ],
    )  # fmt: skip
    counts = result.counts
    click.echo(
        f"{kept} ({result.confidence_origin}) and {at}: {counts.true_positives:,} right, {counts.false_positives:,} "
        f"false, {counts.false_negatives:,} objects not found; precision, recall and F1 above are for these"
    )
    if result.best_f1:
        click.echo(f"best F1: {_percent(result.best_f1.f1)} at confidence {result.best_f1.confidence:g}")
    _show_confusion(result, kept)
    table(
        (f"errors {kept}", "count", "what"),
        [(name, f"{getattr(result.errors, field):,}", what) for field, (name, what) in ERRORS.items()],
    )
    if result.worst:
        rows = [
            (readable(w.file_name or f"image {w.image_id}"), f"{w.false_positives:,}", f"{w.false_negatives:,}")
            for w in result.worst[:_WORST]
        ]
        table((f"worst images {kept}", "false", "not found"), rows)
    click.echo("how it was evaluated:")
    for line in (*result.rules, *_without_objects(result)):
        click.echo(f"  {line}")
    for line in result.warnings:
        click.echo(f"note: {line}")


def _show_confusion(result: Evaluation, kept: str) -> None:
    """Print the sums of the confusion matrix and its largest cells off the diagonal."""
    matrix, labels = result.confusion, [readable(label) for label in result.labels]
    right = sum(row[i] for i, row in enumerate(matrix))
    background, unfound = sum(matrix[-1]), sum(row[-1] for row in matrix)
    confused = sum(map(sum, matrix)) - right - background - unfound
    click.echo(
        f"confusion matrix {kept}: {right:,} on the diagonal, {confused:,} taken for another class, "
        f"{unfound:,} objects taken for background, {background:,} detections on background"
    )
    cells = [(count, i, k) for i, row in enumerate(matrix) for k, count in enumerate(row) if i != k and count]
    largest = sorted(cells, key=lambda cell: -cell[0])[:_CONFUSIONS]
    if largest:
        table(("truth", "taken for", "count"), [(labels[i], labels[k], f"{count:,}") for count, i, k in largest])


def _without_objects(result: Evaluation) -> Iterator[str]:
    names = [readable(c.name) for c in result.classes if not c.objects]
    if names:
        shown = ", ".join(names[:10]) + (", …" if len(names) > 10 else "")
        yield f"{len(names)} of {len(result.classes)} classes have no ground truth: {shown}"


def _rates(counts: Counts) -> tuple[str, str, str]:
    return _percent(counts.precision), _percent(counts.recall), _percent(counts.f1)


def _difference(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.2f} %"


def _points(difference: float | None) -> str:
    return "–" if difference is None else f"{100 * difference:+.2f} points"
