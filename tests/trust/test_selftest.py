"""The harness tested by itself: the figures from known attempts, and both ways of comparing on simulated visits."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.errors import Failed
from bench.machine import lock, neighbours
from bench.processes import process
from bench.timing import schedule
from bench.trust import ab, selftest
from bench.trust.selftest import Attempt
from tests.timing.test_timing import write_model
from tests.trust.test_ab import call


@pytest.fixture(autouse=True)
def own_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "PATH", tmp_path / "measuring.lock")


def test_false_alarms_go_both_ways_and_detection_one() -> None:
    verdicts = ["equivalent"] * 7 + ["slower", "faster", "inconclusive"]
    found = [
        Attempt(method="ab", injected=injected, verdict=verdict, seconds=i)
        for injected in (0.0, 0.05)
        for i, verdict in enumerate(verdicts)
    ]
    same, slower = selftest.summary(found)
    assert (same.injected, same.rate, same.tries) == (0.0, 0.2, 10)
    assert (slower.injected, slower.rate) == (0.05, 0.1)
    assert (same.rate_low, same.rate_high) == pytest.approx((0.0567, 0.5098), abs=1e-3)
    assert same.verdicts == {"slower": 1, "faster": 1, "equivalent": 7, "inconclusive": 1}
    assert same.seconds == 4.5


class Simulated:
    """Visits whose noise is known, and whose injected slow-down is what the worker was told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, spread: float) -> None:
        self.rng, self.spread, self.visits = np.random.default_rng(0), spread, 0
        monkeypatch.setattr(process, "visit", self.visit)
        monkeypatch.setattr(neighbours, "snapshot", dict)  # listing every process takes longer than all else
        monkeypatch.setattr(schedule.time, "sleep", lambda seconds: None)

    def visit(self, spec: dict[str, Any], **_: object) -> dict[str, Any]:
        self.visits += 1
        if spec.get("do") == "turns":
            ratio = (1 + spec["beside"]["inject"]) * math.exp(self.rng.normal(0, self.spread))
            return {"blocks_ns": [[1e6] * 5, [1e6 * ratio] * 5], "sampling_ns": 1, "health": {}, "runtime": "1.0"}
        centre = (1 + spec["inject"]) * math.exp(self.rng.normal(0, self.spread))
        samples = [int(x) for x in 1e6 * centre * np.exp(self.rng.normal(0, 0.002, 20))]
        return {
            "samples_ns": samples, "sampling_ns": sum(samples), "copy_samples_ns": [], "warmup_ns": [],
            "warmed_up": True, "load_ms": 1.0, "first_inference_ms": 1.0, "peak_rss_bytes": 1, "provider": "CPU",
            "threads": 1, "provider_nodes": {}, "precisions": {}, "health": {}, "runtime": "1.0",
        }  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("spread", [0.003, 0.01])
def test_both_ways_see_large_slow_downs_and_raise_no_alarm_without_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spread: float
) -> None:
    Simulated(monkeypatch, spread)
    path = write_model(tmp_path / "m.onnx")
    trials = selftest._trials(path, ab.Setup(), 0.03, budget_s=0.05)
    comparisons = selftest._comparisons(path, ab.Setup(), 0.03)
    found = [attempt for _ in range(40) for attempt in next(trials)]
    found += [attempt for _ in range(12) for attempt in next(comparisons)]
    rows = {(row.method, row.injected): row for row in selftest.summary(found)}
    assert set(rows) == {(m, share) for m in ("ab", "stored figures") for share in (0.0, *selftest.SLOWDOWNS)}
    assert rows["stored figures", 0.0].tries == 60
    assert rows["ab", 0.0].tries == 20
    for method in ("ab", "stored figures"):
        assert rows[method, 0.0].rate <= 0.07
        assert rows[method, 0.10].rate >= 0.75


def test_the_command_ends_with_both_ways_tried(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    simulated = Simulated(monkeypatch, 0.003)
    code, out, err = call(capsys, "selftest", "--minutes", "0", "--budget", "0.05", "--json")
    assert code == 0
    found = json.loads(out)
    assert {row["method"] for row in found["rows"]} == {"ab", "stored figures"}
    assert len(found["attempts"]) == 11
    assert err.count("\n") == 11
    assert simulated.visits >= 100
    assert call(capsys, "selftest", "--model", str(tmp_path / "none.onnx"))[0] == 2


def test_a_file_that_cannot_be_run_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_text("no")
    with pytest.raises(Failed, match=r"m\.onnx"):
        list(selftest.attempts(path, ab.Setup(), minutes=0, margin=0.03, budget_s=1))
