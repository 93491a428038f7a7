"""int8-dynamic: what it quantises, what it leaves alone, and where it is of no use."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from bench import export, suites
from bench.analysis import precision
from bench.cli import main
from bench.errors import Failed
from bench.export import quantise
from bench.export.clean import node_counts
from bench.machine import facts
from bench.records import Accuracy, Case
from bench.report.figures import frame
from bench.report.figures.tradeoff import tradeoff_figure
from bench.runtimes import onnxruntime
from bench.timing import profile
from tests import runs
from tests.export.test_quantise import made, needs_keras, own_cache, reduced_artifact

__all__ = ["own_cache"]
WIDE = Case(name="wide", model="tests.export.nets:wide")
HERE = export.request(replace(WIDE, precision="int8-dynamic")).integers or ""  # what suits this processor
CONVOLUTIONS = Case(name="convolutions", model="tests.export.nets:convolutions")


def network(path: Path, nodes: Sequence[onnx.NodeProto], **weights: tuple[int, ...]) -> Path:
    """An ONNX file from x (batch, 3, 16, 16) to y, of nodes and random weights of these shapes."""
    rng = np.random.default_rng(1)
    constants = [
        numpy_helper.from_array(rng.normal(0, 0.3, shape).astype(np.float32), name) for name, shape in weights.items()
    ]
    ends = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 16, 16])]
    outs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    graph = helper.make_graph(nodes, "g", ends, outs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.save(onnx.shape_inference.infer_shapes(model), path)
    return path


def classifier(path: Path, *, filters: int = 4, hidden: int = 64) -> Path:
    """A convolution, a Gemm with its weights turned, and a MatMul."""
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["c"], "conv", pads=[1] * 4),
        helper.make_node("Flatten", ["c"], ["f"], "flat"),
        helper.make_node("Gemm", ["f", "w", "b"], ["g"], "gemm", transB=1),
        helper.make_node("MatMul", ["g", "v"], ["y"], "product"),
    ]
    return network(path, nodes, k=(filters, 3, 3, 3), w=(hidden, filters * 256), b=(hidden,), v=(hidden, 10))


def test_products_are_quantised_and_convolutions_are_not(tmp_path: Path) -> None:
    source, target = classifier(tmp_path / "a.onnx"), tmp_path / "b.onnx"
    quantise.int8_dynamic(source, target, HERE)
    counts = node_counts(target)
    assert (counts["MatMulInteger"], counts["DynamicQuantizeLinear"]) == (2, 2)
    assert (counts["Conv"], counts["ConvInteger"], counts["Gemm"], counts["MatMul"]) == (1, 0, 0, 0)
    assert target.stat().st_size < 0.3 * source.stat().st_size
    scales = [t for t in onnx.load(target).graph.initializer if t.name.endswith("_scale")]
    assert sorted(tuple(scale.dims) for scale in scales) == [(10,), (64,)], "one scale a channel"
    images = np.random.default_rng(0).normal(size=(40, 3, 16, 16)).astype(np.float32)
    found = quantise.agreement(target, source, images)
    assert found.passed
    assert 0 < found.max_rel < 0.05
    assert found.top1_agreement is not None
    assert found.top1_agreement > 0.8
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.onnx", "b.onnx"]


def test_without_vnni_weights_have_seven_bits(tmp_path: Path) -> None:
    source = classifier(tmp_path / "a.onnx")
    for kind, largest in (("u8s8", 127), ("u8s7", 64)):
        quantise.int8_dynamic(source, tmp_path / f"{kind}.onnx", kind)
        weights = [t for t in onnx.load(tmp_path / f"{kind}.onnx").graph.initializer if t.name.endswith("_quantized")]
        assert len(weights) == 2
        assert {int(np.abs(numpy_helper.to_array(t).astype(int)).max()) for t in weights} == {largest}


def test_the_request_is_its_own_and_suits_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    case = suites.case_of_model("ConvNeXtTiny", precision="int8-dynamic")
    assert case.name == "ConvNeXtTiny int8-dynamic"
    asked = [export.request(replace(case, precision=kind)) for kind in suites.PRECISIONS]
    assert len({request.key for request in asked}) == 4
    assert asked[3].calibration == "synthetic", "images on which agreement is judged"
    assert asked[3].full_precision == asked[0]
    for architecture, instructions, kind in (
        ("x86_64", ["avx2"], "u8s7"), ("x86_64", ["avx_vnni"], "u8s8"), ("aarch64", [], "u8s8"),
    ):  # fmt: skip
        monkeypatch.setattr(platform, "machine", lambda architecture=architecture: architecture)
        monkeypatch.setattr(facts, "instructions", lambda instructions=instructions: instructions)
        assert export.request(case).integers == kind


def test_a_network_without_products_is_refused_in_one_line(tmp_path: Path) -> None:
    lone = network(tmp_path / "a.onnx", [helper.make_node("Conv", ["x", "k"], ["y"], "conv")], k=(4, 3, 3, 3))
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], "turn", perm=[0, 1, 3, 2]),
        helper.make_node("MatMul", ["x", "t"], ["y"], "attention"),
    ]
    for path in (lone, network(tmp_path / "b.onnx", nodes)):
        with pytest.raises(Failed, match=r"products of matrices with constant weights, and this network has none; use"):
            quantise.int8_dynamic(path, tmp_path / "out.onnx", "u8s8")


def test_what_it_reaches_is_counted_and_little_is_warned_of(tmp_path: Path) -> None:
    quantise.int8_dynamic(classifier(tmp_path / "a.onnx"), tmp_path / "wide.onnx", "u8s8")
    weights, mult_adds = quantise.reached(tmp_path / "wide.onnx")
    products, convolution = 1024 * 64 + 640, 16 * 16 * 4 * 27
    assert mult_adds == pytest.approx(products / (products + convolution))
    assert weights == pytest.approx(products / (products + 4 * 27 + 64), rel=0.01)
    assert quantise._little_reached(tmp_path / "wide.onnx") == []
    quantise.int8_dynamic(classifier(tmp_path / "b.onnx", hidden=2), tmp_path / "narrow.onnx", "u8s8")
    (said,) = quantise._little_reached(tmp_path / "narrow.onnx")
    assert said.startswith("int8-dynamic reaches 94.")
    assert " % of the weights and 7.0 % of the mult-adds: convolutions stay fp32" in said
    assert said.endswith("use int8 for speed")


def test_the_kinds_of_its_products_are_known() -> None:
    for operator in ("DynamicQuantizeMatMul", "MatMulIntegerToFloat"):
        named = onnxruntime._OPERATORS[operator]
        assert profile.kind(named, [(1, 14, 14, 384), (384, 1536)]) == "pointwise"
        assert profile.kind(named, [(1, 4096), (4096, 1000)]) == "dense"


def test_two_precisions_of_one_case_are_both_held_against_it() -> None:
    full = replace(
        runs.record(suites.case_of_model("ConvNeXtTiny")), accuracy=Accuracy(origin="measured", top1=70.0, n=100)
    )
    assert full.artifact is not None
    reduced = [
        replace(
            full, case=replace(full.case, name=f"ConvNeXtTiny {kind}", precision=kind),
            artifact=reduced_artifact(full.artifact, 5), accuracy=Accuracy(origin="measured", top1=top1, n=100),
        )
        for kind, top1 in (("int8", 60.0), ("int8-dynamic", 69.0))
    ]  # fmt: skip
    everything = [full, *reduced]
    assert precision.pairs(everything) == [(full, each) for each in reduced]
    changes = precision.changes(runs.run(everything))
    assert [(change.case, change.accuracy) for change in changes] == [
        ("ConvNeXtTiny int8", -10.0), ("ConvNeXtTiny int8-dynamic", -1.0),
    ]  # fmt: skip
    drawn = tradeoff_figure(everything, frame.WIDE)["layout"]["annotations"]
    arrows = [(arrow["ay"], arrow["y"]) for arrow in drawn if arrow.get("showarrow") and "ay" in arrow]
    assert {(70.0, 60.0), (70.0, 69.0)} <= set(arrows)


def test_why_it_is_slower_counts_its_own_nodes() -> None:
    full = runs.record(suites.case_of_model("ResNet50"))
    assert full.artifact is not None
    here = runs.machine()
    here = replace(here, informs=here.informs | {"instructions": ["avx512_vnni"], "architecture": "x86_64"})
    for nodes, says in (
        (0, "not known"),
        (1, "1 DynamicQuantizeLinear node that"),
        (3, "3 DynamicQuantizeLinear nodes"),
    ):
        slow = replace(
            full, case=replace(full.case, precision="int8-dynamic"), artifact=reduced_artifact(full.artifact, nodes),
            kinds_ms=None,
        )  # fmt: skip
        assert precision.reason(full, slow, here).startswith(says)
    old = replace(here, informs=here.informs | {"instructions": ["avx2"]})
    assert precision.reason(full, slow, old).startswith("no VNNI")


@needs_keras
@pytest.mark.slow
def test_from_the_command_to_the_file(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full, small, static = made(WIDE, *(replace(WIDE, precision=kind) for kind in ("int8-dynamic", "int8")))
    assert small.artifact.size_bytes < 0.3 * full.artifact.size_bytes
    assert small.artifact.sha256 != static.artifact.sha256
    assert small.artifact.quantize_nodes_optimised == 0, "ONNX Runtime fuses them all"
    assert small.artifact.warnings == ()
    assert small.cost == full.cost
    found = small.artifact.fidelity
    assert found is not None
    assert (found.reference, found.inputs, found.passed) == ("fp32", 64, True)
    assert found.top1_agreement is None, "noise has no class"
    assert small.artifact.integers == HERE
    assert [path.name for path in sorted(full.path.parent.iterdir())] == ["entry.json", "model.onnx"]
    out = tmp_path / "m.onnx"
    for case, code, says in (
        (WIDE, 0, "outputs differ from fp32's by"),
        (CONVOLUTIONS, 5, "int8-dynamic quantises products of matrices with constant"),
        (Case(name="solid", model="tests.export.nets:solid"), 0, "of the mult-adds: convolutions stay fp32"),
    ):
        with pytest.raises(SystemExit) as stopped:
            main(["export", case.model, "-o", str(out), "--precision", "int8-dynamic"])
        printed = "".join(capsys.readouterr())
        assert int(stopped.value.code or 0) == code, printed
        assert says in printed
    assert node_counts(out)["MatMulInteger"] == 1
