"""The examples in docstrings are true."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BUILDS_NETWORKS = {"bench.export.clean"}  # imports Keras
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in (ROOT / "bench").rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in BUILDS_NETWORKS)) for name in MODULES]
)
def test_examples(name: str) -> None:
    failed, tried = doctest.testmod(importlib.import_module(name))
    assert tried > 0
    assert failed == 0


def test_the_modules_with_examples_are_seen() -> None:
    assert {"bench.analysis.statistics", "bench.cost.formulas", "bench.trust.trial"} <= set(MODULES)
