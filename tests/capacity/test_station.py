"""Real instances, of a runtime that sleeps."""

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from bench.capacity.arrivals import Poisson
from bench.capacity.queueing import Setup
from bench.capacity.station import RESTARTS, Target, station
from bench.errors import Failed
from bench.records import PlannedCase

pytestmark = pytest.mark.worker
MADE_UP = Path(__file__).with_name("madeup.py")
PLAN = Poisson().plan(100.0, 60, seed=1)


@pytest.fixture
def target(tmp_path: Path) -> Target:
    path = tmp_path / "model.sleep"
    path.write_text("fixed 4")
    case = PlannedCase(name="sleep", model=str(path), device="cpu", provider="bed", threads=1)
    return Target(case=case, path=path, runtime=MADE_UP)


@pytest.mark.parametrize("processes", [True, False])
def test_every_request_is_served_and_no_service_begins_before_it_is_due(target: Target, processes: bool) -> None:
    with station(replace(target, processes=processes), Setup(instances=2)) as running:
        assert len(running.processes) == (2 if processes else 1)
        served = running.serve(PLAN, grace_s=5)
    assert served.lost == 0
    assert (served.waits_s >= 0).all()
    assert (served.responses_s >= 0.004).all()
    assert len(served.services_s[1]) == len(PLAN)
    assert served.rss_bytes > 1e6


def test_a_response_counts_from_the_planned_arrival(target: Target) -> None:
    """Four at once on one instance of 4 ms: the last one's response is all four services."""
    with station(target, Setup(instances=1)) as running:
        served = running.serve(np.array([0.0, 0.0, 0.0, 0.0]), grace_s=5)
    assert served.responses_s[3] >= 0.016
    assert served.responses_s[0] < served.responses_s[1] < served.responses_s[2] < served.responses_s[3]


def test_an_instance_that_dies_is_started_again_and_its_request_is_lost(target: Target) -> None:
    faults = {"die_at": 20}
    with station(replace(target, faults=faults), Setup(instances=1)) as running:
        served = running.serve(PLAN, grace_s=30)
    assert served.restarts == 1
    assert served.lost == 1
    assert np.isinf(served.responses_s[20])
    assert np.isfinite(served.responses_s[21:]).all()


PROGRAM = """
import signal
import sys
from pathlib import Path
import numpy as np
from bench.capacity.queueing import Setup
from bench.capacity.station import Target, station
from bench.records import PlannedCase

signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever started the tests may ignore it
path = Path(sys.argv[1])
case = PlannedCase(name="sleep", model=str(path), device="cpu", provider="bed", threads=1)
with station(Target(case=case, path=path, runtime=Path(sys.argv[2])), Setup(instances=2)) as running:
    print(*(each.popen.pid for each in running.processes), flush=True)
    running.serve(np.arange(0, 600, 0.5), grace_s=5)
"""


def test_ctrl_c_ends_every_instance(target: Target) -> None:
    """In a program of its own: tests that run in a shell's background are started with this signal ignored."""
    command = [sys.executable, "-c", PROGRAM, str(target.path), str(MADE_UP)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        instances = [int(pid) for pid in program.stdout.readline().split()]
        assert len(instances) == 2
        assert all(map(psutil.pid_exists, instances))
        program.send_signal(signal.SIGINT)
        _, errors = program.communicate(timeout=60)
    assert "KeyboardInterrupt" in errors
    assert program.returncode != 0
    assert not any(map(psutil.pid_exists, instances))


def test_one_that_dies_again_and_again_is_given_up(target: Target) -> None:
    faults = {"die_at": 5}
    with station(replace(target, faults=faults), Setup(instances=1)) as running:
        running.restarts = RESTARTS
        with pytest.raises(Failed, match="died 4 times under this load"):
            running.serve(PLAN, grace_s=30)


def test_what_is_not_begun_in_time_is_not_served(target: Target) -> None:
    with station(target, Setup(instances=1)) as running:
        served = running.serve(np.zeros(60), grace_s=0.05)
    assert 0 < served.lost < 60


def test_a_file_that_is_none_ends_in_one_line(target: Target) -> None:
    target.path.unlink()
    with pytest.raises(Failed, match=r"cannot load .*No such file") as told, station(target, Setup(instances=1)):
        pass
    assert "\n" not in str(told.value)
