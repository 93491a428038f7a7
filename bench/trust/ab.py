"""Two files timed against each other: in one process in turn, over several fresh processes, until a look decides.

What cannot share a process, two interpreters or two runtimes or two files too large for the memory together, is timed
in pairs of processes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import psutil

from bench import runtimes
from bench.errors import BenchError, Failed
from bench.export.own import sized
from bench.models.file import sha256_of
from bench.processes import process
from bench.records import Health, PlannedCase, Settings, Visit
from bench.runtimes.device import DEFAULT
from bench.timing.schedule import as_visit, disturbances, now, specification, timeout_s
from bench.trust.trial import Pair, block_ratio

BUDGET_S = 60.0
# Of a process for both files. Processes differ more than the blocks within one, so that more of them tell more than
# longer ones: with nothing beside, 0.4, 1 and 2 s gave log ratios the same standard deviation (MobileNetV2 1.2, 1.3 and
# 1.1 %, ResNet50 1.6, 1.3 and 1.5 %; 14 pairs each, in turn); beside two busy loops that come and go, 0.4 s is too
# short (2.4, 1.1 and 1.3 %; 3.9, 2.0 and 2.0 %; 7 to 8 pairs each). See `tests/benchmarks/pair_length.py`. Of a slow
# file a second holds too few blocks: 12 of them instead of 5 took InceptionResNetV2 from 3.2 to 0.9 % for 1.4 times the
# time, InceptionV3 from 2.7 to 2.0 % for 1.1 times (13 pairs each, in turn, nothing beside).
BOTH_S, BOTH_COUNT, BOTH_WARMUP_S = 1.0, 12, 0.3
# Of a process for one: visits differ more than the samples within, so that many short ones tell more than few long.
MIN_TIME_S, MIN_COUNT, WARMUP_S = 0.2, 3, 1.0
_MEMORY_PER_BYTE = 3  # of a loaded model, for each byte of its file: weights, their rearranged copy, activations
_MEMORY_OF_A_PROCESS = 300e6

MemoryLeft = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Side:
    """A file, its runtime, the interpreter that has it, and a slow-down to inject (a share of each call)."""

    path: Path
    python: str = sys.executable
    runtime: str = DEFAULT
    inject: float = 0.0
    threads: int | None = None  # None: those of the setup
    spin: bool = True  # whether idle threads may spin, as the runtime does by default
    batch_size: int | None = None  # where given, times are those of one input of it; None: that of the setup
    precision: str = "fp32"


@dataclass(frozen=True, kw_only=True, slots=True)
class Setup:
    """What both sides have in common."""

    device: str = "cpu"
    threads: int = 1
    dimensions: Mapping[str, int] = field(default_factory=dict)  # of open dimensions, by name
    input_shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)  # by the input's name
    batch_size: int = 1
    seed: int = 0


class Sides:
    """Two files as they are timed: `pair` times both once.

    Raises Failed when there is no such file, and WrongUsage for shapes that fit neither.
    """

    def __init__(self, a: Side, b: Side, setup: Setup) -> None:
        for side in (a, b):
            if not side.path.is_file():
                raise Failed(
                    f"no file {side.path}; correct the path, or make one with `bench export MODEL -o FILE.onnx`"
                )
        self.setup = setup
        cases = sized([case_of("A", a, setup), case_of("B", b, setup)], setup.input_shapes, setup.dimensions)
        self.sides = dict(zip("AB", zip((a, b), cases, strict=True), strict=True))
        self.same_file = sha256_of(a.path) == sha256_of(b.path)
        # A pool of threads has one size, and spins or rests for both.
        alike = all(getattr(a, part) == getattr(b, part) for part in ("python", "runtime", "threads", "spin"))
        self.one_process = alike and a.spin and _fits(a.path, b.path)
        self.runtimes = ("", "")

    @property
    def provider(self) -> str:
        """The provider, or both."""
        return ", ".join(dict.fromkeys(case.provider for _, case in self.sides.values()))

    def pair(self, number: int) -> Pair:
        """Time both files once. The file that comes first changes from pair to pair.

        What turns out not to share a process is timed in two from then on. Raises Failed when that fails too; the line
        names the side.
        """
        a_first = (number + self.setup.seed) % 2 == 0
        if self.one_process:
            try:
                return self._in_one(number, a_first)
            except Failed:
                self.one_process = False  # two processes say which side is at fault, or manage
        return self._in_two(number, a_first)

    def _in_one(self, number: int, a_first: bool) -> Pair:
        settings = _settings(self.setup, self.provider, BOTH_S, BOTH_COUNT, BOTH_WARMUP_S)
        a, b = (
            specification(case, side.path, settings, inject=side.inject, do="turns", seed=number)
            for side, case in self.sides.values()
        )
        result = process.visit(
            a | {"beside": b, "b_first": not a_first},
            python=self.sides["A"][0].python, timeout_s=2 * timeout_s(settings),
        )  # fmt: skip
        self.runtimes = (result["runtime"],) * 2
        inputs = [side.batch_size or 1 for side, _ in self.sides.values()]
        blocks = [[ns / each for ns in timed] for timed, each in zip(result["blocks_ns"], inputs, strict=True)]
        return Pair(
            a_p50_ms=median(blocks[0]) / 1e6,
            b_p50_ms=median(blocks[1]) / 1e6,
            a_first=a_first,
            ratio=block_ratio(*blocks),
            disturbed=bool(disturbances(Health(**result["health"]), result["sampling_ns"] / 1e6)),
        )

    def _in_two(self, number: int, a_first: bool) -> Pair:
        visits = {}
        for name in "AB" if a_first else "BA":
            side, case = self.sides[name]
            try:
                visits[name] = _visited(side, case, self.setup, number)
            except BenchError as error:
                raise type(error)(f"{name} ({side.path}): {error}") from error
        one, other = visits["A"], visits["B"]
        self.runtimes = (one.runtime, other.runtime)
        # The pace is measured by the runtime, so that two of them have two paces.
        alike = self.sides["A"][0].runtime == self.sides["B"][0].runtime
        return Pair(
            a_p50_ms=_p50_ms(one, self.sides["A"][0]),
            b_p50_ms=_p50_ms(other, self.sides["B"][0]),
            a_first=a_first,
            a_pace_ms=one.health.pace_ms if alike else None,
            b_pace_ms=other.health.pace_ms if alike else None,
            disturbed=bool(one.disturbances or other.disturbances),
        )


def p50_ms(side: Side, setup: Setup) -> float:
    """The median of one visit to a side alone, in ms. Raises as a visit does."""
    (case,) = sized([case_of("A", side, setup)], setup.input_shapes, setup.dimensions)
    return _p50_ms(_visited(side, case, setup, 0), side)


def _visited(side: Side, case: PlannedCase, setup: Setup, number: int) -> Visit:
    settings = _settings(setup, case.provider, MIN_TIME_S, MIN_COUNT, WARMUP_S)
    started_at = now()
    spec = specification(case, side.path, settings, inject=side.inject, spin=side.spin)
    result = process.visit(spec, python=side.python, timeout_s=timeout_s(settings))
    return as_visit(result, case.name, number, started_at)


def _p50_ms(visit: Visit, side: Side) -> float:
    return median(visit.samples_ns) / 1e6 / (side.batch_size or 1)


def _settings(setup: Setup, provider: str, min_time_s: float, min_count: int, warmup_s: float) -> Settings:
    return Settings(
        rounds=1, min_time_s=min_time_s, min_count=min_count, warmup_s=warmup_s, budget_s=None, seed=setup.seed,
        device=setup.device, provider=provider,
    )  # fmt: skip


def case_of(name: str, side: Side, setup: Setup) -> PlannedCase:
    """A side as it is timed."""
    return PlannedCase(
        name=name, model=str(side.path), batch_size=side.batch_size or setup.batch_size, device=setup.device,
        runtime=side.runtime, provider=runtimes.get(side.runtime).DEVICES[setup.device], precision=side.precision,
        threads=side.threads or setup.threads,
    )  # fmt: skip


def _fits(*paths: Path, left: MemoryLeft = lambda: float(psutil.virtual_memory().available)) -> bool:
    """Whether the memory that is left holds these models in one process."""
    return _MEMORY_OF_A_PROCESS + _MEMORY_PER_BYTE * sum(path.stat().st_size for path in paths) < left()
