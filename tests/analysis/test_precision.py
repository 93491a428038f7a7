"""A lower precision held against fp32: only what was measured counts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bench.analysis import precision, statistics
from bench.records import Accuracy, Case, Machine, Record
from tests import runs


def records(**int8: Any) -> tuple[Record, Record]:
    """A network in fp32, and the same in int8 with a p50 of 0.6 times as long."""
    full = runs.record(Case(name="r", model="ResNet50", threads=2))
    case = replace(full.case, name="r int8", precision="int8")
    assert full.measurement is not None
    was = full.measurement
    measurement = replace(
        was, visit_p50_ms=tuple(0.6 * ms for ms in was.visit_p50_ms), p50_ms=0.6 * was.p50_ms,
        p50_ms_low=0.6 * was.p50_ms_low, p50_ms_high=0.6 * was.p50_ms_high,
    )  # fmt: skip
    return full, replace(full, case=case, measurement=measurement, **int8)


def accuracy(top1: float, n: int, origin: str = "measured") -> Accuracy:
    low, high = statistics.wilson(round(top1 * n / 100), n)
    return Accuracy(origin=origin, top1=top1, n=n, top1_low=100 * low, top1_high=100 * high)


def change(*both: Record, machine: Machine | None = None) -> precision.Change:
    run = runs.run(list(both), on=machine or runs.machine())
    (found,) = precision.changes(run)
    return found


def test_cases_that_differ_in_nothing_but_the_precision_are_held_against_each_other() -> None:
    full, reduced = records()
    other = replace(reduced, case=replace(reduced.case, name="alone", model="VGG16"))
    assert precision.pairs([reduced, other, full]) == [(full, reduced)]
    assert precision.pairs([reduced, other]) == []


def test_a_measured_change_of_accuracy_has_newcombe_s_interval() -> None:
    full, reduced = records(accuracy=accuracy(60.0, 80))
    full = replace(full, accuracy=accuracy(80.0, 70))
    found = change(full, reduced)
    assert (found.accuracy, found.accuracy_low, found.accuracy_high) == pytest.approx((-20, -33.39, -5.24), abs=0.01)
    assert found.label == "top-1"


@pytest.mark.parametrize(("before", "after"), [("published", "published"), ("published", "measured"),
                                               ("measured", "published")])  # fmt: skip
def test_a_published_accuracy_never_counts_as_measured(before: str, after: str) -> None:
    full, reduced = records(accuracy=accuracy(60.0, 80, after))
    found = change(replace(full, accuracy=accuracy(80.0, 70, before)), reduced)
    assert (found.accuracy, found.accuracy_low, found.accuracy_high) == (None, None, None)


def test_the_change_of_p50_is_a_ratio_with_an_interval() -> None:
    found = change(*records())
    assert found.case == "r int8"
    assert found.p50 == pytest.approx(0.6, rel=1e-6)
    assert found.p50_low is not None
    assert found.p50_high is not None
    assert found.p50_low < 0.6 < found.p50_high < 1
    assert not found.slower
    assert found.reason is None


def test_a_lower_precision_that_is_slower_says_why() -> None:
    full, reduced = records()
    found = change(reduced_as(full, "r", "fp32", reduced), reduced_as(reduced, "r int8", "int8", full))
    assert found.slower
    assert found.p50 == pytest.approx(1 / 0.6, rel=1e-6)
    assert "no VNNI" in (found.reason or "")
    vnni = replace(runs.machine(), informs={"instructions": ["avx2", "avx_vnni"]})
    assert "VNNI" not in (change(reduced_as(full, "r", "fp32", reduced), reduced_as(reduced, "r int8", "int8", full),
                                 machine=vnni).reason or "")  # fmt: skip


def reduced_as(record: Record, name: str, kind: str, times: Record) -> Record:
    """The record under this name and precision, with the times of another."""
    return replace(record, case=replace(record.case, name=name, precision=kind), measurement=times.measurement)
