"""ONNX Runtime's own operators as the standard ones whose shape and products they have. Imports onnx: for workers only.

Its optimiser and quantiser write them into the files that they save:
https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import onnx

_DOMAIN = "com.microsoft"
_FIRST, _PAIR, _WEIGHED = slice(0, 1), slice(0, 2), slice(0, 3)

# The standard operator, and the inputs that it takes; scales, zero points and what is added at no product are left out.
_STANDARD: dict[str, tuple[str, slice]] = {
    "BiasGelu": ("Add", _PAIR),
    "DynamicQuantizeMatMul": ("MatMul", _PAIR),
    "FusedConv": ("Conv", _WEIGHED),
    "FusedGemm": ("Gemm", _WEIGHED),
    "Gelu": ("Sigmoid", _FIRST),
    "MatMulIntegerToFloat": ("MatMul", _PAIR),
    "QLinearAdd": ("Add", slice(0, 4, 3)),
    "QLinearConcat": ("Concat", slice(2, None, 3)),
    "QLinearLeakyRelu": ("LeakyRelu", _FIRST),
    "QLinearMul": ("Mul", slice(0, 4, 3)),
    "QLinearSigmoid": ("Sigmoid", _FIRST),
    "QLinearSoftmax": ("Sigmoid", _FIRST),
    "QuickGelu": ("Sigmoid", _FIRST),
}
_POOLS = {"QLinearAveragePool": "AveragePool", "QLinearGlobalAveragePool": "GlobalAveragePool"}


def standardise(graph: onnx.GraphProto) -> dict[str, str]:
    """Make standard operators of ONNX Runtime's own, in every subgraph; others stay.

    Returns what the operators were called, by the first output of their node.
    """
    called = {}
    for node in _nodes(graph):
        if node.domain != _DOMAIN or not node.output:
            continue
        name = node.op_type
        if name in _STANDARD:
            _become(node, _STANDARD[name][0], node.input[_STANDARD[name][1]])
        elif name not in _SPECIAL or not _SPECIAL[name](node):
            continue
        called[node.output[0]] = name
    for value in graph.output:
        if value.name in called:
            value.type.tensor_type.ClearField("elem_type")  # of whole numbers where the operator's own is of floats
    return called


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from _nodes(attribute.g)


def _become(node: onnx.NodeProto, operator: str, inputs: Sequence[str]) -> None:
    kept = list(inputs)
    del node.input[:]
    node.input.extend(kept)
    node.op_type, node.domain = operator, ""


def _fast_gelu(node: onnx.NodeProto) -> bool:
    """Its bias may be missing."""
    biased = len(node.input) > 1 and node.input[1]
    _become(node, "Add" if biased else "Sigmoid", node.input[: 2 if biased else 1])
    return True


def _fused_matmul(node: onnx.NodeProto) -> bool:
    """Either operand may come with its last two dimensions swapped."""
    swapped = {attribute.name for attribute in node.attribute if attribute.i}
    if swapped & {"transBatchA", "transBatchB"}:
        return False
    if not swapped & {"transA", "transB"}:
        _become(node, "MatMul", node.input)
        return True
    a, b = "ji" if "transA" in swapped else "ij", "kj" if "transB" in swapped else "jk"
    del node.attribute[:]
    node.attribute.append(onnx.helper.make_attribute("equation", f"...{a},...{b}->...ik"))
    _become(node, "Einsum", node.input)
    return True


def _pool(node: onnx.NodeProto) -> bool:
    """Only with the channels where the standard has them."""
    if any(attribute.name == "channels_last" and attribute.i for attribute in node.attribute):
        return False
    _become(node, _POOLS[node.op_type], node.input[:1])
    return True


_SPECIAL: dict[str, Callable[[onnx.NodeProto], bool]] = {
    "FastGelu": _fast_gelu,
    "FusedMatMul": _fused_matmul,
    **dict.fromkeys(_POOLS, _pool),
}
