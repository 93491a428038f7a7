"""The side that asks: starting a worker process, its answers, its time limit, and what its death means.

This process sleeps while a worker works: one that polls takes a core from the one it measures.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Required, TypedDict, Unpack

import msgspec

from bench import errors
from bench.errors import BenchError, Failed
from bench.processes import environment

SCRIPT = Path(__file__).with_name("answering.py")
WORKER = Path(__file__).parent.parent / "timing" / "worker.py"
TIMEOUT_S = 3600.0
LAST_BREATH_S = 10.0  # between the end of the channel and that of the process
_CRASHES = {signal.SIGILL, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGSEGV}
_CRASHED = "a library that it uses crashed: try another precision, runtime or version of it"
_LAST_WORDS = 10_000  # bytes of what a worker printed that are looked at


class How(TypedDict, total=False):
    """How a worker process is run."""

    what: Required[str]  # how people know it, for messages
    remedy: str  # against want of memory
    python: str  # another interpreter
    gpu: bool  # whether it may use one
    keras: bool  # whether it builds Keras models
    changes: Mapping[str, str]  # of its environment
    timeout_s: float  # how long it may be silent


class Process:
    """A worker process that answers questions; end it with `close`.

    `target`: a module of this package, or a script that stands for itself; its function `answer` is called, see
    `bench.processes.answering`. Raises Failed when the process cannot start.
    """

    def __init__(self, target: str | Path, **how: Unpack[How]) -> None:
        self.what = how["what"]
        self.remedy = how.get("remedy", "close other programs")
        self.timeout_s = how.get("timeout_s", TIMEOUT_S)
        python = how.get("python", sys.executable)
        surroundings, path_end = environment.of_worker(
            gpu=how.get("gpu", False), keras=how.get("keras", False), changes=how.get("changes", {})
        )
        self.printed = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        self.channel, theirs = socket.socketpair()
        self.channel.settimeout(self.timeout_s)
        self.lines = self.channel.makefile("rb")
        try:
            self.popen = subprocess.Popen(
                [python, str(SCRIPT), str(target), str(theirs.fileno()), str(os.getpid()), *path_end],
                stdin=subprocess.DEVNULL,
                stdout=self.printed,
                stderr=self.printed,
                pass_fds=(theirs.fileno(),),
                env=surroundings,
                start_new_session=True,  # Ctrl-C reaches this process alone, which then ends the worker
            )
        except OSError as error:
            self._let_go()
            raise Failed(f"cannot start {python}: {error.strerror}") from error
        finally:
            theirs.close()

    def ask(self, question: object) -> Any:
        """The answer to a question, as JSON holds it.

        Raises what the worker says stands in the way; Failed when it dies, or is silent for longer than its limit.
        """
        self._put(question)
        return self._message()["answer"]

    def answers(self, question: object) -> Iterator[Any]:
        """The answers to a question that has several, as they come. Raises as `ask`."""
        self._put(question)
        while "end" not in (message := self._message()):
            yield message["answer"]

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.popen.poll() is None

    def kill(self) -> None:
        """Kill it, and what it has started; whoever waits for its answer learns of it."""
        if self.alive:
            with suppress(ProcessLookupError):
                os.killpg(self.popen.pid, signal.SIGKILL)

    def close(self) -> None:
        """End it, whatever it does."""
        self.kill()
        self.popen.wait()
        self._let_go()

    def _let_go(self) -> None:
        self.lines.close()
        self.channel.close()
        self.printed.close()

    def _put(self, question: object) -> None:
        line = json.dumps(msgspec.to_builtins(question)).encode() + b"\n"
        try:
            self.channel.sendall(line)
        except TimeoutError as error:
            raise self._silent() from error
        except OSError:
            return  # its end says why

    def _message(self) -> dict[str, Any]:
        try:
            line = self.lines.readline()
        except TimeoutError as error:
            raise self._silent() from error
        except OSError:
            line = b""
        if not line.endswith(b"\n"):
            raise Failed(self._death())
        message: dict[str, Any] = json.loads(line)
        if "error" in message:
            if message["kind"] == "MemoryError":
                raise Failed(f"{self.what} ran out of memory; {self.remedy}")
            kind = getattr(errors, message["kind"], Failed)
            raise (kind if issubclass(kind, BenchError) else Failed)(message["error"])
        return message

    def _silent(self) -> Failed:
        self.kill()
        return Failed(f"{self.what} gave no answer within {self.timeout_s:.0f} s; ask for less, or leave this one out")

    def _death(self) -> str:
        """Why it ended, in one line."""
        try:
            code = self.popen.wait(timeout=LAST_BREATH_S)
        except subprocess.TimeoutExpired:
            self.kill()
            return f"{self.what} closed its channel; {self.remedy}"
        if code == -9:
            return f"{self.what} was killed, most likely for want of memory; {self.remedy}"
        self.printed.seek(max(0, self.printed.seek(0, os.SEEK_END) - _LAST_WORDS))
        last = self.printed.read().decode(errors="replace").strip().rpartition("\n")[2]
        died = f"died of signal {-code}" if code < 0 else f"ended with exit code {code}"
        said = f"{self.what} {died}" + (f": {last[:300]}" if last else "")
        return f"{said}; {_CRASHED}" if -code in _CRASHES else said


@contextmanager
def started(target: str | Path, **how: Unpack[How]) -> Iterator[Process]:
    """A worker process for several questions, ended at the end of the block."""
    process = Process(target, **how)
    try:
        yield process
    finally:
        process.close()


def ask(target: str | Path, question: object, **how: Unpack[How]) -> Any:
    """One question to a fresh process: the answer, as JSON holds it. Raises as `Process` and `Process.ask`."""
    with started(target, **how) as process:
        return process.ask(question)


def visit(spec: dict[str, Any], *, python: str = sys.executable, timeout_s: float = 600.0) -> dict[str, Any]:
    """One visit: what the timing worker makes of a specification. Raises Failed."""
    result: dict[str, Any] = ask(
        WORKER, spec, what="the timing process", remedy="close other programs or leave it out", python=python,
        gpu=True, timeout_s=timeout_s,
    )  # fmt: skip
    return result
