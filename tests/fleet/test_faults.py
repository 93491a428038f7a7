"""What can go wrong with a fleet while it measures: nothing stored is lost, nothing counts twice, the others go on.

Real schedulers and workers in processes of their own; only the measured process is made up. Each has a bounded time.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from bench import fleets, store
from bench.errors import Failed
from bench.fleet import cluster, running
from bench.pipeline import Options
from bench.records import Run
from bench.suites import load_suite
from tests.fleet import made_up
from tests.fleet.conftest import Fleet
from tests.fleet.test_running import never_two_at_once

ROUNDS = 3
SLOW_S = 0.1
OPTIONS = Options(rounds=ROUNDS, spacing_s=0.0, threads=1)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "AWAY_S", 6.0)
    monkeypatch.setattr(cluster, "LOOK_S", 0.3)
    monkeypatch.setattr(cluster, "CONNECT_S", 1.5)


def begun(pool: ThreadPoolExecutor, models: list[str], connection: cluster.Cluster) -> Future[running.Outcome]:
    return pool.submit(running.run, load_suite(models), connection, options=OPTIONS)


def check_whole(run: Run, folder: Path, visits: int = ROUNDS) -> None:
    """Every case has all its visits, each once."""
    for record in run.records:
        assert record.error is None, record.error
        assert record.measurement is not None
        assert record.measurement.visits == visits
    counts = Counter((visit.case, visit.round) for visit in store.visits(folder))
    assert set(counts.values()) == {1}


def whole(stored: fleets.StoredFleet) -> None:
    assert [member.error for member in stored.fleet.members] == [None] * len(stored.fleet.members)
    for member, run in stored.runs():
        check_whole(run, stored.results / "runs" / str(member.run))


def test_a_worker_is_killed_and_comes_back(new_fleet: Callable[[], Fleet], models: list[str]) -> None:
    """Its visit is measured anew; no visit counts twice."""
    fleet = new_fleet()
    fleet.add("a", visit_s=SLOW_S)
    fleet.add("b", visit_s=SLOW_S)
    connection = fleet.connect(machines=2)
    with ThreadPoolExecutor(1) as pool:
        outcome = begun(pool, models, connection)
        fleet.wait_for(5)
        fleet.kill("a")
        fleet.add("a", visit_s=SLOW_S)
        stored = outcome.result(timeout=30).stored
    whole(stored)


def test_a_worker_is_killed_and_stays_away(
    new_fleet: Callable[[], Fleet], models: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other machine's run is whole; what was measured is kept, and --resume finishes it."""
    fleet = new_fleet()
    fleet.add("a", visit_s=SLOW_S)
    fleet.add("b", visit_s=SLOW_S)
    connection = fleet.connect(machines=2)
    with ThreadPoolExecutor(1) as pool:
        outcome = begun(pool, models, connection)
        fleet.wait_for(7)
        monkeypatch.setattr(cluster, "AWAY_S", 1.5)
        fleet.kill("a")
        stored = outcome.result(timeout=30).stored
    a, b = stored.fleet.members
    assert a.error is not None
    assert "--resume" in a.error
    assert b.error is None
    before = store.visits(Path("results/runs") / str(a.run))
    assert before
    fleet.add("a", visit_s=SLOW_S)
    again = fleet.connect(machines=2)
    finished = running.resume(fleets.latest(Path("results")), None, again).stored
    whole(finished)
    after = {(v.case, v.round): v for v in store.visits(Path("results/runs") / str(a.run))}
    assert all(after[v.case, v.round] == v for v in before), "what was stored is not measured again"
    never_two_at_once_but(fleet, "a")


def never_two_at_once_but(fleet: Fleet, killed: str) -> None:
    """As `never_two_at_once`; a killed machine has one begin without an end."""
    for machine, steps in fleet.steps().items():
        kinds = [what for what, _ in steps]
        alone = sum(one == two == "begin" for one, two in itertools.pairwise(kinds))
        assert alone <= (machine == killed), machine
        assert not any(one == two == "end" for one, two in itertools.pairwise(kinds))


def test_the_measured_process_is_killed(new_fleet: Callable[[], Fleet], models: list[str]) -> None:
    """Its case fails with the reason; the others are whole, on every machine."""
    path = Path(models[1])
    data = path.read_bytes()
    import onnx

    model = onnx.load_from_string(data)
    size = len(data)
    model.doc_string += "." * ((7 - size) % 10)  # such a size makes the made-up process die
    onnx.save(model, path)
    assert path.stat().st_size % 10 == 7
    fleet = new_fleet()
    fleet.add("a")
    fleet.add("b")
    stored = running.run(load_suite(models), fleet.connect(machines=2), options=OPTIONS).stored
    for _, run in stored.runs():
        errors = {record.case.name: record.error for record in run.records}
        assert errors["alpha"] is None
        assert errors["gamma"] is None
        assert "was killed" in str(errors["beta"])
    assert all("beta" in str(member.error) for member in stored.fleet.members)


def test_the_scheduler_is_killed_and_started_again(new_fleet: Callable[[], Fleet], models: list[str]) -> None:
    """The command ends within seconds and says how to go on; workers come back by themselves; --resume finishes."""
    fleet = new_fleet()
    fleet.add("a", visit_s=SLOW_S)
    fleet.add("b", visit_s=SLOW_S)
    connection = fleet.connect(machines=2)
    with ThreadPoolExecutor(1) as pool:
        outcome = begun(pool, models, connection)
        fleet.wait_for(6)
        fleet.kill("scheduler")
        with pytest.raises(Failed, match=r"the scheduler is gone.*--resume"):
            outcome.result(timeout=30)
    kept = sum(len(store.visits(path)) for path in Path("results/runs").iterdir())
    assert kept >= 2
    fleet.schedule()
    again = fleet.connect(machines=2)
    whole(running.resume(fleets.latest(Path("results")), None, again).stored)


def test_the_client_is_killed(new_fleet: Callable[[], Fleet], models: list[str], tmp_path: Path) -> None:
    """What it stored is there; another client finishes."""
    fleet = new_fleet()
    fleet.add("a", visit_s=SLOW_S)
    fleet.add("b", visit_s=SLOW_S)
    fleet.connect(machines=2).close()
    fleet.start("client", made_up.ask, fleet.url, fleet.tls, models, OPTIONS, tmp_path)
    fleet.wait_for(6)
    fleet.kill("client")
    connection = fleet.connect(machines=2)
    whole(running.resume(fleets.latest(Path("results")), None, connection).stored)
    never_two_at_once(fleet)


def test_nothing_comes_through_for_a_while(new_fleet: Callable[[], Fleet], models: list[str]) -> None:
    """A network that is cut for a while, and comes back: the run waits, and is whole."""
    fleet = new_fleet()
    fleet.add("a", visit_s=SLOW_S)
    fleet.add("b", visit_s=SLOW_S)
    connection = fleet.connect(machines=2)
    with ThreadPoolExecutor(1) as pool:
        outcome = begun(pool, models, connection)
        fleet.wait_for(5)
        fleet.pause("a")
        threading.Timer(2.0, fleet.pause, ["a"], {"go_on": True}).start()
        stored = outcome.result(timeout=30).stored
    whole(stored)
    never_two_at_once(fleet)


def test_a_machine_that_joins_late_is_measured_by_resume(new_fleet: Callable[[], Fleet], models: list[str]) -> None:
    fleet = new_fleet()
    fleet.add("a")
    connection = fleet.connect(machines=1)
    stored = running.run(load_suite(models), connection, options=OPTIONS).stored
    fleet.add("late")
    again = fleet.connect(machines=2)
    finished = running.resume(stored, load_suite(models), again).stored
    assert [member.name for member in finished.fleet.members] == ["a", "late"]
    for _, run in finished.runs():
        assert all(record.measurement and record.measurement.visits == ROUNDS for record in run.records)
        assert run.settings.spacing_s == 0, "as the others were measured"
    assert Counter(machine for machine, steps in fleet.steps().items() for what, _ in steps if what == "end")["a"] == (
        3 * ROUNDS
    ), "what is whole is not measured again"


def test_the_disk_of_one_machine_is_full(new_fleet: Callable[[], Fleet], models: list[str]) -> None:
    """Its cases say so and what to do; the other machine's run is whole."""
    fleet = new_fleet()
    fleet.add("a")
    fleet.add("full", largest_file=1000)  # less than a model has
    stored = running.run(load_suite(models), fleet.connect(machines=2), options=OPTIONS).stored
    (a, of_a), (full, of_full) = stored.runs()
    assert (a.name, a.error, full.name) == ("a", None, "full")
    check_whole(of_a, Path("results/runs") / str(a.run))
    assert full.error is not None
    for record in of_full.records:
        assert "free some space there" in str(record.error)


def test_two_clients_at_once(new_fleet: Callable[[], Fleet], models: list[str], tmp_path: Path) -> None:
    """Each has whole runs of its own, and no machine ever times two things at once."""
    fleet = new_fleet()
    fleet.add("a")
    fleet.add("b")
    fleet.add("a", name="a again")  # a second worker on the same machine: its lock holds for both
    connections = [fleet.connect(machines=2) for _ in range(2)]
    assert {m.workers for m in connections[0].machines(fresh=True)[0]} <= {1, 2}
    with ThreadPoolExecutor(2) as pool:
        outcomes = [
            pool.submit(running.run, load_suite(models), each, options=OPTIONS, results=tmp_path / f"results-{number}")
            for number, each in enumerate(connections)
        ]
        for outcome in outcomes:
            whole(outcome.result(timeout=40).stored)
    never_two_at_once(fleet)
    assert sum(what == "end" for steps in fleet.steps().values() for what, _ in steps) == 2 * 2 * 3 * ROUNDS


def test_a_worker_answers_the_same_question_twice(new_fleet: Callable[[], Fleet], models: list[str]) -> None:
    """Asked again with its token, it gives the answer that it gave, and measures nothing."""
    import uuid

    from bench.fleet import questions
    from bench.fleet.place import Judge, There

    fleet = new_fleet()
    fleet.add("a")
    connection = fleet.connect(machines=1)
    (machine,), _ = connection.machines()
    place = There(connection, machine, Judge())
    begun = running.running.planned(load_suite(models), OPTIONS, place)
    case = begun.records[0].case
    question = questions.Visit(
        token=uuid.uuid4().hex, number=0, settings=begun.settings, **place._file(case, Path(case.model))
    )  # fmt: skip
    first = connection.ask(machine.identity, question)
    assert connection.ask(machine.identity, question) == first
    assert len(fleet.steps()["a"]) == 2


def test_files_that_are_paths_and_questions_that_are_none_are_refused() -> None:
    from bench.fleet import answering

    for text in (
        '{"do": "holds", "sha256": "../../etc/passwd", "suffix": ".onnx"}',
        '{"do": "holds", "sha256": "%s", "suffix": "/../x"}' % ("0" * 64),
        '{"do": "system", "command": "true"}',
        '{"do": "device", "asked": "cpu", "runtime": "onnxruntime", "more": 1}',
        "no JSON",
    ):
        assert '"error"' in answering.answer(text)
    assert '"error"' in answering.receive("../x", ".onnx", 0, b"", True)
    assert os.environ.get("BACKBENCH_MACHINE") is None


def test_a_file_that_arrives_damaged_is_refused() -> None:
    import hashlib

    from bench.export import portable
    from bench.fleet import kept

    data = b"a model" * 100
    sha256 = hashlib.sha256(data).hexdigest()
    with pytest.raises(Failed, match="damaged"):
        kept.receive(sha256, ".onnx", 0, data[:-1] + b"?", last=True)
    assert kept.size(sha256, ".onnx") == 0
    assert kept.receive(sha256, ".onnx", 0, data[:300], last=False) == 300
    assert kept.receive(sha256, ".onnx", 200, data[200:400], last=False) == 400, "what is there counts once"
    assert kept.receive(sha256, ".onnx", 400, data[400:], last=True) == -1
    assert portable.kept(sha256, ".onnx").read_bytes() == data


def test_a_client_without_the_certificate_is_refused(new_fleet: Callable[[], Fleet], tmp_path: Path) -> None:
    from bench.errors import WrongUsage
    from bench.fleet import certificates

    fleet = new_fleet()
    fleet.add("a")
    fleet.connect(machines=1).close()
    other = certificates.write(tmp_path / "others")
    began = time.monotonic()
    with pytest.raises(Failed, match="no scheduler answers"):
        cluster.Cluster(fleet.url, tls=other)
    with pytest.raises(Failed, match="no scheduler answers"):
        cluster.Cluster(fleet.url.replace("tls:", "tcp:"), insecure=True)
    assert time.monotonic() - began < 20
    with pytest.raises(WrongUsage, match="--insecure"):
        cluster.Cluster(fleet.url.replace("tls:", "tcp:"))
    with pytest.raises(WrongUsage, match="certificates"):
        cluster.Cluster(fleet.url, tls=tmp_path / "none")
