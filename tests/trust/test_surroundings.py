"""What of the user's surroundings will bite, each with its remedy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.records import Case
from bench.trust import surroundings


@pytest.mark.parametrize(
    ("environment", "settings", "words"),
    [
        ({}, None, None),
        ({"KERAS_BACKEND": "tensorflow"}, {"backend": "tensorflow", "floatx": "float32"}, None),
        ({"KERAS_BACKEND": "jax"}, None, "KERAS_BACKEND is jax"),
        ({}, {"backend": "torch"}, "backend is torch"),
        ({}, {"image_data_format": "channels_first"}, "image_data_format is channels_first"),
        ({}, {"floatx": "float16"}, "floatx is float16"),
        ({}, "{", "cannot be read"),
        ({}, "[1]", "cannot be read"),
    ],
)
def test_keras_settings(
    tmp_path: Path, environment: dict[str, str], settings: dict[str, str] | str | None, words: str | None
) -> None:
    for folder, more in ((tmp_path / ".keras", {}), (tmp_path / "own", {"KERAS_HOME": str(tmp_path / "own")})):
        folder.mkdir()
        if settings is not None:
            text = settings if isinstance(settings, str) else json.dumps(settings)
            (folder / "keras.json").write_text(text)
        finding = surroundings.keras(environment | more, tmp_path)
        assert finding.level == ("warn" if words else "ok")
        assert not words or words in finding.found


def test_files_that_stand_in_for_modules(tmp_path: Path) -> None:
    known = surroundings.modules()
    assert {"types", "numpy", "onnx"} <= known
    (tmp_path / "mine.py").touch()
    (tmp_path / "onnx").mkdir()  # of files, no package
    assert surroundings.shadowing(tmp_path, known).level == "ok"
    for name in ("types.py", "onnx.py", "bench.py"):
        (tmp_path / name).touch()
    (tmp_path / "numpy").mkdir()
    (tmp_path / "numpy" / "__init__.py").touch()
    finding = surroundings.shadowing(tmp_path, known)
    assert finding.found == f"bench.py, numpy, onnx.py, types.py in {tmp_path}"
    assert "rename it" in (finding.remedy or "")
    assert surroundings.shadowing(Path(surroundings.__file__).parents[2], {"bench"}).level == "ok"


@pytest.mark.parametrize(
    ("encoding", "level"), [("utf-8", "ok"), ("ascii", "warn"), ("cp1252", "warn"), ("odd", "warn")]
)
def test_a_locale_that_cannot_print(encoding: str, level: str) -> None:
    assert surroundings.locale(encoding).level == level


def test_variables_that_ask_for_more_threads_than_cores() -> None:
    assert surroundings.threads({}, 2).level == "ok"
    assert surroundings.threads({"OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "many"}, 2).level == "ok"
    finding = surroundings.threads({"OMP_NUM_THREADS": "64"}, 2)
    assert (finding.found, finding.level) == ("OMP_NUM_THREADS=64", "warn")


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_what_a_locale_cannot_print_is_replaced(tmp_path: Path, encoding: str) -> None:
    from tests import runs

    case = Case(name="网络 α=0.5", model="MobileNet", input_shape=(224, 224, 3))
    runs.stored(runs.run([runs.record(case)], suite="模型"), tmp_path)
    command = [sys.executable, "-m", "bench.cli", "pick", "--output", str(tmp_path)]
    variables = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    ended = subprocess.run(command, env=variables | {"PYTHONIOENCODING": encoding}, capture_output=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert b"=0.5: top-1" in ended.stdout
