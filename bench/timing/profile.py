"""Where an inference spends its time: by kind of layer, from the runtime's own profiler."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from math import prod

from bench.cost.layers import kind_of
from bench.machine import lock
from bench.processes import process
from bench.records import Settings
from bench.timing.schedule import Target, specification, timeout_s

WARMUP_S, MIN_TIME_S, MIN_COUNT = 0.1, 0.2, 4

Shape = Sequence[int]


def by_kind(target: Target, settings: Settings) -> dict[str, float]:
    """Milliseconds of one inference by kind of layer; "layout" is what moving data between layouts takes.

    Each node is clocked, which takes time itself: read the shares, not the sum. Raises Failed when it cannot be run, or
    the runtime cannot tell.
    """
    spec = specification(
        target.case, target.path, settings,
        do="profile", warmup_s=WARMUP_S, min_time_s=MIN_TIME_S, min_count=MIN_COUNT,
    )  # fmt: skip
    with lock.measuring():
        nodes = process.visit(spec, timeout_s=timeout_s(settings))["nodes"]
    times: dict[str, float] = defaultdict(float)
    for operator, shapes, ms in nodes:
        times[kind(operator, shapes)] += ms
    return {name: round(ms, 4) for name, ms in sorted(times.items())}


def kind(operator: str, shapes: Sequence[Shape]) -> str:
    """The kind of a node by its operator, as `runtimes.Session.profile` names it, and the shapes of its inputs.

    >>> kind("Conv", [(1, 32, 56, 56), (32, 1, 3, 3)]), kind("Conv", [(1, 32, 56, 56), (64, 32, 1, 1)])
    ('depthwise', 'pointwise')
    >>> kind("Layout", []), kind("Softmax", [(1, 10)])
    ('layout', 'other')
    """
    if operator == "Layout":
        return "layout"
    if operator == "Conv" and len(shapes) > 1 and len(shapes[1]) > 2:
        (_, channels, *places), (_, inputs, *kernel) = shapes[0], shapes[1]
        if inputs == 1 and prod(kernel) == 1 and channels > 1:
            return "other"  # a batch norm that stands alone, run as a convolution
        return kind_of(kernel, channels, channels // inputs, prod(places))
    if operator == "MatMul" and shapes:
        return kind_of((1,), shapes[0][-1], 1, prod(shapes[0][1:-1]))
    return "other"
