"""Verdicts between two runs, on runs made up from simulated visits."""

import re
from dataclasses import replace

import numpy as np
import pytest

from bench.analysis import comparison, summary
from bench.errors import NotComparable
from bench.records import SCHEMA_VERSION, Artifact, Case, Machine, PlannedCase, Record, Run, Settings
from tests import runs
from tests.analysis.test_statistics import simulated_visits

SETTINGS = Settings(
    rounds=5,
    min_time_s=0.8,
    min_count=12,
    warmup_s=2.0,
    budget_s=None,
    seed=0,
    device="cpu",
    provider="CPUExecutionProvider",
)
MACHINE = Machine(
    must_match={"cpu": "A", "cores": 2}, may_drift={"onnxruntime": "onnxruntime 1.20", "peak_gflops": 100.0}, informs={}
)


def record(rng, name="m", *, p50_ms=10.0, visits=5, sha="a", **kwargs):
    measured = summary.summarise(simulated_visits(rng, visits, p50_ms=p50_ms, **kwargs), batch_size=1, seed=0)
    case = PlannedCase(name=name, model="ResNet50", device="cpu", provider="CPUExecutionProvider", threads=2)
    return Record(case=case, artifact=Artifact(sha256=sha, size_bytes=1, opset=17), measurement=measured)


def run_of(*records, machine=MACHINE, settings=SETTINGS):
    return Run(
        schema_version=SCHEMA_VERSION,
        suite="s",
        started_at="2026-01-01T00:00:00Z",
        machine=machine,
        settings=settings,
        records=records,
    )


def verdict(old, new, **kwargs):
    return comparison.compare(run_of(old), run_of(new), **kwargs).verdicts[0]


@pytest.mark.parametrize(("ratio", "expected"), [(1.0, "equivalent"), (1.08, "suspect"), (0.93, "suspect")])
def test_a_true_change_gets_its_verdict(ratio, expected):
    rng = np.random.default_rng(0)
    found = verdict(record(rng, between=0.004), record(rng, between=0.004, p50_ms=10 * ratio))
    assert found.verdict == expected
    assert found.ratio_low < ratio < found.ratio_high
    assert 0 < found.detectable < 0.05


@pytest.mark.long
@pytest.mark.parametrize(("between", "phase"), [(0.004, 0.0), (0.01, 0.0), (0.02, 0.0), (0.005, 0.13)])
def test_identical_models_are_hardly_ever_called_slower_or_faster(between, phase):
    rng = np.random.default_rng(int(1000 * between))
    false = 0
    for _ in range(120):
        pair = [record(rng, between=between, phase=phase) for _ in range(2)]
        false += verdict(*pair).verdict == "suspect"
    assert false <= 4  # 1 % of 120, and no more than chance allows on top


@pytest.mark.long
def test_a_change_of_the_detectable_size_is_seen_four_times_in_five():
    rng = np.random.default_rng(1)
    tries = 80
    detectable = np.median([verdict(record(rng), record(rng)).detectable for _ in range(20)])
    seen = sum(
        verdict(record(rng), record(rng, p50_ms=10 * (1 + detectable))).verdict == "suspect" for _ in range(tries)
    )
    assert 0.65 <= seen / tries <= 1.0


def test_a_change_within_the_margin_is_no_verdict_however_well_it_is_known():
    rng = np.random.default_rng(1)
    pair = record(rng, between=0.001), record(rng, between=0.001, p50_ms=10.25)
    found = verdict(*pair)
    assert found.ratio_low > 1
    assert found.verdict in ("inconclusive", "equivalent")
    assert verdict(*pair, margin=0.01).verdict == "suspect"


@pytest.mark.parametrize(("pace", "expected"), [(0.25, "suspect"), (0.38, "inconclusive"), (None, "suspect")])
def test_a_machine_at_another_pace_withdraws_the_verdict(pace, expected):
    rng = np.random.default_rng(2)
    old, new = record(rng), record(rng, p50_ms=15)
    old = replace(old, measurement=replace(old.measurement, pace_ms=0.24))
    found = verdict(old, replace(new, measurement=replace(new.measurement, pace_ms=pace)))
    assert found.verdict == expected
    assert ("1.6 times slower in this run" in (found.reason or "")) == (expected == "inconclusive")


@pytest.mark.parametrize(("p50_ms", "expected"), [(30, "suspect"), (7, "suspect")])
def test_a_pace_that_does_not_explain_the_change_withdraws_nothing(p50_ms, expected):
    rng = np.random.default_rng(2)
    old, new = record(rng), record(rng, p50_ms=p50_ms)
    old, new = (
        replace(side, measurement=replace(side.measurement, pace_ms=pace)) for side, pace in ((old, 0.24), (new, 0.38))
    )
    assert verdict(old, new).verdict == expected


def test_what_the_data_cannot_see_is_inconclusive():
    rng = np.random.default_rng(2)
    found = verdict(record(rng, between=0.08, visits=3), record(rng, between=0.08, visits=3, p50_ms=10.4))
    assert found.verdict == "inconclusive"
    assert found.detectable > 0.1


def test_one_visit_concludes_nothing():
    rng = np.random.default_rng(3)
    found = verdict(record(rng, visits=1), record(rng, visits=1, p50_ms=20))
    assert found.verdict == "inconclusive"
    assert "3 rounds" in found.reason
    assert found.detectable is None


def test_models_on_one_side_and_failures_are_named():
    rng = np.random.default_rng(4)
    a, b, c = (record(rng, name) for name in "abc")
    broken = replace(c, measurement=None, error="timing failed: killed")
    result = comparison.compare(run_of(a, c), run_of(b, broken))
    kinds = {v.case: v.verdict for v in result.verdicts}
    assert kinds == {"a": "missing", "b": "added", "c": "failed"}
    assert comparison.exit_code(result) == 5
    assert next(v.reason for v in result.verdicts if v.case == "c") == "timing failed: killed"


def test_a_redefined_case_is_not_compared():
    rng = np.random.default_rng(5)
    old = record(rng)
    assert verdict(old, replace(old, case=replace(old.case, batch_size=8))).verdict == "missing"
    assert verdict(old, replace(old, case=replace(old.case, weights="imagenet"))).verdict == "equivalent"


@pytest.mark.parametrize(
    ("machine", "settings", "key"),
    [
        (replace(MACHINE, must_match={"cpu": "B", "cores": 2}), SETTINGS, "cpu: A -> B"),
        (
            MACHINE,
            replace(SETTINGS, provider="CUDAExecutionProvider"),
            "provider: CPUExecutionProvider -> CUDAExecutionProvider",
        ),
    ],
)
def test_runs_that_do_not_compare_are_refused_unless_forced(machine, settings, key):
    rng = np.random.default_rng(6)
    old, new = run_of(record(rng)), run_of(record(rng), machine=machine, settings=settings)
    with pytest.raises(NotComparable, match="--force") as refused:
        comparison.compare(old, new)
    assert key in str(refused.value)
    assert refused.value.exit_code == 4
    forced = comparison.compare(old, new, force=True)
    assert forced.forced
    assert forced.differing == (key,)


def drifted(**facts):
    return replace(MACHINE, may_drift=MACHINE.may_drift | facts)


@pytest.mark.parametrize(
    ("sha", "machine", "settings", "expected"),
    [
        ("b", MACHINE, SETTINGS, [("file made anew",), ()]),
        ("a", drifted(onnxruntime="onnxruntime 1.21"), SETTINGS,
         [(), (f"onnxruntime: {MACHINE.may_drift.get('onnxruntime')} -> onnxruntime 1.21",)]),
        ("a", MACHINE, replace(SETTINGS, min_time_s=0.1), [(), (f"min time s: {SETTINGS.min_time_s} -> 0.1",)]),
        ("a", drifted(peak_gflops=80.0), SETTINGS,
         [(), (f"peak gflops: {MACHINE.may_drift['peak_gflops']} -> 80.0",)]),
        ("a", drifted(peak_gflops=95.0), replace(SETTINGS, rounds=9, seed=1), [(), ()]),
    ],
)  # fmt: skip
def test_what_changed_is_said_in_the_words_of_its_key(sha, machine, settings, expected):
    rng = np.random.default_rng(7)
    old = run_of(record(rng, between=0.003))
    new = run_of(record(rng, between=0.003, p50_ms=11.0, sha=sha), machine=machine, settings=settings)
    whole = comparison.compare(old, new)
    found = whole.verdicts[0]
    assert (found.verdict, [found.attribution, whole.changed]) == ("suspect", expected)


def test_when_all_models_move_together_the_machine_is_named():
    rng = np.random.default_rng(8)
    old = run_of(*(record(rng, name, between=0.003) for name in "abcde"))
    new = run_of(*(record(rng, name, between=0.003, p50_ms=11.0) for name in "abcde"))
    assert all((v.reason or "").endswith("the machine") for v in comparison.compare(old, new).verdicts)
    other = replace(new, machine=drifted(peak_gflops=80.0))
    assert not any((v.reason or "").endswith("the machine") for v in comparison.compare(old, other).verdicts)


def test_chance_among_many_models_is_withdrawn_with_its_reason():
    verdicts = [
        (comparison.Verdict(case=str(i), verdict="suspect" if i == 0 else "inconclusive", ratio=1.05), p)
        for i, p in enumerate([0.008] + [0.6] * 11)
    ]
    first = comparison._controlled(verdicts, 0.03, False)[0]
    assert first.verdict == "inconclusive"
    assert "12 models" in first.reason
    assert comparison._controlled(verdicts[:1], 0.03, False)[0].verdict == "suspect"


def test_false_discoveries_are_controlled_among_the_discoveries():
    """Benjamini and Hochberg at 5 %: of four, the second smallest may be up to 2.5 %; Bonferroni would allow 1.25 %."""
    verdicts = [
        (comparison.Verdict(case=str(i), verdict="suspect", ratio=1.05), p)
        for i, p in enumerate([0.01, 0.0225, 0.045, 0.6])
    ]
    kinds = [v.verdict for v in comparison._controlled(verdicts, 0.03, False)]
    assert kinds == ["suspect", "suspect", "inconclusive", "inconclusive"]


def test_an_interval_wholly_beyond_the_margin_is_a_suspect_however_wide():
    """Three visits each to a slow model on a noisy machine: +181 % [+55, +420]."""
    rng = np.random.default_rng(3)
    before, after = (record(rng, visits=3).measurement for _ in range(2))
    before = replace(before, p50_ms=1289.0, p50_ms_low=1000.0, p50_ms_high=1700.0)
    after = replace(after, p50_ms=3628.0, p50_ms_low=2150.0, p50_ms_high=6500.0)
    found = comparison.of_figures(before, after, 0.03)
    assert found.ratio_low > 1.5
    assert found.verdict == "suspect"


def test_noise_widens_the_interval_and_never_the_margin():
    """Of five models one happens to show visits that agree; the others tell how far visits lie apart here."""
    rng = np.random.default_rng(9)
    noisy = [[record(rng, name, between=0.04) for name in "abcd"] for _ in range(2)]
    calm = [record(rng, "e", between=0.0005, p50_ms=p50_ms) for p50_ms in (10, 10.05)]
    alone = comparison.compare(*(run_of(side) for side in calm))
    result = comparison.compare(*(run_of(*others, side) for others, side in zip(noisy, calm, strict=True)))
    assert result.margin == alone.margin == 0.03
    assert alone.verdicts[0].verdict == "equivalent"
    last = result.verdicts[-1]
    assert result.noise == pytest.approx(0.04, rel=0.4)
    assert last.verdict == "inconclusive"
    assert last.ratio_high / last.ratio_low - 1 > 2 * 2 * result.noise * (2 / 5) ** 0.5
    assert re.search(r"--rounds \d+|ab", last.reason)


@pytest.mark.long
@pytest.mark.parametrize(("between", "expected"), [(0.012, r"both runs with --rounds (\d+)"), (0.1, "any number")])
def test_what_an_inconclusive_model_would_take_is_enough(between, expected):
    rng = np.random.default_rng(10)
    reasons = [verdict(record(rng, between=between), record(rng, between=between)).reason or "" for _ in range(12)]
    rounds = [int(found[1]) for reason in reasons if (found := re.search(r"--rounds (\d+)", reason))]
    assert sum(bool(re.search(expected, reason)) for reason in reasons) >= 3
    if rounds and between < 0.05:
        many = sorted(rounds)[-1]
        pairs = [(record(rng, between=between, visits=many), record(rng, between=between, visits=many, p50_ms=10.6))
                 for _ in range(20)]  # fmt: skip
        assert sum(verdict(*pair).verdict == "suspect" for pair in pairs) >= 16


@pytest.mark.parametrize(
    ("kinds", "fail_on", "code"),
    [
        (["equivalent", "faster", "added"], "inconclusive", 0),
        (["equivalent", "slower"], "regression", 1),
        (["inconclusive"], "regression", 0),
        (["inconclusive"], "inconclusive", 3),
        (["missing", "slower"], "regression", 1),
        (["missing"], "regression", 5),
        (["added", "added"], "regression", 4),
        ([], "regression", 4),
        (["added", "missing"], "regression", 5),
        (["equivalent", "suspect"], "regression", 3),
        (["suspect", "slower"], "regression", 1),
    ],
)
def test_exit_codes(kinds, fail_on, code):
    compared = {"equivalent", "faster", "slower", "inconclusive", "suspect"}
    verdicts = tuple(
        comparison.Verdict(case=str(i), verdict=kind, ratio=1.1 if kind in compared else None)
        for i, kind in enumerate(kinds)
    )
    made = comparison.Comparison(
        suite="s",
        baseline_started_at="",
        run_started_at="",
        margin=0.03,
        noise=None,
        forced=False,
        differing=(),
        verdicts=verdicts,
        anew=True,
    )
    assert comparison.exit_code(made, fail_on) == code
    stored = comparison.exit_code(replace(made, anew=False), fail_on)
    assert stored == (0 if code == 3 and "suspect" in kinds else code)
    assert any("confirmed" in line and "not" not in line for line in comparison.conclusion(made)) == (code == 1)


def own_file(path: str, content: str, *, precision: str = "fp32", name: str = "model") -> Record:
    made = runs.record(Case(name=name, model=path, precision=precision))
    assert made.artifact is not None
    return replace(made, artifact=replace(made.artifact, sha256=content))


@pytest.mark.parametrize(
    ("before", "after", "compared"),
    [
        (own_file("resnet/model.onnx", "a"), own_file("vit/model.onnx", "b"), False),
        (own_file("/ci/1/resnet/model.onnx", "a"), own_file("/ci/2/resnet/model.onnx", "b"), False),
        (own_file("resnet/model.onnx", "a"), own_file("vit/model.onnx", "a"), True),
        (own_file("resnet/model.onnx", "a"), own_file("/home/me/resnet/model.onnx", "b"), True),
        (own_file("resnet/model.onnx", "a"), own_file("resnet/model.onnx", "b", precision="int8"), True),
        (own_file("old.onnx", "a", name="m"), own_file("new.onnx", "b", name="m"), True),
    ],
)
def test_a_file_of_that_name_elsewhere_is_another_thing(before: Record, after: Record, compared: bool) -> None:
    (verdict,) = comparison.compare(runs.run([before]), runs.run([after])).verdicts
    assert (verdict.ratio is not None) == compared
    assert (verdict.verdict == "missing") != compared


def test_a_renamed_case_is_missing_and_its_new_name_said():
    rng = np.random.default_rng(0)
    old, other = record(rng, "a", sha="1"), record(rng, "b", sha="2")
    same, new = record(rng, "alpha", sha="1"), record(rng, "c", sha="3")
    reasons = {v.case: v.reason for v in comparison.compare(run_of(old, other), run_of(same, new)).verdicts}
    assert reasons["a"] == (
        "in the baseline, but not in the run; alpha is the same file: give it the old name, or save a new baseline"
    )
    assert reasons["b"] == "in the baseline, but not in the run"
