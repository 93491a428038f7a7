"""What is said of heads that were trained on images of one's own."""

from __future__ import annotations

from bench.records import Run


def in_words(run: Run) -> list[str]:
    """The images of a run in lines: how they were divided, and what was left out; nothing where there are none."""
    lines: dict[str, None] = {}
    for record in run.records:
        transfer = record.transfer
        if transfer is None:
            continue
        lines[
            f"images: {transfer.images}: {transfer.classes} classes, heads trained on {transfer.training} images and "
            f"judged on {transfer.held_out}"
        ] = None
        lines |= dict.fromkeys(f"images: {note}" for note in transfer.notes)
        if transfer.unreadable:
            lines[f"images: {transfer.unreadable} training images cannot be read, and were left out"] = None
    return list(lines)
