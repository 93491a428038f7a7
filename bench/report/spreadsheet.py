"""Runs as CSV: a row a case, units in the column names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from bench.analysis import precision
from bench.records import Record, Run
from bench.report import Material
from bench.report.families import family
from bench.store import machine_name, write_atomically

_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a cell that begins so is a formula to a spreadsheet


def write_csv(material: Material, out: Path) -> Path:
    """Write all runs, oldest first, as UTF-8."""
    write_atomically(out, frame(material.runs).to_csv(index=False, lineterminator="\n").encode())
    return out


def frame(runs: tuple[Run, ...]) -> pd.DataFrame:
    """A row a case of each run. A text that a spreadsheet would run as a formula is set behind an apostrophe."""
    rows = [_row(run, record) for run in runs for record in run.records]
    return pd.DataFrame([{key: _safe(value) for key, value in row.items()} for row in rows])


def _row(run: Run, record: Record) -> dict[str, Any]:
    case, cost, artifact, m, accuracy = (
        record.case, record.cost, record.artifact, record.measurement, record.accuracy
    )  # fmt: skip
    measured = (
        "p50_ms", "p50_ms_low", "p50_ms_high", "p90_ms", "p95_ms", "p99_ms", "min_ms", "throughput_per_s", "load_ms",
        "first_inference_ms", "peak_rss_bytes", "visits", "disturbed_visits", "samples",
    )  # fmt: skip
    return {
        "suite": run.suite,
        "started_at": run.started_at,
        "machine": machine_name(run.machine),
        "onnxruntime": run.machine.may_drift.get("onnxruntime"),
        "case": case.name,
        "model": case.model,
        "family": family(case),
        "input_shape": "x".join(map(str, case.input_shape)) if case.input_shape else None,
        **{key: getattr(case, key) for key in ("precision", "batch_size", "device", "provider", "threads")},
        "sha256": artifact.sha256 if artifact else None,
        "size_bytes": artifact.size_bytes if artifact else None,
        "mult_adds": cost.mult_adds if cost else None,
        "params": cost.params if cost else None,
        **{key: getattr(accuracy, key) for key in ("top1", "top1_low", "top1_high", "top5")},
        "map": accuracy.detection.map if accuracy.detection else None,
        "agreement_with_fp32": agreed[0] if (agreed := precision.agreement(record)) else None,
        "accuracy_origin": accuracy.origin,
        "accuracy_source": accuracy.source,
        **{key: getattr(m, key) if m else None for key in measured},
        "error": record.error,
    }


def _safe(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
