"""backbench: which vision backbone to ship on this machine, and whether the answer can be trusted."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.analysis.candidates import Candidate as Candidate
    from bench.analysis.choice import Choice as Choice
    from bench.analysis.choice import pick as pick
    from bench.errors import BenchError as BenchError
    from bench.notebook import Comparison as Comparison
    from bench.notebook import Run as Run
    from bench.notebook import compare as compare
    from bench.notebook import load as load
    from bench.notebook import run as run
    from bench.records import Accuracy as Accuracy
    from bench.records import Artifact as Artifact
    from bench.records import Case as Case
    from bench.records import Cost as Cost
    from bench.records import Measurement as Measurement
    from bench.records import Record as Record
    from bench.records import Verdict as Verdict
    from bench.report import write_report as write_report
    from bench.suites import Suite as Suite
    from bench.suites import load_suite as load_suite

__version__ = "0.1.0"

_NAMES = {
    "bench.analysis.candidates": ("Candidate",),
    "bench.analysis.choice": ("Choice", "pick"),
    "bench.errors": ("BenchError",),
    "bench.notebook": ("Comparison", "Run", "compare", "load", "run"),
    "bench.records": ("Accuracy", "Artifact", "Case", "Cost", "Measurement", "Record", "Verdict"),
    "bench.report": ("write_report",),
    "bench.suites": ("Suite", "load_suite"),
}
_HOMES = {name: home for home, names in _NAMES.items() for name in names}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    """Import on first use: reading a run must not pay for measuring one."""
    if name not in _HOMES:
        raise AttributeError(f"module 'bench' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
