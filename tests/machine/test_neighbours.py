"""Which other programs used the processor, from two made-up looks at them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from bench.machine import neighbours


def test_the_busiest_come_first_as_shares_of_a_core() -> None:
    before = {1: ("init", 5.0), 2: ("make", 10.0), 3: ("cc", 0.0), 4: ("idle", 7.0), 6: ("gone", 1.0)}
    after = {1: ("init", 5.1), 2: ("make", 11.0), 3: ("cc", 1.98), 4: ("idle", 7.0), 5: ("new", 0.5)}
    assert neighbours.busiest(before, after, 2.0) == ["cc 99 %", "make 50 %", "new 25 %"]


def test_a_twentieth_of_a_core_is_not_worth_a_name() -> None:
    assert neighbours.busiest({1: ("a", 0.0)}, {1: ("a", 0.1)}, 2.0) == []
    assert neighbours.busiest({1: ("a", 0.0)}, {1: ("a", 0.12)}, 2.0) == ["a 6 %"]
    assert neighbours.busiest({}, {}, 1.0) == []


def test_a_snapshot_holds_every_process_but_this_one() -> None:
    works = "import time\nwhile time.process_time() < 0.3: pass\nprint(time.process_time(), flush=True)\ninput()"
    with subprocess.Popen([sys.executable, "-c", works], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        used = float(child.stdout.readline())
        seen = neighbours.snapshot()
        child.communicate(b"\n")
    name, seconds = seen[child.pid]
    assert "python" in name  # not that of this process, which a parallel run of the tests renames
    assert seconds == pytest.approx(used, abs=0.05), "in seconds; the system counts in ticks of 10 ms"
    assert os.getpid() not in seen
