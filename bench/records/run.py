"""A run: its machine, its settings, the records of its cases, and what it says of itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from bench.records.numbers import Positive
from bench.records.record import Record

SCHEMA_VERSION = 2
INTERRUPTED = "not measured: the run was interrupted; `bench run --resume` goes on from there"
"""`Record.error` of what a run has not come to yet."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """What must match for two runs to be comparable, what may drift, and what only informs."""

    must_match: dict[str, Any]
    may_drift: dict[str, Any]
    informs: dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """How the run was measured: the settings in force, not as asked."""

    rounds: int
    min_time_s: float  # a visit ends when both this time and `min_count` are reached
    min_count: int
    warmup_s: float  # the warm-up's bound
    budget_s: float | None
    patience_s: float = 0.0  # to wait in for others to leave the cores alone
    spacing_s: float = 0.0  # visits to one case begin at least so far apart
    target_width: float = 0.02  # with a budget, further visits until every p50's 95 % interval is this narrow, relative
    seed: int  # of the rounds' shuffles and of the random inputs
    device: str
    provider: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Roofline:
    """What the machine did at most, through one of the run's runtimes, in fp32, when the run was measured."""

    gflops: Positive  # of the fastest of several products and convolutions, 2 operations a mult-add
    gbytes_per_s: Positive  # of a large elementwise Add: bytes read and written
    threads: int
    provider: str
    cache_bytes: int | None = None  # of the last level; what fits into it need not come from memory; None: not known
    moments: int = 1  # of the run at which it was looked for


@dataclass(frozen=True, kw_only=True, slots=True)
class Doubt:
    """One reason to doubt a run's figures."""

    level: str  # "shaky" or "unsound"
    what: str
    remedy: str
    cases: tuple[str, ...] = ()  # Case.name of those that it is about; () for the whole run


@dataclass(frozen=True, kw_only=True, slots=True)
class Trust:
    """What a run says of itself."""

    verdict: str  # "sound", "shaky" or "unsound": the level of the worst doubt
    doubts: tuple[Doubt, ...] = ()  # the worst first


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One run of a suite on one machine: the content of `run.json`."""

    schema_version: int
    suite: str
    started_at: str  # UTC, ISO 8601
    machine: Machine
    settings: Settings
    records: tuple[Record, ...]
    title: str | None = None
    command: str | None = None  # that made it, e.g. "bench run default --rounds 9"; None: made from Python
    commit: str | None = None  # of the git repository it was made in; with "+" where files had changed
    trust: Trust | None = None  # None until the run has ended
    left_out: tuple[str, ...] = ()  # cases of the suite that were not asked for
    phases_s: dict[str, float] = field(default_factory=dict)  # export, timing, ...: wall seconds
    roofline: Roofline | None = None
    roofline_error: str | None = None  # why it could not be measured

    @property
    def runtimes(self) -> dict[str, str]:
        """The runtimes of its cases, by name, with their versions."""
        names = sorted({record.case.runtime for record in self.records})
        return {name: str(self.machine.may_drift.get(name, "")) for name in names}
