"""False alarms and power of comparisons measured anew: a suite's files against themselves, as they are or slowed.

    python -m tests.benchmarks.compare_power [--slower 0 0.05] [--beside nothing|one|two] [--tries 10] [--budget 360]
                                             [--suite default | --baseline FOLDER] [--model NAME ...] [--rows FILE]

Every try is one gate: all models share the budget and the error, as in `bench compare`; B is A's file, each call slowed
by a known share. `--beside one`: a busy loop runs all the time; `two`: two of them come and go, on and off for 0.2 to
3 s by chance. Each finished try is written to `--rows`, and those that it holds already count. `tests.benchmarks
.ab_vs_peers` holds what pyperf, pytest-benchmark and stored figures say of the same files. `--baseline` makes the files
of a stored baseline again and needs no TensorFlow.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from bench import export, suites
from bench.analysis.statistics import wilson
from bench.errors import Failed
from bench.machine import facts, lock
from bench.records import Case
from bench.trust import ab, baseline, contest
from bench.trust.contest import Contest

HOG = """
import os, random, sys, time
chance, goes = random.Random(os.getpid()), sys.argv[1] == "goes"
while True:
    end = time.time() + chance.uniform(0.2, 3)
    while time.time() < end:
        pass
    if goes:
        time.sleep(chance.uniform(0.2, 3))
"""
BESIDE = {"nothing": (), "one": ("stays",), "two": ("goes", "goes")}


@contextmanager
def beside(what: str) -> Iterator[None]:
    """Busy loops beside the block."""
    loops = [subprocess.Popen([sys.executable, "-c", HOG, kind]) for kind in BESIDE[what]]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def gate(files: dict[str, Path], slower: float, budget_s: float, seed: int) -> list[Contest]:
    """One comparison of all files with themselves, slowed by a share."""
    setup = ab.Setup(threads=facts.cores_given(), seed=seed)
    contests = [
        Contest(name, ab.Sides(ab.Side(path), ab.Side(path, inject=slower), setup)) for name, path in files.items()
    ]
    with lock.measuring():
        contest.decide(contests, budget_s=budget_s)
    return contests


def exported(cases: Sequence[Case]) -> dict[str, Path]:
    """The files of these cases, by name. Raises Failed where one cannot be exported."""
    names = {export.request(case): case.name for case in cases}
    files = {}
    for result in export.export(names):
        if isinstance(result, export.ExportFailure):
            raise Failed(f"{names[result.request]}: {result.message}")
        files[names[result.request]] = result.path
    return files


def rows_of(path: Path) -> list[dict[str, object]]:
    """What earlier calls have written."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def main() -> int:
    """Try, and print a line for each slow-down and what ran beside."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--slower", type=float, nargs="*", default=[0.0, 0.05])
    parser.add_argument("--beside", choices=list(BESIDE), default="nothing")
    parser.add_argument("--tries", type=int, default=10)
    parser.add_argument("--budget", type=float, default=360.0)
    parser.add_argument("--suite", default="default")
    parser.add_argument("--baseline", type=Path, help="a folder results/baselines/NAME, instead of a suite")
    parser.add_argument("--model", nargs="*", default=[])
    parser.add_argument("--rows", type=Path, default=Path("compare_power.jsonl"))
    given = parser.parse_args()
    if given.baseline:
        stored = dict(baseline.made_again(given.baseline))
        files = {name: stored[name] for name in given.model or stored}
    else:
        files = exported(suites.only(suites.load_suite((given.suite,)), tuple(given.model)).cases)
    for number in range(given.tries):
        for slower in given.slower:
            begun = time.monotonic()
            with beside(given.beside):
                ended = gate(files, slower, given.budget, seed=len(rows_of(given.rows)))
            with given.rows.open("a") as file:
                for each in ended:
                    found = each.judgement
                    row = {
                        "model": each.name, "slower": slower, "beside": given.beside, "budget": given.budget,
                        "of": len(files), "verdict": found.verdict if found else "failed", "pairs": len(each.pairs),
                        "ratio": found.ratio if found else None, "low": found.ratio_low if found else None,
                        "high": found.ratio_high if found else None, "spread": found.spread if found else None,
                        "seconds": round(each.seconds, 1), "took": round(time.monotonic() - begun, 1),
                    }  # fmt: skip
                    file.write(json.dumps(row) + "\n")
            print(f"try {number + 1}: {100 * slower:g} % slower, beside {given.beside}: "
                  f"{dict(Counter(e.judgement.verdict for e in ended if e.judgement))} in "
                  f"{time.monotonic() - begun:.0f} s", flush=True)  # fmt: skip
    report(rows_of(given.rows))
    return 0


def report(rows: Sequence[dict[str, object]]) -> None:
    """A line for each slow-down, what ran beside, and the number of models that shared the budget."""
    for key in sorted(
        {(str(r["beside"]), float(str(r["slower"])), int(str(r["of"])), float(str(r["budget"]))) for r in rows}
    ):
        mine = [r for r in rows if (r["beside"], r["slower"], r["of"], r["budget"]) == key]
        counts = Counter(str(r["verdict"]) for r in mine)
        hits = counts["slower"] + (0 if key[1] else counts["faster"])
        low, high = wilson(hits, len(mine))
        spreads = [float(str(r["spread"])) for r in mine if r["spread"]]
        print(
            f"beside {key[0]}, {100 * key[1]:g} % slower, {key[2]} models in {key[3]:g} s: {len(mine)} verdicts, "
            f"{dict(counts)}; {'seen' if key[1] else 'false alarms'} {100 * hits / len(mine):.1f} % "
            f"[{100 * low:.1f}, {100 * high:.1f}]; spread between processes {100 * median(spreads):.2f} %"
        )


if __name__ == "__main__":
    raise SystemExit(main())
