"""The sizes of Figure 2: areas, of the bubbles and of their legend."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Any

import pytest

from bench.analysis.quality import TOP1
from bench.records import Accuracy, Cost, Record
from bench.report.figures import bubbles
from bench.report.figures.figure import Subject, origin_notes
from bench.report.figures.frame import FRAMES, NARROW, WIDE, Frame
from bench.report.figures.hover import every_number
from bench.report.figures.labels import Label
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


def three() -> list[Record]:
    """A measured ResNet of 2 G-Ops, a published VGG of 32, and an Inception of 8 of unknown accuracy."""
    of_name = {record.case.name: record for record in runs.of_suite("default").records}
    accuracies = {
        "ResNet50": Accuracy(origin="measured", top1=65.0, top1_low=61.0, top1_high=70.0, n=1000),
        "VGG16": Accuracy(origin="published", top1=71.3),
        "InceptionV3": Accuracy(origin="none"),
    }
    costs = {"ResNet50": (10**9, 25_000_000), "VGG16": (16 * 10**9, 155_000_000), "InceptionV3": (4 * 10**9, 1_000)}
    return [
        replace(of_name[name], accuracy=accuracy, cost=Cost(mult_adds=costs[name][0], params=costs[name][1]))
        for name, accuracy in accuracies.items()
    ]


def bubble(name: str, case: str, x: float, y: float, params: int, colour: str, **more: Any) -> dict[str, Any]:
    marker = {"size": [params], "sizemode": "area", "sizeref": 2 * 155e6 / 92**2, "sizemin": 2, "opacity": [0.62]}
    marker |= {"color": [more.pop("fill", colour)], "line": {"color": colour, "width": [more.pop("line", 1)]}}
    return {
        "type": "scatter", "mode": "markers", "name": name, "legendgroup": name, "showlegend": False, "meta": "bubbles",
        "x": [x], "y": [y], "customdata": [case], "hovertemplate": "%{text}<extra></extra>", "marker": marker,
    } | more  # fmt: skip


def centre(name: str, case: str, x: float, y: float, size: int, symbol: str, colour: str, line: Any) -> dict[str, Any]:
    return {
        "type": "scatter", "mode": "markers", "name": name, "legendgroup": name, "hoverinfo": "skip", "meta": "centres",
        "x": [x], "y": [y], "customdata": [case],
        "marker": {"size": [size], "symbol": [symbol], "color": colour, "line": line},
    }  # fmt: skip


def without(drawn: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in drawn.items() if key not in keys}


def test_every_mark_of_three_models() -> None:
    records = three()
    drawn = bubbles.operations_figure(records, WIDE)
    *marks, legend = drawn["data"]
    blue, red, green = "#0069A5", "#FF1E00", "#00783C"
    interval = {"type": "data", "symmetric": False, "array": [5.0], "arrayminus": [4.0], "color": blue,
                "thickness": 1.5, "width": 4}  # fmt: skip
    foot = 55 + 0.02 * 20
    assert [without(mark, "text") for mark in marks] == [
        bubble("ResNet", "ResNet50", 2.0, 65.0, 25_000_000, blue, error_y=interval),
        centre("ResNet", "ResNet50", 2.0, 65.0, 11, "circle-open", blue, {"width": [2], "color": [blue]}),
        bubble("VGG", "VGG16", 32.0, 71.3, 155_000_000, red),
        centre("VGG", "VGG16", 32.0, 71.3, 9, "square", red, {"width": [1], "color": ["#1d2129"]}),
        bubble("Inception", "InceptionV3", 8.0, foot, 1_000, green, fill="rgba(0,0,0,0)", line=2),
        centre("Inception", "InceptionV3", 8.0, foot, 9, "diamond", green, {"width": [1], "color": ["#1d2129"]}),
    ]
    texts = {mark["customdata"][0]: mark["text"][0] for mark in marks if mark["meta"] == "bubbles"}
    for record in records:
        assert texts[record.case.name] == every_number(record, TOP1, ())
    # Six bubbles of the largest's height, one beside the other with 12 px between, up to the right edge.
    diameters = [max(92 * (params / 155e6) ** 0.5, 2.6 * 13) for params in bubbles.LEGEND_PARAMS]
    x = [972 - sum(diameters[i:]) - 12 * (5 - i) + diameters[i] / 2 for i in range(6)]
    assert legend == {
        "type": "scatter", "mode": "markers", "showlegend": False, "hoverinfo": "skip", "meta": "size-legend",
        "xaxis": "x2", "yaxis": "y2", "cliponaxis": False, "x": pytest.approx(x), "y": [118 - 46] * 6,
        "marker": {
            "size": list(bubbles.LEGEND_PARAMS), "sizemode": "area", "sizeref": 2 * 155e6 / 92**2,
            "color": "rgba(128,128,128,0.25)", "line": {"color": "#888", "width": 1},
        },
    }  # fmt: skip


def test_the_axes_and_names_of_three_models() -> None:
    layout = bubbles.operations_figure(three(), WIDE)["layout"]
    plot, strip, row = 590 - 16 - 110 + (62 + 92 + 2 * 13) - 40, 62 + 92 + 2 * 13, 92 + 2 * 13
    assert layout["height"] - layout["margin"]["t"] - layout["margin"]["b"] == plot
    assert layout["xaxis"]["title"] == {"text": "Operations [G-Ops = 2 × mult-adds / 10⁹]"}
    assert layout["xaxis"]["range"] == [pytest.approx(-0.06 * 32), pytest.approx(1.12 * 32)]
    assert (layout["yaxis"]["title"], layout["yaxis"]["range"]) == ({"text": "Top-1 accuracy [%]"}, [55.0, 80.0 - 5])
    assert layout["yaxis"]["domain"] == [strip / plot, 1]
    assert layout["meta"] == {"y": {"limit": "top1", "scale": 1}}
    assert layout["legend"]["y"] == -4 / plot
    assert layout["xaxis2"] == {"visible": False, "fixedrange": True, "range": [0, 972], "anchor": "y2"}
    assert layout["yaxis2"] == {
        "visible": False, "fixedrange": True, "range": [0, row], "domain": [0, row / plot], "anchor": "x2"
    }  # fmt: skip
    first, second, third, *sizes, parameters = layout["annotations"]
    beside = {"showarrow": True, "arrowhead": 0, "arrowwidth": 0.01, "arrowcolor": "rgba(0,0,0,0)", "standoff": 2,
              "borderpad": 0, "captureevents": False}  # fmt: skip
    places = [("ResNet50", 2.0, 65.0), ("VGG16", 32.0, 71.3), ("InceptionV3", 8.0, 55.4)]
    for note, (name, x, y) in zip((first, second, third), places, strict=True):
        assert without(note, "ax", "ay") == {"name": name, "text": name, "x": x, "y": y} | beside
    at = {"xref": "x2", "yref": "y2", "showarrow": False, "font": {"size": 10}}
    assert [without(note, "x") for note in sizes] == [
        at | {"y": 0, "text": f"{params} M", "yanchor": "bottom"} for params in (5, 35, 65, 95, 125, 155)
    ]
    assert parameters == at | {"x": sizes[0]["x"] - 24, "y": 72.0, "text": "Parameters", "xanchor": "right"}


def test_what_is_narrow_has_less_room_and_no_title_beside_its_sizes() -> None:
    drawn = bubbles.operations_figure(three(), NARROW)
    assert drawn["layout"]["xaxis"]["range"] == [pytest.approx(-0.12 * 32), pytest.approx(1.24 * 32)]
    notes = [note for note in drawn["layout"]["annotations"] if "xref" in note]
    assert [note["text"] for note in notes] == ["5 M", "35 M", "65 M", "95 M", "125 M", "155 M"]
    assert {note["font"]["size"] for note in notes} == {8}
    assert drawn["data"][-1]["x"][-1] == drawn["layout"]["xaxis2"]["range"][1] - 22
    before, last = drawn["data"][-1]["x"][-2:]
    assert last - before == pytest.approx(22 + 4 + 22 * (125 / 155) ** 0.5)
    middling = replace(NARROW, width=600)
    assert len([n for n in bubbles.operations_figure(three(), middling)["layout"]["annotations"] if "xref" in n]) == 6
    assert bubbles.operations_figure(three(), middling)["layout"]["xaxis"]["range"][0] == pytest.approx(-0.12 * 32)


def test_the_logarithmic_axis_holds_every_model_with_room_to_the_right() -> None:
    drawn = bubbles.operations_figure(three(), WIDE, logarithmic=True)
    axis = drawn["layout"]["xaxis"]
    assert axis["type"] == "log"
    assert axis["title"] == {"text": "Operations [G-Ops = 2 × mult-adds / 10⁹], logarithmic"}
    low, span = math.log10(2), math.log10(16)
    assert axis["range"] == [pytest.approx(low - 0.09 * span), pytest.approx(low + 1.18 * span)]
    assert drawn["layout"]["annotations"][0]["x"] == pytest.approx(low)
    assert drawn["data"][-1]["meta"] == "size-legend"
    alone = bubbles.operations_figure(three()[:1], WIDE, logarithmic=True)["layout"]["xaxis"]["range"]
    assert alone == [pytest.approx(low - 0.06), pytest.approx(low + 0.12)]
    nothing = [replace(record, cost=Cost(mult_adds=0, params=5)) for record in three()]
    for logarithmic in (False, True):
        linear = bubbles.operations_figure(nothing, WIDE, logarithmic=logarithmic)["layout"]["xaxis"]
        assert "type" not in linear
        assert linear["range"] == [-0.06, 1.12]


def test_what_was_not_counted_or_not_wholly_is_not_in_figure_2() -> None:
    first, second, third = three()
    assert first.cost is not None
    records = [replace(first, cost=replace(first.cost, uncounted=("Foo",))), replace(second, cost=None), third]
    assert records[0].cost is not None
    assert records[0].cost.is_lower_bound
    drawn = bubbles.operations_figure(records, WIDE)
    assert [m["customdata"] for m in drawn["data"] if m["meta"] == "bubbles"] == [["InceptionV3"]]
    assert drawn["layout"]["yaxis"]["range"] == [55.0, 75.0]  # of all, as in every figure of the page
    assert list(bubbles.operations(Subject(run=runs.run(records[:2])))) == []
    (figure,) = bubbles.operations(Subject(run=runs.run(records)))
    assert (figure.id, figure.title, figure.short) == (
        "operations",
        "Figure 2: accuracy against operations",
        "Figure 2",
    )
    assert figure.question == (
        "How much accuracy does an operation buy? The area of a bubble is proportional to the number of parameters; "
        "grey bubbles give the scale."
    )
    assert figure.alternative.startswith("Bubbles: top-1 against G-Ops, areas proportional to parameters; ")
    assert figure.notes == origin_notes(records)
    assert figure.draw(WIDE) == drawn
    assert figure.other is not None
    assert figure.other[0] == "logarithmic axis"
    assert figure.other[1](WIDE) == bubbles.operations_figure(records, WIDE, logarithmic=True)


def test_intervals_across_and_what_is_beaten_is_pale() -> None:
    records = three()
    axis = {"title": {"text": "ms"}, "range": [0.0, 40.0]}
    drawn = bubbles.cloud(
        records, [2.0, 30.0, 8.0], axis, records, WIDE, intervals=[(1.0, 4.0), None, (7.5, 8.25)],
        better=[[], [records[0]], []],
    )  # fmt: skip
    marks = {mark["customdata"][0]: mark for mark in drawn["data"] if mark["meta"] == "bubbles"}
    assert [mark["meta"] for mark in drawn["data"]] == ["bubbles", "centres"] * 3
    assert (marks["ResNet50"]["error_x"]["array"], marks["ResNet50"]["error_x"]["arrayminus"]) == ([2.0], [1.0])
    assert marks["ResNet50"]["error_x"]["color"] == "#0069A5"
    assert (marks["VGG16"]["error_x"]["array"], marks["VGG16"]["error_x"]["arrayminus"]) == ([None], [None])
    assert marks["InceptionV3"]["error_x"]["array"] == [0.25]
    assert {name: mark["marker"]["opacity"] for name, mark in marks.items()} == {
        "ResNet50": [0.62], "VGG16": [0.28], "InceptionV3": [0.62]
    }  # fmt: skip
    assert marks["VGG16"]["text"] == [every_number(records[1], TOP1, [records[0]])]
    assert "domain" not in drawn["layout"]["yaxis"]
    assert "xaxis2" not in drawn["layout"]
    assert drawn["layout"]["meta"] == {"y": {"limit": "top1", "scale": 1}}
    assert drawn["layout"]["legend"]["y"] == -66 / (590 - 16 - 110)


def test_px_of_an_axis() -> None:
    to_px = bubbles._scale({"range": [10.0, 30.0]}, (50.0, 100.0), 200, 80)
    assert [to_px(10.0, 50.0), to_px(15.0, 75.0), to_px(30.0, 100.0)] == [(0, 0), (50, 40), (200, 80)]
    log = bubbles._scale({"range": [1.0, 3.0], "type": "log"}, (50.0, 100.0), 200, 80)
    assert log(100.0, 60.0) == (pytest.approx(100), pytest.approx(16))


def test_what_intervals_and_steps_cover() -> None:
    def to_px(x: float, y: float) -> tuple[float, float]:
        return 10 * x, 100 * y

    assert bubbles._interval_boxes([(1, 3), (5, 5)], [(2, 2), (4, 6)], [2, 5], [2, 5], to_px) == [
        (8, 197, 32, 203), (47, 398, 53, 602)
    ]  # fmt: skip
    assert bubbles._step_boxes([(10, 20), (50, 40), (90, 95)]) == [
        (14, 19, 50, 21), (49, 20, 51, 36), (54, 39, 90, 41), (89, 40, 91, 91)
    ]  # fmt: skip


def test_a_name_far_from_its_bubble_has_a_line_and_is_text() -> None:
    (record, *_) = three()
    note = bubbles._annotation(record, 100.0, 70.0, Label("<b>", 30.0, -20.0, leader=True), {"type": "log"})
    assert note == {
        "name": "ResNet50", "x": 2.0, "y": 70.0, "text": "&lt;b&gt;", "showarrow": True, "arrowhead": 0,
        "arrowwidth": 0.8, "arrowcolor": "rgba(128,128,128,0.9)", "ax": 30.0, "ay": 20.0, "standoff": 2, "borderpad": 0,
        "captureevents": False,
    }  # fmt: skip


def test_names_are_placed_with_all_that_lies_in_their_way(monkeypatch: pytest.MonkeyPatch) -> None:
    records = three()
    asked: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def place(*given: Any, **more: Any) -> list[Label | None]:
        asked.append((given, more))
        return [None, Label("VGG", 1.0, 2.0, leader=False), None]

    monkeypatch.setattr(bubbles, "place", place)
    axis = {"range": [0.0, 97.2]}  # 10 px a unit, and in the height 972 / 20 px a point
    frame = replace(WIDE, height=16 + 110 + 2000)
    drawn = bubbles.cloud(records, [2.0, 32.0, 8.0], axis, records, frame, intervals=[(1.0, 3.0), None, None],
                          steps=[(1.0, 60.0), (5.0, 65.0)])  # fmt: skip
    ((points, width, height, font), more) = asked[0]
    assert (width, height, font) == (972, 2000, 13)
    assert [(point.text, point.x, point.y) for point in points] == [
        ("ResNet50", pytest.approx(20), pytest.approx(1000)), ("VGG16", pytest.approx(320), pytest.approx(1630)),
        ("InceptionV3", pytest.approx(80), pytest.approx(40)),
    ]  # fmt: skip
    assert [point.radius for point in points] == [bubbles.diameter(r.cost.params, frame) / 2 for r in records if r.cost]
    assert more["first"] == [0, 1]  # the front
    assert more["beside"] == [2]  # the one at the foot
    assert [tuple(round(edge, 6) for edge in box) for box in more["soft"]] == [
        (8, 997, 32, 1003), (17, 598, 23, 1502), (14, 499, 50, 501), (49, 500, 51, 996)
    ]  # fmt: skip
    assert [(note["name"], note["text"]) for note in drawn["layout"]["annotations"]] == [("VGG16", "VGG")]
    unknown = [replace(record, accuracy=Accuracy(origin="none")) for record in records]
    bubbles.cloud([replace(unknown[0], cost=None)], [2.0], axis, unknown, frame)
    ((points, *_), more) = asked[1]
    assert (points[0].radius, more["beside"]) == (5.0, [])  # where nothing is known, the foot is for all
