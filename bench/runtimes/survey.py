"""What ONNX Runtime is installed and what it would do by itself; run by path, like the worker."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any


class _Missing(Exception):
    """There is no ONNX Runtime; in one line."""

    exit_code = 5


def answer(question: dict[str, Any]) -> dict[str, Any]:
    """Its version, build and providers, and its threads by default with the model at `path`. Raises _Missing."""
    try:
        import onnxruntime
    except ImportError as error:
        raise _Missing(f"{sys.executable} has no ONNX Runtime ({error}); pip install backbench[cpu]") from error
    before = _threads()
    session = onnxruntime.InferenceSession(question["path"], providers=["CPUExecutionProvider"])
    time.sleep(0.05)
    return {
        "version": onnxruntime.__version__,
        "build": onnxruntime.get_build_info() if hasattr(onnxruntime, "get_build_info") else "",
        "providers": onnxruntime.get_available_providers(),
        # The calling thread works too. None where the system does not show threads.
        "default_threads": _threads() - before + 1 if before and session else None,
    }


def _threads() -> int:
    return len(list(Path("/proc/self/task").glob("*")))
