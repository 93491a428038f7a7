"""Is "it wins in 80 % of the resamples" right in 80 of 100 runs?

Runs of eight made-up models whose true p50s are known: visits differ as they do on a quiet machine (2 %), on a busy one
(8 %), or as on one with a fast and a slow phase (14 %, see `bench.analysis.statistics`). Accuracies are published, or
measured on 500 images. Each run chooses within a limit that lies near some model; a choice is right where the true p50s
and accuracies, the latter as uncertain as the run's, would have chosen the same model (or none). Choices are sorted by
the share that their winner wins:

    python -m tests.benchmarks.choice_probability [RUNS]
"""

from __future__ import annotations

import random
import sys
from collections import defaultdict
from dataclasses import replace
from statistics import mean

import numpy as np

from bench.analysis import choice, summary
from bench.analysis.statistics import wilson
from bench.records import Accuracy, Record, Run, Visit
from tests import runs
from tests.analysis.test_choice import record

BINS = (0.0, 0.5, 0.7, 0.9, 0.99, 1.0)
IMAGES = 500
CONDITIONS = ("quiet", "busy", "phases")


def visits(p50_ms: float, condition: str, rng: np.random.Generator) -> list[Visit]:
    """Five visits of twenty samples around a true p50, the median over all visits that could have been."""
    if condition == "phases":
        effects = np.where(rng.random(5) < 0.5, 1.0, 1.14) * np.exp(rng.normal(0, 0.01, 5)) / 1.07
    else:
        effects = np.exp(rng.normal(0, {"quiet": 0.02, "busy": 0.08}[condition], 5))
    template = runs.visits("model", p50_ms)
    return [
        replace(visit, samples_ns=tuple(int(1e6 * p50_ms * effect * s) for s in np.exp(rng.normal(0, 0.004, 20))))
        for visit, effect in zip(template, effects, strict=True)
    ]


def on_images(right: float) -> Accuracy:
    """A measured accuracy with so many images right."""
    low, high = wilson(right, IMAGES)  # type: ignore[arg-type]  # its formula holds for parts of images
    return Accuracy(
        origin="measured",
        top1=100 * right / IMAGES,
        top1_low=100 * low,
        top1_high=100 * high,
        n=IMAGES,
        source="images",
    )


def pair(rng: np.random.Generator, condition: str, *, measured: bool) -> tuple[Run, Run]:
    """A run as it was measured, and as it truly is."""
    seen: list[Record] = []
    true: list[Record] = []
    for number in range(8):
        p50_ms = float(np.exp(rng.uniform(np.log(5), np.log(40))))
        top1 = float(60 + 8 * np.log(p50_ms / 5) + rng.normal(0, 2))
        known = record(f"net {number}", p50_ms, top1, half=1e-9)
        accuracy = true_accuracy = known.accuracy
        if measured:
            accuracy = on_images(int(rng.binomial(IMAGES, top1 / 100)))
            true_accuracy = on_images(top1 / 100 * IMAGES)
        true.append(replace(known, accuracy=true_accuracy))
        taken = summary.summarise(visits(p50_ms, condition, rng), batch_size=1, seed=0)
        seen.append(replace(known, measurement=taken, accuracy=accuracy))
    return runs.run(seen), runs.run(true)


def main() -> None:
    """Print a table a condition."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    print(f"{count} runs each; p50 limits; one that no model meets counts as a choice of none")
    for condition in CONDITIONS:
        for measured in (False, True):
            rng, limits = np.random.default_rng(1), random.Random(1)
            found: dict[int, list[tuple[float, bool]]] = defaultdict(list)
            for _ in range(count):
                run, truth = pair(rng, condition, measured=measured)
                p50s = sorted(r.measurement.p50_ms for r in truth.records if r.measurement)
                limit = {"p50": limits.choice(p50s[1:-1]) * limits.uniform(0.9, 1.15)}
                chosen, right = choice.pick(run, limit), choice.pick(truth, limit)
                named = chosen.winner.case if chosen.winner else None
                wins = {win.case: win.resamples for win in chosen.wins}
                share = (wins.get(named, 0) if named else chosen.resamples - sum(wins.values())) / chosen.resamples
                best = right.winner.case if right.winner else None
                found[max(i for i, low in enumerate(BINS) if share >= low)].append((share, named == best))
            print(f"\n{condition}, accuracies {f'measured on {IMAGES} images' if measured else 'published'}")
            for index in sorted(found):
                shares, rights = zip(*found[index], strict=True)
                low, high = wilson(sum(rights), len(rights))
                print(
                    f"  wins in {100 * mean(shares):5.1f} % of the resamples: right in {100 * mean(rights):5.1f} % "
                    f"[{100 * low:.0f}, {100 * high:.0f}] of {len(rights)} runs"
                )


if __name__ == "__main__":
    main()
