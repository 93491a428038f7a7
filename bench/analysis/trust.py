"""What a run says of itself: whether its figures are sound, and if not, why and what would help.

Each check is a function of the run and its visits and gives the doubts that it has; another is one more in `CHECKS`.
One unsound doubt makes the run unsound: then its figures are not to be acted on.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from statistics import median

from bench.analysis import roofline, summary
from bench.records import Doubt, Run, Trust, Visit

LEVELS = ("sound", "shaky", "unsound")

_DISTURBED = (0.2, 0.5)  # share of the visits: shaky above the first, unsound above the second; so below
_SPREAD = (0.05, 0.15)  # relative deviation of a case's visits, median over the cases
_INTERVAL = (1.5, 3.0)  # upper over lower end of a p50's interval
_PACE = (1.3, 2.0)  # the machine's slowest over its fastest tenth of visits
_UNSTEADY = (0.2, 0.8)  # share of the visits whose warm-up did not settle
_ELSEWHERE = (0.1, 0.5)  # share of the nodes that another provider runs
_ROOF = (1.0, 2.0)  # achieved over what the machine can do
_THREADS = (1.0, 2.0)  # threads asked over cores given
_AGREEMENT = 0.9  # of a lower precision with fp32
_WINDOWS = 10  # samples of a warm-up that could have settled: two windows of the worker's five

_BY = {  # how the marks of a visit begin -> who it was, and the remedy
    "other processes": ("other programs", "stop them, or measure when they are done"),
    "the host took": ("the host, which took the processor away", "measure at another time, or on another machine"),
    "the container's limit": ("the container's processor limit", "use no more --threads than the limit has cores"),
    "the machine ran": ("a slower pace of the machine", "pin the virtual machine's cores, or use --threads 1"),
}  # fmt: skip

Check = Callable[[Run, Sequence[Visit]], Iterable[Doubt]]


def of(run: Run, visits: Sequence[Visit] = ()) -> Trust:
    """The run's trust, the worst doubt first. Without its visits, only what `run.json` tells of them is known."""
    visits = summary.paced(visits)
    doubts = [doubt for check in CHECKS for doubt in check(run, visits)]
    doubts.sort(key=lambda doubt: -LEVELS.index(doubt.level))
    return Trust(verdict=doubts[0].level if doubts else "sound", doubts=tuple(doubts))


def stored(run: Run) -> Trust:
    """What the run says of itself, or, where it was interrupted before it could, what its figures tell."""
    return run.trust or of(run)


def in_words(run: Run) -> list[str]:
    """The trust in lines: the verdict with its worst doubt, then the others."""
    trust = stored(run)
    if not trust.doubts:
        return ["this run is sound"]
    first, *others = [f"{doubt.what}; {doubt.remedy}" for doubt in trust.doubts]
    return [f"this run is {trust.verdict}: {first}", *(f"also: {other}" for other in others)]


def _level(value: float, limits: tuple[float, float]) -> str | None:
    return "unsound" if value > limits[1] else "shaky" if value > limits[0] else None


def _measured(run: Run, visits: Sequence[Visit]) -> Iterator[Doubt]:
    missing = [record.case.name for record in run.records if record.measurement is None]
    if len(missing) == len(run.records):
        yield Doubt(level="unsound", what="nothing was measured", remedy="see why each case failed")
    elif missing:
        yield Doubt(level="shaky", what=f"{_names(missing)} {_are(missing)} not measured", remedy="the errors say why",
                    cases=tuple(missing))  # fmt: skip
    single = [r.case.name for r in run.records if r.measurement and len(r.measurement.visit_p50_ms) < 2]
    if single:
        yield Doubt(level="shaky", what=f"{_names(single)}: one visit tells nothing of how visits differ",
                    remedy="measure with --rounds 3 or more", cases=tuple(single))  # fmt: skip


def _disturbed(run: Run, visits: Sequence[Visit]) -> Iterator[Doubt]:
    if visits:
        count, total = sum(bool(visit.disturbances) for visit in visits), len(visits)
    else:
        measured = [record.measurement for record in run.records if record.measurement]
        count, total = sum(m.disturbed_visits for m in measured), sum(m.visits for m in measured)
    if not total or not (level := _level(count / total, _DISTURBED)):
        return
    marks = [mark for visit in visits for mark in visit.disturbances]
    causes = Counter(start for mark in marks for start in _BY if mark.startswith(start))
    programs = Counter(name for mark in marks for name in re.findall(r"(?:most of it: |, )([^,()]+?) \d+ %", mark))
    who, remedy = "", "`bench doctor` says by what"
    if causes:
        cause, remedy = _BY[causes.most_common(1)[0][0]]
        named = ", ".join(name for name, _ in programs.most_common(3)) if cause == "other programs" else ""
        who = f", most by {cause}" + (f" ({named})" if named else "")
    yield Doubt(level=level, what=f"{count} of {total} visits were disturbed{who}", remedy=remedy)


def _spread(run: Run, visits: Sequence[Visit]) -> Iterator[Doubt]:
    spreads = []
    for record in run.records:
        p50s = record.measurement.visit_p50_ms if record.measurement else ()
        if len(p50s) > 1:
            logs = [math.log(value) for value in p50s]
            mean = sum(logs) / len(logs)
            spreads.append(math.sqrt(sum((x - mean) ** 2 for x in logs) / (len(logs) - 1)))
    spread = median(spreads) if spreads else 0.0
    if level := _level(spread, _SPREAD):
        yield Doubt(level=level, what=f"visits to one model differ by {100 * spread:.0f} %",
                    remedy="quieten the machine as `bench doctor` says, and measure more --rounds")  # fmt: skip
    for level in ("unsound", "shaky"):
        wide = [r.case.name for r in run.records if r.measurement and len(r.measurement.visit_p50_ms) > 1
                and _level(r.measurement.p50_ms_high / r.measurement.p50_ms_low, _INTERVAL) == level]  # fmt: skip
        if wide:
            factor = _INTERVAL[LEVELS.index(level) - 1]
            yield Doubt(level=level, what=f"the p50 of {_names(wide)} is not known within a factor of {factor:g}",
                        remedy="measure more --rounds", cases=tuple(wide))  # fmt: skip


def _pace(run: Run, visits: Sequence[Visit]) -> Iterator[Doubt]:
    paces = summary.paces_of(visits)
    for record in run.records if not visits else ():
        if record.measurement and record.measurement.pace_ms:
            paces.setdefault((record.case.threads, record.case.runtime), []).append(record.measurement.pace_ms)
    swing = max((high / low for low, high in map(summary.pace_range, paces.values())), default=1.0)
    if level := _level(swing, _PACE):
        yield Doubt(level=level, what=f"the machine's pace swung by a factor of {swing:.1f} during the run",
                    remedy="pin the virtual machine's cores, measure with --threads 1, or at another time")  # fmt: skip


def _warm_up(run: Run, visits: Sequence[Visit]) -> Iterator[Doubt]:
    """Of a slow model, whose warm-up holds too few samples to settle, nothing is known."""
    able = [visit for visit in visits if visit.warmed_up or len(visit.warmup_ns) >= _WINDOWS]
    unsteady = [visit for visit in able if not visit.warmed_up]
    if able and (level := _level(len(unsteady) / len(able), _UNSTEADY)):
        names = sorted({visit.case for visit in unsteady})
        yield Doubt(level=level, what=f"the warm-up of {len(unsteady)} of {len(able)} visits did not settle "
                    f"({_names(names)})", remedy="the speed changes while it is measured: see the governor, turbo and "
                    "background load in `bench doctor`", cases=tuple(names))  # fmt: skip


def _above_the_roof(run: Run, visits: Sequence[Visit]) -> Iterator[Doubt]:
    shares = {r.case.name: placed.share for r in run.records if (placed := roofline.share(r, run)) is not None}
    for level in ("unsound", "shaky"):
        above = [name for name, share in shares.items() if _level(share, _ROOF) == level]
        if above:
            most = max(shares[name] for name in above)
            yield Doubt(level=level, what=f"{_names(above)} did up to {100 * most:.0f} % of what the machine can do: "
                        "operations are counted wrong, or the machine sped up after its calibration",
                        remedy="see `bench cost --per-layer`, and measure again", cases=tuple(above))  # fmt: skip


def _providers(run: Run, visits: Sequence[Visit]) -> Iterator[Doubt]:
    elsewhere: dict[str, float] = {}
    others: set[str] = set()
    for visit in visits:
        total = sum(visit.provider_nodes.values())
        if total:
            elsewhere[visit.case] = 1 - visit.provider_nodes.get(visit.provider, 0) / total
            if elsewhere[visit.case]:
                others |= {*visit.provider_nodes} - {visit.provider}
    for level in ("unsound", "shaky"):
        names = [name for name, share in elsewhere.items() if _level(share, _ELSEWHERE) == level]
        if names:
            most = 100 * max(elsewhere[name] for name in names)
            yield Doubt(level=level, what=f"up to {most:.0f} % of the nodes of {_names(names)} ran on "
                        f"{', '.join(sorted(others))}, not on {run.settings.provider}",
                        remedy="see `bench doctor`; these are not the times of the device asked for",
                        cases=tuple(names))  # fmt: skip


def _fidelity(run: Run, visits: Sequence[Visit]) -> Iterator[Doubt]:
    checked = [(r.case.name, r.artifact.fidelity) for r in run.records if r.artifact and r.artifact.fidelity]
    wrong = [name for name, fidelity in checked if not fidelity.passed]
    if wrong:
        yield Doubt(level="unsound", what=f"the file of {_names(wrong)} does not compute what it should",
                    remedy="export it again, and report it", cases=tuple(wrong))  # fmt: skip
    known = [(name, f.top1_agreement) for name, f in checked if f.passed and f.reference != "Keras"]
    apart = [name for name, agreement in known if agreement is not None and agreement < _AGREEMENT]
    if apart:
        yield Doubt(level="shaky", what=f"{_names(apart)} {_are(apart)} of another mind than fp32 on more than "
                    f"{100 - 100 * _AGREEMENT:.0f} % of the inputs", remedy="measure the accuracy before shipping it",
                    cases=tuple(apart))  # fmt: skip


def _accuracy(run: Run, visits: Sequence[Visit]) -> Iterator[Doubt]:
    for record in run.records:
        if record.accuracy.doubt:
            what, _, remedy = record.accuracy.doubt.partition("; ")
            yield Doubt(level="unsound", what=f"the accuracy of {record.case.name} is doubtful: {what}",
                        remedy=f"{remedy} (in a suite a key of `accuracy`)", cases=(record.case.name,))  # fmt: skip


def _heads(run: Run, visits: Sequence[Visit]) -> Iterator[Doubt]:
    random = [record.case.name for record in run.records if record.transfer and record.transfer.weights == "none"]
    ended = [record.case.name for record in run.records if record.transfer and not record.transfer.converged]
    if ended:
        yield Doubt(level="shaky", what=f"the solver of the head of {_names(ended)} was stopped before its end",
                    remedy="their accuracies may be too low; report it", cases=tuple(ended))  # fmt: skip
    if random:
        yield Doubt(level="shaky", what=f"the weights of {_names(random)} are random, and accuracies those of heads on "
                    "random features", remedy="use --weights imagenet, or a folder of weights files",
                    cases=tuple(random))  # fmt: skip


def _load(run: Run, visits: Sequence[Visit]) -> Iterator[Doubt]:
    for record in run.records:
        for doubt in record.load.doubts if record.load else ():
            what, _, remedy = doubt.partition("; ")
            late = what.startswith("requests were begun late")
            yield Doubt(level="unsound" if late else "shaky", what=f"load on {record.case.name}: {what}", remedy=remedy,
                        cases=(record.case.name,))  # fmt: skip


def _threads(run: Run, visits: Sequence[Visit]) -> Iterator[Doubt]:
    cores = run.machine.must_match.get("cores")
    if not isinstance(cores, int) or cores < 1 or run.settings.device != "cpu":
        return
    for level in ("unsound", "shaky"):
        over = {r.case.name: r.case.threads for r in run.records
                if r.measurement and _level(r.case.threads / cores, _THREADS) == level}  # fmt: skip
        if over:
            most, cores_given = max(over.values()), f"{cores} core{'s' * (cores > 1)}"
            yield Doubt(level=level, what=f"{most} threads on {cores_given} wait for each other ({_names(list(over))})",
                        remedy=f"use --threads {cores} or fewer",
                        cases=tuple(over))  # fmt: skip


CHECKS: tuple[Check, ...] = (
    _measured, _fidelity, _accuracy, _heads, _providers, _threads, _load, _disturbed, _spread, _pace, _warm_up,
    _above_the_roof,
)  # fmt: skip
"""Of doubts of one level, those come first that no quieter machine would settle."""


def _names(names: Sequence[str]) -> str:
    if len(names) <= 3:
        return ", ".join(names)
    return f"{', '.join(names[:2])} and {len(names) - 2} others"


def _are(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"
