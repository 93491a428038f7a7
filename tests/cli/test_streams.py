"""What becomes of a command whose output cannot go where it should."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def bench(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a shell line in which $B is the command line."""
    command = f"B() {{ {sys.executable} -c 'from bench.cli import main; main()' \"$@\"; }}; {script}"
    return subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.long
@pytest.mark.parametrize(
    ("arguments", "code"), [("guide", 0), ("list --json", 0), ("cost conv --help", 0), ("baseline save", 2)]
)
def test_a_reader_that_leaves_changes_no_exit_code(tmp_path: Path, arguments: str, code: int) -> None:
    left = bench(f"B {arguments} | head -c 0; echo ${{PIPESTATUS[0]}}", tmp_path)
    assert (left.stdout.strip(), "Traceback" in left.stderr) == (str(code), False)
    both = bench(f"B {arguments} 2>&1 | true; echo ${{PIPESTATUS[0]}}", tmp_path)
    assert both.stdout.strip() == str(code)


@pytest.mark.long
@pytest.mark.parametrize("arguments", ["guide", "list", "list --json"])
def test_a_full_disk_is_one_line_and_exit_5(tmp_path: Path, arguments: str) -> None:
    full = bench(f"B {arguments} > /dev/full", tmp_path)
    assert full.returncode == 5
    assert full.stderr == "bench: cannot write: No space left on device; free some space and run it again\n"


@pytest.mark.long
def test_a_full_disk_or_nothing_to_write_to_costs_an_error_its_line_and_not_its_code(tmp_path: Path) -> None:
    assert bench("B nothing 2> /dev/full", tmp_path).returncode == 2
    assert bench("B nothing 2>&-", tmp_path).returncode == 2
    assert bench("B list >&-", tmp_path).returncode == 0
