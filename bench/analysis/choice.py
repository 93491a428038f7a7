"""A choice: which model of a run to ship within limits, how sure that is, and what a limit costs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from bench.analysis import quality
from bench.analysis.quality import MAP, TOP1, Quality
from bench.analysis.statistics import wilson
from bench.errors import WrongUsage, suggestion
from bench.records import Record, Run
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
    "top1": Limit(TOP1.label, "percent", TOP1.value, at_least=True),
    "map": Limit(MAP.label, "percent", MAP.value, at_least=True),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A measured model as a candidate. Its accuracy is the run's: `Choice.quality` says which."""

    case: str
    accuracy: float | None  # percent
    accuracy_low: float | None  # 95 % interval
    accuracy_high: float | None
    p50_ms: float
    p50_ms_low: float
    p50_ms_high: float
    limited: dict[str, float | None] = field(default_factory=dict)  # every quantity that can be limited, by its name


@dataclass(frozen=True, kw_only=True, slots=True)
class Relaxation:
    """What giving up one limit would buy."""

    limit: str
    allowed: float
    needed: float  # the limit at which the model below is let in
    case: str
    p50_ms: float
    accuracy: float | None
    gain: float | None  # percentage points of accuracy over the winner


@dataclass(frozen=True, kw_only=True, slots=True)
class Miss:
    """A model that breaks limits, and by how much: limit -> share over (or under) it; None where nothing is known."""

    case: str
    broken: dict[str, float | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """The answer. Without a winner, `misses` holds the nearest ones."""

    quality: str  # which accuracy: "top1" or "map"
    limits: dict[str, float]
    winner: Candidate | None
    runner_up: Candidate | None
    ties: tuple[str, ...]  # models that this run cannot tell from the winner, neither in accuracy nor in p50
    on_the_edge: tuple[str, ...]  # limits that the winner meets, but its interval does not
    binding: tuple[Relaxation, ...]
    misses: tuple[Miss, ...]


def pick(run: Run, limits: Mapping[str, float], *, device: str | None = None) -> Choice:
    """Choose among the measured models of a run, or among those timed on one device.

    The winner is the fastest of those whose accuracy cannot be told from the best one within the limits: published
    figures stand on 50,000 images, so a few tenths of a point are noise. Limits are in ms, bytes, counts and percent.
    The report's page computes the same from the same candidates (`report/static/pick.js`): change both.

    Raises WrongUsage for an unknown limit.
    """
    for name in limits:
        if name not in LIMITS:
            raise WrongUsage(f'nothing called "{name}" can be limited; {suggestion(name, LIMITS)}')
    measured = candidates(run, device=device)
    ranked = _ranked(candidate for candidate in measured if not _broken(candidate, limits))
    judged = quality.of(run.records).name
    if not ranked:
        nearest = sorted(measured, key=lambda c: _distance(_broken(c, limits)))[:3]
        misses = tuple(Miss(case=c.case, broken=_broken(c, limits)) for c in nearest)
        return Choice(
            quality=judged, limits=dict(limits), winner=None, runner_up=None, ties=(), on_the_edge=(), binding=(),
            misses=misses,
        )  # fmt: skip
    winner, *others = ranked
    return Choice(
        quality=judged,
        limits=dict(limits),
        winner=winner,
        runner_up=others[0] if others else None,
        ties=tuple(other.case for other in others if _same_accuracy(winner, other) and _same_latency(winner, other)),
        on_the_edge=("p50",) if "p50" in limits and winner.p50_ms_high > limits["p50"] else (),
        binding=tuple(_relaxations(measured, limits, winner)),
        misses=(),
    )


def candidates(run: Run, *, device: str | None = None) -> list[Candidate]:
    """The measured models of a run as candidates, those timed on one device when it is named."""
    judged = quality.of(run.records)
    return [
        _candidate(record, judged)
        for record in run.records
        if record.measurement is not None and device in (None, record.case.device)
    ]


def in_words(choice: Choice) -> list[str]:
    """The choice as lines for people."""
    if choice.winner is None:
        return [
            "no model meets these limits; the nearest misses:",
            *(f"  {miss.case}: {_misses(miss.broken, choice.limits)}" for miss in choice.misses),
        ]
    label = LIMITS[choice.quality].label
    lines = [f"ship {_described(choice.winner, label)}"]
    if choice.ties:
        lines.append(f"a tie within the noise of this run with {', '.join(choice.ties)}: choose by size or taste")
    lines += [f"  on the edge: the interval of its {name} reaches past the limit" for name in choice.on_the_edge]
    if choice.runner_up:
        lines.append(f"runner-up: {_described(choice.runner_up, label)}")
    for relaxed in choice.binding:
        limit = LIMITS[relaxed.limit]
        gain = f", {relaxed.gain:+.1f} points of {label}" if relaxed.gain is not None else ""
        gain += f", p50 {latency(relaxed.p50_ms)}"
        lines.append(
            f"binding: {limit.label} of {quantity(relaxed.allowed, limit.unit)}; "
            f"{quantity(relaxed.needed, limit.unit)} would let in {relaxed.case}{gain}"
        )
    if not choice.binding:
        lines.append("no single limit keeps a better model out")
    return lines


def dominators(record: Record, records: Iterable[Record], x: Callable[[Record], float | None]) -> list[Record]:
    """The records that are at least as accurate and as low in x, and better in one of the two; by rising x."""
    everything = list(records)
    accuracy = quality.of(everything).value
    mine = accuracy(record), x(record)
    found: list[tuple[float, Record]] = []
    for other in everything:
        theirs = accuracy(other), x(other)
        if None in mine or None in theirs or theirs == mine:
            continue
        if theirs[0] >= mine[0] and theirs[1] <= mine[1]:  # type: ignore[operator]
            found.append((theirs[1], other))  # type: ignore[arg-type]
    return [other for _, other in sorted(found, key=lambda pair: pair[0])]


def pareto(records: Iterable[Record], x: Callable[[Record], float | None]) -> list[Record]:
    """The records that no other one beats in both accuracy (higher) and x (lower), by rising x."""
    everything = list(records)
    accuracy = quality.of(everything).value
    known = [(a, b, r) for r in everything if (a := x(r)) is not None and (b := accuracy(r)) is not None]
    known.sort(key=lambda point: (point[0], -point[1]))
    front: list[Record] = []
    best = float("-inf")
    for _, value, record in known:
        if value > best:
            front.append(record)
            best = value
    return front


def accuracy_interval(record: Record, judged: Quality) -> tuple[float, float] | None:
    """The 95 % interval of an accuracy in percent: the measured one, or that of 50,000 images for a published top-1.

    An mAP comes without an interval: only equal ones are then the same.
    """
    value = judged.value(record)
    if value is None:
        return None
    if measured := judged.interval(record):
        return measured
    if judged is not TOP1:
        return value, value
    low, high = wilson(round(value / 100 * IMAGENET_VALIDATION), IMAGENET_VALIDATION)
    return 100 * low, 100 * high


def _ranked(within: Iterable[Candidate]) -> list[Candidate]:
    """Best first: the fastest of those as accurate as the best, then the rest of those, then by accuracy."""
    everything = list(within)
    known = [c for c in everything if c.accuracy is not None]
    unknown = sorted((c for c in everything if c.accuracy is None), key=lambda c: c.p50_ms)
    if not known:
        return unknown
    best = max(known, key=lambda c: (c.accuracy or 0.0, -c.p50_ms))
    leading = sorted((c for c in known if _same_accuracy(best, c)), key=lambda c: c.p50_ms)
    trailing = sorted((c for c in known if not _same_accuracy(best, c)), key=lambda c: (-(c.accuracy or 0.0), c.p50_ms))
    return [*leading, *trailing, *unknown]


def _relaxations(measured: list[Candidate], limits: Mapping[str, float], winner: Candidate) -> Iterable[Relaxation]:
    """For each limit that keeps a more accurate model out: the model, and the limit that would let it in."""
    for name, allowed in limits.items():
        without = {key: value for key, value in limits.items() if key != name}
        better = _ranked(c for c in measured if not _broken(c, without))[0]
        needed = better.limited[name]
        if better.case == winner.case or needed is None or not _broken(better, {name: allowed}):
            continue
        known = better.accuracy is not None and winner.accuracy is not None
        yield Relaxation(
            limit=name,
            allowed=allowed,
            needed=needed,
            case=better.case,
            p50_ms=better.p50_ms,
            accuracy=better.accuracy,
            gain=(better.accuracy or 0.0) - (winner.accuracy or 0.0) if known else None,
        )


def _broken(candidate: Candidate, limits: Mapping[str, float]) -> dict[str, float | None]:
    """The limits that a model breaks, and by which share."""
    broken: dict[str, float | None] = {}
    for name, allowed in limits.items():
        value = candidate.limited[name]
        if value is None:
            broken[name] = None
        elif value < allowed if LIMITS[name].at_least else value > allowed:
            broken[name] = abs(value / allowed - 1) if allowed else float("inf")
    return broken


def _distance(broken: dict[str, float | None]) -> tuple[bool, float]:
    shares = [share for share in broken.values() if share is not None]
    return None in broken.values(), max(shares, default=0.0)


def _candidate(record: Record, judged: Quality) -> Candidate:
    if record.measurement is None:
        raise ValueError(f"{record.case.name} has no measurement")
    interval = accuracy_interval(record, judged)
    m = record.measurement
    return Candidate(
        case=record.case.name,
        accuracy=judged.value(record),
        accuracy_low=interval[0] if interval else None,
        accuracy_high=interval[1] if interval else None,
        p50_ms=m.p50_ms,
        p50_ms_low=m.p50_ms_low,
        p50_ms_high=m.p50_ms_high,
        limited={name: limit.value(record) for name, limit in LIMITS.items()},
    )


def _same_accuracy(a: Candidate, b: Candidate) -> bool:
    if a.accuracy_low is None or b.accuracy_low is None or a.accuracy_high is None or b.accuracy_high is None:
        return a.accuracy is None and b.accuracy is None
    return a.accuracy_low <= b.accuracy_high and b.accuracy_low <= a.accuracy_high


def _same_latency(a: Candidate, b: Candidate) -> bool:
    return a.p50_ms_low <= b.p50_ms_high and b.p50_ms_low <= a.p50_ms_high


def _described(candidate: Candidate, label: str) -> str:
    accuracy = "accuracy unknown" if candidate.accuracy is None else f"{label} {percent(candidate.accuracy)}"
    return f"{candidate.case}: {accuracy}, p50 {latency(candidate.p50_ms, candidate.p50_ms_low, candidate.p50_ms_high)}"


def _misses(broken: Mapping[str, float | None], limits: Mapping[str, float]) -> str:
    return "; ".join(
        f"{LIMITS[name].label} unknown"
        if share is None
        else f"{LIMITS[name].label} {100 * share:.1f} % {'under' if LIMITS[name].at_least else 'over'} "
        f"{quantity(limits[name], LIMITS[name].unit)}"
        for name, share in broken.items()
    )
