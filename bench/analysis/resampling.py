"""How often a choice comes out the same: the winner of each resample of the visits and of the accuracies.

A model's p50 is drawn by resampling its visits. The draws are then stretched to its 95 % interval, which comes from
resampling visits first and samples within them, and holds what few visits cannot show (see `statistics`). Its other
measured times move along in their own intervals: a slow visit is slow in all of them. The accuracies of models that
were judged on the same images are drawn together, by resampling the images; one that was measured otherwise on n images
is drawn from the binomial distribution; a published one stays.

A draw is a whole number of thousandths, so that the page can hold it and count with the same ones
(`report/static/pick.js`). Values are moved by +, -, * and / alone, which every language rounds alike.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.analysis import pairs, quality, quantities
from bench.analysis.candidates import ROUNDING, Candidate, Interval
from bench.analysis.quality import TOP1, Quality
from bench.records import Measurement, Record, Run

RESAMPLES = 500
NONE = -1  # of `winners`: no model meets the limits
_FURTHEST = 2.0  # a draw lies at most twice as far out as the end of the interval
_NORMAL_975 = 1.959964

Floats = np.ndarray[Any, np.dtype[np.float64]]
Indices = np.ndarray[Any, np.dtype[np.int64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Draws:
    """RESAMPLES draws of one model."""

    times: tuple[int, ...]  # thousandths: 0 is the value, -1000 and 1000 are the ends of its 95 % interval
    accuracies: tuple[int, ...] = ()  # thousandths of a percentage point to add; () where the accuracy is published


def draws(run: Run, *, device: str | None = None) -> list[Draws]:
    """The draws of each of `candidates.candidates(run, device=device)`, the same every time."""
    metric = quality.of(run.records)
    together = _together(run.records) if metric is TOP1 else {}
    return [
        _draws(record, record.measurement, metric, together.get(record.case.name))
        for record in run.records
        if record.measurement is not None and device in (None, record.case.device)
    ]


def winners(
    measured: Sequence[Candidate],
    drawn: Sequence[Draws],
    limits: Mapping[str, float],
    *,
    quick: bool,
    like: int | None = None,
) -> Indices:
    """(RESAMPLES,) the index of the candidate that wins each resample by the rules of `choice.choose`, else NONE.

    With `quick`, it is the fastest within the limits; with `like`, of those as accurate as this candidate.
    """
    p50 = np.stack([_moved(c.p50_ms, (c.p50_ms_low, c.p50_ms_high), d) for c, d in zip(measured, drawn, strict=True)])
    accuracy, low, high = _accuracies(measured, drawn)
    apart = _apart(measured)
    within: Flags = np.stack([_within(c, d, limits) for c, d in zip(measured, drawn, strict=True)])
    if like is not None:
        same = _same(accuracy[like], low[like], accuracy, high, apart[like][:, None])
        within &= (accuracy >= accuracy[like]) | same
    columns = np.arange(RESAMPLES)
    chosen: Indices = np.where(within, p50, np.inf).argmin(axis=0)
    if not quick:
        known = within & ~np.isnan(accuracy)
        ranked = np.where(known, accuracy, -np.inf)
        best = np.where(ranked == ranked.max(axis=0), np.where(known, p50, np.inf), np.inf).argmin(axis=0)
        leading = known & _same(accuracy[best, columns], low[best, columns], accuracy, high, apart[best].T)
        chosen = np.where(known.any(axis=0), np.where(leading, p50, np.inf).argmin(axis=0), chosen)
    won: Indices = np.where(within.any(axis=0), chosen, NONE)
    return won


def on_front(measured: Sequence[Candidate], drawn: Sequence[Draws]) -> list[int]:
    """In how many resamples each candidate of known accuracy is on the Pareto front; 0 where it is not known."""
    p50 = np.stack([_moved(c.p50_ms, (c.p50_ms_low, c.p50_ms_high), d) for c, d in zip(measured, drawn, strict=True)])
    accuracy = _accuracies(measured, drawn)[0]
    counts = []
    for mine, time in zip(accuracy, p50, strict=True):
        at_least = (accuracy >= mine) & (p50 <= time)
        beaten = (at_least & ((accuracy > mine) | (p50 < time))).any(axis=0)
        counts.append(int((~beaten & ~np.isnan(mine)).sum()))
    return counts


def _draws(record: Record, measured: Measurement, metric: Quality, together: Floats | None) -> Draws:
    rng = np.random.default_rng(zlib.crc32(record.case.name.encode(errors="surrogatepass")))
    times = np.clip(_resampled(measured.visit_p50_ms, rng), -_FURTHEST, _FURTHEST)
    value, images = metric.value(record), record.accuracy.n
    accuracies: tuple[int, ...] = ()
    if value is not None and images and metric.interval(record):
        right = rng.binomial(images, min(1.0, value / 100), RESAMPLES) if together is None else together
        accuracies = tuple(round(1000 * (100 * float(count) / images - value)) for count in right)
    return Draws(times=tuple(round(1000 * float(time)) for time in times), accuracies=accuracies)


def _together(records: Sequence[Record]) -> dict[str, Floats]:
    """By the names of those whose images are known: (RESAMPLES,) how many images are right when these are resampled.

    All networks see the same resample of the same images. Images about which all of them say the same are alike, and
    only how many there are is drawn.
    """
    judged: dict[tuple[str, int], dict[str, Flags]] = defaultdict(dict)
    for record in records:
        accuracy = record.accuracy
        if accuracy.images and accuracy.right and accuracy.n:
            judged[accuracy.images, accuracy.n][record.case.name] = pairs.unpacked(accuracy.right, accuracy.n)
    found: dict[str, Floats] = {}
    for (images, n), of_each in judged.items():
        right = np.stack(list(of_each.values()))  # (networks, n)
        columns = np.ascontiguousarray(np.packbits(right, axis=0).T)
        _, first, counts = np.unique(columns.view(f"S{columns.shape[1]}"), return_index=True, return_counts=True)
        rng = np.random.default_rng(zlib.crc32(images.encode()))
        drawn = right[:, first].astype(np.float64) @ rng.multinomial(n, counts / n, RESAMPLES).T
        found |= dict(zip(of_each, drawn, strict=True))
    return found


def _resampled(visit_p50_ms: Sequence[float], rng: np.random.Generator) -> Floats:
    """(RESAMPLES,) medians of resampled visits, as shares of the way to the ends of their own 95 % interval.

    Where visits say nothing (one alone, or all the same), normal ones.
    """
    logs = np.log(np.asarray(visit_p50_ms))
    moved = np.median(logs[rng.integers(0, len(logs), (RESAMPLES, len(logs)))], axis=1) - np.median(logs)
    low, high = np.quantile(moved, [0.025, 0.975])
    if low == high:
        normal: Floats = rng.standard_normal(RESAMPLES) / _NORMAL_975
        return normal
    down = moved / -low if low < 0 else np.sign(moved)
    up = moved / high if high > 0 else np.sign(moved)
    shares: Floats = np.where(moved < 0, down, up)
    return shares


def _moved(value: float, interval: Interval, drawn: Draws) -> Floats:
    """(RESAMPLES,) a value moved within its interval, so that one with a positive lower end stays positive."""
    low, high = interval
    share = np.asarray(drawn.times) / 1000
    down = value / (1 - share * (value / low - 1)) if low > 0 else value + share * (value - low)
    moved: Floats = np.where(share < 0, down, value + share * (high - value))
    return moved


def _accuracies(measured: Sequence[Candidate], drawn: Sequence[Draws]) -> tuple[Floats, Floats, Floats]:
    """(candidates, RESAMPLES) the accuracies and the ends of their intervals; NaN where none is known."""
    shifts = np.stack([np.asarray(d.accuracies or (0,) * RESAMPLES) / 1000 for d in drawn])

    def of(values: Sequence[float | None]) -> Floats:
        known: Floats = np.array([np.nan if value is None else value for value in values], dtype=np.float64)[:, None]
        moved: Floats = known + shifts
        return moved

    return (
        of([c.accuracy for c in measured]),
        of([c.accuracy_low for c in measured]),
        of([c.accuracy_high for c in measured]),
    )


def _apart(measured: Sequence[Candidate]) -> Floats:
    """(candidates, candidates) the largest difference that is chance, of those with the same images; else NaN."""
    return np.array([[a.paired[b.case].apart if b.case in a.paired else np.nan for b in measured] for a in measured])


def _same(higher: Floats, its_low: Floats, lower: Floats, its_high: Floats, apart: Floats) -> Flags:
    """Whether accuracies cannot be told apart (see `candidates.same_accuracy`); the first are the higher ones."""
    gap, down, up = higher - lower, higher - its_low, its_high - lower
    same: Flags = np.where(np.isnan(apart), gap * gap <= down * down + up * up, abs(gap) <= apart + ROUNDING)
    return same


def _within(candidate: Candidate, drawn: Draws, limits: Mapping[str, float]) -> Flags:
    """(RESAMPLES,) whether a candidate meets the limits."""
    met: Flags = np.ones(RESAMPLES, dtype=np.bool_)
    for name, allowed in limits.items():
        value, one = candidate.limited[name], quantities.QUANTITIES[name]
        if value is None:
            return np.zeros(RESAMPLES, dtype=np.bool_)
        interval = candidate.intervals.get(name)
        if one.metric is not None:
            values = value + np.asarray(drawn.accuracies or (0,) * RESAMPLES) / 1000
        else:
            values = _moved(value, interval, drawn) if interval else np.full(RESAMPLES, value)
        met &= values >= allowed if one.at_least else values <= allowed
    return met
