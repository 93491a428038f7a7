"""Trials of two files: when they look, when they stop, and what the command says of them."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

import pytest

from bench.cli import main
from bench.errors import Failed
from bench.machine import lock
from bench.trust import ab, trial
from tests.machines import Machine, Spec
from tests.timing.test_timing import write_model


@pytest.fixture(autouse=True)
def own_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "PATH", tmp_path / "measuring.lock")


def machine(monkeypatch: pytest.MonkeyPatch, b_ratio: float, visit_s: float = 1.0) -> Machine:
    """A machine on which the file b takes so many times as long as a."""

    def p50_ms(spec: Spec) -> float:
        return 10 * (b_ratio if Path(spec["path"]).stem == "b" else 1.0)

    made = Machine(monkeypatch, p50_ms, visit_s=visit_s, spread=0.005)
    monkeypatch.setattr(ab, "time", made.clock)
    return made


@pytest.fixture
def two(tmp_path: Path) -> tuple[ab.Side, ab.Side]:
    return ab.Side(write_model(tmp_path / "a.onnx")), ab.Side(write_model(tmp_path / "b.onnx", steps=2))


def test_a_trial_stops_at_a_planned_look_that_decides(
    monkeypatch: pytest.MonkeyPatch, two: tuple[ab.Side, ab.Side]
) -> None:
    used = machine(monkeypatch, b_ratio=1.1)
    looks: list[float] = []
    found = ab.measure(*two, ab.Setup(), budget_s=100, on_look=lambda _, seconds: looks.append(seconds))
    assert found.judgement.verdict == "slower"
    assert found.stopped == "decided"
    assert looks[-1] == found.seconds <= 50
    assert all(any(0 <= seconds - share * 100 <= 2 for share in trial.LOOKS) for seconds in looks)
    blocks = {used.order[i : i + 4] for i in range(0, len(used.order) - 3, 4)}
    assert blocks == {"abba", "baab"}


def test_a_trial_keeps_to_its_budget_and_a_wanted_width_goes_on_until_it_is_reached(
    monkeypatch: pytest.MonkeyPatch, two: tuple[ab.Side, ab.Side]
) -> None:
    machine(monkeypatch, b_ratio=1.025)
    spent = ab.measure(*two, ab.Setup(), budget_s=41, margin=0.02, width=0.0001)
    assert (spent.stopped, spent.seconds) == ("budget", 40.0)
    used = machine(monkeypatch, b_ratio=1.1)
    narrow = ab.measure(*two, ab.Setup(), budget_s=800, width=0.006)
    assert narrow.stopped == "width"
    assert narrow.judgement.width <= 0.006
    assert used.now < 800
    machine(monkeypatch, b_ratio=1.1, visit_s=60.0)
    assert ab.measure(*two, ab.Setup(), budget_s=60).judgement.pairs == 1


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    out, err = capsys.readouterr()
    return int(stopped.value.code or 0), out, err


def test_the_command_finds_the_slower_file_and_prints_one_json_document(
    two: tuple[ab.Side, ab.Side], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    used = machine(monkeypatch, b_ratio=1.3)
    files = [str(side.path) for side in two]
    code, out, _ = call(capsys, "ab", *files, "--budget", "60", "--threads", "3", "--device", "cpu", "--json")
    found = json.loads(out)
    assert (found["judgement"]["verdict"], code) == ("slower", 1)
    assert found["judgement"]["ratio"] == pytest.approx(1.3, rel=0.02)
    assert found["a_runtime"] == found["b_runtime"] == "1.0"
    assert (found["threads"], found["same_file"]) == (3, False)
    assert {spec["threads"] for spec in used.specs} == {3}
    assert found["seconds"] == used.now <= 60
    assert Counter(used.order)["a"] == Counter(used.order)["b"] == len(found["pairs"])
    code, out, _ = call(capsys, "ab", files[1], files[0], "--budget", "60", "--device", "cpu", "--json")
    assert (json.loads(out)["judgement"]["verdict"], code) == ("faster", 0)


def test_two_real_visits_say_that_they_are_too_few(
    two: tuple[ab.Side, ab.Side], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("MIN_TIME_S", 0.02), ("MIN_COUNT", 5), ("WARMUP_S", 0.15)):
        monkeypatch.setattr(ab, name, value)
    a = str(two[0].path)
    code, out, err = call(capsys, "ab", a, a, "--budget", "0.01", "--threads", "1", "--device", "cpu")
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
        (["a.onnx", "a.onnx", "--dimension", "side=8"], 2, "--dimension side: no file has it"),
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
