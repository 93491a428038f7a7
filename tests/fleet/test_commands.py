"""The commands of a fleet as people call them, against a real scheduler and workers with made-up measuring."""

from __future__ import annotations

import json
import logging
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.cli import main
from bench.fleet import answering, certificates, hush
from bench.pipeline import Options
from tests.fleet.conftest import Fleet


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    from bench import pipeline

    monkeypatch.setattr(pipeline, "Options", lambda **given: Options(**{"spacing_s": 0.0} | given))


def call(capfd: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        main(words)
    printed = capfd.readouterr()
    assert "Traceback" not in printed.err
    assert isinstance(end.value.code, int)
    return end.value.code, printed.out, printed.err


def test_check_run_pick_and_report(
    new_fleet: Callable[[], Fleet], models: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    fleet = new_fleet()
    fleet.add("a")
    fleet.add("b", factor=2.0)
    fleet.connect(machines=2).close()
    how = ("--scheduler", fleet.url, "--tls", str(fleet.tls))
    code, said, _ = call(capfd, "fleet", "check", fleet.url, "--tls", str(fleet.tls), "--json")
    assert code == 0
    machines = json.loads(said)["machines"]
    assert [machine["name"] for machine in machines] == ["a", "b"]
    assert all(abs(machine["clock_offset_s"]) < 1 for machine in machines)
    code, said, err = call(capfd, "run", *models, "--rounds", "2", *how, "--price", "a", "0.1")
    assert code == 0, err
    assert "fleet.html" in said
    code, said, _ = call(capfd, "pick", "--everywhere", "--p50", "1000s")
    assert code == 0
    assert "on all 2 machines" in said
    code, said, err = call(capfd, "run", "--resume", *how, "--json")
    assert code == 0, err
    assert [member["error"] for member in json.loads(said)["members"]] == [None, None]
    assert len(list(Path("results/fleets").iterdir())) == 1
    assert len(list(Path("results/runs").iterdir())) == 2


def test_a_scheduler_that_is_not_there_is_one_line(tls: Path, capfd: pytest.CaptureFixture[str]) -> None:
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    code, _, err = call(capfd, "fleet", "check", "tcp://127.0.0.1:9")
    assert code == 2
    assert "--insecure" in err
    code, _, err = call(capfd, "run", "--scheduler", "nothing-there", "mobilenet")
    assert code == 2
    assert "neither an address" in err


def test_certificates_are_for_their_owner_alone(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code, _, _ = call(capfd, "fleet", "certificates", "-o", "certs", "office.example", "10.0.0.7")
    assert code == 0
    for role in certificates.ROLES:
        assert stat.S_IMODE((tmp_path / "certs" / f"{role}.pem").stat().st_mode) == 0o600
    assert "PRIVATE" not in (tmp_path / "certs" / certificates.AUTHORITY).read_text()
    code, _, err = call(capfd, "fleet", "certificates", "-o", "certs")
    assert code == 2
    assert "remove them first" in err


def test_what_a_nanny_sets_is_taken_out_again(monkeypatch: pytest.MonkeyPatch) -> None:
    from types import SimpleNamespace

    monkeypatch.setattr(hush, "_worker", lambda: SimpleNamespace(nanny="tcp://nanny"))
    set_ = {"OMP_NUM_THREADS": "1", "MALLOC_TRIM_THRESHOLD_": "65536", "MKL_NUM_THREADS": "7", "HOME": "/root"}
    assert sorted(hush.shed(set_)) == ["MALLOC_TRIM_THRESHOLD_", "OMP_NUM_THREADS"]
    assert set_ == {"MKL_NUM_THREADS": "7", "HOME": "/root"}, "what somebody else has set stays"
    monkeypatch.setattr(hush, "_worker", lambda: SimpleNamespace(nanny=None))
    assert hush.shed({"OMP_NUM_THREADS": "1"}) == []


def test_containers_on_one_host_are_one_machine_unless_they_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    here = answering.identity()
    assert answering.identity() == here
    monkeypatch.setenv(answering.MACHINE, "cabinet")
    assert answering.identity() != here
    assert os.environ[answering.MACHINE] == "cabinet"
