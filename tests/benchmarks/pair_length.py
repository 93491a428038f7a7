"""How long a process for both files should be timed: the spread of the pairs' ratios by its length, in turn.

python -m tests.benchmarks.pair_length FILE.onnx... [--seconds 0.4 1 2] [--pairs 14] [--beside nothing|one|two]

A file against itself, so that every deviation is noise. Prints for each file and length the standard deviation of the
log ratios in percent, what a pair took, and the spread that as much time buys: deviation x sqrt(seconds a pair).
"""

from __future__ import annotations

import argparse
import random
import time
from collections import defaultdict
from pathlib import Path
from statistics import mean, stdev

from bench.machine import facts, lock
from bench.trust import ab
from tests.benchmarks.compare_power import BESIDE, beside


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--seconds", type=float, nargs="+", default=[0.4, 1.0, 2.0])
    parser.add_argument("--pairs", type=int, default=14)
    parser.add_argument("--beside", choices=list(BESIDE), default="nothing")
    given = parser.parse_args()
    seen: dict[tuple[str, float], list[tuple[float, float]]] = defaultdict(list)
    with lock.measuring(), beside(given.beside):
        for number in range(given.pairs):
            plan = [(file, seconds) for file in given.files for seconds in given.seconds]
            random.Random(number).shuffle(plan)
            for file, seconds in plan:
                ab.BOTH_S = seconds
                begun = time.monotonic()
                sides = ab.Sides(ab.Side(file), ab.Side(file), ab.Setup(threads=facts.cores_given()))
                ratio = sides.pair(number).log_ratio
                seen[file.stem, seconds].append((ratio, time.monotonic() - begun))
    print(f"{'file':24} {'timed':>6} {'deviation':>10} {'a pair':>8} {'for equal time':>15}")
    for (name, seconds), rows in sorted(seen.items()):
        deviation, each = 100 * stdev(ratio for ratio, _ in rows), mean(took for _, took in rows)
        print(f"{name:24} {seconds:4g} s {deviation:8.2f} % {each:6.2f} s {deviation * each**0.5:15.2f}")


if __name__ == "__main__":
    main()
