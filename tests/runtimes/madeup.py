"""A runtime that nobody has: adds x to itself, as often as the file says Add. All that a fourth runtime takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

TITLE = "Made-up"
EXTRA = "madeup"
DISTRIBUTIONS = ("numpy",)  # what it runs on, so that it is installed wherever this test is
SUFFIXES = (".onnx",)
DEVICES = {"cpu": "abacus"}
PROBE = b"Add"
PACE = None
CAN_REST = False
PROGRAM = "print('p50 1.000 ms')\n"


def version() -> str:
    """The version that is imported."""
    return "7.0"


def about() -> dict[str, Any]:
    """How it was built."""
    return {"build": "of beads", "providers": ["abacus"]}


def load(model: str | bytes, options: dict[str, Any]) -> Session:
    """A model of one input of eight numbers."""
    return Session(model if isinstance(model, bytes) else Path(model).read_bytes(), options)


class Session:
    """A model that is loaded."""

    def __init__(self, content: bytes, options: dict[str, Any]) -> None:
        self.inputs = [("x", "float32", [1, 8])]
        self.outputs = ["y"]
        self.steps, self.options = content.count(b"Add"), options

    def calls(self, feeds: dict[str, Any]) -> tuple[Any, Any]:
        """One inference."""
        return lambda: self.run(feeds), None

    def run(self, feeds: dict[str, Any]) -> list[Any]:
        """x + x + ..."""
        y = feeds["x"]
        for _ in range(self.steps):
            y = y + y
        return [y]

    def ran(self) -> dict[str, Any]:
        """What runs."""
        provider = self.options["provider"]
        return {"providers": [provider], "nodes": {provider: self.steps}, "threads": None, "precision": {"f32": 1}}

    def profile(self) -> list[tuple[str, list[list[int]], float]]:
        """Every step takes a microsecond."""
        return [("Add", [[1, 8], [1, 8]], 1e-3) for _ in range(self.steps)]
