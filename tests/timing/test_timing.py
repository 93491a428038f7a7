"""Visits of tiny models in real worker processes."""

import ast
import base64
import itertools
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import onnx
import psutil
import pytest
from onnx import TensorProto, helper

from bench import runtimes, timing
from bench.analysis import summary
from bench.errors import Failed
from bench.machine import lock
from bench.processes import process
from bench.records import Health, PlannedCase, Settings, Visit
from bench.runtimes import device
from bench.timing import pace, schedule, worker

CPU = "CPUExecutionProvider"


@pytest.fixture(autouse=True)
def own_lock(tmp_path, monkeypatch):
    """Tests must not wait for a real run, nor a real run for them."""
    monkeypatch.setattr(lock, "PATH", tmp_path / "measuring.lock")


def write_model(path, shape=(1, 8), kind=TensorProto.FLOAT, steps=1):
    """y = x + x, a number of times over."""
    names = ["x", *(f"h{i}" for i in range(steps - 1)), "y"]
    nodes = [helper.make_node("Add", [a, a], [b]) for a, b in itertools.pairwise(names)]
    ends = [[helper.make_tensor_value_info(name, kind, shape)] for name in ("x", "y")]
    model = helper.make_model(helper.make_graph(nodes, "g", *ends), opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, path)
    return path


def target(path, name=None, **changes):
    case = PlannedCase(
        name=name or path.stem, model=str(path), device="cpu", **({"provider": CPU, "threads": 1} | changes)
    )
    return timing.Target(case, path)


def settings(**changes):
    plain = {"rounds": 1, "min_time_s": 0.01, "min_count": 5, "warmup_s": 0.2, "budget_s": None, "seed": 0}
    return Settings(**(plain | {"device": "cpu", "provider": CPU} | changes))


def fake_visit(name="m", number=0, p50_ns=1_000_000, disturbances=()):
    return Visit(
        case=name, round=number, started_at="", samples_ns=(p50_ns,) * 5, load_ms=1.0, first_inference_ms=1.0,
        peak_rss_bytes=1, provider=CPU, disturbances=disturbances,
    )  # fmt: skip


@pytest.mark.long
def test_rounds_visit_every_case_and_resume_what_is_missing(tmp_path):
    targets = [target(write_model(tmp_path / f"{name}.onnx")) for name in "ab"]
    events = list(timing.visits(targets, settings(rounds=2)))
    visits = [event for event in events if isinstance(event, Visit)]
    first_two_rounds = [v for v in visits if v.round < 2]
    assert {(v.case, v.round) for v in first_two_rounds} == {("a", 0), ("b", 0), ("a", 1), ("b", 1)}
    assert [v.round for v in first_two_rounds] == [0, 0, 1, 1]
    assert sum(isinstance(event, timing.VisitStarted) for event in events) == len(visits)
    one = visits[0]
    assert len(one.samples_ns) >= 5
    assert sum(one.samples_ns) >= 5e6
    assert len(one.warmup_ns) >= 5
    assert one.provider_nodes == {CPU: 1}
    assert one.peak_rss_bytes > 10_000_000
    again = list(
        timing.visits(targets, settings(rounds=2), done=[fake_visit("a"), fake_visit("a", 1), fake_visit("b")])
    )
    assert [(v.case, v.round) for v in again if isinstance(v, Visit) and v.round < 2] == [("b", 1)]


@pytest.mark.parametrize(
    ("kind", "shape", "changes"),
    [
        (TensorProto.FLOAT16, (2, 3), {"batch_size": 2}),
        (TensorProto.INT64, ("batch", 4), {"batch_size": 3}),
        (TensorProto.UINT8, ("n", "height", 2), {"dimensions": {"height": 5}}),
        (TensorProto.DOUBLE, (None, 2), {}),
    ],
)
def test_inputs_of_any_type_and_dynamic_size(tmp_path, kind, shape, changes):
    # ONNX Runtime has no Add for bytes; Identity takes every type.
    ends = [[helper.make_tensor_value_info(name, kind, shape)] for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", *ends)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, tmp_path / "m.onnx")
    assert isinstance(schedule.one(target(tmp_path / "m.onnx", **changes), 0, settings()), Visit)


def damaged(tmp_path):
    path = write_model(tmp_path / "m.onnx")
    path.write_bytes(path.read_bytes()[:-20])
    return target(path)


def no_model(tmp_path):
    path = tmp_path / "m.onnx"
    path.write_text("hello")
    return target(path)


BAD = {
    "truncated": (damaged, "cut short"),
    "not a model": (no_model, "no ONNX model"),
    "no file": (lambda tmp: target(tmp / "none.onnx"), "no file"),
    "open size": (lambda tmp: target(write_model(tmp / "m.onnx", ("b", "height"))), "leaves dimension 1 .*--input-"),
    "no such size": (lambda tmp: target(write_model(tmp / "m.onnx"), dimensions={"widht": 3}), "no open .*widht"),
    "fixed batch": (lambda tmp: target(write_model(tmp / "m.onnx"), batch_size=4), "the batch is 1; batch_size 4"),
    "no such device": (lambda tmp: target(write_model(tmp / "m.onnx"), provider="CUDAExecutionProvider"), "CUDAExec"),
    "out of memory": (lambda tmp: target(write_model(tmp / "m.onnx", ("b", 2**31)), batch_size=2**20), "memory"),
}  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("which", BAD)
def test_what_cannot_be_timed_is_one_line_and_the_others_go_on(tmp_path, which):
    make, message = BAD[which]
    good = target(write_model(tmp_path / "good.onnx"))
    events = list(timing.visits([make(tmp_path), good], settings()))
    (failure,) = [event for event in events if isinstance(event, timing.VisitFailed)]
    assert "\n" not in failure.message
    assert re.search(message, failure.message), failure.message
    assert {event.case for event in events if isinstance(event, Visit)} == {"good"}


def kill_worker_of(parent: psutil.Process) -> int:
    """Kill the worker once it runs, and return its process id."""
    for _ in range(3000):
        for child in parent.children():
            if any("worker.py" in word for word in child.cmdline()):
                child.kill()
                return child.pid
        time.sleep(0.02)
    raise AssertionError("no worker was seen")


@pytest.mark.long
def test_a_killed_worker_fails_its_case_and_the_others_go_on(tmp_path):
    paths = [write_model(tmp_path / f"{name}.onnx") for name in "ab"]
    events = timing.visits([target(path) for path in paths], settings(rounds=2, min_time_s=1.5))
    victim = next(events).case
    threading.Thread(target=kill_worker_of, args=(psutil.Process(),)).start()
    failure = next(events)
    assert isinstance(failure, timing.VisitFailed)
    assert failure.case == victim
    assert "killed" in failure.message
    rest = list(events)
    assert {event.case for event in rest if isinstance(event, Visit)} == {"a", "b"} - {victim}


PARENT = """
import signal, sys
from pathlib import Path
from bench import timing
from bench.machine import lock
from tests.timing.test_timing import settings, target
lock.PATH = Path(sys.argv[2])
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background is born deaf to it
for event in timing.visits([target(Path(sys.argv[1]))], settings(min_time_s=60)):
    print(type(event).__name__, flush=True)
"""


@pytest.mark.long
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_no_worker_outlives_its_parent(tmp_path, sent):
    path = write_model(tmp_path / "m.onnx")
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, path, lock.PATH], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as parent:
        assert parent.stdout.readline() == "VisitStarted\n"
        children = []
        while not children:
            time.sleep(0.05)
            children = psutil.Process(parent.pid).children()
        time.sleep(0.5)  # let the worker reach its measuring loop
        parent.send_signal(sent)
        parent.wait(timeout=60)
        gone, alive = psutil.wait_procs(children, timeout=60)
        assert gone
        assert not alive
    with lock.measuring(wait_s=0):
        pass  # the dead run's lock is free


def test_a_second_run_says_who_is_measuring(tmp_path, caplog):
    with lock.measuring():
        code = (
            "import sys; from pathlib import Path; from bench.machine import lock; lock.PATH = Path(sys.argv[1])\n"
            "with lock.measuring(wait_s=float(sys.argv[2])): pass"
        )
        second = subprocess.run([sys.executable, "-c", code, lock.PATH, "0"], capture_output=True, text=True)
        assert second.returncode != 0
        assert f"process {os.getpid()}" in second.stderr.splitlines()[-1]
        waiting = subprocess.Popen([sys.executable, "-c", code, lock.PATH, "30"], stderr=subprocess.PIPE, text=True)
        assert f"waiting: process {os.getpid()}" in waiting.stderr.readline()
    with waiting:
        assert waiting.wait(timeout=60) == 0
    assert lock.holder() == "another process"


def test_a_processor_hog_is_seen_and_named(tmp_path):
    path = write_model(tmp_path / "m.onnx", (64, 4096), steps=4)
    (tmp_path / "hog").symlink_to(sys.executable)
    hogs = [subprocess.Popen([tmp_path / "hog", "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    try:
        visit = schedule.one(target(path), 0, settings(min_time_s=0.5))
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()
    assert visit.health.others_cpu_share > 0.2
    (mark,) = (mark for mark in visit.disturbances if mark.startswith("other processes used"))
    assert re.search(r"of the cores \(most of it: .+ \d+ %", mark), "which of them: tests/machine/test_neighbours.py"


def test_the_pace_is_measured_and_a_slow_one_marks_visits_of_the_whole_run(tmp_path):
    visit = schedule.one(target(write_model(tmp_path / "m.onnx"), threads=1), 0, settings())
    assert 0.01 < visit.health.pace_ms < 100
    assert visit.threads == 1

    def met(case, number, pace_ms, threads=2):
        return replace(fake_visit(case, number), threads=threads, health=Health(pace_ms=pace_ms))

    taken = [met("a", 0, 0.38), met("b", 0, 0.24), met("a", 1, 0.25), met("c", 0, 0.9, threads=1), fake_visit("d")]
    marks = [visit.disturbances for visit in summary.paced(taken)]
    assert marks == [("the machine ran 1.6 times slower",), (), (), (), ()]
    plan = schedule._Plan([target(Path(f"{name}.onnx")) for name in "ab"], settings(rounds=1), taken[:2])
    chosen, number = plan.next()
    assert (chosen.case.name, number) == ("a", 1), "the visit at a slow pace is repeated"


def test_the_chain_that_shows_the_pace_is_what_it_says():
    model = onnx.load_from_string(base64.b64decode(pace.chain()))
    onnx.checker.check_model(model, full_check=True)
    assert {node.op_type for node in model.graph.node} == {"MatMul"}
    assert len(model.graph.node) == 60


def test_a_worker_that_takes_too_long_is_ended(tmp_path):
    one = target(write_model(tmp_path / "m.onnx"))
    before = set(psutil.Process().children())  # what other tests have started, e.g. the nursery of workers
    with pytest.raises(Failed, match="no answer within"):
        process.visit(schedule.specification(one.case, one.path, settings(min_time_s=60)), timeout_s=1.0)
    assert set(psutil.Process().children()) <= before


def test_another_interpreter_is_named_when_it_lacks_what_timing_needs(tmp_path):
    one = target(write_model(tmp_path / "m.onnx"))
    spec = schedule.specification(one.case, one.path, settings())
    with pytest.raises(Failed, match="cannot start"):
        process.visit(spec, python=str(tmp_path / "no-python"))
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "$@"\n')
    bare.chmod(0o755)
    with pytest.raises(Failed, match="lacks what timing needs"):
        process.visit(spec, python=str(bare))


def test_a_requested_device_that_cannot_run_is_an_error_with_a_remedy():
    if device._why_not_cuda("onnxruntime") is None:
        assert device.resolve("cuda") == device.resolve("auto") == ("cuda", "CUDAExecutionProvider")
        return
    assert device.resolve("auto") == device.resolve("cpu") == ("cpu", CPU)
    with pytest.raises(Failed, match="--device cpu"):
        device.resolve("cuda")


def test_the_probe_of_a_device_is_a_model(tmp_path):
    (tmp_path / "probe.onnx").write_bytes(runtimes.get("onnxruntime").PROBE)
    assert schedule.one(target(tmp_path / "probe.onnx"), 0, settings()).provider_nodes == {CPU: 1}


def test_the_injected_slow_down_is_proportional_to_each_call(monkeypatch):
    now = [0]

    def clock():
        now[0] += 1
        return now[0]

    monkeypatch.setattr(worker.time, "perf_counter_ns", clock)

    def call():
        now[0] += 1000

    slower = worker._slowed(call, 0.05)
    start = now[0]
    slower()
    assert now[0] - start == pytest.approx(1050, abs=5)


def test_the_worker_stands_alone():
    tree = ast.parse(Path(worker.__file__).read_text())
    names = {a.name.partition(".")[0] for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    names |= {n.module.partition(".")[0] for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    assert names - sys.stdlib_module_names == {"numpy"}
