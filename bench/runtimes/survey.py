"""What ONNX Runtime is installed and what it would do by itself; run by path in a process of its own, like the worker.

Answers on stdout with one JSON object, or with `{"error": "one line"}`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path


def main() -> None:
    """Ask the runtime, answer."""
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != Path(__file__).resolve().parent]
    path = json.load(sys.stdin)["path"]
    try:
        import onnxruntime
    except ImportError as error:
        json.dump({"error": f"{sys.executable} has no ONNX Runtime ({error}); pip install backbench[cpu]"}, answer)
        return
    before = _threads()
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    time.sleep(0.05)
    json.dump(
        {
            "version": onnxruntime.__version__,
            "build": onnxruntime.get_build_info() if hasattr(onnxruntime, "get_build_info") else "",
            "providers": onnxruntime.get_available_providers(),
            # The calling thread works too. None where the system does not show threads.
            "default_threads": _threads() - before + 1 if before and session else None,
        },
        answer,
    )
    answer.close()


def _threads() -> int:
    return len(list(Path("/proc/self/task").glob("*")))


if __name__ == "__main__":
    main()
