"""Regressions confirmed or withdrawn by fresh visits."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench import runtimes, store
from bench.analysis import comparison
from bench.cli import root
from bench.errors import Failed
from bench.export import cache
from bench.machine import facts
from bench.models.file import file_sha256
from bench.records import Case, Comparison, Machine, Run, Verdict
from bench.trust import ab, confirmation
from bench.trust.trial import Judgement, Trial
from tests import runs
from tests.pipeline.test_pipeline import call, own_place  # noqa: F401 - its lock, folder and short visits
from tests.timing.test_timing import write_model

HERE = facts.collect("cpu", 2, runtimes.versions(["onnxruntime"]))


def run_of(path: Path, *, sha: str | None = None, key: str | None = None, on: Machine = HERE) -> Run:
    made = runs.record(Case(name="m", model=str(path), threads=2))
    assert made.artifact is not None
    case = replace(made.case, model="VGG16") if key else made.case
    artifact = replace(made.artifact, sha256=sha or file_sha256(path), key=key)
    return runs.run([replace(made, case=case, artifact=artifact)], on=on)


def suspect(**more: Any) -> Comparison:
    verdict = Verdict(case="m", verdict="suspect", ratio=1.08, ratio_low=1.05, ratio_high=1.11, p50_ms=2.0)
    return Comparison(
        suite="s", baseline_started_at="", run_started_at="", margin=0.03, noise=None, forced=False, differing=(),
        verdicts=(verdict, Verdict(case="other", verdict="equivalent", ratio=1.0)), **more,
    )  # fmt: skip


class Trials:
    """Stands in for the measuring: answers with one verdict, and keeps what it was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, verdict: str = "slower") -> None:
        self.verdict, self.asked = verdict, list[tuple[ab.Side, ab.Side, ab.Setup, dict[str, Any]]]()
        monkeypatch.setattr(ab, "measure", self.measure)

    def measure(self, a: ab.Side, b: ab.Side, setup: ab.Setup, **more: Any) -> Trial:
        self.asked.append((a, b, setup, more))
        judgement = Judgement(
            verdict=self.verdict, ratio=1.06, ratio_low=1.04, ratio_high=1.08, p=0.001, detectable=0.01, pairs=14
        )  # fmt: skip
        return Trial(
            judgement=judgement, margin=0.03, a_p50_ms=1.0, b_p50_ms=1.06, a_runtime="", b_runtime="", same_file=False,
            threads=2, provider=runs.PROVIDER, seconds=30.0, stopped="decided", pairs=(),
        )  # fmt: skip


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return write_model(tmp_path / "old.onnx"), write_model(tmp_path / "new.onnx", steps=3)


@pytest.mark.parametrize(
    ("said", "verdict", "confirmed", "code", "words"),
    [
        ("slower", "slower", True, 1, "confirmed: 14 fresh pairs say +6.0 % [+4.0 %, +8.0 %], slower"),
        ("equivalent", "equivalent", False, 0, "withdrawn: 14 fresh pairs"),
        ("faster", "faster", False, 0, "withdrawn: 14 fresh pairs"),
        ("inconclusive", "suspect", None, 3, "not confirmed: 14 fresh pairs say +6.0 % [+4.0 %, +8.0 %], inconclusive; "
         "so many pairs cannot see less than 1.0 %: raise --budget"),
    ],
)  # fmt: skip
def test_only_fresh_visits_that_say_something_decide(
    monkeypatch: pytest.MonkeyPatch, files: tuple[Path, Path], said: str, verdict: str, confirmed: bool | None,
    code: int, words: str,
) -> None:  # fmt: skip
    trials = Trials(monkeypatch, said)
    told: list[str] = []
    answer = confirmation.confirm(run_of(files[0]), run_of(files[1]), suspect(), on_case=told.append)
    first, other = answer.verdicts
    assert (first.verdict, first.confirmed) == (verdict, confirmed)
    assert words in (first.reason or "")
    assert first.ratio == (1.08 if confirmed is None else 1.06)
    assert comparison.exit_code(answer) == code
    assert other == suspect().verdicts[1]
    ((a, b, setup, more),) = trials.asked
    assert (a.path, b.path) == files
    assert (setup.threads, more["margin"]) == (2, 0.03)
    assert told == ["m"]


def test_the_same_file_cannot_be_slower_than_itself(monkeypatch: pytest.MonkeyPatch, files: tuple[Path, Path]) -> None:
    trials = Trials(monkeypatch)
    answer = confirmation.confirm(run_of(files[0]), run_of(files[0]), suspect())
    first = answer.verdicts[0]
    assert (first.verdict, first.confirmed, first.reason) == ("equivalent", False, confirmation.SAME_FILE)
    assert comparison.exit_code(answer) == 0
    assert trials.asked == []


class Visits:
    """Worker processes that take as long as a slow model does, on a clock of their own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seconds: dict[str, float]) -> None:
        self.now, self.seconds = 0.0, seconds
        monkeypatch.setattr(ab.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(ab.process, "visit", self.visit)

    def visit(self, spec: dict[str, Any], **_: object) -> dict[str, Any]:
        each = self.seconds[Path(spec["path"]).stem]
        self.now += each * (2 + spec["min_count"])
        return {
            "samples_ns": [int(1e9 * each)] * spec["min_count"], "sampling_ns": 1e9 * each * spec["min_count"],
            "copy_samples_ns": [], "warmup_ns": [], "warmed_up": False, "load_ms": 1.0, "first_inference_ms": 1.0,
            "peak_rss_bytes": 1, "provider": "CPU", "threads": 1, "provider_nodes": {}, "precisions": {},
            "health": {}, "runtime": "1.0",
        }  # fmt: skip


@pytest.mark.parametrize(
    ("old_s", "new_s", "budget_s", "verdict", "code", "words"),
    [
        (0.3, 0.9, None, "slower", 1, "10 fresh pairs say"),
        (0.844, 2.709, None, "slower", 1, "8 fresh pairs say"),
        (2.709, 0.844, None, "faster", 0, "8 fresh pairs say"),
        (0.844, 2.709, 40.0, "suspect", 3, "a verdict needs 8 pairs, about 2 min"),
        (20.0, 60.0, None, "suspect", 3, "1 fresh pair says +200.0 % [?, ?], inconclusive; a verdict needs 8 pairs"),
    ],
)  # fmt: skip
def test_a_slow_model_gets_the_pairs_that_a_verdict_needs(
    monkeypatch: pytest.MonkeyPatch, files: tuple[Path, Path], old_s: float, new_s: float, budget_s: float | None,
    verdict: str, code: int, words: str,
) -> None:  # fmt: skip
    clock = Visits(monkeypatch, {"old": old_s, "new": new_s})
    made = replace(suspect().verdicts[0], ratio=new_s / old_s)
    stored = replace(suspect(), verdicts=(made, *suspect().verdicts[1:]))
    answer = confirmation.confirm(run_of(files[0]), run_of(files[1]), stored, budget_s=budget_s)
    assert answer.verdicts[0].verdict == verdict
    assert words in (answer.verdicts[0].reason or "")
    assert comparison.exit_code(answer) == code
    assert clock.now <= confirmation.LIMIT_S


def changed(**facts: Any) -> Machine:
    return replace(HERE, may_drift=HERE.may_drift | facts)


def test_what_cannot_be_confirmed_here_fails_the_gate_and_says_why(
    monkeypatch: pytest.MonkeyPatch, files: tuple[Path, Path]
) -> None:
    trials = Trials(monkeypatch)
    a, b = (run_of(path) for path in files)
    elsewhere = Machine(must_match=HERE.must_match | {"cpu": "Z"}, may_drift=HERE.may_drift, informs={})
    older = changed(onnxruntime="onnxruntime 1.0")
    gone = files[0].with_name("gone.onnx")
    situations = [
        (run_of(files[0], on=elsewhere), run_of(files[1], on=elsewhere), "not the machine of the run"),
        (a, run_of(files[1], on=older), "measured with onnxruntime 1.0"),
        (run_of(files[1], on=older), b, "--python-a"),
        (run_of(gone, sha="gone"), b, "the baseline's file is gone"),
        (a, run_of(files[1], sha="overwritten since"), "the run's file is gone"),
    ]
    for old, new, words in situations:
        (verdict, _) = confirmation.confirm(old, new, suspect()).verdicts
        assert verdict.confirmed is None
        assert words in (verdict.reason or "")
        assert verdict.verdict == "suspect"
        assert comparison.exit_code(replace(suspect(), anew=True, verdicts=(verdict,))) == 3
    forced = replace(suspect(), forced=True)
    assert confirmation.confirm(a, a, forced).verdicts[0].confirmed is None
    monkeypatch.setattr(runtimes, "installed", lambda name: None)
    assert "not installed" in (confirmation.confirm(a, b, suspect()).verdicts[0].reason or "")
    assert trials.asked == []


def test_a_changed_runtime_beside_a_changed_file_is_confirmed_but_never_withdrawn(
    monkeypatch: pytest.MonkeyPatch, files: tuple[Path, Path]
) -> None:
    old, new = run_of(files[0], on=changed(onnxruntime="onnxruntime 1.0")), run_of(files[1])
    Trials(monkeypatch, "slower")
    assert confirmation.confirm(old, new, suspect()).verdicts[0].confirmed is True
    Trials(monkeypatch, "equivalent")
    assert confirmation.confirm(old, new, suspect()).verdicts[0].confirmed is None


def test_exported_files_come_from_the_cache_and_a_failing_trial_withdraws_nothing(
    monkeypatch: pytest.MonkeyPatch, files: tuple[Path, Path], tmp_path: Path
) -> None:
    monkeypatch.setenv("BACKBENCH_CACHE", str(tmp_path / "cache"))
    made = []
    for key, path in zip("kl", files, strict=True):
        (cache.folder() / key).mkdir(parents=True)
        (cache.folder() / key / "model.onnx").write_bytes(path.read_bytes())
        made.append(run_of(path, key=key))
    trials = Trials(monkeypatch)
    assert confirmation.confirm(*made, suspect()).verdicts[0].confirmed is True
    assert [side.path.parent.name for side in trials.asked[0][:2]] == ["k", "l"]

    def fails(*_: Any, **__: Any) -> Trial:
        raise Failed("A (x.onnx): killed")

    monkeypatch.setattr(ab, "measure", fails)
    verdict = confirmation.confirm(*made, suspect()).verdicts[0]
    assert (verdict.confirmed, verdict.reason) == (None, "not confirmed: A (x.onnx): killed")


def test_a_slower_file_fails_the_gate_after_fresh_visits_and_is_a_suspect_without_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    trials = Trials(monkeypatch, "slower")
    old, new = (write_model(tmp_path / f"{name}.onnx", steps=n) for name, n in (("old", 2), ("new", 3)))
    store.save_baseline(Path("results"), run_of(old))
    measured = run_of(new)
    slow = runs.record(measured.records[0].case, factor=3.0)
    made = replace(measured, started_at="2026-03-02T10:00:00Z")
    made = replace(made, records=(replace(slow, artifact=measured.records[0].artifact),))
    store.create(Path("results"), made)
    code, out, err = call(capsys, "compare", "--json", "--stored")
    (verdict,) = json.loads(out)["verdicts"]
    assert (code, err, verdict["verdict"], verdict["confirmed"]) == (0, "", "suspect", None)
    assert trials.asked == []
    code, out, err = call(capsys, "compare", "--budget", "30")
    assert trials.asked[0][3]["budget_s"] == pytest.approx(30, abs=2)
    assert "measuring m anew" in err
    assert "m: confirmed: " in out
    assert "a regression is confirmed: m" in out
    assert code == 1
    old.unlink()
    code, out, _ = call(capsys, "compare")
    assert code == 3
    assert "the baseline's file is gone" in out
    assert "may be slower, not confirmed: m" in out
    assert "a regression is confirmed" not in out


def test_without_a_suspect_nothing_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Comparison] = []
    monkeypatch.setattr(confirmation, "confirm", lambda _old, _new, found, **_: asked.append(found))
    calm = replace(suspect(), verdicts=suspect().verdicts[1:])
    made = runs.of_suite("default")
    assert root.measured_anew(made, made, calm) == replace(calm, anew=True)
    assert asked == []
    root.measured_anew(made, made, suspect())
    assert asked == [suspect()]
