"""The roofline: calibrated through ONNX Runtime, and cases placed under it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bench import pipeline, store, suites
from bench.analysis import comparison, roofline
from bench.errors import Failed
from bench.machine import lock
from bench.processes import process
from bench.records import Case, Cost, Machine, Record, Roofline, Run
from bench.timing import calibration
from tests import runs
from tests.pipeline.test_pipeline import QUICK
from tests.timing.test_timing import settings, target, write_model

ROOF = Roofline(gflops=100.0, gbytes_per_s=10.0, threads=2, provider=runs.PROVIDER)


@pytest.fixture(autouse=True)
def own_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "PATH", tmp_path / "measuring.lock")


CALIBRATE = calibration.calibrate


@pytest.fixture(autouse=True)
def calibrated_anew() -> Iterator[None]:
    """Other tests share what one calibration says (tests/conftest.py)."""
    with pytest.MonkeyPatch.context() as patch:  # a test's own `undo` leaves this
        patch.setattr(calibration, "calibrate", CALIBRATE)
        yield


def placed(*, p50_ms: float, mult_adds: int, size_bytes: int, activation_bytes: int = 0, batch_size: int = 1,
           **case: object) -> tuple[Record, Run]:  # fmt: skip
    made = runs.record(Case(name="m", model="VGG16", threads=2, batch_size=batch_size))
    assert made.measurement is not None
    assert made.artifact is not None
    record = replace(
        made,
        case=replace(made.case, **case),
        measurement=replace(made.measurement, p50_ms=p50_ms),
        artifact=replace(made.artifact, size_bytes=size_bytes),
        cost=Cost(mult_adds=mult_adds, params=1, activation_bytes=activation_bytes),
    )
    return record, replace(runs.run([record]), roofline=ROOF)


def test_a_case_bound_by_arithmetic_and_one_bound_by_memory() -> None:
    # 2 x 1e9 operations in 40 ms: 50 of 100 GFLOP/s, 40 operations a byte.
    found = roofline.share(*placed(p50_ms=40, mult_adds=10**9, size_bytes=30_000_000, activation_bytes=20_000_000))
    assert found is not None
    assert (found.gflops, found.intensity, found.bound_gflops) == pytest.approx((50, 40, 100))
    assert (found.limit, found.share, found.impossible) == ("arithmetic", pytest.approx(0.5), False)
    # 2 x 1e8 operations on 100 MB: the memory allows 20 GFLOP/s.
    found = roofline.share(*placed(p50_ms=20, mult_adds=10**8, size_bytes=100_000_000))
    assert found is not None
    assert (found.gflops, found.bound_gflops, found.limit) == (pytest.approx(10), pytest.approx(20), "memory")


def test_the_memory_does_not_bound_what_fits_into_the_cache() -> None:
    # 2 x 1e8 operations on 1 MB in 4 ms: 50 GFLOP/s, where 0.1 GB/s of memory would allow 20.
    record, run = placed(p50_ms=4, mult_adds=10**8, size_bytes=10**6)
    slow = replace(ROOF, gbytes_per_s=0.1)
    cases = (None, "memory", True), (10**6 - 1, "memory", True), (10**6, "arithmetic", False)
    for cache_bytes, limit, impossible in cases:
        found = roofline.share(record, replace(run, roofline=replace(slow, cache_bytes=cache_bytes)))
        assert found is not None
        assert (found.limit, found.impossible) == (limit, impossible)
    (line,) = roofline.warnings(replace(run, roofline=slow))
    assert "stay in the cache" in line
    (line,) = roofline.warnings(replace(run, roofline=replace(slow, cache_bytes=1000)))
    assert "stay in the cache" not in line


def test_a_batch_counts_its_operations_and_activations_but_its_weights_once() -> None:
    sizes = {"mult_adds": 10**8, "size_bytes": 40_000_000, "activation_bytes": 10_000_000}
    found = roofline.share(*placed(p50_ms=40, batch_size=4, **sizes))
    assert found is not None
    assert (found.gflops, found.intensity) == pytest.approx((20, 8e8 / 80e6))


def test_more_than_the_machine_can_do_is_flagged_with_a_remedy() -> None:
    record, run = placed(p50_ms=15, mult_adds=10**9, size_bytes=10**6)
    (line,) = roofline.warnings(run)
    assert "m: 133 GFLOP/s is 133 % of the arithmetic bound" in line
    assert "bench cost --per-layer" in line
    slower = replace(record, measurement=replace(record.measurement, p50_ms=25.0))  # type: ignore[type-var]
    assert roofline.warnings(replace(run, records=(slower,))) == []


def test_the_whole_warning_of_each_case_that_is_too_fast() -> None:
    fast, run = placed(p50_ms=15, mult_adds=10**9, size_bytes=10**6)
    fit, _ = placed(p50_ms=40, mult_adds=10**9, size_bytes=10**6)
    moved, _ = placed(p50_ms=10, mult_adds=10**8, size_bytes=200_000_000)  # 10 GFLOP/s of memory, 20 reached
    unplaced = replace(fast, cost=None)
    remedy = "or the machine was slower whenever it was calibrated; see `bench cost --per-layer`, and measure again"
    expected = [
        "m: 133 GFLOP/s is 133 % of the arithmetic bound (100 GFLOP/s): its arithmetic is counted wrong, " + remedy,
        "m: 20 GFLOP/s is 200 % of the memory bound (10 GFLOP/s): its arithmetic is counted wrong, or its data stay "
        "in the cache, " + remedy,
    ]
    assert roofline.warnings(replace(run, records=(unplaced, fast, fit, moved))) == expected
    assert roofline.warnings(replace(run, roofline=None)) == []


def test_the_bounds_themselves() -> None:
    """At 10 operations a byte, memory of 10 GB/s allows just the peak of 100 GFLOP/s."""
    record, run = placed(p50_ms=20, mult_adds=10**9, size_bytes=200_000_000)
    found = roofline.share(record, run)
    assert found == roofline.Share(gflops=100.0, intensity=10.0, bound_gflops=100.0, limit="arithmetic", share=1.0)
    assert not found.impossible
    for lacking in (replace(record, cost=Cost(mult_adds=0, params=1)), replace(record, cost=None),
                    replace(record, measurement=None)):  # fmt: skip
        assert roofline.share(lacking, run) is None
    bare = replace(record, artifact=None, cost=Cost(mult_adds=10**9, params=10**7))  # 4 bytes a parameter
    found = roofline.share(bare, run)
    assert found is not None
    assert found.intensity == pytest.approx(2e9 / 4e7)


@pytest.mark.parametrize("change", [{"threads": 1}, {"precision": "int8"}, {"provider": "CUDAExecutionProvider"}])
def test_a_case_under_other_conditions_has_no_bound(change: dict[str, object]) -> None:
    record, run = placed(p50_ms=40, mult_adds=10**9, size_bytes=10**6)
    assert roofline.share(record, run) is not None
    assert roofline.share(replace(record, case=replace(record.case, **change)), run) is None  # type: ignore[arg-type]
    assert roofline.share(record, replace(run, roofline=None)) is None
    uncounted = replace(record, cost=Cost(mult_adds=10**9, params=1, uncounted=("Attention",)))
    assert roofline.share(uncounted, run) is None


@pytest.mark.long
def test_a_product_and_the_calibrated_peak_are_of_one_order(tmp_path: Path) -> None:
    roof = calibration.calibrate(settings(), 1, ["onnxruntime"])
    assert roof.threads == 1
    assert 0.5 < roof.gbytes_per_s < 5000
    calibration.write_product(tmp_path / "m.onnx", 512)
    one = target(tmp_path / "m.onnx")
    samples = process.visit(calibration.specification(one.case, one.path, settings(min_time_s=0.2)))["samples_ns"]
    reached = 2 * 512**3 / min(samples)
    assert 0.05 < reached / roof.gflops < 20  # two moments of a machine that others share; the arithmetic is below


def test_the_bandwidth_counts_three_arrays_and_the_peak_two_operations(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = {"product": 20_000_000, "sum": 10_000_000}
    monkeypatch.setattr(
        process, "visit", lambda spec, **_: {"samples_ns": [taken.get(Path(spec["path"]).stem, 10**9), 10**9]}
    )  # fmt: skip
    roof = calibration.calibrate(settings(), 2, ["litert", "onnxruntime"])
    assert roof.gflops == pytest.approx(2 * 1024**3 / 0.02 / 1e9, rel=1e-3)
    taken["convolutions-256-14-3"] = 4_000_000
    faster = calibration.calibrate(settings(), 2, ["onnxruntime"])
    assert faster.gflops == pytest.approx(8 * 2 * 256 * 256 * 9 * 14 * 14 / 0.004 / 1e9, rel=1e-3)
    assert roof.gbytes_per_s == pytest.approx(3 * 4 * 2**24 / 0.01 / 1e9, rel=1e-3)


@pytest.mark.long
def test_a_run_stores_its_roofline_or_why_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def once(_: object, threads: int, names: set[str]) -> Roofline:
        assert (threads, names) == (1, {"onnxruntime"})
        return ROOF

    suite = suites.load_suite([str(write_model(tmp_path / "a.onnx"))])
    monkeypatch.setattr(calibration, "calibrate", once)
    outcome = pipeline.run(suite, options=QUICK, results=tmp_path)
    assert store.load(outcome.folder).roofline == replace(ROOF, moments=2)
    assert {"calibration", "calibration again"} <= set(outcome.run.phases_s)
    monkeypatch.undo()
    monkeypatch.setattr(lock, "PATH", tmp_path / "measuring.lock")
    monkeypatch.setattr(calibration, "_write", missing_onnx)
    without = pipeline.run(suite, options=QUICK, results=tmp_path).run
    assert without.roofline is None
    assert "backbench[export]" in str(without.roofline_error)
    assert without.records[0].error is None


def test_the_bounds_of_two_moments_are_the_higher_ones() -> None:
    one, other = replace(ROOF, gflops=80.0, gbytes_per_s=20.0), replace(ROOF, gflops=100.0, gbytes_per_s=10.0)
    for both in (calibration.higher(one, other), calibration.higher(other, one)):
        assert both == replace(ROOF, gflops=100.0, gbytes_per_s=20.0, moments=2)


def missing_onnx(*_: object) -> None:
    raise Failed("the package onnx, which makes the graph, is missing; pip install backbench[export]")


def test_without_onnx_the_reason_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(Failed, match=r"backbench\[export\]"):
        calibration.write_product(tmp_path / "m.onnx", 8)


def test_a_calibration_that_moved_names_the_machine() -> None:
    bare = Machine(must_match={"cpu": "A"}, may_drift={}, informs={})
    old, new = (replace(runs.run([], on=bare), roofline=replace(ROOF, gflops=g)) for g in (100.0, 85.0))
    assert comparison._changes(old, new) == ["arithmetic peak [GFLOP/s]: 100.0 -> 85.0"]
    assert comparison._changes(old, replace(new, roofline=replace(ROOF, gflops=95.0))) == []
    assert comparison._changes(old, replace(new, roofline=None)) == []
