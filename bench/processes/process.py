"""Starting a worker process for one visit, and what its answer or its death means."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench.errors import Failed
from bench.processes.protocol import death

WORKER = Path(__file__).parent.parent / "timing" / "worker.py"


def visit(
    spec: dict[str, Any], *, python: str = sys.executable, timeout_s: float = 600.0, worker: Path = WORKER
) -> dict[str, Any]:
    """Run the worker (or another script that answers as it does) on a specification and return its result.

    This process sleeps in the meantime: one that polls takes a core from the one it measures.
    Raises Failed with one line when the worker reports an error, dies, or takes longer than the timeout.
    """
    try:
        process = subprocess.Popen(
            [python, str(worker)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C reaches this process alone, which then ends the worker
        )
    except OSError as error:
        raise Failed(f"cannot start {python}: {error.strerror}") from error
    with process:
        try:
            out, err = process.communicate(json.dumps(spec | {"parent": os.getpid()}).encode(), timeout=timeout_s)
        except subprocess.TimeoutExpired as error:
            process.kill()
            raise Failed(f"no result within {timeout_s:.0f} s; raise the limit or leave this model out") from error
        except BaseException:
            process.kill()
            raise
    if not out:
        raise Failed(
            death(
                "the timing process",
                process.returncode,
                err.decode(errors="replace"),
                "close other programs or leave it out",
            )
        )
    result: dict[str, Any] = json.loads(out)
    if "error" in result:
        raise Failed(result["error"])
    return result
