"""Questions to a fresh worker process: what needs TensorFlow or ONNX Runtime never runs in this one."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import msgspec

from bench.errors import Failed

_TIMEOUT_S = 3600.0


def ask(question: dict[str, Any]) -> dict[str, Any]:
    """Have a fresh worker process answer, see `bench.training.worker`. Raises Failed with its reason."""
    with subprocess.Popen(
        [sys.executable, "-m", "bench.training.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        try:
            out, err = process.communicate(msgspec.json.encode(question), timeout=_TIMEOUT_S)
        except subprocess.TimeoutExpired as error:
            process.kill()
            raise Failed(f"no answer to {question['do']} within {_TIMEOUT_S:.0f} s; use fewer examples") from error
        except BaseException:
            process.kill()
            raise
    if not out:
        last = err.decode(errors="replace").strip().rpartition("\n")[2][:300]
        raise Failed(
            f"the process to {question['do']} ended with code {process.returncode}" + (f": {last}" if last else "")
        )
    answer: dict[str, Any] = msgspec.json.decode(out)
    if "error" in answer:
        raise Failed(f"{question['do']} failed: {answer['error']}")
    return answer
