"""Slips of the worker that no result would show."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from bench import runtimes
from bench.timing import schedule, worker
from tests.timing.test_timing import settings, target, write_model


def nap() -> None:
    """Takes time, and no processor."""
    time.sleep(0.002)


def test_samples_are_taken_by_the_wall_clock() -> None:
    samples = worker._samples(nap, 0.0, 3)
    assert len(samples) == 3
    assert min(samples) >= 2_000_000
    warm, _ = worker._warm_up(nap, 0.02)
    assert min(warm) >= 2_000_000


@pytest.mark.parametrize("threads", [1, 3])
def test_the_threads_of_the_case_reach_the_runtime(tmp_path: Path, threads: int) -> None:
    asked = target(write_model(tmp_path / "m.onnx"), threads=threads)
    spec = schedule.specification(asked.case, asked.path, settings())
    assert spec["threads"] == threads
    session = worker._session(runtimes.get("onnxruntime"), spec)
    assert session.ran()["threads"] == threads
