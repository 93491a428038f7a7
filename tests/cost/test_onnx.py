"""Counting ONNX graphs made by hand: what is counted, and what is said of the rest."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from bench import cost, suites
from bench.cost import cases as counting
from bench.cost import formulas, onnx_graph
from bench.cost.layers import LayerCost, peak_bytes, skeleton, total
from bench.errors import Failed, WrongUsage


def weight(name: str, *shape: int) -> onnx.TensorProto:
    return numpy_helper.from_array(np.ones(shape, np.float32), name)


def model(nodes: list, initializers: list, shape: list, outputs: tuple[str, ...] = ("y",)) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        initializers,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("mine", 1)])


def conv(m: int, n: int, *, groups: int = 1, k: int = 3, size: object = 16, stride: int = 1) -> onnx.ModelProto:
    node = helper.make_node(
        "Conv", ["x", "w"], ["y"], name="conv", group=groups, pads=[k // 2] * 4, strides=[stride, stride]
    )
    return model([node], [weight("w", n, m // groups, k, k)], ["batch", m, size, size])


@settings(max_examples=25, deadline=None)
@given(m=st.integers(1, 5), n=st.integers(1, 5), groups=st.integers(1, 4), k=st.sampled_from([1, 3, 5]))
def test_a_convolution_costs_what_the_formula_says(m: int, n: int, groups: int, k: int) -> None:
    (_, layer) = onnx_graph.layers(conv(m * groups, n * groups, groups=groups, k=k))
    expected = formulas.grouped(k, 16, m * groups, n * groups, groups)
    assert (layer.mult_adds, layer.params, layer.weights) == (expected.mult_adds, expected.params, expected.params)
    assert layer.output_shape == (16, 16, n * groups)


def test_kinds_go_by_the_arithmetic() -> None:
    def kind(graph: onnx.ModelProto) -> str:
        return onnx_graph.layers(graph)[1].kind

    assert kind(conv(8, 8)) == "standard"
    assert kind(conv(8, 8, groups=8)) == "depthwise"
    assert kind(conv(8, 8, groups=2)) == "grouped"
    assert kind(conv(8, 8, k=1)) == "pointwise"
    assert kind(conv(8, 8, k=1, size=1)) == "dense"


@pytest.mark.parametrize("dimensions", [{}, {"batch": 4}])
def test_costs_are_per_image(dimensions: dict[str, int]) -> None:
    found = total(onnx_graph.layers(conv(4, 8), dimensions))
    assert found.mult_adds == formulas.standard(3, 16, 4, 8).mult_adds
    assert found.activation_bytes == 4 * 16 * 16 * (4 + 8)


def test_dense_layers_in_every_spelling() -> None:
    gemm = helper.make_node("Gemm", ["x", "w", "b"], ["y"], transB=1)
    matmul = [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("Add", ["h", "b"], ["y"])]
    for found in (
        total(onnx_graph.layers(model([gemm], [weight("w", 10, 64), weight("b", 10)], ["N", 64]))),
        total(onnx_graph.layers(model(matmul, [weight("w", 64, 10), weight("b", 10)], ["N", 64]))),
    ):
        assert (found.mult_adds, found.params) == (640, 650)
        assert found.by_kind is not None
        assert found.by_kind["dense"].mult_adds == 640


def test_sizes_computed_at_run_time_are_followed() -> None:
    """As exporters write a flatten: the product of the sizes read from the input's shape."""
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Gather", ["s", "places"], ["sides"]),
        helper.make_node("ReduceProd", ["sides"], ["product"], axes=[0], keepdims=1),
        helper.make_node("Concat", ["minus", "product"], ["target"], axis=0),
        helper.make_node("Reshape", ["x", "target"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["y"], name="dense"),
    ]
    whole = [numpy_helper.from_array(np.array(v, np.int64), n) for n, v in (("places", [1, 2]), ("minus", [-1]))]
    found = onnx_graph.layers(model(nodes, [weight("w", 48, 10), *whole], ["N", 6, 8]))
    assert [(layer.name, layer.mult_adds) for layer in found if layer.mult_adds] == [("dense", 480)]
    assert total(found).params == 480


def test_quantised_weights_are_weights_and_scales_are_not() -> None:
    nodes = [
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["w"]),
        helper.make_node("Conv", ["x", "w"], ["y"], name="conv"),
    ]
    scale = numpy_helper.from_array(np.array(0.1, np.float32), "scale")
    zero = numpy_helper.from_array(np.array(0, np.int8), "zero")
    kernel = numpy_helper.from_array(np.ones((8, 4, 1, 1), np.int8), "q")
    found = onnx_graph.layers(model(nodes, [kernel, scale, zero], ["N", 4, 5, 5]))
    assert [(layer.operator, layer.params, layer.mult_adds) for layer in found] == [("Input", 0, 0), ("Conv", 32, 800)]


def test_large_weights_are_counted_without_their_values(tmp_path: Path) -> None:
    big = model([helper.make_node("MatMul", ["x", "w"], ["y"])], [weight("w", 300, 300)], ["N", 300])
    onnx_graph.layers(big)
    assert len(big.graph.initializer[0].raw_data) == 4 * 90_000, "the caller's model stays whole"
    onnx.save(big, tmp_path / "big.onnx", save_as_external_data=True, location="big.bin", size_threshold=0)
    (tmp_path / "big.bin").unlink()
    assert total(onnx_graph.layers(tmp_path / "big.onnx")).params == 90_000


def test_an_unknown_operator_is_named_and_never_0() -> None:
    nodes = [
        helper.make_node("Magic", ["x"], ["h"], name="spell", domain="mine"),
        helper.make_node("Conv", ["h", "w"], ["y"], name="after"),
    ]
    found = onnx_graph.layers(model(nodes, [weight("w", 8, 4, 1, 1)], ["N", 4, 5, 5]))
    assert [layer.mult_adds for layer in found] == [0, None, None]
    summary = total(found)
    assert summary.uncounted == ("Magic (spell)", "Conv (after)")
    assert summary.peak_activation_bytes is None
    assert summary.params == 32


def test_a_recurrent_layer_is_not_counted_as_nothing() -> None:
    node = helper.make_node("LSTM", ["x", "w", "r"], ["y"], hidden_size=3, name="lstm")
    found = total(onnx_graph.layers(model([node], [weight("w", 1, 12, 5), weight("r", 1, 12, 3)], [7, 1, 5])))
    assert (found.mult_adds, found.params, found.uncounted) == (7 * (12 * 5 + 12 * 3), 96, ())


@pytest.mark.parametrize(
    ("graph", "dimensions", "says"),
    [
        (conv(4, 8, size="side"), {}, r'leaves dimension 2 \("side"\) open; give it a size.*x=1x4x224x224.*side=224'),
        (conv(4, 8, size=None), {}, r"leaves dimension 2 open; give it a size.*--input-shape x=1x4x224x224"),
        (conv(4, 8, size="side"), {"sied": 3}, r'no open dimension "sied"; did you mean "side"'),
        (conv(4, 8), {"side": 3}, r'no open dimension "side"; valid: batch'),
    ],
)
def test_unknown_sizes_are_named(graph: onnx.ModelProto, dimensions: dict[str, int], says: str) -> None:
    with pytest.raises(WrongUsage, match=says):
        onnx_graph.layers(graph, dimensions)


def test_a_size_given_by_name() -> None:
    found = total(onnx_graph.layers(conv(4, 8, size="side"), {"side": 10}))
    assert found.mult_adds == formulas.standard(3, 10, 4, 8).mult_adds


def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    path = tmp_path / "cut.onnx"
    path.write_bytes(conv(4, 8).SerializeToString()[:-40])
    with pytest.raises(Failed, match=r"cut\.onnx.*cut short"):
        onnx_graph.layers(path)
    path.write_bytes(b"")
    with pytest.raises(Failed, match=r"cut\.onnx is empty"):
        onnx_graph.layers(path)
    with pytest.raises(WrongUsage, match="no file"):
        onnx_graph.layers(tmp_path / "none.onnx")


def test_another_stride_is_another_network() -> None:
    assert skeleton(onnx_graph.layers(conv(4, 8))) != skeleton(onnx_graph.layers(conv(4, 8, stride=2)))


def node(name: str, elements: int, inputs: tuple[str, ...] = (), *, elementwise: bool = False) -> LayerCost:
    return LayerCost(
        name=name, kind="other", operator="Any", mult_adds=0, params=0, output_shape=(elements,), inputs=inputs,
        elementwise=elementwise,
    )  # fmt: skip


def test_peak_memory_of_a_straight_line() -> None:
    chain = [node("a", 10), node("b", 20, ("a",)), node("c", 5, ("b",))]
    assert peak_bytes(chain) == 4 * 30
    kept = [node("a", 10), node("b", 20, ("a",)), node("c", 5, ("b",)), node("d", 10, ("a", "c"))]
    assert peak_bytes(kept) == 4 * 35, "a is still needed while c runs"
    in_place = [node("a", 10), node("b", 10, ("a",), elementwise=True), node("c", 1, ("b",))]
    assert peak_bytes(in_place) == 4 * 11
    shared = [node("a", 10), node("b", 10, ("a",), elementwise=True), node("c", 10, ("a", "b"), elementwise=True)]
    assert peak_bytes(shared) == 4 * 20, "b cannot overwrite a, which c needs; c can"


def test_a_file_is_counted_in_a_worker_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKBENCH_CACHE", str(tmp_path / "cache"))
    onnx.save(conv(4, 8, size="side"), tmp_path / "net.onnx")
    case = suites.case_of_model(str(tmp_path / "net.onnx"), dimensions={"side": 16})
    first, layers = cost.of_case(case)
    assert [layer.name for layer in layers] == ["x", "conv"]
    assert len(list((tmp_path / "cache" / "cost").iterdir())) == 1
    monkeypatch.setattr("bench.cost.cases.counted", lambda cases: pytest.fail("counted twice"))
    assert cost.of_case(case)[0] == first
    other = suites.case_of_model(str(tmp_path / "net.onnx"), dimensions={"side": 32})
    with pytest.raises(BaseException, match="counted twice"):
        cost.of_case(other)


def test_a_damaged_cache_entry_is_counted_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKBENCH_CACHE", str(tmp_path / "cache"))
    onnx.save(conv(4, 8), tmp_path / "net.onnx")
    case = suites.case_of_model(str(tmp_path / "net.onnx"))
    first = cost.of_case(case)[0]
    (kept,) = (tmp_path / "cache" / "cost").iterdir()
    kept.write_bytes(kept.read_bytes()[:50])
    assert cost.of_case(case)[0] == first


def test_an_error_names_the_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKBENCH_CACHE", str(tmp_path / "cache"))
    onnx.save(conv(4, 8, size="side"), tmp_path / "net.onnx")
    with pytest.raises(WrongUsage, match=r'^net: input "x" .* leaves dimension 2 \("side"\) open'):
        cost.of_case(suites.case_of_model(str(tmp_path / "net.onnx")))
    with pytest.raises(WrongUsage, match="cannot be read"):
        cost.of_case(suites.case_of_model(str(tmp_path / "missing.onnx")))


@pytest.mark.parametrize(("trans_a", "trans_b"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_a_product_of_transposed_matrices_costs_what_its_sizes_say(trans_a: int, trans_b: int) -> None:
    """(3 x 64) by (64 x 10), whichever way either is stored."""
    shape, stored = [64, 3] if trans_a else [3, 64], (10, 64) if trans_b else (64, 10)
    node = helper.make_node("Gemm", ["x", "w"], ["y"], name="gemm", transA=trans_a, transB=trans_b)
    (layer,) = (found for found in onnx_graph.layers(model([node], [weight("w", *stored)], shape)) if found.weights)
    per_image = shape[0]  # the first size of the only input is the batch
    assert (layer.mult_adds, layer.params, layer.weights) == (3 * 64 * 10 // per_image, 640, 640)


@pytest.mark.parametrize(("groups", "filters", "kind"), [(1, 6, "standard"), (2, 3, "grouped")])
def test_a_transposed_convolution_costs_a_product_for_each_element_read(groups: int, filters: int, kind: str) -> None:
    """From 4 channels of 5 x 5 to 6 of 10 x 10: each of the 100 elements read meets its filters of 2 x 2."""
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], name="up", strides=[2, 2], group=groups)
    found = onnx_graph.layers(model([node], [weight("w", 4, filters, 2, 2)], [1, 4, 5, 5]))
    (layer,) = (layer for layer in found if layer.weights)
    assert (layer.mult_adds, layer.params, layer.kind) == (100 * filters * 4, 16 * filters, kind)
    assert layer.output_shape == (10, 10, 6)


def flattened(opset: int) -> onnx.ModelProto:
    """A network's end as exporters of any age write it: sizes read at run time, through floats as well."""
    whole = {"zero": 0, "minus": [-1], "axes": [0], "two": [2]}
    old = opset < 13
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="conv", pads=[1] * 4),
        helper.make_node("GlobalAveragePool", ["c"], ["g"]),
        helper.make_node("Shape", ["g"], ["s"]),
        helper.make_node("Gather", ["s", "zero"], ["b"], axis=0),
        helper.make_node("Cast", ["b"], ["bf"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["bf", "half"], ["bh"]),
        helper.make_node("Cast", ["bh"], ["bi"], to=TensorProto.INT64),
        helper.make_node("Mul", ["bi", "two"], ["bd"]),
        helper.make_node("Squeeze", ["bd"], ["b0"], **({"axes": [0]} if old else {})),
        helper.make_node("Unsqueeze", ["b0", *([] if old else ["axes"])], ["b1"], **({"axes": [0]} if old else {})),
        helper.make_node("Concat", ["b1", "minus"], ["t"], axis=0),
        helper.make_node("Reshape", ["g", "t"], ["f"]),
        helper.make_node("Gemm", ["f", "w2"], ["y"], name="fc", transB=1),
    ]
    initializers = [weight("w", 6, 3, 3, 3), weight("w2", 10, 6)]
    initializers += [numpy_helper.from_array(np.array(v, np.int64), n) for n, v in whole.items()]
    initializers.append(numpy_helper.from_array(np.array(0.5, np.float32), "half"))
    made = model(nodes, initializers, ["N", 3, 8, 8])
    made.opset_import[0].version = opset
    made.ir_version = 6
    return made


@pytest.mark.parametrize("opset", [7, 8, 9, 10, 11, 12, 13, 17, 21])
def test_every_opset_is_counted_as_its_own(opset: int) -> None:
    found = total(onnx_graph.count(flattened(opset), batch_size=2).layers)
    assert (found.mult_adds, found.uncounted) == (8 * 8 * 6 * 3 * 9 + 60, ())


@pytest.mark.parametrize("stale", ["value_info", "output"])
def test_shapes_of_before_an_edit_are_left_aside_and_said(stale: str) -> None:
    made = onnx.shape_inference.infer_shapes(conv(3, 8, size=16))
    edited = onnx.ModelProto()
    edited.CopyFrom(made)
    relu = helper.make_node("Relu", ["y"], ["z"])
    edited.graph.node.append(relu)
    note = helper.make_tensor_value_info("y" if stale == "value_info" else "z", TensorProto.FLOAT, [1, 8, 8, 8])
    if stale == "value_info":
        edited.graph.value_info.append(note)
        edited.graph.output[0].name = "z"
        edited.graph.output[0].type.tensor_type.ClearField("shape")
    else:
        edited.graph.output[0].CopyFrom(note)
    found = onnx_graph.count(edited)
    assert total(found.layers).mult_adds == formulas.standard(3, 16, 3, 8).mult_adds
    assert "other shapes than its inputs give" in found.warnings[0]
    assert "1x8x8x8 for 1x8x16x16" in found.warnings[0]
    assert onnx_graph.count(made).warnings == ()


def test_shapes_that_a_file_notes_serve_where_inference_has_none() -> None:
    nodes = [
        helper.make_node("Magic", ["x"], ["h"], name="spell", domain="mine"),
        helper.make_node("Conv", ["h", "w"], ["y"], name="after"),
    ]
    made = model(nodes, [weight("w", 8, 4, 1, 1)], ["N", 4, 5, 5])
    made.graph.value_info.append(helper.make_tensor_value_info("h", TensorProto.FLOAT, ["N", 4, 5, 5]))
    found = total(onnx_graph.layers(made))
    assert (found.mult_adds, found.uncounted) == (8 * 4 * 25, ("Magic (spell)",))
    assert found.is_lower_bound


@pytest.mark.parametrize(("shape", "kernel"), [([224, 224, 3], None), ([128, 1, 64], 64)])
def test_an_input_whose_first_axis_is_no_batch(shape: list[int], kernel: int | None) -> None:
    if kernel:
        made = model([helper.make_node("MatMul", ["x", "w"], ["y"])], [weight("w", kernel, 10)], shape)
        expected = 128 * 64 * 10
    else:
        nodes = [
            helper.make_node("Transpose", ["x"], ["t"], perm=[2, 0, 1]),
            helper.make_node("Unsqueeze", ["t", "zero"], ["u"]),
            helper.make_node("Conv", ["u", "w"], ["y"], pads=[1] * 4),
        ]
        zero = numpy_helper.from_array(np.array([0], np.int64), "zero")
        made = model(nodes, [weight("w", 4, 3, 3, 3), zero], shape)
        expected = 224 * 224 * 4 * 27
    assert total(onnx_graph.layers(made)).mult_adds == expected


@pytest.mark.parametrize(
    ("equation", "shape", "other", "mult_adds"),
    [
        ("bchw,cd->bdhw", [1, 4, 8, 8], (4, 5), 8 * 8 * 4 * 5),
        ("bij,bjk->bik", [2, 3, 4], None, None),
        ("...ij,jk->...ik", [2, 7, 3, 4], (4, 6), 7 * 3 * 4 * 6),
        ("bchw->bhwc", [1, 4, 8, 8], (), 0),
    ],
)
def test_einsum_is_a_product_over_all_indices(
    equation: str, shape: list[int], other: tuple[int, ...] | None, mult_adds: int | None
) -> None:
    reads = ["x"] if other == () else ["x", "w"]
    node = helper.make_node("Einsum", reads, ["y"], name="ein", equation=equation)
    found = total(onnx_graph.layers(model([node], [weight("w", *(other or (9,)))], shape)))
    if mult_adds is None:  # the weight does not fit the equation
        assert found.uncounted == ("Einsum (ein)",)
    else:
        assert (found.mult_adds, found.uncounted) == (mult_adds, ())


def branches(then: list, other: list) -> list:
    graphs = {
        name: helper.make_graph(nodes, name, [], [helper.make_tensor_value_info(nodes[-1].output[0], 1, None)])
        for name, nodes in (("then_branch", then), ("else_branch", other))
    }
    return [helper.make_node("If", ["k"], ["y"], name="if", **graphs)]


def test_a_branch_that_is_known_beforehand_is_counted_and_an_unknown_one_is_a_lower_bound() -> None:
    product = [helper.make_node("MatMul", ["x", "w"], ["a"], name="inside")]
    free = [helper.make_node("Relu", ["x"], ["b"])]
    for value, expected in ((True, 8 * 4), (False, 0)):
        known = numpy_helper.from_array(np.array(value), "k")
        found = total(onnx_graph.layers(model(branches(product, free), [weight("w", 8, 4), known], ["N", 8])))
        assert (found.mult_adds, found.uncounted) == (expected, ())
    open_ = model(branches(product, free), [weight("w", 8, 4)], ["N", 8])
    open_.graph.input.append(helper.make_tensor_value_info("k", TensorProto.BOOL, []))
    assert total(onnx_graph.layers(open_)).uncounted == ("If (if)",)
    idle = model(branches(free, [helper.make_node("Neg", ["x"], ["c"])]), [], ["N", 8])
    idle.graph.input.append(helper.make_tensor_value_info("k", TensorProto.BOOL, []))
    assert total(onnx_graph.layers(idle)).uncounted == ()


def test_one_case_that_cannot_be_counted_hides_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKBENCH_CACHE", str(tmp_path / "cache"))
    onnx.save(conv(4, 8), tmp_path / "good.onnx")
    (tmp_path / "page.onnx").write_text("<html>")
    cases = [suites.case_of_model(str(tmp_path / f"{name}.onnx")) for name in ("page", "good", "missing")]
    page, good, missing = cost.of_cases(cases).values()
    assert "web page" in str(page)
    assert "cannot be read" in str(missing)
    assert getattr(good, "mult_adds", None) == formulas.standard(3, 16, 4, 8).mult_adds


def test_what_counting_lacks_is_named_with_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    onnx.save(conv(4, 8), tmp_path / "net.onnx")
    monkeypatch.delattr("bench.cost.onnx_graph")
    monkeypatch.setitem(sys.modules, "bench.cost.onnx_graph", None)
    answer = counting.answer(suites.case_of_model(str(tmp_path / "net.onnx")))
    assert answer.error == "Failed"
    assert 'pip install "backbench[cpu]"' in answer.message


def test_a_file_of_the_oldest_format_is_counted_whose_constants_are_no_inputs() -> None:
    old = conv(3, 8)
    old.ir_version = 3
    _, layer = onnx_graph.layers(old)
    assert (layer.mult_adds, layer.output_shape) == (9 * 3 * 8 * 16 * 16, (16, 16, 8))
