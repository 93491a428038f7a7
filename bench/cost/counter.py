"""The process that counts: a case a question."""

from __future__ import annotations

from typing import Any

import msgspec

from bench.cost import cases
from bench.records import Case


def answer(asked: dict[str, Any]) -> cases.Answer:
    """The layers of a case, or what stands in the way."""
    return cases.answer(msgspec.convert(asked, Case))
