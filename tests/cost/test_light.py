"""The nine networks that the package onnx brings, of opset 9, with weights that a node fills: counted like any other.

The mult-adds are those of onnx-tool 1.0.1 for convolutions and products, less the additions of biases that it counts
as mult-adds, too; the parameters are the elements of everything that the graph fills.
"""

from __future__ import annotations

from math import prod
from pathlib import Path

import onnx
import pytest
from onnx import numpy_helper

from bench.cost import onnx_graph, total

FOLDER = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
BIASES = {  # onnx-tool's conv + gemm; elements to which a bias is added
    "bvlc_alexnet": (655_170_024, 609_640),
    "densenet121": (2_834_162_664, 1_000),
    "inception_v1": (1_434_570_984, 3_014_632),
    "inception_v2": (2_018_852_840, 1_000),
    "resnet50": (4_089_185_256, 1_000),
    "shufflenet": (124_966_584, 302_056),
    "squeezenet": (351_741_288, 2_589_352),
    "vgg19": (19_646_923_752, 14_861_288),
    "zfnet512": (1_483_254_888, 1_527_880),
}
KNOWN_PARAMS = {"vgg19": 143_667_240, "squeezenet": 1_235_496, "bvlc_alexnet": 60_965_224}


@pytest.mark.parametrize("name", BIASES)
def test_the_networks_inside_the_onnx_package_are_counted(name: str) -> None:
    path = FOLDER / f"light_{name}.onnx"
    found = total(onnx_graph.layers(path))
    with_biases, biases = BIASES[name]
    graph = onnx.load(path).graph
    read = {name for node in graph.node for name in node.input}
    sizes = {t.name: numpy_helper.to_array(t) for t in graph.initializer if t.data_type == onnx.TensorProto.INT64}
    filled = sum(prod(map(int, sizes[node.input[0]])) for node in graph.node if node.op_type == "ConstantOfShape")
    filled += sum(prod(t.dims) for t in graph.initializer if t.data_type == onnx.TensorProto.FLOAT and t.name in read)
    assert (found.uncounted, found.activation_bytes is None) == ((), False)
    assert found.mult_adds == with_biases - biases
    assert found.params == filled == KNOWN_PARAMS.get(name, filled)


def test_all_of_them_are_here() -> None:
    assert {path.stem.removeprefix("light_") for path in FOLDER.glob("light_*.onnx")} == set(BIASES)
