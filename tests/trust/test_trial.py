"""What made-up pairs say of two files."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from statistics import stdev

import numpy as np
import pytest
from scipy.special import digamma, polygamma
from scipy.stats import norm, t

from bench.trust import spread, trial
from bench.trust.trial import Judgement, Pair
from tests.benchmarks import gate_simulation

ALARM = 0.01


def pairs(rng: np.random.Generator, count: int, *, ratio: float = 1.0, spread: float = 0.01, torn: float = 0.0,
          order: float = 0.0) -> list[Pair]:  # fmt: skip
    """Pairs whose ratios differ by `spread`, some of them torn; the file that comes first is slower by `order`."""
    found = []
    for number in range(count):
        a_first = number % 2 == 0
        shift = rng.normal(0, spread) + (-order if a_first else order)
        if rng.random() < torn:
            shift += rng.choice([-0.12, 0.12])
        found.append(Pair(a_p50_ms=10.0, b_p50_ms=10.0, a_first=a_first, ratio=ratio * math.exp(shift)))
    return found


def ends(made: list[Pair], *, margin: float = 0.03, alarm: float = ALARM, paid: bool = True) -> Judgement:
    """What a trial ends with that may stop at any of the looks; the last one spends what is left."""
    spent, judgement = 0.0, None
    for count, share in trial.LOOKS.items():
        if count > len(made):
            break
        judgement = trial.judged(made[:count], margin=margin, alarm=alarm, share=share if paid else 1.0)
        spent += share
        if judgement.verdict != "inconclusive":
            return judgement
    return trial.judged(made, margin=margin, alarm=alarm, share=1 - spent if paid else 1.0)


NOISES = [{"spread": 0.004}, {"spread": 0.05}, {"spread": 0.006, "torn": 0.25}, {"spread": 0.003, "order": 0.007}]


@pytest.mark.long
@pytest.mark.parametrize("noise", NOISES)
def test_identical_files_are_hardly_ever_called_slower_or_faster(noise: dict[str, float]) -> None:
    rng = np.random.default_rng(0)
    found = Counter(ends(pairs(rng, 20, **noise), margin=0.0).verdict for _ in range(1000))
    assert found["slower"] + found["faster"] <= 17  # 1 % of 1000, and two standard errors


@pytest.mark.long
def test_looking_as_often_without_paying_for_it_would_cry_wolf_more_often() -> None:
    def alarms(paid: bool) -> int:
        rng = np.random.default_rng(1)
        return sum(ends(pairs(rng, 30), margin=0.0, paid=paid).verdict != "inconclusive" for _ in range(1500))

    paid, unpaid = alarms(paid=True), alarms(paid=False)
    assert unpaid > 1.8 * max(paid, 1)
    assert paid <= 0.01 * 1500 + 8


def test_the_intervals_of_all_looks_together_hold_the_truth() -> None:
    rng = np.random.default_rng(2)
    held = 0
    for _ in range(400):
        made = pairs(rng, 28, ratio=1.02)
        looks = [trial.judged(made[:n], margin=0.03, alarm=ALARM, share=s) for n, s in trial.LOOKS.items() if n <= 28]
        held += all((j.ratio_low or 0) <= 1.02 <= (j.ratio_high or 0) for j in looks)
    assert held / 400 >= 0.93


@pytest.mark.parametrize(("ratio", "expected"), [(1.0, "equivalent"), (1.05, "slower"), (0.95, "faster")])
def test_true_changes_are_seen_in_nine_pairs_of_a_quiet_machine(ratio: float, expected: str) -> None:
    rng = np.random.default_rng(3)
    found = Counter(ends(pairs(rng, 9, ratio=ratio, spread=0.006), alarm=ALARM / 12).verdict for _ in range(100))
    assert found[expected] >= 95


def test_a_change_of_the_detectable_size_is_seen_four_times_in_five() -> None:
    rng = np.random.default_rng(4)

    def last(ratio: float = 1.0) -> Judgement:
        return trial.judged(pairs(rng, 20, ratio=ratio), margin=0.001, alarm=ALARM, share=0.5)

    size = 1 + float(np.median([last().detectable or math.inf for _ in range(60)]))
    assert 0.7 <= sum(last(size).verdict == "slower" for _ in range(300)) / 300 <= 0.92


def test_the_looks_spend_less_than_the_allowed_error_and_leave_some_for_the_end() -> None:
    assert sum(trial.LOOKS.values()) == pytest.approx(0.9)
    assert list(trial.LOOKS) == sorted(trial.LOOKS)
    assert min(trial.LOOKS) == trial.FEWEST


def level(count: int, ratio: float, step: float = 0.001) -> list[Pair]:
    """Pairs whose log ratios are evenly spread around that of `ratio`, `step` apart."""
    logs = [math.log(ratio) + step * (number - (count - 1) / 2) for number in range(count)]
    return [Pair(a_p50_ms=10.0, b_p50_ms=10.0, a_first=True, ratio=math.exp(log)) for log in logs]


def test_a_judgement_by_hand() -> None:
    found = trial.judged(level(9, 1.1, step=0.004), margin=0.03, alarm=ALARM, share=0.2)
    spread = stdev(0.004 * number for number in range(9))
    error = spread / 3
    assert found.ratio == pytest.approx(1.1, rel=1e-12)
    assert found.spread == pytest.approx(spread)
    half = t.isf(0.05 * 0.2 / 2, 8) * error
    assert (found.ratio_low, found.ratio_high) == pytest.approx((1.1 * math.exp(-half), 1.1 * math.exp(half)), rel=1e-5)
    assert found.p == pytest.approx(2 * t.sf(math.log(1.1) / error, 8), rel=1e-3)
    assert found.detectable == pytest.approx(math.expm1((t.isf(0.01 * 0.2 / 2, 8) + norm.ppf(0.8)) * error), rel=1e-4)
    assert (found.verdict, found.pairs) == ("slower", 9)
    assert found.width == pytest.approx((found.ratio_high or 0) - (found.ratio_low or 0), rel=1e-12)


def test_pairs_that_agree_by_chance_are_not_taken_for_certain() -> None:
    found = trial.judged(level(4, 1.004, step=1e-7), margin=0.001, alarm=ALARM, share=0.2)
    assert found.verdict == "inconclusive"
    least = trial.LEAST_SPREAD / 2 * t.isf(0.05 * 0.2 / 2, 3)
    assert found.ratio_high == pytest.approx(1.004 * math.exp(least), rel=1e-5)
    assert found.spread == pytest.approx(0, abs=1e-6)


def test_one_pair_concludes_nothing_however_far_apart() -> None:
    one = trial.judged(level(1, 2.0), margin=0.03, alarm=ALARM, share=1.0)
    assert (one.verdict, one.ratio, one.ratio_low, one.ratio_high, one.detectable) == (
        "inconclusive", pytest.approx(2.0), None, None, None,
    )  # fmt: skip
    assert (one.width, one.p, one.spread, one.pairs) == (math.inf, 1.0, None, 1)
    assert trial.judged(level(3, 3.2), margin=0.03, alarm=ALARM / 12, share=1.0).verdict == "slower"


def test_what_others_say_counts_from_the_fewest_pairs_on() -> None:
    wide = spread.Prior(0.05**2, 6.0)
    for count in (trial.FEWEST - 1, trial.FEWEST):
        alone, informed = (
            trial.judged(level(count, 1.1, step=0.004), margin=0.03, alarm=ALARM, share=0.2, prior=prior)
            for prior in (spread.NOTHING_KNOWN, wide)
        )
        assert (informed.width > alone.width) is (count == trial.FEWEST)


def test_the_p50s_of_pairs_are_their_medians() -> None:
    made = [Pair(a_p50_ms=a, b_p50_ms=b, a_first=True) for a, b in ((1.0, 5.0), (9.0, 4.0), (2.0, 30.0))]
    assert trial.p50s(made) == (2.0, 5.0)


def test_an_early_look_and_a_gate_over_more_models_ask_for_more() -> None:
    six = level(6, 1.04, step=0.006)
    assert trial.judged(six, margin=0.03, alarm=ALARM, share=0.5).verdict == "slower"
    assert trial.judged(six, margin=0.03, alarm=ALARM, share=0.02).verdict == "inconclusive"
    assert trial.judged(six, margin=0.03, alarm=ALARM / 50, share=0.5).verdict == "inconclusive"


def test_the_margin_decides_between_slower_and_equivalent() -> None:
    small = level(12, 1.02)
    assert trial.judged(small, margin=0.01, alarm=ALARM, share=0.2).verdict == "slower"
    assert trial.judged(small, margin=0.05, alarm=ALARM, share=0.2).verdict == "equivalent"
    assert trial.judged(level(12, 1 / 1.02), margin=0.01, alarm=ALARM, share=0.2).verdict == "faster"


def test_as_many_pairs_as_are_said_see_the_margin() -> None:
    rng = np.random.default_rng(8)
    needed = trial.pairs_for(trial.judged(pairs(rng, 400, spread=0.02), margin=0.03, alarm=ALARM, share=1.0),
                             margin=0.03, alarm=ALARM)  # fmt: skip
    seen = [trial.judged(pairs(rng, needed, ratio=1.03, spread=0.02), margin=0.0, alarm=ALARM, share=1.0).verdict
            for _ in range(300)]  # fmt: skip
    assert 0.5 <= seen.count("slower") / 300 <= 0.9
    calm = trial.judged(level(9, 1.0, step=1e-6), margin=0.03, alarm=ALARM, share=1.0)
    assert trial.pairs_for(calm, margin=0.03, alarm=ALARM) == trial.FEWEST


def test_the_ratio_of_blocks_bears_wild_ones() -> None:
    a = [100.0, 200.0, 100.0, 300.0, 100.0]
    assert trial.block_ratio(a, [1.1 * x for x in a]) == pytest.approx(1.1)
    assert trial.block_ratio([*a, 100.0], [*(1.1 * x for x in a), 5000.0]) == pytest.approx(1.1, rel=0.02)
    many = [1.0 + 0.001 * (i % 7) for i in range(5000)]
    assert trial.block_ratio(many, [1.2 * x for x in many]) == pytest.approx(1.2)


def of_two(a_ms: float, b_ms: float, a_pace: float | None = None, b_pace: float | None = None) -> Pair:
    """A pair of two processes."""
    return Pair(a_p50_ms=a_ms, b_p50_ms=b_ms, a_first=True, a_pace_ms=a_pace, b_pace_ms=b_pace)


@pytest.mark.parametrize(
    ("a_pace_ms", "b_pace_ms", "torn"),
    [(1.0, 1.15, True), (1.15, 1.0, True), (1.0, 1.149, False), (1.149, 1.0, False), (2.0, 1.0, True),
     (None, 1.0, False), (1.0, None, False), (0.0, 1.0, False), (1.0, 0.0, False)],
)  # fmt: skip
def test_a_pair_is_torn_whichever_side_met_the_slower_pace(
    a_pace_ms: float | None, b_pace_ms: float | None, torn: bool
) -> None:
    pair = of_two(1.0, 1.0, a_pace_ms, b_pace_ms)
    assert pair.torn is torn
    assert not replace(pair, ratio=1.0).torn  # in one process both meet one pace


def test_leaving_torn_pairs_out_favours_neither_file() -> None:
    whole = [of_two(10.0, 10 + 0.01 * number, 0.24, 0.25) for number in range(-5, 6)]
    slow_a, slow_b = [of_two(20.0, 10.0, 0.5, 0.25)] * 4, [of_two(10.0, 20.0, 0.25, 0.5)] * 4

    def judged(made: list[Pair]) -> Judgement:
        return trial.judged(made, margin=0.03, alarm=ALARM, share=0.2)

    for torn in (slow_a, slow_b):
        assert judged([*whole, *torn]) == judged(whole)
    assert judged(whole).pairs == 11
    assert judged(slow_b).pairs == 4
    assert judged(slow_b).ratio == pytest.approx(2.0)


def test_the_prior_is_that_of_smyths_moments() -> None:
    variances = [(2.0, 3), (0.5, 5), (8.0, 8), (1.0, 8), (0.03, 12)]
    logs = [math.log(v) - digamma(d / 2) + math.log(d / 2) for v, d in variances]
    excess = np.var(logs, ddof=1) - np.mean([polygamma(1, d / 2) for _, d in variances])
    found = spread.prior(variances)
    assert 0 < found.degrees < spread.MOST_DEGREES
    assert polygamma(1, found.degrees / 2) == pytest.approx(excess, rel=1e-6)
    half = found.degrees / 2
    assert math.log(found.variance) == pytest.approx(np.mean(logs) + digamma(half) - math.log(half), rel=1e-9)
    for x in (0.01, 0.5, 3.0, 40.0):
        assert spread._digamma(x) == pytest.approx(digamma(x), rel=1e-9)
        assert spread._trigamma(x) == pytest.approx(polygamma(1, x), rel=1e-9)


def test_models_that_scatter_alike_inform_each_other_up_to_a_limit() -> None:
    alike = spread.prior([(1.0, 8)] * 12)
    assert alike.degrees == spread.MOST_DEGREES
    assert alike.variance == pytest.approx(1.0, rel=0.2)
    assert spread.prior([(1.0, 8)] * 2) == spread.NOTHING_KNOWN


def test_what_others_say_never_makes_a_wide_model_narrow() -> None:
    wide = level(9, 1.1, step=0.03)
    known = spread.Prior(variance=0.003**2, degrees=6.0)
    alone = trial.judged(wide, margin=0.03, alarm=ALARM, share=0.2)
    found = trial.judged(wide, margin=0.03, alarm=ALARM, share=0.2, prior=known)
    error = (alone.spread or 0) / 3
    assert found.p == pytest.approx(2 * t.sf(math.log(1.1) / error, 14), rel=1e-3)
    assert found.spread == alone.spread
    narrow = trial.judged(level(9, 1.1), margin=0.03, alarm=ALARM, share=0.2, prior=spread.Prior(0.04**2, 6.0))
    squeezed = math.sqrt((6 * 0.04**2 + 8 * stdev(0.001 * n for n in range(9)) ** 2) / 14)
    squeezed = max(squeezed, math.sqrt((6 * 0.04**2 + 8 * trial.LEAST_SPREAD**2) / 14))
    half = t.isf(0.05 * 0.2 / 2, 14) * squeezed / 3
    assert narrow.ratio_high == pytest.approx(1.1 * math.exp(half), rel=1e-4)
    few = level(3, 1.1)
    assert trial.judged(few, margin=0.03, alarm=ALARM, share=1.0, prior=known) == trial.judged(
        few, margin=0.03, alarm=ALARM, share=1.0
    )


def test_gates_over_twelve_models_see_three_percent_and_do_not_cry_wolf() -> None:
    scatters = gate_simulation.SCATTERS["1.2 % each"]
    rng = np.random.default_rng(5)

    def found(changes: list[float], gates: int) -> list[str]:
        made = [
            gate_simulation.gate(rng, scatters(rng), changes, gate_simulation.NOISES["normal"]) for _ in range(gates)
        ]
        return [verdict for one in made for verdict in gate_simulation.verdicts(one)]

    assert found([0.03] * 12, 10).count("slower") >= 114  # of 120; 86 % of them when each is judged by itself
    still = found([0.0] * 12, 20)
    assert still.count("equivalent") >= 230
    assert still.count("slower") + still.count("faster") <= 1
