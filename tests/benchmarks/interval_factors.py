"""Where `_WIDEN` in `bench.analysis.statistics` comes from: a simulation.

    python -m tests.benchmarks.interval_factors [--tries 2000]

Visits have normal effects (2 % of the true median), samples of one visit spread by 0.5 % with neighbours correlated.
For each number of visits, the factor that the bootstrap's interval has to be widened by, on its log scale, so that it
covers the true median in 95 % of the tries; and the coverage with the factors in force, also with the heavier tails of
Student's t with 3 degrees of freedom.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from unittest.mock import patch

import numpy as np

from bench.analysis import statistics
from bench.analysis.statistics import Array

VISITS = (2, 3, 4, 5, 6, 7, 8, 10, 15)
EFFECT, SPREAD, SAMPLES = 0.02, 0.005, 60

Effects = Callable[[np.random.Generator, int], Array]


def normal(rng: np.random.Generator, count: int) -> Array:
    """Effects of so many visits on the log scale."""
    return rng.normal(0, EFFECT, count)


def heavy(rng: np.random.Generator, count: int) -> Array:
    """The same with the tails of Student's t with 3 degrees of freedom, and as large a deviation."""
    return EFFECT * rng.standard_t(3, count) / math.sqrt(3)


def visits(rng: np.random.Generator, count: int, effects: Effects) -> list[Array]:
    """Samples of so many visits to a case whose true median is 1."""
    noise = rng.normal(0, SPREAD, (count, SAMPLES + 2))
    smooth = (noise[:, :-2] + noise[:, 1:-1] + noise[:, 2:]) / math.sqrt(3)
    return list(np.exp(effects(rng, count)[:, None] + smooth))


def needed(rng: np.random.Generator, count: int, effects: Effects) -> float:
    """By how much the bootstrap's own interval would have to be widened to reach the true median just so."""
    drawn = visits(rng, count, effects)
    with patch.object(statistics, "_WIDEN", {}), patch.object(statistics, "_WIDEN_MORE", 1.0):
        low, high = statistics.interval(drawn, seed=int(rng.integers(1 << 30)))
    centre = math.log(statistics.percentile(drawn, 0.5))
    half = math.log(high) - centre if centre < 0 else centre - math.log(low)
    return abs(centre) / half if half > 0 else math.inf


def main() -> None:
    """Print a row for each number of visits."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tries", type=int, default=2000)
    tries = parser.parse_args().tries
    print("visits  factor in force  factor needed  coverage, normal  coverage, heavy tails")
    for count in VISITS:
        rng = np.random.default_rng(count)
        force = statistics._WIDEN.get(count, statistics._WIDEN_MORE)
        of_normal = np.array([needed(rng, count, normal) for _ in range(tries)])
        of_heavy = np.array([needed(rng, count, heavy) for _ in range(tries)])
        covered = [100 * float((factors <= force).mean()) for factors in (of_normal, of_heavy)]
        wanted = np.quantile(of_normal, 0.95)
        print(f"{count:6}  {force:15.2f}  {wanted:13.2f}  {covered[0]:14.1f} %  {covered[1]:19.1f} %")


if __name__ == "__main__":
    main()
