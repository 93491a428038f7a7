"""The command line: fast to start, one line for each error, the contract's exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench import store
from bench.cli import main
from tests.test_store import measured

HEAVY = ("tensorflow", "keras", "onnxruntime", "onnx", "tf2onnx")


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    out, err = capsys.readouterr()
    code = stopped.value.code
    return (code if isinstance(code, int) else 0), out, err


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["run", "defualt"], 2, 'did you mean "default"'),
        (["run", "default", "--model", "VGG61"], 2, 'did you mean "VGG16"'),
        (["run", "--modle", "VGG16"], 2, "--model"),
        (["run", "--device", "tpu"], 2, "'tpu' is not one of"),
        (["run", "--rounds", "0"], 2, "0 is not in the range"),
        (["run", "--budget", "soon"], 2, "'soon' is not a valid float"),
        (["rnu"], 2, "No such command"),
        (["compare", "nothing.json", "nothing.json"], 2, "no run at nothing.json"),
        (["compare", "--margin", "lots"], 2, "is not a share"),
        (["compare", "--margin", "0"], 2, "is not a share above 0"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    arguments: list[str], code: int, says: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    if arguments[:2] == ["compare", "--margin"]:
        store.create(tmp_path / "results", measured())
        store.save_baseline(tmp_path / "results", measured())
    got, out, err = call(capsys, *arguments)
    assert got == code
    assert says in err
    assert err.count("\n") == 1
    assert "Traceback" not in err
    assert out == ""


def test_compare_without_a_baseline_is_exit_4(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store.create(tmp_path / "results", measured())
    code, _, err = call(capsys, "compare")
    assert code == 4
    assert "bench baseline save" in err


def test_baselines_are_saved_and_listed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "no baselines yet" in call(capsys, "baseline", "list")[1]
    store.create(tmp_path / "results", measured())
    assert call(capsys, "baseline", "save")[0] == 0
    rows = json.loads(call(capsys, "baseline", "list", "--json")[1])
    assert [(row["suite"], row["cases"]) for row in rows] == [("default", 1)]


def test_an_unexpected_error_is_one_line_and_debug_shows_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> list[str]:
        raise RuntimeError("out of cheese")

    monkeypatch.setattr("bench.suites.names", broken)
    code, _, err = call(capsys, "list")
    assert code == 5
    assert "out of cheese" in err
    assert err.count("\n") == 1
    with pytest.raises(RuntimeError, match="out of cheese"):
        main(["list", "--debug"])


@pytest.mark.long
@pytest.mark.parametrize(
    "statement",
    [
        "import bench, bench.cli, bench.suites, bench.store, bench.report; "
        "from bench.analysis import choice, comparison, history, precision, quality, roofline, statistics",
        "import bench; [getattr(bench, name) for name in bench.__all__]",
        "from bench.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass",
        "from bench.cli import main\ntry: main(['list'])\nexcept SystemExit: pass",
    ],
)
def test_the_reading_half_never_imports_the_measuring_half(statement: str) -> None:
    script = f"{statement}\nimport sys\nprint([m for m in {HEAVY} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]", result.stdout


def test_families_are_shown_once_with_their_models(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "list", "--families")
    assert code == 0
    assert out.count("ResNet50, ResNet101, ResNet152 ") == 1
    facts = json.loads(call(capsys, "list", "--families", "--json")[1])
    assert facts["VGG16"]["strengths"]


def test_a_comparison_of_stored_figures_imports_nothing_that_measures(tmp_path: Path) -> None:
    from tests import runs

    store.create(tmp_path / "results", runs.of_suite())
    store.save_baseline(tmp_path / "results", runs.of_suite())
    script = (
        "from bench.cli import main\ntry: main(['compare', '--stored'])\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        f"import sys\nprint([m for m in (*{HEAVY}, 'bench.timing', 'bench.export') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert result.stdout.splitlines()[-1] == "[]", result.stdout


def test_a_run_held_against_itself_says_so(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store.create(tmp_path / "results", measured())
    store.save_baseline(tmp_path / "results", measured())
    _, out, _ = call(capsys, "compare", "--stored")
    assert out.splitlines()[-1] == "this run is the baseline itself; measure the suite again to compare"
    _, out, _ = call(capsys, "compare", "--stored", "--json")
    trusts = json.loads(out)["trust"]
    assert set(trusts) == {"baseline", "run"}
    assert trusts["run"]["verdict"] == "shaky", "of each model one visit"
    assert trusts["run"]["doubts"]


def test_a_baseline_of_another_suite_under_this_ones_name_is_not_compared(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store.create(tmp_path / "results", measured())
    path = store.save_baseline(tmp_path / "results", measured()) / "run.json"
    path.write_text(
        path.read_text(encoding="utf-8").replace('"suite": "default"', '"suite": "yours"'), encoding="utf-8"
    )
    code, _, err = call(capsys, "compare", "--stored")
    assert (code, err.count("\n")) == (4, 1)
    assert "is a baseline of the suite yours, not of default" in err


def test_layers_are_sorted_cut_and_have_their_share(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["cost", "model", "MobileNet", "--alpha", "0.25", "--input-size", "128"]
    every = json.loads(call(capsys, *command, "--per-layer", "--json")[1])["layers"]
    top = json.loads(call(capsys, *command, "--sort", "params", "--top", "3", "--json")[1])["layers"]
    assert [layer["params"] for layer in top] == sorted((layer["params"] for layer in every), reverse=True)[:3]
    out = call(capsys, *command, "--sort", "mult-adds", "--top", "1")[1]
    largest = max(layer["mult_adds"] or 0 for layer in every)
    total = sum(layer["mult_adds"] or 0 for layer in every)
    assert f"{largest:,}" in out
    assert f"{100 * largest / total:.1f} %" in out


def test_cases_are_sorted_and_cut(capsys: pytest.CaptureFixture[str]) -> None:
    rows = json.loads(call(capsys, "list", "mobilenet-v2", "--sort", "mult-adds", "--top", "4", "--json")[1])
    counts = [row["cost"]["mult_adds"] for row in rows]
    assert len(counts) == 4
    assert counts == sorted(counts, reverse=True)
    assert call(capsys, "list", "mobilenet-v2", "--sort", "colour")[0] == 2
