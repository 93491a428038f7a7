"""Which figure of a run says best what the machine does undisturbed, by data.

    python -m tests.benchmarks.estimators [--visits 30] [FILE.onnx ...]

Each file is visited beside nothing, beside a busy loop, and beside two that come and go. Runs of five visits are drawn
from the visits of one kind, and each candidate is held against its own value of all visits beside nothing: its bias
(how far off it is in the middle) and its spread (how much runs differ), both in percent. A good one has little of both,
whatever ran beside.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import numpy as np

from bench.machine import facts, lock
from bench.records import Settings, Visit
from bench.runtimes.device import DEFAULT
from bench.timing import schedule
from bench.timing.schedule import Target
from bench.trust import ab, selftest
from tests.benchmarks.ab_vs_peers import exported
from tests.benchmarks.compare_power import BESIDE, beside

ROUNDS, DRAWN = 5, 2000

Estimator = Callable[[Sequence[Visit]], float]


def _samples(visits: Sequence[Visit]) -> np.ndarray:
    return np.concatenate([np.asarray(visit.samples_ns, float) for visit in visits])


def _p50s(visits: Sequence[Visit]) -> list[float]:
    return [median(visit.samples_ns) for visit in visits]


def _undisturbed(visits: Sequence[Visit]) -> float:
    return median(_p50s([visit for visit in visits if not visit.disturbances] or visits))


ESTIMATORS: dict[str, Estimator] = {
    "p50 of all samples": lambda visits: float(np.median(_samples(visits))),
    "median of visits' p50": lambda visits: median(_p50s(visits)),
    "median of undisturbed visits' p50": _undisturbed,
    "lowest visit's p50": lambda visits: min(_p50s(visits)),
    "p25 of all samples": lambda visits: float(np.quantile(_samples(visits), 0.25)),
    "p10 of all samples": lambda visits: float(np.quantile(_samples(visits), 0.10)),
    "fastest sample": lambda visits: float(_samples(visits).min()),
}


def visits_of(path: Path, count: int, threads: int, what: str) -> list[Visit]:
    """So many visits to a file, one after the other."""
    from bench.pipeline import Options

    plain, setup = Options(), ab.Setup(threads=threads)
    target: Target = selftest.target(path.stem, path, setup, 0.0)
    settings = Settings(
        rounds=count, min_time_s=plain.min_time_s, min_count=plain.min_count, warmup_s=plain.warmup_s, budget_s=None,
        seed=0, device="cpu", provider=target.case.provider,
    )  # fmt: skip
    with beside(what), lock.measuring():
        return [schedule.one(target, number, settings) for number in range(count)]


def main() -> int:
    """Measure, print a table for each file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--visits", type=int, default=30)
    given = parser.parse_args()
    rng = np.random.default_rng(0)
    print(f"{DEFAULT}, {facts.cores_given()} threads, runs of {ROUNDS} visits")
    for name, path in ({file.stem: file for file in given.files} or exported()).items():
        taken = {what: visits_of(path, given.visits, facts.cores_given(), what) for what in BESIDE}
        print(f"\n{name}\n{'bias / spread [%]':36}" + "".join(f"{'beside ' + what:>20}" for what in BESIDE))
        for label, estimator in ESTIMATORS.items():
            truth = estimator(taken["nothing"])
            cells = []
            for visits in taken.values():
                drawn = [
                    estimator([visits[i] for i in rng.integers(0, len(visits), ROUNDS)]) / truth for _ in range(DRAWN)
                ]
                cells.append(f"{100 * (np.median(drawn) - 1):+.1f} / {100 * np.std(drawn):.1f}")
            print(f"{label:36}" + "".join(f"{cell:>20}" for cell in cells), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
