"""The seam: a runtime is one file, one line and one extra."""

from __future__ import annotations

import ast
import json
import sys
import tomllib
from pathlib import Path

import pytest

from bench import pipeline, runtimes, suites
from bench.errors import Failed, WrongUsage
from bench.machine import facts
from bench.records import Visit
from bench.runtimes import device
from bench.timing import profile, schedule
from tests.pipeline.test_pipeline import QUICK, call, own_place  # noqa: F401 - its lock, folder and short visits
from tests.timing.test_timing import settings, target, write_model

MADE_UP = Path(__file__).parent / "madeup.py"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one line that makes it known."""
    monkeypatch.setitem(suites.RUNTIMES, "madeup", MADE_UP)


@pytest.mark.long
@pytest.mark.usefixtures("made_up")
def test_a_made_up_runtime_in_one_file_is_timed_reported_and_picked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_model(tmp_path / "doubling.onnx", steps=3)
    suite = tmp_path / "both.toml"
    suite.write_text('[[case]]\nmodel = "doubling.onnx"\nruntime = ["onnxruntime", "madeup"]\n')
    outcome = pipeline.run(suites.load_suite(suite), options=QUICK, results=tmp_path / "results")
    records = {record.case.runtime: record for record in outcome.run.records}
    assert [record.error for record in records.values()] == [None, None]
    assert records["madeup"].case.name == "doubling runtime=madeup"
    assert records["madeup"].case.provider == "abacus"
    assert records["madeup"].measurement is not None
    assert records["madeup"].kinds_ms == {"other": 0.003}
    assert outcome.run.machine.may_drift["madeup"] == runtimes.installed("madeup") == f"numpy {facts_of('numpy')}"
    code, out, _ = call(capsys, "report", str(outcome.folder), "--format", "csv", "-o", str(tmp_path / "out"))
    assert code == 0
    rows = Path(out.strip().rpartition(" ")[2]).read_text()
    assert f"numpy {facts_of('numpy')}" in rows
    code, out, _ = call(capsys, "pick", str(outcome.folder), "--p50", "10ms", "--json")
    assert code == 0
    assert "doubling runtime=madeup" in out


def facts_of(distribution: str) -> str:
    from importlib.metadata import version

    return version(distribution)


@pytest.mark.usefixtures("made_up")
def test_it_is_profiled_surveyed_and_its_device_known(tmp_path: Path) -> None:
    asked = target(write_model(tmp_path / "m.onnx", steps=2), runtime="madeup", provider="abacus")
    visit = schedule.one(asked, 0, settings())
    assert isinstance(visit, Visit)
    assert (visit.provider, visit.provider_nodes, visit.runtime) == ("abacus", {"abacus": 2}, "7.0")
    assert profile.by_kind(asked, settings()) == {"other": 0.002}
    assert device.resolve("auto", "madeup") == ("cpu", "abacus")
    with pytest.raises(WrongUsage, match="Made-up runs on cpu alone"):
        device.resolve("cuda", "madeup")
    assert device.survey("madeup")["build"] == "of beads"


@pytest.mark.long
def test_what_is_no_runtime_or_not_installed_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made_up: None
) -> None:
    with pytest.raises(WrongUsage, match='no runtime "onnxruntme"; did you mean "onnxruntime"'):
        runtimes.get("onnxruntme")
    absent = tmp_path / "absent.py"
    absent.write_text(MADE_UP.read_text().replace('("numpy",)', '("no-such-distribution",)'))
    monkeypatch.setitem(suites.RUNTIMES, "absent", absent)
    with pytest.raises(Failed, match=r'Made-up is not installed; pip install "backbench\[madeup\]"'):
        runtimes.require("absent")
    write_model(tmp_path / "m.onnx")
    (tmp_path / "s.toml").write_text('[[case]]\nmodel = "m.onnx"\nruntime = ["onnxruntime", "absent"]\n')
    outcome = pipeline.run(suites.load_suite(tmp_path / "s.toml"), options=QUICK, results=tmp_path / "results")
    errors = {record.case.runtime: record.error for record in outcome.run.records}
    assert errors["onnxruntime"] is None
    assert "backbench[madeup]" in str(errors["absent"])


@pytest.mark.parametrize("name", suites.RUNTIMES)
def test_a_runtime_s_file_stands_alone_and_its_extra_exists(name: str) -> None:
    tree = ast.parse(runtimes.file(name).read_text())
    names = {a.name.partition(".")[0] for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    names |= {(n.module or "").partition(".")[0] for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    assert names - sys.stdlib_module_names - {"numpy"} == {{"litert": "ai_edge_litert"}.get(name, name)}
    top = {n for node in tree.body if isinstance(node, ast.Import) for n in (a.name for a in node.names)}
    assert top <= sys.stdlib_module_names, "reading the file imports no runtime"
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert runtimes.get(name).EXTRA in extras


def test_a_file_called_like_its_package_does_not_stand_in_for_it(tmp_path: Path) -> None:
    survey = device.survey("onnxruntime")
    assert survey["version"] == facts_of(runtimes.installed("onnxruntime").split()[0])
    assert "CPUExecutionProvider" in survey["providers"]


def test_facts_of_a_machine_name_the_runtimes_that_measure() -> None:
    machine = facts.collect("cpu", 1, {"madeup": "madeup 7.0"})
    assert machine.may_drift["madeup"] == "madeup 7.0"
    assert "onnxruntime" not in machine.may_drift
    json.dumps(machine.may_drift)
