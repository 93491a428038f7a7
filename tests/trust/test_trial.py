"""Trials of two files: the judgement on made-up pairs, and the measuring in real worker processes."""

from __future__ import annotations

import json
import math
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.cli import main
from bench.errors import Failed
from bench.machine import lock
from bench.trust import ab, trial
from bench.trust.trial import Pair
from tests.timing.test_timing import write_model


@pytest.fixture(autouse=True)
def own_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "PATH", tmp_path / "measuring.lock")


def pairs(rng: np.random.Generator, count: int, *, ratio: float = 1.0, spread: float = 0.01, torn: float = 0.0,
          drift: float = 0.0) -> list[Pair]:  # fmt: skip
    """Pairs whose visits spread by `spread`, some of them torn apart by a shift of the speed, on a drifting machine."""
    found = []
    for number in range(count):
        speeds = np.exp(rng.normal(0, spread, 2) + drift * np.array([2 * number, 2 * number + 1]))
        if rng.random() < torn:
            speeds[rng.integers(2)] *= 1.13
        a_first = number % 2 == 0
        first, second = speeds if a_first else speeds[::-1]
        found.append(Pair(a_p50_ms=10 * first, b_p50_ms=10 * ratio * second, a_first=a_first))
    return found


def verdict_at_first_stop(made: list[Pair], *, margin: float = 0.03, correct: bool = True) -> str:
    """What a trial ends with that may stop at any of the looks."""
    judgement = None
    for look, share in enumerate(trial.LOOKS):
        judgement = trial.judged(
            made[: max(1, round(share * len(made)))], margin=margin, look=look if correct else len(trial.LOOKS) - 1
        )
        if judgement.verdict != "inconclusive":
            break
    assert judgement is not None
    return judgement.verdict


NOISES = [{"spread": 0.004}, {"spread": 0.03}, {"spread": 0.006, "torn": 0.25}, {"spread": 0.01, "drift": 0.002}]


@pytest.mark.parametrize("noise", NOISES)
def test_identical_files_are_hardly_ever_called_slower_or_faster(noise: dict[str, float]) -> None:
    rng = np.random.default_rng(0)
    found = Counter(verdict_at_first_stop(pairs(rng, 40, **noise), margin=0.0) for _ in range(600))
    assert found["slower"] + found["faster"] <= 12  # 1 % of 600, and two standard errors


def test_looking_as_often_without_paying_for_it_would_cry_wolf_more_often(monkeypatch: pytest.MonkeyPatch) -> None:
    def alarms(correct: bool) -> int:
        rng = np.random.default_rng(1)
        ends = [verdict_at_first_stop(pairs(rng, 160), margin=0.0, correct=correct) for _ in range(800)]
        return sum(end != "inconclusive" for end in ends)

    assert alarms(correct=False) > 1.8 * max(alarms(correct=True), 1)
    assert alarms(correct=True) <= 0.01 * 800 + 6


def test_the_intervals_of_all_looks_together_hold_the_truth() -> None:
    rng = np.random.default_rng(2)
    held = 0
    for _ in range(400):
        made = pairs(rng, 48, ratio=1.02, torn=0.1)
        looks = [trial.judged(made[: round(s * 48)], margin=0.03, look=i) for i, s in enumerate(trial.LOOKS)]
        held += all(j.ratio_low is None or j.ratio_low <= 1.02 <= (j.ratio_high or 0) for j in looks)
    assert held / 400 >= 0.93


@pytest.mark.parametrize(("ratio", "expected"), [(1.0, "equivalent"), (1.05, "slower"), (0.95, "faster")])
def test_true_changes_are_seen_in_25_pairs(ratio: float, expected: str) -> None:
    rng = np.random.default_rng(3)
    ends = Counter(verdict_at_first_stop(pairs(rng, 25, ratio=ratio, spread=0.015)) for _ in range(100))
    assert ends[expected] >= 90


def test_a_change_of_the_detectable_size_is_seen_four_times_in_five() -> None:
    rng = np.random.default_rng(4)
    last = len(trial.LOOKS) - 1
    blind = [trial.judged(pairs(rng, 25), margin=0.001, look=last).detectable or math.inf for _ in range(40)]
    size = 1 + float(np.median(blind))
    seen = [trial.judged(pairs(rng, 25, ratio=size), margin=0.001, look=last).verdict for _ in range(200)]
    assert 0.68 <= seen.count("slower") / 200 <= 0.95


def test_pairs_torn_by_a_change_of_pace_do_not_count() -> None:
    last = len(trial.LOOKS) - 1
    whole = [replace(pair, a_pace_ms=0.24, b_pace_ms=0.25) for pair in pairs(np.random.default_rng(6), 12)]
    torn = [replace(pair, b_p50_ms=2 * pair.a_p50_ms, b_pace_ms=0.38) for pair in whole[:4]]
    assert [pair.torn for pair in (whole[0], torn[0], replace(torn[0], b_pace_ms=None))] == [False, True, False]
    found = trial.judged([*whole, *torn], margin=0.03, look=last)
    assert found == trial.judged(whole, margin=0.03, look=last)
    assert found.pairs == 12
    assert trial.judged(torn, margin=0.03, look=last).pairs == 4


def test_too_few_pairs_conclude_nothing_however_far_apart() -> None:
    last = len(trial.LOOKS) - 1
    needed = trial.pairs_needed()
    rng = np.random.default_rng(5)
    few = trial.judged(pairs(rng, needed - 1, ratio=2.0), margin=0.03, look=last)
    assert few.verdict == "inconclusive"
    assert trial.judged(pairs(rng, needed, ratio=2.0), margin=0.03, look=last).verdict == "slower"
    none = trial.judged(pairs(rng, 3, ratio=2.0), margin=0.03, look=last)
    assert (none.ratio_low, none.ratio_high, none.detectable) == (None, None, None)
    assert none.width == math.inf


class Machine:
    """Visits that take a second each on a clock of its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, b_ratio: float, visit_s: float = 1.0) -> None:
        self.now, self.visit_s, self.b_ratio, self.order = 0.0, visit_s, b_ratio, ""
        self.rng = np.random.default_rng(6)
        monkeypatch.setattr(ab.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(ab.process, "visit", self.visit)

    def visit(self, spec: dict[str, Any], **_: object) -> dict[str, Any]:
        self.now += self.visit_s
        name = Path(spec["path"]).stem
        self.order += name
        centre = (self.b_ratio if name == "b" else 1.0) * math.exp(self.rng.normal(0, 0.005))
        return {
            "samples_ns": [int(1e7 * centre)] * 7, "sampling_ns": 7e7, "copy_samples_ns": [], "warmup_ns": [],
            "warmed_up": True, "load_ms": 1.0, "first_inference_ms": 1.0, "peak_rss_bytes": 1, "provider": "CPU",
            "threads": 1, "provider_nodes": {}, "health": {}, "runtime": "1.0",
        }  # fmt: skip


@pytest.fixture
def two(tmp_path: Path) -> tuple[ab.Side, ab.Side]:
    return ab.Side(write_model(tmp_path / "a.onnx")), ab.Side(write_model(tmp_path / "b.onnx"))


def test_a_trial_stops_at_a_planned_look_that_decides(
    monkeypatch: pytest.MonkeyPatch, two: tuple[ab.Side, ab.Side]
) -> None:
    machine = Machine(monkeypatch, b_ratio=1.1)
    looks: list[float] = []
    found = ab.measure(*two, ab.Setup(), budget_s=100, on_look=lambda _, seconds: looks.append(seconds))
    assert found.judgement.verdict == "slower"
    assert found.stopped == "decided"
    assert looks[-1] == found.seconds <= 50
    assert all(any(0 <= seconds - share * 100 <= 2 for share in trial.LOOKS) for seconds in looks)
    blocks = {machine.order[i : i + 4] for i in range(0, len(machine.order) - 3, 4)}
    assert blocks == {"abba", "baab"}


def test_a_trial_keeps_to_its_budget_and_a_wanted_width_goes_on_until_it_is_reached(
    monkeypatch: pytest.MonkeyPatch, two: tuple[ab.Side, ab.Side]
) -> None:
    Machine(monkeypatch, b_ratio=1.025)
    spent = ab.measure(*two, ab.Setup(), budget_s=41, margin=0.02, width=0.0001)
    assert (spent.stopped, spent.seconds) == ("budget", 40.0)
    machine = Machine(monkeypatch, b_ratio=1.1)
    narrow = ab.measure(*two, ab.Setup(), budget_s=800, width=0.006)
    assert narrow.stopped == "width"
    assert narrow.judgement.width <= 0.006
    assert machine.now < 800
    Machine(monkeypatch, b_ratio=1.1, visit_s=60.0)
    assert ab.measure(*two, ab.Setup(), budget_s=60).judgement.pairs == 1


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    out, err = capsys.readouterr()
    return int(stopped.value.code or 0), out, err


def test_the_command_finds_the_slower_file_and_prints_one_json_document(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("MIN_TIME_S", 0.02), ("MIN_COUNT", 5), ("WARMUP_S", 0.15)):
        monkeypatch.setattr(ab, name, value)
    a, b = (write_model(tmp_path / f"{n}.onnx", (8, 4096), steps=steps) for n, steps in (("a", 20), ("b", 80)))
    code, out, _ = call(capsys, "ab", str(a), str(b), "--budget", "20", "--threads", "1", "--device", "cpu", "--json")
    found = json.loads(out)
    assert found["judgement"]["verdict"] == "slower"
    assert code == 1
    assert found["judgement"]["ratio_low"] > 1.2
    assert found["a_runtime"] == found["b_runtime"]
    code, out, err = call(capsys, "ab", str(a), str(a), "--budget", "1", "--threads", "1", "--device", "cpu")
    assert code == 3
    assert "needs 8 pairs: raise --budget" in out
    assert "same file" in out
    assert "too few pairs" in err


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["a.onnx", "none.onnx"], 2, "none.onnx"),
        (["a.onnx", "a.onnx", "--dimension", "side"], 2, "side=224"),
        (["a.onnx", "a.onnx", "--width", "wide"], 2, "is not a share"),
        (["a.onnx", "a.onnx", "--dimension", "side=8"], 2, '(a.onnx): the graph has no open dimension "side"'),
        (["a.onnx", "a.onnx", "--python-b", "./no-python"], 5, "cannot start ./no-python"),
    ],
)
def test_what_cannot_be_tried_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str],
    code: int, says: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    write_model(tmp_path / "a.onnx")
    got, out, err = call(capsys, "ab", "--device", "cpu", *arguments)
    assert (got, out) == (code, "")
    assert says in err
    assert err.count("\n") == 1


def test_an_interpreter_without_onnxruntime_is_named(tmp_path: Path) -> None:
    path = write_model(tmp_path / "a.onnx")
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "$@"\n')
    bare.chmod(0o755)
    with pytest.raises(Failed, match=r"^B .*lacks what timing needs.*pip install numpy onnxruntime"):
        ab.measure(ab.Side(path), ab.Side(path, str(bare)), ab.Setup(seed=1), budget_s=5)
