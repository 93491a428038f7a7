"""False alarms and detection of our `ab` and `compare` beside the usual practice, on the same files in the same time.

    python -m tests.benchmarks.ab_vs_peers [--pairs 40] [--tries 10] [--budget 30] [--rows FILE] [FILE.onnx ...]

Everything is made of the same worker's visits; B is A's file, as it is or slowed by a known share.

- Runs follow each other, each with half the budget. Every run is held against the one before it, as a CI job holds a
  commit against its parent, and all rules judge the very same samples of the two:
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
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np
import pyperf
from pyperf._compare import is_significant_benchs
from pytest_benchmark.utils import parse_compare_fail
from scipy.stats import mannwhitneyu

from bench import comparison, export, stats, suites
from bench.records import Run, Visit
from bench.timing import ab, machine, selftest

AB_BUDGETS_S = {0.05: 60.0, 0.03: 120.0}
MARGIN = 0.03
MODELS = ("MobileNetV3Small", "ResNet50")
PYTEST_CHECKS = ("median:3%", "mean:5%")
_VALUES, _VALUE_S = 3, 0.1  # pyperf's defaults, of a process

Verdicts = dict[str, str]  # by the name of the rule
Measured = tuple[Run, list[Visit]]
Row = dict[str, Any]


def of_runs(old: Measured, new: Measured) -> Verdicts:
    """What every rule says of two runs."""
    samples = [[np.asarray(visit.samples_ns) / 1e9 for visit in visits] for _, visits in (old, new)]
    found = {"bench compare": comparison.compare(old[0], new[0], margin=MARGIN).verdicts[0].verdict}
    found["pyperf compare"] = by_pyperf(samples)
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
    before: dict[str, Measured] = {}
    for pair in range(given.pairs + 1):
        for model, path in files.items():
            about = {"model": model, "pair": pair, "threads": given.threads}
            setup = ab.Setup(threads=given.threads, seed=1000 * pair)

            def measured(injected: float) -> Measured:
                return selftest.run(path, setup, {"m": injected}, setup.seed, given.budget / 2)  # noqa: B023

            begun = time.monotonic()
            run = measured(0.0)
            if pair:
                seconds = round(2 * (time.monotonic() - begun), 1)
                row = {"injected": 0.0, "seconds": seconds, "verdicts": of_runs(before[model], run)}
                yield about | row | {"paces": [m[0].records[0].measurement.pace_ms for m in (before[model], run)]}
            before[model] = run
            if not pair:
                continue
            tried = pair <= given.tries
            for injected in AB_BUDGETS_S if tried and not given.ab_only else ():
                verdicts = of_runs(run, measured(injected))
                yield about | {"injected": injected, "seconds": seconds, "verdicts": verdicts}
            for injected, budget_s in {0.0: given.budget, **(AB_BUDGETS_S if tried else {})}.items():
                trial = ab.measure(
                    ab.Side(path), ab.Side(path, inject=injected), setup, budget_s=budget_s, margin=MARGIN
                )  # fmt: skip
                said = {"bench ab": trial.judgement.verdict}
                yield (
                    about
                    | {"injected": injected, "seconds": trial.seconds, "verdicts": said}
                    | {"ratio": [trial.judgement.ratio, trial.judgement.ratio_low, trial.judgement.ratio_high]}
                )


def main() -> None:
    """Compare, print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--pairs", type=int, default=40, help="comparisons of the same file with itself")
    parser.add_argument("--tries", type=int, default=10, help="comparisons with each slow-down")
    parser.add_argument("--budget", type=float, default=30.0, help="seconds of each comparison")
    parser.add_argument("--minutes", type=float, default=1e9, help="stop after so long, and show what there is")
    parser.add_argument("--ab-only", action="store_true", help="try the slow-downs by ab alone")
    parser.add_argument("--threads", type=int, default=machine.cores_given())
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
    low, high = stats.wilson(hits, n)
    return f"{hits}/{n} [{100 * low:.0f}, {100 * high:.0f}] %"


if __name__ == "__main__":
    main()
