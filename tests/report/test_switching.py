"""Runtimes beside each other: the ratios, and the two figures."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest

from bench.analysis.switching import switches
from bench.records import Run
from bench.report.drawings import figures
from bench.report.figures.frame import FRAMES, Frame
from bench.report.figures.labels import text_width
from bench.report.figures.switching import switching_figure
from tests import runs


def measured_in(p50s_ms: dict[tuple[str, str, str], float]) -> Run:
    """A run of MobileNet and ResNet50 in runtimes and precisions, each with a p50."""
    run = runs.of_suite("runtimes", spread=0.01)
    records = []
    for record in run.records:
        key = record.case.model, record.case.runtime, record.case.precision
        if key in p50s_ms:
            provider = "CPU" if record.case.runtime != "onnxruntime" else record.case.provider
            case = replace(record.case, provider=provider)
            factor = p50s_ms[key] / record.measurement.p50_ms
            records.append(runs.record(case, factor=factor, seed=3))
    return replace(run, records=tuple(records))


def test_a_case_is_held_against_the_same_in_the_first_runtime() -> None:
    here, there, third = "onnxruntime", "openvino", "litert"
    run = measured_in({
        ("MobileNet", here, "fp32"): 10, ("MobileNet", there, "fp32"): 8, ("MobileNet", third, "fp32"): 20,
        ("MobileNet", here, "int8"): 10, ("MobileNet", there, "int8"): 5, ("ResNet50", third, "fp32"): 9,
    })  # fmt: skip
    changes = {(change.model, change.runtime): change for change in switches(run.records)}
    assert set(changes) == {("MobileNet", "openvino"), ("MobileNet", "litert"), ("MobileNet int8", "openvino")}
    assert {change.reference for change in changes.values()} == {"onnxruntime"}
    for key, ratio in (
        (("MobileNet", "openvino"), 0.8),
        (("MobileNet", "litert"), 2.0),
        (("MobileNet int8", "openvino"), 0.5),
    ):
        change = changes[key]
        assert change.ratio == pytest.approx(ratio, rel=0.1)
        assert (change.low or 9) < change.ratio < (change.high or 0)
    alone = [replace(r, measurement=replace(r.measurement, visit_p50_ms=(1.0,))) for r in run.records if r.measurement]
    assert {(change.low, change.high) for change in switches(alone)} == {(None, None)}


def test_a_marker_s_shape_is_its_runtime_and_the_largest_gain_is_on_top() -> None:
    run = measured_in({
        ("MobileNet", "onnxruntime", "fp32"): 10, ("MobileNet", "openvino", "fp32"): 8,
        ("ResNet50", "onnxruntime", "fp32"): 30, ("ResNet50", "litert", "fp32"): 12,
    })  # fmt: skip
    drawn = {figure.id: figure for figure in figures(run)}
    for frame in FRAMES:
        clouds = drawn["by-runtime"].draw(frame)["data"]
        assert [trace["name"] for trace in clouds] == ["ONNX Runtime", "OpenVINO", "LiteRT"]
        assert len({str(trace["marker"]["symbol"][0]) for trace in clouds}) == 3
        changes = drawn["switching"].draw(frame)
        assert changes["layout"]["yaxis"]["categoryarray"] == ["MobileNet", "ResNet50"], "the last is on top"
        assert [trace["name"] for trace in changes["data"]] == ["OpenVINO", "LiteRT"]
        assert changes["data"][1]["x"][0] == pytest.approx(0.4, rel=0.1)
        assert "LiteRT instead of ONNX Runtime: -" in changes["data"][1]["text"][0]


@pytest.mark.parametrize("more", ["", " alpha=0.75 160px"])
@pytest.mark.parametrize("frame", FRAMES)
def test_names_on_the_ratios_axis_have_room(frame: Frame, more: str) -> None:
    run = measured_in({
        ("MobileNetV3Large", "onnxruntime", "fp32"): 10, ("MobileNetV3Large", "openvino", "fp32"): 5,
        ("MobileNetV3Large", "litert", "fp32"): 18,
    })  # fmt: skip
    changes = [replace(change, model=change.model + more) for change in switches(run.records)]
    drawn = switching_figure(changes, frame)["layout"]
    axis, font = drawn["xaxis"], drawn["font"]["size"]
    plot = drawn["width"] - drawn["margin"]["l"] - drawn["margin"]["r"]
    low, high = axis["range"]
    at = [plot * (math.log10(value) - low) / (high - low) for value in axis["tickvals"]]
    assert len(at) >= 2
    for (left, name), (right, other) in itertools.pairwise(zip(at, axis["ticktext"], strict=True)):
        assert right - left > font * (text_width(name) + text_width(other)) / 2, (name, other)
    lines = axis["title"]["text"].split("<br>")
    assert max(map(text_width, lines)) * 1.2 * font <= plot + 2 * drawn["margin"]["r"], "else its end is cut"


def test_one_runtime_needs_neither() -> None:
    assert not {"by-runtime", "switching"} & {figure.id for figure in figures(runs.of_suite("default"))}
