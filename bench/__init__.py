"""backbench: which vision backbone to ship on this machine, and whether the answer can be trusted."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.analysis.choice import pick as pick
    from bench.analysis.comparison import compare as compare
    from bench.pipeline import run as run
    from bench.report import write_report as write_report
    from bench.suites import load_suite as load_suite

__version__ = "0.1.0"
__all__ = ["compare", "load_suite", "pick", "run", "write_report"]

_HOMES = {
    "compare": "bench.analysis.comparison",
    "load_suite": "bench.suites",
    "pick": "bench.analysis.choice",
    "run": "bench.pipeline",
    "write_report": "bench.report",
}


def __getattr__(name: str) -> Any:
    """Import on first use: reading a run must not pay for measuring one."""
    if name not in _HOMES:
        raise AttributeError(f"module 'bench' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
