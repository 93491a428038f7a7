"""p50 through a Dask worker against the same by hand, and beside an idle worker: ratios, interleaved.

python -m tests.benchmarks.fleet_overhead [TRIPLES] [--threads N]    on a quiet machine; 4 s for each of 30

A worker with TLS waits on this machine. A triple has three visits to one file, in shuffled order: by hand with the
worker stopped (SIGSTOP), by hand beside the idle worker, and through the worker. The ratio is the Hodges-Lehmann mean
of the logarithms of a triple's ratios, which a shift of the machine in a few of them does not move; its interval comes
from resampling triples.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from bench.analysis.statistics import hodges_lehmann
from bench.fleet import certificates, cluster
from bench.fleet.place import Judge, There
from bench.machine import facts
from bench.pipeline.place import Here
from bench.records import PlannedCase, Settings, Visit
from bench.timing import Target

WARMUP_S, MIN_TIME_S = 0.5, 0.5


def write_network(path: Path, channels: int = 64, layers: int = 8) -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng, nodes, weights, last = np.random.default_rng(0), [], [], "x"
    for i in range(layers):
        values = rng.standard_normal((channels, channels if i else 3, 3, 3)) / math.sqrt(9 * channels)
        weights.append(numpy_helper.from_array(values.astype(np.float32), f"w{i}"))
        nodes.append(helper.make_node("Conv", [last, f"w{i}"], [f"v{i}"], pads=[1] * 4))
        last = f"v{i}"
    graph = helper.make_graph(
        [*nodes, helper.make_node("GlobalAveragePool", [last], ["y"])], "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3, 56, 56))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, channels, 1, 1))], weights,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, path)


def p50(visit: Visit) -> float:
    return statistics.median(visit.samples_ns) / 1e6


def ratio(ours: list[float], theirs: list[float]) -> str:
    logs = np.log(np.array(ours) / np.array(theirs))
    rng = np.random.default_rng(0)
    draws = [hodges_lehmann(rng.choice(logs, len(logs)).tolist()) for _ in range(400)]
    low, high = np.quantile(draws, [0.025, 0.975])
    return f"{math.exp(hodges_lehmann(logs.tolist())):.4f} [{math.exp(low):.4f}, {math.exp(high):.4f}]"


def main() -> None:
    import subprocess

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("triples", type=int, nargs="?", default=30)
    parser.add_argument("--threads", type=int, default=facts.cores_given())
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, processes = Path(name), []
        tls = certificates.write(folder / "tls")
        url = "tls://127.0.0.1:18799"
        bench = [sys.executable, "-m", "bench.cli"]
        for words in (["scheduler", "--port", "18799", "--host", "127.0.0.1"], ["worker", url]):
            processes.append(subprocess.Popen([*bench, "fleet", *words, "--tls", str(tls)], stderr=subprocess.DEVNULL))
        try:
            measure(folder, url, tls, processes[1].pid, asked.triples, asked.threads)
        finally:
            for process in processes:
                os.kill(process.pid, signal.SIGCONT)
                process.kill()


def measure(folder: Path, url: str, tls: Path, worker: int, triples: int, threads: int) -> None:
    begun = time.monotonic()
    while True:
        try:
            connection = cluster.Cluster(url, tls=tls)
            machines, _ = connection.machines()
            if machines:
                break
        except cluster.Failed:
            pass
        if time.monotonic() - begun > 60:
            raise SystemExit("no worker came")
        time.sleep(0.5)
    there, here = There(connection, machines[0], Judge()), Here()
    path = folder / "network.onnx"
    write_network(path)
    case = PlannedCase(name="network", model=str(path), device="cpu", provider="CPUExecutionProvider", threads=threads)
    settings = Settings(rounds=1, min_time_s=MIN_TIME_S, min_count=12, warmup_s=WARMUP_S, budget_s=None, seed=0,
                        device="cpu", provider="CPUExecutionProvider")  # fmt: skip
    target, rng = Target(case, path), random.Random(0)
    seen: dict[str, list[float]] = {"by hand": [], "beside": [], "through": []}
    there.visit(target, 0, settings)
    for number in range(triples):
        order = list(seen)
        rng.shuffle(order)
        for way in order:
            if way == "by hand":
                os.kill(worker, signal.SIGSTOP)
            visit = (there if way == "through" else here).visit(target, number, settings)
            os.kill(worker, signal.SIGCONT)
            seen[way].append(p50(visit))
    said = dict(connection.machines(fresh=True)[0][0].said)
    print(f"{triples} triples, p50 by hand {statistics.median(seen['by hand']):.3f} ms, {threads} threads")
    print(f"through a Dask worker over by hand: {ratio(seen['through'], seen['by hand'])}")
    print(f"beside an idle worker over by hand: {ratio(seen['beside'], seen['by hand'])}")
    print(f"the worker's own processor time: {100 * said['idle_share']:.2f} % of a core")


if __name__ == "__main__":
    main()
