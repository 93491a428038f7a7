"""False alarms and detection of our `ab` and `compare` beside the usual practice, on the same files in the same time.

    python -m tests.benchmarks.ab_vs_peers [--pairs 40] [--tries 10] [--budget 30] [--only runs|ab] [--rows FILE]
                                           [FILE.onnx ...]

Everything is made of the same worker's visits; B is A's file, as it is or slowed by a known share.

- Runs of all files follow each other, each with half the budget. Every run is held against the one before it, as a CI
  job holds a commit against its parent, and all rules judge the very same samples of the two:
  `bench compare`, without confirmation; pyperf's own test of significance (Student's t, 95 %) on up to three values of
  at least 100 ms a process; pytest-benchmark's own check of `--benchmark-compare-fail`, either way round;
  Mann-Whitney, p < 0.05. The last two once on all samples, and once, as is common practice, on one process a side.
- `bench ab` times interleaved pairs of fresh processes for up to the same budget; it may stop early. Slow-downs are
  tried with budgets of their own: 5 % within 60 s, 3 % within 120 s.

The files are MobileNetV3Small and ResNet50 unless named. Finished comparisons are written to `--rows`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from statistics import mean, median
from typing import Any

import msgspec
import numpy as np
import pyperf
from pyperf._compare import is_significant_benchs
from pytest_benchmark.utils import parse_compare_fail
from scipy.stats import mannwhitneyu

from bench import export, suites
from bench.analysis import comparison, statistics
from bench.machine import facts
from bench.records import Run, Visit
from bench.trust import ab, contest, selftest

AB_BUDGETS_S = {0.05: 60.0, 0.03: 120.0}
MARGIN = 0.03
MODELS = ("MobileNetV3Small", "ResNet50")
PYTEST_CHECKS = ("median:3%", "mean:5%")
_VALUES, _VALUE_S = 3, 0.1  # pyperf's defaults, of a process

Verdicts = dict[str, str]  # by the name of the rule
Measured = tuple[Run, dict[str, list[Visit]]]
Row = dict[str, Any]


def of_runs(old: Measured, new: Measured) -> Iterator[tuple[str, Verdicts]]:
    """What every rule says of two runs, for each file."""
    for verdict in comparison.compare(old[0], new[0], margin=MARGIN).verdicts:
        sides = [[np.asarray(visit.samples_ns) / 1e9 for visit in visits[verdict.case]] for _, visits in (old, new)]
        yield verdict.case, {"bench compare": verdict.verdict} | by_peers(sides)


def by_peers(samples: Sequence[Sequence[Any]]) -> Verdicts:
    """What the usual rules say of the samples of two runs' visits, in seconds."""
    found = {"pyperf compare": by_pyperf(samples)}
    for which, sides in (("", [np.concatenate(side) for side in samples]), (", one process", [s[0] for s in samples])):
        a, b = sides
        found[f"Mann-Whitney{which}"] = way(mannwhitneyu(a, b).pvalue < 0.05, median(b) / median(a))
        figures = [{"mean": mean(side), "median": median(side)} for side in (a, b)]
        for text in PYTEST_CHECKS:
            check = parse_compare_fail(text)
            slower, faster = check.fails(figures[1], figures[0]), check.fails(figures[0], figures[1])
            found[f"pytest-benchmark {text}{which}"] = "slower" if slower else "faster" if faster else "equivalent"
    return found


def by_pyperf(samples: Sequence[Sequence[Any]]) -> str:
    old, new = (
        pyperf.Benchmark([pyperf.Run(values(visit), metadata={"name": "m"}, collect_metadata=False) for visit in side])
        for side in samples
    )
    different, _ = is_significant_benchs(old, new)
    return way(different, new.mean() / old.mean())


def values(samples: Sequence[float]) -> list[float]:
    """pyperf's values: means over loops of at least 100 ms, three of them.

    >>> values([0.05, 0.07, 0.11, 0.2, 0.3])
    [0.06, 0.11, 0.2]
    """
    found, loop = [], []
    for sample in samples:
        loop.append(float(sample))
        if sum(loop) >= _VALUE_S:
            found.append(mean(loop))
            loop = []
    return found[:_VALUES] or [float(mean(samples))]


def way(different: bool, ratio: float) -> str:
    return ("slower" if ratio > 1 else "faster") if different else "equivalent"


def compared(files: dict[str, Path], given: argparse.Namespace) -> Iterator[Row]:
    """Every comparison; what is stopped early has as many of each kind."""
    before: Measured | None = None
    for pair in range(given.pairs + 1):
        setup = ab.Setup(threads=given.threads, seed=1000 * pair)
        tried = list(AB_BUDGETS_S) if pair <= given.tries else []
        if given.only != "ab":
            run = runs(files, setup, 0.0, given.budget)
            if before:
                yield from rows_of(before, run, pair, 0.0)
            for injected in tried if pair else ():
                yield from rows_of(run, runs(files, setup, injected, given.budget), pair, injected)
            before = run
        for injected in [0.0, *tried] if pair and given.only != "runs" else ():
            budget_s = AB_BUDGETS_S.get(injected, given.budget)
            for model, path in files.items():
                sides = ab.Side(path), ab.Side(path, inject=injected)
                trial = contest.measure(*sides, setup, budget_s=budget_s, margin=MARGIN)
                said = trial.judgement
                row = {"model": model, "pair": pair, "injected": injected, "seconds": trial.seconds}
                row |= {"verdicts": {"bench ab": said.verdict}}
                yield row | {"ratio": [said.ratio, said.ratio_low, said.ratio_high], "pairs": said.pairs}


def runs(files: dict[str, Path], setup: ab.Setup, injected: float, budget_s: float) -> Measured:
    """A run of all files in half the budget."""
    targets = [selftest.target(model, path, setup, injected) for model, path in files.items()]
    return selftest.run(targets, setup, setup.seed, budget_s / 2)


def rows_of(old: Measured, new: Measured, pair: int, injected: float) -> Iterator[Row]:
    seconds = round(sum(map(spanned, (old, new))), 1)
    for number, (model, verdicts) in enumerate(of_runs(old, new)):
        measured = [msgspec.to_builtins(run.records[number].measurement) for run, _ in (old, new)]
        row = {"model": model, "pair": pair, "injected": injected, "seconds": seconds}
        yield row | {"verdicts": verdicts, "measured": measured}


def spanned(measured: Measured) -> float:
    """The time from the first visit's beginning to the last one's, in seconds."""
    starts = [datetime.fromisoformat(visit.started_at) for visits in measured[1].values() for visit in visits]
    return (max(starts) - min(starts)).total_seconds()


def main() -> None:
    """Compare, print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--pairs", type=int, default=40, help="comparisons of the same file with itself")
    parser.add_argument("--tries", type=int, default=10, help="comparisons with each slow-down")
    parser.add_argument("--budget", type=float, default=30.0, help="seconds of each comparison")
    parser.add_argument("--minutes", type=float, default=1e9, help="stop after so long, and show what there is")
    parser.add_argument("--only", choices=("runs", "ab"), help="rules that judge runs alone, or ab alone")
    parser.add_argument("--threads", type=int, default=facts.cores_given())
    parser.add_argument("--rows", type=Path)
    given = parser.parse_args()
    files = {path.stem: path for path in given.files} or exported()
    rows: list[Row] = []
    end = time.monotonic() + 60 * given.minutes
    for row in compared(files, given):
        rows.append(row)
        print(row, flush=True)
        if given.rows:
            with given.rows.open("a") as file:
                file.write(json.dumps(row) + "\n")
        if time.monotonic() > end:
            break
    show(rows)


def exported() -> dict[str, Path]:
    requests = {export.request(suites.case_of_model(name)): name for name in MODELS}
    found = {}
    for result in export.export(requests):
        if isinstance(result, export.ExportFailure):
            raise SystemExit(f"{requests[result.request]}: {result.message}")
        found[requests[result.request]] = result.path
    return {name: found[name] for name in MODELS}


def show(rows: Sequence[Row]) -> None:
    """The share of wrong verdicts without a slow-down, and of "slower" with one, with Wilson intervals."""
    for model in dict.fromkeys(row["model"] for row in rows):
        of_model = [row for row in rows if row["model"] == model]
        injected = sorted({row["injected"] for row in of_model})
        heads = [f"{100 * share:.0f} % seen" if share else "A/A alarms" for share in injected]
        print(f"\n{model}\n{'rule':42}" + "".join(f"{head:>24}" for head in heads) + f"{'A/A equivalent':>24}{'s':>7}")
        for rule in dict.fromkeys(name for row in of_model for name in row["verdicts"]):
            mine = [row for row in of_model if rule in row["verdicts"]]
            said = {share: [row["verdicts"][rule] for row in mine if row["injected"] == share] for share in injected}
            cells = [
                shown(sum(v == "slower" or (v == "faster" and not s) for v in said[s]), len(said[s])) for s in said
            ]
            same = said.get(0.0, [])
            cells.append(shown(same.count("equivalent"), len(same)))
            seconds = np.median([row["seconds"] for row in mine])
            print(f"{rule:42}" + "".join(f"{cell:>24}" for cell in cells) + f"{seconds:7.0f}")


def shown(hits: int, n: int) -> str:
    """A count of a number with the 95 % interval of its share.

    >>> shown(1, 40)
    '1/40 [0, 13] %'
    """
    low, high = statistics.wilson(hits, n)
    return f"{hits}/{n} [{100 * low:.0f}, {100 * high:.0f}] %"


if __name__ == "__main__":
    main()
