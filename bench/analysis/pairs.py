"""Networks judged on the same images, compared image by image.

Two networks mostly are right and wrong about the same images, and what tells them apart are the images about which one
alone is right. Whether these lie evenly is McNemar's test (Psychometrika 12, 1947, p. 153), here exact: by chance, each
of them falls to either side like a fair coin. The interval of the difference of the two accuracies is Tango's, from the
score test that allows for the pairs (Statistics in Medicine 17, 1998, p. 891).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from bench.records import Record

LEVEL = 0.05
_Z = 1.959963985  # two-sided 95 %
_STEPS = 60  # of halving an interval no wider than 1: to the last digit


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """A network against another one, on the same images; percentage points of top-1."""

    apart: float  # the largest difference that so many images, about which one alone is right, may show by chance
    low: float  # 95 % interval of this one's accuracy over the other's
    high: float
    p: float  # of McNemar's exact test


def packed(right: Sequence[bool]) -> str:
    """Whether each image is right, four to a hexadecimal digit; the last digit is filled up with zeros.

    >>> packed([True, False, False, True, True])
    '98'
    """
    digits = -(-len(right) // 4)
    bits = "".join("1" if each else "0" for each in right).ljust(4 * digits, "0")
    return f"{int(bits, 2):0{digits}x}" if bits else ""


def unpacked(text: str, n: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """What `packed` was given, (n,).

    >>> unpacked("98", 5).tolist()
    [True, False, False, True, True]
    """
    whole = bytes.fromhex(text + "0" * (len(text) % 2))
    return np.unpackbits(np.frombuffer(whole, np.uint8), count=n).astype(np.bool_)


def mcnemar(mine: int, theirs: int) -> float:
    """The exact two-sided p-value: of so many images about which one network alone is right, each like a fair coin.

    >>> round(mcnemar(1, 9), 6), mcnemar(3, 3), mcnemar(0, 0)
    (0.021484, 1.0, 1.0)
    """
    n, least = mine + theirs, min(mine, theirs)
    return min(1.0, 2 * float(np.exp(_log_terms(n)[: least + 1]).sum())) if n else 1.0


@lru_cache(maxsize=4096)
def chance(discordant: int) -> int:
    """The largest difference of the two counts that McNemar's exact test at 5 % takes for chance.

    >>> chance(10), chance(5)
    (6, 5)
    """
    if discordant == 0:
        return 0
    tails = 2 * np.cumsum(np.exp(_log_terms(discordant)[: discordant // 2 + 1]))
    least = int(np.searchsorted(tails, LEVEL, side="left"))  # the fewest on one side that are no discovery
    return discordant - 2 * min(least, discordant // 2)


def tango(mine: int, theirs: int, n: int) -> tuple[float, float]:
    """The 95 % interval of the difference of two proportions on the same n images, by Tango's score method.

    Args:
        mine: images about which the first network alone is right.
        theirs: those about which the second alone is.
        n: images in all.

    The ends are the differences d at which (mine - theirs - n d) / sqrt(n (2 q + d (1 - d))) is 1.96 or -1.96. There, q
    is the most likely share of `theirs` given d, the larger root of
    2 n q^2 + ((2 n - mine + theirs) d - mine - theirs) q - theirs d (1 - d) = 0.

    >>> tuple(round(end, 4) for end in tango(12, 2, 50))
    (0.0611, 0.3447)
    """
    if n == 0:
        return -1.0, 1.0

    def score(d: float) -> float:
        a, b = 2 * n, (2 * n - mine + theirs) * d - mine - theirs
        c = -theirs * d * (1 - d)
        q = (math.sqrt(max(0.0, b * b - 4 * a * c)) - b) / (2 * a)
        variance = n * (2 * q + d * (1 - d))
        over = mine - theirs - n * d
        if variance <= 0:
            return math.copysign(math.inf, over) if over else 0.0
        return over / math.sqrt(variance)

    def end(target: float, low: float, high: float) -> float:
        for _ in range(_STEPS):  # the score falls as d grows
            middle = (low + high) / 2
            low, high = (middle, high) if score(middle) > target else (low, middle)
        return (low + high) / 2

    seen = (mine - theirs) / n
    return end(_Z, -1.0, seen), end(-_Z, seen, 1.0)


def pairs(records: Sequence[Record]) -> dict[str, dict[str, Pair]]:
    """For each record, by its case's name, its pairs with the others that were judged on the same images."""
    found: dict[str, dict[str, Pair]] = {record.case.name: {} for record in records}
    judged = [(r.case.name, r.accuracy.images, r.accuracy.right, r.accuracy.n) for r in records]
    bits = {name: int(right, 16) for name, images, right, n in judged if images and right and n}
    known = [(name, images, n or 0) for name, images, _, n in judged if name in bits]
    for i, (a, images, n) in enumerate(known):
        for b, others, _ in known[:i]:
            if images == others:
                mine, theirs = (bits[a] & ~bits[b]).bit_count(), (bits[b] & ~bits[a]).bit_count()
                apart, p = 100 * chance(mine + theirs) / n, mcnemar(mine, theirs)
                low, high = (100 * end for end in tango(mine, theirs, n))
                found[a][b] = Pair(apart=apart, low=low, high=high, p=p)
                found[b][a] = Pair(apart=apart, low=-high, high=-low, p=p)
    return found


def _log_terms(n: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The logarithms of the binomial probabilities of 0 to n of n, at one half."""
    k = np.arange(1, n + 1)
    return np.concatenate([[0.0], np.cumsum(np.log((n + 1 - k) / k))]) - n * math.log(2)
