"""What `bench ab` is asked for reaches the trial: each option by itself, and nothing is timed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from bench.cli import main, trusting
from bench.errors import Failed
from bench.machine import facts
from bench.runtimes import device
from bench.trust import ab, contest

A, B = Path("a.onnx"), Path("b.onnx")


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """What the trial is given, which is not begun."""
    given: dict[str, Any] = {}

    def stop(a: ab.Side, b: ab.Side, setup: ab.Setup, **more: Any) -> None:
        given.update(more, a=a, b=b, setup=setup)
        raise Failed("as far as that")

    monkeypatch.setattr(contest, "measure", stop)
    monkeypatch.setattr(trusting, "waiting", lambda patience_s: patience_s)
    monkeypatch.setattr(facts, "cores_given", lambda: 7)
    monkeypatch.setattr(device, "resolve", lambda name, runtime: ("cuda" if name == "cuda" else "cpu", runtime))
    monkeypatch.chdir(tmp_path)
    A.touch()
    B.touch()
    return given


def run(*options: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["ab", str(A), str(B), *options])
    assert stopped.value.code == 5


def test_without_options(asked: dict[str, Any]) -> None:
    run()
    assert (asked["a"], asked["b"]) == (
        ab.Side(A, sys.executable, "onnxruntime"),
        ab.Side(B, sys.executable, "onnxruntime"),
    )
    assert asked["setup"] == ab.Setup(device="cpu", threads=7)
    assert (asked["budget_s"], asked["margin"], asked["width"]) == (60.0, 0.03, None)


@pytest.mark.parametrize(
    ("options", "name", "expected"),
    [
        (["--budget", "9"], "budget_s", 9.0), (["--margin", "5%"], "margin", 0.05), (["--width", "1%"], "width", 0.01),
        (["--patience", "11m"], "before", 660.0),
        (["--threads", "3"], "setup", ab.Setup(threads=3)),
        (["--device", "cuda"], "setup", ab.Setup(device="cuda", threads=7)),
        (["--batch-size", "4"], "setup", ab.Setup(threads=7, batch_size=4)),
        (["--dimension", "n=5"], "setup", ab.Setup(threads=7, dimensions={"n": 5})),
        (["--input-shape", "x=1x9"], "setup", ab.Setup(threads=7, input_shapes={"x": (1, 9)})),
        (["--python-a", "py"], "a", ab.Side(A, "py")), (["--python-b", "py"], "b", ab.Side(B, "py")),
        (["--runtime-a", "openvino"], "a", ab.Side(A, runtime="openvino")),
        (["--runtime-b", "openvino"], "b", ab.Side(B, runtime="openvino")),
    ],
)  # fmt: skip
def test_each_option_changes_what_it_says(asked: dict[str, Any], options: list[str], name: str, expected: Any) -> None:
    run()
    plain = dict(asked)
    run(*options)
    assert asked.pop(name) == expected
    assert plain.pop(name) != expected
    assert asked == plain, "and nothing else"
