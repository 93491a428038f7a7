"""ONNX Runtime's own operators, as its optimiser and quantiser leave them in files, counted by hand."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from bench.cost import onnx_graph
from bench.cost.layers import LayerCost
from tests.cost.test_onnx import model, weight


def own(operator: str, inputs: list[str], output: str = "y", **attributes: object) -> onnx.NodeProto:
    return helper.make_node(operator, inputs, [output], domain="com.microsoft", **attributes)


def read(nodes: list[onnx.NodeProto], weights: list[onnx.TensorProto], shape: list[object]) -> list[LayerCost]:
    graph = model(nodes, weights, shape, ("y",))
    graph.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return onnx_graph.layers(graph)


def whole(name: str, *shape: int, kind: type = np.int8) -> onnx.TensorProto:
    return numpy_helper.from_array(np.ones(shape, kind), name)


SCALES = [weight("s"), whole("z", kind=np.uint8)]


@pytest.mark.parametrize(
    ("node", "weights", "shape", "mult_adds", "params"),
    [
        (own("FusedConv", ["x", "w", "b"], activation="Relu", pads=[1] * 4),
         [weight("w", 4, 3, 3, 3), weight("b", 4)], [1, 3, 8, 8], 64 * 4 * 27, 4 * 27 + 4),
        (own("FusedConv", ["x", "w", "", "x"], pads=[1] * 4), [weight("w", 3, 3, 3, 3)], [1, 3, 8, 8], 64 * 81, 81),
        (own("FusedGemm", ["x", "w", "b"], activation="Relu", transB=1),
         [weight("w", 10, 6), weight("b", 10)], [1, 6], 60, 70),
        (own("FusedMatMul", ["x", "w"]), [weight("w", 6, 10)], [1, 6], 60, 60),
        (own("FusedMatMul", ["x", "w"], transB=1, alpha=0.5), [weight("w", 10, 6)], [1, 6], 60, 60),
        (own("FusedMatMul", ["x", "x"], transB=1), [], [2, 4, 7, 5], 4 * 7 * 7 * 5, 0),  # as in attention
        (own("FusedMatMul", ["x", "x"], transA=1), [], [2, 4, 7, 5], 4 * 5 * 5 * 7, 0),
        (own("DynamicQuantizeMatMul", ["x", "w", "s"]), [whole("w", 6, 10), SCALES[0]], [1, 6], 60, 60),
        (own("MatMulIntegerToFloat", ["x", "w", "s", "s"]), [whole("w", 6, 10), SCALES[0]], [1, 6], 60, 60),
        (own("BiasGelu", ["x", "b"]), [weight("b", 6)], [1, 6], 0, 6),
        (own("FastGelu", ["x", "b"]), [weight("b", 6)], [1, 6], 0, 6),
        (own("FastGelu", ["x"]), [], [1, 6], 0, 0),
        (own("QLinearAdd", ["x", "s", "z", "x", "s", "z", "s", "z"]), SCALES, [1, 6], 0, 0),
    ],
)  # fmt: skip
def test_an_operator_counts_as_the_standard_one(
    node: onnx.NodeProto, weights: list[onnx.TensorProto], shape: list[object], mult_adds: int, params: int
) -> None:
    (_, layer) = read([node], weights, shape)
    assert (layer.operator, layer.mult_adds, layer.params) == (node.op_type, mult_adds, params)


@pytest.mark.parametrize(
    "node",
    [
        own("Gelu", ["x"], "h"),
        own("QuickGelu", ["x"], "h"),
        own("QLinearLeakyRelu", ["x", "s", "z", "s", "z"], "h"),
        own("QLinearConcat", ["s", "z", "x", "s", "z"], "h", axis=1),
        own("QLinearAveragePool", ["x", "s", "z", "s", "z"], "h", kernel_shape=[1, 1]),
    ],
)
def test_what_comes_after_one_is_counted(node: onnx.NodeProto) -> None:
    convolution = helper.make_node("Conv", ["h", "w"], ["y"], pads=[1] * 4)
    found = read([node, convolution], [weight("w", 4, 3, 3, 3), *SCALES], [1, 3, 8, 8])
    assert [layer.mult_adds for layer in found] == [0, 0, 64 * 4 * 27]


@pytest.mark.parametrize(
    "node",
    [
        own("FusedMatMul", ["x", "x"], transBatchA=1),
        own("QLinearGlobalAveragePool", ["x", "s", "z", "s", "z"], channels_last=1),
        own("Attention", ["x", "w"], num_heads=1),
    ],
)
def test_what_has_no_standard_operator_is_not_counted(node: onnx.NodeProto) -> None:
    assert read([node], [weight("w", 8, 24), *SCALES], [1, 3, 8, 8])[1].mult_adds is None


def test_weights_that_a_constant_lists_are_parameters() -> None:
    values = helper.make_node("Constant", [], ["flat"], value_floats=[1.0] * 108)
    reshape = helper.make_node("Reshape", ["flat", "shape"], ["w"])
    convolution = helper.make_node("Conv", ["x", "w"], ["y"], pads=[1] * 4)
    shape = numpy_helper.from_array(np.array([4, 3, 3, 3], np.int64), "shape")
    assert read([values, reshape, convolution], [shape], [1, 3, 8, 8])[-1].params == 108
