"""From where to where the page's sliders reach."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.report import page
from tests import runs


def test_a_slider_reaches_from_below_the_least_to_above_the_most_and_never_from_0() -> None:
    run = runs.of_suite("default")
    none = replace(run.records[0], cost=replace(run.records[0].cost, params=0))
    reached = {slider["name"]: slider for slider in page._sliders(replace(run, records=(none, *run.records[1:])))}
    params = [record.cost.params for record in run.records[1:]]
    assert (reached["params"]["low"], reached["params"]["high"]) == pytest.approx(
        (0.9 * min(params), 1.1 * max(params))
    )
    accuracies = [record.accuracy.top1 for record in run.records]
    assert (reached["top1"]["low"], reached["top1"]["high"]) == (min(accuracies) - 2, max(accuracies) + 2)
    for slider in reached.values():
        assert 0 < slider["low"] < slider["high"], slider


def test_a_slider_of_accuracy_stays_within_0_and_100_percent() -> None:
    run = runs.of_suite("default")
    accuracies = [0.5, *(50.0 for _ in run.records[2:]), 99.5]
    records = tuple(
        replace(record, accuracy=replace(record.accuracy, top1=top1))
        for record, top1 in zip(run.records, accuracies, strict=True)
    )
    (slider,) = [each for each in page._sliders(replace(run, records=records)) if each["name"] == "top1"]
    assert (slider["low"], slider["high"]) == (0.0, 100.0)
