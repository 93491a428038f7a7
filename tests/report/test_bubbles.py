"""The sizes of Figure 2: areas, of the bubbles and of their legend."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from bench.report.figures import bubbles
from bench.report.figures.frame import FRAMES, Frame
from tests import runs

FRAME = pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: frame.name)


@FRAME
def test_four_times_the_parameters_are_twice_the_diameter(frame: Frame) -> None:
    assert bubbles.diameter(155_000_000, frame) == frame.largest_bubble
    assert bubbles.diameter(155_000_000 // 4, frame) == pytest.approx(frame.largest_bubble / 2)
    assert bubbles.diameter(0, frame) == 0


@FRAME
def test_the_legend_of_sizes_is_by_area_on_the_scale_of_the_bubbles(frame: Frame) -> None:
    drawn = bubbles.operations_figure(list(runs.of_suite("default").records), frame)
    (legend,) = (trace for trace in drawn["data"] if trace.get("meta") == "size-legend")
    marker = legend["marker"]
    assert marker["sizemode"] == "area"
    assert marker["size"] == [5_000_000, 35_000_000, 65_000_000, 95_000_000, 125_000_000, 155_000_000]
    # Plotly draws an area of size / sizeref, and 2 * size / sizeref = diameter^2.
    assert 2 * marker["size"][-1] / marker["sizeref"] == pytest.approx(frame.largest_bubble**2)
    bubbles_drawn = [trace for trace in drawn["data"] if trace.get("meta") == "bubbles"]
    assert {(t["marker"]["sizemode"], t["marker"]["sizeref"]) for t in bubbles_drawn} == {("area", marker["sizeref"])}
    labels = [note["text"] for note in drawn["layout"]["annotations"] if note["text"].endswith(" M")]
    assert labels == ["5 M", "35 M", "65 M", "95 M", "125 M", "155 M"]
    edges = [(x - bubbles.diameter(n, frame) / 2, x + bubbles.diameter(n, frame) / 2)
             for x, n in zip(legend["x"], marker["size"], strict=True)]  # fmt: skip
    assert all(before[1] < after[0] for before, after in itertools.pairwise(edges))
    assert edges[-1][1] <= drawn["layout"]["xaxis2"]["range"][1]


def test_a_measured_accuracy_has_an_open_centre_and_a_published_one_has_not() -> None:
    first, second, *_ = runs.of_suite("default").records
    measured = replace(first, accuracy=replace(first.accuracy, origin="measured", top1_low=60.0, top1_high=70.0))
    drawn = bubbles.operations_figure([measured, second], FRAMES[0])
    symbols = {name: symbol for trace in drawn["data"] if trace.get("meta") == "centres"
               for name, symbol in zip(trace["customdata"], trace["marker"]["symbol"], strict=True)}  # fmt: skip
    assert symbols[first.case.name].endswith("-open")
    assert not symbols[second.case.name].endswith("-open")
