"""A choice among candidates made by hand: every field of the answer, at the edges of what decides it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import pytest

from bench.analysis import choice, quantities
from bench.analysis.candidates import Candidate, Interval
from bench.analysis.choice import Alternative, Choice, Likeness, Miss, Relaxation, Step, Win
from bench.analysis.pairs import Pair
from bench.analysis.resampling import RESAMPLES, Draws
from bench.errors import WrongUsage
from tests.analysis.test_choice import THREE, a_run, record

STILL = Draws(times=(0,) * RESAMPLES)
NO_QUANTITY: dict[str, float | None] = dict.fromkeys(quantities.limited())


def net(
    name: str, p50: float, accuracy: float | None, *, half: float = 0.1, spread: float = 0.0, size: float = 1e6,
    intervals: dict[str, Interval] | None = None,
) -> Candidate:  # fmt: skip
    return Candidate(
        case=name, batch_size=1, accuracy=accuracy, accuracy_source=None,
        accuracy_low=None if accuracy is None else accuracy - spread,
        accuracy_high=None if accuracy is None else accuracy + spread,
        p50_ms=p50, p50_ms_low=p50 - half, p50_ms_high=p50 + half,
        limited=NO_QUANTITY | {"p50": p50, "top1": accuracy, "size": size},
        intervals={"p50": (p50 - half, p50 + half)} | (intervals or {}),
    )  # fmt: skip


def choose(models: Sequence[Candidate], limits: dict[str, float], like: str | None = None) -> Choice:
    return choice.choose(models, [STILL] * len(models), limits, "top1", like=like)


def winner(models: Sequence[Candidate], limits: dict[str, float], like: str | None = None) -> str:
    chosen = choose(models, limits, like).winner
    assert chosen is not None
    return chosen.case


def on_the_same_images(apart: float) -> list[Candidate]:
    """Of 75 and 80 %, the second [2, 8] points better."""
    a, b = net("a", 10.0, 75.0), net("b", 20.0, 80.0)
    return [
        replace(a, paired={"b": Pair(apart=apart, low=-8.0, high=-2.0, p=0.3)}),
        replace(b, paired={"a": Pair(apart=apart, low=2.0, high=8.0, p=0.3)}),
    ]


def test_what_was_judged_on_the_same_images_has_the_interval_of_its_gain() -> None:
    a, b = models = on_the_same_images(apart=10.0)
    chosen = choose(models, {"p50": 30.0})
    assert chosen.winner == a
    assert chosen.why_not == Alternative(case="b", gain=5.0, times=2.0, same=True, gain_interval=(2.0, 8.0))
    assert choose(models, {}, like="b").like == Likeness(
        case="b", gain=-5.0, times=2.0, same=True, gain_interval=(-8.0, -2.0)
    )
    assert choose(models, {}).front == (
        Step(model=a, resamples=RESAMPLES),
        Step(model=b, cost_ms=10.0, gain=5.0, same=True, gain_interval=(2.0, 8.0), resamples=RESAMPLES),
    )


def test_what_a_limit_keeps_out_comes_with_all_that_is_known_of_it() -> None:
    chosen = choose(on_the_same_images(apart=1.0), {"p50": 15.0})
    assert chosen.winner is not None
    assert chosen.winner.case == "a"
    assert chosen.binding == (
        Relaxation(
            limit="p50", allowed=15.0, needed=20.0, share=pytest.approx(1 / 3), case="b", p50_ms=20.0, accuracy=80.0,
            gain=5.0, times=2.0, largest=False, gain_interval=(2.0, 8.0),
        ),
    )  # fmt: skip


def test_an_accuracy_of_0_is_an_accuracy() -> None:
    models = [net("blank", 5.0, 0.0), net("half", 6.0, 0.5), net("unknown", 1.0, None)]
    assert winner(models, {"p50": 100.0}) == "half"
    assert [(step.model.case, step.gain) for step in choose(models, {}).front] == [("blank", None), ("half", 0.5)]
    assert choose(models, {}).unknown == ("unknown",)
    tight = choose(models[:2], {"p50": 5.5})
    assert [(step.case, step.gain) for step in tight.binding] == [("half", 0.5)]
    (held,) = choose([net("slow", 50.0, 75.0), models[0]], {"top1": 70.0}).binding
    assert (held.case, held.gain) == ("blank", -75.0)
    like = choose(models, {}, like="blank")
    assert like.like == Likeness(case="blank", gain=0.0, times=1.0, same=True)
    assert like.why_not == Alternative(case="half", gain=0.5, times=1.2, same=False)
    assert choose([*models, net("more", 7.0, 0.75)], {}, like="blank").why_not == like.why_not
    assert choose([net("slower", 5.0, 0.5), *models], {}).front[0].model.case == "slower"


def test_of_unknown_accuracy_the_fastest_wins_and_gains_are_not_known() -> None:
    slow, quick = net("slow", 10.0, None), net("quick", 5.0, None, size=2e6)
    assert winner([slow, net("slower", 11.0, None)], {"p50": 20.0}) == "slow"
    (held,) = choose([slow, quick], {"size": 1e6}).binding
    assert (held.case, held.gain, held.accuracy, held.needed) == ("quick", None, None, 2e6)
    touching = net("touching", 9.5, None, half=0.4, size=2e6)
    assert touching.p50_ms_high == slow.p50_ms_low
    assert choose([slow, touching], {"size": 1e6}).binding == ()
    (held,) = choose([slow, net("judged", 50.0, 60.0, size=2e6)], {"size": 1e6}).binding
    assert (held.case, held.gain, held.accuracy) == ("judged", None, 60.0)
    assert choose([net("judged", 50.0, 60.0), quick], {"size": 1e6}).binding == ()
    assert choose([slow, quick], {"p50": 20.0}).why_not is None


def test_the_largest_gain_is_the_most_accurate_or_with_limits_on_accuracy_the_fastest() -> None:
    models = [net("a", 10.0, 70.0), net("near", 11.0, 72.0), net("slower", 30.0, 75.0), net("best", 20.0, 75.0)]
    assert [(s.case, s.largest) for s in choose(models, {"p50": 10.5}).binding] == [("near", False), ("best", True)]
    models = [net("a", 50.0, 75.0), net("near", 40.0, 69.0), net("quick", 10.0, 60.0), net("middle", 20.0, 65.0)]
    assert [(s.case, s.largest) for s in choose(models, {"top1": 70.0}).binding] == [("near", False), ("quick", True)]


def test_each_limit_shows_its_nearest_step_the_nearest_limit_first() -> None:
    models = [
        net("a", 10.0, 70.0), net("far", 20.0, 72.0), net("late", 15.0, 73.0),
        net("large", 9.0, 71.0, size=1.2e6), net("huge", 9.0, 72.0, size=5e6),
        net("both", 11.0, 90.0, size=2e6),
    ]  # fmt: skip
    chosen = choose(models, {"p50": 10.5, "size": 1e6})
    assert [(s.limit, s.case, s.largest) for s in chosen.binding] == [
        ("size", "large", False), ("p50", "late", False)
    ]  # fmt: skip


def test_equal_accuracies_are_led_by_the_fastest_and_by_its_interval() -> None:
    wide, narrow = net("wide", 10.0, 75.0, spread=5.0), net("narrow", 20.0, 75.0)
    quick = net("quick", 5.0, 74.0)
    assert [c.case for c in choice._ranked([narrow, wide, quick], quick=False)] == ["quick", "wide", "narrow"]
    trailing = [
        net("zero", 0.5, 0.0),
        net("c", 3.0, 60.0),
        net("b", 2.0, 60.0),
        net("d", 5.0, 61.0),
        net("e", 6.0, 0.5),
    ]
    unknown = [net("slow", 9.0, None), net("fast", 1.0, None)]
    ranked = choice._ranked([*unknown, *trailing, narrow], quick=False)
    assert [c.case for c in ranked] == ["narrow", "d", "b", "c", "e", "zero", "fast", "slow"]
    quickest = choice._ranked([*trailing, *unknown[:1]], quick=True)
    assert [c.case for c in quickest] == ["zero", "b", "c", "d", "e", "slow"]
    assert choose([net("a", 10.0, 75.0), narrow], {"p50": 30.0}).why_not is None  # it is not more accurate


def test_why_not_names_the_next_more_accurate_and_of_equal_ones_the_fastest() -> None:
    models = [net("a", 10.0, 70.0), net("best", 50.0, 80.0), net("slow", 40.0, 75.0), net("next", 30.0, 75.0)]
    models.append(net("leap", 20.0, 90.0))
    assert choose(models, {"top1": 60.0}).why_not == Alternative(case="next", gain=5.0, times=3.0, same=False)


def test_misses_are_ordered_by_their_worst_limit_and_what_is_unknown_comes_last() -> None:
    models = [
        net("twice", 11.0, 60.0, size=1.5e6), net("once", 13.0, 60.0), net("unknown", 5.0, None),
        net("both", 20.0, None),
    ]  # fmt: skip
    limits = {"p50": 10.0, "size": 1e6, "top1": 50.0}
    assert choose(models[:3], limits).misses == (
        Miss(case="once", broken={"p50": pytest.approx(0.3)}, values={"p50": 13.0}),
        Miss(
            case="twice", broken={"p50": pytest.approx(0.1), "size": pytest.approx(0.5)},
            values={"p50": 11.0, "size": 1.5e6},
        ),
        Miss(case="unknown", broken={"top1": None}, values={"top1": None}),
    )  # fmt: skip
    assert [miss.case for miss in choose([models[3], models[2], models[0]], limits).misses] == [
        "twice", "unknown", "both"
    ]  # fmt: skip
    slight = replace(models[3], limited=models[3].limited | {"p50": 12.0}, case="slight")
    assert [miss.case for miss in choose([slight, models[2]], limits).misses] == ["unknown", "slight"]


def test_an_interval_that_ends_at_the_limit_does_not_reach_past_it() -> None:
    spans = {"p50": (9.0, 10.0), "top1": (70.0, 80.0)}
    model = net("a", 9.5, 75.0, intervals=spans)
    assert choose([model], {"p50": 10.0, "top1": 70.0, "size": 2e6}).on_the_edge == ()
    assert choose([model], {"p50": 9.9, "top1": 70.0}).on_the_edge == ("p50",)
    assert choose([model], {"p50": 10.0, "top1": 70.1}).on_the_edge == ("top1",)


def test_who_wins_the_most_resamples_comes_first() -> None:
    models = [net("a", 10.0, None, half=2.0), net("b", 10.5, None, half=1.5), net("never", 50.0, None)]
    often = Draws(times=(-1000,) * 300 + (0,) * 200)  # b at 9 ms in 300 of them
    chosen = choice.choose(models, [STILL, often, STILL], {"p50": 60.0}, "top1")
    assert chosen.wins == (Win(case="b", resamples=300), Win(case="a", resamples=200))
    assert (chosen.resamples, chosen.winner, chosen.runner_up) == (RESAMPLES, models[0], models[1])
    assert (chosen.trust, chosen.batch_size, chosen.left_out, chosen.ties) == ("sound", 1, (), ("b",))
    unlikely = choice.choose(models, [STILL, often, STILL], {"p50": 9.0}, "top1")
    assert (unlikely.winner, unlikely.wins) == (None, (Win(case="b", resamples=300),))
    close = [net("c", 10.0, 70.0, half=2.0), net("d", 10.5, 60.0, half=1.5)]
    assert [step.model.case for step in choice.choose(close, [STILL, often], {}, "top1").front] == ["c"]
    ranks = choice.choose([close[0], net("e", 10.5, 80.0)], [STILL, often], {}, "top1").front
    assert [step.resamples for step in ranks] == [RESAMPLES, RESAMPLES]
    beaten = choice.choose([close[0], net("e", 10.5, 80.0, half=1.5)], [STILL, often], {}, "top1").front
    assert [step.resamples for step in beaten] == [200, RESAMPLES]


def test_nothing_measured_is_no_answer() -> None:
    assert choose([], {"p50": 1.0}) == Choice(quality="top1", limits={"p50": 1.0})
    other = choice.choose([net("a", 10.0, 70.0)], [STILL], {"power": 1.0}, "top1", batch_size=8)
    assert other == Choice(quality="top1", limits={"power": 1.0}, batch_size=8, left_out=("a",))


def test_a_model_to_be_like_is_found_by_its_own_spelling_first() -> None:
    models = [net("Net", 10.0, 70.0), net("net", 20.0, 80.0), net("unknown", 5.0, None)]
    for asked, meant in (("net", "net"), ("Net", "Net"), ("NET", "Net")):
        found = choose(models, {}, like=asked).like
        assert found is not None
        assert found.case == meant
    assert choose(models, {}, like="net").wins == (Win(case="net", resamples=RESAMPLES),)
    assert winner(models, {}, like="net") == "net"  # neither the less accurate one, nor the unknown
    assert [miss.case for miss in choose(models, {"p50": 15.0}, like="net").misses] == ["net"]
    with pytest.raises(WrongUsage, match=r'^no measured model is called "nets"; did you mean "net"\?$'):
        choose(models, {}, like="nets")
    with pytest.raises(
        WrongUsage, match=r"^no accuracy is known of unknown, so that none can be as accurate; name another one$"
    ):
        choose(models, {}, like="UNKNOWN")


@pytest.mark.parametrize(
    ("name", "allowed", "says"),
    [
        ("siez", 1.0, 'nothing called "siez" can be limited; did you mean "size"?'),
        ("p50", 0.0, "a limit is a number above 0; --p50 0 is none"),
        ("p50", -0.5, "a limit is a number above 0; --p50 -0.5 is none"),
        ("p50", float("inf"), "a limit is a number above 0; --p50 inf is none"),
        ("top1", 1.0, "--top1 1 means 1 %; did you mean 100?"),
        ("top1", 0.705, "--top1 0.705 means 0.705 %; did you mean 70.5?"),
        ("top1", 100.5, "--top1 100.5 is more than 100 %; no model can reach that"),
    ],
)
def test_a_limit_that_cannot_be_meant_is_answered_in_one_line(name: str, allowed: float, says: str) -> None:
    with pytest.raises(WrongUsage, match=f"^{re.escape(says)}$"):
        choice.pick(THREE, {name: allowed})


def test_limits_at_the_edge_of_what_can_be_meant() -> None:
    for limits in ({"p50": 0.5}, {"top1": 1.01}, {"top1": 100.0}):
        assert choice.pick(THREE, limits).limits == limits


def test_a_device_is_chosen_with_its_own_draws() -> None:
    mine = [
        replace(r, case=replace(r.case, device="cuda"))
        for r in (record("x", 10, 70.0, half=1.0), record("y", 10.5, 70.5, half=1.0), record("z", 11, 71.0, half=1.0))
    ]
    everything = a_run(*THREE.records, *mine)
    chosen = choice.pick(everything, {"top1": 60.0}, device="cuda")
    assert len(chosen.wins) == 3
    assert chosen == choice.pick(a_run(*mine), {"top1": 60.0})


def test_what_a_million_inferences_cost_of_the_models_that_are_named() -> None:
    rates = {"a": 200.0, "b": 100.0, "c": 50.0, "d": None}
    models = [
        replace(c, limited=c.limited | {"rps": rates[c.case]})
        for c in (net("a", 10.0, 70.0), net("b", 20.0, 60.0), net("c", 30.0, 50.0), net("d", 40.0, 90.0))
    ]
    paid = choice.costs(choose(models[:3], {"p50": 60.0}), 0.36)
    assert paid == {"a": pytest.approx(0.5), "b": pytest.approx(1.0)}
    assert choice.costs(choose(models, {}), 0.72) == {"a": pytest.approx(1.0), "d": None}
    for price in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(WrongUsage, match=rf"^a price is a number above 0; --price-per-hour {price:g} is none$"):
            choice.costs(choose(models, {}), price)


def test_a_choice_in_a_notebook_is_a_list_of_its_lines() -> None:
    shown = choose([net("<b>", 10.0, None)], {})._repr_html_()
    assert shown == (
        "<ul><li>no accuracy is known; the fastest:</li><li>&lt;b&gt;: accuracy unknown, p50 10.0 ms [9.90, 10.1]</li>"
        "<li>a limit chooses one of them</li></ul>"
    )
