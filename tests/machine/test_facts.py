"""The table of a machine's facts: everything that reads facts reads it, so that a new one is one entry."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench import pipeline, store
from bench.analysis import comparison
from bench.errors import NotComparable
from bench.machine import facts
from bench.machine.facts import Fact
from bench.report import page
from bench.trust import doctor
from tests import runs


def with_fact(monkeypatch: pytest.MonkeyPatch, role: str, value: float, **more: object) -> None:
    made = Fact("coolant_k", role, "coolant", lambda asked: value, "K", lambda x: f"{x:.1f}", **more)  # type: ignore[arg-type]
    monkeypatch.setattr(facts, "FACTS", (*(fact for fact in facts.FACTS if fact.name != "coolant_k"), made))


@pytest.mark.parametrize("role", facts.ROLES)
def test_a_made_up_fact_is_one_entry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, role: str) -> None:
    sides = []
    for value in (290.0, 300.0):
        with_fact(monkeypatch, role, value)
        machine = facts.collect("cpu", 2, {"onnxruntime": "1.32.0"})
        assert getattr(machine, role)["coolant_k"] == value
        sides.append(runs.run(runs.of_suite("precision").records, on=machine))
    old, new = sides
    slower = replace(new, records=runs.run(runs.record(r.case, factor=1.5) for r in new.records).records)
    if role == "must_match":
        with pytest.raises(NotComparable, match=r"coolant_k: 290.0 K -> 300.0 K"):
            comparison.compare(old, new)
        folder = store.create(tmp_path, replace(old, machine=replace(old.machine, must_match=old.machine.must_match)))
        with pytest.raises(NotComparable, match=r"another machine .*coolant_k: 290.0 K -> 300.0 K"):
            pipeline.resume(folder)
    else:
        changed = comparison.compare(old, slower).changed
        assert changed == (("coolant: 290.0 K -> 300.0 K",) if role == "may_drift" else ())
    assert "<dt>coolant</dt><dd>300.0 K</dd>" in page.render(new)
    assert doctor.Finding("coolant", "300.0 K") in list(doctor.fact_findings("cpu", 2))


def test_a_number_drifts_beyond_what_its_entry_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    with_fact(monkeypatch, "may_drift", 0.0, drift_within=0.05)
    assert not facts.drifted("coolant_k", 300.0, 310.0)
    assert facts.drifted("coolant_k", 300.0, 320.0)
    assert facts.drifted("coolant_k", 300.0, None)
    assert facts.drifted("os", "Linux 5", "Linux 6")
    assert not facts.drifted("peak_gflops", 100.0, 95.0, 0.10)


def test_values_are_shown_with_their_units_and_what_is_not_shown_is_said() -> None:
    shown = dict(facts.rows(runs.machine()))
    assert shown["memory"] == "25.0 GB"
    assert shown["vector instructions"] == "avx2, fma"
    assert shown["onnxruntime"] == "onnxruntime 1.32.0"
    assert facts.in_words("quota_cores", None) == "not shown"
    assert facts.in_words("quota_cores", 1.5) == "1.5 cores"
    assert facts.in_words("quota_cores", {"odd": 1}) == "{'odd': 1}"
