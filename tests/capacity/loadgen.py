"""MLPerf's LoadGen driving a model, in a process of its own: the oracle of `bench load`.

python loadgen.py '{"scenario": "server", "worker": ..., "runtime": ..., ...}' prints JSON: what LoadGen says of each
query, in the order in which it was issued, and when it was due. One thread serves, first come first served.
"""

from __future__ import annotations

import importlib.util
import json
import os
import queue
import re
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any


def main() -> None:
    asked = json.loads(sys.argv[1])
    import mlperf_loadgen as lg
    import numpy as np

    found = importlib.util.spec_from_file_location("worker", asked["worker"])
    assert found
    assert found.loader
    worker = importlib.util.module_from_spec(found)
    found.loader.exec_module(worker)
    if asked.get("core") is not None:
        os.sched_setaffinity(0, [asked["core"]])
    runtime = worker._runtime(asked)
    session = runtime.load(asked["path"], {"provider": asked["provider"], "threads": 1})
    call, _ = session.calls(worker._inputs(np, session, asked))
    worker._warm_up(call, 1.0)
    if asked.get("cores"):
        os.sched_setaffinity(0, asked["cores"])  # LoadGen's own threads have another one

    waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
    issued: list[float] = []

    def serve() -> None:
        if asked.get("core") is not None:
            os.sched_setaffinity(0, [asked["core"]])
        while (sample := waiting.get()) is not None:
            call()
            lg.QuerySamplesComplete([lg.QuerySampleResponse(sample.id, 0, 0)])

    def issue(samples: Any) -> None:
        issued.append(time.perf_counter())
        for sample in samples:
            waiting.put(sample)

    thread = threading.Thread(target=serve)
    thread.start()
    settings = lg.TestSettings()
    settings.mode = lg.TestMode.PerformanceOnly
    settings.scenario = {
        "single": lg.TestScenario.SingleStream, "server": lg.TestScenario.Server, "offline": lg.TestScenario.Offline,
    }[asked["scenario"]]  # fmt: skip
    settings.schedule_rng_seed = asked["seed"]
    settings.min_duration_ms = 0
    settings.min_query_count = settings.max_query_count = asked["count"]
    settings.server_target_qps = asked.get("rate", 1.0)
    settings.server_target_latency_ns = int(10e9)
    settings.offline_expected_qps = asked["count"] / 0.9  # of a run that is meant to last a second
    settings.single_stream_expected_latency_ns = 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        output, log = lg.LogOutputSettings(), lg.LogSettings()
        output.outdir, output.copy_summary_to_stdout = folder, False
        log.log_output, log.enable_trace = output, False
        system, library = lg.ConstructSUT(issue, lambda: None), lg.ConstructQSL(8, 8, lambda s: None, lambda s: None)
        lg.StartTestWithLogSettings(system, library, settings, log)
        waiting.put(None)
        thread.join()
        lg.DestroyQSL(library)
        lg.DestroySUT(system)
        summary = (Path(folder) / "mlperf_log_summary.txt").read_text()
        detail = (Path(folder) / "mlperf_log_detail.txt").read_text()
    print(json.dumps({"summary": summary, "issued": issued, "detail": detail[-2000:] if asked.get("detail") else ""}))


def figures(summary: str) -> dict[str, float]:
    """Percentiles in ms and the rate that a summary says."""
    known = {
        float(q): float(ns) / 1e6 for q, ns in re.findall(r"([\d.]+) percentile latency \(ns\)\s*:\s*(\d+)", summary)
    }
    rate = re.search(r"Samples per second\s*:\s*([\d.]+)", summary)
    return {f"p{q:g}": ms for q, ms in known.items()} | ({"rate": float(rate[1])} if rate else {})


if __name__ == "__main__":
    main()
