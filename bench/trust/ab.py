"""Two files timed against each other: interleaved pairs of fresh processes, until a planned look decides."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from bench import runtimes
from bench.errors import BenchError, Failed
from bench.export.own import sized
from bench.machine import lock
from bench.models.file import sha256_of
from bench.processes import process
from bench.records import PlannedCase, Settings
from bench.runtimes.device import DEFAULT
from bench.timing.schedule import as_visit, now, specification, timeout_s
from bench.trust import trial
from bench.trust.trial import Judgement, Pair, Trial

BUDGET_S = 60.0
# Visits differ more than the samples within one, so that many short visits tell more than few long ones: the medians
# of neighbouring visits differed by 2 % (MobileNetV3Small) and 1.4 % (ResNet50), with 0.1 s of samples as with 0.6 s.
MIN_TIME_S, MIN_COUNT, WARMUP_S = 0.2, 3, 1.0

Listener = Callable[[Judgement, float], None]
"""Called after every look with what the pairs say and the seconds that have passed."""


@dataclass(frozen=True, slots=True)
class Side:
    """A file, its runtime, the interpreter that has it, and a slow-down to inject (a share of each call)."""

    path: Path
    python: str = sys.executable
    runtime: str = DEFAULT
    inject: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Setup:
    """What both sides have in common."""

    device: str = "cpu"
    threads: int = 1
    dimensions: Mapping[str, int] = field(default_factory=dict)  # of open dimensions, by name
    input_shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)  # by the input's name
    batch_size: int = 1
    seed: int = 0


def measure(
    a: Side,
    b: Side,
    setup: Setup,
    *,
    budget_s: float = BUDGET_S,
    limit_s: float = 0.0,
    margin: float = 0.03,
    width: float | None = None,
    on_look: Listener | None = None,
) -> Trial:
    """Time A and B in pairs of visits, in the order ABBA or BAAB by chance.

    Stops at the first planned look (`trial.LOOKS`) whose verdict is decided, or, with `width`, whose interval is that
    narrow (relative, e.g. 0.01); at the latest when the budget has no room for another pair. A budget too short for so
    many pairs as a verdict needs (`trial.pairs_needed`) is exceeded until there are so many, where that takes no longer
    than `limit_s`: whether it does follows from how long pairs take, never from what they say. Disturbed pairs count,
    unless the machine changed its pace between their visits (`trial.Pair.torn`): the signed ranks bear them, and
    leaving some out for how they look would be a choice made after seeing them.

    Raises Failed when a visit fails; the line names the side.
    """
    for side in (a, b):
        if not side.path.is_file():
            raise Failed(f"no file {side.path}; correct the path, or make one with `bench export MODEL -o FILE.onnx`")
    same_file = sha256_of(a.path) == sha256_of(b.path)
    sides = _sides(a, b, setup)
    pairs: list[Pair] = []
    taken = 0
    with lock.measuring():
        begun = time.monotonic()
        for a_first in _orders(setup.seed):
            pair, runtimes = _pair(sides, setup, a_first)
            pairs.append(pair)
            seconds = time.monotonic() - begun
            over = seconds * (1 + 1 / len(pairs)) > budget_s  # no room for another pair
            over = over and not _within(limit_s, pairs, seconds)
            due = len(trial.LOOKS) if over else sum(seconds >= share * budget_s for share in trial.LOOKS[:-1])
            if due <= taken:
                continue
            taken = due
            found = trial.judged(pairs, margin=margin, look=due - 1)
            if on_look:
                on_look(found, seconds)
            if stopped := _stopped(found, width, over):
                break
    return Trial(
        judgement=found,
        margin=margin,
        a_p50_ms=median(pair.a_p50_ms for pair in pairs),
        b_p50_ms=median(pair.b_p50_ms for pair in pairs),
        a_runtime=runtimes[0],
        b_runtime=runtimes[1],
        same_file=same_file,
        threads=setup.threads,
        provider=", ".join(dict.fromkeys(_provider(side, setup) for side in (a, b))),
        seconds=round(seconds, 1),
        stopped=stopped,
        pairs=tuple(pairs),
    )


def _within(limit_s: float, pairs: Sequence[Pair], seconds: float) -> bool:
    """Whether pairs are lacking for a verdict that will be there when so much time has passed."""
    whole = sum(not pair.torn for pair in pairs)
    lacking = trial.pairs_needed() - whole
    return lacking > 0 and seconds + lacking * seconds / max(whole, 0.5) <= limit_s


def _stopped(found: Judgement, width: float | None, over: bool) -> str:
    """Why the trial ends here, or "" when it goes on."""
    if width is None and found.verdict != "inconclusive":
        return "decided"
    if width is not None and found.width <= width:
        return "width"
    return "budget" if over else ""


def _orders(seed: int) -> Iterator[bool]:
    """Whether A comes first, for one pair after another: AB BA or BA AB by chance, so that drifts cancel."""
    rng = random.Random(seed)
    while True:
        first = rng.random() < 0.5
        yield from (first, not first)


def _provider(side: Side, setup: Setup) -> str:
    return runtimes.get(side.runtime).DEVICES[setup.device]


def _sides(a: Side, b: Side, setup: Setup) -> dict[str, tuple[Side, PlannedCase]]:
    """What to time on each side; a shape or size goes to the file that has an input or an axis of that name."""
    cases = [
        PlannedCase(
            name=name, model=str(side.path), batch_size=setup.batch_size, device=setup.device, runtime=side.runtime,
            provider=_provider(side, setup), threads=setup.threads,
        )
        for name, side in (("A", a), ("B", b))
    ]  # fmt: skip
    return dict(zip("AB", zip((a, b), sized(cases, setup.input_shapes, setup.dimensions), strict=True), strict=True))


def _pair(sides: Mapping[str, tuple[Side, PlannedCase]], setup: Setup, a_first: bool) -> tuple[Pair, tuple[str, str]]:
    """One visit to each side, and the versions of their runtimes."""
    visits, runtimes = {}, {}
    for name in "AB" if a_first else "BA":
        side, case = sides[name]
        settings = Settings(
            rounds=1, min_time_s=MIN_TIME_S, min_count=MIN_COUNT, warmup_s=WARMUP_S, budget_s=None, seed=setup.seed,
            device=setup.device, provider=_provider(side, setup),
        )  # fmt: skip
        started_at = now()
        try:
            spec = specification(case, side.path, settings, inject=side.inject)
            result = process.visit(spec, python=side.python, timeout_s=timeout_s(settings))
        except BenchError as error:
            raise type(error)(f"{name} ({side.path}): {error}") from error
        visits[name], runtimes[name] = as_visit(result, name, 0, started_at), result["runtime"]
    one, other = visits["A"], visits["B"]
    # The pace is measured by the runtime, so that two of them have two paces.
    alike = sides["A"][0].runtime == sides["B"][0].runtime
    paces = (one.health.pace_ms, other.health.pace_ms) if alike else (None, None)
    pair = Pair(
        a_p50_ms=median(one.samples_ns) / 1e6, b_p50_ms=median(other.samples_ns) / 1e6, a_first=a_first,
        a_pace_ms=paces[0], b_pace_ms=paces[1],
        disturbed=bool(one.disturbances or other.disturbances),
    )  # fmt: skip
    return pair, (runtimes["A"], runtimes["B"])
