"""Which detection finds which object, on pairs made by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.detection import coco_files, evaluate, matching
from bench.detection.matching import Pairs
from tests.detection.sets import generate, write
from tests.detection.test_evaluation import CATEGORIES, hit, image, thing


def pairs(*rows: tuple[int, int, float]) -> Pairs:
    detection, target, overlap = zip(*rows, strict=True) if rows else ((), (), ())
    return Pairs(np.array(detection, np.int64), np.array(target, np.int64), np.array(overlap, float))


def assigned(rows: list[tuple[int, int, float]], rank: list[int], objects: int) -> list[int]:
    return matching.assign(pairs(*rows), np.array(rank), objects).tolist()


def test_each_takes_the_free_object_that_it_overlaps_most() -> None:
    assert assigned([(0, 0, 0.6), (0, 1, 0.9)], [0], 2) == [1]
    assert assigned([], [0, 1], 2) == [-1, -1]
    # Both want object 1; the more confident has it, the other takes what is left.
    both = [(0, 0, 0.6), (0, 1, 0.9), (1, 0, 0.7), (1, 1, 0.8)]
    assert assigned(both, [0, 1], 2) == [1, 0]
    assert assigned(both, [1, 0], 2) == [0, 1]


def test_whoever_is_refused_everywhere_finds_nothing() -> None:
    assert assigned([(0, 0, 0.9), (1, 0, 0.9), (2, 0, 0.5)], [2, 0, 1], 1) == [-1, 0, -1]
    # 2 is refused by object 1 only after 1 was refused by object 0: a chain.
    chain = [(0, 0, 0.9), (1, 0, 0.9), (1, 1, 0.8), (2, 1, 0.9), (2, 2, 0.5)]
    assert assigned(chain, [0, 1, 2], 3) == [0, 1, 2]


def test_between_equal_overlaps_the_later_object_wins() -> None:
    assert assigned([(0, 0, 0.7), (0, 2, 0.7), (0, 1, 0.7)], [0], 3) == [2]


def matched(tmp_path: Path, things: list[dict[str, Any]], hits: list[dict[str, Any]], iou: float) -> Any:
    truth = {"images": [image(1), image(2)], "categories": CATEGORIES, "annotations": things}
    return matching.match(coco_files.read(*write(tmp_path, truth, hits)), iou)


def test_ranks_follow_the_scores_and_then_the_file(tmp_path: Path) -> None:
    hits = [hit(1, 1, 0.5), hit(1, 1, 0.9), hit(1, 1, 0.5), hit(2, 1, 0.7)]
    found = matched(tmp_path, [thing(1, 1, 1)], hits, 0.5)
    assert found.rank.tolist() == [2, 0, 3, 1]
    assert found.found.tolist() == [-1, 0, -1, -1]
    assert not found.ignored.any()


def test_an_overlap_of_exactly_the_threshold_is_enough(tmp_path: Path) -> None:
    half = hit(1, 1, 0.9, [10.0, 10.0, 40.0, 20.0])  # the upper half of the object
    assert matched(tmp_path, [thing(1, 1, 1)], [half], 0.5).found.tolist() == [0]
    assert matched(tmp_path, [thing(1, 1, 1)], [half], 0.51).found.tolist() == [-1]


def test_objects_of_another_class_or_image_are_not_found(tmp_path: Path) -> None:
    found = matched(tmp_path, [thing(1, 1, 1), thing(2, 2, 2)], [hit(1, 2, 0.9), hit(2, 1, 0.9)], 0.5)
    assert found.found.tolist() == [-1, -1]
    assert sorted(zip(found.pairs.detection.tolist(), found.pairs.object.tolist(), strict=True)) == [(0, 0), (1, 1)]
    assert found.pairs.overlap.tolist() == [1, 1]


def test_a_crowd_ignores_what_lies_in_it_and_finds_nothing_else(tmp_path: Path) -> None:
    """For a crowd the share of the detection that lies in it counts, not the overlap of both."""
    region = thing(1, 1, 1, [0.0, 0.0, 100.0, 100.0], crowd=1)
    inside = hit(1, 1, 0.9, [10.0, 10.0, 10.0, 10.0])
    outside = hit(1, 1, 0.8, [95.0, 0.0, 20.0, 10.0])
    other = hit(1, 2, 0.7, [10.0, 10.0, 10.0, 10.0])
    found = matched(tmp_path, [region], [inside, outside, other], 0.5)
    assert found.ignored.tolist() == [True, False, False]
    assert found.found.tolist() == [-1, -1, -1]
    with_object = matched(tmp_path, [region, thing(2, 1, 1, [10.0, 10.0, 10.0, 10.0])], [inside], 0.5)
    assert (with_object.found.tolist(), with_object.ignored.tolist()) == ([1], [False])


@pytest.mark.parametrize("block", [1, 7, 100])
def test_the_size_of_the_blocks_changes_nothing(block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = write(tmp_path, *generate(3))
    whole = evaluate(*files)
    monkeypatch.setattr(matching, "_BLOCK", block)
    assert evaluate(*files) == whole
