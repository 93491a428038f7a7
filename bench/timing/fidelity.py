"""Does a file compute the same in another runtime? One that does not is not timed there."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bench import runtimes
from bench.errors import Failed
from bench.processes import process
from bench.records import Fidelity, PlannedCase, Settings
from bench.timing.schedule import Target, specification, timeout_s

TOLERANCE = {"fp32": 1e-3, "fp16": 3e-2}
"""Largest difference that passes, relative to the largest absolute output. fp32: runtimes add in other orders; bf16,
which has 8 bits, is several times beyond what is allowed."""
_INTEGERS = 0.3  # where roundings fall otherwise, one step of an early layer moves the outputs visibly

Array = np.ndarray[Any, np.dtype[np.float32]]


def against(case: PlannedCase, path: Path, reference: str, settings: Settings) -> Fidelity:
    """A file's outputs in the runtime of its case against those in another one, on the inputs that visits time.

    Raises Failed when either cannot run it.
    """
    provider = runtimes.get(reference).DEVICES["cpu"]
    expected = outputs(Target(replace(case, runtime=reference, provider=provider, device="cpu"), path), settings)
    return compared(outputs(Target(case, path), settings), expected, allowed(case), reference)


def allowed(case: PlannedCase) -> float:
    """The largest difference that passes for a case."""
    return TOLERANCE.get(case.precision, _INTEGERS)


def compared(ours: list[Array], expected: list[Array], tolerance: float, reference: str) -> Fidelity:
    """Outputs against those that they should be: the largest difference over all of them.

    Raises Failed for outputs of other shapes, or that are not numbers.
    """
    shapes, others = ([list(each.shape) for each in outputs] for outputs in (ours, expected))
    if shapes != others:
        raise Failed(f"outputs have the shapes {shapes}, and in {runtimes.get(reference).TITLE} {others}")
    if not all(np.isfinite(each).all() for each in ours):
        raise Failed("outputs are not all numbers (NaN or infinite)")
    pairs = list(zip(ours, expected, strict=True))
    differences = [float(np.abs(one.astype(np.float64) - other).max()) for one, other in pairs]
    sizes = [max(float(np.abs(other).max()), 1e-30) for _, other in pairs]
    worst_abs = max(differences)
    worst_rel = max(difference / size for difference, size in zip(differences, sizes, strict=True))
    return Fidelity(
        max_abs=worst_abs, max_rel=worst_rel, top1_agreement=None, inputs=1, passed=worst_rel <= tolerance,
        reference=runtimes.get(reference).TITLE,
    )  # fmt: skip


def outputs(target: Target, settings: Settings) -> list[Array]:
    """What a target puts out for the inputs that its visits time, in a worker process. Raises Failed."""
    spec = specification(target.case, target.path, settings, do="outputs")
    answer = process.visit(spec, timeout_s=timeout_s(settings))
    return [
        np.frombuffer(base64.b64decode(each["data"]), np.float32).reshape(each["shape"]) for each in answer["outputs"]
    ]
