"""Users' own ONNX files in the main job: the batch that ran, what is timed though it cannot be counted, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from bench import pipeline, suites
from bench.analysis import roofline
from bench.cli import main
from bench.cost import cases as counting
from bench.errors import Failed
from bench.machine import lock
from bench.records import Record, Roofline
from bench.timing import calibration

QUICK = pipeline.Options(device="cpu", threads=1, rounds=1, min_time_s=0.01, min_count=5, warmup_s=0.05, spacing_s=0)
PEAK = Roofline(gflops=1e9, gbytes_per_s=1e9, threads=1, provider="CPUExecutionProvider")


@pytest.fixture(autouse=True)
def own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "PATH", tmp_path / "measuring.lock")
    monkeypatch.setattr(calibration, "calibrate", lambda *_: PEAK)
    monkeypatch.setenv("BACKBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def net(path: str, shape: list, *, operator: str = "Relu", side: bool = False) -> str:
    weights = numpy_helper.from_array(np.ones((16, shape[1], 3, 3), np.float32), "w")
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[1] * 4),
        helper.make_node(operator, ["c", "grid"] if operator == "GridSample" else ["c"], ["y"], name="last"),
    ]
    grid = numpy_helper.from_array(np.zeros((1, 2, 2, 2), np.float32), "grid")
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, s) for name, s in (("x", shape), ("y", None)))
    graph = helper.make_graph(nodes, "g", [x], [y], [weights, grid] if operator == "GridSample" else [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 16)], ir_version=8)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    onnx.save_model(model, path, **({"save_as_external_data": True, "size_threshold": 0} if side else {}))
    return path


def measured(text: str) -> dict[str, Record]:
    Path("s.toml").write_text(text)
    outcome = pipeline.run("s.toml", options=QUICK)  # type: ignore[arg-type]
    return {record.case.name: record for record in outcome.run.records}


@pytest.mark.long
def test_the_batch_that_ran_is_the_batch_recorded() -> None:
    net("b8.onnx", [8, 3, 16, 16])
    net("bn.onnx", ["batch", 3, 16, 16])
    found = measured(
        '[[case]]\nmodel = "b8.onnx"\n[[case]]\nmodel = "bn.onnx"\ndimensions = {batch = 4}\n'
        '[[case]]\nname = "shape"\nmodel = "bn.onnx"\ninput_shape = [2, 3, 16, 16]\n'
        '[[case]]\nname = "key"\nmodel = "bn.onnx"\nbatch_size = 3\n'
    )
    assert {name: record.case.batch_size for name, record in found.items()} == {"b8": 8, "bn": 4, "shape": 2, "key": 3}
    for record in found.values():
        assert record.measurement is not None
        assert record.cost is not None
        batch, p50_ms = record.case.batch_size, record.measurement.p50_ms
        assert record.measurement.throughput_per_s == pytest.approx(1000 * batch / p50_ms, rel=1e-3)
        assert record.cost.mult_adds == 16 * 16 * 16 * 27
        assert record.case.input_shapes == {"x": (batch, 3, 16, 16)}


@pytest.mark.long
def test_what_is_partly_counted_is_a_lower_bound_everywhere(capsys: pytest.CaptureFixture[str]) -> None:
    path = net("grid.onnx", [1, 3, 16, 16], operator="GridSample")
    outcome = pipeline.run(suites.load_suite([path]), options=QUICK)
    (record,) = outcome.run.records
    assert record.measurement is not None
    assert record.cost is not None
    assert record.cost.is_lower_bound
    assert roofline.share(record, outcome.run) is None
    for arguments in (["list", path], ["cost", path, "--per-layer"]):
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        out, err = capsys.readouterr()
        assert not stopped.value.code
        assert "≥" in out
        assert "not counted: GridSample (last)" in err
    assert "not counted" in out


@pytest.mark.long
def test_a_counter_that_fails_keeps_no_file_from_being_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    def dies(*_: object) -> object:
        raise Failed("the counter died")

    monkeypatch.setattr(counting, "counted", dies)
    (record,) = pipeline.run(suites.load_suite([net("a.onnx", [1, 3, 16, 16])]), options=QUICK).run.records
    assert (record.error, record.cost) == (None, None)
    assert record.measurement is not None
    assert record.artifact is not None
    assert "the counter died" in record.artifact.warnings[0]


def test_weights_beside_a_file_are_a_part_of_it() -> None:
    (record,) = pipeline.run(
        suites.load_suite([net("deep/a.onnx", [1, 3, 16, 16], side=True)]), options=QUICK
    ).run.records
    assert record.artifact is not None
    assert record.measurement is not None
    assert record.artifact.size_bytes == sum(path.stat().st_size for path in Path("deep").iterdir())


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["none.onnx"], 2, "no file none.onnx; correct the path"),
        (["page.onnx"], 5, "page.onnx is a web page"),
        (["open.onnx"], 2, "--input-shape x=1x3x224x224"),
        (["open.onnx", "--input-shape", "z=1x3x8x8"], 2, "--input-shape z"),
        (["open.onnx", "--input-shape", "1x4x8x8"], 2, 'input "x" takes 1x3x?x?, not 1x4x8x8'),
        (["open.onnx", "--input-shape", "1x3x0x8"], 2, "size of 0"),
        (["open.onnx", "--dimension", "side=8"], 2, "--dimension side"),
        (["zero.onnx", "--input-shape", "1x3x8x8"], 5, 'input "x" (?x3x?x?): a size of 0 stands for an open one'),
        (["VGG16s.toml", "--input-shape", "1x3x8x8"], 2, "there is none here"),
    ],
)
def test_a_run_that_cannot_be_is_refused_and_stores_nothing(
    capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, says: str
) -> None:
    Path("page.onnx").write_text("<html>")
    Path("VGG16s.toml").write_text('models = ["VGG16"]')
    net("open.onnx", [1, 3, -1, -1])
    net("zero.onnx", [0, 3, 0, 0])
    with pytest.raises(SystemExit) as stopped:
        main(["run", *arguments, "--device", "cpu"])
    _, err = capsys.readouterr()
    assert stopped.value.code == code
    assert says in err
    assert err.count("\n") == 1
    assert not Path("results").exists()


def test_open_sizes_are_given_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    path = net("open.onnx", [1, 3, -1, -1])
    for options in (["--input-shape", "x=1x3x8x8"], ["--dimension", "height=8", "--dimension", "width=8"]):
        with pytest.raises(SystemExit):
            main(["cost", path, "--json", *options])
        assert json.loads(capsys.readouterr().out)["cost"]["mult_adds"] == 8 * 8 * 16 * 27


@pytest.mark.long
def test_an_empty_input_is_never_timed() -> None:
    suite = suites.load_suite([net("zero.onnx", [0, 3, 8, 8]), net("good.onnx", [1, 3, 8, 8])])
    zero, good = pipeline.run(suite, options=QUICK).run.records
    assert (zero.measurement, good.error) == (None, None)
    assert "a size of 0 stands for an open one" in str(zero.error)


@pytest.mark.long
def test_a_batch_that_does_not_fit_is_refused() -> None:
    net("b8.onnx", [8, 3, 16, 16])
    net("good.onnx", [1, 3, 16, 16])
    found = measured('[[case]]\nmodel = "b8.onnx"\nbatch_size = 4\n[[case]]\nmodel = "good.onnx"\n')
    assert "the batch is 8; batch_size 4 does not fit" in str(found["b8 batch_size=4"].error)
    assert found["good"].error is None
