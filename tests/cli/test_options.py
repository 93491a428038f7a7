"""What `bench run` is asked for reaches the workers, on a made-up machine."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from bench import pipeline, store
from bench.cli import main
from bench.errors import Failed
from bench.machine import facts, lock, quiet
from bench.records import Roofline
from bench.runtimes import device
from bench.timing import calibration, schedule
from tests.machines import Machine, Spec
from tests.timing.test_timing import write_model

GPU = "CUDAExecutionProvider"


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine whose visits take a second each, and two files, `a.onnx` and `b.onnx`, in the working directory."""
    made = Machine(monkeypatch)
    monkeypatch.setattr(schedule, "time", made.clock)
    monkeypatch.setattr(lock, "PATH", tmp_path / "measuring.lock")
    roof = Roofline(gflops=1e9, gbytes_per_s=1e9, threads=1, provider="CPUExecutionProvider")
    monkeypatch.setattr(calibration, "calibrate", lambda *_: roof)
    monkeypatch.chdir(tmp_path)
    for name in "ab":
        write_model(tmp_path / f"{name}.onnx")
    return made


def bench_run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stopped:
        main(["run", "a.onnx", "b.onnx", *arguments])
    out, err = capsys.readouterr()
    return int(stopped.value.code or 0), out, err


def test_without_options_every_core_is_used_in_five_rounds(
    machine: Machine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facts, "cores_given", lambda: 7)
    code, out, _ = bench_run(capsys, "--json")
    assert code == 0
    assert Counter(machine.order) == {"a": 5, "b": 5}
    assert {spec["threads"] for spec in machine.specs} == {7}
    usual = pipeline.Options()
    for spec in machine.specs:
        asked = (spec["min_time_s"], spec["min_count"], spec["warmup_s"], spec["seed"], spec["inject"])
        assert asked == (usual.min_time_s, usual.min_count, usual.warmup_s, usual.seed, 0.0)
    assert [record["case"]["threads"] for record in json.loads(out)["records"]] == [7, 7]


def test_threads_are_those_asked_for(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = bench_run(capsys, "--threads", "3", "--json")
    assert code == 0
    assert {spec["threads"] for spec in machine.specs} == {3}
    run = json.loads(out)
    assert [record["case"]["threads"] for record in run["records"]] == [3, 3]
    assert run["machine"]["must_match"]["threads"] == 3


def test_a_case_s_own_threads_stand_against_the_option(
    machine: Machine, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "mine.toml").write_text('[[case]]\nmodel = "a.onnx"\nthreads = 2\n[[case]]\nmodel = "b.onnx"\n')
    with pytest.raises(SystemExit):
        main(["run", "mine.toml", "--threads", "3", "--rounds", "1"])
    assert {Path(spec["path"]).stem: spec["threads"] for spec in machine.specs} == {"a": 2, "b": 3}


def test_rounds_are_those_asked_for(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = bench_run(capsys, "--rounds", "3", "--json")
    assert code == 0
    assert Counter(machine.order) == {"a": 3, "b": 3}
    assert json.loads(out)["settings"]["rounds"] == 3


def test_the_budget_ends_the_rounds(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = bench_run(capsys, "--budget", "12", "--rounds", "50", "--json")
    assert code == 0
    assert json.loads(out)["settings"]["budget_s"] == 12
    assert max(machine.begun) < 12 + pipeline.Options().spacing_s
    assert 4 <= len(machine.specs) <= 10


def test_models_are_chosen_by_name(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench_run(capsys, "--model", "b")[0] == 0
    assert set(machine.order) == {"b"}


def test_the_device_is_the_one_asked_for(
    machine: Machine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def resolve(name: str, _: str) -> tuple[str, str]:
        asked.append(name)
        return ("cuda", GPU) if name == "cuda" else ("cpu", "CPUExecutionProvider")

    monkeypatch.setattr(device, "resolve", resolve)
    assert bench_run(capsys, "--device", "cuda", "--rounds", "1")[0] == 0
    assert {spec["provider"] for spec in machine.specs} == {GPU}
    assert bench_run(capsys, "--rounds", "1")[0] == 0
    assert asked == ["cuda", "auto"]
    assert {spec["provider"] for spec in machine.specs[2:]} == {"CPUExecutionProvider"}


def test_results_go_to_the_folder_asked_for(
    machine: Machine, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert bench_run(capsys, "--rounds", "1", "--output", "elsewhere")[0] == 0
    assert len(store.runs(tmp_path / "elsewhere")) == 1
    assert not (tmp_path / "results").exists()


def test_a_model_that_cannot_be_timed_is_exit_5_and_the_other_is_measured(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(spec: Spec) -> float:
        if spec["path"].endswith("a.onnx"):
            raise Failed("it died")
        return 1.0

    machine.p50_ms = broken
    code, out, err = bench_run(capsys, "--rounds", "2", "--json")
    assert code == 5
    assert "failed: a: timing failed in round 1: it died" in err
    a, b = json.loads(out)["records"]
    assert (a["measurement"], b["error"]) == (None, None)
    assert machine.order.count("a") == 1, "a case that failed is not visited again"


def test_visits_to_one_case_begin_apart(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench_run(capsys, "--model", "a")[0] == 0
    spacing_s = pipeline.Options().spacing_s
    gaps = [after - before for before, after in zip(machine.begun, machine.begun[1:], strict=False)]
    assert gaps == pytest.approx([spacing_s] * 4)


def test_patience_and_the_command_itself_are_in_the_run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[float] = []
    monkeypatch.setattr(quiet, "look", lambda: looks.append(0.0) or (0.0, []))
    bench_run(capsys, "--rounds", "2", "--patience", "5m")
    run = store.load(store.latest(Path("results")))
    assert run.settings.patience_s == 300.0
    assert run.command == "bench run a.onnx b.onnx --rounds 2 --patience 5m"
    assert len(looks) >= 4
    code, _, err = bench_run(capsys, "--patience", "a while")
    assert (code, err.count("\n")) == (2, 1)
    assert "write it as 90s, 5m or 1h" in err
