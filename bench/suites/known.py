"""The folder of the suites, and the facts of the backbones that it holds."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

_PACKAGE = Path(__file__).resolve().parent.parent
_SOURCE_TREE, _INSTALLED = _PACKAGE.parent / "suites", _PACKAGE / "_suites"
FOLDER = _SOURCE_TREE if _SOURCE_TREE.is_dir() else _INSTALLED


@cache
def backbones() -> dict[str, dict[str, Any]]:
    """Facts of every known backbone by name, from `suites/families.json`."""
    loaded: dict[str, dict[str, Any]] = json.loads((FOLDER / "families.json").read_text(encoding="utf-8"))
    return loaded
