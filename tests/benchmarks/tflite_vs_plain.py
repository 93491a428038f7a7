"""Our `.tflite` export beside plain `TFLiteConverter.from_keras_model`: seconds and peak memory of every backbone.

    python -m tests.benchmarks.tflite_vs_plain [--rows FILE] [MODEL ...]

Ours are made first, all of them, two at a time, into a cold cache: the wall time of that is the total, with importing
TensorFlow and the check of each file in LiteRT against Keras. Then each model goes through the plain converter, in a
process of its own, with random weights; its seconds are those of building and converting, in the second total also of
importing. A side that dies is recorded as such. With `--rows`, finished rows are kept and not measured again.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench import export, suites
from bench.records import Case

TIMEOUT_S = 900
PLAIN = """
import time
begun = time.perf_counter()
import json, resource, sys
open("/proc/self/oom_score_adj", "w").write("1000")
import tensorflow as tf
from bench import models
name, *shape = sys.argv[1:]
start = time.perf_counter()
content = tf.lite.TFLiteConverter.from_keras_model(models.build(name, input_shape=tuple(map(int, shape)))).convert()
end = time.perf_counter()
peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({"seconds": end - start, "wall_s": end - begun, "peak_bytes": peak_bytes, "size": len(content)}))
"""


def ours(cases: list[Case]) -> dict[str, dict[str, Any]]:
    """What ours needed for each model, or why there is nothing."""
    requests = {export.request(case): case.name for case in cases}
    rows: dict[str, dict[str, Any]] = {}
    before = time.perf_counter()
    for result in export.export(list(requests)):
        if isinstance(result, export.ExportFailure):
            row: dict[str, Any] = {"reason": result.message}
        else:
            made = result.artifact
            row = {"seconds": made.export_s, "peak_bytes": made.export_peak_rss_bytes, "size": made.size_bytes}
            result.path.unlink()  # forty files would fill a small disk
        now = time.perf_counter()
        rows[requests[result.request]] = row | {"wall_s": now - before}  # since the last one: they add up to the whole
        before = now
    return rows


def plain(case: Case) -> dict[str, Any]:
    """What TensorFlow's converter alone needed for a model, or why there is nothing."""
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-c", PLAIN, case.model, *map(str, case.input_shape or ())]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, env=environment, check=False)
    except subprocess.TimeoutExpired:
        return {"reason": f"not done within {TIMEOUT_S} s"}
    if done.returncode:
        last = done.stderr.strip().rpartition("\n")[2][:160]
        return {"reason": "killed" if done.returncode == -9 else f"exit {done.returncode}: {last}"}
    answer: dict[str, Any] = json.loads(done.stdout.strip().rpartition("\n")[2])
    return answer


def main() -> None:
    """Measure, print a row as soon as it is known, then the totals."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("models", nargs="*", help="of the suite keras; all by default")
    parser.add_argument("--rows", type=Path)
    given = parser.parse_args()
    cases = [
        replace(case, runtime="litert") for case in suites.select(suites.load_suite(("keras",)).cases, given.models)
    ]
    known = given.rows.read_text().splitlines() if given.rows and given.rows.is_file() else []
    rows = {row["model"]: row for row in map(json.loads, known)}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["BACKBENCH_CACHE"] = folder
        made = ours([case for case in cases if case.name not in rows])
    for case in cases:
        if case.name not in rows:
            rows[case.name] = {"model": case.name, "ours": made[case.name], "plain": plain(case)}
            if given.rows:
                with given.rows.open("a") as file:
                    file.write(json.dumps(rows[case.name]) + "\n")
        row = rows[case.name]
        print(f"{case.name:20}ours: {_shown(row['ours'])}   plain: {_shown(row['plain'])}", flush=True)
    for name in ("ours", "plain"):
        finished = [row[name] for row in rows.values() if "reason" not in row[name]]
        seconds = sum(one["seconds"] for one in finished)
        print(f"{name}: {len(finished)} of {len(rows)} files; {seconds:.0f} s of building and converting, "
              f"{sum(one['wall_s'] for one in finished):.0f} s of wall time; at most "
              f"{max(one['peak_bytes'] for one in finished) / 1e9:.1f} GB")  # fmt: skip


def _shown(one: dict[str, Any]) -> str:
    if "reason" in one:
        return str(one["reason"])
    return f"{one['seconds']:6.1f} s {one['peak_bytes'] / 1e9:5.2f} GB {one['size'] / 1e6:6.1f} MB"


if __name__ == "__main__":
    main()
