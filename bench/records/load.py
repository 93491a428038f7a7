"""What is known of a case under load: how many requests a second it holds, and how that was found."""

from __future__ import annotations

from dataclasses import dataclass

from bench.records.numbers import Amount, AtLeastZero, Count, Positive


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadStep:
    """One step: fresh instances that served planned arrivals at one rate."""

    rate_per_s: Positive
    instances: Count
    threads: Count
    batch: Count
    requests: Count
    seconds: Positive
    p50_ms: AtLeastZero | None  # of the measured response times; None: so many were not served that it has no end
    p99_ms: AtLeastZero | None
    p99_ms_low: AtLeastZero | None = None  # 95 %: what steps of this length are off by
    p99_ms_high: AtLeastZero | None = None
    beyond: AtLeastZero  # the share of the requests that took longer than the limit
    utilisation: AtLeastZero  # the share of the time in which an instance was at work
    lateness_p99_ms: AtLeastZero  # how late instances woke; part of the response times
    agrees: bool = True  # whether the queue computed from its service times explains its response times
    restarts: Amount = 0  # instances that died
    lost: Amount = 0  # requests that were not served


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadSetup:
    """One way to run the model, by a short look: a cell of the heat map."""

    instances: Count
    threads: Count
    batch: Count
    rate_per_s: AtLeastZero | None  # that it may hold, by its service times; None: not tried
    offline_per_s: AtLeastZero | None = None  # images a second when all instances are busy
    refused: str | None = None  # why it was not tried


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadPoint:
    """The response time at one rate, by the queue computed from all service times that were measured."""

    rate_per_s: Positive
    p50_ms: Positive
    p99_ms: Positive
    p99_ms_low: Positive
    p99_ms_high: Positive


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadDrift:
    """What became of the response times while a load was kept up."""

    minutes: Positive
    rate_per_s: Positive
    change: float  # of the service times from the begin to the end, a share
    change_low: float
    change_high: float
    p99_ms_begin: AtLeastZero | None  # of the response times in the first and in the last fifth
    p99_ms_end: AtLeastZero | None
    memory_change_bytes: int  # of all instances
    slower_from_s: AtLeastZero | None = None  # when the service times changed for good; None: they did not
    verdict: str  # "steady", "slower", "faster" or "inconclusive"


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    """How a case holds a load."""

    verdict: str  # "capacity"; of a load asked for "holds", "does not hold" or "cannot say"; "offline"
    arrivals: str  # in words
    p99_limit_ms: Positive | None  # of the response time; None: offline
    rate_per_s: AtLeastZero  # requests a second within the limit; offline images a second
    rate_per_s_low: AtLeastZero  # 95 % interval
    rate_per_s_high: AtLeastZero
    instances: Count
    threads: Count  # of each instance
    batch: Count  # most requests served together
    longest_wait_ms: AtLeastZero = 0.0  # for a batch to fill
    processes: bool = True  # instances are processes; else threads of one
    images_per_request: Count = 1
    asked_per_s: Positive | None = None  # the load asked for, where one was
    streams: Count | None = None
    fps: Positive | None = None
    p50_ms: Positive | None = None  # of the response time at the rate, or at the load asked for
    p99_ms: Positive | None = None
    p99_ms_low: Positive | None = None
    p99_ms_high: Positive | None = None
    utilisation: AtLeastZero | None = None  # at that rate
    unloaded_p99_ms: Positive | None = None  # of the service times of one instance
    seconds: AtLeastZero = 0.0  # that the answer took
    requests: Amount = 0  # in all steps
    restarts: Amount = 0
    doubts: tuple[str, ...] = ()  # each with its remedy after a semicolon
    steps: tuple[LoadStep, ...] = ()
    setups: tuple[LoadSetup, ...] = ()
    curve: tuple[LoadPoint, ...] = ()
    drift: LoadDrift | None = None
    loadgen_s: Positive | None = None  # what MLPerf's LoadGen takes at this rate, each rate tried
