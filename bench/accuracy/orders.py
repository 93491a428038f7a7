"""Orders of classes: which output each class stands for under each usual one, and which one the predictions speak for.

A folder does not say in which order the classes stood when the model was trained. Tools differ: by text ("10" before
"2"), by number, case-blind, counted from 1.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import comb
from typing import Any

_NUMBER = re.compile(r"[0-9]{1,9}")

NAMES = {
    "number": "class numbers",
    "number-1": "class numbers from 1",
    "number+1": "class numbers, after a class of output 0",
    "text": "class names in sorted order",
    "natural": "class names in natural order (2 before 10)",
    "casefold": "class names in sorted order, upper and lower case alike",
    "natural-casefold": "class names in natural order, upper and lower case alike",
}
NEEDS = {
    True: "it needs class numbers, and an output for each",
    False: "it needs as many classes as outputs, or class numbers",
}
_MEANS = 0.9  # from this share of right answers on an order is near perfect
_CHANCE = 0.005  # an order is no better unless chance gives such a difference less often than this


def is_number(word: str) -> bool:
    """Whether a class is called by a number that can be an output's.

    >>> is_number("007"), is_number("3.0"), is_number("-1"), is_number("٣"), is_number("4006381333931")
    (True, False, False, False, False)
    """
    return _NUMBER.fullmatch(word) is not None


def _natural(word: str) -> tuple[Any, ...]:
    """Where a word stands when its digits count as numbers; texts at even places, numbers at odd ones."""
    pieces = re.split(r"([0-9]+)", word)
    return tuple((len(p.lstrip("0")), p.lstrip("0")) if i % 2 else p for i, p in enumerate(pieces)), word


_SORTED: dict[str, Callable[[str], Any]] = {
    "text": lambda word: word,
    "natural": _natural,
    "casefold": lambda word: (word.casefold(), word),
    "natural-casefold": lambda word: (_natural(word.casefold()), word),
}
_SHIFTED = {"number": 0, "number-1": -1, "number+1": 1}


def places(words: Sequence[str], outputs: int, order: str) -> dict[str, int] | None:
    """The output of each class under an order; None when it has none there.

    Class numbers in a sorted order are ranked among all numbers there can be, 0 to outputs - 1 or 1 to outputs, so that
    a class without images shifts no other.

    >>> places(["0", "2", "10"], 12, "text")
    {'0': 0, '2': 4, '10': 2}
    >>> places(["a2", "a10"], 2, "natural"), places(["a2", "a10"], 3, "natural")
    ({'a2': 0, 'a10': 1}, None)
    """
    numbers = all(map(is_number, words))
    if order in _SHIFTED:
        place_of = {word: int(word) + _SHIFTED[order] for word in words} if numbers else {}
        return place_of if place_of and min(place_of.values()) >= 0 and max(place_of.values()) < outputs else None
    everything = list(words)
    if len(words) != outputs:
        first = int(any(word == str(outputs) for word in words))
        everything = [str(number) for number in range(first, first + outputs)]
        if not set(words) <= set(everything):
            return None
    ranks = {word: rank for rank, word in enumerate(sorted(everything, key=_SORTED[order]))}
    return {word: ranks[word] for word in words}


@dataclass(frozen=True, kw_only=True, slots=True)
class OtherOrder:
    """An order of the classes that the predictions speak for, and not the one in force."""

    order: str | None  # the value for --class-order; None: none of the usual ones
    top1: float  # percent, of the same images under it
    says: str  # what it is and what to do, for people


def better(
    words: Sequence[str], answers: Sequence[int], force: Mapping[str, int], others: Mapping[str, Mapping[str, int]]
) -> OtherOrder | None:
    """The order under which the predictions are near perfect, or clearly better than under the one in force; or None.

    Args:
        words: the class of each image, as its folder or label calls it.
        answers: the model's first output for each.
        force: the output of each class.
        others: the output of each class under other orders, by name.
    """
    counted = Counter(zip(words, answers, strict=True))
    shares = {name: _share(counted, other) for name, other in others.items() if _beats(counted, force, other)}
    if shares:
        name = max(shares, key=lambda each: shares[each])
        return _said(name, shares[name], _share(counted, force), f"{NAMES[name]} would", f"--class-order {name}")
    fitted = _fitted(counted)
    if fitted and _share(counted, fitted) >= 0.8 and _share(counted, force) <= 0.5:
        says = "none of the usual orders, but another would"
        return _said(None, _share(counted, fitted), _share(counted, force), says, "--classes FILE")
    return None


def _said(order: str | None, share: float, now: float, says: str, option: str) -> OtherOrder:
    names = ", the names in the order of the outputs" if order is None else ""
    return OtherOrder(
        order=order,
        top1=round(100 * share, 4),
        says=f"the classes seem to stand in another order: {says} make top-1 {100 * share:.1f} % instead of "
        f"{100 * now:.1f} %; give {option}{names}",
    )


_Counted = Mapping[tuple[str, int], int]
"""How many images of a class got an answer."""


def _share(counted: _Counted, outputs: Mapping[str, int]) -> float:
    """The share of right answers."""
    right = sum(count for (word, answer), count in counted.items() if outputs[word] == answer)
    return right / max(1, sum(counted.values()))


def _beats(counted: _Counted, force: Mapping[str, int], other: Mapping[str, int]) -> bool:
    """Whether an order is better than the one in force, by the images that are right under one of them alone.

    In more classes than it is worse, and in two at least: a model that always gives the same answer speaks for none.
    """
    gained: Counter[str] = Counter()
    for (word, answer), count in counted.items():
        gained[word] += count * ((other[word] == answer) - (force[word] == answer))
    up, down = (sum(sign * gain > 0 for gain in gained.values()) for sign in (1, -1))
    if up < 2 or up <= down:
        return False
    apart = {word for word in gained if other[word] != force[word]}
    won = sum(count for (word, answer), count in counted.items() if word in apart and other[word] == answer)
    lost = sum(count for (word, answer), count in counted.items() if word in apart and force[word] == answer)
    near_perfect = _share(counted, other) >= _MEANS and won - lost >= 3
    return near_perfect or _sign_test(won, lost) < _CHANCE


def _sign_test(won: int, lost: int) -> float:
    """How often chance alone wins as often or more, of so many.

    >>> _sign_test(5, 0), _sign_test(1, 1)
    (0.03125, 0.75)
    """
    n = won + lost
    if n > 1000:  # far from chance or not: three standard deviations tell
        return 0.0 if won - n / 2 > 1.5 * n**0.5 else 1.0
    return float(sum(comb(n, k) for k in range(won, n + 1)) / 2**n)


def _fitted(counted: _Counted) -> dict[str, int] | None:
    """Each class at its commonest answer, when these differ; None with fewer than three classes of three images."""
    by_word: dict[str, Counter[int]] = defaultdict(Counter)
    for (word, answer), count in counted.items():
        by_word[word][answer] += count
    if len(by_word) < 3 or sum(counted.values()) < 3 * len(by_word):
        return None
    place_of = {word: of.most_common(1)[0][0] for word, of in by_word.items()}
    return place_of if len(set(place_of.values())) == len(place_of) else None
