"""One suite over several machines, by a real scheduler, TLS and workers; only the measured process is made up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bench import fleets, store
from bench.errors import NotComparable, WrongUsage
from bench.fleet import running
from bench.pipeline import Options
from bench.suites import load_suite
from tests.fleet.conftest import Fleet

QUICK = Options(rounds=2, spacing_s=0.0, threads=1)


def never_two_at_once(fleet: Fleet) -> None:
    for machine, steps in fleet.steps().items():
        kinds = [what for what, _ in steps]
        assert kinds == ["begin", "end"] * (len(kinds) // 2), machine


def test_three_machines_have_a_run_each_and_one_record(new_fleet: Callable[[], Fleet], models: list[str]) -> None:
    fleet = new_fleet()
    for number, machine in enumerate("abc"):
        fleet.add(machine, factor=1 + number)
    connection = fleet.connect(machines=3)
    outcome = running.run(load_suite(models), connection, options=QUICK, prices={"b": 0.2})
    runs = {member.name: run for member, run in outcome.stored.runs()}
    assert list(runs) == ["a", "b", "c"]
    for number, (name, run) in enumerate(runs.items()):
        assert run.machine.informs["machine"] == name
        assert run.trust is not None
        assert run.phases_s["timing"] > 0
        for record in run.records:
            assert record.error is None
            assert record.artifact is not None
            assert record.measurement is not None
            assert record.measurement.visits == 2
            expected = (1 + number) * record.artifact.size_bytes * 1e-3 * 1.0095
            assert record.measurement.p50_ms == pytest.approx(expected, rel=0.002)
            assert record.kinds_ms == {"other": 1.0}
    assert [member.error for member in outcome.stored.fleet.members] == [None] * 3
    assert [member.usd_per_hour for member in outcome.stored.fleet.members] == [None, 0.2, None]
    never_two_at_once(fleet)
    orders = {machine: [file for what, file in steps if what == "end"] for machine, steps in fleet.steps().items()}
    assert all(len(order) == 6 for order in orders.values())
    sizes = sum(Path(model).stat().st_size for model in models)
    assert outcome.sent_bytes == {"a": sizes, "b": sizes, "c": sizes}

    again = running.run(load_suite(models), connection, options=QUICK)
    assert again.sent_bytes == {"a": 0, "b": 0, "c": 0}, "a file is never sent twice to a machine"
    assert fleets.latest(Path("results")).path == again.stored.path

    damaged = next((fleet.place / "a" / "cache" / "files").glob("*.onnx"))
    damaged.write_bytes(b"something else")
    third = running.run(load_suite(models), connection, options=QUICK)
    assert third.sent_bytes["a"] > 0
    assert third.sent_bytes["b"] == 0
    assert len(store.runs(Path("results"))) == 9


def test_machines_of_mixed_versions_are_refused_with_what_to_install(
    new_fleet: Callable[[], Fleet], models: list[str]
) -> None:
    fleet = new_fleet()
    fleet.add("a")
    fleet.add("b")
    fleet.add("old", version="1.30.0")
    connection = fleet.connect(machines=3)
    with pytest.raises(NotComparable, match=r"old: onnxruntime is .*1\.30\.0.*pip install onnxruntime==1\.32\.0"):
        running.run(load_suite(models), connection, options=QUICK)
    assert store.runs(Path("results")) == []


def test_a_wrong_request_stores_nothing(new_fleet: Callable[[], Fleet], models: list[str]) -> None:
    fleet = new_fleet()
    fleet.add("a")
    connection = fleet.connect(machines=1)
    suite = load_suite(models)
    Path(models[0]).unlink()
    with pytest.raises(WrongUsage, match="no file"):
        running.run(suite, connection, options=QUICK)
    assert not list(Path("results/fleets").iterdir())
    assert not Path("results/runs").exists()
