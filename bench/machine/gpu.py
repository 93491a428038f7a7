"""The GPU as its driver names it."""

from __future__ import annotations

import shutil
import subprocess


def name() -> str:
    """The first GPU's name as its driver gives it, or "unknown"."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return "unknown"
    answer = subprocess.run([tool, "--query-gpu=name", "--format=csv,noheader"], capture_output=True, text=True)
    return answer.stdout.partition("\n")[0].strip() or "unknown"
