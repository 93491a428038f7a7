"""Pace: how fast the machine ran during a visit, by a fixed piece of work that no model changes.

A chain of small products of matrices, each split over the threads, so that it slows down with the arithmetic and,
above all, with the time that cores take to hand work to each other. Where a host moves a virtual machine's cores apart,
that time doubles for seconds: on 2 cores, a network of many small layers then took 1.9 ms instead of 1.0, ResNet50 41
instead of 36, and no counter of the guest showed it; a large product kept its speed. The chain took 0.38 ms instead of
0.24 in just these visits.
"""

from __future__ import annotations

import base64
import itertools
from functools import cache

_SIDE, _LINKS = 64, 60
_FLOAT, _OPSET, _IR_VERSION = 1, 17, 8


@cache
def chain() -> str:
    """The ONNX file of the chain y = x x ... x for float x of shape (64, 64), in base64.

    Written here, as `onnx` is not installed where models are only timed; field numbers as in onnx.proto.
    """
    names = ["x", *(f"v{i}" for i in range(1, _LINKS)), "y"]
    nodes = [
        _bytes(1, _bytes(1, before.encode()) + _bytes(1, b"x") + _bytes(2, after.encode()) + _bytes(4, b"MatMul"))
        for before, after in itertools.pairwise(names)
    ]
    shape = 2 * _bytes(1, _number(1, _SIDE))
    ends = [_bytes(1, name) + _bytes(2, _bytes(1, _number(1, _FLOAT) + _bytes(2, shape))) for name in (b"x", b"y")]
    graph = b"".join(nodes) + _bytes(2, b"pace") + _bytes(11, ends[0]) + _bytes(12, ends[1])
    model = _number(1, _IR_VERSION) + _bytes(7, graph) + _bytes(8, _number(2, _OPSET))
    return base64.b64encode(model).decode()


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    encoded = b""
    while value > 127:
        encoded += bytes([value & 127 | 128])
        value >>= 7
    return encoded + bytes([value])
