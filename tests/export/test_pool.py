"""Worker processes and the cache: what dies, is cut short or runs twice ends in a correct file or in one line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from bench import export
from bench.errors import Failed
from bench.export import cache, pool
from bench.models.file import file_sha256
from bench.records import Case

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
ONE = """
from bench import export
from bench.records import Case
(made,) = export.export([export.request(Case(name="x", model="tests.export.nets:plain"))])
print(made.artifact.sha256, made.path)
"""


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(ROOT)


def request(builder: str, **arguments: object) -> export.ExportRequest:
    return export.request(Case(name=builder, model=f"tests.export.nets:{builder}", arguments=dict(arguments)))


def one(wanted: export.ExportRequest) -> export.Exported | export.ExportFailure:
    (result,) = export.export([wanted])
    return result


def whole(result: object) -> export.Exported:
    assert isinstance(result, export.Exported), result
    assert file_sha256(result.path) == result.artifact.sha256
    onnx.checker.check_model(result.path, full_check=True)
    assert result.artifact.fidelity is not None
    assert result.artifact.fidelity.passed
    return result


def test_what_cannot_be_exported_is_one_line_and_the_others_go_on() -> None:
    says = {
        "killed": "its process was killed, most likely for want of memory",
        "segfault": "its process died of signal 11",
        "broken": "RuntimeError: no such dataset second line",
        "hungry": "its process ran out of memory",
        "two_inputs": "has 2 inputs and 1 output; one of each works",
        "open_size": "open; give an input_size",
        "unsupported": "tf2onnx has no translation for",
        "missing": "cannot import the builder",
    }
    wanted = {request(name): name for name in (*says, "talkative", "plain")}
    results = {wanted[result.request]: result for result in export.export(wanted)}
    assert set(results) == set(wanted.values())
    for name, text in says.items():
        failure = results[name]
        assert isinstance(failure, export.ExportFailure), name
        assert text in failure.message
        assert "\n" not in failure.message
    whole(results["talkative"])
    whole(results["plain"])


def test_an_entry_is_used_again_unless_it_is_damaged() -> None:
    wanted = request("plain")
    first = whole(one(wanted))
    assert not first.cached
    assert whole(one(wanted)).cached
    data = first.path.read_bytes()
    for damaged in (data[: len(data) // 2], b"", data[:-1] + bytes([data[-1] ^ 1])):
        first.path.write_bytes(damaged)
        again = whole(one(wanted))
        assert not again.cached
        assert again.artifact.sha256 == first.artifact.sha256
    (first.path.parent / "entry.json").write_text('{"label": "half')
    assert whole(one(wanted)).artifact.sha256 == first.artifact.sha256


def test_two_processes_make_the_same_file_once() -> None:
    both = [subprocess.Popen([sys.executable, "-c", ONE], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = {process.communicate(timeout=120)[0] for process in both}
    assert [process.returncode for process in both] == [0, 0]
    assert len(said) == 1
    (_, path) = said.pop().split()
    whole(one(request("plain")))
    assert [place.name for place, _, _ in cache.entries()] == [Path(path).parent.name]


@pytest.fixture
def building(tmp_path: Path) -> Iterator[tuple[export.ExportRequest, threading.Thread, list[object], int]]:
    """An export that hangs in its builder: the request, its thread, its results, and the worker's process number."""
    marker = tmp_path / "marker"
    wanted = request("slow", marker=str(marker))
    results: list[object] = []
    thread = threading.Thread(target=lambda: results.append(one(wanted)))
    thread.start()
    while not marker.exists() or not marker.read_text():
        time.sleep(0.05)
    yield wanted, thread, results, int(marker.read_text())
    marker.unlink(missing_ok=True)
    thread.join(timeout=60)


def test_a_killed_export_leaves_nothing_behind(
    building: tuple[export.ExportRequest, threading.Thread, list[object], int], tmp_path: Path
) -> None:
    wanted, thread, results, worker = building
    os.kill(worker, signal.SIGKILL)
    thread.join(timeout=30)
    assert isinstance(results[0], export.ExportFailure)
    assert cache.entries() == []
    (tmp_path / "marker").unlink()
    done = threading.Event()

    def let_go() -> None:
        while not done.wait(0.1):
            (tmp_path / "marker").unlink(missing_ok=True)

    helper = threading.Thread(target=let_go)
    helper.start()
    made = one(wanted)
    done.set()
    helper.join()
    whole(made)
    assert not list(cache.folder().glob("tmp-*"))


def test_a_second_process_waits_for_the_first(
    building: tuple[export.ExportRequest, threading.Thread, list[object], int], tmp_path: Path
) -> None:
    wanted, thread, results, _ = building
    late: list[object] = []
    second = threading.Thread(target=lambda: late.append(one(wanted)))
    second.start()
    time.sleep(1)
    assert not late
    (tmp_path / "marker").unlink()
    thread.join(timeout=60)
    second.join(timeout=60)
    assert whole(results[0]).artifact.sha256 == whole(late[0]).artifact.sha256


def test_a_keras_file_is_exported_with_its_own_weights(tmp_path: Path) -> None:
    from tests.export import nets  # imports TensorFlow

    path = tmp_path / "mine.keras"
    model = nets.plain()
    model.save(path)
    expected = np.asarray(model(np.ones((1, 8, 8, 3), np.float32))).ravel()
    made = whole(one(export.request(Case(name="mine", model=str(path)))))
    session = onnxruntime.InferenceSession(made.path, providers=["CPUExecutionProvider"])
    assert [value.name for value in (*session.get_inputs(), *session.get_outputs())] == ["image", "logits"]
    (found,) = session.run(None, {"image": np.ones((1, 8, 8, 3), np.float32)})
    assert found.ravel() == pytest.approx(expected, rel=1e-4, abs=1e-6)
    path.write_bytes(b"not a zip")
    damaged = one(export.request(Case(name="mine", model=str(path))))
    assert isinstance(damaged, export.ExportFailure)
    assert "is not a Keras model that can be loaded" in damaged.message


def test_the_cache_stays_within_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = whole(one(request("plain"))), whole(one(request("talkative")))
    monkeypatch.setenv("BACKBENCH_CACHE_GB", str(1.5 * second.path.stat().st_size / 1e9))
    third = whole(one(request("plain", scale=2)))
    assert third.path.exists()
    assert not first.path.exists()
    assert cache.clear() > 0
    assert cache.entries() == []


def test_a_cache_that_cannot_be_written_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BACKBENCH_CACHE", str(tmp_path / "file"))
    failure = one(request("plain"))
    assert isinstance(failure, export.ExportFailure)
    assert "set BACKBENCH_CACHE" in failure.message


def test_exports_run_side_by_side_only_when_memory_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    large = [export.request(Case(name=name, model=name, input_shape=(224, 224, 3))) for name in ("VGG16", "VGG19")]
    needs = sum(pool.need_bytes(request) for request in large)
    made = pool._Pool(large, 2)
    made.total = needs + 1
    assert {made._next(), made._next()} == set(large)
    made = pool._Pool(large, 2)
    made.total = needs - 1
    first = made._next()
    assert first is not None
    got: list[object] = []
    waiting = threading.Thread(target=lambda: got.append(made._next()))
    waiting.start()
    time.sleep(0.2)
    assert not got
    with made.room:
        made.in_use -= pool.need_bytes(first)
        made.room.notify_all()
    waiting.join(timeout=5)
    assert got


def test_without_a_network_imagenet_weights_say_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / ".keras"))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    case = Case(name="x", model="MobileNet", arguments={"alpha": 0.25}, input_shape=(128, 128, 3), weights="imagenet")
    failure = one(export.request(case))
    assert isinstance(failure, export.ExportFailure)
    assert "place the file by hand" in failure.message
    assert "--weights none" in failure.message


def test_a_missing_weights_file_is_named() -> None:
    case = Case(name="x", model="MobileNet", input_shape=(128, 128, 3), weights="nowhere.weights.h5")
    with pytest.raises(Failed, match=r"nowhere.weights.h5 cannot be read"):
        _ = export.request(case).key
