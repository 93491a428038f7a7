"""kill -9 of a run and of its workers at random moments: nothing stored is lost, nothing goes on measuring."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from bench import store
from bench.records import Visit
from tests.timing.test_timing import write_model

ROUNDS = 8
# The command's own path, with short visits and no calibration, which would take most of so short a run.
RUN = f"""
import sys
from pathlib import Path
from bench import pipeline, store, suites
from bench.cli import progress
from bench.errors import Failed
from bench.timing import calibration
def none(*_): raise Failed("not in this test")
calibration.calibrate = none
min_time_s = float(sys.argv[1])
results, *files = map(Path, sys.argv[2:])
with progress.watch() as watch:
    if store.runs(results):
        pipeline.resume(store.latest(results, measured=False), watch=watch)
    else:
        options = pipeline.Options(device="cpu", threads=1, rounds={ROUNDS}, warmup_s=0.2,
                                   min_time_s=min_time_s, min_count=5, spacing_s=0)
        pipeline.run(suites.load_suite([str(f) for f in files]), options=options, results=results, watch=watch)
"""


def begin(tmp_path: Path, log: Path, *files: Path, min_time_s: float = 0.1) -> subprocess.Popen[bytes]:
    with log.open("wb") as stderr:
        return subprocess.Popen(
            [sys.executable, "-c", RUN, str(min_time_s), tmp_path / "results", *files], stderr=stderr,
            env=os.environ | {"TMPDIR": str(tmp_path)},  # a measuring lock of its own
        )  # fmt: skip


def workers(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    try:
        return [p for p in psutil.Process(process.pid).children() if any("worker.py" in w for w in p.cmdline())]
    except psutil.Error:
        return []


def seen_at_work(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """The run's workers as soon as there is one; empty when the run ends before."""
    deadline = time.monotonic() + 60
    while not (found := workers(process)) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    return found


def end(process: subprocess.Popen[bytes], seen: list[psutil.Process]) -> None:
    """Kill the run, and see that its workers die with it: at once, or as soon as they have read what to do."""
    process.kill()
    process.wait()
    deadline = time.monotonic() + 20
    while any(map(measures, seen)):
        assert time.monotonic() < deadline, "a worker outlived its run"
        time.sleep(0.05)


def measures(worker: psutil.Process) -> bool:
    try:
        return bool(worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def stored(results: Path) -> list[Visit]:
    folders = [each.path for each in store.runs(results)]
    return store.visits(folders[-1]) if folders else []


LINUX = pytest.mark.skipif(sys.platform != "linux", reason="a worker dies with its parent on Linux alone")


@pytest.mark.long
@LINUX
def test_a_worker_dies_with_its_run_at_whatever_moment(tmp_path: Path) -> None:
    path = write_model(tmp_path / "a.onnx")
    for delay_s in (0.0, 0.03, 0.1, 0.3, 1.0):  # while it starts, reads, imports, and measures for a minute
        with begin(tmp_path, tmp_path / "log", path, min_time_s=60.0) as process:
            seen = seen_at_work(process)
            assert seen
            time.sleep(delay_s)
            end(process, seen)


@pytest.mark.long
@LINUX
def test_ten_kills_lose_nothing_that_was_reported_and_leave_no_orphan(tmp_path: Path) -> None:
    rng = random.Random(20)
    files = [write_model(tmp_path / f"{name}.onnx", steps=3) for name in "ab"]
    results, before, midway = tmp_path / "results", list[Visit](), 0
    for number in range(10):
        log = tmp_path / f"{number}.log"
        with begin(tmp_path, log, *files) as process:
            seen_at_work(process)
            time.sleep(rng.uniform(0.0, 1.0))
            seen = workers(process)
            if number % 2:
                for worker in seen:
                    worker.kill()
                time.sleep(rng.uniform(0.0, 0.5))
                seen += workers(process)
            midway += process.poll() is None
            end(process, seen)
        after = stored(results)
        assert after[: len(before)] == before
        reported = sum(line.startswith("[timing]") and " ms" in line for line in log.read_text().splitlines())
        assert len(after) >= len(before) + reported
        before = after
    assert midway >= 5
    with begin(tmp_path, tmp_path / "last.log", *files) as process:
        assert process.wait(timeout=120) == 0, (tmp_path / "last.log").read_text()
    final = stored(results)
    assert final[: len(before)] == before
    taken = [(visit.case, visit.round) for visit in final]
    assert set(taken) >= {(name, number) for name in "ab" for number in range(ROUNDS)}
    assert len(taken) == len(set(taken))
    run = store.load(store.latest(results))
    assert [record.error for record in run.records] == [None, None]
    assert all(r.measurement and r.measurement.visits >= ROUNDS for r in run.records)
