"""What counts as the same result: on a graph that only multiplies, without Keras."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from bench.export import fidelity


def file(path: Path, *, softmax: bool = False) -> Path:
    """Scores (n, 3) of images (n, 1, 1, 3): twice each channel."""
    nodes = [helper.make_node("Flatten", ["image"], ["flat"]), helper.make_node("Mul", ["flat", "two"], ["scores"])]
    if softmax:
        nodes.append(helper.make_node("Softmax", ["scores"], ["out"], axis=-1))
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("image", TensorProto.FLOAT, ("n", 1, 1, 3))],
        [helper.make_tensor_value_info("out" if softmax else "scores", TensorProto.FLOAT, ("n", 3))],
        [numpy_helper.from_array(np.array(2.0, np.float32), "two")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, path)
    return path


IMAGES = np.array([[1, 2, 4], [3, -5, 0.5], [0.25, 8, 1]], np.float32).reshape(3, 1, 1, 3)
LOGITS = 2 * IMAGES.reshape(3, 3)


def scores(logits: NDArray[np.float32], *, softmax: bool) -> NDArray[np.float64]:
    """The logits, or the probabilities that a softmax makes of them."""
    powers = np.exp(logits.astype(np.float64))
    return powers / powers.sum(axis=1, keepdims=True) if softmax else logits.astype(np.float64)


@pytest.mark.parametrize("softmax", [False, True])
def test_equal_results_pass(softmax: bool, tmp_path: Path) -> None:
    found = fidelity.check(file(tmp_path / "m.onnx", softmax=softmax), IMAGES, scores(LOGITS, softmax=softmax))
    assert found.passed
    assert (found.inputs, found.top1_agreement) == (3, 1.0)
    assert found.max_rel < 1e-6


@pytest.mark.parametrize(("difference", "passes"), [(1.5e-5, True), (2.5e-5, False), (2e-4, False), (2e-3, False)])
def test_the_tolerance_is_a_share_of_the_largest_logit(difference: float, passes: bool, tmp_path: Path) -> None:
    assert fidelity.TOLERANCE == 2e-5
    expected = LOGITS.copy()
    expected[0, 0] += 16 * difference  # the largest of all logits is 16
    found = fidelity.check(file(tmp_path / "m.onnx"), IMAGES, expected)
    assert found.max_abs == pytest.approx(16 * difference, rel=0.05)
    assert found.max_rel == pytest.approx(difference, rel=0.05)
    assert found.top1_agreement == 1.0
    assert found.passed is passes


def test_a_difference_behind_a_softmax_is_seen_in_the_logits(tmp_path: Path) -> None:
    expected = LOGITS.copy()
    expected[1, 1] += 0.01  # of a class with a probability of 1e-7
    found = fidelity.check(file(tmp_path / "m.onnx", softmax=True), IMAGES, scores(expected, softmax=True))
    assert found.max_abs == pytest.approx(0.01, rel=0.01)
    assert not found.passed


def test_one_constant_an_image_is_what_a_softmax_lets_through(tmp_path: Path) -> None:
    path = file(tmp_path / "m.onnx", softmax=True)
    shifted = LOGITS + np.array([[1], [2], [3]], np.float32)
    assert fidelity.check(path, IMAGES, scores(shifted, softmax=True)).passed


def test_another_shape_or_no_number_never_passes(tmp_path: Path) -> None:
    path = file(tmp_path / "m.onnx")
    other = fidelity.check(path, IMAGES, LOGITS[:, :2])
    assert (other.passed, other.max_rel, other.top1_agreement) == (False, float("inf"), 0.0)
    nothing = fidelity.check(path, np.full_like(IMAGES, np.nan), LOGITS)
    assert (nothing.passed, nothing.max_abs) == (False, float("inf"))


RNG = np.random.default_rng(8)
WEIGHTS = {
    "stem_w": RNG.normal(size=(4, 3, 1, 1)), "left_w": RNG.normal(size=(4, 4, 1, 1)),
    "right_w": RNG.normal(size=(4, 4, 1, 1)), "dense_w": RNG.normal(size=(4, 5)),
}  # fmt: skip


def network(path: Path, **weights: NDArray[np.float64]) -> Path:
    """Four products: a stem with a hard swish spelt out, a layer made of two, and a classifier."""
    nodes = [
        helper.make_node("Conv", ["image", "stem_w"], ["stem_y"], "m/stem/Conv2D"),
        helper.make_node("Add", ["stem_y", "three"], ["stem_3"]),
        helper.make_node("Clip", ["stem_3", "zero", "six"], ["stem_c"]),
        helper.make_node("Mul", ["stem_c", "stem_y"], ["stem_m"]),
        helper.make_node("Div", ["stem_m", "six"], ["stem_a"]),
        helper.make_node("Conv", ["stem_a", "left_w"], ["left_y"], "m/pair/left/Conv2D"),
        helper.make_node("Conv", ["left_y", "right_w"], ["right_y"], "m/pair/right/Conv2D"),
        helper.make_node("GlobalAveragePool", ["right_y"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "dense_w"], ["scores"], "m/dense/MatMul"),
        helper.make_node("Softmax", ["scores"], ["out"], axis=-1),
    ]
    values = WEIGHTS | weights | {"three": np.array(3.0), "zero": np.array(0.0), "six": np.array(6.0)}
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("image", TensorProto.FLOAT, ("n", 3, 2, 3))],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, ("n", 5)),
         helper.make_tensor_value_info("scores", TensorProto.FLOAT, ("n", 5))],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in values.items()],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


PICTURES = RNG.normal(size=(2, 3, 2, 3)).astype(np.float32)


def layers() -> dict[str, NDArray[np.float32]]:
    """The outputs of the layers as Keras shows them, channels last, by NumPy."""
    pixels = PICTURES.transpose(0, 2, 3, 1).astype(np.float64)
    stem = pixels @ WEIGHTS["stem_w"][:, :, 0, 0].T
    stem = stem * np.clip(stem + 3, 0, 6) / 6
    pair = stem @ WEIGHTS["left_w"][:, :, 0, 0].T @ WEIGHTS["right_w"][:, :, 0, 0].T
    dense = pair.mean(axis=(1, 2)) @ WEIGHTS["dense_w"]
    found = {"m": PICTURES, "stem": stem, "pair": pair, "dense": dense}
    return {name: value.astype(np.float32) for name, value in found.items()}


def test_the_first_layer_that_differs_is_named(tmp_path: Path) -> None:
    assert fidelity.first_difference(network(tmp_path / "m.onnx"), PICTURES, layers()) is None
    for weight, name in (("stem_w", "stem"), ("left_w", "pair"), ("right_w", "pair"), ("dense_w", "dense")):
        changed = WEIGHTS[weight].copy()
        changed.flat[1] *= 1.2
        path = network(tmp_path / f"{weight}.onnx", **{weight: changed})
        shown = {key: value for key, value in layers().items() if key != "m"}
        assert fidelity.first_difference(path, PICTURES, shown) == name


def test_a_layer_that_keras_does_not_name_is_called_as_in_the_file(tmp_path: Path) -> None:
    path = network(tmp_path / "m.onnx", stem_w=2 * WEIGHTS["stem_w"])
    assert fidelity.first_difference(path, PICTURES, {"other": layers()["stem"]}) == "m/stem/Conv2D"
    lacking = {name: value for name, value in layers().items() if name not in ("m", "pair", "dense")}
    path = network(tmp_path / "n.onnx")
    assert fidelity.first_difference(path, PICTURES, lacking) == "m/pair/left/Conv2D", "the first part of what is lost"


def test_of_several_names_within_a_node_s_the_first_and_longest_is_meant(tmp_path: Path) -> None:
    path = network(tmp_path / "m.onnx", stem_w=2 * WEIGHTS["stem_w"])
    scaled = layers()["stem"]
    names = {"Conv2D": scaled, "st": scaled, "stem": scaled, "stem/Conv": scaled, "tem/Conv2D": scaled}
    assert fidelity.first_difference(path, PICTURES, names) == "stem/Conv"


def test_what_counts_as_the_output_of_a_layer(tmp_path: Path) -> None:
    one = np.array([[1.0, 2.0, 4.0]], np.float32)
    for share, same in ((0.0009, True), (0.0011, False)):
        other = one + np.array([4 * share, 0, 0], np.float32)
        assert fidelity._known(other, {"a": np.zeros((1, 3), np.float32), "b": one}) is same
    assert not fidelity._known(one, {})
    assert fidelity._known(one, {"flat": one.reshape(1, 1, 3)}), "of another rank"
    assert not fidelity._known(one, {"turned": one.reshape(3, 1)}), "of other channels"
    assert not fidelity._known(np.float32(1), {"a": np.ones(1, np.float32)})
    nothing = np.zeros((1, 3), np.float32)
    assert fidelity._known(nothing, {"a": nothing})
    assert not fidelity._known(np.full((1, 3), 1e-30, np.float32), {"a": nothing})


def test_images_are_run_in_pairs_and_all_come_back(tmp_path: Path) -> None:
    path = file(tmp_path / "m.onnx")
    five = np.arange(15, dtype=np.float32).reshape(5, 1, 1, 3)
    assert fidelity.run(path, five).tolist() == (2 * five.reshape(5, 3)).tolist()
    found = fidelity.run(path, five, extra_outputs=["flat"])
    assert {name: value.tolist() for name, value in found.items()} == {
        "scores": (2 * five.reshape(5, 3)).tolist(), "flat": five.reshape(5, 3).tolist(),
    }  # fmt: skip


def test_what_is_no_probability() -> None:
    rows = np.array([[0.25, 0.75], [0.5, 0.5]], np.float32)
    assert fidelity.are_probabilities(rows)
    assert fidelity.are_probabilities(rows[:1]), "of one image"
    infinite = np.array([[np.inf, 0.5]], np.float32)
    for other in (rows[0], rows[:, :1] * 0 + 1, infinite, rows + 2e-4, rows - np.float32([0.3, -0.3])):
        assert not fidelity.are_probabilities(other.astype(np.float32))
    assert fidelity.are_probabilities(rows + np.float32(2e-5))
    half = np.full((1, 4096), 1 / 4096, np.float16)
    assert fidelity.are_probabilities(half), "summed in full precision"


def test_the_class_may_be_one_that_rounding_cannot_tell_from_the_largest() -> None:
    got = np.array([[1.0, 0.0, 0.0]])
    for short, agrees in ((1.9e-2, 1.0), (2.1e-2, 0.0)):
        expected = np.array([[1.0 - short, 1.0, 0.0]])
        assert fidelity.compared(got, expected, 1e-2).top1_agreement == agrees
