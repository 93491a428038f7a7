"""Comparisons whose two files are measured anew, side by side, on whatever machine."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench import runtimes, store
from bench.analysis import comparison
from bench.errors import BenchError
from bench.export import cache
from bench.machine import facts
from bench.models.file import file_sha256
from bench.processes import versions
from bench.records import Case, Comparison, Machine, Run, Verdict
from bench.store import Stored
from bench.trust import ab, anew, baseline, contest
from bench.trust.anew import Asked
from tests import runs
from tests.export.test_portable import network
from tests.machines import Machine as MadeUpMachine
from tests.machines import Spec
from tests.pipeline.test_pipeline import call, own_place  # noqa: F401 - its lock, folder and short visits
from tests.timing.test_timing import write_model


@pytest.fixture(autouse=True)
def own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store of files of the test's own: what others have kept is found by content, whatever it is called."""
    monkeypatch.setenv("BACKBENCH_CACHE", str(tmp_path / "store"))


HERE = facts.collect("cpu", 2, runtimes.versions(["onnxruntime"]))
ELSEWHERE = replace(HERE, must_match=HERE.must_match | {"cpu": "Z", "threads": 64})


def run_of(*paths: Path, key: str | None = None, on: Machine = HERE, p50: float = 1.0, **more: Any) -> Run:
    """A run of these files, by their stems; with a key they are exports."""
    records = []
    for path in paths:
        made = runs.record(Case(name=path.stem.split("-")[-1], model=str(path), threads=2), factor=p50)
        assert made.artifact is not None
        case = replace(made.case, model="VGG16") if key else made.case
        sha256 = file_sha256(path) if path.exists() else "gone"
        records.append(replace(made, case=case, artifact=replace(made.artifact, sha256=sha256, key=key)))
    return replace(runs.run(records, on=on), **more)


def stored(run: Run, folder: Path = Path("nowhere")) -> Stored:
    return Stored(folder, run)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Two files of the case m."""
    return write_model(tmp_path / "old-m.onnx"), write_model(tmp_path / "new-m.onnx", steps=3)


def machine(
    monkeypatch: pytest.MonkeyPatch, ratio: float, visit_s: float = 1.0, spread: float = 0.004
) -> MadeUpMachine:
    """A machine on which every new file takes so many times as long as the old one."""

    def p50_ms(spec: Spec) -> float:
        return 10 * (ratio if Path(spec["path"]).name.startswith("new") else 1.0)

    made = MadeUpMachine(monkeypatch, p50_ms, visit_s=visit_s, spread=spread)
    monkeypatch.setattr(contest, "time", made.clock)
    return made


def compared(old: Run, new: Run, **asked: Any) -> Comparison:
    return anew.measured(stored(old), stored(new), comparison.compare(old, new, figures=None), Asked(**asked))


@pytest.mark.parametrize(
    ("truth", "verdict", "confirmed", "code"),
    [(1.1, "slower", True, 1), (1 / 1.1, "faster", True, 0), (1.0, "equivalent", False, 0)],
)
@pytest.mark.parametrize("on", [HERE, ELSEWHERE])
@pytest.mark.parametrize("figures", [1.0, 3.0])
def test_what_the_files_are_worth_here_decides_whatever_is_stored(
    monkeypatch: pytest.MonkeyPatch, files: tuple[Path, Path], truth: float, verdict: str, confirmed: bool, code: int,
    on: Machine, figures: float,
) -> None:  # fmt: skip
    machine(monkeypatch, truth)
    answer = compared(run_of(files[0], on=on), run_of(files[1], p50=figures))
    (found,) = answer.verdicts
    assert (found.verdict, found.confirmed, comparison.exit_code(answer)) == (verdict, confirmed, code)
    assert found.ratio == pytest.approx(truth, rel=0.01)
    assert found.pairs
    assert found.baseline_p50_ms == pytest.approx(10, rel=0.01)
    assert found.attribution == ((comparison.FILE_CHANGED,) if confirmed else ())
    assert f"{found.pairs} pairs in " in (found.reason or "")
    assert f"1 model in {found.pairs} pairs" in " ".join(comparison.conclusion(answer))


def test_stored_figures_of_another_machine_are_not_held_against_these(files: tuple[Path, Path]) -> None:
    old, new = run_of(files[0], on=ELSEWHERE), run_of(files[1], p50=3.0)
    found = comparison.compare(old, new, figures=None)
    assert [v.verdict for v in found.verdicts] == ["inconclusive"]
    assert found.verdicts[0].ratio is None
    assert "of different machines" in (found.verdicts[0].reason or "")
    assert any("measures both here" in line for line in comparison.conclusion(found))


def test_the_same_file_under_the_same_runtime_needs_no_measuring(
    monkeypatch: pytest.MonkeyPatch, files: tuple[Path, Path]
) -> None:
    used = machine(monkeypatch, 2.0)
    answer = compared(run_of(files[0]), run_of(files[0], p50=3.0))
    (found,) = answer.verdicts
    assert (found.verdict, found.pairs, found.ratio, found.reason) == ("equivalent", 0, 1.0, anew.SAME)
    assert comparison.exit_code(answer) == 0
    assert "1 without measuring" in " ".join(comparison.conclusion(answer))
    assert used.specs == []


def test_a_suspect_stays_one_until_there_is_evidence(monkeypatch: pytest.MonkeyPatch, files: tuple[Path, Path]) -> None:
    machine(monkeypatch, 1.05, spread=0.2)
    old, new = run_of(files[0]), run_of(files[1], p50=1.5)
    answer = compared(old, new, budget_s=20.0)
    (found,) = answer.verdicts
    assert (found.verdict, found.confirmed) == ("suspect", None)
    assert found.ratio == pytest.approx(1.5, rel=1e-4)
    assert "not confirmed: " in (found.reason or "")
    assert "for this model: raise --budget" in (found.reason or "")
    assert comparison.exit_code(answer) == 3
    calm = compared(run_of(files[0], on=ELSEWHERE), new, budget_s=20.0)
    assert (calm.verdicts[0].verdict, comparison.exit_code(calm)) == ("inconclusive", 0)
    assert comparison.exit_code(calm, "inconclusive") == 3


@pytest.mark.parametrize(
    ("old_s", "new_s", "budget_s", "verdict", "code"),
    [(0.844, 2.709, None, "slower", 1), (2.709, 0.844, None, "faster", 0), (20.0, 60.0, 40.0, "suspect", 3)],
)
def test_slow_models_get_the_pairs_that_a_verdict_needs(
    monkeypatch: pytest.MonkeyPatch, files: tuple[Path, Path], old_s: float, new_s: float, budget_s: float | None,
    verdict: str, code: int,
) -> None:  # fmt: skip
    machine(monkeypatch, new_s / old_s, visit_s=4 * (old_s + new_s))
    answer = compared(run_of(files[0], p50=old_s), run_of(files[1], p50=new_s), budget_s=budget_s)
    assert (answer.verdicts[0].verdict, comparison.exit_code(answer)) == (verdict, code)


def test_what_cannot_be_measured_is_no_pass_for_a_suspect_and_says_why(
    monkeypatch: pytest.MonkeyPatch, files: tuple[Path, Path]
) -> None:
    used = machine(monkeypatch, 1.5)
    gone = files[0].with_name("gone-m.onnx")
    for old, new, words in (
        (run_of(gone), run_of(files[1], p50=2.0), "the baseline's file is gone"),
        (run_of(files[0]), run_of(gone, p50=2.0), "the run's file is gone"),
    ):
        named = replace(old, records=(replace(old.records[0], case=replace(old.records[0].case, name="m")),))
        answer = compared(named, new)
        (found,) = answer.verdicts
        assert (found.verdict, comparison.exit_code(answer)) == ("suspect", 3)
        assert words in (found.reason or "")
    monkeypatch.setattr(runtimes, "installed", lambda name: None)
    answer = compared(run_of(files[0]), run_of(files[1], p50=2.0))
    assert "not installed" in (answer.verdicts[0].reason or "")
    assert used.specs == []


def test_all_models_share_one_budget_suspects_first_and_only_suspects_if_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    names = "abcd"
    old = [write_model(tmp_path / f"old-{name}.onnx", steps=n) for n, name in enumerate(names, 1)]
    new = [write_model(tmp_path / f"new-{name}.onnx", steps=n) for n, name in enumerate(names, 11)]
    used = machine(monkeypatch, 1.2)
    before, now = run_of(*old), run_of(*new)
    slow = run_of(*new, p50=1.4)
    now = replace(now, records=(*now.records[:2], slow.records[2], now.records[3]))
    answer = compared(before, now)
    assert [v.verdict for v in answer.verdicts] == ["slower"] * 4
    assert Path(used.specs[0]["path"]).stem == "old-c"
    assert used.now <= anew.BUDGET_S * 4
    used.specs.clear()
    answer = compared(before, now, only_suspects=True)
    assert {Path(spec["path"]).stem for spec in used.specs} == {"old-c", "new-c"}
    assert [v.verdict for v in answer.verdicts][2] == "slower"


def test_missing_and_failed_models_stay_so(monkeypatch: pytest.MonkeyPatch, files: tuple[Path, Path]) -> None:
    machine(monkeypatch, 1.0)
    old = run_of(files[0])
    missing = replace(old, records=())
    answer = compared(old, missing)
    assert [v.verdict for v in answer.verdicts] == ["missing"]
    assert comparison.exit_code(answer) == 5


OLD_RUNTIME = replace(HERE, may_drift=HERE.may_drift | {"onnxruntime": "onnxruntime 0.9"})


@pytest.mark.parametrize(
    ("of_file", "of_runtime", "verdict"),
    [(1.2, 1.0, "slower"), (1.0, 1.2, "slower"), (1.3, 1 / 1.1, "slower"), (1.0, 1 / 1.2, "faster"),
     (1.0, 1.0, "equivalent")],
)  # fmt: skip
def test_what_the_file_and_what_the_runtime_brought_is_measured(
    monkeypatch: pytest.MonkeyPatch, files: tuple[Path, Path], of_file: float, of_runtime: float, verdict: str
) -> None:
    used = machine(monkeypatch, of_file)
    of_files = used.p50_ms
    asked: list[str] = []
    monkeypatch.setattr(versions, "python_with", lambda text: asked.append(text) or "/old/0.9")
    used.p50_ms = lambda spec: of_files(spec) * (1.0 if spec.get("python") == "/old/0.9" else of_runtime)
    answer = compared(run_of(files[0], on=OLD_RUNTIME), run_of(files[1]))
    (found,) = answer.verdicts
    assert (found.verdict, asked) == (verdict, ["onnxruntime==0.9"])
    assert found.ratio == pytest.approx(of_file * of_runtime, rel=0.01)
    if verdict == "equivalent":
        assert found.attribution == ()
        return
    file, runtime = found.attribution
    assert file.startswith("file: ")
    assert runtime.startswith("runtime 0.9 -> 1.0: ")
    for words, truth in ((file, of_file), (runtime, of_runtime)):
        said = float(words.split(": ")[1].split(" %")[0])
        assert said == pytest.approx(100 * (truth - 1), abs=1.5)


def test_the_same_file_under_another_runtime_is_measured_and_without_a_network_says_why(
    monkeypatch: pytest.MonkeyPatch, files: tuple[Path, Path]
) -> None:
    used = machine(monkeypatch, 1.0)
    monkeypatch.setattr(versions, "python_with", lambda text: "/old/0.9")
    used.p50_ms = lambda spec: 10.0 if spec.get("python") == "/old/0.9" else 13.0
    answer = compared(run_of(files[0], on=OLD_RUNTIME), run_of(files[0]))
    (found,) = answer.verdicts
    assert (found.verdict, found.attribution) == ("slower", ("runtime 0.9 -> 1.0",))

    def offline(text: str) -> str:
        raise BenchError(f"cannot install {text} (no network, or no such version): x")

    monkeypatch.setattr(versions, "python_with", offline)
    answer = compared(run_of(files[0], on=OLD_RUNTIME), run_of(files[0]))
    assert "cannot install onnxruntime==0.9" in (answer.verdicts[0].reason or "")
    assert comparison.exit_code(answer) == 0


def exports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **biases: float) -> dict[str, Run]:
    """Runs of one exported network with random weights, which differs in its bias."""
    monkeypatch.setenv("BACKBENCH_CACHE", str(tmp_path / "cache"))
    tmp_path.mkdir(exist_ok=True)
    made = {}
    for name, bias in biases.items():
        path = network(tmp_path / f"{name}-m.onnx", bias=bias)
        (cache.folder() / name).mkdir(parents=True)
        (cache.folder() / name / "model.onnx").write_bytes(path.read_bytes())
        made[name] = run_of(path, key=name)
    return made


def test_a_baseline_is_measured_on_a_machine_that_never_had_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = exports(tmp_path / "there", monkeypatch, old=0.5, new=0.75, again=0.5)
    folder, notes = baseline.save(Path("results"), of["old"])
    assert notes == []
    before = store.stored_baseline(Path("results"), of["new"])
    assert before.path == folder
    kept = [cache.folder() / name / "model.onnx" for name in ("new", "again")]
    here = tmp_path / "here"
    for path in kept:
        (here / "export" / path.parent.name).mkdir(parents=True)
        (here / "export" / path.parent.name / path.name).write_bytes(path.read_bytes())
    monkeypatch.setenv("BACKBENCH_CACHE", str(here))
    old, new = baseline.sides(before, of["old"].records[0], of["new"].records[0])
    assert file_sha256(old) == baseline.files(folder)["m"].sha256 != file_sha256(new)
    used = machine(monkeypatch, 1.0)
    found = anew.measured(before, stored(of["new"]), comparison.compare(before.run, of["new"]))
    assert found.verdicts[0].verdict == "equivalent"
    assert found.verdicts[0].pairs
    used.specs.clear()
    # Exported once more, the drawn file is the same.
    found = anew.measured(before, stored(of["again"]), comparison.compare(before.run, of["again"]))
    assert (found.verdicts[0].pairs, used.specs) == (0, [])
    assert dict(baseline.made_again(folder)) == {"m": old}


def test_a_baseline_of_own_files_keeps_them_by_content_and_says_so(files: tuple[Path, Path]) -> None:
    folder, (note,) = baseline.save(Path("results"), run_of(files[0]))
    assert "kept on this machine alone" in note
    assert baseline.files(folder)["m"].source == str(files[0])
    files[0].write_bytes(files[1].read_bytes())  # it is changed in place, as people do
    before = store.stored_baseline(Path("results"), run_of(files[1]))
    old, new = baseline.sides(before, before.run.records[0], run_of(files[1]).records[0])
    assert old.parent.name == "files"
    assert new == files[1]


@pytest.mark.parametrize("name", ["MobileNet", "MobileNetV3Large"])
def test_the_example_baselines_files_come_out_bit_for_bit(name: str) -> None:
    folder = Path(__file__).parents[2] / "results" / "baselines" / "default"
    known = baseline.files(folder)[name]
    assert file_sha256(baseline._remade(folder / str(known.graph))) == known.sha256
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 1_000_000


def test_a_second_save_leaves_no_graph_of_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of = exports(tmp_path, monkeypatch, one=0.5, two=0.75)
    folder, _ = baseline.save(Path("results"), of["one"])
    first = set((folder / "graphs").iterdir())
    baseline.save(Path("results"), of["two"])
    second = set((folder / "graphs").iterdir())
    assert len(first) == len(second) == 1
    assert first != second
    (folder / "files.json").write_text("{")
    with pytest.raises(BenchError, match="save the baseline again"):
        baseline.files(folder)


def test_the_command_measures_keeps_its_verdicts_and_fails_the_gate(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, files: tuple[Path, Path]
) -> None:
    used = machine(monkeypatch, 1.2)
    baseline.save(Path("results"), run_of(files[0], on=ELSEWHERE))
    folder = store.create(Path("results"), run_of(files[1], started_at="2026-03-02T10:00:00Z"))
    code, out, err = call(capsys, "compare", "--stored")
    assert (code, used.specs) == (4, [])
    assert "not comparable" in err
    code, out, err = call(capsys, "compare", "--budget", "30")
    assert code == 1
    assert "a regression is confirmed: m" in out
    assert "m: +2" in err
    kept = store.verdicts(folder)
    assert kept is not None
    assert [v.verdict for v in kept.verdicts] == ["slower"]
    code, out, _ = call(capsys, "report", "-o", "r.md")
    assert "slower" in Path("r.md").read_text()
    (folder / "verdicts.json").write_text("{")
    code, out, err = call(capsys, "report", "-o", "r.md")
    assert code == 0
    assert "slower" not in Path("r.md").read_text()
    code, out, _ = call(capsys, "compare", "--json")
    assert json.loads(out)["anew"] is True
    assert json.loads(out)["verdicts"][0]["pairs"] > 0


def test_a_verdict_kept_for_another_baseline_is_not_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, files: tuple[Path, Path]
) -> None:
    machine(monkeypatch, 1.2)
    baseline.save(Path("results"), run_of(files[0]))
    folder = store.create(Path("results"), run_of(files[1], started_at="2026-03-02T10:00:00Z"))
    call(capsys, "compare", "--budget", "30")
    baseline.save(Path("results"), run_of(files[0], started_at="2026-03-01T09:00:00Z"))
    call(capsys, "report", "-o", "r.md")
    assert "slower" not in Path("r.md").read_text()
    assert store.verdicts(folder) is not None


def test_a_verdict_without_evidence_is_kept_as_it_was() -> None:
    verdict = Verdict(case="m", verdict="suspect", ratio=1.08, ratio_low=1.05, ratio_high=1.11, p50_ms=2.0)
    each = contest.Contest("m", sides=None, error="killed")  # type: ignore[arg-type]
    found = anew._decided(verdict, each, 0.03, 0.01)
    assert found == replace(verdict, reason="not confirmed: killed")
    assert ab.BUDGET_S > 0
