"""Questions to the training worker."""

from __future__ import annotations

from typing import Any

from bench.errors import Failed
from bench.processes import protocol


def ask(question: dict[str, Any]) -> dict[str, Any]:
    """Have a fresh process answer, see `bench.training.trainer`. Raises Failed with its reason."""
    what = question["do"]
    try:
        return protocol.ask("bench.training.trainer", question, what="the process")
    except Failed as error:
        raise Failed(f"{what} failed: {error}") from error
