"""What ran is held against what was asked for: each trap planted in a made-up runtime, and named."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from bench import suites
from bench.accuracy import predictor
from bench.errors import Failed
from bench.timing import schedule, worker
from tests.runtimes.test_runtimes import MADE_UP
from tests.timing.test_timing import CPU, settings, target, write_model

BUSY = """
        import time
        end = time.perf_counter() + 0.008
        while time.perf_counter() < end:
            pass
"""
BESIDE = """
        import threading
        def spin():
            while True:
                sum(range(1000))
        if threading.active_count() == 1:
            threading.Thread(target=spin, daemon=True).start()
        sum(range(100_000))
"""
RUN = '        """x + x + ..."""\n'


def visit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str, **case: object) -> object:
    """A visit in the made-up runtime with a piece of it replaced."""
    text = MADE_UP.read_text()
    assert old in text
    trap = tmp_path / "trap.py"
    trap.write_text(text.replace(old, new))
    monkeypatch.setitem(suites.RUNTIMES, "trap", trap)
    asked = target(write_model(tmp_path / "m.onnx"), **({"runtime": "trap", "provider": "abacus"} | case))
    return schedule.one(asked, 0, settings(min_time_s=0.1))


@pytest.mark.long
@pytest.mark.parametrize(
    ("old", "new", "case", "message"),
    [
        ('{"f32": 1}', '{"f32": 2, "bf16": 51}', {}, "asked for fp32, but of 53 layers with weights 51 in bf16 run"),
        ('{"f32": 1}', '{"f32": 53}', {"precision": "int8"}, "asked for int8, but all 53 layers .* run in f32"),
        ('"providers": [provider]', '"providers": ["slide rule"]', {}, "the session runs on slide rule"),
        ('"nodes": {provider:', '"nodes": {"slide rule":', {}, "every node runs on slide rule"),
        ('"threads": None', '"threads": 1', {"threads": 2}, "asked for 2 threads, but the session has 1"),
        ('"threads": None', '"threads": None, "streams": 2', {}, "one inference at a time, but .* for 2 at once"),
        ('"threads": None', '"threads": None, "hint": "throughput"', {}, "one inference at a time, .* for throughput"),
        (RUN, RUN + BUSY, {"threads": 2}, "asked for 2 threads, but 1 did the work: Made-up ignores it"),
        (RUN, RUN + BESIDE, {"threads": 1}, "asked for 1 thread, but 2 did the work: Made-up ignores it"),
        ("    def run(self", "    def run(self, *_):\n        raise RuntimeError('no beads')\n    def ran_on(self", {},
         "no beads"),
        ("    return Session(", "    raise RuntimeError('operator Bead is not there')\n    return Session(", {},
         "^Made-up cannot load .*m.onnx: operator Bead is not there; "),
    ],
)  # fmt: skip
def test_a_trap_is_named_and_its_case_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str, case: dict[str, object], message: str
) -> None:
    with pytest.raises(Failed, match=message):
        visit(tmp_path, monkeypatch, old, new, **case)


def test_what_is_as_asked_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = visit(tmp_path, monkeypatch, '{"f32": 1}', '{"u8": 9, "f32": 1}', precision="int8")
    assert one.precisions == {"u8": 9, "f32": 1}
    busy = visit(tmp_path, monkeypatch, RUN, RUN + BUSY, threads=1)
    assert busy.health.threads_at_work == 1
    short = visit(tmp_path, monkeypatch, RUN, RUN, threads=2)
    assert short.threads == 2, "an inference of microseconds has no work for a second thread"


def test_threads_at_work_are_those_with_a_tenth_of_the_busiest_one_s_time() -> None:
    ms = 1_000_000
    before = {"1": 100 * ms, "2": 7000 * ms}
    assert worker._threads(before, {"1": 1100 * ms, "2": 7000 * ms, "3": 101 * ms, "4": 99 * ms}) == 2
    assert worker._threads({}, {}) is None
    assert worker._threads({}, {"1": 10 * ms, "2": 2 * ms, "3": 2 * ms}) is None, "too short to tell"
    assert worker._threads({}, {"1": 20 * ms, "2": 3 * ms}) == 2


def test_the_reason_why_a_file_is_refused_is_not_cut_off(tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.onnx")
    newer = onnx.load(path)
    newer.ir_version = 99
    onnx.save(newer, tmp_path / "ir.onnx")
    newer.ir_version = 8
    newer.opset_import[0].version = 99
    onnx.save(newer, tmp_path / "opset.onnx")
    for name, says in {
        "ir": r"it has IR version 99, and this ONNX Runtime reads up to \d+; upgrade onnxruntime, or export it again",
        "opset": r"it has opset 99 of ai\.onnx, and this ONNX Runtime knows up to \d+; upgrade onnxruntime, or export",
    }.items():
        with pytest.raises(Failed, match=says):
            schedule.one(target(tmp_path / f"{name}.onnx"), 0, settings(min_time_s=0.1))
        spec = predictor.Spec(path=str(tmp_path / f"{name}.onnx"), runtime="onnxruntime", provider=CPU, threads=1)
        with pytest.raises(Failed, match=says):
            predictor._session(spec)


def test_of_a_long_message_the_end_is_shown_where_the_reason_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = "    raise RuntimeError('place ' * 99 + 'operator Bead is not there')\n    return Session("
    with pytest.raises(Failed, match="operator Bead is not there; export it again"):
        visit(tmp_path, monkeypatch, "    return Session(", long)
