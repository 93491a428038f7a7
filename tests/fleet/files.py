"""Small .onnx files of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def write_models(folder: Path, names: Sequence[str]) -> list[str]:
    """Networks of one product, each of another size; their paths."""
    paths = []
    for number, name in enumerate(names):
        weights = np.random.default_rng(number).standard_normal((8, 40 + 10 * number)).astype(np.float32)
        graph = helper.make_graph(
            [helper.make_node("MatMul", ["x", "w"], ["y"])],
            name,
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 8))],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 40 + 10 * number))],
            [numpy_helper.from_array(weights, "w")],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
        model.ir_version = 8
        size = len(model.SerializeToString())
        model.doc_string = "." * ((2 - size) % 10 or 10)  # sizes that end in 4: none is one that fails
        paths.append(str(folder / f"{name}.onnx"))
        onnx.save(model, paths[-1])
    return paths
