"""A run from its first phase to its last, begun or taken up again."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench import store
from bench.errors import BenchError, WrongUsage
from bench.pipeline import calibrate, export, fidelity, judge, load, profile, time, train
from bench.pipeline.place import Here, Place
from bench.pipeline.watch import Silent, Watch
from bench.pipeline.work import Phase, Work
from bench.records import INTERRUPTED, SCHEMA_VERSION, Case, Machine, PlannedCase, Record, Run, Settings
from bench.suites import Suite, load_suite
from bench.suites.values import FILE_SUFFIXES

_log = logging.getLogger(__name__)

MAKING: tuple[Phase, ...] = (train.PHASE, export.PHASE)
"""What makes the files, wherever they are timed."""
TIMING: tuple[Phase, ...] = (fidelity.PHASE, calibrate.PHASE, time.PHASE, calibrate.AGAIN, profile.PHASE)
"""What happens on the machine that a run is about."""
JUDGING: tuple[Phase, ...] = (judge.PHASE,)
"""What a file is worth, wherever it is timed."""
LOADING: tuple[Phase, ...] = (load.PHASE,)
"""What a machine can serve."""
PHASES = (*MAKING, *TIMING, *JUDGING, *LOADING)
"""What a run does, in order."""
OF_LOAD: tuple[Phase, ...] = (train.PHASE, export.PHASE, fidelity.PHASE, time.PHASE, load.PHASE)
"""What is done of it to answer a question about load alone."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to measure, as asked for; the Run's Settings say what is in force."""

    device: str = "auto"
    threads: int | None = None  # None: every core given to this process
    rounds: int = 5
    budget_s: float | None = None  # for the timing phase; None: no limit
    patience_s: float = 0.0  # to wait in for others to leave the cores alone, all visits together
    min_time_s: float = 0.4
    min_count: int = 12
    warmup_s: float = 2.0
    spacing_s: float = 3.0  # visits in one burst would see one moment of the machine, and take it for all of them
    seed: int = 0
    command: str | None = None  # the command line that asks for the run


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
    phases: Sequence[Phase] = PHASES,
) -> Outcome:
    """Measure a suite and store the run under `results/runs/`, rewritten after every step.

    A case that fails gets its reason in `Record.error` and the others go on. Raises Failed when the device asked for
    cannot run or the results cannot be written, WrongUsage for a suite that is wrong.
    """
    suite = load_suite(suite) if isinstance(suite, str) else suite
    place = Here()
    begun = planned(suite, options or Options(), place)
    folder = store.create(results, begun)
    with store.held(folder):
        return ended(done(Work(begun, folder, watch or Silent(), place), phases))


def planned(suite: Suite, options: Options, place: Place) -> Run:
    """The run of a suite at a place, of which nothing has been measured yet. Raises as `run`."""
    from bench.machine import facts

    if not suite.cases:
        raise WrongUsage("nothing to measure: the suite has no cases")
    names = sorted({case.runtime for case in suite.cases})
    places = {name: place.device(options.device, name) for name in names}
    cores = place.cores()
    threads = options.threads or cores
    cases = _planned([_completed(case) for case in suite.cases], places, threads)
    device, provider = next(iter(places.values()))
    over = sorted({case.threads for case in cases} - set(range(1, cores + 1)))
    if over and device == "cpu":
        _log.warning(
            "%s threads on %d cores wait for each other: such times are not to be trusted; use --threads %d or fewer",
            ", ".join(map(str, over)), cores, cores,
        )  # fmt: skip
    return Run(
        schema_version=SCHEMA_VERSION,
        suite=suite.name,
        title=suite.title,
        command=options.command,
        commit=facts.commit(),
        left_out=suite.left_out,
        started_at=store.now(),
        machine=place.facts(device, threads, names),
        settings=Settings(
            rounds=options.rounds,
            min_time_s=options.min_time_s,
            min_count=options.min_count,
            warmup_s=options.warmup_s,
            spacing_s=options.spacing_s,
            budget_s=options.budget_s,
            patience_s=options.patience_s,
            seed=options.seed,
            device=device,
            provider=provider,
        ),
        records=tuple(Record(case=case, error=INTERRUPTED) for case in cases),
    )


def resume(folder: Path, *, watch: Watch | None = None) -> Outcome:
    """Finish a run that was interrupted, with the settings it began with. Visits already stored are not repeated.

    Raises NotComparable when this is not the machine that began it, Failed while another process measures it.
    """
    store.load(folder)  # what is no run is named before anything is written there
    with store.held(folder):
        return ended(done(Work(taken_up(folder, Here()), folder, watch or Silent()), PHASES))


def taken_up(folder: Path, place: Place) -> Run:
    """A run that was interrupted, as it goes on at a place. Raises NotComparable when it was begun on another."""
    from bench.analysis.comparison import must_match_differences
    from bench.errors import NotComparable

    begun = store.load(folder)
    threads = begun.machine.must_match.get("threads") or place.cores()
    here = place.facts(begun.settings.device, threads, begun.runtimes)
    differing = must_match_differences(begun.machine, here)
    if differing:
        raise NotComparable(f"{folder} was begun on another machine ({'; '.join(differing)}); start a new run here")
    return _at_present(begun, here)


def _at_present(begun: Run, here: Machine) -> Run:
    """A run taken up again, with what was measured under another runtime taken out of it."""
    present = replace(begun, machine=here)
    records = tuple(
        record
        if store.timed(present, record) == store.timed(begun, record)
        else replace(record, measurement=None, kinds_ms=None, load=None, error=record.error or INTERRUPTED)
        for record in begun.records
    )
    return replace(present, records=records, roofline=begun.roofline if records == begun.records else None)


def _completed(case: Case) -> Case:
    """A case as its images make it. Raises WrongUsage where its head is trained on images that it does not name."""
    if case.train is None or case.train.data:
        return case
    from bench.training import transfer

    return transfer.completed(case)


def _planned(cases: Sequence[Case], places: Mapping[str, tuple[str, str]], threads: int) -> tuple[PlannedCase, ...]:
    """The cases as they will be timed. `places`: device and provider by runtime."""
    planned = tuple(
        case.planned(device=places[case.runtime][0], provider=places[case.runtime][1], threads=threads)
        for case in cases
    )
    for case in planned:
        if case.model.lower().endswith(FILE_SUFFIXES) and not Path(case.model).exists():
            raise WrongUsage(f"no file {case.model}; correct the path")
    _refuse_unusable(planned)
    return planned


def _refuse_unusable(cases: Iterable[Case]) -> None:
    """Raise what is wrong with the first file when nothing else can be measured either: no run is stored for it."""
    from bench import export

    problems = []
    for case in cases:
        if not case.is_file:
            return
        try:
            export.completed(case)
        except BenchError as error:
            problems.append(error)
        else:
            return
    raise problems[0]


def done(work: Work, phases: Sequence[Phase]) -> Work:
    """Do what is not done yet of these phases, one after another."""
    for phase in phases:
        cases = phase.wanted(work)
        if cases:
            with work.timed(phase.name):
                phase.do(work, cases)
    return work


def ended(work: Work) -> Outcome:
    """The end of a run: it says whether to trust it."""
    from bench.analysis import trust

    work.begun = replace(work.begun, trust=trust.of(work.stored(), store.visits(work.folder)))
    work.stored()
    return Outcome(store.load(work.folder), work.folder)  # as it is stored: a name that is not UTF-8 is readable there
