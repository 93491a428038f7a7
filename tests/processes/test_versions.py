"""Interpreters with another version of a runtime."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench.errors import Failed
from bench.processes import versions


def test_an_environment_is_made_once_and_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed: list[list[str]] = []
    run = versions._run

    def without_network(command: list[str], requirement: str) -> None:
        installed.append(command)
        if "install" not in command:
            run(command, requirement)

    monkeypatch.setattr(versions, "_run", without_network)
    python = versions.python_with("onnxruntime==0.9", tmp_path)
    assert versions.python_with("onnxruntime==0.9", tmp_path) == python
    assert len(installed) == 2
    assert installed[1][-2:] == ["numpy", "onnxruntime==0.9"]
    script = "import sys; print(sys.prefix, *sys.version_info[:2])"
    said = subprocess.run([python, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert said == [str(Path(python).parent.parent), *map(str, sys.version_info[:2])]
    assert versions.python_with("onnxruntime==0.8", tmp_path) != python


@pytest.mark.parametrize("uv", [True, False])
def test_what_cannot_be_installed_is_one_line_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uv: bool
) -> None:
    made = tmp_path / "made"
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\necho first >&2\necho 'error: name or service not known' >&2\nexit 2\n")
    tool.chmod(0o755)
    monkeypatch.setattr(versions.shutil, "which", lambda name: str(tool) if uv else None)
    monkeypatch.setattr(versions.sys, "executable", str(tool))
    with pytest.raises(
        Failed, match=r"cannot install onnxruntime==0\.9 \(no network.*name or service not known"
    ) as caught:
        versions.python_with("onnxruntime==0.9", made)
    assert "\n" not in str(caught.value)
    assert [path.name for path in made.iterdir() if path.is_dir()] == []
