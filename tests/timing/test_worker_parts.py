"""The parts of the worker: what it refuses, feeds, times and counts, on a machine that is made up."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bench.timing import worker
from tests.timing.conftest import MS, Made, lasting


@pytest.mark.parametrize(
    ("ran", "says"),
    [
        ({"providers": ["CPU", "X"]}, "asked for GPU, but the session runs on CPU, X; see `bench doctor`"),
        ({"providers": ["GPU"], "nodes": {"CPU": 2, "X": 1}},
         "asked for GPU, but every node runs on CPU, X; see `bench doctor`"),
        ({"providers": ["GPU"], "nodes": {"GPU": 1}, "threads": 3}, "asked for 2 threads, but the session has 3"),
        ({"providers": ["GPU"], "nodes": {"GPU": 1}, "streams": 4},
         "asked for one inference at a time, but the session is set up for 4 at once and for latency"),
        ({"providers": ["GPU"], "nodes": {"GPU": 1}, "hint": "throughput"},
         "asked for one inference at a time, but the session is set up for 1 at once and for throughput"),
        ({"providers": ["GPU"], "nodes": {"GPU": 1}, "precision": {"f32": 5, "f16": 2, "bf16": 1}},
         "asked for fp32, but of 8 layers with weights 2 in f16, 1 in bf16 run"),
    ],
)  # fmt: skip
def test_what_runs_is_held_against_what_was_asked_for(ran: dict[str, Any], says: str) -> None:
    plain = {"nodes": {}, "threads": None, "precision": None}
    session = SimpleNamespace(ran=lambda: plain | ran)
    with pytest.raises(worker._Refused, match=f"^{re.escape(says)}$"):
        worker._ran(session, {"provider": "GPU", "threads": 2, "precision": "fp32"})


def test_what_runs_as_asked_is_told() -> None:
    for ran in ({"nodes": {}, "threads": 2}, {"nodes": {"GPU": 1, "CPU": 5}, "threads": None, "streams": 1},
                {"nodes": {"GPU": 1}, "threads": 2, "hint": "latency"}):  # fmt: skip
        whole = {"providers": ["GPU"], "precision": {"f16": 3}} | ran
        told = worker._ran(SimpleNamespace(ran=lambda whole=whole: whole), {"provider": "GPU", "threads": 2})
        assert told == whole


def test_precisions_of_layers_with_weights() -> None:
    for asked, layers in (("fp32", {"f32": 3}), ("int8", {"f32": 1, "u8": 2}), ("int8", {"i8": 1, "f32": 9}),
                          ("int8", {}),
                          ("fp16", {"f32": 3}), (None, {"f16": 3}), ("fp16", {"f16": 1})):  # fmt: skip
        worker._check_precision(asked, layers)
    with pytest.raises(worker._Refused, match=r"^asked for int8, but all 5 layers with weights run in f32, bf16$"):
        worker._check_precision("int8", {"f32": 3, "bf16": 2})


@pytest.mark.parametrize(
    ("asked", "at_work", "p50_ms", "refused"),
    [
        (2, None, 9, False), (2, 2, 9, False), (2, 3, 9, True), (2, 3, 1, True), (2, 1, 5, False), (2, 1, 5.1, True),
        (1, 1, 9, False), (3, 2, 9, False), (4, 1, 9, True),
    ],
)  # fmt: skip
def test_a_long_inference_has_work_for_a_second_thread(
    asked: int, at_work: int | None, p50_ms: float, refused: bool
) -> None:
    if not refused:
        worker._check_threads("Runner", asked, at_work, int(p50_ms * MS))
        return
    with pytest.raises(worker._Refused) as error:
        worker._check_threads("Runner", asked, at_work, int(p50_ms * MS))
    assert str(error.value) == f"asked for {asked} threads, but {at_work} did the work: Runner ignores it"


def test_threads_that_did_a_tenth_of_the_busiests_work_worked() -> None:
    before = {"a": 5 * MS, "b": 0}
    assert worker._threads(before, {"a": 105 * MS, "b": 11 * MS, "new": 12 * MS, "idle": 10 * MS}) == 3
    assert worker._threads(before, {"a": 24 * MS, "b": 19 * MS}) is None
    assert worker._threads(before, {"a": 25 * MS}) == 1
    assert worker._threads({}, {}) is None


def test_inputs_are_of_the_models_types_and_shapes(spec: dict[str, Any]) -> None:
    session = SimpleNamespace(inputs=[("x", "float16", (None, 2)), ("k", "int64", ("n", -1)), ("s", "uint8", (3, 5))])
    fed = worker._inputs(np, session, spec | {"shapes": {"k": [1, 50]}})
    rng = np.random.default_rng(7)
    expected = {
        "x": rng.standard_normal((4, 2)).astype(np.float16), "k": rng.integers(0, 2, (1, 50)).astype(np.int64),
        "s": rng.integers(0, 2, (3, 5)).astype(np.uint8),
    }  # fmt: skip
    assert fed.keys() == expected.keys()
    for name, values in expected.items():
        assert fed[name].dtype == values.dtype
        assert (fed[name] == values).all()
    assert set(fed["k"].ravel()) == {0, 1}


@pytest.mark.parametrize(
    ("given", "shapes", "says"),
    [
        (("x", "string", (2,)), {}, "input x is of type string, which cannot be filled with random numbers"),
        (("x", "float32", (0, 3)), {},
         "input x takes [0, 3]: a size of 0 stands for an open one, but nothing else than 0 can be fed; give that axis "
         "a name or -1, e.g. with onnx.tools.update_model_dims"),
        (("x", "float32", (1, 3)), {"x": [2, 3]}, "input x takes [1, 3], not [2, 3]; see `bench cost` for its inputs"),
        (("x", "float32", ("n", 3)), {"x": [2, 3, 1]},
         "input x takes ['n', 3], not [2, 3, 1]; see `bench cost` for its inputs"),
    ],
)  # fmt: skip
def test_inputs_that_cannot_be_fed(given: Any, shapes: Any, says: str, spec: dict[str, Any]) -> None:
    with pytest.raises(worker._Refused) as refused:
        worker._inputs(np, SimpleNamespace(inputs=[given]), spec | {"shapes": shapes})
    assert str(refused.value) == says


def timed(made: Made, durations: Iterator[int]) -> Any:
    def call() -> None:
        made.now += next(durations)

    return call


def test_warming_up_ends_with_two_windows_alike(made: Made) -> None:
    def warmed(*ms: float, then: float, bound_s: float = 10.0) -> tuple[int, bool]:
        taken, steady = worker._warm_up(timed(made, lasting(*ms, then=then)), bound_s)
        return len(taken), steady

    assert warmed(then=20) == (10, True)  # five each
    assert warmed(then=2) == (50, True)  # 50 ms each
    assert warmed(*[20] * 5, *[20.6] * 5, then=20.6) == (15, True)  # 3 % apart are not alike
    assert warmed(*[20] * 5, *[20.5] * 5, then=90) == (10, True)
    assert warmed(*[30] * 5, *[20] * 5, *[10] * 5, then=10) == (20, True)
    assert warmed(30, 30, 20, 20, 20, 20, 20, 20, 30, 30, then=1) == (10, True)  # medians, and not means
    assert warmed(then=20, bound_s=0.1) == (5, False)
    assert warmed(then=20, bound_s=0.0) == (0, False)


def test_samples_until_both_the_time_and_the_number_are_reached(made: Made) -> None:
    assert worker._samples(timed(made, lasting(then=10)), 0.03, 2) == [10 * MS] * 3
    assert worker._samples(timed(made, lasting(then=10)), 0.031, 2) == [10 * MS] * 4
    assert worker._samples(timed(made, lasting(5, then=10)), 0.0, 4) == [5 * MS, 10 * MS, 10 * MS, 10 * MS]


def test_a_slowed_call_takes_its_share_longer(made: Made) -> None:
    made.step = 1
    slow = worker._slowed(timed(made, lasting(then=0.001)), 0.5)
    start = made.now
    slow()
    assert made.now - start == pytest.approx(1503, abs=2)


def test_the_pace_is_the_median_of_the_last_two_thirds(made: Made, spec: dict[str, Any]) -> None:
    made.durations = {"chain": lasting(9, 9, 9, then=10.00006)}
    assert worker._pace(np, made.runtime, spec) == 10.0001
    (fed,) = made.fed
    assert (fed["c"] == np.full((4, 3), 0.25, np.float32)).all()
    assert fed["c"].dtype == np.float32
    made.durations = {"chain": lasting(1, 1, 10, 12, then=20)}
    assert worker._pace(np, made.runtime, spec) == 16.0  # of 10 12 20 20, by when 60 ms have passed


def test_the_pace_comes_from_the_specification_or_there_is_none(made: Made, spec: dict[str, Any]) -> None:
    made.durations = {"chain": lasting(then=12)}
    made.runtime.PACE = None
    assert worker._pace(np, made.runtime, spec) is None
    assert worker._pace(np, made.runtime, spec | {"pace": base64.b64encode(b"chain").decode()}) == 12.0
    made.runtime.PACE = b"chain"
    assert worker._pace(np, made.runtime, spec | {"provider": "GPU"}) is None


def test_many_samples_are_thinned_evenly() -> None:
    assert worker._thinned([]) == []
    assert worker._thinned(list(range(20_000))) == list(range(20_000))
    assert worker._thinned(list(range(20_001))) == list(range(0, 20_001, 2))
    assert worker._thinned(list(range(40_001))) == list(range(0, 40_001, 3))


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root folder for what the system shows in files."""
    monkeypatch.setattr(
        worker, "Path", lambda path: tmp_path / str(path)[1:] if str(path).startswith(("/proc", "/sys")) else Path(path)
    )
    monkeypatch.setattr(
        worker, "os",
        SimpleNamespace(times=lambda: (1.0, 2.0, 50.0, 60.0), sched_getaffinity=lambda pid: {0: {0, 2, 12}}[pid],
                        sysconf=lambda name: {"SC_CLK_TCK": 10}[name]),
    )  # fmt: skip
    return tmp_path


def put(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def test_what_the_system_counts(files: Path, made: Made) -> None:
    put(files, "proc/stat", "cpu  9 9 9 9 9 9 9 9 9\ncpu0 10 20 30 1000 2000 40 50 60 7 8\ncpu1 9 9 9 9 9 9 9 9\n"
                            "cpu2 1 2 3 4 5 6 7 8\ncpu12 9 9 9\nintr 5 6 7 8 9 10 11 12\n")  # fmt: skip
    put(files, "proc/self/task/7/status", "voluntary_ctxt_switches:\t99\nnonvoluntary_ctxt_switches:\t3\n")
    put(files, "proc/self/task/8/status", "nonvoluntary_ctxt_switches:\t4\n")
    put(files, "proc/cpuinfo", "cpu MHz\t\t: 2000.5\nmodel : x\ncpu MHz\t\t: 3000\n")
    put(files, "sys/class/thermal/thermal_zone0/temp", "41500\n")
    put(files, "sys/class/thermal/thermal_zone1/temp", "")
    put(files, "sys/class/thermal/thermal_zone2/temp", "40000\n")
    put(files, "v2", "usage_usec 7\nthrottled_usec 2500000\n")
    put(files, "v1", "throttled_time 500000000\nnr_throttled 5\n")
    made.now = 7_500_000_000
    assert worker._counters([str(files / "v2"), str(files / "v1"), "none"]) == pytest.approx(
        {"wall": 7.5, "own": 3.0, "busy": 15.0 + 1.9, "stolen": 6.8, "cores": 2.0, "switches": 7, "throttled": 3.0,
         "mhz_min": 2000.5, "mhz_max": 3000.0, "temperature": 41.5}
    )  # fmt: skip


def test_a_system_that_shows_nothing(files: Path, made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    assert worker._counters([]) == {"wall": made.now / 1e9, "own": 3.0}
    assert worker._at_work() == {}
    put(files, "proc/stat", "cpu0 100 0 0 0 0 0 0 0\n")
    monkeypatch.setattr(worker, "os", SimpleNamespace(times=lambda: (0.0, 0.0)))
    assert worker._counters([]) == {"wall": made.now / 1e9, "own": 0.0}  # which cores are ours is not known
    monkeypatch.setattr(worker, "os", SimpleNamespace(times=lambda: (0.0, 0.0), sched_getaffinity=lambda pid: {0}))
    assert worker._counters([])["busy"] == 1.0  # a hundred ticks a second, where it does not say


def test_the_change_of_what_is_counted() -> None:
    before = {"wall": 10.0, "own": 1.0, "busy": 2.0, "stolen": 0.5, "throttled": 1.0, "switches": 3.0, "cores": 2.0}
    after = {"wall": 14.0, "own": 3.0, "busy": 5.0, "stolen": 0.62346, "throttled": 1.25, "switches": 8.0, "cores": 2.0,
             "mhz_min": 2000.0, "mhz_max": 3000.0, "temperature": 41.5}  # fmt: skip
    assert worker._health(before, after) == {
        "stolen_ms": 123.5, "throttled_ms": 250.0, "involuntary_switches": 5, "others_cpu_share": 0.125,
        "mhz_min": 2000.0, "mhz_max": 3000.0, "temperature_c": 41.5,
    }  # fmt: skip
    assert worker._health(before, after | {"busy": 3.5})["others_cpu_share"] == 0.0
    assert worker._health(before, after | {"wall": 13.0})["others_cpu_share"] == 0.1667
    assert worker._health(before, after | {"wall": 10.0})["others_cpu_share"] == pytest.approx(5e8)
    nothing = worker._health({"wall": 1.0, "own": 1.0, "stolen": 1.0}, {"wall": 2.0, "own": 2.0, "throttled": 1.0})
    assert set(nothing.values()) == {None}
    assert worker._health({"wall": 1.0, "busy": 0.0}, {"wall": 2.0, "busy": 1.0})["others_cpu_share"] is None


def test_threads_and_memory_from_the_systems_files(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(files, "proc/self/task/7/schedstat", "1500 20 3\n")
    put(files, "proc/self/task/8/schedstat", "")
    put(files, "proc/self/task/9/schedstat", "800 1 1\n")
    assert worker._at_work() == {"7": 1500, "9": 800}
    put(files, "proc/self/status", "VmPeak:\t 9 kB\nVmHWM:\t  2048 kB\n")
    assert worker._peak_rss() == 2048 * 1024
    (files / "proc/self/status").unlink()
    import resource

    monkeypatch.setattr(resource, "getrusage", lambda who: SimpleNamespace(ru_maxrss={resource.RUSAGE_SELF: 500}[who]))
    monkeypatch.setattr(worker, "sys", SimpleNamespace(platform="linux"))
    assert worker._peak_rss() == 500 * 1024
    monkeypatch.setattr(worker, "sys", SimpleNamespace(platform="darwin"))
    assert worker._peak_rss() == 500
