"""Time by kind of layer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from bench.machine import lock
from bench.timing import profile
from bench.timing.schedule import Target
from tests.timing.test_timing import settings, target


def network(path: Path) -> Target:
    """A depthwise and a pointwise convolution on a large map, between two transposes."""
    shape = (1, 32, 64, 64)
    weights = {"d": (32, 1, 3, 3), "p": (64, 32, 1, 1)}
    nodes = [
        helper.make_node("Transpose", ["x"], ["a"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["a", "d"], ["b"], group=32, pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["b", "p"], ["c"]),
        helper.make_node("Transpose", ["c"], ["y"], perm=[0, 2, 3, 1]),
    ]
    ends = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, size)]
        for name, size in (("x", (1, *shape[2:], 32)), ("y", (1, *shape[2:], 64)))
    ]
    constants = [numpy_helper.from_array(np.ones(size, np.float32), name) for name, size in weights.items()]
    graph = helper.make_graph(nodes, "g", *ends, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, path)
    return target(path)


def test_each_node_is_clocked_under_its_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "PATH", tmp_path / "measuring.lock")
    kinds = profile.by_kind(network(tmp_path / "m.onnx"), settings())
    assert set(kinds) == {"depthwise", "pointwise", "layout"}
    assert all(ms > 0 for ms in kinds.values())


@pytest.mark.parametrize(
    ("operator", "shapes", "kind"),
    [
        ("Conv", [(1, 3, 224, 224), (64, 3, 7, 7), (64,)], "standard"),
        ("Conv", [(1, 64, 56, 56), (64, 1, 1, 1)], "other"),
        ("Conv", [(1, 64, 56, 56), (64, 2, 3, 3)], "grouped"),
        ("Conv", [(1, 64, 56, 56), (64, 64, 1, 1)], "pointwise"),
        ("Conv", [(1, 64, 1, 1), (16, 64, 1, 1)], "dense"),
        ("MatMul", [(1, 1024), (1024, 1000), (1000,)], "dense"),
        ("MatMul", [(1, 56, 56, 96), (96, 384)], "pointwise"),
        ("Layout", [(1, 64, 56, 56)], "layout"),
        ("Mul", [(1, 64, 56, 56), (1, 64, 1, 1)], "other"),
    ],
)
def test_kinds(operator: str, shapes: list[tuple[int, ...]], kind: str) -> None:
    assert profile.kind(operator, shapes) == kind
