"""Heads trained on images of one's own, on the page: the learning curves, and what is said of the images."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.analysis import transfer
from bench.records import CurvePoint, Record, Run, Transfer
from bench.report.drawings import figures
from bench.report.figures.frame import FRAMES
from bench.report.page import render
from tests import runs


def learnt(record: Record, *tops: float) -> Record:
    curve = tuple(
        CurvePoint(images=100 * 2**i, top1=top, top1_low=top - 3, top1_high=top + 2) for i, top in enumerate(tops)
    )
    told = Transfer(
        images="photos <b>", weights="imagenet", classes=3, training=curve[-1].images, held_out=80, features=64,
        strength=0.1, validated=80.0, curve=curve, unreadable=2, notes=("divided: by chance",),
    )  # fmt: skip
    return replace(record, transfer=told)


@pytest.fixture(scope="module")
def run() -> Run:
    made = runs.of_suite("default")
    first, second, *others = made.records
    return replace(made, records=(learnt(first, 60, 70, 71), learnt(second, 50, 70, 80), *others))


def test_a_line_for_each_head_with_its_intervals(run: Run) -> None:
    (figure,) = [one for one in figures(run) if one.id == "learning"]
    for frame in FRAMES:
        first, second = figure.draw(frame)["data"]
        assert (first["x"], first["y"]) == ([100, 200, 400], [60, 70, 71])
        assert first["customdata"] == [run.records[0].case.name] * 3
        assert (second["error_y"]["array"], second["error_y"]["arrayminus"]) == ([2, 2, 2], [3, 3, 3])
        assert first["line"] != second["line"]
        assert "top-1 71.0 % [68.0, 73.0]" in first["text"][2]


def test_what_more_images_brought(run: Run) -> None:
    both = transfer.learned(run.records)
    name = run.records[1].case.name
    assert transfer.more_images(both) == [
        f"From 200 to 400 images, {name} went from 70.0 to 80.0 %: more photographs still help."
    ]
    assert transfer.more_images(both[:1])[0].endswith("whether more photographs would help is not sure.")


def test_the_page_says_how_the_images_were_divided(run: Run) -> None:
    text = render(run)
    assert "<li>images: photos &lt;b&gt;: 3 classes, heads trained on 400 images and judged on 80</li>" in text
    assert "<li>images: divided: by chance</li>" in text
    assert "<li>images: 2 training images cannot be read, and were left out</li>" in text
    assert "learning" not in {one.id for one in figures(runs.of_suite("default"))}
