"""Devices: which one really runs here. What a runtime was built with proves nothing."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from bench import runtimes
from bench.errors import Failed, WrongUsage
from bench.processes import process

DEFAULT = "onnxruntime"
_SURVEY = Path(__file__).parent / "survey.py"


def resolve(device: str, runtime: str = DEFAULT) -> tuple[str, str]:
    """The device to use for "auto", "cpu" or "cuda", and what the runtime calls it.

    "auto" is CUDA where the runtime really runs on it, else the CPU. Raises WrongUsage when the runtime does not know
    the device, Failed when CUDA was asked for and cannot run.
    """
    known = runtimes.get(runtime)
    if device == "cpu" or "cuda" not in known.DEVICES:
        if device == "cuda":
            raise WrongUsage(f"{known.TITLE} runs on {', '.join(known.DEVICES)} alone; use --device cpu")
        return "cpu", known.DEVICES["cpu"]
    reason = _why_not_cuda(runtime)
    if reason is None:
        return "cuda", known.DEVICES["cuda"]
    if device == "cuda":
        raise Failed(
            f"CUDA cannot run here: {reason}; install the driver and `pip install backbench[cuda]` in place of "
            "backbench[cpu], or use --device cpu"
        )
    return "cpu", known.DEVICES["cpu"]


def survey(runtime: str, provider: str | None = None) -> dict[str, Any]:
    """What the runtime's smallest model shows on a provider, in a process of its own.

    `version`, `build`, `providers` that are built in, and `default_threads`: those that it starts when nobody says how
    many. Raises Failed, in one line, when it does not run.
    """
    asked = {"runtime": str(runtimes.file(runtime)), "provider": provider or runtimes.get(runtime).DEVICES["cpu"]}
    what = f"the process that asks {runtimes.get(runtime).TITLE}"
    survey: dict[str, Any] = process.ask(_SURVEY, asked, what=what, timeout_s=120, gpu=True)
    return survey


def why_not(provider: str, runtime: str = DEFAULT) -> str | None:
    """None when a small model runs on the provider in a process of its own, else what stood in the way."""
    try:
        survey(runtime, provider)
    except Failed as error:
        return str(error)
    return None


def _why_not_cuda(runtime: str) -> str | None:
    if shutil.which("nvidia-smi") is None and not Path("/proc/driver/nvidia").exists():
        return "no NVIDIA driver found"
    return why_not(runtimes.get(runtime).DEVICES["cuda"], runtime)
