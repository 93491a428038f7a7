"""ONNX graphs node by node: names, weights, shapes and products of a layer, by hand."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from bench.cost import onnx_graph
from bench.cost.layers import LayerCost
from tests.cost.test_onnx import model, weight

Nodes = list[onnx.NodeProto]


def read(nodes: Nodes, initializers: list[onnx.TensorProto], shape: list[object], *outputs: str) -> list[LayerCost]:
    return onnx_graph.layers(model(nodes, initializers, shape, outputs or ("y",)))


def test_every_field_of_two_layers() -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["h"], name="conv", pads=[1] * 4),
        helper.make_node("Relu", ["h"], ["y"]),
    ]
    found = read(nodes, [weight("w", 8, 4, 3, 3), weight("b", 8)], [2, 4, 5, 5])
    assert found == [
        LayerCost(name="x", kind="other", operator="Input", mult_adds=0, params=0, output_shape=(4, 5, 5)),
        LayerCost(
            name="conv", kind="standard", operator="Conv", mult_adds=25 * 8 * 36, params=8 * 36 + 8, weights=8 * 36,
            output_shape=(5, 5, 8), inputs=("x",), input_bytes=4 * 100,
        ),
        LayerCost(
            name="y", kind="other", operator="Relu", mult_adds=0, params=0, output_shape=(8, 5, 5), inputs=("conv",),
            input_bytes=4 * 200, elementwise=True,
        ),
    ]  # fmt: skip


def test_names_are_unique_and_a_node_without_one_has_its_outputs() -> None:
    nodes = [helper.make_node("Relu", [a], [b], name="r") for a, b in (("x", "a"), ("a", "b"), ("b", "c"))]
    nodes.append(helper.make_node("Relu", ["c"], ["y"]))
    assert [layer.name for layer in read(nodes, [], [1, 4])] == ["x", "r", "r (2)", "r (3)", "y"]


def test_a_node_of_several_outputs_writes_those_that_are_read() -> None:
    nodes = [
        helper.make_node("Split", ["x", "sizes"], ["a", "b", "unread"], name="split", axis=1),
        helper.make_node("Relu", ["a"], ["y"], name="r"),
    ]
    sizes = numpy_helper.from_array(np.array([2, 3, 4], np.int64), "sizes")
    found = read(nodes, [sizes], [1, 9], "y", "b")
    assert [(layer.name, layer.output_shape) for layer in found] == [("x", (9,)), ("split", (5,)), ("r", (2,))]
    assert found[2].input_bytes == 4 * 5


def constant(name: str, values: np.ndarray) -> onnx.NodeProto:
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(values))


def test_a_constant_node_holds_weights_as_an_initialiser_does() -> None:
    nodes = [constant("w", np.ones((6, 4), np.float32)), helper.make_node("MatMul", ["x", "w"], ["y"], name="m")]
    found = read(nodes, [], [1, 6])
    assert [layer.name for layer in found] == ["x", "m"]
    assert (found[1].mult_adds, found[1].params, found[1].weights, found[1].kind) == (24, 24, 24, "dense")
    number = helper.make_node("Constant", [], ["c"], value_float=2.0)
    ends = [number, helper.make_node("Mul", ["x", "c"], ["y"], name="m")]
    assert [(layer.name, layer.params) for layer in read(ends, [], [1, 6])] == [("x", 0), ("m", 0)]
    strange = helper.make_node("Constant", ["x"], ["y"], name="mine", domain="mine")
    assert read([strange], [], [1, 6])[1].mult_adds is None


def test_what_is_computed_from_weights_alone_is_no_layer_but_its_weights_are() -> None:
    nodes = [
        helper.make_node("Transpose", ["w"], ["t"], perm=[1, 0]),
        helper.make_node("MatMul", ["x", "t"], ["h"], name="first"),
        helper.make_node("MatMul", ["h", "w"], ["y"], name="again"),
    ]
    found = read(nodes, [weight("w", 6, 4)], [1, 4])
    assert [(layer.name, layer.params, layer.weights) for layer in found] == [
        ("x", 0, 0), ("first", 24, 24), ("again", 0, 24)
    ]  # fmt: skip


def test_of_two_weights_the_second_is_the_kernel() -> None:
    nodes = [helper.make_node("MatMul", ["v", "w"], ["m"], name="m"), helper.make_node("Add", ["x", "m"], ["y"])]
    found = read(nodes, [weight("v", 3, 5), weight("w", 5, 2)], [3, 2])
    assert (found[1].name, found[1].weights, found[1].params) == ("m", 10, 25)


def test_an_operator_of_another_domain_is_another_one() -> None:
    other = helper.make_node("MatMul", ["x", "w"], ["y"], name="m", domain="mine")
    assert read([other], [weight("w", 6, 4)], [1, 6])[1].mult_adds is None


def test_products_are_of_one_element_of_the_batch() -> None:
    node = helper.make_node("MatMul", ["x", "w"], ["y"], name="m")
    (_, layer) = onnx_graph.count(model([node], [weight("w", 6, 4)], ["n", 7, 6]), batch_size=3).layers
    assert (layer.mult_adds, layer.output_shape, layer.kind) == (7 * 24, (7, 4), "pointwise")
    (_, layer) = read([node], [weight("w", 6, 4)], [3, 6])
    assert (layer.mult_adds, layer.output_shape, layer.kind) == (24, (4,), "dense")
    gemm = helper.make_node("Gemm", ["x", "w"], ["y"], name="g")
    (_, layer) = read([gemm], [weight("w", 6, 4)], [3, 6])
    assert (layer.mult_adds, layer.output_shape, layer.kind) == (24, (4,), "dense")


def test_a_transposed_convolution_without_groups_has_one() -> None:
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], name="up")
    (_, layer) = read([node], [weight("w", 4, 6, 2, 2)], [1, 4, 5, 5])
    assert (layer.mult_adds, layer.kind, layer.output_shape) == (100 * 6 * 4, "standard", (6, 6, 6))
    point = helper.make_node("ConvTranspose", ["x", "w"], ["y"], name="up", group=4)
    (_, layer) = read([point], [weight("w", 4, 1, 2, 2)], [1, 4, 5, 5])
    assert (layer.mult_adds, layer.kind) == (400, "depthwise")
    one = helper.make_node("Conv", ["x", "w"], ["y"], name="one")
    (_, layer) = read([one], [weight("w", 6, 4, 5, 5)], [1, 4, 5, 5])
    assert (layer.mult_adds, layer.kind, layer.output_shape) == (600, "standard", (1, 1, 6))


@pytest.mark.parametrize(
    ("equation", "shapes", "mult_adds", "kind", "output"),
    [
        ("bij, jk -> bik", [(1, 3, 4), (4, 6)], 72, "pointwise", (3, 6)),
        ("bj,jk->bk", [(1, 4), (4, 6)], 24, "dense", (6,)),
        ("...j,jk->...k", [(1, 3, 4), (4, 6)], 72, "pointwise", (3, 6)),
        ("b...j,jk->b...k", [(1, 3, 5, 4), (4, 6)], 360, "pointwise", (3, 5, 6)),
        ("b...,j...->bj...", [(1, 3, 4), (2, 1, 4)], 24, "pointwise", (2, 3, 4)),
        ("bi,ij,jk->bk", [(1, 3), (3, 4), (4, 5)], None, "other", (5,)),
        ("bij->bji", [(1, 3, 4)], 0, "pointwise", (4, 3)),
    ],
)
def test_einsum_goes_by_its_letters(
    equation: str, shapes: list[tuple[int, ...]], mult_adds: int | None, kind: str, output: tuple[int, ...]
) -> None:
    names = ["x", *(f"w{i}" for i in range(1, len(shapes)))]
    node = helper.make_node("Einsum", names, ["y"], name="ein", equation=equation)
    weights = [weight(name, *shape) for name, shape in zip(names[1:], shapes[1:], strict=True)]
    (_, layer) = read([node], weights, list(shapes[0]))
    assert (layer.mult_adds, layer.kind, layer.output_shape) == (mult_adds, kind, output)


@pytest.mark.parametrize(("operator", "gates"), [("LSTM", 4), ("GRU", 3), ("RNN", 1)])
def test_recurrent_layers_pay_for_every_gate_and_step(operator: str, gates: int) -> None:
    node = helper.make_node(operator, ["x", "w", "r", "b"], ["y"], hidden_size=3, name="rec")
    weights = [weight("w", 1, 3 * gates, 5), weight("r", 1, 3 * gates, 3), weight("b", 1, 6 * gates)]
    (_, layer) = read([node], weights, [7, 1, 5])
    each = 3 * gates * 5 + 3 * gates * 3
    assert (layer.mult_adds, layer.params, layer.weights, layer.kind) == (7 * each, each + 6 * gates, each, "dense")


def test_weights_of_quantised_products_are_at_their_places() -> None:
    def scale(name: str) -> onnx.TensorProto:
        return numpy_helper.from_array(np.array(0.5, np.float32), name)

    zero = numpy_helper.from_array(np.array(0, np.uint8), "z")
    kernel = numpy_helper.from_array(np.ones((8, 4, 3, 3), np.uint8), "w")
    bias = numpy_helper.from_array(np.ones(8, np.int32), "b")
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("QLinearConv", ["q", "s", "z", "w", "s", "z", "s", "z", "b"], ["c"], name="qc"),
    ]
    nodes.append(helper.make_node("DequantizeLinear", ["c", "s", "z"], ["y"]))
    found = read(nodes, [scale("s"), zero, kernel, bias], [1, 4, 5, 5])
    assert [each.params for each in found] == [0, 0, 288 + 8, 0]
    layer = found[2]
    assert (layer.mult_adds, layer.weights, layer.output_shape) == (9 * 8 * 36, 288, (3, 3, 8))
