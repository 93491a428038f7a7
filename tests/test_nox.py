"""nox as people and CI jobs call it: the exit codes of `bench` come through."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

NOXFILE = Path(__file__).parent.parent / "noxfile.py"


def nox(
    folder: Path, *arguments: str, programs: Path = Path(sys.executable).parent
) -> subprocess.CompletedProcess[str]:
    """The project's own noxfile in a folder of its own (nox works where its file is), with these packages."""
    shutil.copy(NOXFILE, folder)
    command = [sys.executable, "-m", "nox", "--no-venv", "--no-install", *arguments]
    path = os.pathsep.join([str(programs), os.environ["PATH"]])
    return subprocess.run(
        command, cwd=folder, env=os.environ | {"PATH": path}, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["compare"], 4),
        (["compare", "--", "nothing.json", "nothing.json"], 2),
        (["compare", "--", "--help"], 0),
        (["bench", "--", "no-such-suite"], 2),
    ],
)
def test_the_exit_codes_of_bench_come_through(tmp_path: Path, arguments: list[str], code: int) -> None:
    from bench import store
    from tests.test_store import measured

    store.create(tmp_path / "results", measured())
    ended = nox(tmp_path, "-s", *arguments)
    assert ended.returncode == code, ended.stderr
    assert "Traceback" not in ended.stderr
    if code:
        assert f"exit code {code}" in ended.stderr


def test_a_run_comes_before_the_first_comparison_alone(tmp_path: Path) -> None:
    """A made-up `bench` says what it was asked for."""
    programs, asked = tmp_path / "programs", tmp_path / "asked"
    programs.mkdir()
    (programs / "bench").write_text(
        f'#!/bin/sh\necho "$@" >> {asked}\nmkdir -p results/runs/1\n: > results/runs/1/run.json\n'
    )
    (programs / "bench").chmod(0o755)
    for _ in range(2):
        assert nox(tmp_path, "-s", "compare", "--", "--margin", "5%", programs=programs).returncode == 0
    assert asked.read_text().splitlines() == ["run --rounds 1", "compare --margin 5%", "compare --margin 5%"]


def test_the_gate_of_the_workflow_lets_a_missing_baseline_pass_and_nothing_else() -> None:
    steps = (NOXFILE.parent / ".github" / "workflows" / "bench.yml").read_text()
    (gate,) = [line for line in steps.splitlines() if "compare" in line and "run:" in line]
    tail = gate.split("--fail-on regression", 1)[1]
    for code, passes in ((0, 0), (1, 1), (3, 1), (4, 0), (5, 1)):
        assert subprocess.run(["sh", "-c", f"(exit {code}) {tail}"], check=False).returncode == passes
