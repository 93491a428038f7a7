"""Who beats whom: the Pareto front of accuracy against anything that it is paid with."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from bench.analysis import quality
from bench.records import Record


def dominators(record: Record, records: Iterable[Record], x: Callable[[Record], float | None]) -> list[Record]:
    """The records that are at least as accurate and as low in x, and better in one of the two; by rising x."""
    everything = list(records)
    accuracy = quality.of(everything).value
    mine = accuracy(record), x(record)
    better: list[tuple[float, Record]] = []
    for other in everything:
        theirs = accuracy(other), x(other)
        if None in mine or None in theirs or theirs == mine:
            continue
        if theirs[0] >= mine[0] and theirs[1] <= mine[1]:  # type: ignore[operator]
            better.append((theirs[1], other))  # type: ignore[arg-type]
    return [other for _, other in sorted(better, key=lambda pair: pair[0])]


def pareto(records: Iterable[Record], x: Callable[[Record], float | None]) -> list[Record]:
    """The records that no other one beats in both accuracy (higher) and x (lower), by rising x."""
    everything = list(records)
    accuracy = quality.of(everything).value
    known = [(a, b, r) for r in everything if (a := x(r)) is not None and (b := accuracy(r)) is not None]
    known.sort(key=lambda point: (point[0], -point[1]))
    front: list[Record] = []
    best = float("-inf")
    for _, value, record in known:
        if value > best:
            front.append(record)
            best = value
    return front
