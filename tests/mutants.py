"""Mutation testing of one module by its own tests: `nox -s mutants -- cost/formulas`.

Each mutant is one slip put into a copy of the module; a mutant that the tests let pass survives. A survivor is a
missing assertion, dead code, or equivalent to the original: the last are listed in mutants.toml, each with its reason.
With `--sample` every fifth mutant of each function is tried, from its first on (or with `--sample 2`, from its second):
for modules of many hundred. With `--seconds 300` a module is left after so long, and scored by the mutants that were
tried until then.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent
COPIED = ("bench", "tests", "suites", "results", "pyproject.toml", "README.md")
KILLED = {"killed", "timeout", "segfault", "caught by type check"}
AS_MANY = "what zip is given is as many"  # of its argument `strict`


def main(modules: list[str]) -> int:
    """Mutate modules one after another; 1 when one of them scores below its floor."""
    listed = tomllib.loads((HERE / "mutants.toml").read_text(encoding="utf-8"))
    parser = argparse.ArgumentParser(prog="nox -s mutants --")
    parser.add_argument("modules", nargs="+", help="for example cost/formulas")
    parser.add_argument("--sample", type=int, nargs="?", const=1, choices=range(1, 6), metavar="1-5")
    parser.add_argument("--seconds", type=float)
    asked = parser.parse_args(modules)
    # Names of mutants end in their number: 1, 6, 11, ...
    patterns = [f"*__mutmut_*[{asked.sample}{(asked.sample + 5) % 10}]"] if asked.sample else []
    below = False
    for module in asked.modules:
        name = re.sub(r"^bench/|\.py$", "", module)
        table = listed.get(name, {})
        below |= run(name, table, patterns, asked.seconds) < table.get("floor", 0.85)
    return int(below)


def tests_of(name: str, table: dict[str, Any]) -> list[str]:
    """The test files of a module: those listed, else the one of its name, else all of its room."""
    own = Path("tests", f"{Path(name).parent}/test_{Path(name).name}.py")
    return table.get("tests") or [str(own if (ROOT / own).exists() else own.parent)]


def run(name: str, table: dict[str, Any], patterns: list[str], limit_s: float | None) -> float:
    """Mutate one module in a copy of the checkout, print the survivors, and return the share killed.

    `patterns`: of the names of the mutants to try; all where there is none. `limit_s`: the most time, in seconds.
    """
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        for entry in COPIED:
            source, copy = ROOT / entry, Path(folder, entry)
            if source.is_dir():
                shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__", "runs", "report.*"))
            else:
                shutil.copy(source, copy)
        project = Path(folder, "pyproject.toml")
        tests = [*tests_of(name, table), *(["-k", table["only"]] if "only" in table else [])]
        chosen = f'only_mutate = ["bench/{name}.py"]\npytest_add_cli_args_test_selection = {tests}\n'
        project.write_text(project.read_text(encoding="utf-8").replace("[tool.mutmut]\n", f"[tool.mutmut]\n{chosen}"))
        temporary = Path(folder, "temporary")  # of its own: another session of pytest would clear it away
        temporary.mkdir()
        environment = os.environ | {"PYTHONPATH": "", "PYTHONDONTWRITEBYTECODE": "", "HYPOTHESIS_PROFILE": "mutants"}
        environment |= {"TMPDIR": str(temporary)}
        with subprocess.Popen(
            [sys.executable, "-m", "mutmut", "run", "--max-children", str(min(4, os.cpu_count() or 1)),
             *patterns],
            cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            start_new_session=True,
        ) as done:  # fmt: skip
            try:
                said, complaint = done.communicate(timeout=limit_s)
            except subprocess.TimeoutExpired:
                os.killpg(done.pid, signal.SIGKILL)
                print(f"{name}: left after {limit_s:g} s", file=sys.stderr)
            else:
                if done.returncode != 0:
                    print(re.sub(r"(?m)^[⠀-⣿] .*\n", "", said)[-4000:], complaint[-1000:], file=sys.stderr)
                    raise SystemExit(f"{name}: mutmut ended with {done.returncode}")
        return told(name, Path(folder), table)


def told(name: str, folder: Path, table: dict[str, Any]) -> float:
    """Print the survivors of a run, and return the share killed of those that are not equivalent."""
    results = subprocess.run(
        [sys.executable, "-m", "mutmut", "results", "--all", "true"], cwd=folder, capture_output=True, text=True,
        check=True,
    ).stdout  # fmt: skip
    every = re.findall(r"^\s*(\S+__mutmut_\d+): (.+)$", results, re.MULTILINE)
    statuses = {mutant: status for mutant, status in every if status != "not checked"}  # of no sample
    os.chdir(folder)
    from mutmut.mutation.diff_apply import get_diff_for_mutant  # reads the configuration of the working directory

    equivalent = {(entry["line"], entry["mutant"]): entry["why"] for entry in table.get("equivalent", [])}
    survivors = reasoned = 0
    for mutant, status in statuses.items():
        if status in KILLED:
            continue
        lines = get_diff_for_mutant(mutant).splitlines()
        change = ["\n".join(x[1:].strip() for x in lines[2:] if x.startswith(sign)) for sign in "-+"]
        as_many = len({re.sub(r",? ?strict=\w+|, (?=\))", "", side) for side in change}) == 1
        if reason := equivalent.get((change[0], change[1]), AS_MANY if as_many else None):
            reasoned += 1
            print(f"  equivalent: {change[1]}\n      {reason}")
            continue
        survivors += 1
        function = mutant.rpartition(".")[2].partition("__mutmut")[0].removeprefix("x_")
        print(f"  {status}: {function}\n    - {change[0]}\n    + {change[1]}")
    killed, count = len(statuses) - survivors - reasoned, len(statuses)
    share = killed / max(1, count - reasoned)
    late = sum(status == "timeout" for status in statuses.values())  # many: a library that a fork leaves hanging
    print(
        f"{name}: {killed} of {count} mutants killed, {reasoned} equivalent, {survivors} survive: {100 * share:.1f} %"
        + (f", {late} of the killed by the time limit" if late else "")
        + (f" (a sample of {len(every)})" if count < len(every) else "")
    )
    os.chdir(ROOT)
    return share


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
