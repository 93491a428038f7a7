"""What is said of heads that were trained on images of one's own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.records import PlannedCase, Record, Run, Transfer


@dataclass(frozen=True, slots=True)
class Learned:
    """A case, and how its head was trained."""

    case: PlannedCase
    transfer: Transfer


def learned(records: Iterable[Record]) -> list[Learned]:
    """The cases whose head was trained on images of one's own."""
    return [Learned(record.case, record.transfer) for record in records if record.transfer]


def in_words(run: Run) -> list[str]:
    """The images of a run in lines: how they were divided, and what was left out; nothing where there are none."""
    lines: dict[str, None] = {}
    for transfer in (one.transfer for one in learned(run.records)):
        lines[
            f"images: {transfer.images}: {transfer.classes} classes, heads trained on {transfer.training} images and "
            f"judged on {transfer.held_out}"
        ] = None
        lines |= dict.fromkeys(f"images: {note}" for note in transfer.notes)
        if transfer.unreadable:
            lines[f"images: {transfer.unreadable} training images cannot be read, and were left out"] = None
    return list(lines)


def more_images(curves: Sequence[Learned]) -> list[str]:
    """What twice the photographs brought, in words: the gain of the most accurate head from half of them to all."""
    best = max(curves, key=lambda one: one.transfer.curve[-1].top1)
    *_, half, whole = best.transfer.curve
    sure = whole.top1_low > half.top1_high
    said = "more photographs still help" if sure else "whether more photographs would help is not sure"
    grown = f"from {half.top1:.1f} to {whole.top1:.1f} %"
    return [f"From {half.images} to {whole.images} images, {best.case.name} went {grown}: {said}."]
