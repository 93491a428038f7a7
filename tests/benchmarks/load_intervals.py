"""Whether the intervals and verdicts of `bench load` are true, on queues whose truth is known.

python -m tests.benchmarks.load_intervals [--runs 200] [--sleeping]

1. Response times: p50, p90 and p99 of M/D/1 and M/M/1 by `estimate.quantiles`, of the service times of one short run at
   a utilisation of 0.3 to 0.8: how often the interval covers the closed form; wanted: 95 %. And by a step's own
   response times (`estimate.of_step`).
2. Capacity: whole searches of M/M/1, with processes that differ by 3 %: how often the interval covers the true one, and
   how often it lies above; wanted: 2.5 %.
3. Verdicts: cameras, and loads 2, 5 and 10 % above the true capacity, with processes that differ by 3 %: how often
   "holds" is said of what does not hold; wanted: 1 % at most.

With --sleeping the runs of the first part are real: instances that sleep for the service times. What waking late adds
to a service is then part of the truth that is not known in closed form; at 5 ms a service it is about 1 %.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from bench.capacity import estimate, queueing, searching
from bench.capacity.arrivals import Poisson
from bench.capacity.queueing import Setup
from bench.capacity.station import Target, station
from bench.machine import facts
from bench.records import LoadAsked, PlannedCase
from tests.capacity import simulated
from tests.capacity.test_queueing import md1_waiting, mm1_quantile

ONE = Setup(instances=1)
MEAN_S = 0.005
QS = (0.5, 0.9, 0.99)
REQUESTS = 400  # of a short run: 2 to 7 s
MADE_UP = Path(__file__).parents[1] / "capacity" / "madeup.py"


def truth(kind: str, q: float, rate: float) -> float:
    if kind == "exponential":
        return mm1_quantile(q, rate, MEAN_S)
    if q <= 1 - rate * MEAN_S:
        return MEAN_S
    high = MEAN_S
    while md1_waiting(high, rate, MEAN_S) < q:  # the series is exact only for small multiples of a service
        high += MEAN_S
    low = high - MEAN_S
    while high - low > 1e-9:
        middle = (low + high) / 2
        low, high = (middle, high) if md1_waiting(middle, rate, MEAN_S) < q else (low, middle)
    return low + MEAN_S


def run_of(kind: str, rate: float, seed: int, sleeping: bool) -> tuple[Any, Any]:
    """The response times and service times of one short run."""
    planned = Poisson().plan(rate, REQUESTS, seed)
    if sleeping:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.sleep"
            path.write_text(f"{kind} {1e3 * MEAN_S}")
            case = PlannedCase(name="sleep", model=str(path), device="cpu", provider="bed", threads=1)
            with station(Target(case=case, path=path, runtime=MADE_UP), ONE) as running:
                served = running.serve(planned, grace_s=5)
        return served.responses_s, served.services_s
    rng = np.random.default_rng([seed, 1])  # not the arrivals' numbers again
    services = rng.exponential(MEAN_S, REQUESTS) if kind == "exponential" else np.full(REQUESTS, MEAN_S)
    order = np.arange(REQUESTS)[None]
    return queueing.responses(planned[None], {1: services[None]}, ONE, order=order)[0, 0, 0], {1: services}


def coverage(runs: int, sleeping: bool) -> None:
    print(f"{'law':12} {'rho':>5} {'p50':>7} {'p90':>7} {'p99':>7}   p99 of a step's own response times")
    total = dict.fromkeys(QS, 0)
    count = of_own = 0
    for kind in ("fixed", "exponential"):
        for rho in (0.3, 0.5, 0.7, 0.8):
            rate, hits, own = rho / MEAN_S, dict.fromkeys(QS, 0), 0
            each = max(1, runs // 8) if sleeping else runs
            for run in range(each):
                responses, services = run_of(kind, rate, 1000 * run + int(100 * rho), sleeping)
                for q, found in zip(
                    QS, estimate.quantiles([services], ONE, rate, Poisson(), QS, seed=run), strict=True
                ):
                    low, high = found.interval()
                    hits[q] += low * 0.995 <= truth(kind, q, rate) <= high * 1.005  # simulated with 24 streams
                _, (low, high), _ = estimate.of_step(responses, services, ONE, rate, Poisson(), 0.99, seed=run)
                own += low <= truth(kind, 0.99, rate) <= high
            count, of_own = count + each, of_own + own
            total = {q: total[q] + hits[q] for q in QS}
            shares = " ".join(f"{100 * hits[q] / each:6.1f}%" for q in QS)
            print(f"{kind:12} {rho:5.2f} {shares}   {100 * own / each:.1f}%", flush=True)
    shares = " ".join(f"{100 * total[q] / count:6.1f}%" for q in QS)
    print(f"{'all':12} {'':5} {shares}   {100 * of_own / count:.1f}%   of {count} runs", flush=True)


def differing(spread: float) -> Any:
    """An opener whose every station is faster or slower than the last one, as processes are."""
    from contextlib import contextmanager

    rng = np.random.default_rng(0)

    @contextmanager
    def opened(target: Target, setup: Setup) -> Any:
        factor = math.exp(rng.normal(0, spread))
        yield simulated.Simulated(simulated.exponential(MEAN_S * factor), setup, rng)

    return opened


def searches(runs: int) -> None:
    facts.cores_given = lambda: 1  # type: ignore[assignment]
    searching.lock.measuring = lambda: nullcontext()  # type: ignore[assignment]
    limit_ms, spread = 50.0, 0.03
    rng = np.random.default_rng(1)
    # The truth for processes that differ: as many requests are served by each of them.
    pool = [{1: rng.exponential(MEAN_S * math.exp(z), 4000)} for z in rng.normal(0, spread, 60)]
    each = [1 / float(np.mean(visit[1])) - math.log(100) / (limit_ms / 1e3) for visit in pool]
    true = estimate.capacity(pool, ONE, limit_ms / 1e3, Poisson(), seed=5, error=False).value
    print(f"true capacity {true:.1f} /s; of single processes {min(each):.0f} to {max(each):.0f}")
    with tempfile.TemporaryDirectory() as folder:
        target = simulated.target(Path(folder))
        opened = differing(spread)
        covered = above = 0
        widths = []
        for run in range(runs):
            found = searching.search(target, LoadAsked(p99_ms=limit_ms, budget_s=1e9, seed=run), opened=opened)
            covered += found.rate_per_s_low <= true <= found.rate_per_s_high
            above += true < found.rate_per_s_low
            widths.append(found.rate_per_s_high / found.rate_per_s - 1)
        print(f"capacity: covered in {covered} of {runs}, above the true one in {above}; "
              f"half the width {100 * float(np.median(widths)):.1f} %, median", flush=True)  # fmt: skip
        for beyond in (0.02, 0.05, 0.10, -0.10):
            verdicts: dict[str, int] = {}
            fps = true * (1 + beyond)
            for run in range(runs):
                asked = LoadAsked(p99_ms=limit_ms, streams=200, fps=fps / 200, budget_s=1e9, seed=run)
                found = searching.search(target, asked, opened=opened)
                verdicts[found.verdict] = verdicts.get(found.verdict, 0) + 1
            print(f"200 streams, {100 * beyond:+.0f} % of Poisson's capacity: {verdicts}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--sleeping", action="store_true")
    parser.add_argument("--part", choices=["coverage", "searches"])
    given = parser.parse_args()
    if given.part != "searches":
        coverage(given.runs, given.sleeping)
    if given.part != "coverage" and not given.sleeping:
        searches(given.runs)
