"""What a measured load says, in words, rows and money."""

from __future__ import annotations

import math
from collections.abc import Iterator

from bench.records import Load, LoadDrift, LoadSetup, LoadStep, Record
from bench.units import duration, latency, quantity, significant

STEP_HEADINGS = ("rate", "requests", "p50", "p99 [95 % interval]", "beyond the limit", "busy", "late, p99", "")
_HOURS_S = 7200.0  # from here on a time is told in hours
SETUP_HEADINGS = ("instances x threads", "batch", "may hold", "all busy", "")


def cost_of_million(rate_per_s: float, price_per_hour: float) -> float:
    """What a million requests cost on a machine that is kept as busy as it holds.

    >>> round(cost_of_million(200, 0.34), 3)
    0.472
    """
    return price_per_hour / 3600 / rate_per_s * 1e6


def in_words(record: Record, price_per_hour: float | None = None) -> Iterator[str]:
    """The answer and what it rests on, line by line; nothing where no load was put on it."""
    held = record.load
    if held is None:
        return
    yield f"{record.case.name}: {answer(held)}"
    if held.rate_per_s == 0:
        return
    yield f"with     {setup_in_words(held)}, {held.arrivals}"
    if held.p50_ms and held.p99_ms:
        p99 = latency(held.p99_ms, held.p99_ms_low, held.p99_ms_high)
        busy = f", instances busy {100 * held.utilisation:.0f} % of the time" if held.utilisation is not None else ""
        yield f"there    p50 {latency(held.p50_ms)}, p99 {p99}{busy}"
    if held.unloaded_p99_ms:
        yield f"alone    p99 {latency(held.unloaded_p99_ms)} of a request without any load"
    if price_per_hour is not None:
        rates = (held.rate_per_s, held.rate_per_s_high, held.rate_per_s_low)
        costs = [cost_of_million(rate, price_per_hour) if rate > 0 else math.inf for rate in rates]
        what = "images" if held.verdict == "offline" else "inferences"
        yield f"cost     {significant(costs[0])} [{significant(costs[1])}, {_end(costs[2])}] for a million {what} at " \
              f"{price_per_hour:g} an hour"  # fmt: skip
    if held.drift:
        yield f"lasting  {drift_in_words(held.drift)}"
    took = f"took     {duration(held.seconds)}"
    if held.steps:
        took += f", {held.requests:,} requests in {len(held.steps)} steps"
    if held.loadgen_s:
        needed = duration(held.loadgen_s) if held.loadgen_s < _HOURS_S else f"{held.loadgen_s / 3600:.1f} h"
        took += f"; MLPerf's LoadGen takes {needed} for each rate that it tries"
    yield took


def answer(held: Load) -> str:
    """The answer in one line."""
    limit = "" if held.p99_limit_ms is None else f" within p99 {latency(held.p99_limit_ms)}"
    if held.rate_per_s == 0:
        alone = held.unloaded_p99_ms or 0.0
        if held.steps:
            why = "more than 1 % of the requests took longer at every rate"
            return f"nothing{limit}: {why}; alone p99 is {latency(alone)}; give a longer --p99, or see `bench doctor`"
        advice = f"give --p99 {math.ceil(2 * alone)}ms or more, or a faster model"
        return f"nothing{limit}: a single request without any load has a p99 of {latency(alone)}; {advice}"
    rate = quantity(held.rate_per_s, "per_s", (held.rate_per_s_low, held.rate_per_s_high))
    if held.verdict == "offline":
        return f"{rate} images, all instances busy"
    if held.asked_per_s and held.streams and held.fps:
        asked = f"{held.streams} {'stream' if held.streams == 1 else 'streams'} of {held.fps:g} frames/s"
        remedy = "; give a longer --budget" if held.verdict == "cannot say" else ""
        return f"{asked}: {held.verdict}{limit}{remedy}; it holds {rate}, where {held.asked_per_s:g} /s are asked"
    if held.fps:
        rates = (held.rate_per_s, held.rate_per_s_low, held.rate_per_s_high)
        streams = [math.floor(value / held.fps) for value in rates]
        return f"{streams[0]} [{streams[1]}, {streams[2]}] streams of {held.fps:g} frames/s{limit}: {rate}"
    return f"{rate} requests{limit}"


def drift_in_words(drift: LoadDrift) -> str:
    """What became of a load that was kept up."""
    low, high = 100 * drift.change_low, 100 * drift.change_high
    words = f"{drift.verdict}: after {drift.minutes:.3g} minutes at {quantity(drift.rate_per_s, 'per_s')} service " \
            f"times changed by {100 * drift.change:+.1f} % [{low:+.1f}, {high:+.1f}]"  # fmt: skip
    if drift.slower_from_s is not None:
        words += f", slower from {duration(drift.slower_from_s)} on"
    if drift.p99_ms_begin is not None and drift.p99_ms_end is not None:
        words += f"; p99 {latency(drift.p99_ms_begin)} at the begin, {latency(drift.p99_ms_end)} at the end"
    change = drift.memory_change_bytes
    words += f"; memory {'+' if change >= 0 else '-'}{quantity(abs(change), 'bytes')}"
    if drift.verdict == "slower":
        words += ". See the clocks and the temperature, `bench doctor`"
    return words


def setup_in_words(held: Load | LoadSetup) -> str:
    """E.g. "2 instances of 1 thread, batches up to 4"."""
    instances = f"{held.instances} {'instance' if held.instances == 1 else 'instances'}"
    words = f"{instances} of {held.threads} {'thread' if held.threads == 1 else 'threads'}"
    if held.batch > 1:
        words += f", batches up to {held.batch}"
        if isinstance(held, Load):
            words += f" (waiting at most {latency(held.longest_wait_ms)})" if held.longest_wait_ms else " (no waiting)"
    return words


def step_row(step: LoadStep) -> tuple[str, ...]:
    """A row of STEP_HEADINGS."""
    p99 = "no end" if step.p99_ms is None else latency(step.p99_ms, step.p99_ms_low, step.p99_ms_high)
    notes = [
        "" if step.agrees else "not as its service times explain",
        f"{step.restarts} restarted" if step.restarts else "",
        f"{step.lost} not served" if step.lost else "",
    ]
    return (
        quantity(step.rate_per_s, "per_s"), f"{step.requests:,}",
        "no end" if step.p50_ms is None else latency(step.p50_ms), p99, f"{100 * step.beyond:.2f} %",
        f"{100 * step.utilisation:.0f} %", latency(step.lateness_p99_ms), ", ".join(filter(None, notes)),
    )  # fmt: skip


def setup_row(setup: LoadSetup) -> tuple[str, ...]:
    """A row of SETUP_HEADINGS."""
    return (
        f"{setup.instances} x {setup.threads}", str(setup.batch),
        "" if setup.rate_per_s is None else f"about {quantity(setup.rate_per_s, 'per_s')}",
        "" if setup.offline_per_s is None else f"{quantity(setup.offline_per_s, 'per_s')} images", setup.refused or "",
    )  # fmt: skip


def _end(value: float) -> str:
    return significant(value) if math.isfinite(value) else "no end"
