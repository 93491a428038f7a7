"""Regressions confirmed or withdrawn by fresh visits."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench import store
from bench.analysis import comparison
from bench.cli import root
from bench.errors import Failed
from bench.export import cache, file_sha256
from bench.machine import facts
from bench.records import Case, Comparison, Machine, Run, Verdict
from bench.trust import ab, confirmation
from bench.trust.trial import Judgement, Trial
from tests import runs
from tests.pipeline.test_pipeline import call, own_place  # noqa: F401 - its lock, folder and short visits
from tests.timing.test_timing import write_model

HERE = facts.collect("cpu", 2)


def run_of(path: Path, *, sha: str | None = None, key: str | None = None, on: Machine = HERE) -> Run:
    made = runs.record(Case(name="m", model=str(path), threads=2))
    assert made.artifact is not None
    case = replace(made.case, model="VGG16") if key else made.case
    artifact = replace(made.artifact, sha256=sha or file_sha256(path), key=key)
    return runs.run([replace(made, case=case, artifact=artifact)], on=on)


def slower(**more: Any) -> Comparison:
    verdict = Verdict(case="m", verdict="slower", ratio=1.08, ratio_low=1.05, ratio_high=1.11, p50_ms=2.0)
    return Comparison(
        suite="s", baseline_started_at="", run_started_at="", margin=0.03, noise=None, forced=False, differing=(),
        verdicts=(verdict, Verdict(case="other", verdict="equivalent")), **more,
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
    ("said", "confirmed", "code", "words"),
    [
        ("slower", True, 1, "confirmed: 14 fresh pairs say +6.0 % [+4.0 %, +8.0 %], slower"),
        ("equivalent", False, 0, "withdrawn: 14 fresh pairs"),
        ("inconclusive", False, 0, "inconclusive"),
    ],
)
def test_fresh_visits_of_the_two_files_confirm_or_withdraw(
    monkeypatch: pytest.MonkeyPatch, files: tuple[Path, Path], said: str, confirmed: bool, code: int, words: str
) -> None:
    trials = Trials(monkeypatch, said)
    told: list[str] = []
    found = confirmation.confirm(run_of(files[0]), run_of(files[1]), slower(), on_case=told.append)
    verdict, other = found.verdicts
    assert (verdict.verdict, verdict.confirmed) == ("slower", confirmed)
    assert words in (verdict.reason or "")
    assert comparison.exit_code(found) == code
    assert other == slower().verdicts[1]
    ((a, b, setup, more),) = trials.asked
    assert (a.path, b.path) == files
    assert (setup.threads, more["margin"]) == (2, 0.03)
    assert told == ["m"]


def test_the_same_file_cannot_be_slower_than_itself(monkeypatch: pytest.MonkeyPatch, files: tuple[Path, Path]) -> None:
    trials = Trials(monkeypatch)
    found = confirmation.confirm(run_of(files[0]), run_of(files[0]), slower())
    assert (found.verdicts[0].confirmed, found.verdicts[0].reason) == (False, confirmation.SAME_FILE)
    assert comparison.exit_code(found, "inconclusive") == 3
    assert trials.asked == []


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
        (verdict, _) = confirmation.confirm(old, new, slower()).verdicts
        assert verdict.confirmed is None
        assert words in (verdict.reason or "")
        assert comparison.exit_code(replace(slower(), verdicts=(verdict,))) == 1
    forced = replace(slower(), forced=True)
    assert confirmation.confirm(a, a, forced).verdicts[0].confirmed is None
    monkeypatch.setattr(facts, "runtime_version", lambda: "not installed")
    assert "not installed here" in (confirmation.confirm(a, b, slower()).verdicts[0].reason or "")
    assert trials.asked == []


def test_a_changed_runtime_beside_a_changed_file_is_confirmed_but_never_withdrawn(
    monkeypatch: pytest.MonkeyPatch, files: tuple[Path, Path]
) -> None:
    old, new = run_of(files[0], on=changed(onnxruntime="onnxruntime 1.0")), run_of(files[1])
    Trials(monkeypatch, "slower")
    assert confirmation.confirm(old, new, slower()).verdicts[0].confirmed is True
    Trials(monkeypatch, "equivalent")
    assert confirmation.confirm(old, new, slower()).verdicts[0].confirmed is None


def test_exported_files_come_from_the_cache_and_a_failing_trial_withdraws_nothing(
    monkeypatch: pytest.MonkeyPatch, files: tuple[Path, Path], tmp_path: Path
) -> None:
    monkeypatch.setenv("BACKBENCH_CACHE", str(tmp_path / "cache"))
    made = []
    for key, path in zip("kl", files, strict=True):
        (cache.folder() / key).mkdir(parents=True)
        (cache.folder() / key / cache.MODEL).write_bytes(path.read_bytes())
        made.append(run_of(path, key=key))
    trials = Trials(monkeypatch)
    assert confirmation.confirm(*made, slower()).verdicts[0].confirmed is True
    assert [side.path.parent.name for side in trials.asked[0][:2]] == ["k", "l"]

    def fails(*_: Any, **__: Any) -> Trial:
        raise Failed("A (x.onnx): killed")

    monkeypatch.setattr(ab, "measure", fails)
    verdict = confirmation.confirm(*made, slower()).verdicts[0]
    assert (verdict.confirmed, verdict.reason) == (None, "not confirmed: A (x.onnx): killed")


def test_a_slower_file_fails_the_gate_after_fresh_visits_and_not_without_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("MIN_TIME_S", 0.02), ("MIN_COUNT", 5), ("WARMUP_S", 0.15)):
        monkeypatch.setattr(ab, name, value)
    monkeypatch.setattr(confirmation.confirm, "__kwdefaults__", confirmation.confirm.__kwdefaults__ | {"budget_s": 20})
    for name, steps in (("old", 10), ("new", 90)):
        write_model(tmp_path / f"{name}.onnx", (8, 4096), steps=steps)
    suite = tmp_path / "mine.toml"
    suite.write_text('models = []\n[[case]]\nname = "m"\nmodel = "old.onnx"\n')
    assert call(capsys, "run", "mine.toml", "--rounds", "3")[0] == 0
    assert call(capsys, "baseline", "save")[0] == 0
    suite.write_text('models = []\n[[case]]\nname = "m"\nmodel = "new.onnx"\n')
    code, out, err = call(capsys, "run", "mine.toml", "--rounds", "3")
    compared = comparison.compare(*(each.run for each in store.runs(Path("results"))[-2:]))
    if compared.verdicts[0].verdict != "slower":
        pytest.skip("this machine is too noisy just now to see three times the time in three rounds")
    assert code == 1
    assert "confirming m" in err
    assert "m: confirmed: " in out
    code, out, err = call(capsys, "compare", "--json", "--no-confirm")
    assert (code, err) == (1, "")
    assert json.loads(out)["verdicts"][0]["confirmed"] is None
    (tmp_path / "old.onnx").unlink()
    code, out, _ = call(capsys, "compare")
    assert code == 1
    assert "the baseline's file is gone" in out


def test_without_a_regression_nothing_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Comparison] = []
    monkeypatch.setattr(confirmation, "confirm", lambda _old, _new, found, **_: asked.append(found))
    calm = replace(slower(), verdicts=slower().verdicts[1:])
    made = runs.of_suite("default")
    assert root.confirmed(made, made, calm) is calm
    assert asked == []
    root.confirmed(made, made, slower())
    assert asked == [slower()]
