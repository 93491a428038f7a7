"""Networks judged on the same images: against a worked example, SciPy, and what the definitions say."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq, minimize_scalar
from scipy.stats import binomtest

from bench.analysis import candidates, choice, precision, resampling
from bench.analysis.pairs import chance, mcnemar, packed, pairs, tango, unpacked
from bench.analysis.statistics import wilson
from bench.records import Accuracy, Case, Record, Run
from tests import runs


def judged(name: str, right: list[bool], p50_ms: float, images: str | None = "a folder", **more: Any) -> Record:
    """A made-up record of a network that is right about these images."""
    made = runs.record(Case(name=name, model="MobileNet", input_shape=(224, 224, 3), **more))
    m = made.measurement
    assert m
    factor = p50_ms / m.p50_ms
    m = replace(m, p50_ms=p50_ms, p50_ms_low=0.99 * p50_ms, p50_ms_high=1.01 * p50_ms,
                visit_p50_ms=tuple(factor * each for each in m.visit_p50_ms))  # fmt: skip
    n, count = len(right), sum(right)
    low, high = (round(100 * end, 4) for end in wilson(count, n))
    return replace(made, measurement=m, accuracy=Accuracy(
        origin="measured", top1=round(100 * count / n, 4), top1_low=low, top1_high=high, n=n, images=images,
        right=packed(right) if images else None,
    ))  # fmt: skip


def two(both: int, a: int, b: int, neither: int) -> tuple[list[bool], list[bool]]:
    """Two networks: images that both, one alone, the other alone and neither is right about."""
    return [True] * (both + a) + [False] * (b + neither), [True] * both + [False] * a + [True] * b + [False] * neither


def test_a_worked_example() -> None:
    """70 images are right by both, 15 by A alone, 5 by B alone, 10 by neither: A has 85 %, B 75 %.

    Of 20 images about which one alone is right, 5 or fewer fall to one side with 2 (1 + 20 + 190 + 1140 + 4845 + 15504)
    / 2**20 = 43400 / 1048576 = 0.04139.
    """
    assert mcnemar(15, 5) == pytest.approx(43400 / 1048576, rel=1e-12)
    a, b = two(70, 15, 5, 10)
    known = pairs([judged("A", a, 5.0), judged("B", b, 5.0)])
    assert known["A"]["B"].p == pytest.approx(0.04139, abs=1e-5)
    assert known["A"]["B"].apart == 8.0  # 14 and 6 of 20: p = 0.115; 15 and 5 are 10 points apart
    low, high = (100 * end for end in tango(15, 5, 100))
    assert (known["A"]["B"].low, known["A"]["B"].high) == pytest.approx((low, high))
    assert (known["B"]["A"].low, known["B"]["A"].high) == pytest.approx((-high, -low))
    assert 1 < low < 10 < high < 20


@given(st.integers(0, 400), st.integers(0, 400))
def test_the_test_is_scipys_exact_binomial_one(b: int, c: int) -> None:
    assert mcnemar(b, c) == pytest.approx(binomtest(b, b + c, 0.5).pvalue if b + c else 1.0, rel=1e-9)


@given(st.integers(1, 3000))
def test_chance_is_where_the_test_ends(n: int) -> None:
    most = chance(n)
    assert (n - most) % 2 == 0
    assert mcnemar((n - most) // 2, (n + most) // 2) >= 0.05
    if most < n:
        assert mcnemar((n - most) // 2 - 1, (n + most) // 2 + 1) < 0.05


def score(d: float, b: int, c: int, n: int) -> float:
    """Tango's statistic, with the likeliest share of `c` given d found by maximising the likelihood."""
    low, high = max(0.0, -d), (1 - d) / 2

    def against(q: float) -> float:
        shares, counts = (q + d, q, 1 - 2 * q - d), (b, c, n - b - c)
        return -float(sum(k * np.log(max(share, 1e-300)) for share, k in zip(shares, counts, strict=True)))

    q = minimize_scalar(against, bounds=(low, high), method="bounded", options={"xatol": 1e-12}).x
    return float((b - c - n * d) / np.sqrt(n * (2 * q + d * (1 - d))))


@pytest.mark.parametrize(("b", "c", "n"), [(12, 2, 50), (15, 5, 100), (40, 44, 360), (3, 1, 20), (900, 700, 10_000)])
def test_the_interval_ends_where_the_score_test_does(b: int, c: int, n: int) -> None:
    low, high = tango(b, c, n)
    seen = (b - c) / n
    assert low == pytest.approx(brentq(lambda d: score(d, b, c, n) - 1.959964, -0.95, seen - 1e-9), abs=1e-5)
    assert high == pytest.approx(brentq(lambda d: score(d, b, c, n) + 1.959964, seen + 1e-9, 0.95), abs=1e-5)


@pytest.mark.parametrize(("b", "c", "n"), [(0, 0, 10), (10, 0, 10), (0, 10, 10), (1, 0, 1), (0, 0, 1), (5, 5, 10)])
def test_extremes_have_intervals(b: int, c: int, n: int) -> None:
    low, high = tango(b, c, n)
    assert -1 <= low <= (b - c) / n <= high <= 1
    assert high - low > 0.1


def test_the_interval_holds_the_truth_in_95_of_100() -> None:
    rng = np.random.default_rng(4)
    held = []
    for both, a, b, n in ((0.7, 0.1, 0.05, 100), (0.5, 0.05, 0.05, 60), (0.9, 0.04, 0.01, 400)):
        counts = rng.multinomial(n, [both, a, b, 1 - both - a - b], 2000)
        ends = [tango(int(mine), int(theirs), n) for _, mine, theirs, _ in counts]
        held.append(np.mean([low <= a - b <= high for low, high in ends]))
    assert min(held) > 0.935
    assert max(held) < 0.97


@given(st.lists(st.booleans(), max_size=70))
def test_images_are_packed_and_unpacked(right: list[bool]) -> None:
    assert unpacked(packed(right), len(right)).tolist() == right


def a_run(*records: Record) -> Run:
    return runs.run(records)


def test_ties_come_from_pairs_where_there_are_any() -> None:
    """7 of 200 images apart: the intervals of the two accuracies overlap by far, and the pairs tell them apart."""
    a, b = two(120, 7, 0, 73)
    slow, fast = judged("slow", a, 9.0), judged("fast", b, 5.0)
    alone = [replace(each, accuracy=replace(each.accuracy, images=None, right=None)) for each in (slow, fast)]
    assert choice.pick(a_run(*alone), {"p50": 20.0}).winner.case == "fast"  # type: ignore[union-attr]
    chosen = choice.pick(a_run(slow, fast), {"p50": 20.0})
    assert chosen.winner
    assert chosen.winner.case == "slow"
    c, d = two(120, 12, 5, 63)  # 7 apart again, of 17: chance
    chosen = choice.pick(a_run(judged("slow", c, 9.0), judged("fast", d, 5.0)), {"p50": 20.0})
    assert chosen.winner
    assert chosen.winner.case == "fast"
    assert chosen.why_not
    assert chosen.why_not.same
    low, high = chosen.why_not.gain_interval or (0, 0)
    assert low < 0 < 3.5 < high
    others = [judged("slow", a, 9.0, images="one"), judged("fast", b, 5.0, images="another")]
    assert candidates.candidates(a_run(*others))[0].paired == {}


def test_the_winner_of_resamples_stands_on_the_same_images() -> None:
    """Where one network is right about all that the other is, and more, no resample turns them round."""
    a, b = two(120, 12, 0, 68)
    run = a_run(judged("slow", a, 9.0), judged("fast", b, 5.0))
    slow, fast = (np.array(each.accuracies) for each in resampling.draws(run))
    assert (slow + 1000 * 66.0 >= fast + 1000 * 60.0).all()
    assert np.std(slow) == pytest.approx(1000 * 100 * np.sqrt(0.66 * 0.34 / 200), rel=0.1)
    wins = {win.case: win.resamples for win in choice.pick(run, {"p50": 20.0}).wins}
    assert wins["slow"] > 0.9 * resampling.RESAMPLES
    alone = [replace(each, accuracy=replace(each.accuracy, images=None, right=None)) for each in run.records]
    apart = {win.case: win.resamples for win in choice.pick(a_run(*alone), {"p50": 20.0}).wins}
    assert apart["slow"] < 0.8 * resampling.RESAMPLES


def test_every_pair_is_the_other_ones_mirror() -> None:
    rng = np.random.default_rng(8)
    shares = {"a": 0.5, "b": 0.6, "c": 0.7, "d": 0.9}
    records = [judged(name, (rng.random(90) < share).tolist(), 5.0) for name, share in shares.items()]
    known = pairs(records)
    for a, b in itertools.permutations("abcd", 2):
        assert known[a][b].low == -known[b][a].high
        assert known[a][b].apart == known[b][a].apart
    assert all(len(of) == 3 for of in known.values())


def test_a_lower_precision_is_held_against_fp32_by_pairs() -> None:
    a, b = two(150, 9, 1, 40)
    full, reduced = judged("net", a, 9.0), judged("net int8", b, 5.0, precision="int8")
    (change,) = [each for each in precision.changes(a_run(full, reduced)) if each.accuracy is not None]
    low, high = (100 * end for end in tango(1, 9, 200))
    assert (change.accuracy, change.accuracy_low, change.accuracy_high) == pytest.approx((-4.0, low, high))
