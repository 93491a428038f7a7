"""The roofline: how much of what the machine can do at most a case reaches (Williams, Waterman and Patterson 2009)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bench.records import Record, Run

_ELEMENT_BYTES = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """One case under the roofline. Bytes are the least an inference moves: weights and activations, each once."""

    gflops: float  # achieved: 2 x mult-adds x batch size / p50 / 1e9
    intensity: float  # operations a byte
    bound_gflops: float  # min(peak, bandwidth x intensity); the peak alone where all bytes fit into the cache
    limit: str  # what bounds it: "arithmetic" or "memory"
    share: float  # achieved over the bound; above 1 something is wrong

    @property
    def impossible(self) -> bool:
        """Whether more was achieved than the machine can do."""
        return self.share > 1.0


def share(record: Record, run: Run) -> Share | None:
    """A record's place under its run's roofline.

    None where it does not apply: no measurement, nothing counted, or no calibration with the case's threads, provider
    and precision (the peak is that of fp32).
    """
    case, cost, measured, roof = record.case, record.cost, record.measurement, run.roofline
    if roof is None or measured is None or cost is None or not cost.mult_adds or cost.uncounted:
        return None
    if (case.threads, case.provider, case.precision) != (roof.threads, roof.provider, "fp32"):
        return None
    operations = 2 * cost.mult_adds * case.batch_size
    weights = record.artifact.size_bytes if record.artifact else _ELEMENT_BYTES * cost.params
    moved = weights + (cost.activation_bytes or 0) * case.batch_size
    achieved = operations / measured.p50_ms / 1e6
    intensity = operations / moved
    memory = math.inf if moved <= (roof.cache_bytes or 0) else roof.gbytes_per_s * intensity
    bound = min(roof.gflops, memory)
    return Share(
        gflops=achieved, intensity=intensity, bound_gflops=bound, share=achieved / bound,
        limit="memory" if memory < roof.gflops else "arithmetic",
    )  # fmt: skip


def warnings(run: Run) -> list[str]:
    """One line for each case that is faster than the machine can be, with what to do about it."""
    lines = []
    for record in run.records:
        placed = share(record, run)
        if placed is None or run.roofline is None or not placed.impossible:
            continue
        unknown = placed.limit == "memory" and run.roofline.cache_bytes is None
        cached = ", or its data stay in the cache" if unknown else ""
        lines.append(
            f"{record.case.name}: {placed.gflops:.3g} GFLOP/s is {100 * placed.share:.0f} % of the {placed.limit} "
            f"bound ({placed.bound_gflops:.3g} GFLOP/s): its arithmetic is counted wrong{cached}, or the machine "
            "was slower whenever it was calibrated; see `bench cost --per-layer`, and measure again"
        )
    return lines
