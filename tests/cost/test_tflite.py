"""Counting .tflite files made by hand, and one that a network was exported to, beside its .onnx."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import cost, export, runtimes, suites
from bench.cost import formulas
from bench.cost.cases import answer
from bench.cost.layers import LayerCost, skeleton, total
from bench.errors import Failed
from bench.records import Case

pytest.importorskip("ai_edge_litert")
flatbuffers = pytest.importorskip("flatbuffers")

from ai_edge_litert import schema_py_generated as schema  # noqa: E402 - where it is installed

from bench.cost import onnx_graph, tflite_graph  # noqa: E402

Values = np.ndarray[Any, Any]


@dataclass
class Op:
    """An operator: its code (or a custom name), the tensors it reads, the one it writes, and that one's shape."""

    code: str
    inputs: Sequence[str]
    output: str
    shape: Sequence[int]
    options: Any = None


def write(path: Path, ops: Sequence[Op], constants: dict[str, Values], fed: Sequence[int]) -> Path:
    """A file of these operators from an input "x" of this shape."""
    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version, model.buffers = 3, [schema.BufferT()]
    model.subgraphs, model.operatorCodes = [graph], []
    shapes = {"x": fed} | {name: value.shape for name, value in constants.items()} | {op.output: op.shape for op in ops}
    kinds = {"float32": "FLOAT32", "float16": "FLOAT16", "int8": "INT8", "int32": "INT32"}
    graph.tensors, graph.operators, places = [], [], {}
    for name, shape in shapes.items():
        tensor, places[name] = schema.TensorT(), len(places)
        tensor.name, tensor.shape, tensor.buffer = name, list(shape), 0
        if name in constants:
            buffer = schema.BufferT()
            buffer.data = list(constants[name].tobytes())
            tensor.buffer, tensor.type = (
                len(model.buffers),
                getattr(schema.TensorType, kinds[str(constants[name].dtype)]),
            )
            model.buffers.append(buffer)
        graph.tensors.append(tensor)
    for op in ops:
        code, node = schema.OperatorCodeT(), schema.OperatorT()
        code.builtinCode = getattr(schema.BuiltinOperator, op.code, schema.BuiltinOperator.CUSTOM)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        code.customCode = None if hasattr(schema.BuiltinOperator, op.code) else op.code
        node.opcodeIndex, node.inputs = len(model.operatorCodes), [places.get(name, -1) for name in op.inputs]
        node.outputs = [places[op.output]]
        if op.options is not None:
            node.builtinOptionsType = getattr(schema.BuiltinOptions, type(op.options).__name__.removesuffix("T"))
            node.builtinOptions = op.options
        model.operatorCodes.append(code)
        graph.operators.append(node)
    graph.inputs, graph.outputs = [places["x"]], [places[ops[-1].output]]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))
    return path


def ones(*shape: int, dtype: str = "float32") -> Values:
    return np.ones(shape, dtype)


def counted(folder: Path, ops: Sequence[Op], constants: dict[str, Values], fed: Sequence[int]) -> list[LayerCost]:
    return tflite_graph.layers(write(folder / "m.tflite", ops, constants, fed))


@pytest.mark.parametrize(
    ("code", "kernel", "expected", "kind"),
    [
        ("CONV_2D", (8, 3, 3, 4), formulas.standard(3, 16, 4, 8), "standard"),
        ("CONV_2D", (8, 3, 3, 2), formulas.grouped(3, 16, 4, 8, 2), "grouped"),
        ("CONV_2D", (8, 3, 3, 1), formulas.grouped(3, 16, 4, 8, 4), "depthwise"),
        ("CONV_2D", (8, 1, 1, 4), formulas.pointwise(16, 4, 8), "pointwise"),
        ("DEPTHWISE_CONV_2D", (1, 3, 3, 8), formulas.grouped(3, 16, 4, 8, 4), "depthwise"),
    ],
)
def test_a_convolution_costs_what_the_formula_says(
    tmp_path: Path, code: str, kernel: tuple[int, ...], expected: Any, kind: str
) -> None:
    for batch in (1, 3):
        op = Op(code, ["x", "w", "b"], "y", (batch, 16, 16, 8))
        _, layer = counted(tmp_path, [op], {"w": ones(*kernel), "b": ones(8)}, (batch, 16, 16, 4))
        assert (layer.mult_adds, layer.weights, layer.kind) == (expected.mult_adds, expected.params, kind)
        assert layer.params == expected.params + 8
        assert (layer.output_shape, layer.inputs) == ((16, 16, 8), ("x",))


def test_other_products(tmp_path: Path) -> None:
    dense = Op("FULLY_CONNECTED", ["x", "w", "b"], "y", (1, 10))
    _, layer = counted(tmp_path, [dense], {"w": ones(10, 64), "b": ones(10)}, (1, 64))
    assert (layer.mult_adds, layer.params, layer.kind, layer.output_shape) == (640, 650, "dense", (10,))
    up = Op("TRANSPOSE_CONV", ["shape", "w", "x"], "y", (1, 8, 8, 6))
    _, layer = counted(tmp_path, [up], {"shape": ones(4, dtype="int32"), "w": ones(6, 2, 2, 3)}, (1, 4, 4, 3))
    assert (layer.mult_adds, layer.params, layer.weights) == (4 * 4 * 3 * 6 * 4, 72, 72)
    deep = Op("CONV_3D", ["x", "w"], "y", (1, 4, 4, 4, 6))
    _, layer = counted(tmp_path, [deep], {"w": ones(3, 3, 3, 2, 6)}, (1, 4, 4, 4, 2))
    assert (layer.mult_adds, layer.params) == (64 * 6 * 27 * 2, 27 * 12)
    for adjoint, fed in ((False, (1, 4, 5, 7)), (True, (1, 4, 7, 5))):
        options = schema.BatchMatMulOptionsT()
        options.adjX = adjoint
        product = Op("BATCH_MATMUL", ["x", "w"], "y", (1, 4, 5, 3), options)
        _, layer = counted(tmp_path, [product], {"w": ones(4, 7, 3)}, fed)
        assert (layer.mult_adds, layer.params, layer.kind) == (4 * 5 * 3 * 7, 84, "pointwise")


def test_weights_belong_to_who_reads_them_first(tmp_path: Path) -> None:
    """Half-precision weights come through a DEQUANTIZE; zeros and lone numbers are none."""
    ops = [
        Op("DEQUANTIZE", ["half"], "w", (4, 1, 1, 4)),
        Op("CONV_2D", ["x", "w", "zeros"], "a", (1, 5, 5, 4)),
        Op("CONV_2D", ["a", "w", "b"], "c", (1, 5, 5, 4)),
        Op("MUL", ["c", "half of it"], "d", (1, 5, 5, 4)),
        Op("ADD", ["d", "shift"], "y", (1, 5, 5, 4)),
    ]
    constants = {
        "half": ones(4, 1, 1, 4, dtype="float16"), "zeros": 0 * ones(4), "b": ones(4), "half of it": ones(1),
        "shift": ones(4),
    }  # fmt: skip
    found = counted(tmp_path, ops, constants, (1, 5, 5, 4))
    assert [(layer.name, layer.operator, layer.params, layer.weights) for layer in found] == [
        ("x", "Input", 0, 0), ("a", "CONV_2D", 16, 16), ("c", "CONV_2D", 4, 16), ("d", "MUL", 0, 0),
        ("y", "ADD", 4, 0),
    ]  # fmt: skip
    assert found[-1].elementwise
    assert total(found).mult_adds == 2 * 25 * 16


def test_what_cannot_be_counted_is_named_and_never_0(tmp_path: Path) -> None:
    ops = [Op("FlexSvd", ["x"], "a", (1, 4)), Op("RELU", ["a"], "b", (1, 4)), Op("LSTM", ["b"], "y", (1, 4))]
    found = total(counted(tmp_path, ops, {}, (1, 4)))
    assert found.uncounted == ("FlexSvd (a)", "LSTM (y)")
    assert found.is_lower_bound


@pytest.mark.long
def test_one_s_own_file_is_counted_and_a_damaged_one_is_one_line(tmp_path: Path) -> None:
    op = Op("CONV_2D", ["x", "w"], "one;two;three", (1, 4, 4, 8))
    path = write(tmp_path / "m.tflite", [op], {"w": ones(8, 1, 1, 4)}, (1, 4, 4, 4))
    found, layers = cost.of_case(suites.case_of_model(str(path)))
    assert (found.mult_adds, found.params, layers[-1].name) == (512, 32, "one")
    content = path.read_bytes()
    for says, cut in (("is no TFLite model", b"<html>not found"), ("is damaged", content[:60])):
        path.write_bytes(cut)
        with pytest.raises(Failed, match=f"m.tflite {says}.*; download or export it again"):
            tflite_graph.layers(path)
    path.unlink()
    said = answer(Case(name="m", model=str(path), input_shape=None))
    assert (said.error, "cannot be read" in said.message) == ("Failed", True)


def test_the_file_that_the_runtime_carries() -> None:
    assert runtimes.installed("litert")
    graph = tflite_graph._Reader(schema.Model.GetRootAs(runtimes.get("litert").PACE, 0)).layers()
    assert total(graph).mult_adds == sum(layer.mult_adds or 0 for layer in graph) > 0
    assert not total(graph).uncounted


@pytest.mark.slow
def test_a_network_costs_the_same_in_either_file(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKBENCH_CACHE", str(built))
    cases = [suites.case_of_model("tests.export.nets:plain", runtime=name) for name in ("onnxruntime", "litert")]
    paths = {one.request.format: one.path for one in export.export(map(export.request, cases)) if hasattr(one, "path")}
    of_onnx, of_tflite = onnx_graph.layers(paths["onnx"]), tflite_graph.layers(paths["tflite"])
    assert skeleton(of_onnx) == skeleton(of_tflite)
    assert skeleton(of_onnx)
    biases = 4 + 5  # untrained, so zeros: in a .tflite, layers without a bias have such, too
    assert total(of_onnx).params == total(of_tflite).params + biases
