"""Questions to the training worker."""

from __future__ import annotations

from typing import Any

from bench import worker
from bench.errors import Failed


def ask(question: dict[str, Any]) -> dict[str, Any]:
    """Have a fresh process answer, see `bench.training.worker`. Raises Failed with its reason."""
    what = question["do"]
    try:
        return worker.ask("bench.training.worker", question, what="the process")
    except Failed as error:
        raise Failed(f"{what} failed: {error}") from error
