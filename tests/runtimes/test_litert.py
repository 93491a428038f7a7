"""LiteRT on the two small files that it carries; a user's own .tflite is a case."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from bench import pipeline, runtimes, suites
from bench.errors import Failed, WrongUsage
from bench.timing import schedule
from tests.cost.test_tflite import Op, write
from tests.pipeline.test_pipeline import QUICK, own_place  # noqa: F401 - its lock, folder and short visits
from tests.timing.test_timing import settings, target, write_model

pytest.importorskip("ai_edge_litert")


def own(path: Path) -> Path:
    path.write_bytes(runtimes.get("litert").PROBE)
    return path


def test_inputs_are_kept_from_call_to_call() -> None:
    known = runtimes.get("litert")
    session = known.load(known.PROBE, {"provider": "CPU", "threads": 1})
    assert (session.inputs, session.outputs) == ([("x", "float32", [1, 4])], ["Identity"])
    x = np.arange(4, dtype=np.float32).reshape(1, 4)
    call, copies = session.calls({"x": x})
    for _ in range(3):
        call()
    assert copies is None
    place = session.interpreter.get_output_details()[0]["index"]
    assert session.interpreter.get_tensor(place).tolist() == [[0, 2, 4, 6]]
    assert session.run({"x": -x})[0].tolist() == [[0, -2, -4, -6]]
    assert session.ran()["providers"] == ["CPU"]


def test_the_chain_of_the_pace_is_that_of_the_other_runtimes() -> None:
    known = runtimes.get("litert")
    session = known.load(known.PACE, {"provider": "CPU", "threads": 2})
    ((name, _, shape),) = session.inputs
    assert shape == [64, 64]
    x = np.full(shape, 1 / 64, np.float32)
    np.testing.assert_allclose(session.run({name: x})[0], x, rtol=1e-4)
    assert session.ran()["nodes"] == {"CPU": 60}


@pytest.mark.long
def test_one_s_own_tflite_beside_an_onnx_is_a_case(tmp_path: Path) -> None:
    files = [str(own(tmp_path / "ours.tflite")), str(write_model(tmp_path / "theirs.onnx"))]
    suite = suites.load_suite(files)
    assert [case.runtime for case in suite.cases] == ["litert", "onnxruntime"]
    outcome = pipeline.run(suite, options=QUICK, results=tmp_path / "results")
    ours, theirs = outcome.run.records
    assert (ours.error, theirs.error) == (None, None)
    assert ours.measurement.visits >= 2
    assert ours.artifact.size_bytes == len(runtimes.get("litert").PROBE)
    assert ours.artifact.opset is None
    assert (ours.cost.mult_adds, ours.artifact.warnings) == (0, ())
    assert set(outcome.run.runtimes) == {"litert", "onnxruntime"}


@pytest.mark.long
def test_what_is_no_tflite_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_text("<html>not found</html>")
    good = own(tmp_path / "good.tflite")
    suite = suites.load_suite([str(tmp_path / "m.tflite"), str(good)])
    outcome = pipeline.run(suite, options=QUICK, results=tmp_path / "results")
    assert "is no TFLite model" in str(outcome.run.records[0].error)
    assert outcome.run.records[1].error is None
    with pytest.raises(Failed, match=r"ONNX Runtime reads \.onnx, not good\.tflite"):
        schedule.one(target(good), 0, settings())
    with pytest.raises(WrongUsage, match=r"only \.onnx and \.tflite files"):
        suites.load_suite([str(good), "VGG16"])


@pytest.mark.long
@pytest.mark.parametrize(("name", "kind"), [("FlexSvd", r"TensorFlow's own \(flex\)"), ("Mine", "a custom one")])
def test_an_operator_that_litert_lacks_is_named_and_the_others_go_on(tmp_path: Path, name: str, kind: str) -> None:
    lacking = write(tmp_path / "lacking.tflite", [Op(name, ["x"], "y", (1, 4))], {}, (1, 4))
    suite = suites.load_suite([str(lacking), str(own(tmp_path / "good.tflite"))])
    first, second = pipeline.run(suite, options=QUICK, results=tmp_path / "results").run.records
    assert second.error is None
    assert first.error is not None
    line = rf"LiteRT cannot load .*lacking\.tflite: its operator {name} is {kind}, which this runtime lacks; convert it"
    assert re.search(line, first.error)
    assert "\n" not in first.error
    assert first.cost is not None
    assert first.cost.uncounted == (f"{name} (y)",)
