"""`bench load` beside MLPerf's LoadGen: the same file, the same seed, the same core, in turn.

python -m tests.benchmarks.loadgen FILE.onnx [--repeats 3] [--seconds 20] [--rate-share 0.6]

Server: the same planned arrivals, at a share of what one instance of one thread serves at most. SingleStream: one
request after the other. Offline: all at once. Prints p50, p90 and p99 in ms of each side, the ratio of the medians over
the repeats, and its 95 % interval by Student's t on the logarithms of the ratios of neighbouring runs.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from bench import runtimes
from bench.analysis.statistics import student_t975
from bench.capacity.arrivals import Poisson
from bench.capacity.queueing import Setup
from bench.capacity.station import Target, station
from bench.export.own import completed
from bench.processes import process
from bench.suites import case_of_model
from tests.capacity import loadgen

SCRIPT = Path(loadgen.__file__)
QS = (50, 90, 99)


def ours(target: Target, scenario: str, rate: float, count: int, seconds: float, seed: int) -> dict[str, float]:
    with station(target, Setup(instances=1)) as running:
        if scenario == "server":
            times = running.serve(Poisson().plan(rate, count, seed), grace_s=10).responses_s
        else:
            services, of_all = running.saturated(1, seconds)
            if scenario == "offline":
                return {"rate": of_all}
            times = services[1]
    return {f"p{q}": 1e3 * float(np.quantile(times, q / 100)) for q in QS}


def theirs(target: Target, scenario: str, rate: float, count: int, seed: int) -> dict[str, float]:
    cores = sorted(os.sched_getaffinity(0))
    asked: dict[str, Any] = {
        "scenario": scenario, "worker": str(process.WORKER), "runtime": str(runtimes.file(target.case.runtime)),
        "path": str(target.path), "provider": target.case.provider, "seed": seed, "count": count, "batch_size": 1,
        "shapes": target.shapes(1), "rate": rate, "core": cores[0], "cores": cores[1:],
    }  # fmt: skip
    ran = subprocess.run([sys.executable, SCRIPT, json.dumps(asked)], capture_output=True, text=True, check=True)
    told = loadgen.figures(json.loads(ran.stdout)["summary"])
    return {"rate": told["rate"]} if scenario == "offline" else {f"p{q}": told[f"p{q}"] for q in QS}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rate-share", type=float, default=0.6)
    given = parser.parse_args()
    case = completed(case_of_model(str(given.file)).planned(device="cpu", provider="CPUExecutionProvider", threads=1))
    target = Target(case=case, path=given.file)
    with station(target, Setup(instances=1)) as running:
        _, most = running.saturated(1, 2.0)
    rate = given.rate_share * most
    print(f"one instance serves {most:.1f} /s at most; Server at {rate:.1f} /s", flush=True)
    print(f"{'scenario':9} {'':5} {'ours':>9} {'LoadGen':>9}  ratio [95 %]")
    for scenario, share in (("server", 1.0), ("single", 0.5), ("offline", 0.5)):
        seconds = share * given.seconds
        count = int((rate if scenario == "server" else most) * seconds)
        pairs = []
        for repeat in range(given.repeats):
            both = [
                lambda seed=repeat + 1: ours(target, scenario, rate, count, seconds, seed),  # noqa: B023
                lambda seed=repeat + 1: theirs(target, scenario, rate, count, seed),  # noqa: B023
            ]
            order = (0, 1) if repeat % 2 == 0 else (1, 0)
            found = {side: both[side]() for side in order}
            pairs.append((found[0], found[1]))
        for name in pairs[0][0]:
            mine, other = ([pair[side][name] for pair in pairs] for side in (0, 1))
            logs = np.log(np.array(mine) / np.array(other))
            reach = (
                student_t975(len(logs) - 1) * float(logs.std(ddof=1)) / math.sqrt(len(logs))
                if len(logs) > 1
                else math.inf
            )
            low, high = math.exp(logs.mean() - reach), math.exp(logs.mean() + reach)
            print(f"{scenario:9} {name:5} {np.median(mine):9.3f} {np.median(other):9.3f}  "
                  f"{math.exp(logs.mean()):.3f} [{low:.3f}, {high:.3f}]", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
