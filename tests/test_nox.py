"""nox as people and CI jobs call it: the exit codes of `bench` come through."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

NOXFILE = Path(__file__).parent.parent / "noxfile.py"


def nox(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The project's own noxfile with this interpreter's packages, in a folder of its own."""
    command = [sys.executable, "-m", "nox", "-f", str(NOXFILE), "--no-venv", "--no-install", *arguments]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.run(
        command, cwd=folder, env=os.environ | {"PATH": path}, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["compare", "--", "--output", "{here}"], 4),
        (["compare", "--", "{here}/nothing.json", "{here}/nothing.json"], 2),
        (["compare", "--", "--help"], 0),
        (["bench", "--", "no-such-suite"], 2),
    ],
)
def test_the_exit_codes_of_bench_come_through(tmp_path: Path, arguments: list[str], code: int) -> None:
    from bench import store
    from tests.test_store import measured

    store.create(tmp_path, measured())
    ended = nox(tmp_path, "-s", *(argument.format(here=tmp_path) for argument in arguments))
    assert ended.returncode == code, ended.stderr
    assert "Traceback" not in ended.stderr
    if code:
        assert f"exit code {code}" in ended.stderr


def test_the_gate_of_the_workflow_lets_a_missing_baseline_pass_and_nothing_else() -> None:
    steps = (NOXFILE.parent / ".github" / "workflows" / "bench.yml").read_text()
    (gate,) = [line for line in steps.splitlines() if "compare" in line and "run:" in line]
    tail = gate.split("--fail-on regression", 1)[1]
    for code, passes in ((0, 0), (1, 1), (3, 1), (4, 0), (5, 1)):
        assert subprocess.run(["sh", "-c", f"(exit {code}) {tail}"], check=False).returncode == passes
