"""Worker processes forked off one that has imported their libraries already, for the time of the tests.

TensorFlow takes five seconds of a core to import, and the suite starts dozens of workers. Each is a process of its own
as ever: its folder, its environment, its channel, its death; only what it would import first is there. Workers that are
a script by itself, as the one that times, start as they always do, and so do all in `tests/processes`.
"""

from __future__ import annotations

import gc
import importlib
import importlib.util
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

LIGHT = ("numpy", "onnxruntime", "onnx", "PIL.Image", "bench.accuracy.predictor", "bench.models.decoding")
KERAS = (*LIGHT, "tensorflow", "keras", "tf2onnx", "h5py", "bench.export.skeleton", "bench.export.clean")
PYTHON = sys.executable
_QUESTION = 1 << 20  # bytes, at most


class Forked:
    """As `subprocess.Popen`, of a process that the nursery has forked and waits for."""

    def __init__(self, pid: int, status: socket.socket) -> None:
        self.pid, self.status = pid, status
        self.returncode: int | None = None

    def poll(self) -> int | None:
        try:
            return self.wait(timeout=0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            with selectors.DefaultSelector() as selector:
                selector.register(self.status, selectors.EVENT_READ)
                if not selector.select(timeout):
                    raise subprocess.TimeoutExpired("a forked worker", timeout or 0)
            self.returncode = int(self.status.recv(16) or -signal.SIGKILL)
            self.status.close()
        return self.returncode


class Nursery:
    """The process that has the libraries, started when the first worker is wanted."""

    def __init__(self, answering: Path, modules: tuple[str, ...], environment: dict[str, str]) -> None:
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self.process = subprocess.Popen(
                [PYTHON, __file__, str(theirs.fileno()), str(answering), *modules], env=environment,
                pass_fds=(theirs.fileno(),), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip

    def fork(self, command: list[str], *, printed: int, channel: int, environment: dict[str, str]) -> Forked:
        ours, theirs = socket.socketpair()
        question = {"command": command, "environment": environment, "folder": os.getcwd()}  # noqa: PTH109
        with theirs:
            socket.send_fds(self.socket, [json.dumps(question).encode()], [channel, printed, theirs.fileno()])
        return Forked(int(self.socket.recv(16)), ours)

    def close(self) -> None:
        self.socket.close()  # it ends at the end of its questions
        self.process.wait()


@contextmanager
def forking(process: Any) -> Iterator[None]:
    """Let `bench.processes.process` fork its workers in this block, where they are modules under this interpreter."""
    nurseries: dict[bool, Nursery] = {}
    alone = threading.Lock()  # exports start side by side
    with ExitStack() as stack:

        class Shim:
            """`subprocess` as that module sees it."""

            DEVNULL, TimeoutExpired = subprocess.DEVNULL, subprocess.TimeoutExpired

            @staticmethod
            def Popen(command: list[str], **how: Any) -> Any:  # noqa: N802
                python, script, target, *_ = command
                if python != PYTHON or target.endswith(".py"):
                    return subprocess.Popen(command, **how)
                keras = "TF_USE_LEGACY_KERAS" in how["env"]
                (channel,) = how["pass_fds"]
                with alone:
                    if keras not in nurseries:
                        modules = KERAS if keras else LIGHT
                        given = {name: value for name, value in how["env"].items() if name != "PYTHONPATH"}
                        nurseries[keras] = Nursery(Path(script), modules, given | {"TF_ENABLE_ONEDNN_OPTS": "0"})
                        stack.callback(nurseries[keras].close)
                    return nurseries[keras].fork(
                        command, printed=how["stdout"].fileno(), channel=channel, environment=how["env"]
                    )  # fmt: skip

        process.subprocess = Shim
        stack.callback(setattr, process, "subprocess", subprocess)
        yield


def main() -> None:
    """Be the nursery: import, then fork a worker for each question until nobody asks any more."""
    number, file, *modules = sys.argv[1:]
    del sys.path[0]  # this folder
    spec = importlib.util.spec_from_file_location("answering", file)
    assert spec is not None
    assert spec.loader is not None
    answering = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(answering)
    answering._load("bench", os.path.join(answering._PACKAGE, "__init__.py"), [answering._PACKAGE])  # noqa: PTH118
    for module in modules:
        if importlib.util.find_spec(module.partition(".")[0]):
            importlib.import_module(module)
    gc.collect()
    gc.freeze()  # what is not looked at is not copied
    questions = socket.socket(fileno=int(number))
    with selectors.DefaultSelector() as selector:
        selector.register(questions, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is not questions:
                    selector.unregister(key.fileobj)
                    pid, status = key.data
                    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                    os.close(key.fd)
                    with suppress(OSError):  # nobody waits for it any more
                        os.write(status, str(code).encode())
                    os.close(status)
                    continue
                line, (*given,) = socket.recv_fds(questions, _QUESTION, 3)[:2]
                if not line:
                    return
                channel, printed, status = given
                pid = os.fork()
                if not pid:
                    os.close(status)
                    os.setsid()
                    questions.send(str(os.getpid()).encode())  # from here on it can be killed with all that it starts
                    questions.close()
                    _be_worker(answering, json.loads(line), channel, printed)
                os.close(channel)
                os.close(printed)
                selector.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, status))


def _be_worker(answering: Any, question: dict[str, Any], channel: int, printed: int) -> NoReturn:
    code = 1
    try:
        os.chdir(question["folder"])
        os.dup2(printed, 1)
        os.dup2(printed, 2)
        os.environ.clear()
        os.environ.update(question["environment"])
        tempfile.tempdir = None  # as that environment says
        sys.path[:0] = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
        if "keras" in sys.modules and "KERAS_HOME" in os.environ:
            importlib.import_module("keras.src.backend.config")._KERAS_DIR = os.environ["KERAS_HOME"]
        _, script, target, _, *rest = question["command"]
        sys.argv = [script, target, str(channel), *rest]
        answering.main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
