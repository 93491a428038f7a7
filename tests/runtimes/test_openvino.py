"""OpenVINO on small hand-made graphs; nothing here is timed for its speed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bench import runtimes, suites
from bench.errors import Failed, WrongUsage
from bench.machine import facts
from bench.runtimes import device
from bench.timing import profile, schedule
from tests.timing.test_profile import network
from tests.timing.test_timing import settings, target, write_model

pytest.importorskip("openvino")


def loaded(path: Path, threads: int = 1) -> runtimes.Session:
    return runtimes.get("openvino").load(str(path), {"provider": "CPU", "threads": threads})


def test_it_computes_what_onnx_runtime_computes(tmp_path: Path) -> None:
    path = network(tmp_path / "m.onnx").path
    x = np.random.default_rng(0).standard_normal((1, 64, 64, 32), dtype=np.float32)
    ours = loaded(path)
    (y,) = ours.run({"x": x})
    other = runtimes.get("onnxruntime").load(str(path), {"provider": "CPUExecutionProvider", "threads": 1})
    np.testing.assert_allclose(y, other.run({"x": x})[0], rtol=1e-4, atol=1e-4)
    call, _ = ours.calls({"x": 2 * x})
    call()
    assert (ours.inputs, ours.outputs) == ([("x", "float32", [1, 64, 64, 32])], ["y"])
    ran = ours.ran()
    assert ran["precision"] == {"f32": 2}
    assert (ran["providers"], ran["threads"]) == (["CPU"], 1)


def test_open_sizes_are_those_of_the_inputs_and_change_with_them(tmp_path: Path) -> None:
    session = loaded(write_model(tmp_path / "m.onnx", ("batch", 8)))
    assert session.inputs == [("x", "float32", [None, 8])]
    for rows in (3, 5, 3):
        assert session.run({"x": np.ones((rows, 8), np.float32)})[0].shape == (rows, 8)


@pytest.mark.long
@pytest.mark.parametrize("threads", [1, 2])
def test_a_visit_says_what_ran(tmp_path: Path, threads: int) -> None:
    asked = target(network(tmp_path / "m.onnx").path, runtime="openvino", provider="CPU", threads=threads)
    visit = schedule.one(asked, 0, settings())
    assert (visit.provider, visit.precisions, visit.threads) == ("CPU", {"f32": 2}, threads)
    assert visit.runtime == runtimes.installed("openvino").split()[1]
    assert visit.health.pace_ms > 0
    kinds = profile.by_kind(asked, settings())
    assert {"depthwise", "pointwise"} <= set(kinds) <= {"depthwise", "pointwise", "layout", "other"}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"INFERENCE_PRECISION_HINT": "f32"', '"INFERENCE_PRECISION_HINT": "bf16"', "asked for fp32.* in bf16 run"),
        ('asked["INFERENCE_NUM_THREADS"] = options["threads"]', 'asked["INFERENCE_NUM_THREADS"] = 1',
         "asked for 2 threads, but the session has 1"),
        ('"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1,', '"PERFORMANCE_HINT": "THROUGHPUT",',
         r"one inference at a time, but the session is set up for \d+ at once and for throughput"),
    ],
)  # fmt: skip
def test_a_hint_that_is_not_ours_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str, message: str
) -> None:
    text = runtimes.file("openvino").read_text()
    assert old in text
    (tmp_path / "trap.py").write_text(text.replace(old, new))
    monkeypatch.setitem(suites.RUNTIMES, "openvino", tmp_path / "trap.py")
    asked = target(network(tmp_path / "m.onnx").path, runtime="openvino", provider="CPU", threads=2)
    if "bf16" in new and not {"avx512_bf16", "amx_bf16"} & set(facts.instructions()):
        pytest.skip("this processor has no bf16, so that OpenVINO runs in f32 whatever the hint")
    with pytest.raises(Failed, match=message):
        schedule.one(asked, 0, settings())


def test_what_it_cannot_load_is_one_line(tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.onnx")
    path.write_bytes(path.read_bytes().replace(b"Add", b"Adx"))
    with pytest.raises(Failed, match=r"^OpenVINO cannot load .*m\.onnx: .*Adx"):
        schedule.one(target(path, runtime="openvino", provider="CPU"), 0, settings())
    with pytest.raises(WrongUsage, match="OpenVINO runs on cpu alone"):
        device.resolve("cuda", "openvino")


def test_no_telemetry_is_imported() -> None:
    code = (
        "import sys; from bench import runtimes; r = runtimes.get('openvino');"
        "r.load(r.PROBE, {'provider': 'CPU', 'threads': 1});"
        "print([n for n in sys.modules if n.startswith('openvino_telemetry') and sys.modules[n]])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr
