"""Questions to the training worker."""

from __future__ import annotations

from typing import Any

from bench.errors import Failed
from bench.processes import process


def ask(question: dict[str, Any]) -> dict[str, Any]:
    """Have a fresh process answer, see `bench.training.trainer`. Raises Failed with its reason."""
    what = question["do"]
    try:
        answer: dict[str, Any] = process.ask("bench.training.trainer", question, what="the process", keras=True)
    except Failed as error:
        raise Failed(f"{what} failed: {error}") from error
    return answer
