"""One suite on every machine of a fleet: a run a machine, as if measured by hand, and the record that ties them."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from bench import fleets, store
from bench.errors import BenchError, Failed, NotComparable, WrongUsage
from bench.fleet import checking
from bench.fleet.cluster import Cluster, Lost, Machine
from bench.fleet.place import Judge, There
from bench.pipeline import running
from bench.pipeline.running import Options
from bench.pipeline.watch import Silent, Watch
from bench.pipeline.work import Work
from bench.records import SCHEMA_VERSION, Fleet, Member, Record
from bench.suites import Suite

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A fleet record, the folder that holds it, and the bytes of files that each machine was sent, by its name."""

    stored: fleets.StoredFleet
    sent_bytes: Mapping[str, int]


def run(
    suite: Suite,
    cluster: Cluster,
    *,
    options: Options | None = None,
    results: Path = Path("results"),
    prices: Mapping[str, float] | None = None,
    watch: Watch | None = None,
) -> Outcome:
    """Measure a suite on every machine behind a scheduler, all at once, each by the plan that it would have by hand.

    A machine that is lost keeps what it measured, and the others go on. Raises WrongUsage where the machines cannot
    measure the same, Failed when there is none, or the scheduler is gone.
    """
    options = options or Options()
    begun = Fleet(
        schema_version=SCHEMA_VERSION, suite=suite.name, started_at=store.now(), members=(), command=options.command,
        scheduler=cluster.where,
    )  # fmt: skip
    machines = checking.fit(cluster, {case.runtime for case in suite.cases})
    folder = fleets.create(results, begun)
    under_way = _Fleet(fleets.StoredFleet(folder, begun), cluster, suite, options, prices or {}, watch or Silent())
    try:
        return under_way.measure(machines)
    except WrongUsage:
        if not any(member.run for member in under_way.members.values()):
            shutil.rmtree(folder)  # the request was wrong: nothing is stored of it
        raise


def resume(stored: fleets.StoredFleet, suite: Suite | None, cluster: Cluster, *, watch: Watch | None = None) -> Outcome:
    """Go on with the runs of a fleet that are not whole, on the machines that are there. Raises as `run`."""
    runtimes = {record.case.runtime for _, each in stored.runs() for record in each.records}
    machines = checking.fit(cluster, runtimes)
    names = {member.name for member in stored.fleet.members}
    again = [machine for machine in machines if suite is not None or machine.name in names]
    if not again:
        raise Failed(f"none of the machines of {stored.path} is there; start their workers, or begin a new run")
    return _Fleet(stored, cluster, suite, _options(stored), {}, watch or Silent()).measure(again)


def _options(stored: fleets.StoredFleet) -> Options:
    """How a fleet was measured, for a machine that joins it."""
    for _, run in stored.runs():
        s = run.settings
        threads = run.machine.must_match.get("threads")
        own = None if threads == run.machine.must_match.get("cores") else threads
        return Options(
            device=s.device, threads=own, rounds=s.rounds, budget_s=s.budget_s, patience_s=s.patience_s,
            min_time_s=s.min_time_s, min_count=s.min_count, warmup_s=s.warmup_s, spacing_s=s.spacing_s, seed=s.seed,
            command=run.command,
        )  # fmt: skip
    return Options()


class _Fleet:
    """A fleet under way."""

    def __init__(
        self,
        stored: fleets.StoredFleet,
        cluster: Cluster,
        suite: Suite | None,
        options: Options,
        prices: Mapping[str, float],
        watch: Watch,
    ) -> None:
        self.folder, self.fleet, self.results = stored.path, stored.fleet, stored.results
        self.cluster, self.suite, self.options, self.prices = cluster, suite, options, prices
        self.watch, self.judge = _Shared(watch), Judge()
        self.members = {member.name: member for member in stored.fleet.members}
        self.sent: dict[str, int] = {}
        self.begun = time.monotonic()
        self.lock = threading.RLock()

    def measure(self, machines: Sequence[Machine]) -> Outcome:
        """Begin or take up each machine's run, make the files, time on all at once, judge."""
        with ExitStack() as held:
            works = [begun for machine in machines if (begun := self._begin(machine, held)) is not None]
            with ThreadPoolExecutor(max_workers=max(1, 2 * len(works) + 8), thread_name_prefix="machine") as pool:
                waiting = {}
                for name, work in works:
                    running.done(work, running.MAKING)  # the second machine's files are those that the first had made
                    waiting[name] = pool.submit(self._time, name, work)
                for future in waiting.values():
                    future.result()
            for name, work in works:
                running.done(work, running.JUDGING)
                running.ended(work)
                self._know(name, error=self.members[name].error or _failures(work.records.values()))
        if works and all((self.members[name].error or "").startswith("the scheduler is gone") for name, _ in works):
            raise Failed(f"the scheduler is gone; what was measured is stored: start it and its workers again, then "
                         f"`bench run --resume {self.folder} --scheduler {self.cluster.where}`")  # fmt: skip
        return Outcome(fleets.load(self.folder), dict(self.sent))

    def _begin(self, machine: Machine, held: ExitStack) -> tuple[str, Work] | None:
        place = There(self.cluster, machine, self.judge)
        member = self.members.get(machine.name)
        self._know(machine.name, machine=machine.identity, error="not measured yet",
                   usd_per_hour=self.prices.get(machine.name, member.usd_per_hour if member else None))  # fmt: skip
        try:
            if member and member.run:
                folder = self.results / "runs" / Path(member.run).name
                held.enter_context(store.held(folder))
                begun = running.taken_up(folder, place)
            elif self.suite is not None:
                begun = running.planned(self.suite, self.options, place)
                folder = store.create(self.results, begun)
                held.enter_context(store.held(folder))
            else:
                return None
        except (NotComparable, Failed, Lost) as error:
            self._know(machine.name, error=str(error))
            return None
        self._know(machine.name, run=folder.name)
        return machine.name, Work(begun, folder, self.watch.of(machine.name), place)

    def _time(self, name: str, work: Work) -> None:
        """In a thread of its own: the visits of one machine, whatever becomes of the others."""
        try:
            running.done(work, (*running.TIMING, *running.LOADING))
            self._know(name, error=None)
        except Lost as error:
            self._know(name, error=f"{error}; `bench run --resume --scheduler {self.cluster.where}` goes on")
            _log.warning("%s: %s; its run is not whole", name, error)
        except BenchError as error:
            self._know(name, error=str(error))
            _log.warning("%s: %s", name, error)
        finally:
            if isinstance(work.place, There):
                self.sent[name] = work.place.sent_bytes

    def _know(self, name: str, **changes: object) -> None:
        """What is known of a machine has changed; it is on the disk at once."""
        with self.lock:
            member = self.members.get(name) or Member(machine=str(changes.get("machine")), name=name)
            self.members[name] = replace(member, **changes)  # type: ignore[arg-type]
            wall_s = round(self.fleet.wall_s + time.monotonic() - self.begun, 1)
            fleets.write(self.folder, replace(self.fleet, members=tuple(self.members.values()), wall_s=wall_s))


def _failures(records: Iterable[Record]) -> str | None:
    failed = [record.case.name for record in records if record.error]
    return f"{len(failed)} cases failed: {', '.join(failed)}" if failed else None


class _Shared:
    """A Watch for several machines at once: what each does is said with its name, one at a time."""

    def __init__(self, watch: Watch) -> None:
        self.watch, self.lock = watch, threading.Lock()
        self.steps: dict[str, dict[str, int]] = {}
        self.at: list[str] = []

    def of(self, machine: str) -> Watch:
        """The Watch of one machine."""
        return _Of(self, machine)


class _Of:
    def __init__(self, shared: _Shared, machine: str) -> None:
        self.shared, self.machine = shared, machine

    def plan(self, steps: dict[str, int]) -> None:
        """The steps of all machines together."""
        with self.shared.lock:
            known = self.shared.steps.setdefault(self.machine, {})
            known |= steps
            self.shared.watch.plan({
                name: sum(each.get(name, 0) for each in self.shared.steps.values()) for name in steps
            })  # fmt: skip

    def phase(self, name: str) -> None:
        """A phase begins when the first machine comes to it."""
        with self.shared.lock:
            if name not in self.shared.at:
                self.shared.at.append(name)
                self.shared.watch.phase(name)

    def begin(self, what: str) -> None:
        """With the machine's name."""
        with self.shared.lock:
            self.shared.watch.begin(f"{self.machine}: {what}")

    def end(self, record: Record) -> None:
        """With the machine's name, so that a table has a row for each machine's case."""
        shown = replace(record, case=replace(record.case, name=f"{record.case.name} on {self.machine}"))
        with self.shared.lock:
            if self.shared.at:
                self.shared.watch.end(shown)
