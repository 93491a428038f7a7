"""A run in pytest-benchmark's JSON, for `pytest-benchmark compare` and the CI actions that read it."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from bench import __version__
from bench.analysis import quality, summary
from bench.records import Measurement, Record, Run, Visit
from bench.report import Material
from bench.store import write_atomically


def write_json(material: Material, out: Path) -> Path:
    """Write the last run; its raw samples are read from where it is stored."""
    document = export(material.runs[-1], material.visits())
    write_atomically(out, (json.dumps(document, indent=1, sort_keys=True) + "\n").encode(errors="replace"))
    return out


def export(run: Run, visits: Sequence[Visit] = ()) -> dict[str, Any]:
    """The run as pytest-benchmark 5 stores one: a benchmark a measured case, all times in seconds.

    A round is one sample; without raw samples it is the p50 of one visit, and `extra_info` says so.
    """
    by_case: dict[str, list[Visit]] = defaultdict(list)
    for visit in visits:
        by_case[visit.case].append(visit)
    must, drift = run.machine.must_match, run.machine.may_drift
    return {
        "machine_info": {
            "node": "", "processor": str(must.get("cpu", "")), "machine": str(must.get("device", "")),
            "release": "", "system": str(drift.get("os", "")), "python_version": str(drift.get("python", "")),
            "python_implementation": "", "python_implementation_version": "", "python_compiler": "", "python_build": [],
            "cpu": {"brand_raw": str(must.get("cpu", "")), "count": must.get("cores")},
            "backbench": msgspec.to_builtins(run.machine),
        },
        "commit_info": {"id": "unknown", "time": None, "author_time": None, "dirty": False, "project": run.suite,
                        "branch": "unknown"},
        "benchmarks": [
            _benchmark(run, record, record.measurement, summary.counted(by_case[record.case.name]))
            for record in run.records if record.measurement
        ],
        "datetime": run.started_at,
        "version": f"backbench {__version__}",
    }  # fmt: skip


def _benchmark(run: Run, record: Record, m: Measurement, visits: list[Visit]) -> dict[str, Any]:
    samples = np.concatenate([np.asarray(v.samples_ns, dtype=np.float64) for v in visits]) / 1e9 if visits else None
    case, metric = record.case, quality.of([record])
    return {
        "group": run.suite,
        "name": case.name,
        "fullname": f"{run.suite}::{case.name}",
        "params": None,
        "param": None,
        "extra_info": {
            "case": msgspec.to_builtins(case),
            "p50_ms": m.p50_ms, "p50_ms_low": m.p50_ms_low, "p50_ms_high": m.p50_ms_high,
            metric.name: metric.value(record), "accuracy_origin": record.accuracy.origin,
            "mult_adds": record.cost.mult_adds if record.cost else None,
            "params": record.cost.params if record.cost else None,
            "size_bytes": record.artifact.size_bytes if record.artifact else None,
            "rounds_are": "samples" if samples is not None else "visits",
        },
        "options": {
            "disable_gc": False, "timer": "perf_counter", "min_rounds": run.settings.min_count,
            "min_time": run.settings.min_time_s, "max_time": run.settings.min_time_s, "warmup": True,
        },
        "stats": _stats(samples if samples is not None else np.asarray(m.visit_p50_ms) / 1e3),
    }  # fmt: skip


def _stats(seconds: np.ndarray[Any, np.dtype[np.float64]]) -> dict[str, Any]:
    """pytest-benchmark's figures of a set of rounds, by its own definitions (quartiles without interpolation aside)."""
    q1, median, q3 = (float(value) for value in np.quantile(seconds, [0.25, 0.5, 0.75]))
    mean, deviation = float(seconds.mean()), float(seconds.std(ddof=1)) if len(seconds) > 1 else 0.0
    iqr = q3 - q1
    low, high = q1 - 1.5 * iqr, q3 + 1.5 * iqr
    beyond = int((np.abs(seconds - mean) > deviation).sum())
    outside = int(((seconds < low) | (seconds > high)).sum())
    return {
        "min": float(seconds.min()), "max": float(seconds.max()), "mean": mean, "stddev": deviation,
        "median": median, "q1": q1, "q3": q3, "iqr": iqr, "total": float(seconds.sum()), "ops": 1 / mean,
        "rounds": len(seconds), "iterations": 1, "outliers": f"{beyond};{outside}",
        "stddev_outliers": beyond, "iqr_outliers": outside,
        "ld15iqr": float(seconds[seconds >= low].min()), "hd15iqr": float(seconds[seconds <= high].max()),
        "data": [float(value) for value in seconds],
    }  # fmt: skip
