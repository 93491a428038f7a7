"""The API of a notebook: runs that show themselves and are tables; light to import."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import bench
from bench import pipeline, records, store, suites
from bench.errors import WrongUsage
from bench.records import Case
from tests import runs


def stored(tmp_path: Path) -> Path:
    return store.create(tmp_path / "results", runs.of_suite())


def test_run_measures_stores_and_returns_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def measured(suite: suites.Suite, *, options: pipeline.Options, results: Path, watch: object) -> pipeline.Outcome:
        asked.update(suite=suite, options=options, results=results)
        return pipeline.Outcome(run=runs.of_suite(), folder=results / "runs" / "now")

    monkeypatch.setattr(pipeline, "run", measured)
    run = bench.run("mobilenet", rounds=2, threads=1, results=tmp_path)
    assert isinstance(run, bench.Run)
    assert isinstance(run, records.Run)
    assert run.folder == tmp_path / "runs" / "now"
    assert (asked["suite"].name, asked["options"].rounds, asked["options"].threads) == ("mobilenet", 2, 1)
    bench.run(suites.Suite("mine", "Mine", (Case(name="net", model="VGG16"),)))
    assert asked["suite"].name == "mine"
    with pytest.raises(WrongUsage, match='no option "round"; did you mean "rounds"'):
        bench.run("mobilenet", round=2)


def test_a_run_shows_itself(tmp_path: Path) -> None:
    run = bench.load(stored(tmp_path))
    shown = run._repr_html_()
    assert "<li>without limits: " in shown
    for record in run.records:
        assert f"<td>{record.case.name}</td>" in shown
    hostile = bench.load(store.create(tmp_path / "hostile", runs.hostile()))._repr_html_()
    for piece in ("<img", "<svg", "<script", "<b>bold"):
        assert piece not in hostile


def test_a_run_is_a_table_of_data(tmp_path: Path) -> None:
    run = bench.load(stored(tmp_path))
    frame = run.frame()
    assert list(frame["case"]) == [record.case.name for record in run.records]
    measured = run.records[0].measurement
    assert measured is not None
    assert frame["p50_ms"][0] == measured.p50_ms
    assert frame["p95_ms_low"][0] == measured.p95_ms_low
    odd = replace(run, records=(replace(run.records[0], case=replace(run.records[0].case, name="=1+1")),))
    assert list(odd.frame()["case"]) == ["=1+1"]  # an apostrophe is for spreadsheets


def test_the_latest_run_is_loaded_without_a_path(tmp_path: Path) -> None:
    folder = stored(tmp_path)
    run = bench.load(results=tmp_path / "results")
    assert run.folder == folder
    with pytest.raises(WrongUsage):
        bench.load(results=tmp_path / "nothing")


def test_a_report_is_written_to_a_path_in_words(tmp_path: Path) -> None:
    written = bench.write_report([runs.of_suite()], f"{tmp_path}/page.csv")
    assert written == tmp_path / "page.csv"
    assert written.is_file()


def test_a_comparison_shows_itself_and_is_a_table() -> None:
    compared = bench.compare(runs.of_suite(), runs.of_suite(factor=1.3))
    assert list(compared.frame()["verdict"]) == ["suspect"] * 12
    assert "<td>suspect</td>" in compared._repr_html_()
    assert "+30" in compared._repr_html_()


def test_a_choice_shows_itself() -> None:
    chosen = bench.pick(runs.of_suite(), {"p50": 100.0})
    assert isinstance(chosen, bench.Choice)
    assert chosen._repr_html_().startswith("<ul><li>ship EfficientNetB0: ")


def test_every_public_name_is_there_and_importing_is_light() -> None:
    assert {"Run", "Comparison", "Choice", "Record", "run", "compare", "pick", "load"} <= set(bench.__all__)
    assert all(getattr(bench, name) is not None for name in bench.__all__)
    heavy = "('numpy', 'pandas', 'plotly', 'jinja2', 'tensorflow', 'onnxruntime', 'msgspec')"
    script = f"import bench, sys; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
