"""A comparison by hand: every figure, every word of its verdicts and of its conclusion, and the edges between them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from bench.analysis import comparison, statistics
from bench.errors import NotComparable
from bench.records import Case, Comparison, Measurement, Record, Roofline, Verdict
from tests import runs
from tests.analysis.test_choice import record


def measured(p50: float, low: float, high: float, visits: tuple[float, ...] = (), **more: Any) -> Measurement:
    made = record("m", p50, None).measurement
    assert made is not None
    visits = visits or (p50,) * 5
    return replace(made, p50_ms=p50, p50_ms_low=low, p50_ms_high=high, visit_p50_ms=visits, **more)


def judged(old: Measurement, new: Measurement, noise: float = 0.0, margin: float = 0.03) -> tuple[Verdict, float]:
    return comparison._measured("m", old, new, margin, noise, ("file made anew",))


OLD, NEW = measured(10.0, 9.9, 10.1), measured(11.0, 10.8, 11.3)


def test_every_figure_of_a_verdict() -> None:
    shift = math.log(1.1)
    down = math.hypot(math.log(11 / 10.8), math.log(1.01))
    up = math.hypot(math.log(11.3 / 11), math.log(10 / 9.9))
    old_variance, new_variance = (math.log(high / low) ** 2 for low, high in ((9.9, 10.1), (10.8, 11.3)))
    degrees = (old_variance + new_variance) ** 2 / (old_variance**2 / 4 + new_variance**2 / 4)
    assert comparison.log_ratio(OLD, NEW) == pytest.approx((shift, down, up))
    assert comparison._degrees(OLD, NEW) == pytest.approx(degrees)
    verdict, p = judged(OLD, NEW)
    t975 = statistics.student_t975(degrees)
    error = (down + up) / 2 / t975
    assert p == pytest.approx(statistics.student_t_p(t975 * shift / down, degrees))
    least = max(statistics.student_t(0.05, degrees) * error, math.log(1.03))
    assert verdict == Verdict(
        case="m", verdict="suspect", ratio=pytest.approx(1.1), ratio_low=pytest.approx(math.exp(shift - down)),
        ratio_high=pytest.approx(math.exp(shift + up)), baseline_p50_ms=10.0, p50_ms=11.0,
        detectable=pytest.approx(math.expm1(least + statistics.student_t(0.4, degrees) * error)),
        attribution=("file made anew",), reason=None,
    )  # fmt: skip
    back, p = judged(NEW, OLD)
    assert p == pytest.approx(statistics.student_t_p(t975 * shift / down, degrees))
    assert (back.verdict, back.ratio, back.attribution) == ("suspect", pytest.approx(1 / 1.1), ("file made anew",))
    assert comparison.of_figures(OLD, NEW, 0.03) == replace(verdict, case="", attribution=())


def test_noise_widens_by_the_visits_of_both_sides() -> None:
    new = measured(11.0, 10.8, 11.3, (11.0,) * 3)
    verdict, _ = judged(OLD, new, noise=0.1)
    reach = statistics.student_t975(comparison._degrees(OLD, new)) * 0.1 * math.sqrt(1 / 5 + 1 / 3)
    assert verdict.ratio_low == pytest.approx(1.1 * math.exp(-reach))
    assert verdict.ratio_high == pytest.approx(1.1 * math.exp(reach))
    assert verdict.detectable == pytest.approx(
        math.expm1(
            max(statistics.student_t(0.05, comparison._degrees(OLD, new)), 0.0)
            * reach / statistics.student_t975(comparison._degrees(OLD, new))
            + statistics.student_t(0.4, comparison._degrees(OLD, new))
            * reach / statistics.student_t975(comparison._degrees(OLD, new))
        )
    )  # fmt: skip


def test_degrees_of_freedom_are_welchs() -> None:
    equal = measured(10.0, 9.9, 10.1)
    assert comparison._degrees(equal, equal) == pytest.approx(8)
    exact = measured(10.0, 10.0, 10.0, (10.0,) * 3)
    assert comparison._degrees(exact, equal) == pytest.approx(4, rel=1e-3)  # the other's alone
    assert comparison._degrees(exact, exact) == pytest.approx(4)
    single = measured(10.0, 9.9, 10.1, (10.0,))
    assert comparison._degrees(single, single) == pytest.approx(2)


def test_what_is_exactly_alike_or_seen_once() -> None:
    exact = measured(10.0, 10.0, 10.0)
    verdict, p = judged(exact, exact)
    assert (verdict.verdict, verdict.ratio, p, verdict.attribution) == ("equivalent", 1.0, 1.0, ())
    far = measured(10.5, 10.5, 10.5)
    verdict, p = judged(exact, far)
    assert (verdict.verdict, p) == ("suspect", pytest.approx(0, abs=1e-9))
    once = measured(20.0, 19.9, 20.1, (20.0,))
    for pair in ((once, OLD), (OLD, once)):
        verdict, p = judged(*pair)
        assert (verdict.verdict, verdict.detectable, p, verdict.attribution) == ("inconclusive", None, 1.0, ())
        assert verdict.reason == "one visit tells nothing of how visits differ; measure 3 rounds or more"
    noisy, _ = judged(once, once, noise=0.1)
    reach = statistics.student_t975(comparison._degrees(once, once)) * 0.1 * math.sqrt(2)
    assert noisy.ratio_high == pytest.approx(math.exp(reach))
    twice = measured(20.0, 19.9, 20.1, (20.0, 20.0))
    assert judged(twice, twice)[0].verdict == "equivalent"
    verdict, _ = judged(measured(10.0, 1e-3, 1e6, (10.0,) * 2), twice)
    assert verdict.detectable == pytest.approx(math.expm1(5.0))


@pytest.mark.parametrize(
    ("low", "high", "p", "shift", "expected"),
    [
        (-0.02, 0.02, 0.0, 0.01, "equivalent"), (-0.03, 0.02, 0.5, 0.0, "inconclusive"),
        (-0.02, 0.03, 0.5, 0.0, "inconclusive"), (0.01, 0.05, 0.0099, 0.02, "slower"),
        (0.01, 0.05, 0.01, 0.02, "inconclusive"), (-0.05, -0.01, 0.001, -0.02, "faster"),
        (-0.05, 0.05, 0.001, 0.0, "faster"),
    ],
)  # fmt: skip
def test_a_verdict_by_its_interval_and_p(low: float, high: float, p: float, shift: float, expected: str) -> None:
    assert comparison.judge(shift, low, high, p, math.expm1(0.03), alarm=0.01) == expected
    assert comparison.judge(shift, low, high, p, math.expm1(0.03)) == expected


def test_what_an_inconclusive_one_would_take() -> None:
    wanted = math.log(1.03) / (statistics.student_t(0.05, 30) + statistics.student_t(0.4, 30))

    def says(rounds: float) -> str:
        return comparison._would_take(wanted * math.sqrt(rounds / 5), 5, 0.03)

    assert says(12.5) == "both runs with --rounds 13 would see a change of 3 %"
    assert says(59.9) == "both runs with --rounds 60 would see a change of 3 %"
    assert says(5.5) == "both runs with --rounds 6 would see a change of 3 %"
    for few in (4.9, 1.0):
        assert says(few) == (
            "the change is at the edge of what these visits can see; `bench ab` of the two files would tell"
        )
    assert says(60.1) == (
        "visits differ too much for any number of rounds; see `bench doctor`, or use `bench ab` on the two files"
    )
    wide = measured(10.0, 9.7, 10.3)
    verdict, _ = judged(wide, wide)
    assert verdict.verdict == "inconclusive"
    error = math.hypot(math.log(10.3 / 10), math.log(10 / 9.7)) / statistics.student_t975(8)
    assert verdict.reason == comparison._would_take(error, 5, 0.03)


def test_what_makes_a_change_doubtful() -> None:
    def says(shift: float, old_ms: float | None = None, new_ms: float | None = None) -> str | None:
        return comparison._doubt(shift, replace(OLD, pace_ms=old_ms), replace(NEW, pace_ms=new_ms), 0.03)

    within = "the change is real or the machine's, but within the margin; `bench ab` of the two files would tell"
    assert says(math.log1p(0.03)) == says(-math.log(1.029)) == within
    assert says(math.log(1.031)) is None
    assert says(0.2, 1.0, 1.2) == "the machine ran 1.2 times slower in this run; measure again"
    assert says(-0.2, 1.2, 1.0) == "the machine ran 1.2 times slower in the baseline; save a new baseline"
    assert says(-0.2, 1.0, 1.2) is None  # the other way round
    assert says(0.4, 1.0, 1.2) is None  # twice the change of the pace, and more
    assert says(0.36, 1.0, 1.2) is not None
    assert says(0.05, 1.0, 1.04) is None  # that is no other pace
    assert says(0.2, None, 1.2) is None
    assert says(0.2, 1.2, None) is None
    paced = [replace(side, pace_ms=pace) for side, pace in ((NEW, 1.2), (OLD, 1.0))]
    for pair, where in ((paced, "the baseline; save a new baseline"), (paced[::-1], "this run; measure again")):
        withdrawn, _ = judged(*pair)
        assert (withdrawn.verdict, withdrawn.attribution) == ("inconclusive", ())
        assert withdrawn.reason == f"the machine ran 1.2 times slower in {where}"


def test_how_far_visits_lie_apart() -> None:
    def seen(*visits: float) -> Record:
        return replace(record("m", 10.0, None), measurement=measured(10.0, 9.9, 10.1, visits))

    e = math.e
    assert comparison._noise([seen(1.0, e, e * e)]) == pytest.approx(1.0)
    assert comparison._noise([seen(1.0, e), seen(1.0)]) is None
    assert comparison._noise([replace(seen(1.0, 2.0, 3.0), measurement=None)]) is None
    three = [seen(1.0, e, e * e), seen(1.0, 1.0, 1.0), seen(1.0, e**0.5, e), seen(1.0, 9.0)]
    assert comparison._noise(three) == pytest.approx(0.5)


def two(*records: Record, **more: Any) -> Any:
    return replace(runs.run(records), **more)


def test_a_comparison_says_what_was_compared_under_which_conditions() -> None:
    a = record("a", 10.0, None)
    old = two(a, started_at="2026-01-01T00:00:00Z")
    new = two(replace(a, artifact=replace(a.artifact, sha256="1" * 64)), started_at="2026-02-01T00:00:00Z")
    made = comparison.compare(old, new, margin=0.05)
    (verdict,) = made.verdicts
    assert made == Comparison(
        suite="default", baseline_started_at="2026-01-01T00:00:00Z", run_started_at="2026-02-01T00:00:00Z",
        margin=0.05, noise=0.0, forced=False, differing=(), verdicts=(verdict,), changed=(),
    )  # fmt: skip
    assert (verdict.case, verdict.verdict, verdict.baseline_p50_ms) == ("a", "equivalent", 10.0)
    assert comparison.compare(two(), two()).noise is None


def elsewhere(run: Any) -> Any:
    facts = run.machine.must_match | {"cpu": "Other", "cores": 4}
    return replace(run, machine=replace(run.machine, must_match=facts))


def test_runs_of_different_machines() -> None:
    a, gone = record("a", 10.0, None), record("gone", 10.0, None)
    old, new = two(a, gone), elsewhere(two(replace(a, artifact=replace(a.artifact, size_bytes=2 * 10**7))))
    with pytest.raises(NotComparable) as refused:
        comparison.compare(old, new)
    assert str(refused.value) == (
        "these runs are not comparable (cores: 2 -> 4; cpu: Imaginary CPU 9000 -> Other); measure both on one machine "
        "with the same settings, or compare with --force"
    )
    made = comparison.compare(old, new, figures=None)
    assert (made.forced, made.differing) == (False, ("cores: 2 -> 4", "cpu: Imaginary CPU 9000 -> Other"))
    first, second = made.verdicts
    assert (first.case, first.verdict, first.ratio, first.p50_ms) == ("a", "inconclusive", None, None)
    assert first.reason == "the stored figures are of different machines; `bench compare` measures both files here"
    assert [change.name for change in first.quantities] == ["size"]
    assert (second.case, second.verdict, second.reason) == ("gone", "missing", "in the baseline, but not in the run")
    assert comparison.compare(old, new, force=True, figures=None).forced
    assert comparison.compare(old, new, force=True).verdicts[0].ratio == 1.0
    assert comparison.compare(old, old, figures=False).verdicts[0].verdict == "inconclusive"
    assert not comparison.compare(old, old, force=True).forced
    assert comparison.compare(old, old, figures=None).verdicts[0].ratio == 1.0


def test_what_cannot_be_compared_says_why_and_has_a_p_of_1() -> None:
    a = record("a", 10.0, None)
    failed = replace(a, measurement=None)
    other = replace(a, case=replace(a.case, batch_size=8))
    for old, new, renamed, verdict, reason, p50 in (
        (a, None, "", "missing", "in the baseline, but not in the run", None),
        (a, None, "so it is", "missing", "in the baseline, but not in the run; so it is", None),
        (a, failed, "", "failed", "no measurement", None),
        (a, replace(failed, error="killed"), "", "failed", "killed", None),
        (None, a, "", "added", "not in the baseline", 10.0),
        (failed, a, "", "added", "the baseline has no measurement of it", 10.0),
        (a, other, "", "missing",
         "the baseline's case of this name is another one; rename one of them, or save a new baseline", None),
    ):  # fmt: skip
        found = comparison._verdict(old, new, 0.03, 0.0, renamed)
        assert found == (Verdict(case="a", verdict=verdict, reason=reason, p50_ms=p50), 1.0)
    for change, attribution in (({}, ()), ({"sha256": "1" * 64}, ("file made anew",))):
        slow = replace(record("a", 12.0, None, size=2 * 10**7))
        slow = replace(slow, artifact=replace(slow.artifact, **change))
        found, p = comparison._verdict(a, slow, 0.03, 0.0, "")
        assert (found.verdict, found.attribution) == ("suspect", attribution)
        assert "size" in {each.name for each in found.quantities}
        assert p < 0.01
    bare = [replace(each, artifact=None) for each in (a, slow)]
    assert comparison._verdict(*bare, 0.03, 0.0, "")[0].attribution == ("file made anew",)


def test_what_makes_two_cases_the_same_thing_to_time() -> None:
    case = Case(name="a", model="VGG16")
    assert comparison.identity(case) == comparison.identity(replace(case, weights="imagenet"))
    assert comparison.identity(case) != comparison.identity(replace(case, precision="int8"))
    assert comparison.identity(case) != comparison.identity(replace(case, model="VGG19"))
    file = Case(name="a", model="a.onnx")
    for change in ({"weights": "x"}, {"model": "b.onnx"}, {"precision": "int8"}):
        assert comparison.identity(file) == comparison.identity(replace(file, **change))  # type: ignore[arg-type]
    assert comparison.identity(file) != comparison.identity(replace(file, batch_size=2))


def test_backbones_are_no_users_own_files() -> None:
    old, new = (runs.record(Case(name="VGG16 or VGG19", model=model)) for model in ("VGG16", "VGG19"))
    assert old.artifact is not None
    assert new.artifact is not None
    new = replace(new, artifact=replace(new.artifact, sha256="1" * 64))
    assert not comparison._another_file(old, new)
    assert comparison._renamed(replace(old, artifact=None), [new]) == comparison._renamed(None, [new]) == ""


def test_what_changed_between_two_runs() -> None:
    plain = two(record("a", 10.0, None))

    def changed(old: Any, new: Any) -> tuple[str, ...]:
        return comparison.compare(old, new).changed

    def peaks(gflops: float, gbytes: float) -> Any:
        return replace(plain, roofline=Roofline(gflops=gflops, gbytes_per_s=gbytes, threads=2, provider=""))

    assert changed(peaks(100.0, 10.0), peaks(109.0, 10.9)) == ()
    assert changed(peaks(100.0, 10.0), peaks(80.0, 12.0)) == (
        "arithmetic peak [GFLOP/s]: 100.0 -> 80.0", "memory bandwidth [GB/s]: 10.0 -> 12.0"
    )  # fmt: skip
    assert changed(peaks(100.0, 10.0), plain) == changed(plain, peaks(80.0, 10.0)) == ()
    drifted = replace(plain, machine=replace(plain.machine, may_drift=plain.machine.may_drift | {"os": "Linux 7"}))
    assert changed(plain, drifted) == ("system: Linux 6.18 -> Linux 7",)
    few, many = (replace(plain, machine=replace(plain.machine, may_drift={"quota_cores": n})) for n in (1.5, 2.0))
    assert changed(few, many) == ("processor quota: 1.5 cores -> 2 cores",)
    more = replace(many, machine=replace(many.machine, may_drift={"quota_cores": 2.1}))
    assert changed(many, more) == ("processor quota: 2 cores -> 2.1 cores",)  # that is counted, and not measured
    informing = {"rounds": 99, "budget_s": 9.0, "patience_s": 9.0, "spacing_s": 9.0, "target_width": 0.9, "seed": 99}
    settings = replace(plain.settings, min_time_s=9.0, **informing)  # type: ignore[arg-type]
    (line,) = changed(plain, replace(plain, settings=settings))
    assert line == f"min time s: {plain.settings.min_time_s} -> 9.0"


def verdict(case: str, kind: str, ratio: float | None = 1.1, **more: Any) -> Verdict:
    return Verdict(case=case, verdict=kind, ratio=ratio, **more)


def of(*verdicts: Verdict, **more: Any) -> Comparison:
    plain: dict[str, Any] = {"baseline_started_at": "1", "run_started_at": "2", "margin": 0.03, "noise": None}
    return Comparison(suite="s", verdicts=verdicts, **(plain | {"forced": False, "differing": ()} | more))


def test_exit_codes_at_their_edges() -> None:
    assert comparison.exit_code(of(verdict("a", "inconclusive"))) == 0
    assert comparison.exit_code(of(verdict("a", "inconclusive")), "inconclusive") == 3
    assert comparison.exit_code(of(verdict("a", "failed", None), verdict("b", "equivalent"))) == 5
    assert comparison.exit_code(of(verdict("a", "missing", None), verdict("b", "equivalent"))) == 5
    for ratio in (None, 1.0, 0.9):
        fine = of(verdict("a", "suspect", ratio), verdict("b", "equivalent"), anew=True)
        assert (comparison.exit_code(fine), comparison.unconfirmed(fine)) == (0, [])


@pytest.mark.parametrize(
    ("made", "lines"),
    [
        (of(verdict("a", "equivalent", 1.0), run_started_at="1"),
         ["this run is the baseline itself; measure the suite again to compare"]),
        (of(verdict("a", "equivalent", 1.0)), []), (of(verdict("a", "equivalent"), run_started_at="1"), []),
        (of(verdict("a", "slower"), verdict("b", "slower")), ["a regression is confirmed: a, b"]),
        (of(verdict("a", "missing", None), verdict("b", "failed", None), verdict("c", "equivalent")),
         ["not measured in this run: a, b; measure them, or save a baseline without them"]),
        (of(verdict("a", "failed", None), verdict("c", "equivalent")),
         ["not measured in this run: a; measure them, or save a baseline without them"]),
        (of(verdict("a", "added", None)),
         ["nothing was compared: no model was measured on both sides; `bench baseline save` stores this run"]),
        (of(verdict("a", "suspect"), verdict("b", "suspect", 0.9)),
         ["suspect by stored figures alone: a, b; `bench compare` measures both files anew"]),
        (of(verdict("a", "inconclusive"), differing=("cpu",)),
         ["figures of different machines say nothing of the files; `bench compare` measures both here"]),
        (of(verdict("a", "inconclusive", None), differing=("cpu",)),
         ["figures of different machines say nothing of the files; `bench compare` measures both here"]),
        (of(verdict("a", "inconclusive"), differing=("cpu",), forced=True), []),
        (of(verdict("a", "suspect", pairs=7), verdict("b", "suspect", 0.9, pairs=3), verdict("c", "suspect", pairs=0),
            anew=True, differing=("cpu",)),
         ["measured anew, side by side: 2 models in 10 pairs, 1 without measuring, as both files are the same; "
          "3 suspect",
          "may be slower, not confirmed: a, c; the lines above say what it takes"]),
        (of(verdict("a", "slower", pairs=7), verdict("b", "added", None), anew=True),
         ["a regression is confirmed: a", "measured anew, side by side: 1 model in 7 pairs; 1 slower, 1 added"]),
        (of(verdict("a", "equivalent", pairs=0), verdict("b", "equivalent", pairs=0), anew=True),
         ["measured anew, side by side: 0 models in 0 pairs, 2 without measuring, as both files are the same; "
          "2 equivalent"]),
    ],
)  # fmt: skip
def test_the_conclusion_in_words(made: Comparison, lines: list[str]) -> None:
    assert comparison.conclusion(made) == lines


def controlled(ratios: list[float], p: float = 0.001, changed: bool = False, **more: Any) -> list[Verdict]:
    verdicts = [(verdict(str(i), "suspect", ratio, **more), p) for i, ratio in enumerate(ratios)]
    return comparison._controlled([(verdict("new", "added", None), 1.0), *verdicts], 0.03, changed)


def test_what_all_models_share_is_the_machines() -> None:
    machine = "most models moved together, and nothing known has changed: the machine"
    for ratios in ([1.1] * 4, [0.9] * 4, [1.1] * 3 + [1.0, 1.02]):
        assert [each.reason for each in controlled(ratios)] == [None, *[machine] * len(ratios)]
    for others in (
        controlled([1.1] * 3), controlled([1.1] * 4, changed=True), controlled([1.0299] * 4),
        controlled([1.1] * 4, attribution=("file made anew",)), controlled([1.1, 1.1, 1.0, 1.0, 1.0]),
    ):  # fmt: skip
        assert {each.reason for each in others} == {None}
    chance = controlled([1.1] * 4, p=0.2, attribution=("file made anew",))[1]
    assert (chance.verdict, chance.attribution) == ("inconclusive", ())
    assert chance.reason == "p = 0.200 is no evidence among 4 models; measure more rounds"
