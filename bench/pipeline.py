"""The main job: a suite's cases exported, counted, timed and stored as one Run."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from bench import store
from bench.errors import BenchError, WrongUsage
from bench.records import INTERRUPTED, SCHEMA_VERSION, Accuracy, Artifact, Case, Cost, Record, Run, Settings, Visit
from bench.suites import Suite, load_suite

if TYPE_CHECKING:
    from collections.abc import Iterator


class Watch(Protocol):
    """Told what is happening, as it happens. Does nothing but show it."""

    def plan(self, steps: dict[str, int]) -> None:
        """The phases to come, in order, with their numbers of steps; called again when more is known."""

    def phase(self, name: str) -> None:
        """A phase begins."""

    def begin(self, what: str) -> None:
        """A step begins."""

    def end(self, record: Record) -> None:
        """A step has ended, and this record is new or has changed."""


class Silent:
    """A Watch that shows nothing."""

    def plan(self, steps: dict[str, int]) -> None:
        """Show nothing."""

    def phase(self, name: str) -> None:
        """Show nothing."""

    def begin(self, what: str) -> None:
        """Show nothing."""

    def end(self, record: Record) -> None:
        """Show nothing."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to measure, as asked for; the Run's Settings say what is in force."""

    device: str = "auto"
    threads: int | None = None  # None: every core given to this process
    rounds: int = 5
    budget_s: float | None = None  # for the timing phase; None: no limit
    min_time_s: float = 0.4
    min_count: int = 12
    warmup_s: float = 2.0
    spacing_s: float = 3.0  # visits in one burst would see one moment of the machine, and take it for all of them
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """A run and the folder that holds it."""

    run: Run
    folder: Path


def run(
    suite: Suite | str,
    *,
    options: Options | None = None,
    results: Path = Path("results"),
    watch: Watch | None = None,
) -> Outcome:
    """Measure a suite and store the run under `results/runs/`, rewritten after every step.

    A case that fails gets its reason in `Record.error` and the others go on. Raises Failed when the device asked for
    cannot run or the results cannot be written, WrongUsage for a suite that is wrong.
    """
    options = options or Options()
    suite = load_suite(suite) if isinstance(suite, str) else suite
    from bench.machine import facts
    from bench.runtimes import device as devices

    device, provider = devices.resolve(options.device)
    cases = _planned(suite.cases, device, provider, options.threads or facts.cores_given())
    begun = Run(
        schema_version=SCHEMA_VERSION,
        suite=suite.name,
        title=suite.title,
        started_at=store.now(),
        machine=facts.collect(device, options.threads or facts.cores_given()),
        settings=Settings(
            rounds=options.rounds,
            min_time_s=options.min_time_s,
            min_count=options.min_count,
            warmup_s=options.warmup_s,
            spacing_s=options.spacing_s,
            budget_s=options.budget_s,
            seed=options.seed,
            device=device,
            provider=provider,
        ),
        records=tuple(Record(case=case, error=INTERRUPTED) for case in cases),
    )
    return _Running(begun, store.create(results, begun), watch or Silent()).finish()


def resume(folder: Path, *, watch: Watch | None = None) -> Outcome:
    """Finish a run that was interrupted, with the settings it began with. Visits already stored are not repeated.

    Raises NotComparable when this is not the machine that began it.
    """
    from bench.analysis.comparison import must_match_differences
    from bench.errors import NotComparable
    from bench.machine import facts

    begun = store.load(folder)
    here = facts.collect(begun.settings.device, begun.machine.must_match.get("threads") or facts.cores_given())
    differing = must_match_differences(begun.machine, here)
    if differing:
        raise NotComparable(f"{folder} was begun on another machine ({'; '.join(differing)}); start a new run here")
    return _Running(begun, folder, watch or Silent()).finish()


def _planned(cases: Iterable[Case], device: str, provider: str, threads: int) -> tuple[Case, ...]:
    planned = tuple(replace(c, device=device, provider=provider, threads=c.threads or threads) for c in cases)
    if not planned:
        raise WrongUsage("nothing to measure: the suite has no cases")
    return planned


class _Running:
    """A run under way: what is known of each case, on disk after every change."""

    def __init__(self, begun: Run, folder: Path, watch: Watch) -> None:
        self.begun = begun
        self.folder = folder
        self.watch = watch
        self.records = {record.case.name: record for record in begun.records}
        self.phases_s = dict(begun.phases_s)

    def finish(self) -> Outcome:
        """Train, export, count, time and judge what is not done yet."""
        taught = [record.case for record in self.records.values() if record.case.train]
        if taught:
            with self._timed("training"):
                taught = self._train(taught)
        with self._timed("export"):
            paths = self._export(taught)
        if paths and self.begun.roofline is None:
            with self._timed("calibration"):
                self._calibrate(paths)
        with self._timed("timing"):
            self._time(paths)
        with self._timed("profile"):
            self._profile(paths)
        judged = [record.case for record in self.records.values() if record.case.train or record.case.accuracy]
        if judged:
            with self._timed("accuracy"):
                self._judge(judged, paths)
        return Outcome(self._stored(), self.folder)

    def _stored(self) -> Run:
        current = replace(self.begun, records=tuple(self.records.values()), phases_s=self.phases_s)
        store.write(self.folder, current)
        return current

    @contextmanager
    def _timed(self, phase: str) -> Iterator[None]:
        start = time.monotonic()
        before = self.phases_s.get(phase, 0.0)
        try:
            yield
        finally:
            self.phases_s[phase] = round(before + time.monotonic() - start, 1)
            self._stored()

    def _train(self, cases: Sequence[Case]) -> list[Case]:
        """The cases with their trained weights; those that could not be trained get their reason and are left out."""
        from bench import training

        self.watch.plan({"training": len(cases)})
        self.watch.phase("training")
        done = []
        for case in cases:
            self.watch.begin(f"training {case.name}")
            try:
                done.append(replace(case, weights=str(training.trained(training.recipe(case)))))
            except BenchError as error:
                self._set(case, error=f"training failed: {error}")
            self.watch.end(self.records[case.name])
        return done

    def _judge(self, cases: Sequence[Case], paths: dict[str, Path]) -> None:
        """Measure the accuracy of the very files that were timed."""
        from bench import accuracy, training

        wanted = [c for c in cases if c.name in paths and self.records[c.name].accuracy.origin != "measured"]
        self.watch.plan({"accuracy": len(wanted)})
        self.watch.phase("accuracy")
        for case in wanted:
            self.watch.begin(f"accuracy of {case.name}")
            path = paths[case.name]
            try:
                if case.train:
                    found = training.accuracy(path, case.train.data)
                else:
                    kept = self.folder / "accuracy" / f"{store.slug(case.name)}.jsonl"
                    found = accuracy.measure(path, accuracy.settings_of(case), kept=kept)
            except BenchError as error:
                self._set(case, error=f"accuracy not measured: {error}")
            else:
                self._set(case, accuracy=found)
            self._stored()
            self.watch.end(self.records[case.name])

    def _export(self, taught: Sequence[Case]) -> dict[str, Path]:
        """The ONNX file of every case that has one, by the case's name. `taught`: those with weights trained here."""
        from bench import export
        from bench.models import published

        weights = {case.name: case.weights for case in taught}
        everything = [r.case for r in self.records.values() if r.case.train is None or r.case.name in weights]
        for case in everything:
            if self.records[case.name].accuracy.origin != "measured":
                elsewhere = case.train or case.accuracy
                self._set(case, accuracy=Accuracy(origin="none") if elsewhere else published.lookup(case))
        own = [case for case in everything if case.is_onnx]
        sharing: dict[export.ExportRequest, list[Case]] = defaultdict(list)
        for case in everything:
            if not case.is_onnx:
                sharing[export.request(replace(case, weights=weights.get(case.name, case.weights)))].append(case)
        steps = len(own) + len(sharing)
        self.watch.plan({"export": steps, "timing": len(everything) * self.begun.settings.rounds})
        self.watch.phase("export")
        paths: dict[str, Path] = {}
        for case in own:
            self.watch.begin(f"reading {case.model}")
            try:
                artifact, cost = _own_file(case)
            except BenchError as error:
                self._set(case, error=str(error))
            else:
                self._set(case, artifact=artifact, cost=cost)
                paths[case.name] = Path(case.model)
            self.watch.end(self.records[case.name])
        begun = self.watch.begin
        for result in export.export(sharing, on_start=lambda request: begun(f"exporting {sharing[request][0].name}")):
            for case in sharing[result.request]:
                if isinstance(result, export.Exported):
                    self._set(case, artifact=result.artifact, cost=result.cost)
                    paths[case.name] = result.path
                else:
                    self._set(case, error=f"export failed: {result.message}")
            self.watch.end(self.records[sharing[result.request][0].name])
            self._stored()
        return paths

    def _calibrate(self, paths: dict[str, Path]) -> None:
        """The roofline, with the threads that most cases have; the run stands without it."""
        from bench.timing import calibration

        self.watch.phase("calibration")
        self.watch.begin("calibrating: the machine's peak and bandwidth")
        (threads, _), *_ = Counter(self.records[name].case.threads or 1 for name in paths).most_common(1)
        try:
            roofline = calibration.calibrate(self.begun.settings, threads)
        except BenchError as error:
            self.watch.begin(f"no calibration: {error}")
            self.begun = replace(self.begun, roofline_error=str(error))
        else:
            self.begun = replace(self.begun, roofline=roofline, roofline_error=None)

    def _time(self, paths: dict[str, Path]) -> None:
        from bench import timing

        done = store.visits(self.folder, repair=True)
        targets = [timing.Target(self.records[name].case, path) for name, path in paths.items()]
        self.watch.plan({"timing": max(0, len(targets) * self.begun.settings.rounds - len(done))})
        self.watch.phase("timing")
        self._summarise(done)
        for event in timing.visits(targets, self.begun.settings, done=done):
            if isinstance(event, timing.VisitStarted):
                self.watch.begin(f"timing {event.case}, round {event.round + 1}")
                continue
            if isinstance(event, timing.VisitFailed):
                self._set(self.records[event.case].case, error=f"timing failed: {event.message}", measurement=None)
            else:
                store.append(self.folder, event)
                done.append(event)
                self._summarise(done, event.case)
            self._stored()
            self.watch.end(self.records[event.case])
        self._summarise(done)

    def _profile(self, paths: dict[str, Path]) -> None:
        """Where the time goes, on the CPU; on a GPU, clocking each node would stop the overlap that makes it fast."""
        from bench.timing import Target, profile

        records = [self.records[name] for name in paths]
        wanted = [r for r in records if r.measurement and r.case.device == "cpu" and r.kinds_ms is None]
        self.watch.plan({"profile": len(wanted)})
        self.watch.phase("profile")
        for record in wanted:
            self.watch.begin(f"profiling {record.case.name}")
            try:
                kinds = profile.by_kind(Target(record.case, paths[record.case.name]), self.begun.settings)
            except BenchError as error:  # the measurement stands without it
                self.watch.begin(f"no profile of {record.case.name}: {error}")
            else:
                self._set(record.case, kinds_ms=kinds)
                self._stored()
            self.watch.end(self.records[record.case.name])

    def _summarise(self, visits: Sequence[Visit], only: str | None = None) -> None:
        """Describe the cases that have visits, or one of them; a visit can show that others met a slow pace."""
        from bench.analysis import statistics

        for name, found in statistics.by_case(visits).items():
            if only not in (None, name):
                continue
            case = self.records[name].case
            measured = statistics.summarise(found, batch_size=case.batch_size, seed=self.begun.settings.seed)
            self._set(case, measurement=measured, error=None)

    def _set(self, case: Case, **changes: Accuracy | Artifact | Cost | object) -> None:
        self.records[case.name] = replace(self.records[case.name], **changes)  # type: ignore[arg-type]


def _own_file(case: Case) -> tuple[Artifact, Cost]:
    """What is known of a user's own ONNX file. Raises BenchError when it is not one."""
    from bench import cost, export

    if case.precision != "fp32":
        raise WrongUsage(
            f"{case.model} is timed as it is; leave out precision, or name the Keras model to have it made"
        )
    return export.artifact_of_file(Path(case.model)), cost.of_case(case)[0]
