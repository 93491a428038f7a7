"""Devices: which one really runs here. What a runtime was built with proves nothing."""

from __future__ import annotations

import base64
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.errors import Failed
from bench.processes import process

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}

# y = x + x for float x of shape (1, 4): the smallest model that shows whether a device runs anything.
_PROBE = base64.b64decode(
    "CAk6QQoOCgF4CgF4EgF5IgNBZGQSBXByb2JlWhMKAXgSDgoMCAESCAoCCAEKAggEYhMKAXkSDgoMCAESCAoCCAEKAggEQgQKABAO"
)


def resolve(device: str) -> tuple[str, str]:
    """The device and execution provider to use for "auto", "cpu" or "cuda".

    "auto" is CUDA where a small model really runs on it, else the CPU. Raises Failed when CUDA was asked for and
    cannot run.
    """
    if device == "cpu":
        return device, PROVIDERS[device]
    reason = _why_not_cuda()
    if reason is None:
        return "cuda", PROVIDERS["cuda"]
    if device == "cuda":
        raise Failed(
            f"CUDA cannot run here: {reason}; install the driver and `pip install backbench[cuda]` in place of "
            "backbench[cpu], or use --device cpu"
        )
    return "cpu", PROVIDERS["cpu"]


@contextmanager
def probe() -> Iterator[Path]:
    """The smallest model, as a file that is gone afterwards."""
    with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
        file.write(_PROBE)
        file.flush()
        yield Path(file.name)


def why_not(provider: str) -> str | None:
    """None when a small model runs on the provider in a process of its own, else what stood in the way."""
    with probe() as path:
        spec = {
            "path": str(path), "provider": provider, "threads": 1, "batch_size": 1, "shapes": {}, "seed": 0,
            "warmup_s": 0.1, "min_time_s": 0.0, "min_count": 1, "inject": 0.0,
        }  # fmt: skip
        try:
            process.visit(spec, timeout_s=120)
        except Failed as error:
            return str(error)
    return None


def _why_not_cuda() -> str | None:
    if shutil.which("nvidia-smi") is None and not Path("/proc/driver/nvidia").exists():
        return "no NVIDIA driver found"
    return why_not(PROVIDERS["cuda"])
