"""False alarms and detection of our `ab` and `compare` beside the usual practice, on the same files in the same time.

    python -m tests.benchmarks.ab_vs_peers [--pairs 40] [--budget 60] [--rows FILE] [FILE.onnx ...]

Every comparison has the same budget and is made of the same worker's visits; B is A's file, as it is or slowed by a
known share. The contenders:

- ab: `bench ab`, interleaved pairs of fresh processes; may stop early.
- compare: `bench compare` of two runs of one case, each with half the budget, without confirmation.
- pyperf: runs of up to 20 fresh processes with three values of at least 100 ms each, A's and then B's, and pyperf's own
  test of significance (Student's t on all values, 95 %).
- pytest-benchmark: one process each for half the budget; its own check of `--benchmark-compare-fail`, either way round.
- Mann-Whitney: the same two processes' samples, p < 0.05.

The files are MobileNetV3Small and ResNet50 unless named. Finished comparisons are kept in `--rows` and not repeated.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np
import pyperf
from pyperf._compare import is_significant_benchs
from pytest_benchmark.utils import parse_compare_fail
from scipy.stats import mannwhitneyu

from bench import comparison, export, stats, suites
from bench.records import Case, Settings
from bench.timing import ab, lock, machine, process, selftest
from bench.timing.schedule import specification, timeout_s

INJECTED = (0.0, 0.03, 0.05)
MARGIN = 0.03
MODELS = ("MobileNetV3Small", "ResNet50")
PYTEST_CHECKS = ("median:3%", "mean:5%")
_PROCESSES, _VALUES, _VALUE_S = 20, 3, 0.1  # pyperf's defaults
_STARTING_S = 1.0  # of a long process's budget, for start and warm-up

Verdicts = dict[str, str]  # by the name of the rule
Contender = Callable[[Path, ab.Setup, float, float], Verdicts]


def ours_ab(path: Path, setup: ab.Setup, injected: float, budget_s: float) -> Verdicts:
    trial = ab.measure(ab.Side(path), ab.Side(path, inject=injected), setup, budget_s=budget_s, margin=MARGIN)
    return {"ab": trial.judgement.verdict}


def ours_compare(path: Path, setup: ab.Setup, injected: float, budget_s: float) -> Verdicts:
    old, new = (
        selftest.run(path, setup, {"m": share}, setup.seed + side, budget_s / 2)
        for side, share in enumerate((0.0, injected))
    )
    return {"compare": comparison.compare(old, new, margin=MARGIN).verdicts[0].verdict}


def with_pyperf(path: Path, setup: ab.Setup, injected: float, budget_s: float) -> Verdicts:
    sides = []
    with lock.measuring():
        for share in (0.0, injected):
            runs: list[pyperf.Run] = []
            end = time.monotonic() + budget_s / 2
            while len(runs) < _PROCESSES and (not runs or time.monotonic() < end):
                samples = visit(path, setup, share, 1.5 * _VALUES * _VALUE_S, _VALUES)
                runs.append(pyperf.Run(values(samples), metadata={"name": "m"}, collect_metadata=False))
            sides.append(pyperf.Benchmark(runs))
    different, _ = is_significant_benchs(*sides)
    return {"pyperf compare": way(different, sides[1].mean() / sides[0].mean())}


def two_processes(path: Path, setup: ab.Setup, injected: float, budget_s: float) -> Verdicts:
    min_time_s = max(0.5, budget_s / 2 - _STARTING_S)
    with lock.measuring():
        a, b = (visit(path, setup, share, min_time_s, 20) for share in (0.0, injected))
    found = {"Mann-Whitney": way(mannwhitneyu(a, b).pvalue < 0.05, median(b) / median(a))}
    figures = [{"mean": mean(side), "median": median(side)} for side in (a, b)]
    for text in PYTEST_CHECKS:
        check = parse_compare_fail(text)
        slower, faster = check.fails(figures[1], figures[0]), check.fails(figures[0], figures[1])
        found[f"pytest-benchmark {text}"] = "slower" if slower else "faster" if faster else "equivalent"
    return found


CONTENDERS: dict[str, Contender] = {
    "ab": ours_ab, "compare": ours_compare, "pyperf": with_pyperf, "two processes": two_processes,
}  # fmt: skip


def visit(path: Path, setup: ab.Setup, injected: float, min_time_s: float, min_count: int) -> list[float]:
    """One process's samples in seconds."""
    settings = Settings(rounds=1, min_time_s=min_time_s, min_count=min_count, warmup_s=1.0, budget_s=None,
                        seed=setup.seed, device=setup.device, provider=setup.provider)  # fmt: skip
    case = Case(name="m", model=str(path), threads=setup.threads)
    spec = specification(case, path, settings, inject=injected)
    return [ns / 1e9 for ns in process.visit(spec, timeout_s=timeout_s(settings))["samples_ns"]]


def values(samples: Sequence[float]) -> list[float]:
    """pyperf's values: means over loops of at least 100 ms, three of them.

    >>> values([0.05, 0.07, 0.11, 0.2, 0.3])
    [0.06, 0.11, 0.2]
    """
    found, loop = [], []
    for sample in samples:
        loop.append(sample)
        if sum(loop) >= _VALUE_S:
            found.append(mean(loop))
            loop = []
    return found[:_VALUES] or [mean(samples)]


def way(different: bool, ratio: float) -> str:
    return ("slower" if ratio > 1 else "faster") if different else "equivalent"


def main() -> None:
    """Compare, print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--pairs", type=int, default=40, help="comparisons of each kind")
    parser.add_argument("--budget", type=float, default=60.0, help="seconds of each comparison")
    parser.add_argument("--injected", type=float, nargs="*", default=INJECTED, help="shares by which B is slower")
    parser.add_argument("--contenders", nargs="*", default=list(CONTENDERS), choices=CONTENDERS)
    parser.add_argument("--threads", type=int, default=machine.cores_given())
    parser.add_argument("--rows", type=Path)
    given = parser.parse_args()
    rows = []
    if given.rows and given.rows.is_file():
        rows = [json.loads(line) for line in given.rows.read_text().splitlines()]
    done = {key(row) for row in rows}
    files = {path.stem: path for path in given.files} or exported()
    for wanted in plan(files, given):
        if key(wanted) in done:
            continue
        setup = ab.Setup(threads=given.threads, seed=1000 * wanted["pair"])
        begun = time.monotonic()
        verdicts = CONTENDERS[wanted["contender"]](files[wanted["model"]], setup, wanted["injected"], given.budget)
        rows.append(wanted | {"seconds": round(time.monotonic() - begun, 1), "verdicts": verdicts})
        print(rows[-1], flush=True)
        if given.rows:
            with given.rows.open("a") as file:
                file.write(json.dumps(rows[-1]) + "\n")
    show(rows)


def exported() -> dict[str, Path]:
    requests = {export.request(suites.case_of_model(name)): name for name in MODELS}
    found = {}
    for result in export.export(requests):
        if isinstance(result, export.ExportFailure):
            raise SystemExit(f"{requests[result.request]}: {result.message}")
        found[requests[result.request]] = result.path
    return {name: found[name] for name in MODELS}


def plan(files: dict[str, Path], given: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Every comparison; what is stopped early has as many of each kind."""
    for pair in range(given.pairs):
        for model in files:
            for injected in given.injected:
                for contender in given.contenders:
                    yield {
                        "model": model, "pair": pair, "injected": injected, "contender": contender,
                        "budget": given.budget, "threads": given.threads,
                    }  # fmt: skip


def key(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("model", "pair", "injected", "contender", "budget", "threads"))


def show(rows: Sequence[dict[str, Any]]) -> None:
    """The share of wrong verdicts without a slow-down, and of "slower" with one, with Wilson intervals."""
    for model in dict.fromkeys(row["model"] for row in rows):
        of_model = [row for row in rows if row["model"] == model]
        injected = sorted({row["injected"] for row in of_model})
        heads = [f"{100 * share:.0f} % seen" if share else "A/A alarms" for share in injected]
        print(f"\n{model}\n{'rule':28}" + "".join(f"{head:>24}" for head in heads) + f"{'A/A equivalent':>24}{'s':>7}")
        for rule in dict.fromkeys(name for row in of_model for name in row["verdicts"]):
            mine = [row for row in of_model if rule in row["verdicts"]]
            said = {share: [row["verdicts"][rule] for row in mine if row["injected"] == share] for share in injected}
            cells = [
                shown(sum(v == "slower" or (v == "faster" and not s) for v in said[s]), len(said[s])) for s in said
            ]
            same = said.get(0.0, [])
            cells.append(shown(same.count("equivalent"), len(same)))
            seconds = np.median([row["seconds"] for row in mine])
            print(f"{rule:28}" + "".join(f"{cell:>24}" for cell in cells) + f"{seconds:7.0f}")


def shown(hits: int, n: int) -> str:
    """A count of a number with the 95 % interval of its share.

    >>> shown(1, 40)
    '1/40 [0, 13] %'
    """
    low, high = stats.wilson(hits, n)
    return f"{hits}/{n} [{100 * low:.0f}, {100 * high:.0f}] %"


if __name__ == "__main__":
    main()
