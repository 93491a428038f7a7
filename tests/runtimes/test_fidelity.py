"""A file in another runtime computes what it computes in the default one, or it is not timed there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench import pipeline, suites
from bench.records import PlannedCase
from bench.timing import fidelity
from tests.pipeline.test_pipeline import QUICK, own_place  # noqa: F401 - its lock, folder and short visits
from tests.runtimes.test_runtimes import MADE_UP
from tests.timing.test_timing import write_model

BF16 = "y = (y + y).view('uint32'); y = (y & 0xFFFF0000).view('float32')"


@pytest.mark.long
@pytest.mark.parametrize(
    ("instead", "message"),
    [
        ("y = y + y", None),
        (BF16, "does not compute what ONNX Runtime computes: outputs differ by .*e-03"),
        ("y = y + y[:, :4].mean()", "does not compute"),
        ("y = y + float('nan')", "not all numbers"),
        ("y = (y + y)[:, :3]", r"have the shapes \[\[1, 3\]\], and in ONNX Runtime \[\[1, 8\]\]"),
    ],
)
def test_another_result_is_not_timed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, instead: str, message: str | None
) -> None:
    (tmp_path / "trap.py").write_text(MADE_UP.read_text().replace("y = y + y", instead))
    monkeypatch.setitem(suites.RUNTIMES, "trap", tmp_path / "trap.py")
    write_model(tmp_path / "m.onnx", steps=3)
    (tmp_path / "s.toml").write_text('[[case]]\nmodel = "m.onnx"\nruntime = ["onnxruntime", "trap"]\n')
    outcome = pipeline.run(suites.load_suite(tmp_path / "s.toml"), options=QUICK, results=tmp_path / "results")
    first, trap = outcome.run.records
    assert first.fidelity is None
    assert first.measurement is not None
    assert (trap.measurement is None) == (message is not None)
    if message is None:
        assert trap.fidelity.max_rel == 0
        assert trap.fidelity.reference == "ONNX Runtime"
    else:
        import re

        assert re.search(message, trap.error)


def test_the_tolerance_follows_the_precision() -> None:
    def passes(precision: str, difference: float) -> bool:
        case = PlannedCase(
            name="m", model="m.onnx", precision=precision, device="cpu", provider="CPUExecutionProvider", threads=1
        )
        expected = [np.array([[1.0, -4.0]], np.float32)]
        ours = [expected[0] + np.array([[0, 4 * difference]], np.float32)]
        return fidelity.compared(ours, expected, fidelity.allowed(case), "onnxruntime").passed

    assert [passes("fp32", x) for x in (9e-4, 1.1e-3)] == [True, False]
    assert [passes("fp16", x) for x in (2.9e-2, 3.1e-2)] == [True, False]
    assert [passes("int8", x) for x in (0.29, 0.31)] == [True, False]
