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
