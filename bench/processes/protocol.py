"""A worker process for one question: JSON in on its stdin, JSON out on its stdout, and what its death means.

What needs TensorFlow or ONNX Runtime never runs in the process that asks.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import msgspec

from bench.errors import BenchError, Failed

_TIMEOUT_S = 3600.0


def ask(module: str, question: object, *, what: str, timeout_s: float = _TIMEOUT_S) -> dict[str, Any]:
    """Put a question to a fresh process of a module that calls `answer`; its reply.

    Raises Failed, in one line, when the module says why it cannot, dies, or takes longer than the timeout.
    `what`: how people know the process, for messages.
    """
    with subprocess.Popen(
        [sys.executable, "-m", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C reaches this process alone, which then ends the worker
    ) as process:
        try:
            out, err = process.communicate(msgspec.json.encode(question), timeout=timeout_s)
        except subprocess.TimeoutExpired as error:
            process.kill()
            raise Failed(f"{what} gave no answer within {timeout_s:.0f} s; ask for less") from error
        except BaseException:
            process.kill()
            raise
    if not out:
        raise Failed(death(what, process.returncode, err.decode(errors="replace"), "close other programs"))
    reply: dict[str, Any] = msgspec.json.decode(out)
    if "error" in reply:
        raise Failed(reply["error"])
    return reply


def answer(reply: Callable[[bytes], object], *, gpu: bool = False) -> None:
    """Answer the question on stdin. Nothing else reaches stdout: file descriptor 1 is moved away first.

    `gpu`: whether a GPU may be used; without it, weights are the same on every machine, as far as that goes.
    """
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if not gpu:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    try:
        found = reply(sys.stdin.buffer.read())
    except BenchError as error:
        found = {"error": str(error)}
    except Exception as error:
        # Whatever a library raises concerns this question alone; it is reported as its reason.
        found = {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"}
    answers.write(msgspec.json.encode(found))
    answers.close()


def death(what: str, code: int, stderr: str, remedy: str) -> str:
    """Why a process that gave no answer ended, in one line. `remedy`: against want of memory."""
    if code == -9:
        return f"{what} was killed, most likely for want of memory; {remedy}"
    last = stderr.strip().rpartition("\n")[2]
    died = f"died of signal {-code}" if code < 0 else f"ended with exit code {code}"
    return f"{what} {died}" + (f": {last[:300]}" if last else "")
