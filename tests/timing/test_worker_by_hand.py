"""The worker on a machine that is made up: visits, turns, profiles and outputs, and what stands in their way."""

from __future__ import annotations

import base64
import gc
import random
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bench.timing import worker
from tests.timing.conftest import MS, Made, lasting


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Counters before and after; what is asked for them."""
    asked: list[Any] = []
    counters = iter([{"wall": 1.0, "own": 0.0, "switches": 2.0}, {"wall": 3.0, "own": 1.0, "switches": 9.0}])
    threads = iter([{"1": 0, "2": 0}, {"1": 900 * MS, "2": 800 * MS}])
    monkeypatch.setattr(worker, "_counters", lambda files: asked.append(files) or next(counters))
    monkeypatch.setattr(worker, "_at_work", lambda: next(threads))
    monkeypatch.setattr(worker, "_peak_rss", lambda: 123)
    return asked


HEALTH = {"stolen_ms": None, "throttled_ms": None, "involuntary_switches": 7, "others_cpu_share": None,
          "mhz_min": None, "mhz_max": None, "temperature_c": None, "threads_at_work": 2}  # fmt: skip


def test_a_visit_from_loading_to_its_samples(made: Made, spec: dict[str, Any], counted: list[Any]) -> None:
    made.copies = True
    made.durations = {"a.onnx": lasting(100, *[50] * 5, then=20), "chain": lasting(9, 9, then=2)}
    visit = worker.answer(spec)
    assert visit == {
        "samples_ns": [20 * MS] * 25, "sampling_ns": 500 * MS, "copy_samples_ns": [30 * MS] * 9,
        "warmup_ns": [50 * MS] * 5 + [20 * MS] * 10, "warmed_up": True, "load_ms": 50.0, "first_inference_ms": 100.0,
        "peak_rss_bytes": 123, "provider": "CPU", "threads": 2, "provider_nodes": {"CPU": 3},
        "precisions": {"f32": 4}, "runtime": "runner 1.2", "health": HEALTH | {"pace_ms": 2.0},
    }  # fmt: skip
    assert counted == [["cpu.stat"]] * 2
    assert not gc.isenabled()
    assert made.options == [
        {"provider": "CPU", "threads": 2, "profile": None, "shared": False, "spin": True},
        {"provider": "CPU", "threads": 2},
    ]
    assert made.log[:2] == ["load a.onnx", "bind a.onnx"]
    (fed,) = made.fed[:1]
    assert fed["x"].shape == (4, 3)
    assert (fed["x"] == np.random.default_rng(7).standard_normal((4, 3)).astype(np.float32)).all()


def test_a_visit_that_is_slowed_or_never_steady(made: Made, spec: dict[str, Any], counted: list[Any]) -> None:
    made.durations = {"a.onnx": (MS * (10 + i) for i in range(10**6)), "chain": lasting(then=2)}
    del spec["cpu_stats"]
    made.ran |= {"precision": None, "threads": None}
    made.step = 1_000
    visit = worker.answer(spec | {"inject": 0.5, "warmup_s": 0.1, "min_time_s": 0.0, "min_count": 6, "spin": False})
    assert counted == [[], []]
    assert (visit["warmed_up"], visit["precisions"], visit["copy_samples_ns"]) == (False, {}, [])
    assert len(visit["samples_ns"]) == 6
    assert visit["first_inference_ms"] == pytest.approx(15, rel=0.01)  # half as long again
    assert made.options[0]["spin"] is False


def test_the_threads_that_worked_are_held_against_those_asked_for(
    made: Made, spec: dict[str, Any], counted: list[Any]
) -> None:
    made.durations = {"a.onnx": lasting(then=20), "chain": lasting(then=2)}
    made.ran["threads"] = None
    with pytest.raises(worker._Refused, match="asked for 1 thread, but 2 did the work: Runner ignores it"):
        worker.answer(spec | {"threads": 1})


def test_on_another_device_threads_and_pace_are_not_asked_for(
    made: Made, spec: dict[str, Any], counted: list[Any]
) -> None:
    made.durations = {"a.onnx": lasting(then=20)}
    made.ran |= {"threads": None, "providers": ["GPU", "CPU"], "nodes": {"GPU": 3}}
    visit = worker.answer(spec | {"threads": 1, "provider": "GPU"})
    assert (visit["provider"], visit["health"]["pace_ms"], visit["provider_nodes"]) == ("GPU", None, {"GPU": 3})


def test_the_median_sample_says_whether_there_was_work_for_two(
    made: Made, spec: dict[str, Any], counted: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []
    monkeypatch.setattr(worker, "_check_threads", lambda *given: told.append(given))
    made.durations = {"a.onnx": lasting(then=20), "chain": lasting(then=2)}
    series = iter([*[9 * MS, 1 * MS, 2 * MS, 8 * MS, 3 * MS, 4 * MS, 7 * MS]])
    monkeypatch.setattr(worker, "_warm_up", lambda call, bound_s: ([], True))
    monkeypatch.setattr(worker, "_samples", lambda *given: list(series))
    monkeypatch.setattr(worker, "_pace", lambda *given: None)
    worker.answer(spec)
    assert told == [("Runner", 2, 2, 4 * MS)]


def in_turns(spec: dict[str, Any], **more: Any) -> dict[str, Any]:
    b = spec | {"path": spec["path"].replace("a.onnx", "b.onnx")}
    return spec | {"do": "turns", "beside": b, "b_first": False} | more


@pytest.mark.parametrize("b_first", [False, True])
def test_two_files_in_turn(made: Made, spec: dict[str, Any], counted: list[Any], b_first: bool) -> None:
    made.durations = {"a.onnx": lasting(*[50] * 6, then=2), "b.onnx": lasting(then=3)}
    told = worker.answer(in_turns(spec, b_first=b_first, min_time_s=0.06, min_count=2, warmup_s=10.0))
    # The slower one takes 3 ms: three calls are about 10 ms. A pair takes 6 + 9 ms, and four of them 60.
    assert told == {
        "blocks_ns": [[2 * MS] * 4, [3 * MS] * 4], "sampling_ns": 60 * MS, "runtime": "runner 1.2",
        "health": HEALTH | {"pace_ms": None},
    }  # fmt: skip
    first = ["b", "a"] if b_first else ["a", "b"]
    assert made.log[:4] == [word for name in first for word in (f"load {name}.onnx", f"bind {name}.onnx")]
    assert made.log[4] == f"call {first[0]}.onnx"
    assert all(options["shared"] for options in made.options)
    rng = random.Random(7)
    order = [name for _ in range(4) for name in ("ab" if rng.random() < 0.5 else "ba") for _ in range(3)]
    assert made.log[-24:] == [f"call {name}.onnx" for name in order]
    assert counted == [["cpu.stat"]] * 2
    assert not gc.isenabled()


def test_blocks_are_at_most_five_calls_and_as_many_pairs_as_asked_for(
    made: Made, spec: dict[str, Any], counted: list[Any]
) -> None:
    made.durations = {"a.onnx": lasting(then=1), "b.onnx": lasting(then=1)}
    del spec["cpu_stats"]
    told = worker.answer(in_turns(spec, min_time_s=0.0, min_count=6, warmup_s=0.0))
    assert [len(blocks) for blocks in told["blocks_ns"]] == [6, 6]
    assert made.log.count("call a.onnx") == 1 + 6 * 5
    assert counted == [[], []]
    made.log.clear()
    made.durations = {"a.onnx": lasting(then=30), "b.onnx": lasting(then=1)}


def test_a_slow_file_takes_its_turns_call_by_call(made: Made, spec: dict[str, Any], counted: list[Any]) -> None:
    made.durations = {"a.onnx": lasting(then=30), "b.onnx": lasting(then=1)}
    worker.answer(in_turns(spec, min_time_s=0.0, min_count=2, warmup_s=0.02))
    assert made.log.count("call a.onnx") == 1 + 1 + 2  # the first, warming up, and a call a turn


def test_a_side_can_be_slowed(made: Made, spec: dict[str, Any], counted: list[Any]) -> None:
    made.durations = {"a.onnx": lasting(then=20), "b.onnx": lasting(then=20)}
    asked = in_turns(spec, min_time_s=0.0, min_count=2)
    asked["beside"]["inject"] = 0.5
    made.step = 1_000
    a, b = worker.answer(asked)["blocks_ns"]
    assert a[0] == pytest.approx(20 * MS, rel=0.01)
    assert b[0] == pytest.approx(30 * MS, rel=0.01)


def test_what_stands_in_the_way_of_one_of_two_is_said_with_its_name(made: Made, spec: dict[str, Any]) -> None:
    asked = in_turns(spec)
    missing = asked["beside"] | {"path": "gone.onnx"}
    with pytest.raises(worker._Refused, match=r"^B \(gone\.onnx\): no file gone\.onnx; export it again, or correct"):
        worker.answer(asked | {"beside": missing})
    with pytest.raises(worker._Refused, match=r"^A \(gone\.onnx\): no file"):
        worker.answer(asked | {"path": "gone.onnx"})
    calls = iter([made.ran, made.ran, made.ran | {"threads": 9}])
    made.durations = {"a.onnx": lasting(then=20), "b.onnx": lasting(then=20)}
    load = made.runtime.load
    made.runtime.load = lambda *given: SimpleNamespace(**(vars(load(*given)) | {"ran": lambda: next(calls)}))
    with pytest.raises(worker._Refused, match=r"^A \(.*a\.onnx\): asked for 2 threads, but the session has 9$"):
        worker.answer(asked)


def test_a_profile_is_of_a_warm_network(made: Made, spec: dict[str, Any]) -> None:
    made.durations = {"a.onnx": lasting(then=20)}
    assert worker.answer(spec | {"do": "profile"}) == {"nodes": [("node", 1.0)]}
    assert made.log.count("call a.onnx") == 10 + 25
    assert Path(made.options[0]["profile"]).is_absolute()
    made.error = ValueError("odd")
    with pytest.raises(worker._Refused, match=r"Runner cannot load .*a\.onnx: odd; export it again, or check the file"):
        worker.answer(spec | {"do": "profile"})


def test_outputs_travel_as_float32(made: Made, spec: dict[str, Any]) -> None:
    told = worker.answer(spec | {"do": "outputs"})
    x = np.random.default_rng(7).standard_normal((4, 3)).astype(np.float32)
    for each, expected in zip(told["outputs"], (2 * x, x.astype(np.float16)), strict=True):
        assert each["shape"] == (4, 3)
        read = np.frombuffer(base64.b64decode(each["data"]), np.float32).reshape(4, 3)
        assert (read == expected).all()
    assert told["precisions"] == {"f32": 4}
    made.ran["precision"] = None
    assert worker.answer(spec | {"do": "outputs"})["precisions"] == {}
    made.ran["threads"] = 5
    with pytest.raises(worker._Refused, match="asked for 2 threads"):
        worker.answer(spec | {"do": "outputs"})
    made.error = ValueError("odd")
    with pytest.raises(worker._Refused, match=r"a\.onnx: odd; "):
        worker.answer(spec | {"do": "outputs"})


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (ValueError("two\n lines"), "Runner cannot load {path}: two lines; export it again, or check the file"),
        (ValueError("at level 12 of ops"), "Runner cannot load {path}: it has level 12 of ops; upgrade"),
        (ValueError("x" * 301 + "end"), "Runner cannot load {path}: ... " + "x" * 297 + "end; export it again, or "
                                        "check the file"),
        (ValueError("x" * 300), "Runner cannot load {path}: " + "x" * 300 + "; export it again, or check the file"),
        (MemoryError(), worker._NO_MEMORY), (RuntimeError("std::bad_alloc"), worker._NO_MEMORY),
        (RuntimeError("Failed to allocate 5"), worker._NO_MEMORY), (RuntimeError("BFCArena"), worker._NO_MEMORY),
        (RuntimeError("CUDA out of memory"), worker._NO_MEMORY), (worker._Refused("as it is"), "as it is"),
    ],
)  # fmt: skip
def test_what_a_runtime_raises_is_one_line(made: Made, spec: dict[str, Any], error: Exception, says: str) -> None:
    made.error = error
    with pytest.raises(worker._Refused) as refused:
        worker.answer(spec)
    assert str(refused.value) == says.format(path=spec["path"])
    assert worker._Refused.exit_code == 5


def test_another_device_says_where_to_look(made: Made, spec: dict[str, Any]) -> None:
    made.error = ValueError("y" * 400)
    with pytest.raises(worker._Refused) as refused:
        worker.answer(spec | {"provider": "GPU"})
    assert str(refused.value) == f"GPU cannot run this model here: {'y' * 300}; see `bench doctor`"


def test_what_an_interpreter_lacks_is_said_with_what_to_install(made: Made, spec: dict[str, Any]) -> None:
    made.error = ImportError("No module named runner")
    with pytest.raises(worker._Refused) as refused:
        worker.answer(spec)
    assert str(refused.value) == (
        f"{sys.executable} lacks what timing needs (No module named runner); run `pip install numpy runner` there"
    )


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (KeyError("a  b"), "KeyError: 'a b'"), (ValueError("z" * 500), "ValueError: " + "z" * 400),
        (RuntimeError("out of memory"), worker._NO_MEMORY), (MemoryError("x"), worker._NO_MEMORY),
    ],
)  # fmt: skip
def test_what_happens_while_it_runs_is_one_line_too(
    made: Made, spec: dict[str, Any], monkeypatch: pytest.MonkeyPatch, error: Exception, says: str
) -> None:
    def fails(asked: dict[str, Any]) -> None:
        assert asked is spec
        raise error

    monkeypatch.setattr(worker, "_visit", fails)
    with pytest.raises(worker._Refused) as refused:
        worker.answer(spec)
    assert str(refused.value) == says


def test_a_runtimes_file_is_loaded_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("TITLE = __name__\n")
    assert worker._runtime({"runtime": str(path)}).TITLE == "backbench_runtime_mine"
    with pytest.raises(worker._Refused, match=r"^mine\.txt is no runtime's file$"):
        worker._runtime({"runtime": "mine.txt"})


def test_files_that_are_not_there_or_not_this_runtimes(made: Made, spec: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "A.ONNX").touch()
    (tmp_path / "a.tflite").touch()
    worker._session(made.runtime, spec | {"path": str(tmp_path / "A.ONNX")}, shared=True)
    assert made.options[-1]["shared"] is True
    with pytest.raises(worker._Refused, match=r"^Runner reads \.onnx, \.run, not a\.tflite$"):
        worker._session(made.runtime, spec | {"path": str(tmp_path / "a.tflite")})
    with pytest.raises(worker._Refused, match=r"^no file none\.onnx; export it again, or correct the path$"):
        worker._session(made.runtime, spec | {"path": "none.onnx"})
