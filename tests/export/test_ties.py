"""The rule by which a file passes, on files made by hand: ties and saturation fail no honest one, one weight does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from bench.export import fidelity

RNG = np.random.default_rng(3)
IMAGES = RNG.normal(size=(6, 12)).astype(np.float32)


def scores(path: Path, weights: NDArray[np.float32], *, softmax: bool = False) -> Path:
    """A file that multiplies its input (batch, n) by weights (n, classes)."""
    nodes = [helper.make_node("MatMul", ["x", "w"], ["logits"], "product")]
    if softmax:
        nodes.append(helper.make_node("Softmax", ["logits"], ["probabilities"], "softmax", axis=-1))
    ends = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", weights.shape[0]])
    outs = helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, ["batch", weights.shape[1]])
    graph = helper.make_graph(nodes, "g", [ends], [outs], [numpy_helper.from_array(weights, "w")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


def drawn(classes: int) -> NDArray[np.float32]:
    return RNG.normal(size=(12, classes)).astype(np.float32)


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float32]:
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return (powers / powers.sum(1, keepdims=True)).astype(np.float32)


def test_tied_scores_fail_no_honest_file(tmp_path: Path) -> None:
    """An untrained network gives whole groups of classes one score; which is the largest is then chance."""
    weights = np.repeat(drawn(1), 40, axis=1)
    expected = np.asarray(IMAGES, np.float64) @ weights
    expected[:, 7] += 7e-9
    found = fidelity.check(scores(tmp_path / "a.onnx", weights), IMAGES, expected)
    assert (found.passed, found.top1_agreement) == (True, 1.0)
    assert found.max_rel < 1e-6


def test_another_class_is_no_tie(tmp_path: Path) -> None:
    weights = drawn(5)
    expected = np.asarray(IMAGES, np.float64) @ weights
    best = expected.argmax(1)
    gap = np.sort(expected, 1)[:, -1] - np.sort(expected, 1)[:, -2]
    swapped = expected.copy()
    swapped[0, best[0]] -= gap[0] + 3 * fidelity.TOLERANCE * np.abs(expected).max()
    found = fidelity.check(scores(tmp_path / "a.onnx", weights), IMAGES, swapped)
    assert not found.passed
    assert found.top1_agreement == pytest.approx(5 / 6)


@pytest.mark.parametrize("is_softmax", [False, True])
def test_one_changed_weight_fails(tmp_path: Path, is_softmax: bool) -> None:
    weights = drawn(9)
    logits = np.asarray(IMAGES, np.float64) @ weights
    expected = softmax(logits) if is_softmax else logits
    assert fidelity.check(scores(tmp_path / "a.onnx", weights, softmax=is_softmax), IMAGES, expected).passed
    changed = weights.copy()
    changed[4, 2] *= 1.01
    assert not fidelity.check(scores(tmp_path / "b.onnx", changed, softmax=is_softmax), IMAGES, expected).passed


def test_just_within_and_just_beyond_the_tolerance(tmp_path: Path) -> None:
    weights = drawn(9)
    path = scores(tmp_path / "a.onnx", weights)
    expected = np.asarray(fidelity.run(path, IMAGES), np.float64)
    size = np.abs(expected).max()
    for share, passes in ((0.9, True), (1.1, False)):
        other = expected.copy()
        other[3, 4] += share * 2e-5 * size
        assert fidelity.check(path, IMAGES, other).passed == passes


def test_a_class_that_is_certain_passes(tmp_path: Path) -> None:
    """Its logarithm is 0 for Keras and -6e-8 for the file, of which no share can be taken."""
    weights = np.zeros((12, 4), np.float32)
    weights[:, 1] = 200 * np.sign(drawn(1)[:, 0])
    images = (np.sign(weights[:, 1]) * np.abs(IMAGES)).astype(np.float32)
    expected = np.zeros((6, 4), np.float32)
    expected[:, 1] = 1 - 6e-8
    found = fidelity.check(scores(tmp_path / "a.onnx", weights, softmax=True), images, expected)
    assert (found.passed, found.top1_agreement) == (True, 1.0)
    assert not fidelity.check(tmp_path / "a.onnx", images, np.roll(expected, 1, axis=1)).passed


def test_what_probabilities_are() -> None:
    rows = softmax(np.asarray(RNG.normal(size=(4, 6))))
    assert fidelity.are_probabilities(rows)
    assert fidelity.are_probabilities(np.stack([rows, rows], axis=1))
    for other in (rows * 1.01, rows - 0.2, np.ones((4, 1)), np.full((4, 6), np.nan), np.log(rows)):
        assert not fidelity.are_probabilities(other.astype(np.float32))


def test_no_number_and_another_shape_fail(tmp_path: Path) -> None:
    path = scores(tmp_path / "a.onnx", drawn(5))
    expected = fidelity.run(path, IMAGES)
    assert not fidelity.check(path, IMAGES, np.full_like(expected, np.nan)).passed
    assert not fidelity.check(path, IMAGES, expected[:, :-1]).passed
