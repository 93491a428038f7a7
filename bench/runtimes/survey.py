"""What a runtime is and does by itself, or whether it runs on a provider; run by path, like the worker."""

from __future__ import annotations

import importlib.util
import sys
import time
from pathlib import Path
from typing import Any


class _Wrong(Exception):
    """Why it does not run; in one line."""

    exit_code = 5


def answer(question: dict[str, Any]) -> dict[str, Any]:
    """Its version, build, providers and threads by default, once its smallest model has run. Raises _Wrong.

    `question`: `runtime`, the path of the runtime's file, and `provider`.
    """
    import numpy as np

    path, provider = Path(question["runtime"]), question["provider"]
    spec = importlib.util.spec_from_file_location(f"backbench_runtime_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise _Wrong(f"{path} is no runtime's file")
    runtime = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(runtime)
    try:
        version = runtime.version()
    except ImportError as error:
        raise _Wrong(
            f'{sys.executable} has no {runtime.TITLE} ({error}); pip install "backbench[{runtime.EXTRA}]"'
        ) from error
    before = _threads()
    session = runtime.load(runtime.PROBE, {"provider": provider, "threads": None})
    _confirm(session, provider)
    ((name, *_),) = session.inputs
    (result,) = session.run({name: np.ones((1, 4), np.float32)})
    time.sleep(0.05)
    if not (np.asarray(result) == 2).all():
        raise _Wrong(f"{provider} computes 1 + 1 = {np.asarray(result).ravel()[0]}")
    _confirm(session, provider)
    about: dict[str, Any] = runtime.about()
    # The calling thread works too. None where the system does not show threads.
    return {"version": version, "default_threads": _threads() - before + 1 if before else None} | about


def _confirm(session: Any, provider: str) -> None:
    ran = session.ran()
    running = ran["nodes"] or ran["providers"]
    if provider not in running:
        raise _Wrong(f"asked for {provider}, but it runs on {', '.join(running)}")


def _threads() -> int:
    return len(list(Path("/proc/self/task").glob("*")))
