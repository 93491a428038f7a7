"""The contracts of who may import whom: they hold, and a broken one is seen."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import house

ROOT = Path(__file__).resolve().parents[1]
TIMED = "The process that times a model imports nothing of ours"
CIRCLE = "No circles between the files of a room"


def linted(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-c", "from importlinter.cli import lint_imports_command as c; c()", "--no-cache"]
    return subprocess.run(command, cwd=folder, env={"PYTHONPATH": str(folder)}, capture_output=True, text=True)


def test_the_contracts_hold() -> None:
    checked = linted(ROOT)
    assert checked.returncode == 0, checked.stdout
    assert "4 kept, 0 broken" in checked.stdout


@pytest.mark.long
@pytest.mark.parametrize(
    ("room", "line", "contract"),
    [
        ("units.py", "from bench.analysis import choice", "No room imports upwards"),
        ("analysis/quality.py", "import onnx", "The reading half imports no runtime"),
        ("report/table.py", "from bench.export import clean", "The reading half imports no runtime"),
        ("timing/worker.py", "from bench import errors", TIMED),
        ("timing/worker.py", "from bench.timing import schedule", TIMED),
        ("timing/worker.py", "from bench.analysis import statistics", TIMED),
        ("timing/worker.py", "from bench.runtimes import openvino", TIMED),
        ("runtimes/openvino.py", "from bench import errors", TIMED),
        ("runtimes/litert.py", "from bench.runtimes import survey", TIMED),
        ("analysis/statistics.py", "from bench.analysis import comparison", CIRCLE),
        ("report/figures/hover.py", "from bench.report.figures import tradeoff", CIRCLE),
    ],
)
def test_a_broken_contract_is_seen(room: str, line: str, contract: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "bench", tmp_path / "bench", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / "bench" / room).open("a") as file:
        file.write(f"\n{line}\n")
    checked = linted(tmp_path)
    assert checked.returncode == 1
    assert f"{contract} BROKEN" in checked.stdout


def test_a_new_room_must_find_its_floor(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "bench", tmp_path / "bench", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "bench" / "annex.py").write_text('"""A room that no contract names."""\n')
    assert linted(tmp_path).returncode == 1


def test_the_drawing_in_the_contributing_guide_is_current() -> None:
    drawn = (ROOT / "CONTRIBUTING.md").read_text().partition("```mermaid\n")[2].partition("```")[0]
    assert drawn.strip() == house.drawing(), "python -m tests.house prints the present one"
