"""What the worker clocks, and what it gives its runtime: in this process, with a made-up clock where time matters."""

from __future__ import annotations

import gc
import itertools
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnxruntime
import pytest

from bench.records import Case, Settings
from bench.timing import schedule, worker
from tests.timing.test_timing import write_model

CPU = "CPUExecutionProvider"


class Clock:
    """Moves only by what a call is said to take."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0
        monkeypatch.setattr(worker, "time", SimpleNamespace(perf_counter_ns=lambda: self.now))

    def call(self, *milliseconds: float) -> Any:
        """A call that takes these times, over and over."""
        times = itertools.cycle(milliseconds)

        def called() -> None:
            self.now += round(1e6 * next(times))

        return called


def test_a_sample_is_the_time_on_the_wall() -> None:
    """A call that sleeps uses no processor, and takes its time all the same."""

    def sleeps() -> None:
        time.sleep(0.02)

    assert min(worker._samples(sleeps, 0.0, 2)) >= 20_000_000
    assert min(worker._warm_up(sleeps, 0.05)[0]) >= 20_000_000


def test_samples_are_taken_until_time_and_count_are_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    assert worker._samples(clock.call(10.0), 0.1, 3) == [10_000_000] * 10
    assert worker._samples(clock.call(10.0), 0.1, 25) == [10_000_000] * 25
    assert worker._samples(clock.call(1.0, 3.0), 0.0, 3) == [1_000_000, 3_000_000, 1_000_000]


def test_the_warm_up_ends_when_two_windows_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    samples, steady = worker._warm_up(clock.call(10.0), 2.0)
    assert (len(samples), steady) == (10, True)
    falling = clock.call(*[100 * 0.95**i for i in range(100)])
    samples, steady = worker._warm_up(falling, 0.7)
    assert not steady
    assert 700_000_000 <= sum(samples) <= 800_000_000
    assert worker._warm_up(clock.call(1.0), 0.0) == ([], False)


def test_many_samples_are_thinned_evenly() -> None:
    assert worker._thinned([1, 2, 3]) == [1, 2, 3]
    assert worker._thinned([]) == []
    many = list(range(50_000))
    assert worker._thinned(many) == many[::3]


def test_every_session_has_the_threads_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[onnxruntime.SessionOptions] = []
    real = onnxruntime.InferenceSession

    def session(model: Any, options: onnxruntime.SessionOptions, **more: Any) -> Any:
        given.append(options)
        return real(model, options, **more)

    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    case = Case(name="m", model="m", provider=CPU, threads=3)
    settings = Settings(rounds=1, min_time_s=0.0, min_count=2, warmup_s=0.01, budget_s=None, seed=0, device="cpu",
                        provider=CPU)  # fmt: skip
    try:
        found = worker.answer(schedule.specification(case, write_model(tmp_path / "m.onnx"), settings))
    finally:
        gc.enable()
    assert found["threads"] == 3
    assert [options.intra_op_num_threads for options in given] == [3, 3], "of the model, and of the pace"
    assert {options.inter_op_num_threads for options in given} == {1}
    assert len(found["samples_ns"]) >= 2
