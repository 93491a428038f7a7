"""200 machines x 64 cases with made-up durations: what the plan costs, and what Dask's scheduler carries.

python -m tests.benchmarks.fleet_simulation [MACHINES] [CASES] [ROUNDS]

The plan: every machine's own rounds, with visits that answer at once; processor time a visit. The scheduler: as many
workers in one process, each of which answers pinned questions that take 20 ms (made up), one at a time, asked by a
thread for each machine as a fleet does; questions a second, against those that a real fleet asks with visits of 2.5 s.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.records import PlannedCase, Settings, Visit
from bench.timing import Target, visits

QUESTION_S, VISIT_S = 0.02, 2.5


def made_up(text: str) -> str:
    time.sleep(QUESTION_S)
    return text


def plan(cases: int, rounds: int) -> tuple[float, int]:
    """Processor time of one machine's plan in seconds, and its visits."""
    settings = Settings(rounds=rounds, min_time_s=0.4, min_count=12, warmup_s=2.0, budget_s=None, seed=0, device="cpu",
                        provider="CPUExecutionProvider")  # fmt: skip
    targets = [
        Target(PlannedCase(name=f"case {i}", model=f"{i}.onnx", device="cpu", provider="cpu", threads=2), Path(f"{i}"))
        for i in range(cases)
    ]

    def at_once(target: Target, number: int, _: Settings) -> Visit:
        return Visit(
            case=target.case.name, round=number, started_at="2026-01-01T00:00:00Z", samples_ns=(1_000_000,) * 12,
            load_ms=1.0, first_inference_ms=1.0, peak_rss_bytes=1, provider="cpu",
        )  # fmt: skip

    begun = time.process_time()
    count = sum(isinstance(event, Visit) for event in visits(targets, settings, launch=at_once))
    return time.process_time() - begun, count


def scheduler(machines: int, questions: int) -> tuple[float, float]:
    """Questions a second over all machines, and the processor time of the whole process for one."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=machines, threads_per_worker=1, processes=False, dashboard_address=None, memory_limit=0
        ) as cluster,
        Client(cluster) as client,
    ):
        addresses = list(client.scheduler_info(n_workers=-1)["workers"])

        def ask(address: str) -> None:
            for _ in range(questions):
                future = client.submit(made_up, "{}", workers=[address], allow_other_workers=False, pure=False)
                future.result()

        begun, used = time.monotonic(), time.process_time()
        with ThreadPoolExecutor(machines) as pool:
            list(pool.map(ask, addresses))
        took, used = time.monotonic() - begun, time.process_time() - used
    return machines * questions / took, used / (machines * questions)


def main() -> None:
    machines, cases, rounds = (int(word) for word in (sys.argv[1:] + ["200", "64", "5"][len(sys.argv) - 1 :]))
    taken = [plan(cases, rounds) for _ in range(3)]
    seconds, count = statistics.median(s for s, _ in taken), taken[0][1]
    print(f"plan: {count} visits on a machine, {1e3 * seconds / count:.3f} ms of processor time each; "
          f"{machines} machines at once: {100 * machines * seconds / count / VISIT_S:.1f} % of a core")  # fmt: skip
    per_s, used = scheduler(machines, 10)
    print(
        f"scheduler, client and {machines} workers in one process on {os.cpu_count()} cores: {per_s:.0f} questions a "
        f"second, {1e3 * used:.2f} ms of processor time each; such a fleet asks {machines / VISIT_S:.0f} a second"
    )


if __name__ == "__main__":
    main()
