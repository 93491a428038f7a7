"""The search: which instances, threads and batch hold the highest rate within a limit, and how high that is.

A short look at every setup, with all instances busy, gives service times, and the queue that they make says what each
may hold (`estimate.capacity`). The best go on in steps. A step is fresh instances, since processes differ, that serve
planned arrivals at a rate near what is believed of the setup. After planned numbers of steps the estimate is looked at,
and the search ends when its interval is narrow, a load that was asked for is decided, or the time is over.

Left out: the warm-up of the instances, until two windows of service times have the same median; and the first tenth of
the requests of each step, in which the queue is not yet as long as it will be.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from bench.capacity import estimate, lasting, queueing, setups
from bench.capacity.arrivals import Arrivals, Poisson, Streams
from bench.capacity.estimate import Estimate, Services
from bench.capacity.queueing import Setup
from bench.capacity.station import Served, Target, station
from bench.errors import BenchError, Failed, WrongUsage
from bench.machine import facts, lock
from bench.records import Load, LoadAsked, LoadDrift, LoadPoint, LoadSetup, LoadStep

SHARES = (0.85, 1.0, 0.95, 1.0, 1.05, 0.9, 1.0, 0.95, 1.0, 1.0)
"""The rates of the steps, of what is believed to be the capacity then."""
LOOKS = (4, 6, 8, len(SHARES))
"""The numbers of steps after which the estimate is looked at."""
WIDTH = 0.05  # half the relative width of the interval at which a search ends
WRONG = 0.01  # probability of calling a load that does not hold one that holds, all looks together
_FINALISTS, _NEAR = 2, 0.9  # setups that get steps, and how near to the best they are
_LOOK_S = 0.8  # of the first look, for each size of a batch
_STEP_S = (3.0, 12.0)
_LEAST_REQUESTS, _MOST_REQUESTS = 60, 40_000
_HOPELESS = 0.9  # quantile of the service times of a first look: above the limit in all setups, no step is tried. Their
# p99 says less: a look has few of them
_LEAST_BUSY = 0.3  # of what instances serve at most: at lower rates a step brings few service times, which is its use
_MOST_KEPT = 2_000_000
_LATE = 0.1  # of the limit: a p99 of the lateness above it makes a result unsound
_CURVE = (0.2, 0.5, 0.75, 0.9, 0.97, 1.0, 1.04)
_LOADGEN_S, _LOADGEN_QUERIES = 600.0, 270_336  # MLPerf's rules: a run of p99 lasts so long and has so many queries

Floats = np.ndarray[Any, np.dtype[np.float64]]
Say = Callable[[str], None]


class Instances(Protocol):
    """What the search asks of instances; see `station.Station`."""

    rss_bytes: int
    alone_bytes: int

    def saturated(self, size: int, seconds: float, least: int = 5) -> tuple[dict[int, Floats], float]: ...  # noqa: D102
    def serve(self, planned_s: Floats, *, grace_s: float) -> Served: ...  # noqa: D102


Open = Callable[[Target, Setup], AbstractContextManager[Instances]]


@dataclass
class _Trial:
    """A setup and what is known of it."""

    setup: Setup
    looked: Services
    offline_per_s: float
    believed: float  # rate per second
    visits: list[Services] = field(default_factory=list)
    steps: list[LoadStep] = field(default_factory=list)

    @property
    def known(self) -> list[Services]:
        """The service times to go by: those of its steps, else those of the first look."""
        return self.visits or [self.looked]


def search(target: Target, asked: LoadAsked, *, opened: Open = station, say: Say = lambda words: None) -> Load:
    """Find what a case holds, one process at a time measuring on this machine.

    A rate of 0: the limit is below what a single request takes without any load. Raises WrongUsage for a load that
    says too little, Failed where instances cannot run, or need more memory than there is.
    """
    with lock.measuring():
        return _Search(target, asked, opened, say).found()


class _Search:
    def __init__(self, target: Target, asked: LoadAsked, opened: Open, say: Say) -> None:
        self.target, self.asked, self.opened, self.say = target, asked, opened, say
        self.began = time.monotonic()
        self.cells: list[LoadSetup] = []
        limit_ms = asked.p99_ms or (1e3 / asked.fps if asked.fps else None)
        if limit_ms is None and not asked.offline:
            raise WrongUsage("a load needs a limit of the response time, e.g. --p99 50ms (in a suite p99)")
        if asked.streams and not asked.fps:
            raise WrongUsage("so many streams of how many frames a second? add --fps 15")
        self.limit_s = (limit_ms or 0.0) / 1e3
        self.asked_per_s = asked.streams * asked.fps if asked.streams and asked.fps else None
        self.arrivals: Arrivals = Streams(asked.streams) if asked.streams else Poisson()

    def found(self) -> Load:
        """The answer."""
        trials = self._looks()
        if self.asked.offline:
            return self._offline(trials)
        if all(queueing.quantile(trial.looked[min(trial.looked)], _HOPELESS) > self.limit_s for trial in trials):
            return self._nothing(trials)
        if self.asked.fps and not self.asked.streams:
            best = max(trials, key=lambda trial: trial.believed)
            self.arrivals = Streams(max(1, math.floor(best.believed / self.asked.fps)))
        leader, value = self._steps(self._finalists(trials))
        answer = self._answer(leader, value, trials)
        if not self.asked.minutes:
            return answer
        try:
            return replace(answer, drift=self._kept_up(answer, leader.setup))
        except BenchError as error:  # the answer stands without it
            return replace(answer, doubts=(*answer.doubts, f"the load was not kept up: {error}"))

    def left_s(self) -> float:
        return self.asked.budget_s - (time.monotonic() - self.began)

    def _looks(self) -> list[_Trial]:
        """A short look at every setup that the memory holds."""
        sizes = setups.batches(self.asked, self.target)
        trials: list[_Trial] = []
        one_bytes, alone_bytes, reason = None, 0, "no setup to try"
        for instances, threads in setups.candidates(self.asked, facts.cores_given(), self.target.case.device):
            setup = Setup(instances=instances, threads=threads, batch=max(sizes))
            needed = setups.expected_bytes(
                self.target.path.stat().st_size, one_bytes, alone_bytes, setup, self.target.processes
            )
            refused = setups.refusal(needed, setup)
            if refused:
                reason = refused
                self.cells += [self._cell(instances, threads, size, None, None, refused) for size in sizes]
                continue
            self.say(f"a look at {Setup(instances=instances, threads=threads).name}")
            looked: Services = {}
            offline = {}
            with self.opened(self.target, setup) as running:
                if instances == 1:
                    one_bytes, alone_bytes = running.rss_bytes, running.alone_bytes
                for size in sizes:
                    of_size, offline[size] = running.saturated(size, _LOOK_S)
                    looked = {**looked, **of_size}
            for size in sizes:
                trials.append(self._trial(instances, threads, size, looked, offline[size]))
        if not trials:
            raise Failed(reason)
        return trials

    def _trial(self, instances: int, threads: int, batch: int, looked: Services, offline_per_s: float) -> _Trial:
        setup = Setup(instances=instances, threads=threads, batch=batch,
                      longest_wait_s=self.asked.longest_wait_ms / 1e3 if batch > 1 else 0.0)  # fmt: skip
        mine = {size: times for size, times in looked.items() if size <= batch}
        believed = 0.0 if self.asked.offline else self._capacity([mine], setup, error=False).value
        images = offline_per_s * self.target.case.batch_size
        self.cells.append(self._cell(instances, threads, batch, believed, images, None))
        return _Trial(setup, mine, images, believed)

    def _cell(
        self, instances: int, threads: int, batch: int, rate: float | None, offline: float | None, refused: str | None
    ) -> LoadSetup:
        return LoadSetup(instances=instances, threads=threads, batch=batch, rate_per_s=rate, offline_per_s=offline,
                         refused=refused)  # fmt: skip

    def _capacity(self, visits: Sequence[Services], setup: Setup, *, error: bool = True) -> Estimate:
        return estimate.capacity(visits, setup, self.limit_s, self.arrivals, seed=self.asked.seed, error=error)

    def _nothing(self, trials: Sequence[_Trial]) -> Load:
        """The answer where a single request without any load takes longer than the limit."""
        setup = min(trials, key=lambda trial: float(queueing.quantile(trial.looked[min(trial.looked)], 0.99))).setup
        return Load(
            verdict="does not hold" if self.asked_per_s else "capacity", arrivals=self.arrivals.name,
            p99_limit_ms=1e3 * self.limit_s, rate_per_s=0.0, rate_per_s_low=0.0, rate_per_s_high=0.0,
            instances=setup.instances, threads=setup.threads, batch=1, processes=self.target.processes,
            images_per_request=self.target.case.batch_size, asked_per_s=self.asked_per_s, streams=self.asked.streams,
            fps=self.asked.fps, unloaded_p99_ms=1e3 * self._unloaded(trials), seconds=time.monotonic() - self.began,
            setups=tuple(self.cells),
        )  # fmt: skip

    def _unloaded(self, trials: Sequence[_Trial]) -> float:
        alone = [trial for trial in trials if trial.setup.instances == 1] or list(trials)
        return min(float(queueing.quantile(trial.looked[min(trial.looked)], 0.99)) for trial in alone)

    def _finalists(self, trials: Sequence[_Trial]) -> list[_Trial]:
        ranked = sorted(trials, key=lambda trial: (-trial.believed, -trial.offline_per_s))
        return [trial for trial in ranked if trial.believed >= _NEAR * ranked[0].believed][:_FINALISTS]

    def _steps(self, finalists: list[_Trial]) -> tuple[_Trial, Estimate]:
        """Steps until the leader is known well enough; the others have had one or two, and lost."""
        trials = list(finalists)
        number = 0
        while True:
            for trial in list(trials):
                self._step(trial, number)
            number += 1
            if number >= 2 and len(trials) > 1:
                trials = [max(trials, key=lambda trial: trial.believed)]
            if number in LOOKS or number >= len(SHARES) or (number >= 3 and self.left_s() <= 0):
                (leader,) = trials
                value = self._capacity(leader.visits, leader.setup)
                low, high = value.interval()
                self.say(f"{number} steps of {leader.setup.name}: {value.value:.4g} requests/s [{low:.4g}, {high:.4g}]")
                narrow = high <= value.value * (1 + WIDTH)
                decided = self._decided(value) != "cannot say" if self.asked_per_s else narrow
                if decided or number >= len(SHARES) or self.left_s() <= 0:
                    return leader, value

    def _kept_up(self, answer: Load, setup: Setup) -> LoadDrift:
        """What becomes of the load, or of the rate that is surely held, while it is kept up."""
        rate = self.asked_per_s or answer.rate_per_s_low
        minutes = self.asked.minutes or 0.0
        count = min(int(60 * minutes * rate), _MOST_KEPT)
        if count < _LEAST_REQUESTS:
            raise Failed(f"{minutes:g} minutes at {rate:.3g} requests/s are too few to tell; give more --minutes")
        planned = self.arrivals.plan(rate, count, self.asked.seed + 1)
        self.say(f"keeping {rate:.4g} requests/s up for {planned[-1] / 60:.3g} minutes")
        with self.opened(self.target, setup) as running:
            before = running.rss_bytes
            served = running.serve(planned, grace_s=max(0.2, 2 * self.limit_s))
        if not served.services_s:
            raise Failed(f"no request was served at {rate:.3g} a second")
        return lasting.drift(served, planned, rate, before)

    def _step(self, trial: _Trial, number: int) -> None:
        """One step at a rate near the capacity that is believed in, or at the load that is asked for."""
        busy = _LEAST_BUSY * estimate.saturation(trial.known, trial.setup)
        rate = self.asked_per_s or max(SHARES[number] * trial.believed, busy)
        seconds = min(max(self.left_s() / max(2, LOOKS[0] - number), _STEP_S[0]), _STEP_S[1])
        count = int(min(max(rate * seconds, _LEAST_REQUESTS), _MOST_REQUESTS))
        seed = 1_000_003 * (self.asked.seed + 1) + 7919 * number + len(trial.setup.name)
        planned = self.arrivals.plan(rate, count, seed)
        self.say(f"step {number + 1} of {trial.setup.name}: {count} requests at {rate:.4g}/s")
        with self.opened(self.target, trial.setup) as running:
            served = running.serve(planned, grace_s=max(0.2, 2 * self.limit_s))
        services = _settled(served, planned)
        if not services:
            raise Failed(f"no request was served at {rate:.3g} a second; see whether the model runs with `bench run`")
        trial.visits.append(services)
        trial.steps.append(self._as_step(trial.setup, rate, planned, served, services, seed))
        trial.believed = self._capacity(trial.visits, trial.setup, error=False).value or trial.believed / 2

    def _as_step(
        self, setup: Setup, rate: float, planned: Floats, served: Served, services: Services, seed: int
    ) -> LoadStep:
        times = queueing.settled(served.responses_s)
        p50, p99 = (float(queueing.quantile(times, q)) for q in (0.5, 0.99))
        agrees = True
        interval: tuple[float | None, float | None] = (None, None)
        if math.isfinite(p99):
            p99, interval, agrees = estimate.of_step(
                served.responses_s, services, setup, rate, self.arrivals, 0.99, seed=seed
            )
        return LoadStep(
            rate_per_s=rate, instances=setup.instances, threads=setup.threads, batch=setup.batch,
            requests=len(planned), seconds=float(planned[-1]), p50_ms=_ms(p50), p99_ms=_ms(p99),
            p99_ms_low=_ms(interval[0]), p99_ms_high=_ms(interval[1]), beyond=float((times > self.limit_s).mean()),
            utilisation=served.utilisation, lateness_p99_ms=1e3 * float(queueing.quantile(served.lateness_s, 0.99)),
            agrees=agrees, restarts=served.restarts, lost=served.lost,
        )  # fmt: skip

    def _decided(self, value: Estimate) -> str:
        """Of a load that is asked for: at a planned look, with the error of all looks together bounded by WRONG."""
        low, high = value.interval(2 * WRONG / len(LOOKS))
        asked = self.asked_per_s or 0.0
        return "holds" if asked <= low else "does not hold" if asked >= high else "cannot say"

    def _offline(self, trials: Sequence[_Trial]) -> Load:
        """The most images a second: the best two setups again, in fresh instances each time."""
        ranked = sorted(trials, key=lambda trial: -trial.offline_per_s)[:_FINALISTS]
        rates: dict[Setup, list[float]] = {trial.setup: [] for trial in ranked}
        images = self.target.case.batch_size
        for number in range(5):
            for trial in ranked:
                self.say(f"all instances busy, {number + 1} of 5: {trial.setup.name}")
                with self.opened(self.target, trial.setup) as running:
                    seconds = min(max(self.left_s() / (2 * (5 - number)), 1.0), 4.0)
                    rates[trial.setup].append(images * running.saturated(trial.setup.batch, seconds)[1])
        best = max(ranked, key=lambda trial: float(np.mean(np.log(rates[trial.setup]))))
        logs = np.log(rates[best.setup])
        value = Estimate(float(np.exp(logs.mean())), float(logs.std(ddof=1) / math.sqrt(len(logs))), len(logs) - 1)
        low, high = value.interval()
        return Load(
            verdict="offline", arrivals="all images at once", p99_limit_ms=None, rate_per_s=value.value,
            rate_per_s_low=low, rate_per_s_high=high, instances=best.setup.instances, threads=best.setup.threads,
            batch=best.setup.batch, processes=self.target.processes, images_per_request=images,
            utilisation=1.0, unloaded_p99_ms=1e3 * self._unloaded(trials),
            seconds=time.monotonic() - self.began, setups=tuple(self.cells),
        )  # fmt: skip

    def _answer(self, leader: _Trial, value: Estimate, trials: Sequence[_Trial]) -> Load:
        setup, asked = leader.setup, self.asked
        low, high = value.interval()
        most = estimate.saturation(leader.visits, setup) * 1.1
        doubts = list(self._doubts(leader, value))
        worse = [step for step in leader.steps if not step.agrees and step.beyond > estimate.BEYOND]
        if worse:
            within = [s.rate_per_s for s in leader.steps if s.p99_ms_high and s.p99_ms_high <= 1e3 * self.limit_s]
            low = min(low, max(within, default=0.0))
        verdict = self._decided(value) if self.asked_per_s else "capacity"
        if verdict == "holds" and worse:
            verdict = "cannot say"
        rate = self.asked_per_s or value.value
        p50 = p99 = None
        if 0 < rate < most:
            p50, p99 = estimate.quantiles(leader.visits, setup, rate, self.arrivals, (0.5, 0.99), seed=asked.seed)
        interval = [1e3 * end for end in p99.interval()] if p99 else [None, None]
        return Load(
            verdict=verdict, arrivals=self.arrivals.name, p99_limit_ms=1e3 * self.limit_s, rate_per_s=value.value,
            rate_per_s_low=low, rate_per_s_high=min(high, most), instances=setup.instances, threads=setup.threads,
            batch=setup.batch, longest_wait_ms=1e3 * setup.longest_wait_s, processes=self.target.processes,
            images_per_request=self.target.case.batch_size, asked_per_s=self.asked_per_s, streams=asked.streams,
            fps=asked.fps, p50_ms=1e3 * p50.value if p50 else None, p99_ms=1e3 * p99.value if p99 else None,
            p99_ms_low=interval[0], p99_ms_high=interval[1], utilisation=min(1.0, rate / most * 1.1),
            unloaded_p99_ms=1e3 * self._unloaded(trials), seconds=time.monotonic() - self.began,
            requests=sum(step.requests for step in leader.steps), restarts=sum(s.restarts for s in leader.steps),
            doubts=tuple(doubts), steps=tuple(leader.steps), setups=tuple(self.cells), curve=self._curve(leader, value),
            loadgen_s=max(_LOADGEN_S, _LOADGEN_QUERIES / rate) if rate > 0 else None,
        )  # fmt: skip

    def _curve(self, leader: _Trial, value: Estimate) -> tuple[LoadPoint, ...]:
        points = []
        most = estimate.saturation(leader.visits, leader.setup)
        for share in _CURVE:
            rate = share * value.value
            if not 0 < rate < most:
                continue
            p50, p99 = estimate.quantiles(
                leader.visits, leader.setup, rate, self.arrivals, (0.5, 0.99), seed=self.asked.seed
            )
            low, high = p99.interval()
            points.append(LoadPoint(rate_per_s=rate, p50_ms=1e3 * p50.value, p99_ms=1e3 * p99.value,
                                    p99_ms_low=1e3 * low, p99_ms_high=min(1e3 * high, 1e9)))  # fmt: skip
        return tuple(points)

    def _doubts(self, leader: _Trial, value: Estimate) -> list[str]:
        steps, doubts = leader.steps, []
        late = sorted(step.lateness_p99_ms for step in steps)[len(steps) // 2]
        if late > 1e3 * _LATE * self.limit_s:
            doubts.append(f"requests were begun late, p99 {late:.2g} ms, as no core was free for them: these are the "
                          "times of a busy machine; close other programs, see `bench doctor`")  # fmt: skip
        died = sum(step.restarts for step in steps)
        if died:
            doubts.append(f"instances died {died} times under this load and were started again; see the system's log, "
                          "most likely it is short of memory")  # fmt: skip
        apart = [step for step in steps if not step.agrees]
        if apart:
            doubts.append(f"in {len(apart)} of {len(steps)} steps service times do not explain the response times; "
                          "the machine stalls, or requests disturb each other: see `bench doctor`")  # fmt: skip
        low, high = value.interval()
        if 0 < value.value * 1.15 < high:
            ends = f"-{100 * (1 - low / value.value):.0f} % to +{100 * (min(high / value.value, 100) - 1):.0f} %"
            doubts.append(f"the interval is wide, {ends}; give a longer --budget, or quieten the machine")
        return doubts


def _settled(served: Served, planned: Floats) -> Services:
    """The service times without those of the step's begin."""
    begin = float(planned[int(queueing.LEFT_OUT * len(planned))])
    kept = {size: times[served.begun_s[size] >= begin] for size, times in served.services_s.items()}
    return {size: times for size, times in kept.items() if len(times)}


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None or not math.isfinite(seconds) else 1e3 * seconds
