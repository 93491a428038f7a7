"""Runs as a table of data: a row a case, units in the column names."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from bench.analysis import quality, quantities
from bench.records import Record, Run
from bench.report import Material
from bench.report.families import family
from bench.store import machine_name, write_atomically

_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a cell that begins so is a formula to a spreadsheet


def write_csv(material: Material, out: Path) -> Path:
    """Write all runs, oldest first, as UTF-8. A text that would run as a formula is set behind an apostrophe."""
    safe = frame(material.runs).map(_safe)
    write_atomically(out, safe.to_csv(index=False, lineterminator="\n").encode(errors="replace"))
    return out


def frame(runs: Iterable[Run]) -> pd.DataFrame:
    """A row a case of each run; of every quantity its value and, where it can have one, its 95 % interval."""
    return pd.DataFrame([_row(run, record) for run in runs for record in run.records])


def _row(run: Run, record: Record) -> dict[str, Any]:
    case, accuracy = record.case, record.accuracy
    row: dict[str, Any] = {
        "suite": run.suite,
        "started_at": run.started_at,
        "machine": machine_name(run.machine),
        "runtime": run.runtimes[case.runtime],
        "case": case.name,
        "model": case.model,
        "family": family(case),
        "input_shape": "x".join(map(str, case.input_shape)) if case.input_shape else None,
        **{key: getattr(case, key) for key in ("precision", "batch_size", "device", "provider", "threads")},
        "sha256": record.artifact.sha256 if record.artifact else None,
    }
    for one in quantities.shown("csv"):
        row[one.field] = one.read(record)
        if one.interval is not None:
            low, high = one.interval(record) or (None, None)
            row |= {f"{one.field}_low": low, f"{one.field}_high": high}
    return row | {
        "uncounted": ", ".join(record.cost.uncounted) or None if record.cost else None,
        "agreement_with_fp32": agreed[0] if (agreed := quality.agreement(record)) else None,
        "accuracy_origin": accuracy.origin,
        "accuracy_source": accuracy.source,
        "error": record.error,
    }


def _safe(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
