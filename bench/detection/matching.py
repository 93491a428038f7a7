"""Which detection finds which object: COCO's greedy matching at one IoU threshold, for all images at once.

Within an image and a class, detections choose in the order of their scores (equal scores: in the order of the file);
each takes the free object that it overlaps most, when that is at least the threshold. All objects rank the detections
alike, so this is a stable matching, and proposals in rounds reach it without a loop over detections.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bench.detection import boxes
from bench.detection.coco_files import Booleans, Dataset, Floats, Integers

NEAR = 0.1  # least IoU at which a false detection is a near miss; below it is background (Bolya et al. 2020, TIDE)
_BLOCK = 500_000  # pairs looked at in one go: bounds the memory


@dataclass(frozen=True, slots=True)
class Pairs:
    """A detection and an object of one image that overlap, one row a pair, of all classes."""

    detection: Integers
    object: Integers
    overlap: Floats  # IoU; for a crowd region the share of the detection that lies in it

    def where(self, chosen: Booleans) -> Pairs:
        """Some of the pairs."""
        return Pairs(self.detection[chosen], self.object[chosen], self.overlap[chosen])


@dataclass(frozen=True, slots=True)
class Matching:
    """What becomes of each detection at one IoU threshold, if all were kept.

    Detections with lower scores never change it, so it holds above every confidence threshold too.
    """

    iou: float
    rank: Integers  # of each detection, 0 the most confident
    found: Integers  # the object that each detection finds, or -1
    ignored: Booleans  # detections on a crowd region of their class: neither right nor wrong
    pairs: Pairs  # all with an overlap of NEAR or more


def match(data: Dataset, iou: float, pairs: Pairs | None = None) -> Matching:
    """Match detections with the objects of their class at an IoU of at least `iou`.

    `pairs`: those of another matching of the same data at an IoU of NEAR or more, which are the same.
    """
    least = min(iou, 1 - 1e-10)  # as COCO: a threshold of 1 is met by equal boxes
    detections, objects = data.detections, data.objects
    if pairs is None:
        pairs = _overlapping(data, min(NEAR, least))
    rank = _ranks(detections.score)
    right = (detections.category[pairs.detection] == objects.category[pairs.object]) & (pairs.overlap >= least)
    crowd = objects.crowd[pairs.object]
    matched = assign(pairs.where(right & ~crowd), rank, len(objects.crowd))
    ignored = np.zeros(len(rank), dtype=bool)
    ignored[pairs.detection[right & crowd]] = True
    return Matching(iou, rank, matched, ignored & (matched < 0), pairs)


def assign(pairs: Pairs, rank: Integers, objects: int) -> Integers:
    """Give every detection the free object that it overlaps most, the best rank first; -1 where none is left.

    Between equal overlaps the later object wins, as in COCO.
    """
    partners = np.full(len(rank), -1, dtype=np.int64)
    order = np.lexsort((-pairs.object, -pairs.overlap, pairs.detection))
    detection, target = pairs.detection[order], pairs.object[order]
    if not len(order):
        return partners
    suitor, first = np.unique(detection, return_index=True)
    end = np.append(first[1:], len(detection))
    choice = first.copy()  # the pair that each suitor now stands at
    best = np.full(objects, len(rank), dtype=np.int64)  # the best rank that each object has seen
    asking = np.arange(len(suitor))
    while len(asking):
        np.minimum.at(best, target[choice[asking]], rank[suitor[asking]])
        hopeful = choice < end
        wanted = target[np.where(hopeful, choice, first)]
        refused = hopeful & (best[wanted] != rank[suitor])
        choice[refused] += 1
        asking = np.flatnonzero(refused & (choice < end))
    hopeful = choice < end
    partners[suitor[hopeful]] = target[choice[hopeful]]
    return partners


def _ranks(score: Floats) -> Integers:
    rank = np.empty(len(score), dtype=np.int64)
    rank[np.argsort(-score, kind="stable")] = np.arange(len(score))
    return rank


def _overlapping(data: Dataset, least: float) -> Pairs:
    """All pairs within an image whose overlap is at least `least`, crowd regions included."""
    blocks = list(_blocks(data, least)) or [Pairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))]
    return Pairs(
        np.concatenate([block.detection for block in blocks]),
        np.concatenate([block.object for block in blocks]),
        np.concatenate([block.overlap for block in blocks]),
    )


def _blocks(data: Dataset, least: float) -> Iterator[Pairs]:
    detections, objects = data.detections, data.objects
    by_image = np.argsort(objects.image, kind="stable")
    count = np.bincount(objects.image, minlength=len(data.images)).astype(np.int64)
    start = np.cumsum(count) - count
    partners = count[detections.image]
    total = np.cumsum(partners)
    corners = [
        np.concatenate([rows.box[:, :2], rows.box[:, :2] + rows.box[:, 2:]], axis=1) for rows in (detections, objects)
    ]
    # From the sizes, not from the corners: the same rounding as COCO's at the threshold itself.
    size = [rows.box[:, 2] * rows.box[:, 3] for rows in (detections, objects)]
    begin = 0
    while begin < len(partners):
        before = total[begin - 1] if begin else 0
        stop = max(begin + 1, int(np.searchsorted(total, before + _BLOCK, side="right")))
        many = partners[begin:stop]
        d = np.repeat(np.arange(begin, stop), many)
        within = np.arange(len(d)) - np.repeat(np.cumsum(many) - many, many)
        o = by_image[start[detections.image[d]] + within]
        shared = boxes.intersection(corners[0][d], corners[1][o])
        whole = np.where(objects.crowd[o], size[0][d], size[0][d] + size[1][o] - shared)
        overlap = np.divide(shared, whole, out=np.zeros_like(shared), where=whole > 0)
        near = (overlap >= least) & (shared > 0)
        yield Pairs(d[near], o[near], overlap[near])
        begin = stop
