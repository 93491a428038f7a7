"""What made-up pairs say of two files."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from bench.trust import trial
from bench.trust.trial import Pair


def pairs(rng: np.random.Generator, count: int, *, ratio: float = 1.0, spread: float = 0.01, torn: float = 0.0,
          drift: float = 0.0) -> list[Pair]:  # fmt: skip
    """Pairs whose visits spread by `spread`, some of them torn apart by a shift of the speed, on a drifting machine."""
    found = []
    for number in range(count):
        speeds = np.exp(rng.normal(0, spread, 2) + drift * np.array([2 * number, 2 * number + 1]))
        if rng.random() < torn:
            speeds[rng.integers(2)] *= 1.13
        a_first = number % 2 == 0
        first, second = speeds if a_first else speeds[::-1]
        found.append(Pair(a_p50_ms=10 * first, b_p50_ms=10 * ratio * second, a_first=a_first))
    return found


def verdict_at_first_stop(made: list[Pair], *, margin: float = 0.03, correct: bool = True) -> str:
    """What a trial ends with that may stop at any of the looks."""
    judgement = None
    for look, share in enumerate(trial.LOOKS):
        judgement = trial.judged(
            made[: max(1, round(share * len(made)))], margin=margin, look=look if correct else len(trial.LOOKS) - 1
        )
        if judgement.verdict != "inconclusive":
            break
    assert judgement is not None
    return judgement.verdict


NOISES = [{"spread": 0.004}, {"spread": 0.03}, {"spread": 0.006, "torn": 0.25}, {"spread": 0.01, "drift": 0.002}]


@pytest.mark.parametrize("noise", NOISES)
def test_identical_files_are_hardly_ever_called_slower_or_faster(noise: dict[str, float]) -> None:
    rng = np.random.default_rng(0)
    found = Counter(verdict_at_first_stop(pairs(rng, 40, **noise), margin=0.0) for _ in range(600))
    assert found["slower"] + found["faster"] <= 12  # 1 % of 600, and two standard errors


def test_looking_as_often_without_paying_for_it_would_cry_wolf_more_often() -> None:
    def alarms(correct: bool) -> int:
        rng = np.random.default_rng(1)
        ends = [verdict_at_first_stop(pairs(rng, 48), margin=0.0, correct=correct) for _ in range(800)]
        return sum(end != "inconclusive" for end in ends)

    paid, unpaid = alarms(correct=True), alarms(correct=False)
    assert unpaid > 1.8 * max(paid, 1)
    assert paid <= 0.01 * 800 + 6


def test_the_intervals_of_all_looks_together_hold_the_truth() -> None:
    rng = np.random.default_rng(2)
    held = 0
    for _ in range(400):
        made = pairs(rng, 48, ratio=1.02, torn=0.1)
        looks = [trial.judged(made[: round(s * 48)], margin=0.03, look=i) for i, s in enumerate(trial.LOOKS)]
        held += all(j.ratio_low is None or j.ratio_low <= 1.02 <= (j.ratio_high or 0) for j in looks)
    assert held / 400 >= 0.93


@pytest.mark.parametrize(("ratio", "expected"), [(1.0, "equivalent"), (1.05, "slower"), (0.95, "faster")])
def test_true_changes_are_seen_in_25_pairs(ratio: float, expected: str) -> None:
    rng = np.random.default_rng(3)
    ends = Counter(verdict_at_first_stop(pairs(rng, 25, ratio=ratio, spread=0.015)) for _ in range(100))
    assert ends[expected] >= 90


def test_a_change_of_the_detectable_size_is_seen_four_times_in_five() -> None:
    rng = np.random.default_rng(4)
    last = len(trial.LOOKS) - 1
    blind = [trial.judged(pairs(rng, 25), margin=0.001, look=last).detectable or math.inf for _ in range(40)]
    size = 1 + float(np.median(blind))
    seen = [trial.judged(pairs(rng, 25, ratio=size), margin=0.001, look=last).verdict for _ in range(200)]
    assert 0.68 <= seen.count("slower") / 200 <= 0.95


def test_pairs_torn_by_a_change_of_pace_do_not_count() -> None:
    last = len(trial.LOOKS) - 1
    whole = [replace(pair, a_pace_ms=0.24, b_pace_ms=0.25) for pair in pairs(np.random.default_rng(6), 12)]
    torn = [replace(pair, b_p50_ms=2 * pair.a_p50_ms, b_pace_ms=0.38) for pair in whole[:4]]
    assert [pair.torn for pair in (whole[0], torn[0], replace(torn[0], b_pace_ms=None))] == [False, True, False]
    found = trial.judged([*whole, *torn], margin=0.03, look=last)
    assert found == trial.judged(whole, margin=0.03, look=last)
    assert found.pairs == 12
    assert trial.judged(torn, margin=0.03, look=last).pairs == 4


def test_too_few_pairs_conclude_nothing_however_far_apart() -> None:
    last = len(trial.LOOKS) - 1
    needed = trial.pairs_needed()
    rng = np.random.default_rng(5)
    few = trial.judged(pairs(rng, needed - 1, ratio=2.0), margin=0.03, look=last)
    assert few.verdict == "inconclusive"
    assert trial.judged(pairs(rng, needed, ratio=2.0), margin=0.03, look=last).verdict == "slower"
    none = trial.judged(pairs(rng, 3, ratio=2.0), margin=0.03, look=last)
    assert (none.ratio_low, none.ratio_high, none.detectable) == (None, None, None)
    assert none.width == math.inf


def level(count: int, ratio: float, step: float = 0.001) -> list[Pair]:
    """Pairs whose log ratios are evenly spread around that of `ratio`, `step` apart."""
    logs = [math.log(ratio) + step * (number - (count - 1) / 2) for number in range(count)]
    return [Pair(a_p50_ms=10.0, b_p50_ms=10 * math.exp(log), a_first=True) for log in logs]


def test_the_looks_spend_the_allowed_error_and_no_more() -> None:
    parts = [trial.spent(look) for look in range(len(trial.LOOKS))]
    assert parts == [1 / 512, 7 / 512, 7 / 64, 7 / 8]
    assert sum(parts) == 1
    assert trial.LOOKS[-1] == 1


def test_the_fewest_pairs_are_those_whose_p_value_can_be_small_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    assert trial.pairs_needed() == 8  # 2 of 256 are below 0.875 %, 2 of 128 are not
    monkeypatch.setattr(trial, "LOOKS", (0.9, 1.0))
    assert trial.pairs_needed() == 10  # 2 of 1024 are below 0.271 %, 2 of 512 are not


def test_a_judgement_by_hand() -> None:
    found = trial.judged(level(9, 1.1), margin=0.03, look=3)
    assert found.ratio == pytest.approx(1.1, rel=1e-12)
    # Of the 512 patterns of nine signs, 10 have a rank sum of at most 5, 14 of at most 6; 2.1875 % of them are 11.2.
    walsh = sorted((i + j) / 2 for i in range(-4, 5) for j in range(i, 5))
    assert found.ratio_low == pytest.approx(1.1 * math.exp(0.001 * walsh[5]), rel=1e-12)
    assert found.ratio_high == pytest.approx(1.1 * math.exp(-0.001 * walsh[5]), rel=1e-12)
    assert found.p == pytest.approx(2 / 512)
    assert (found.verdict, found.pairs) == ("slower", 9)
    assert found.width == pytest.approx(found.ratio_high - found.ratio_low, rel=1e-12)
    error = 0.001 * -walsh[5] / norm.ppf(1 - 0.05 * 0.875 / 2)
    seen = math.exp(error * (norm.ppf(1 - 0.01 * 0.875 / 2) + norm.ppf(0.8))) - 1
    assert found.detectable == pytest.approx(seen, rel=1e-6)


def test_an_early_look_asks_for_more_than_the_last() -> None:
    ten = level(10, 1.1)  # all of one sign: p is 2 of 1024, above 1 % of the third look's share
    third, last = (trial.judged(ten, margin=0.03, look=look) for look in (2, 3))
    assert third.p == last.p == pytest.approx(2 / 1024)
    assert (third.verdict, last.verdict) == ("inconclusive", "slower")
    assert third.ratio_low is not None
    assert last.ratio_low is not None
    assert 1.03 < third.ratio_low < last.ratio_low
    assert trial.judged(ten, margin=0.03, look=0).ratio_low is None
    assert trial.judged(ten, margin=0.03, look=0).verdict == "inconclusive"


def test_the_margin_decides_between_slower_and_equivalent() -> None:
    small = level(12, 1.02)
    assert trial.judged(small, margin=0.01, look=3).verdict == "slower"
    assert trial.judged(small, margin=0.05, look=3).verdict == "equivalent"
    assert trial.judged(level(12, 1 / 1.02), margin=0.01, look=3).verdict == "faster"


@pytest.mark.parametrize(
    ("a_pace_ms", "b_pace_ms", "torn"),
    [(1.0, 1.15, True), (1.15, 1.0, True), (1.0, 1.149, False), (1.149, 1.0, False), (2.0, 1.0, True),
     (None, 1.0, False), (1.0, None, False), (0.0, 1.0, False), (1.0, 0.0, False)],
)  # fmt: skip
def test_a_pair_is_torn_whichever_side_met_the_slower_pace(
    a_pace_ms: float | None, b_pace_ms: float | None, torn: bool
) -> None:
    pair = Pair(a_p50_ms=1.0, b_p50_ms=1.0, a_first=True, a_pace_ms=a_pace_ms, b_pace_ms=b_pace_ms)
    assert pair.torn is torn


def test_leaving_torn_pairs_out_favours_neither_file() -> None:
    whole = level(12, 1.0)
    slow_a = [Pair(a_p50_ms=20.0, b_p50_ms=10.0, a_first=True, a_pace_ms=0.5, b_pace_ms=0.25)] * 4
    slow_b = [Pair(a_p50_ms=10.0, b_p50_ms=20.0, a_first=True, a_pace_ms=0.25, b_pace_ms=0.5)] * 4
    for torn in (slow_a, slow_b):
        assert trial.judged([*whole, *torn], margin=0.03, look=3) == trial.judged(whole, margin=0.03, look=3)
