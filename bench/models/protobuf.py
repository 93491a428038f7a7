"""Protocol buffers read in place: the fields of a message, without its schema and without copying what is skipped.

A model's file is mostly weights. What is asked of it here (its inputs, its operators, the files it refers to) lies
between them, and must be known where no library that reads ONNX is installed.
"""

from __future__ import annotations

from collections.abc import Iterator

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_WIDTHS = {_FIXED64: 8, _FIXED32: 4}
_LONGEST_VARINT = 10  # bytes


class Malformed(ValueError):
    """The bytes are no message, or end before it does."""


def fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """The number and the value of every field, in order: a whole number, or the bytes of a text or message.

    Raises Malformed.
    """
    place, end = 0, len(message)
    while place < end:
        tag, place = _varint(message, place)
        number, wire = tag >> 3, tag & 7
        if number == 0:
            raise Malformed("a field has no number")
        if wire == _VARINT:
            value, place = _varint(message, place)
            yield number, value
            continue
        if wire == _BYTES:
            size, place = _varint(message, place)
        elif wire in _WIDTHS:
            size = _WIDTHS[wire]
        else:
            raise Malformed(f"a field is of the unknown kind {wire}")
        if place + size > end:
            raise Malformed(f"{place + size - end:,} bytes are missing at its end")
        content = message[place : place + size]
        place += size
        yield number, content if wire == _BYTES else int.from_bytes(content, "little")


def signed(value: int) -> int:
    """A varint as the signed 64-bit number that it stands for."""
    return value - (1 << 64) if value >> 63 else value


def packed(value: int | memoryview) -> Iterator[int]:
    """The numbers of a repeated field, which come one by one or packed into one value."""
    if isinstance(value, int):
        yield signed(value)
        return
    place = 0
    while place < len(value):
        number, place = _varint(value, place)
        yield signed(number)


def text(value: int | memoryview) -> str:
    """A text; what is no UTF-8 in it is replaced. Raises Malformed for a number."""
    if isinstance(value, int):
        raise Malformed("a text is a number")
    return bytes(value).decode("utf-8", errors="replace")


def message(value: int | memoryview) -> memoryview:
    """A message within a message. Raises Malformed for a number."""
    if isinstance(value, int):
        raise Malformed("a message is a number")
    return value


def number(value: int | memoryview) -> int:
    """A signed whole number. Raises Malformed for anything else."""
    if not isinstance(value, int):
        raise Malformed("a number is a text")
    return signed(value)


def _varint(data: memoryview, place: int) -> tuple[int, int]:
    value = shift = 0
    for count in range(_LONGEST_VARINT):
        if place + count >= len(data):
            raise Malformed("it ends in the middle of a number")
        byte = data[place + count]
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value & (1 << 64) - 1, place + count + 1
    raise Malformed("a number is too long")
