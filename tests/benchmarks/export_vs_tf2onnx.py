"""Our exporter beside plain `tf2onnx.convert.from_keras`: seconds, memory, nodes, and p50 of both files, interleaved.

    python -m tests.benchmarks.export_vs_tf2onnx [--pairs 2] [--rows FILE] [MODEL ...]

Ours are made first, all of them, two at a time, into a cold cache: the wall time of that is the total. Then each model
goes through tf2onnx alone, in a process of its own, with the same weights; its seconds are those of the conversion
call (in the totals also with importing and building), ours those of everything from building to the check. Times of
inference are pairs of visits in the order ABBA. A peer that dies, or whose file ONNX Runtime cannot run, is recorded as
such. With `--rows`, finished rows are kept and not measured again.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import geometric_mean, median
from typing import Any

from bench import export, suites
from bench.errors import Failed
from bench.machine import facts, lock
from bench.processes import process
from bench.records import Settings
from bench.timing.schedule import specification

PROVIDER = "CPUExecutionProvider"
TIMEOUT_S = 900
PEER = """
import time
begun = time.perf_counter()
import json, os, resource, sys
open("/proc/self/oom_score_adj", "w").write("1000")
import numpy as np, tensorflow as tf, tf2onnx
from bench import models
from bench.export import skeleton, weights
name, target, preprocess, *shape = sys.argv[1:]
np.__dict__.pop("product", None), np.__dict__.pop("object", None)  # plain tf2onnx, without what skeleton mends
model = models.build(name, input_shape=tuple(map(int, shape)))
softmax = skeleton.split_softmax(model)
built = time.perf_counter()
weights.randomise(model, weights.images(3, model.input_shape[1:], preprocess, 0))
if softmax:
    model.layers[-1].activation = tf.keras.activations.softmax
start = time.perf_counter()
tf2onnx.convert.from_keras(model, opset=18, output_path=target)
seconds = time.perf_counter() - start
wall_s = built - begun + seconds
peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({"seconds": seconds, "wall_s": wall_s, "peak_bytes": peak_bytes}))
"""


def main() -> None:
    """Measure, print a row as soon as it is known, then the totals."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("models", nargs="*", help="of the suite keras; all by default")
    parser.add_argument("--pairs", type=int, default=2)
    parser.add_argument("--rows", type=Path)
    given = parser.parse_args()
    cases = suites.select(suites.load_suite("keras").cases, given.models)
    known = (
        [json.loads(line) for line in given.rows.read_text().splitlines()]
        if given.rows and given.rows.is_file()
        else []
    )
    rows = {row["model"]: row for row in known}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["BACKBENCH_CACHE"] = folder
        ours, wall_s = _ours([case for case in cases if case.name not in rows])
        print(f"ours: {len(ours)} models in {wall_s:.0f} s of wall time", flush=True)
        print(f"{'model':20}{'s':>7}{'s peer':>8}{'GB':>6}{'GB peer':>8}{'nodes':>7}{'peer':>6}{'T':>4}{'peer':>6}"
              f"{'T opt':>6}{'peer':>5}{'R opt':>6}{'peer':>6}{'p50 ms':>9}{'peer':>9}{'ratio':>8}")  # fmt: skip
        for case in cases:
            if case.name not in rows:
                rows[case.name] = _row(case, ours[case.name], Path(folder), given.pairs) | {"wall_s": wall_s}
                if given.rows:
                    with given.rows.open("a") as file:
                        file.write(json.dumps(rows[case.name]) + "\n")
            print(_shown(rows[case.name]), flush=True)
    _totals(list(rows.values()))


def _ours(cases: list[Any]) -> tuple[dict[str, export.Exported], float]:
    start = time.perf_counter()
    found: dict[str, export.Exported] = {}
    for result in export.export([export.request(case) for case in cases]):
        if isinstance(result, export.ExportFailure):
            raise SystemExit(f"ours failed on {result.request.model}: {result.message}")
        found[result.request.model] = result
    return found, time.perf_counter() - start


def _row(case: Any, ours: export.Exported, folder: Path, pairs: int) -> dict[str, Any]:
    target = folder / "peer.onnx"
    target.unlink(missing_ok=True)
    row: dict[str, Any] = {
        "model": case.name,
        "ours": {
            "seconds": ours.artifact.export_s, "peak_bytes": ours.artifact.export_peak_rss_bytes,
            "weights_bytes": 4 * ours.cost.params, "nodes": ours.artifact.nodes,
            "transposes": ours.artifact.transposes, "transposes_optimised": ours.artifact.transposes_optimised,
            "reorders_optimised": ours.artifact.reorders_optimised,
        },
    }  # fmt: skip
    peer, reason = _convert(case, target)
    row["peer"], row["reason"] = peer, reason
    if peer is not None:
        try:
            peer |= _nodes(target, folder)
            row["p50_ms"], row["peer_p50_ms"], row["ratio"] = _times(case, ours.path, target, pairs)
        except Failed as error:
            row["reason"] = f"invalid: {error}"
    target.unlink(missing_ok=True)
    ours.path.unlink()  # both files of forty models would fill a small disk
    return row


def _convert(case: Any, target: Path) -> tuple[dict[str, Any] | None, str | None]:
    preprocess = suites.backbones()[case.model].get("preprocess", "torch")
    arguments = [case.model, str(target), preprocess, *map(str, case.input_shape)]
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "PYTHONWARNINGS": "ignore"}
    try:
        done = subprocess.run([sys.executable, "-c", PEER, *arguments], capture_output=True, text=True,
                              timeout=TIMEOUT_S, env=environment, check=False)  # fmt: skip
    except subprocess.TimeoutExpired:
        return None, f"not done within {TIMEOUT_S} s"
    if done.returncode:
        last = done.stderr.strip().rpartition("\n")[2][:100]
        return None, "killed" if done.returncode == -9 else f"exit {done.returncode}: {last}"
    found: dict[str, Any] = json.loads(done.stdout.strip().rpartition("\n")[2])
    return found, None


def _nodes(path: Path, folder: Path) -> dict[str, int]:
    """Node counts of the peer's file, before and after ONNX Runtime's own optimisation, counted in a process apart."""
    script = (
        "import json, sys, onnxruntime as o; from pathlib import Path; from bench.export import clean\n"
        "s = o.SessionOptions(); t = Path(sys.argv[2]) / 'peer_optimised.onnx'; clean.save_optimised(s, t)\n"
        "o.InferenceSession(sys.argv[1], s, providers=['CPUExecutionProvider'])\n"
        "a, b = clean.node_counts(Path(sys.argv[1])), clean.node_counts(t)\n"
        "print(json.dumps({'nodes': a.total(), 'transposes': a['Transpose'], 'transposes_optimised': b['Transpose'],"
        "'reorders_optimised': b['ReorderInput'] + b['ReorderOutput']}))"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path), str(folder)], capture_output=True, text=True,
                          env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}, check=False)  # fmt: skip
    if done.returncode:
        raise Failed(done.stderr.strip().rpartition("\n")[2][:160])
    found: dict[str, int] = json.loads(done.stdout.strip().rpartition("\n")[2])
    return found


def _times(case: Any, ours: Path, peer: Path, pairs: int) -> tuple[float, float, float]:
    """Median p50 of ours and the peer's, ms, and the median of the pairs' ratios."""
    settings = Settings(rounds=pairs, min_time_s=0.4, min_count=5, warmup_s=1.0, budget_s=None, seed=0, device="cpu",
                        provider=PROVIDER)  # fmt: skip
    planned = case.planned(device="cpu", provider=PROVIDER, threads=facts.cores_given())
    a, b = [], []
    with lock.measuring():
        for number in range(pairs):
            order = ((ours, a), (peer, b)) if number % 2 == 0 else ((peer, b), (ours, a))
            for path, taken in order:
                taken.append(median(process.visit(specification(planned, path, settings))["samples_ns"]) / 1e6)
    return median(a), median(b), median(x / y for x, y in zip(a, b, strict=True))


def _shown(row: dict[str, Any]) -> str:
    one, other = row["ours"], row["peer"] or {}
    text = f"{row['model']:20}{one['seconds']:7.1f}{other.get('seconds', float('nan')):8.1f}"
    text += f"{one['peak_bytes'] / 1e9:6.2f}{other.get('peak_bytes', float('nan')) / 1e9:8.2f}"
    for key, first, second in (("nodes", 7, 6), ("transposes", 4, 6), ("transposes_optimised", 6, 5),
                               ("reorders_optimised", 6, 6)):  # fmt: skip
        text += f"{one[key]:{first}}{other.get(key, '-'):>{second}}"
    if "ratio" in row:
        return text + f"{row['p50_ms']:9.2f}{row['peer_p50_ms']:9.2f}{row['ratio']:8.3f}"
    return f"{text}  tf2onnx: {row['reason']}"


def _totals(rows: list[dict[str, Any]]) -> None:
    managed = [row for row in rows if "ratio" in row]
    walls = {row["wall_s"] for row in rows}
    print(f"ours: {len(rows)} models, {sum(walls):.0f} s of wall time for all on {facts.cores_given()} cores")
    conversion_s, wall_s = (sum(r["peer"][key] for r in managed) for key in ("seconds", "wall_s"))
    print(f"tf2onnx alone: {len(managed)} valid files, {conversion_s:.0f} s of conversion, {wall_s:.0f} s with "
          f"importing and building: {conversion_s / sum(walls):.1f} and {wall_s / sum(walls):.1f} of ours")  # fmt: skip
    over = [r["model"] for r in rows if r["ours"]["peak_bytes"] > max(3e9, 4 * r["ours"]["weights_bytes"])]
    print(f"peak memory above the larger of 3 GB and four times the weights: {', '.join(over) or 'none'}")
    if managed:
        ratios = {row["model"]: row["ratio"] for row in managed}
        worst = max(ratios, key=lambda name: ratios[name])
        print(f"p50 of ours over tf2onnx's: geometric mean {geometric_mean(ratios.values()):.3f}, worst {worst} "
              f"{ratios[worst]:.3f}, best {min(ratios.values()):.3f}")  # fmt: skip


if __name__ == "__main__":
    main()
