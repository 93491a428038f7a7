"""A choice: which model of a run to ship within limits, why not another, and what a limit costs."""

from __future__ import annotations

import html
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bench.analysis import answer, quality, quantities, resampling, trust
from bench.analysis.candidates import Candidate, Interval, candidates, gained, same_accuracy, same_latency, under_load
from bench.analysis.capacity import cost_of_million
from bench.analysis.resampling import RESAMPLES, Draws
from bench.errors import NoModel, WrongUsage, suggestion
from bench.records import Run

_MISSES = 3  # the nearest ones that are named


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """A model of the Pareto front, and what the step to it costs and brings over the one before it."""

    model: Candidate
    cost_ms: float | None = None  # of p50; None of the first
    gain: float | None = None  # percentage points of accuracy
    same: bool = False  # the gain cannot be told from the noise
    gain_interval: Interval | None = None  # 95 %, of two that were judged on the same images; likewise below
    resamples: int = 0  # in which it is on the front, of `Choice.resamples`; 0 without any accuracy


@dataclass(frozen=True, kw_only=True, slots=True)
class Win:
    """A model that wins some of the resamples."""

    case: str
    resamples: int  # of `Choice.resamples`


@dataclass(frozen=True, kw_only=True, slots=True)
class Likeness:
    """The winner against the model whose accuracy was asked for."""

    case: str  # the model that was named
    gain: float  # percentage points of the winner's accuracy over its
    times: float  # its p50 over the winner's
    same: bool  # the two accuracies cannot be told apart
    gain_interval: Interval | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Alternative:
    """The next more accurate model within the limits, and why it did not win."""

    case: str
    gain: float  # percentage points of accuracy over the winner
    times: float  # its p50 over the winner's
    same: bool  # their accuracies cannot be told apart
    gain_interval: Interval | None = None


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
    gain_interval: Interval | None = None


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
    trust: str = "sound"  # of the run
    winner: Candidate | None = None
    wins: tuple[Win, ...] = ()  # who wins how many resamples of the visits and accuracies, the most first
    resamples: int = 0  # how many there were; none of the models meets the limits in the rest of them
    like: Likeness | None = None
    why_not: Alternative | None = None
    runner_up: Candidate | None = None
    ties: tuple[str, ...] = ()  # models that this run cannot tell from the winner, neither in accuracy nor in p50
    on_the_edge: tuple[str, ...] = ()  # limits that the winner meets, but its interval does not
    binding: tuple[Relaxation, ...] = ()  # the nearest step of each limit, the nearest first, then the largest gain
    front: tuple[Step, ...] = ()
    unknown: tuple[str, ...] = ()  # without limits: models of which no accuracy is known
    misses: tuple[Miss, ...] = ()
    unmeasured: tuple[str, ...] = ()  # limits on what is not known of any model

    def _repr_html_(self) -> str:
        return f"<ul>{''.join(f'<li>{html.escape(line.strip())}</li>' for line in answer.in_words(self))}</ul>"


def pick(
    run: Run,
    limits: Mapping[str, float] | None = None,
    *,
    device: str | None = None,
    batch_size: int | None = None,
    like: str | None = None,
) -> Choice:
    """Choose among the measured models of a run, or among those timed on one device.

    Limits are in ms, bytes, counts and percent, by the names of `quantities.limited()`. Models of one batch size are
    compared: `batch_size`, else the smallest of the run. `like` names a model that the chosen one is to be as accurate
    as: the fastest of those whose accuracy is higher, or cannot be told from its.

    Raises WrongUsage for an unknown or impossible limit, and for a model of which no accuracy is known.
    """
    given = dict(limits or {})
    for name, allowed in given.items():
        _check(name, allowed)
    return choose(
        candidates(run, device=device), resampling.draws(run, device=device), given, quality.of(run.records).name,
        batch_size=batch_size, like=like, trusted=trust.stored(run).verdict,
    )  # fmt: skip


def choose(
    everything: Sequence[Candidate],
    drawn: Sequence[Draws],
    limits: Mapping[str, float],
    metric: str,
    *,
    batch_size: int | None = None,
    like: str | None = None,
    trusted: str = "sound",
) -> Choice:
    """Choose among candidates, each with its draws. The page does the same (`report/static/pick.js`): change both.

    Within limits the winner is the fastest of those whose accuracy cannot be told from the best one: published figures
    stand on 50,000 images, so a few tenths of a point are noise. Where accuracies alone are limited, or a model is
    named that the winner is to be as accurate as, it is the fastest. Without limits there is no winner, but the front.

    Raises WrongUsage where the model `like` is unknown, or its accuracy.
    """
    everything = under_load(everything, limits)
    batch = batch_size or min((c.batch_size for c in everything), default=None)
    index = [i for i, c in enumerate(everything) if c.batch_size == batch]
    measured, their_draws = [everything[i] for i in index], [drawn[i] for i in index]
    reference = _named(like, measured) if like is not None else None
    choice = Choice(
        quality=metric, limits=dict(limits), batch_size=batch, trust=trusted,
        left_out=tuple(c.case for c in everything if c.batch_size != batch),
        unmeasured=tuple(name for name in limits if measured and all(c.limited[name] is None for c in measured)),
    )  # fmt: skip
    if not measured:
        return choice
    if not limits and reference is None:
        unknown = tuple(c.case for c in measured if c.accuracy is None)
        return replace(choice, front=_front(measured, their_draws), unknown=unknown, resamples=RESAMPLES)
    quick = reference is not None or all(quantities.QUANTITIES[name].metric for name in limits)
    wins = Counter(
        resampling.winners(
            measured, their_draws, limits, quick=quick, like=None if reference is None else measured.index(reference)
        ).tolist()
    )
    named = [Win(case=c.case, resamples=wins[i]) for i, c in enumerate(measured) if wins[i]]
    choice = replace(choice, wins=tuple(sorted(named, key=lambda win: -win.resamples)), resamples=RESAMPLES)
    if reference is not None:
        measured = [c for c in measured if _as_accurate(c, reference)]
    ranked = _ranked([c for c in measured if not _broken(c, limits)], quick=quick)
    if not ranked:
        nearest = sorted(measured, key=lambda c: _distance(_broken(c, limits)))[:_MISSES]
        return replace(choice, misses=tuple(_miss(c, limits) for c in nearest))
    winner, *others = ranked
    return replace(
        choice,
        winner=winner,
        like=_likeness(winner, reference) if reference is not None else None,
        why_not=_why_not(winner, others),
        runner_up=others[0] if others else None,
        ties=tuple(other.case for other in others if same_accuracy(winner, other) and same_latency(winner, other)),
        on_the_edge=tuple(name for name, allowed in limits.items() if _reaches_past(winner, name, allowed)),
        binding=_binding(measured, limits, winner, quick=quick),
    )


def costs(choice: Choice, price_per_hour: float) -> dict[str, float | None]:
    """What a million inferences cost of each model that the choice names, at its measured capacity; None: not known.

    Raises WrongUsage for a price that is no number above 0.
    """
    if not math.isfinite(price_per_hour) or price_per_hour <= 0:
        raise WrongUsage(f"a price is a number above 0; --price-per-hour {price_per_hour:g} is none")
    named = [choice.winner, choice.runner_up, *(step.model for step in choice.front)]
    rates = {c.case: c.limited["rps"] for c in named if c is not None}
    return {case: cost_of_million(rate, price_per_hour) if rate else None for case, rate in rates.items()}


def exit_code(choice: Choice) -> int:
    """The contract's exit code: 6 where no model meets the limits, or none was measured; else 0."""
    return 0 if choice.winner or choice.front else NoModel.exit_code


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


def _named(like: str, measured: Sequence[Candidate]) -> Candidate:
    """The candidate of this name, whose accuracy is known. Raises WrongUsage where there is none."""
    named = [c for c in measured if c.case == like] or [c for c in measured if c.case.lower() == like.lower()]
    if not named:
        raise WrongUsage(f'no measured model is called "{like}"; {suggestion(like, [c.case for c in measured])}')
    if named[0].accuracy is None:
        raise WrongUsage(f"no accuracy is known of {named[0].case}, so that none can be as accurate; name another one")
    return named[0]


def _as_accurate(candidate: Candidate, reference: Candidate) -> bool:
    """Whether its accuracy is at least the reference's, or cannot be told from it."""
    if candidate.accuracy is None or reference.accuracy is None:
        return False
    return candidate.accuracy >= reference.accuracy or same_accuracy(candidate, reference)


def _likeness(winner: Candidate, reference: Candidate) -> Likeness:
    return Likeness(
        case=reference.case,
        gain=(winner.accuracy or 0.0) - (reference.accuracy or 0.0),
        times=reference.p50_ms / winner.p50_ms,
        same=same_accuracy(winner, reference),
        gain_interval=gained(winner, reference),
    )


def _front(measured: Sequence[Candidate], drawn: Sequence[Draws]) -> tuple[Step, ...]:
    """The models that none beats in both accuracy and p50, the fastest first; without any accuracy, the fastest."""
    counts = {c.case: count for c, count in zip(measured, resampling.on_front(measured, drawn), strict=True)}
    known = [c for c in measured if c.accuracy is not None]
    by_time = sorted(known or measured, key=lambda c: (c.p50_ms, -(c.accuracy or 0.0)))
    steps: list[Step] = []
    for model in by_time:
        if not steps:
            steps.append(Step(model=model, resamples=counts[model.case]))
            continue
        before = steps[-1].model
        if (model.accuracy or 0.0) > (before.accuracy or 0.0):
            gain = (model.accuracy or 0.0) - (before.accuracy or 0.0)
            cost = model.p50_ms - before.p50_ms
            same = same_accuracy(before, model)
            steps.append(
                Step(
                    model=model, cost_ms=cost, gain=gain, same=same, resamples=counts[model.case],
                    gain_interval=gained(model, before),
                )
            )  # fmt: skip
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
    leading = sorted((c for c in known if same_accuracy(best, c)), key=lambda c: c.p50_ms)
    trailing = sorted((c for c in known if not same_accuracy(best, c)), key=lambda c: (-(c.accuracy or 0.0), c.p50_ms))
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
        same=same_accuracy(winner, following),
        gain_interval=gained(following, winner),
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
                times=c.p50_ms / winner.p50_ms, gain_interval=gained(c, winner),
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
    return candidate.accuracy > winner.accuracy and not same_accuracy(candidate, winner)


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
