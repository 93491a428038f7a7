"""False alarms and power of gates over twelve models with made-up pairs: `contest.decide` as it is, without waiting.

    python -m tests.benchmarks.gate_simulation [--gates 1000] [--apart]

Each model scatters by a standard deviation of its own, its pairs by normal or heavy-tailed noise (Student's t with five
degrees of freedom); the budget holds 7 to 11 pairs of each. `--apart` judges every model by itself: its own variance,
an equal part of the error for good. Quantiles of t are SciPy's here, which are the same and faster.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from unittest import mock

import numpy as np
from scipy.stats import t

from bench.analysis import statistics
from bench.analysis.statistics import wilson
from bench.trust import contest, spread
from bench.trust.contest import Contest
from bench.trust.trial import Pair

MODELS = 12
SCATTERS: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "1.2 % each": lambda rng: np.full(MODELS, 0.012),
    "about 0.8 to 1.8 %": lambda rng: np.clip(np.exp(rng.normal(math.log(0.012), 0.3, MODELS)), 0.004, 0.06),
    "about 0.5 to 3 %": lambda rng: np.clip(np.exp(rng.normal(math.log(0.012), 0.6, MODELS)), 0.004, 0.06),
    "0.8 %, one 4 %": lambda rng: np.array([0.008] * (MODELS - 1) + [0.04]),
    "0.8 %, two 2.4 %": lambda rng: np.array([0.008] * (MODELS - 2) + [0.024] * 2),
}
NOISES: dict[str, Callable[[np.random.Generator], float]] = {
    "normal": lambda rng: rng.normal(),
    "heavy": lambda rng: rng.standard_t(5) / math.sqrt(5 / 3),
}


@dataclass
class MadeUp:
    """Two files whose pairs are drawn, each a second of a made-up clock."""

    rng: np.random.Generator
    clock: list[float]
    scatter: float
    change: float
    noise: Callable[[np.random.Generator], float]
    seconds: float = field(init=False)

    def __post_init__(self) -> None:
        self.seconds = MODELS * 10 / (MODELS * self.rng.integers(7, 12))

    def pair(self, number: int) -> Pair:
        """The next pair."""
        self.clock[0] += self.seconds
        ratio = math.exp(math.log1p(self.change) + self.scatter * self.noise(self.rng))
        return Pair(a_p50_ms=10.0, b_p50_ms=10.0 * ratio, a_first=number % 2 == 0, ratio=ratio)


def gate(
    rng: np.random.Generator, scatters: np.ndarray, changes: list[float], noise: Callable[[np.random.Generator], float]
) -> list[Contest]:
    """One gate over made-up models."""
    clock = [0.0]
    contests = [
        Contest(f"{i}", MadeUp(rng, clock, float(scatters[i]), changes[i], noise))  # type: ignore[arg-type]
        for i in rng.permutation(len(changes))
    ]
    quick = mock.patch.multiple(statistics, student_t=lambda p, d: float(t.isf(p / 2, d)),
                                student_t_p=lambda x, d: float(2 * t.sf(abs(x), d)))  # fmt: skip
    with quick, mock.patch.object(contest, "time", SimpleNamespace(monotonic=lambda: clock[0])):
        contest.decide(contests, budget_s=10.0 * MODELS)
    return sorted(contests, key=lambda each: int(each.name))


def verdicts(found: list[Contest]) -> list[str]:
    """The verdict on each model."""
    return [each.judgement.verdict if each.judgement else "none" for each in found]


def main() -> int:
    """Print a line for each scatter, noise and change."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--gates", type=int, default=1000)
    parser.add_argument("--apart", action="store_true")
    given = parser.parse_args()
    if given.apart:
        mock.patch.object(spread, "MOST_DEGREES", 1e-9).start()
        mock.patch.object(Contest, "changed", property(lambda each: False)).start()
    for scatter, noise in ((scatter, noise) for scatter in SCATTERS for noise in NOISES):
        for said, changes in {
            "nothing": [0.0] * MODELS, "3 % in all": [0.03] * MODELS, "5 % in all": [0.05] * MODELS,
            "3 % in one": [0.0] * (MODELS - 1) + [0.03],
        }.items():  # fmt: skip
            rng = np.random.default_rng(1)
            gates = given.gates if said == "nothing" else -(-given.gates // 5)
            found = []
            for _ in range(gates):
                found.append(verdicts(gate(rng, SCATTERS[scatter](rng), changes, NOISES[noise])))
            true = [one[i] for one in found for i in range(MODELS) if changes[i]]
            none = [[one[i] for i in range(MODELS) if not changes[i]] for one in found]
            alarms = sum(bool({"slower", "faster"} & set(one)) for one in none)
            flat = [verdict for one in none for verdict in one]
            low, high = wilson(alarms, gates)
            print(
                f"{scatter:<19}{noise:<7}{said:<11}"
                + (f" seen {100 * true.count('slower') / len(true):5.1f} %" if true else " " * 13)
                + (f" wrong {100 * (1 - (true.count('slower') + true.count('inconclusive')) / len(true)):4.1f} %"
                   if true else " " * 13)
                + (f" equivalent {100 * flat.count('equivalent') / len(flat):5.1f} %, gates with a false alarm "
                   f"{100 * alarms / gates:.2f} % [{100 * low:.2f}, {100 * high:.2f}]" if flat else ""),
                flush=True,
            )  # fmt: skip
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
