"""A choice: which model of a run to ship within limits, how sure that is, and what a limit costs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from bench.errors import WrongUsage, suggestion
from bench.records import Accuracy, Record, Run
from bench.stats import wilson
from bench.units import latency, percent, quantity

IMAGENET_VALIDATION = 50_000  # images behind a published ImageNet accuracy


@dataclass(frozen=True, slots=True)
class Limit:
    """One quantity that can be limited: how to read it, and which way is better."""

    label: str
    unit: str  # as in bench.units.parse_quantity: "ms", "bytes", "count" or "percent"
    value: Callable[[Record], float | None]
    at_least: bool = False  # the limit is a minimum


LIMITS: dict[str, Limit] = {
    "p50": Limit("p50", "ms", lambda r: r.measurement.p50_ms if r.measurement else None),
    "p95": Limit("p95", "ms", lambda r: r.measurement.p95_ms if r.measurement else None),
    "p99": Limit("p99", "ms", lambda r: r.measurement.p99_ms if r.measurement else None),
    "size": Limit("size", "bytes", lambda r: r.artifact.size_bytes if r.artifact else None),
    "params": Limit("parameters", "count", lambda r: r.cost.params if r.cost else None),
    "memory": Limit("peak memory", "bytes", lambda r: r.measurement.peak_rss_bytes if r.measurement else None),
    "top1": Limit("top-1", "percent", lambda r: r.accuracy.top1, at_least=True),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A model as a candidate."""

    case: str
    top1: float | None
    top1_low: float | None
    top1_high: float | None
    p50_ms: float
    p50_ms_low: float
    p50_ms_high: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Relaxation:
    """What giving up one limit would buy."""

    limit: str
    allowed: float
    needed: float  # the limit at which the model below is let in
    case: str
    p50_ms: float
    top1: float | None
    gain: float | None  # percentage points of top-1 over the winner


@dataclass(frozen=True, kw_only=True, slots=True)
class Miss:
    """A model that breaks limits, and by how much: limit -> share over (or under) it; None where nothing is known."""

    case: str
    broken: dict[str, float | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """The answer. Without a winner, `misses` holds the nearest ones."""

    limits: dict[str, float]
    winner: Candidate | None
    runner_up: Candidate | None
    ties: tuple[str, ...]  # models that this run cannot tell from the winner, neither in accuracy nor in p50
    on_the_edge: tuple[str, ...]  # limits that the winner meets, but its interval does not
    binding: tuple[Relaxation, ...]
    misses: tuple[Miss, ...]


def pick(run: Run, limits: Mapping[str, float]) -> Choice:
    """Choose among the measured models of a run.

    The winner is the fastest of those whose accuracy cannot be told from the best one within the limits: published
    figures stand on 50,000 images, so a few tenths of a point are noise. Limits are in ms, bytes, counts and percent.

    Raises WrongUsage for an unknown limit.
    """
    for name in limits:
        if name not in LIMITS:
            raise WrongUsage(f'nothing called "{name}" can be limited; {suggestion(name, LIMITS)}')
    measured = [record for record in run.records if record.measurement is not None]
    ranked = _ranked(record for record in measured if not _broken(record, limits))
    if not ranked:
        nearest = sorted(measured, key=lambda r: _distance(_broken(r, limits)))[:3]
        misses = tuple(Miss(case=r.case.name, broken=_broken(r, limits)) for r in nearest)
        return Choice(
            limits=dict(limits), winner=None, runner_up=None, ties=(), on_the_edge=(), binding=(), misses=misses
        )
    winner = _candidate(ranked[0])
    others = [_candidate(record) for record in ranked[1:]]
    return Choice(
        limits=dict(limits),
        winner=winner,
        runner_up=others[0] if others else None,
        ties=tuple(other.case for other in others if _same_accuracy(winner, other) and _same_latency(winner, other)),
        on_the_edge=("p50",) if "p50" in limits and winner.p50_ms_high > limits["p50"] else (),
        binding=tuple(_relaxations(measured, limits, winner)),
        misses=(),
    )


def in_words(choice: Choice) -> list[str]:
    """The choice as lines for people."""
    if choice.winner is None:
        return [
            "no model meets these limits; the nearest misses:",
            *(f"  {miss.case}: {_misses(miss.broken, choice.limits)}" for miss in choice.misses),
        ]
    lines = [f"ship {_described(choice.winner)}"]
    if choice.ties:
        lines.append(f"a tie within the noise of this run with {', '.join(choice.ties)}: choose by size or taste")
    lines += [f"  on the edge: the interval of its {name} reaches past the limit" for name in choice.on_the_edge]
    if choice.runner_up:
        lines.append(f"runner-up: {_described(choice.runner_up)}")
    for relaxed in choice.binding:
        limit = LIMITS[relaxed.limit]
        gain = f", {relaxed.gain:+.1f} points of top-1" if relaxed.gain is not None else ""
        gain += f", p50 {latency(relaxed.p50_ms)}"
        lines.append(
            f"binding: {limit.label} of {quantity(relaxed.allowed, limit.unit)}; "
            f"{quantity(relaxed.needed, limit.unit)} would let in {relaxed.case}{gain}"
        )
    if not choice.binding:
        lines.append("no single limit keeps a better model out")
    return lines


def pareto(records: Iterable[Record], x: Callable[[Record], float | None]) -> list[Record]:
    """The records that no other one beats in both top-1 (higher) and x (lower), by rising x."""
    known = [
        (value, r.accuracy.top1, r) for r in records if (value := x(r)) is not None and r.accuracy.top1 is not None
    ]
    known.sort(key=lambda point: (point[0], -point[1]))
    front: list[Record] = []
    best = float("-inf")
    for _, top1, record in known:
        if top1 > best:
            front.append(record)
            best = top1
    return front


def accuracy_interval(accuracy: Accuracy) -> tuple[float, float] | None:
    """The 95 % interval of a top-1 in percent: the measured one, or that of 50,000 images for a published figure."""
    if accuracy.top1 is None:
        return None
    if accuracy.top1_low is not None and accuracy.top1_high is not None:
        return accuracy.top1_low, accuracy.top1_high
    low, high = wilson(round(accuracy.top1 / 100 * IMAGENET_VALIDATION), IMAGENET_VALIDATION)
    return 100 * low, 100 * high


def _ranked(records: Iterable[Record]) -> list[Record]:
    """Best first: the fastest of those as accurate as the best, then the rest of those, then by accuracy."""
    everything = list(records)
    known = [r for r in everything if r.accuracy.top1 is not None]
    unknown = sorted((r for r in everything if r.accuracy.top1 is None), key=_p50)
    if not known:
        return unknown
    best = _candidate(max(known, key=lambda r: (r.accuracy.top1 or 0.0, -_p50(r))))
    leading = sorted((r for r in known if _same_accuracy(best, _candidate(r))), key=_p50)
    trailing = sorted((r for r in known if r not in leading), key=lambda r: (-(r.accuracy.top1 or 0.0), _p50(r)))
    return [*leading, *trailing, *unknown]


def _relaxations(measured: list[Record], limits: Mapping[str, float], winner: Candidate) -> Iterable[Relaxation]:
    """For each limit that keeps a more accurate model out: the model, and the limit that would let it in."""
    for name, allowed in limits.items():
        without = {key: value for key, value in limits.items() if key != name}
        ranked = _ranked(r for r in measured if not _broken(r, without))
        better = ranked[0]
        needed = LIMITS[name].value(better)
        if better.case.name == winner.case or needed is None or not _broken(better, {name: allowed}):
            continue
        top1 = better.accuracy.top1
        gain = top1 - winner.top1 if top1 is not None and winner.top1 is not None else None
        yield Relaxation(
            limit=name,
            allowed=allowed,
            needed=needed,
            case=better.case.name,
            p50_ms=_p50(better),
            top1=top1,
            gain=gain,
        )


def _broken(record: Record, limits: Mapping[str, float]) -> dict[str, float | None]:
    """The limits that a record breaks, and by which share."""
    broken: dict[str, float | None] = {}
    for name, allowed in limits.items():
        value = LIMITS[name].value(record)
        if value is None:
            broken[name] = None
        elif value < allowed if LIMITS[name].at_least else value > allowed:
            broken[name] = abs(value / allowed - 1) if allowed else float("inf")
    return broken


def _distance(broken: dict[str, float | None]) -> tuple[bool, float]:
    shares = [share for share in broken.values() if share is not None]
    return None in broken.values(), max(shares, default=0.0)


def _candidate(record: Record) -> Candidate:
    if record.measurement is None:
        raise ValueError(f"{record.case.name} has no measurement")
    interval = accuracy_interval(record.accuracy)
    m = record.measurement
    return Candidate(
        case=record.case.name,
        top1=record.accuracy.top1,
        top1_low=interval[0] if interval else None,
        top1_high=interval[1] if interval else None,
        p50_ms=m.p50_ms,
        p50_ms_low=m.p50_ms_low,
        p50_ms_high=m.p50_ms_high,
    )


def _same_accuracy(a: Candidate, b: Candidate) -> bool:
    if a.top1_low is None or b.top1_low is None or a.top1_high is None or b.top1_high is None:
        return a.top1 is None and b.top1 is None
    return a.top1_low <= b.top1_high and b.top1_low <= a.top1_high


def _same_latency(a: Candidate, b: Candidate) -> bool:
    return a.p50_ms_low <= b.p50_ms_high and b.p50_ms_low <= a.p50_ms_high


def _described(candidate: Candidate) -> str:
    accuracy = "accuracy unknown" if candidate.top1 is None else f"top-1 {percent(candidate.top1)}"
    return f"{candidate.case}: {accuracy}, p50 {latency(candidate.p50_ms, candidate.p50_ms_low, candidate.p50_ms_high)}"


def _misses(broken: Mapping[str, float | None], limits: Mapping[str, float]) -> str:
    return "; ".join(
        f"{LIMITS[name].label} unknown"
        if share is None
        else f"{LIMITS[name].label} {100 * share:.1f} % {'under' if LIMITS[name].at_least else 'over'} "
        f"{quantity(limits[name], LIMITS[name].unit)}"
        for name, share in broken.items()
    )


def _p50(record: Record) -> float:
    return record.measurement.p50_ms if record.measurement else float("inf")
