"""Worker processes: answers whatever is printed, an end to all, and nothing of the user's in place of a library."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench.errors import Failed, WrongUsage
from bench.processes import process
from bench.records import PlannedCase
from bench.timing.schedule import specification
from tests.timing.test_timing import settings, write_model

HEAD = "import os, sys, time, json\n"


def script(folder: Path, body: str) -> Path:
    """A worker's script with this body of `answer(question)`."""
    path = folder / "its own place" / "worker.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text(HEAD + "def answer(question):\n" + "".join(f"    {line}\n" for line in body.splitlines()))
    return path


def ask(folder: Path, body: str, question: Any = None, **how: Any) -> Any:
    return process.ask(script(folder, body), question, what="the worker", **how)


def test_a_question_and_its_answer(tmp_path: Path) -> None:
    assert ask(tmp_path, "return {'twice': 2 * question['n']}", {"n": 21}) == {"twice": 42}


def test_what_a_worker_prints_disturbs_no_answer(tmp_path: Path) -> None:
    body = "print('{\"answer\": 1}'); os.write(1, b'x' * 500_000); os.write(2, b'y' * 500_000); return 2"
    assert ask(tmp_path, body) == 2


def test_one_worker_answers_many_questions_and_an_error_ends_none(tmp_path: Path) -> None:
    body = "if question == 2: raise ValueError('not\\n two')\nreturn [os.getpid(), question]"
    with process.started(script(tmp_path, body), what="the worker") as worker:
        pid, _ = worker.ask(1)
        with pytest.raises(Failed, match=r"^ValueError: not two$"):
            worker.ask(2)
        assert worker.ask(3) == [pid, 3]


def test_a_full_disk_in_a_worker_says_what_to_do(tmp_path: Path) -> None:
    body = "raise OSError(question, os.strerror(question))"
    with pytest.raises(
        Failed, match=r"^cannot write: No space left on device; free some space, or set BACKBENCH_CACHE"
    ):
        ask(tmp_path, body, errno.ENOSPC)
    with pytest.raises(Failed, match=r"^PermissionError: "):
        ask(tmp_path, body, errno.EACCES)


def test_several_answers_to_a_question_come_one_by_one(tmp_path: Path) -> None:
    body = "return (n * n for n in range(question))"
    with process.started(script(tmp_path, body), what="the worker") as worker:
        assert list(worker.answers(4)) == [0, 1, 4, 9]
        assert list(worker.answers(0)) == []


def test_an_answer_that_breaks_off_in_the_middle_is_an_error(tmp_path: Path) -> None:
    body = "def parts():\n    yield 1\n    raise KeyError('two')\nreturn parts()"
    with process.started(script(tmp_path, body), what="the worker") as worker:
        answers = worker.answers(0)
        assert next(answers) == 1
        with pytest.raises(Failed, match="KeyError"):
            next(answers)


def test_questions_and_answers_of_any_size_and_text(tmp_path: Path) -> None:
    question = {"path": os.fsdecode(b"/tmp/caf\xe9/\xff.png"), "text": "é\n\0\u2028 🐎", "bulk": "x" * 3_000_000}
    assert ask(tmp_path, "return question", question) == question


@pytest.mark.long
@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("os.kill(os.getpid(), 9)", "the worker was killed, most likely for want of memory; buy some"),
        ("os.abort()", "the worker died of signal 6; a library that it uses crashed: try another precision"),
        ("sys.stderr.write('first\\nlast words\\n'); sys.stderr.flush(); os._exit(3)",
         "the worker ended with exit code 3: last words"),
        ("raise MemoryError", "the worker ran out of memory; buy some"),
        ("raise SystemExit('bye')", "SystemExit: bye"),
        ("return object()", "TypeError"),
        ("os.closerange(3, 100); time.sleep(60)", "the worker closed its channel"),
        ("time.sleep(60)", "the worker gave no answer within 2 s"),
        ("__import__('subprocess').Popen(['sleep', '60'], close_fds=False); os._exit(0)",
         "the worker ended with exit code 0"),
    ],
)  # fmt: skip
def test_whatever_happens_to_a_worker_has_an_end_and_a_reason(
    tmp_path: Path, body: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "LAST_BREATH_S", 1.0)
    with pytest.raises(Failed) as failure:
        ask(tmp_path, body, remedy="buy some", timeout_s=2.0 if "gave no" in says else 30.0)
    assert says in str(failure.value)
    assert "\n" not in str(failure.value)


def test_a_question_that_nobody_reads_has_an_end(tmp_path: Path) -> None:
    body = "os.kill(os.getpid(), 19)"  # stopped: it reads nothing any more
    with process.started(script(tmp_path, body), what="the worker", timeout_s=1.0) as worker:
        with pytest.raises(Failed, match="no answer within 1 s"):
            worker.ask("x")
        with pytest.raises(Failed):
            worker.ask("x" * 10_000_000)


def test_an_error_of_ours_stays_what_it_is(tmp_path: Path) -> None:
    body = "class WrongUsage(Exception): exit_code = 2\nraise WrongUsage('no  backbone')"
    with pytest.raises(WrongUsage, match=r"^no  backbone$"):
        ask(tmp_path, body)


def test_an_interpreter_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(Failed, match=r"cannot start .*no-python: No such file"):
        ask(tmp_path, "return 1", python=str(tmp_path / "no-python"))
    with pytest.raises(Failed, match="the worker ended with exit code"):
        ask(tmp_path, "return 1", python="/bin/true")


SHADOWS = ("types", "random", "onnx", "bench", "numpy", "json", "msgspec", "signal", "sitecustomize", "usercustomize")


def shadows(folder: Path) -> Path:
    """Files called as libraries are, each leaving a mark when it runs; where they are."""
    for name in SHADOWS:
        (folder / f"{name}.py").write_text(f"print('hello'); open({str(folder / 'ran')!r}, 'a').write('{name} ')\n")
    return folder / "ran"


@pytest.mark.parametrize("on_the_path", [False, True])
def test_nothing_in_the_working_directory_stands_in_for_a_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_the_path: bool
) -> None:
    ran = shadows(tmp_path)
    body = """import importlib.util, random, types, onnx, numpy
return [importlib.util.find_spec('environment'), onnx.__file__]"""
    shadows(script(tmp_path, body).parent)
    model = write_model(tmp_path / "a.onnx")
    monkeypatch.chdir(tmp_path)
    if on_the_path:
        monkeypatch.setenv("PYTHONPATH", f".{os.pathsep}{tmp_path}{os.pathsep}")
    ours, onnx = process.ask(tmp_path / "its own place" / "worker.py", None, what="the worker")
    assert ours is None, "nor does a file beside the worker's script"
    assert "site-packages" in onnx
    question = {"name": "a", "model": str(model)}
    assert process.ask("bench.cost.counter", question, what="the counter")["error"] is None
    assert not ran.exists(), ran.read_text()


def test_what_only_the_working_directory_has_is_there_when_it_is_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_nets.py").write_text("here = 1\n")
    path = script(tmp_path, "import my_nets; return my_nets.here")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    with pytest.raises(Failed, match="No module named 'my_nets'"):
        process.ask(path, None, what="the worker")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert process.ask(path, None, what="the worker") == 1


def test_a_library_placed_on_the_path_on_purpose_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    newer = tmp_path / "newer"
    newer.mkdir()
    (newer / "onnx.py").write_text("newer = True\n")
    monkeypatch.setenv("PYTHONPATH", str(newer))
    assert ask(tmp_path, "import onnx; return onnx.newer") is True


def test_settings_of_keras_that_are_the_users_do_not_reach_a_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its folder of downloads does: what was placed there by hand is found."""
    home = tmp_path / "home"
    (home / "models").mkdir(parents=True)
    (home / "models" / "mine.h5").write_text("weights")
    users = {"backend": "jax", "floatx": "float16", "image_data_format": "channels_first", "epsilon": 0.1}
    (home / "keras.json").write_text(json.dumps(users))
    monkeypatch.setenv("BACKBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KERAS_HOME", str(home))
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setenv("KERAS_MAX_EPOCHS", "1")
    body = """h = os.environ["KERAS_HOME"]
return [os.environ["KERAS_BACKEND"], "KERAS_MAX_EPOCHS" in os.environ, json.load(open(h + "/keras.json")),
        open(h + "/models/mine.h5").read()]"""
    for _ in range(2):
        backend, cut_short, settings, weights = ask(tmp_path, body, keras=True)
        assert (backend, cut_short, weights) == ("tensorflow", False, "weights")
        assert settings == {
            "backend": "tensorflow", "floatx": "float32", "image_data_format": "channels_last", "epsilon": 1e-7,
        }  # fmt: skip
        (tmp_path / "cache" / "keras" / "keras.json").write_text("spoilt")
    assert json.loads((home / "keras.json").read_text()) == users


def test_a_worker_sees_a_gpu_only_where_it_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    assert ask(tmp_path, "return os.environ['CUDA_VISIBLE_DEVICES']") == ""
    assert ask(tmp_path, "return os.environ['CUDA_VISIBLE_DEVICES']", gpu=True) == "3"


def test_nothing_is_left_open_or_running(tmp_path: Path) -> None:
    here = psutil.Process()
    before = here.num_fds(), len(here.children())
    for body in ("return 1", "os._exit(1)", "raise ValueError"):
        try:
            ask(tmp_path, body)
        except Failed:
            continue
    assert (here.num_fds(), len(here.children())) == before


ORPHAN = """
import sys
from bench.processes import process
from bench.records import PlannedCase
from bench.timing.schedule import specification
worker = process.Process(sys.argv[1], what="the worker")
print(worker.popen.pid, flush=True)
worker.ask(None)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="a worker dies with its parent on Linux alone")
def test_a_worker_dies_with_whoever_asked(tmp_path: Path) -> None:
    path = script(tmp_path, "time.sleep(600)")
    for delay_s in (0.0, 0.5):
        with subprocess.Popen([sys.executable, "-c", ORPHAN, str(path)], stdout=subprocess.PIPE, text=True) as parent:
            assert parent.stdout is not None
            worker = psutil.Process(int(parent.stdout.readline()))
            time.sleep(delay_s)
            parent.kill()
        deadline = time.monotonic() + 20
        while worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < deadline, "the worker outlived its parent"
            time.sleep(0.02)


def test_the_worker_that_times_imports_its_runtime_and_numpy_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "looks.py"
    path.write_text(
        f"""import importlib.util, sys
spec = importlib.util.spec_from_file_location("timing", {str(process.WORKER)!r})
timing = importlib.util.module_from_spec(spec)
spec.loader.exec_module(timing)
def answer(question):
    timing.answer(question)
    return sorted({{name.partition(".")[0] for name in sys.modules}} - set(sys.stdlib_module_names))
"""
    )
    model = write_model(tmp_path / "a.onnx")
    case = PlannedCase(name="a", model=str(model), device="cpu", provider="CPUExecutionProvider", threads=1)
    question = specification(case, model, settings())
    imported = process.ask(path, question, what="the worker")
    assert {name for name in imported if not name.startswith("_")} - {"cython_runtime"} == {"numpy", "onnxruntime"}
