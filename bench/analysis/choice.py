"""A choice: which model of a run to ship within limits, why not another, and what a limit costs."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from bench.analysis import answer, quality, quantities
from bench.analysis.quality import TOP1, Quality
from bench.analysis.statistics import wilson
from bench.errors import NoModel, WrongUsage, suggestion
from bench.records import Record, Run

IMAGENET_VALIDATION = 50_000  # images behind a published ImageNet accuracy
_MISSES = 3  # the nearest ones that are named

Interval = tuple[float, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A measured model as a candidate. Its accuracy is the run's: `Choice.quality` says which."""

    case: str
    batch_size: int
    accuracy: float | None  # percent
    accuracy_low: float | None  # 95 % interval
    accuracy_high: float | None
    accuracy_source: str | None  # where it comes from; None where it is not known
    p50_ms: float
    p50_ms_low: float
    p50_ms_high: float
    limited: dict[str, float | None] = field(default_factory=dict)  # every quantity that can be limited, by its name
    intervals: dict[str, Interval] = field(default_factory=dict)  # theirs, where they have one


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """A model of the Pareto front, and what the step to it costs and brings over the one before it."""

    model: Candidate
    cost_ms: float | None = None  # of p50; None of the first
    gain: float | None = None  # percentage points of accuracy
    same: bool = False  # the gain cannot be told from the noise


@dataclass(frozen=True, kw_only=True, slots=True)
class Alternative:
    """The next more accurate model within the limits, and why it did not win."""

    case: str
    gain: float  # percentage points of accuracy over the winner
    times: float  # its p50 over the winner's
    same: bool  # their accuracies cannot be told apart


@dataclass(frozen=True, kw_only=True, slots=True)
class Relaxation:
    """What relaxing one limit would let in, all other limits kept."""

    limit: str
    allowed: float
    needed: float  # the limit at which the model below is let in
    share: float  # how far that is from the limit, over the limit
    case: str
    p50_ms: float
    accuracy: float | None
    gain: float | None  # percentage points of accuracy over the winner
    times: float  # its p50 over the winner's
    largest: bool = False  # the largest gain of all; else the nearest step of its limit


@dataclass(frozen=True, kw_only=True, slots=True)
class Miss:
    """A model that breaks limits, and by how much."""

    case: str
    broken: dict[str, float | None]  # limit -> share over (or under) it; None where nothing is known
    values: dict[str, float | None]  # limit -> the model's own value


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """The answer. Without limits it is the `front`; where no model meets them, `misses` holds the nearest ones."""

    quality: str  # which accuracy: "top1" or "map"
    limits: dict[str, float]
    batch_size: int | None = None  # of every model compared; None: nothing was measured
    left_out: tuple[str, ...] = ()  # models timed with another batch size
    winner: Candidate | None = None
    why_not: Alternative | None = None
    runner_up: Candidate | None = None
    ties: tuple[str, ...] = ()  # models that this run cannot tell from the winner, neither in accuracy nor in p50
    on_the_edge: tuple[str, ...] = ()  # limits that the winner meets, but its interval does not
    binding: tuple[Relaxation, ...] = ()  # the nearest step of each limit, the nearest first, then the largest gain
    front: tuple[Step, ...] = ()
    unknown: tuple[str, ...] = ()  # without limits: models of which no accuracy is known
    misses: tuple[Miss, ...] = ()

    def _repr_html_(self) -> str:
        return f"<ul>{''.join(f'<li>{html.escape(line.strip())}</li>' for line in answer.in_words(self))}</ul>"


def pick(
    run: Run, limits: Mapping[str, float] | None = None, *, device: str | None = None, batch_size: int | None = None
) -> Choice:
    """Choose among the measured models of a run, or among those timed on one device.

    Limits are in ms, bytes, counts and percent, by the names of `quantities.limited()`. Models of one batch size are
    compared: `batch_size`, else the smallest of the run.

    Raises WrongUsage for an unknown or impossible limit.
    """
    given = dict(limits or {})
    for name, allowed in given.items():
        _check(name, allowed)
    return choose(candidates(run, device=device), given, quality.of(run.records).name, batch_size=batch_size)


def choose(
    everything: Sequence[Candidate], limits: Mapping[str, float], judged: str, *, batch_size: int | None = None
) -> Choice:
    """Choose among candidates. The report's page does the same (`report/static/pick.js`): change both.

    Within limits the winner is the fastest of those whose accuracy cannot be told from the best one: published figures
    stand on 50,000 images, so a few tenths of a point are noise. Where the limits are minima only, it is the fastest
    that meets them. Without limits there is no winner, but the front.
    """
    batch = batch_size or min((c.batch_size for c in everything), default=None)
    measured = [c for c in everything if c.batch_size == batch]
    choice = Choice(
        quality=judged, limits=dict(limits), batch_size=batch,
        left_out=tuple(c.case for c in everything if c.batch_size != batch),
    )  # fmt: skip
    if not limits:
        unknown = tuple(c.case for c in measured if c.accuracy is None)
        return replace(choice, front=_front(measured), unknown=unknown)
    quick = all(quantities.QUANTITIES[name].at_least for name in limits)
    ranked = _ranked([c for c in measured if not _broken(c, limits)], quick=quick)
    if not ranked:
        nearest = sorted(measured, key=lambda c: _distance(_broken(c, limits)))[:_MISSES]
        return replace(choice, misses=tuple(_miss(c, limits) for c in nearest))
    winner, *others = ranked
    return replace(
        choice,
        winner=winner,
        why_not=_why_not(winner, others),
        runner_up=others[0] if others else None,
        ties=tuple(other.case for other in others if _same_accuracy(winner, other) and _same_latency(winner, other)),
        on_the_edge=tuple(name for name, allowed in limits.items() if _reaches_past(winner, name, allowed)),
        binding=_binding(measured, limits, winner, quick=quick),
    )


def candidates(run: Run, *, device: str | None = None) -> list[Candidate]:
    """The measured models of a run as candidates, those timed on one device when it is named."""
    judged = quality.of(run.records)
    return [
        _candidate(record, judged)
        for record in run.records
        if record.measurement is not None and device in (None, record.case.device)
    ]


def exit_code(choice: Choice) -> int:
    """The contract's exit code: 6 where no model meets the limits, or none was measured; else 0."""
    return 0 if choice.winner or choice.front else NoModel.exit_code


def accuracy_interval(record: Record, judged: Quality) -> Interval | None:
    """The 95 % interval of an accuracy in percent: the measured one, or that of 50,000 images for a published top-1.

    An mAP comes without an interval: only equal ones are then the same.
    """
    value = judged.value(record)
    if value is None:
        return None
    if measured := judged.interval(record):
        return measured
    if judged is not TOP1 or record.accuracy.origin != "published":
        return value, value
    low, high = wilson(round(value / 100 * IMAGENET_VALIDATION), IMAGENET_VALIDATION)
    return 100 * low, 100 * high


def _check(name: str, allowed: float) -> None:
    """Raises WrongUsage for a limit that cannot be meant."""
    known = quantities.limited()
    if name not in known:
        raise WrongUsage(f'nothing called "{name}" can be limited; {suggestion(name, known)}')
    if not math.isfinite(allowed) or allowed <= 0:
        raise WrongUsage(f"a limit is a number above 0; --{name} {allowed:g} is none")
    if known[name].unit == "percent" and allowed <= 1:
        raise WrongUsage(f"--{name} {allowed:g} means {allowed:g} %; did you mean {100 * allowed:g}?")
    if known[name].unit == "percent" and allowed > 100:
        raise WrongUsage(f"--{name} {allowed:g} is more than 100 %; no model can reach that")


def _front(measured: Sequence[Candidate]) -> tuple[Step, ...]:
    """The models that none beats in both accuracy and p50, the fastest first; without any accuracy, the fastest."""
    known = [c for c in measured if c.accuracy is not None]
    by_time = sorted(known or measured, key=lambda c: (c.p50_ms, -(c.accuracy or 0.0)))
    steps: list[Step] = []
    for model in by_time:
        if not steps:
            steps.append(Step(model=model))
            continue
        before = steps[-1].model
        if (model.accuracy or 0.0) > (before.accuracy or 0.0):
            gain = (model.accuracy or 0.0) - (before.accuracy or 0.0)
            cost = model.p50_ms - before.p50_ms
            steps.append(Step(model=model, cost_ms=cost, gain=gain, same=_same_accuracy(before, model)))
    return tuple(steps)


def _ranked(within: Sequence[Candidate], *, quick: bool) -> list[Candidate]:
    """Best first: the fastest of those as accurate as the best, then the rest of those, then by accuracy.

    With `quick`, by p50 alone.
    """
    if quick:
        return sorted(within, key=lambda c: c.p50_ms)
    known = [c for c in within if c.accuracy is not None]
    unknown = sorted((c for c in within if c.accuracy is None), key=lambda c: c.p50_ms)
    if not known:
        return unknown
    best = max(known, key=lambda c: (c.accuracy or 0.0, -c.p50_ms))
    leading = sorted((c for c in known if _same_accuracy(best, c)), key=lambda c: c.p50_ms)
    trailing = sorted((c for c in known if not _same_accuracy(best, c)), key=lambda c: (-(c.accuracy or 0.0), c.p50_ms))
    return [*leading, *trailing, *unknown]


def _why_not(winner: Candidate, others: Sequence[Candidate]) -> Alternative | None:
    """The next more accurate of the models within the limits."""
    if winner.accuracy is None:
        return None
    higher = [c for c in others if c.accuracy is not None and c.accuracy > winner.accuracy]
    if not higher:
        return None
    following = min(higher, key=lambda c: (c.accuracy or 0.0, c.p50_ms))
    return Alternative(
        case=following.case,
        gain=(following.accuracy or 0.0) - winner.accuracy,
        times=following.p50_ms / winner.p50_ms,
        same=_same_accuracy(winner, following),
    )


def _binding(
    measured: Sequence[Candidate], limits: Mapping[str, float], winner: Candidate, *, quick: bool
) -> tuple[Relaxation, ...]:
    """What single limits keep out that is better than the winner: each limit's nearest step, then the largest gain."""
    steps: list[Relaxation] = []
    for name, allowed in limits.items():
        for c in measured:
            broken, needed = _broken(c, limits), c.limited[name]
            share = broken.get(name)
            if len(broken) != 1 or share is None or needed is None or not _beats(c, winner, quick=quick):
                continue
            both = c.accuracy is not None and winner.accuracy is not None
            steps.append(Relaxation(
                limit=name, allowed=allowed, needed=needed, share=share, case=c.case, p50_ms=c.p50_ms,
                accuracy=c.accuracy, gain=(c.accuracy or 0.0) - (winner.accuracy or 0.0) if both else None,
                times=c.p50_ms / winner.p50_ms,
            ))  # fmt: skip
    near = sorted(steps, key=lambda step: step.share)
    nearest = [next(step for step in near if step.limit == name) for name in dict.fromkeys(s.limit for s in near)]
    best = sorted(steps, key=lambda step: step.p50_ms if quick else (-(step.gain or 0.0), step.p50_ms))[:1]
    return (*nearest, *(replace(step, largest=True) for step in best if step not in nearest))


def _beats(candidate: Candidate, winner: Candidate, *, quick: bool) -> bool:
    """Whether a candidate is better than the winner by more than the noise."""
    if quick or (candidate.accuracy is None and winner.accuracy is None):
        return candidate.p50_ms_high < winner.p50_ms_low
    if candidate.accuracy is None or winner.accuracy is None:
        return candidate.accuracy is not None
    return candidate.accuracy > winner.accuracy and not _same_accuracy(candidate, winner)


def _broken(candidate: Candidate, limits: Mapping[str, float]) -> dict[str, float | None]:
    """The limits that a model breaks, and by which share."""
    broken: dict[str, float | None] = {}
    for name, allowed in limits.items():
        value = candidate.limited[name]
        if value is None:
            broken[name] = None
        elif value < allowed if quantities.QUANTITIES[name].at_least else value > allowed:
            broken[name] = abs(value / allowed - 1)
    return broken


def _miss(candidate: Candidate, limits: Mapping[str, float]) -> Miss:
    broken = _broken(candidate, limits)
    return Miss(case=candidate.case, broken=broken, values={name: candidate.limited[name] for name in broken})


def _distance(broken: dict[str, float | None]) -> tuple[bool, float]:
    shares = [share for share in broken.values() if share is not None]
    return None in broken.values(), max(shares, default=0.0)


def _reaches_past(candidate: Candidate, name: str, allowed: float) -> bool:
    span = candidate.intervals.get(name)
    if span is None:
        return False
    return span[0] < allowed if quantities.QUANTITIES[name].at_least else span[1] > allowed


def _candidate(record: Record, judged: Quality) -> Candidate:
    m, accuracy = record.measurement, record.accuracy
    if m is None:
        raise ValueError(f"{record.case.name} has no measurement")
    interval = accuracy_interval(record, judged)
    images = f" on {accuracy.n:,} images" if accuracy.n else ""
    source = f"{accuracy.origin}{images}{f': {accuracy.source}' if accuracy.source else ''}"
    known = quantities.limited()
    return Candidate(
        case=record.case.name,
        batch_size=record.case.batch_size,
        accuracy=judged.value(record),
        accuracy_low=interval[0] if interval else None,
        accuracy_high=interval[1] if interval else None,
        accuracy_source=source if interval else None,
        p50_ms=m.p50_ms,
        p50_ms_low=m.p50_ms_low,
        p50_ms_high=m.p50_ms_high,
        limited={name: one.read(record) for name, one in known.items()},
        intervals={name: span for name, one in known.items() if (span := one.interval_of(record)) is not None},
    )


def _same_accuracy(a: Candidate, b: Candidate) -> bool:
    if a.accuracy_low is None or b.accuracy_low is None or a.accuracy_high is None or b.accuracy_high is None:
        return a.accuracy is None and b.accuracy is None
    return a.accuracy_low <= b.accuracy_high and b.accuracy_low <= a.accuracy_high


def _same_latency(a: Candidate, b: Candidate) -> bool:
    return a.p50_ms_low <= b.p50_ms_high and b.p50_ms_low <= a.p50_ms_high
