"""A planted stall of 200 ms, seen by `bench load` and by a driver that sends a request when the last one is answered.

python -m tests.benchmarks.load_stall

An instance sleeps for 4 ms a request; one of 1,000 requests takes 200 ms more. Open loop at 100 /s, the requests that
come meanwhile wait: about 20 of 1,000 and those behind them, so that p99 is over 100 ms. A closed loop sends none
meanwhile: one of its 1,000 requests is slow, and its p99 does not move. Beside both: what the queue says.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from bench.capacity import queueing
from bench.capacity.arrivals import Poisson
from bench.capacity.queueing import Setup
from bench.capacity.station import Target, station
from bench.records import PlannedCase

COUNT, RATE, AT, STALL_S, SERVICE_S = 1000, 100.0, 500, 0.2, 0.004
ONE = Setup(instances=1)
MADE_UP = Path(__file__).parents[1] / "capacity" / "madeup.py"


def computed(stall_s: float) -> np.ndarray:
    """The response times of the plan, by the queue."""
    services = np.full(COUNT, SERVICE_S)
    services[AT] += stall_s
    order = np.arange(COUNT)[None]
    return queueing.responses(Poisson().plan(RATE, COUNT, 1)[None], {1: services[None]}, ONE, order=order)[0, 0, 0]


def main() -> None:
    print(f"{'':34} {'p50':>8} {'p99':>8} {'max':>8}   ms")

    def show(name: str, times: np.ndarray) -> None:
        p50, p99, most = 1e3 * np.quantile(times, [0.5, 0.99, 1.0])
        print(f"{name:34} {p50:8.1f} {p99:8.1f} {most:8.1f}", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.sleep"
        path.write_text(f"fixed {1e3 * SERVICE_S}")
        case = PlannedCase(name="sleep", model=str(path), device="cpu", provider="bed", threads=1)
        steady = Target(case=case, path=path, runtime=MADE_UP)
        stalled = replace(steady, faults={"stall_at": [AT], "stall_s": STALL_S})
        for name, target, stall_s in (("without a stall", steady, 0.0), ("with one stall", stalled, STALL_S)):
            show(f"{name}, computed", computed(stall_s))
            with station(target, ONE) as running:
                show(f"{name}, open loop", running.serve(Poisson().plan(RATE, COUNT, 1), grace_s=5).responses_s)
            with station(target, ONE) as running:  # all due at once, and each taken when the last is done
                served = running.serve(np.zeros(COUNT), grace_s=60)
            show(f"{name}, closed loop", served.services_s[1])


if __name__ == "__main__":
    main()
