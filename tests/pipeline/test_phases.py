"""Which cases each phase of a run has something to do for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench import suites
from bench.pipeline import judge
from bench.pipeline.watch import Silent
from bench.pipeline.work import Work
from bench.records import Accuracy, Case, Record
from tests import runs


def work_on(tmp_path: Path, record: Record) -> Work:
    work = Work(runs.run([record]), tmp_path, Silent())
    work.paths[record.case.name] = tmp_path / "m.onnx"
    return work


@pytest.mark.parametrize(("origin", "judged"), [("published", True), ("none", True), ("measured", False)])
def test_an_accuracy_asked_for_is_measured_unless_it_was(origin: str, judged: bool, tmp_path: Path) -> None:
    suite = tmp_path / "mine.toml"
    suite.write_text(f'[[case]]\nmodel = "VGG16"\naccuracy = {{images = "{tmp_path}", preprocess = "tf"}}\n')
    (case,) = suites.load_suite(str(suite)).cases
    record = replace(
        runs.record(Case(name=case.name, model=case.model)), case=runs.planned(case), accuracy=Accuracy(origin=origin)
    )
    assert list(judge.PHASE.wanted(work_on(tmp_path, record))) == [record.case] * judged


def test_no_accuracy_is_measured_where_none_is_asked_for(tmp_path: Path) -> None:
    record = runs.record(Case(name="m", model="VGG16"))
    assert list(judge.PHASE.wanted(work_on(tmp_path, record))) == []
