"""The machine examined: what it is, what will disturb a measurement, and what to do about each finding."""

from __future__ import annotations

import math
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil

from bench import runtimes
from bench.analysis.comparison import ALARM_RATE, POWER
from bench.analysis.statistics import student_t
from bench.analysis.summary import SLOW_PACE
from bench.errors import Failed
from bench.machine import cgroups, facts, lock, neighbours
from bench.records import PlannedCase, Settings, Visit
from bench.runtimes import device
from bench.suites import RUNTIMES
from bench.timing import calibration
from bench.timing.schedule import Target, one
from bench.trust import surroundings
from bench.trust.finding import Finding

SECONDS = 15.0
_ROUNDS = 5  # of a run, unless asked otherwise
_MARGIN = 0.03
_CPU = "/sys/devices/system/cpu"
_BUSY_SHARE = 0.05
_LOW_MEMORY, _LOW_DISK = 2e9, 5e9


@dataclass(frozen=True, kw_only=True, slots=True)
class Noise:
    """How the p50s of short visits to one small model differ, as relative standard deviations."""

    visits: int
    between: float  # between visits
    within: float  # between the samples of one visit, from their middle half; median over the visits
    p50_ms: float
    pace: float | None = None  # of the machine: its slowest over its fastest visit, see `pace`


def examine(results: Path, cache: Path, *, seconds: float = SECONDS) -> Iterator[Finding | Noise]:
    """Every finding as soon as it is known, then the noise floor and its finding; about `seconds` and 5 s."""
    quota = cgroups.quota()
    yield from fact_findings("cpu", facts.cores_given())
    yield cores(facts.cores_given(), os.cpu_count() or 1, quota)
    yield siblings([facts.read(p) for p in sorted(Path(_CPU).glob("cpu[0-9]*/topology/thread_siblings_list"))])
    yield turbo(facts.read(f"{_CPU}/intel_pstate/no_turbo"), facts.read(f"{_CPU}/cpufreq/boost"))
    yield limits(quota, cgroups.memory_limit())
    for name in RUNTIMES:
        yield from runtime(name, facts.cores_given())
    yield from surroundings.findings(facts.cores_given())
    yield load(*_measured_load())
    yield free("memory", psutil.virtual_memory().available, _LOW_MEMORY, "close other programs")
    for name, place in (("disk of results", results), ("disk of exports", cache)):
        yield free(name, shutil.disk_usage(_existing(place)).free, _LOW_DISK, "free some space, or name another folder")
    holder = lock.held_by()
    yield Finding("measuring lock", holder or "free", f"{holder} is measuring; wait for it" if holder else None, True)
    try:
        noise = measure_noise(seconds)
    except Failed as error:
        yield Finding("noise floor", "not measured", str(error), True)
    else:
        yield noise
        yield pace_finding(noise.pace)
        yield noise_finding(noise)


def fact_findings(device: str, threads: int) -> Iterator[Finding]:
    """The facts of the machine that a run would hold, with a remedy where one is known."""
    machine = facts.collect(device, threads, {})
    values = machine.must_match | machine.may_drift | machine.informs
    for fact in facts.FACTS:
        if fact.name in _EXAMINED:
            yield _EXAMINED[fact.name](values[fact.name])
        elif fact.name not in _ELSEWHERE:
            yield Finding(fact.label, fact.in_words(values[fact.name]))


def cores(given: int, present: int, quota: float | None) -> Finding:
    """The cores that this process may use."""
    value = f"{given} of {present}"
    if quota is not None and abs(quota - round(quota)) > 0.01:
        remedy = f"the container's quota is {quota:g} cores; the fraction makes pauses: give it whole cores"
        return Finding("cores given", value, remedy)
    return Finding("cores given", value)


def siblings(lists: Sequence[str]) -> Finding:
    """Whether cores are two threads of one physical core; a text such as "0,4" or "0-1" for each core."""
    shared = sorted({text for text in lists if "," in text or "-" in text})
    if not lists:
        return Finding("hyper-threads", "not shown")
    if not shared:
        return Finding("hyper-threads", "no core is shared")
    return Finding(
        "hyper-threads",
        f"cores {' and '.join(shared[:4])}{' ...' if len(shared) > 4 else ''} share their units",
        "a neighbour on the same core slows a measurement: give one thread a core (--threads, taskset)",
    )


def instructions(names: Sequence[str]) -> Finding:
    """The vector instructions, and whether int8 is likely to pay."""
    dots = {"avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"} & set(names)
    remedy = None if dots else "no VNNI or the like: int8 may be slower than fp32; measure before you ship it"
    return Finding("vector instructions", ", ".join(names) or "none that are known", remedy)


def governor(name: str) -> Finding:
    """The frequency governor of the first core."""
    if name in ("", "not shown", "performance"):
        return Finding("governor", name or "not shown")
    return Finding("governor", name, "frequencies follow the load: `sudo cpupower frequency-set -g performance`")


def turbo(no_turbo: str, boost: str) -> Finding:
    """Whether the frequency may rise above its base: Intel's `no_turbo`, or `boost` elsewhere; "" where not shown."""
    on = {"0": True, "1": False}.get(no_turbo, {"1": True, "0": False}.get(boost))
    if on is None:
        return Finding("turbo", "not shown")
    switch = (
        f"echo 1 | sudo tee {_CPU}/intel_pstate/no_turbo" if no_turbo else f"echo 0 | sudo tee {_CPU}/cpufreq/boost"
    )
    remedy = f"the speed depends on heat and on the other cores' load: `{switch}`" if on else None
    return Finding("turbo", "on" if on else "off", remedy)


def virtual(is_virtual: bool) -> Finding:
    """Whether others may share the processor unseen."""
    if not is_virtual:
        return Finding("virtual machine", "no")
    return Finding(
        "virtual machine",
        "yes",
        "neighbours that are not shown take time and cache: trust intervals over rounds, not one process; "
        "compare two files with `bench ab`",
    )


def limits(quota: float | None, memory: int | None) -> Finding:
    """The container's limits; both are fine as long as they are known."""
    parts = [f"{quota:g} cores"] if quota else []
    parts += [f"{memory / 1e9:.1f} GB of memory"] if memory else []
    return Finding("container limits", ", ".join(parts) or "none")


def runtime(name: str, given: int) -> Iterator[Finding]:
    """A runtime as it is installed, its default threads, and the providers that really run.

    One that is not installed is no finding, unless it is the one that everything else needs.
    """
    known = runtimes.get(name)
    if name != device.DEFAULT and runtimes.installed(name) is None:
        return
    try:
        survey = device.survey(name)
    except Failed as error:
        yield Finding(known.TITLE, "does not work", str(error))
        return
    yield Finding(known.TITLE, "; ".join(filter(None, (survey["version"], survey["build"]))))
    if (threads := survey["default_threads"]) is not None:
        yield default_threads(known.TITLE, threads, given)
    for provider in survey["providers"]:
        yield provider_finding(known.TITLE, provider, device.why_not(provider, name))


def provider_finding(title: str, provider: str, reason: str | None) -> Finding:
    """A provider that a runtime was built with, and why it does not run here (None when it does)."""
    name = f"{title} on {provider.removesuffix('ExecutionProvider')}"
    if reason is None:
        return Finding(name, "runs")
    return Finding(name, "built in, but does not run", f"do not use it: {reason.removesuffix('; see `bench doctor`')}")


def default_threads(title: str, threads: int, given: int) -> Finding:
    """The threads that a runtime starts when nobody says how many, against the cores given."""
    remedy = f"set its threads to {given} where you deploy; bench always sets them" if threads != given else None
    return Finding(f"{title}, default threads", f"{threads} for {given} cores given", remedy)


def load(share: float, stolen: float, busiest: Sequence[str]) -> Finding:
    """What others use of the cores given, and what the host takes away, as shares."""
    value = f"{100 * share:.0f} % of the cores" + (f", {100 * stolen:.0f} % stolen by the host" if stolen else "")
    if share <= _BUSY_SHARE and stolen <= 0.01:
        return Finding("background load", value)
    names = f" (most of it: {', '.join(busiest)})" if busiest else ""
    remedy = f"stop other programs{names}" if share > _BUSY_SHARE else "the host is crowded: measure at another time"
    return Finding("background load", value, f"{remedy}; disturbed visits are marked and repeated", True)


def free(name: str, size_bytes: float, low: float, remedy: str) -> Finding:
    """Free memory or disk."""
    return Finding(name, f"{size_bytes / 1e9:.1f} GB free", remedy if size_bytes < low else None, size_bytes < low / 10)


def measure_noise(seconds: float) -> Noise:
    """The noise floor: short visits to a small product of matrices for so many seconds, at least 3.

    Raises Failed when another run is measuring, or the graph cannot be made or run.
    """
    settings = Settings(
        rounds=1, min_time_s=0.4, min_count=12, warmup_s=1.0, budget_s=None, seed=0, device="cpu",
        provider=runtimes.get(device.DEFAULT).DEVICES["cpu"],
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder, lock.measuring(wait_s=0):
        path = Path(folder) / "small.onnx"
        calibration.write_product(path, 512)
        case = PlannedCase(
            name="small", model=str(path), device="cpu", provider=settings.provider, threads=facts.cores_given()
        )
        target = Target(case, path)
        end = time.monotonic() + seconds
        visits: list[Visit] = []
        while len(visits) < 3 or time.monotonic() < end:
            visits.append(one(target, len(visits), settings))
    paces = [visit.health.pace_ms for visit in visits if visit.health.pace_ms is not None]
    return replace(noise_of([visit.samples_ns for visit in visits]), pace=max(paces) / min(paces) if paces else None)


def noise_of(visits: Sequence[Sequence[int]]) -> Noise:
    """The spread between and within visits (at least 2), from their samples in ns."""
    logs = [math.log(statistics.median(samples)) for samples in visits]
    within = []
    for samples in visits:
        low, middle, high = statistics.quantiles(samples, n=4)
        within.append((high - low) / 1.349 / middle)  # of a normal distribution, 1.349 standard deviations apart
    return Noise(
        visits=len(visits),
        between=statistics.stdev(logs),
        within=statistics.median(within),
        p50_ms=math.exp(statistics.median(logs)) / 1e6,
    )


def pace_finding(swing: float | None) -> Finding:
    """How far the machine's pace swung, its slowest visit over its fastest; None where it is not known."""
    if swing is None:
        return Finding("pace", "not known")
    value = f"the slowest visit met the machine {swing:.2f} times as slow as the fastest"
    if swing < SLOW_PACE:
        return Finding("pace", value)
    return Finding(
        "pace",
        value,
        "cores that the host moves apart, or shares, hand work over slowly: pin the virtual machine's cores, or "
        "measure with --threads 1; visits at a slow pace are marked and repeated",
        True,
    )


def detectable(between: float, rounds: int) -> float:
    """The relative change that two runs of so many rounds show four times in five (Student's t on their visits)."""
    degrees = 2 * (rounds - 1)
    needed = student_t(ALARM_RATE, degrees) + student_t(2 * (1 - POWER), degrees)
    return math.expm1(needed * between * math.sqrt(2 / rounds))


def noise_finding(noise: Noise) -> Finding:
    """The noise floor in words, with the rounds that would see the default margin."""
    blind = detectable(noise.between, _ROUNDS)
    value = (
        f"visits differ by {100 * noise.between:.1f} %, samples of one visit by {100 * noise.within:.1f} % "
        f"({noise.visits} visits of {noise.p50_ms:.2g} ms); two runs of {_ROUNDS} rounds cannot see less than "
        f"{100 * blind:.1f} %"
    )
    if blind <= _MARGIN:
        return Finding("noise floor", value)
    rounds = next((n for n in range(_ROUNDS, 101) if detectable(noise.between, n) <= _MARGIN), None)
    enough = (
        f"--rounds {rounds} would see {100 * _MARGIN:.0f} %" if rounds else "no number of rounds up to 100 sees 3 %"
    )
    return Finding("noise floor", value, f"{enough}; quieten the machine as said above, or use `bench ab`", True)


_EXAMINED: dict[str, Callable[[Any], Finding]] = {
    "governor": governor,
    "instructions": instructions,
    "virtual": virtual,
}
"""The facts for which a remedy is known, by what says it."""
_ELSEWHERE = ("cores", "threads", "quota_cores", "memory_limit_bytes")
"""The facts that a finding of its own says more of."""


def _measured_load() -> tuple[float, float, list[str]]:
    """Busy and stolen shares of the cores given over a second, and the busiest programs by name."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    before, begun = neighbours.snapshot(), time.monotonic()
    psutil.cpu_times_percent(interval=None, percpu=True)
    time.sleep(1.0)
    times = psutil.cpu_times_percent(interval=None, percpu=True)
    mine = [times[core] for core in cores] if cores and max(cores) < len(times) else times
    stolen = statistics.mean(getattr(core, "steal", 0.0) for core in mine) / 100
    busy = statistics.mean(100 - core.idle - getattr(core, "iowait", 0.0) for core in mine) / 100 - stolen
    return max(0.0, busy), stolen, neighbours.busiest(before, neighbours.snapshot(), time.monotonic() - begun)


def _existing(place: Path) -> Path:
    place = place.absolute()
    return place if place.exists() else _existing(place.parent)
