"""The visits to a case summed up: which of them count, and the measurement that they make."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from bench.analysis import quantities
from bench.analysis.quantities import Meter
from bench.analysis.statistics import interval, percentile, student_t975, supports, upper_interval
from bench.records import Measurement, Metered, Visit

SLOW_PACE = 1.15
"""A visit is disturbed when the machine's pace was so many times slower than in the fastest tenth of the run's visits:
the single fastest one would mark the more visits the longer a run goes on."""


def summarise(visits: Sequence[Visit], *, batch_size: int, seed: int) -> Measurement:
    """Describe a case's latency from its visits (at least one), times in ms.

    Disturbed visits count only while fewer than two thirds of the visits are undisturbed; they are stored and their
    number is given either way.
    """
    disturbed = sum(bool(visit.disturbances) for visit in visits)
    used = counted(visits)
    samples = [np.asarray(visit.samples_ns, dtype=np.float64) / 1e6 for visit in used]
    p50 = percentile(samples, 0.5)
    low, high = interval(samples, seed=seed)
    count = sum(map(len, samples))
    upper = {q: percentile(samples, q) if supports(count, q) else None for q in (0.90, 0.95, 0.99)}
    p95, p99 = (upper_interval(samples, q, seed=seed, median=(low, high)) for q in (0.95, 0.99))
    sums = {field: total for field, meter in quantities.with_meters().items() if (total := sum_up(meter, used))}
    paces = [visit.health.pace_ms for visit in used if visit.health.pace_ms is not None]
    copies = [np.asarray(visit.copy_samples_ns, dtype=np.float64) / 1e6 for visit in used if visit.copy_samples_ns]
    return Measurement(
        p50_ms=_rounded(p50),
        p50_ms_low=_rounded(min(low, p50)),
        p50_ms_high=_rounded(max(high, p50)),
        p90_ms=_rounded_or_none(upper[0.90]),
        p95_ms=_rounded_or_none(upper[0.95]),
        p95_ms_low=_rounded(p95[0]) if p95 else None,
        p95_ms_high=_rounded(p95[1]) if p95 else None,
        p99_ms=_rounded_or_none(upper[0.99]),
        p99_ms_low=_rounded(p99[0]) if p99 else None,
        p99_ms_high=_rounded(p99[1]) if p99 else None,
        min_ms=_rounded(min(float(values.min()) for values in samples)),
        throughput_per_s=_rounded(1000 * batch_size / p50),
        load_ms=sums["load_ms"].value,
        first_inference_ms=sums["first_inference_ms"].value,
        peak_rss_bytes=int(sums["peak_rss_bytes"].value),
        visits=len(visits),
        samples=count,
        visit_p50_ms=tuple(_rounded(float(np.median(values))) for values in samples),
        disturbed_visits=disturbed,
        pace_ms=_rounded(float(np.median(paces))) if paces else None,
        meters={field: total for field, total in sums.items() if not hasattr(Measurement, field)},
        with_copies_p50_ms=_rounded(percentile(copies, 0.5)) if copies else None,
    )


def sum_up(meter: Meter, visits: Sequence[Visit]) -> Metered | None:
    """A meter's value over visits, with Student's interval of a median or mean; None where no visit has one."""
    values = [value for visit in visits if (value := meter.read(visit)) is not None]
    if not values:
        return None
    if meter.over in (max, min, sum):
        return Metered(value=float(meter.over(values)))  # as it was read, to the byte
    value = _rounded(float(meter.over(values)))
    if len(values) < 3:
        return Metered(value=value)
    half = student_t975(len(values) - 1) * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return Metered(value=value, low=_rounded(value - half), high=_rounded(value + half))


def counted(visits: Sequence[Visit]) -> list[Visit]:
    """The visits of a case that its percentiles are made of: the undisturbed ones, unless they are too few."""
    quiet = [visit for visit in visits if not visit.disturbances]
    return quiet if 3 * len(quiet) >= 2 * len(visits) else list(visits)


def paced(visits: Iterable[Visit]) -> list[Visit]:
    """All visits of a run, those marked that met the machine at a slow pace.

    The pace depends on the threads and on the runtime, so that each number of threads in each is a group by itself.
    """
    everything = list(visits)
    fastest = {group: pace_range(paces)[0] for group, paces in paces_of(everything).items()}

    def marked(visit: Visit) -> Visit:
        slower = (visit.health.pace_ms or 0.0) / fastest.get((visit.threads, visit.runtime), math.inf)
        if slower < SLOW_PACE:
            return visit
        return replace(visit, disturbances=(*visit.disturbances, f"the machine ran {slower:.1f} times slower"))

    return [marked(visit) for visit in everything]


def paces_of(visits: Iterable[Visit]) -> dict[tuple[int, str], list[float]]:
    """The machine's paces in ms, by what they depend on: the threads and the runtime."""
    paces: dict[tuple[int, str], list[float]] = defaultdict(list)
    for visit in visits:
        if visit.health.pace_ms:
            paces[visit.threads, visit.runtime].append(visit.health.pace_ms)
    return paces


def pace_range(paces: Sequence[float]) -> tuple[float, float]:
    """Where the fastest tenth ends and the slowest one begins; of up to ten, the fastest and the slowest."""
    return float(np.quantile(paces, 0.1, method="lower")), float(np.quantile(paces, 0.9, method="higher"))


def by_case(visits: Iterable[Visit]) -> dict[str, list[Visit]]:
    """The visits of a run by case, those at a slow pace marked."""
    visits_of: dict[str, list[Visit]] = defaultdict(list)
    for visit in paced(visits):
        visits_of[visit.case].append(visit)
    return visits_of


def width(visits: Sequence[Visit], *, seed: int) -> float:
    """The relative width of p50's 95 % interval, as `summarise` gives it; infinite for one visit, which has none."""
    used = counted(visits)
    if len(used) < 2:
        return math.inf
    samples = [np.asarray(visit.samples_ns, dtype=np.float64) for visit in used]
    low, high = interval(samples, seed=seed)
    return float((high - low) / percentile(samples, 0.5))


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")


def _rounded_or_none(value: float | None) -> float | None:
    return None if value is None else _rounded(value)
