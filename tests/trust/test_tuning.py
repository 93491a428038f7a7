"""`bench tune`: which settings there are, which of them go, what is called best, and the program that is printed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bench import runtimes, suites
from bench.cli import main
from bench.errors import Failed
from bench.machine import facts, lock
from bench.trust import contest, tuning
from bench.trust.ab import Setup, Side
from bench.trust.tuning import Choice
from tests.machines import Machine, Spec
from tests.timing.test_timing import write_model


@pytest.fixture(autouse=True)
def own_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "PATH", tmp_path / "measuring.lock")


def machine(monkeypatch: pytest.MonkeyPatch, p50s_ms: dict[str, float], seed: int = 6) -> Machine:
    """A machine on which files take so long by their names, give or take 2 % a process."""

    def p50_ms(spec: Spec) -> float:
        if (value := p50s_ms[Path(spec["path"]).stem]) < 0:
            raise Failed("it cannot run")
        return value * spec["batch_size"]

    made = Machine(monkeypatch, p50_ms, visit_s=1.0, spread=0.02)
    made.rng = np.random.default_rng(seed)
    for module in (contest, tuning):
        monkeypatch.setattr(module, "time", made.clock)
    return made


def choices(folder: Path, names: str) -> list[Choice]:
    return [Choice(Side(write_model(folder / f"{name}.onnx", steps=2 + i)), name) for i, name in enumerate(names)]


def test_the_fastest_is_found_and_takes_most_of_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    speeds = {"a": 10.0, "b": 20.0, "c": 11.5, "d": 30.0, "e": 14.0, "f": 40.0, "g": 25.0, "h": -1.0}
    used = machine(monkeypatch, speeds)
    tuned = tuning.tune(choices(tmp_path, "hgfedcba"), Setup(), budget_s=120)
    assert [(each.name, each.standing) for each in tuned.choices][:2] == [("a", "best"), ("c", "slower")]
    assert tuned.choices[1].ratio == pytest.approx(1.15, abs=0.03)
    assert tuned.choices[1].ratio_low is not None
    assert tuned.choices[-1].error == "it cannot run"
    assert {each.standing for each in tuned.choices[2:-1]} == {"slower"}
    assert [each.name for each in tuned.choices[2:-1]] == list("ebgdf")
    assert not tuned.ties
    visits = {name: used.order.count(name) for name in "abcdefgh"}
    assert visits["h"] == 1, "one that fails is not tried again"
    assert visits["f"] == visits["d"] == 1 < visits["a"], "what is far behind goes after one visit"


@pytest.mark.parametrize(("budget_s", "visits"), [(10, 1), (1000, 4)])
def test_rounds_end_with_their_part_of_the_budget(
    budget_s: float, visits: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight settings that are alike, a second a visit: the rounds give one visit to each, or one, one and two."""
    machine(monkeypatch, dict.fromkeys("abcdefgh", 10.0))
    tuned = tuning.tune(choices(tmp_path, "abcdefgh"), Setup(), budget_s=budget_s)
    assert {len(each.p50s_ms) for each in tuned.choices} == {visits}


def test_one_setting_under_six_names_has_no_winner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In 20 tries. In a tenth of them chance may call some slower: half of that in the rounds, half in the final."""
    wrong = []
    for seed in range(20):
        machine(monkeypatch, dict.fromkeys("abcdef", 10.0), seed)
        tuned = tuning.tune(choices(tmp_path, "abcdef"), Setup(), budget_s=120, seed=seed)
        assert tuned.ties, "it cannot be told apart from all the others"
        wrong += [each for each in tuned.choices if each.standing == "slower"]
    assert len(wrong) <= 4


def test_one_as_fast_as_the_leader_hardly_ever_goes() -> None:
    rng, gone = np.random.default_rng(0), 0
    for _ in range(400):
        logs = np.log([[1.0], [1.0], [1.3], [1.0], [1.5], [2.0]]) + rng.normal(0, 0.03, (6, 2)) + rng.normal(0, 0.2, 2)
        gone += len({0, 1, 3} - set(tuning.kept(logs, 0.05)))
    assert gone <= 0.05 * 3 * 400
    clear = np.log([[2.0, 2.02], [1.0, 1.01], [1.3, 1.29], [1.2, 1.22]])
    assert tuning.kept(clear, 0.05) == [1, 3]
    few = np.log([[2.0], [1.0], [1.5], [1.2], [1.24]])
    assert tuning.kept(few, 0.05) == [1, 3, 4], "one visit says only who is far behind"


def test_a_leader_that_only_chance_made_one_loses_the_final() -> None:
    leader, better, same, worse = (Choice(Side(Path(name)), name, p50s_ms=[1.0]) for name in "abcd")
    for choice, low, ratio, high, verdict in (
        (better, 0.88, 0.90, 0.92, "faster"), (same, 0.89, 0.91, 0.93, "faster"), (worse, 1.1, 1.2, 1.3, "slower"),
    ):  # fmt: skip
        choice.ratio, choice.ratio_low, choice.ratio_high, choice.verdict = ratio, low, high, verdict
    tuning._judge([leader, better, same, worse], [leader, better, same, worse])
    assert [each.standing for each in (leader, better, same, worse)] == ["slower", "best", "tie", "slower"]
    assert [each.ratio for each in (leader, better, same, worse)] == pytest.approx([1 / 0.9, 1, 0.91 / 0.9, 1.2 / 0.9])
    assert (same.ratio_low, same.ratio_high) == pytest.approx((0.89 / 0.9, 0.93 / 0.9))


def test_nothing_that_can_be_timed_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, dict.fromkeys("ab", -1.0))
    with pytest.raises(Failed, match="none of 2 settings can be timed; a: it cannot run"):
        tuning.tune(choices(tmp_path, "ab"), Setup(), budget_s=60)
    machine(monkeypatch, {"a": 1.0})
    alone = tuning.tune(choices(tmp_path, "a"), Setup(), budget_s=60)
    assert (alone.best.standing, alone.ties, alone.pairs) == ("best", [], 0)


def test_settings_follow_the_cores_and_the_goal(tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.onnx", shape=("n", 8))
    files = {("onnxruntime", "fp32"): path, ("litert", "int8"): Path("m.tflite")}

    def named(cores: int, *, throughput: bool = False) -> list[str]:
        return [each.name for each in tuning.settings_of(files, cores=cores, throughput=throughput)]

    assert named(1) == ["onnxruntime fp32, 1 thread", "litert int8, 1 thread"]
    assert named(2) == [
        "onnxruntime fp32, 1 thread", "onnxruntime fp32, 2 threads, spinning", "onnxruntime fp32, 2 threads, resting",
        "litert int8, 1 thread", "litert int8, 2 threads",
    ]  # fmt: skip
    assert {each.side.threads for each in tuning.settings_of(files, cores=6)} == {1, 2, 4, 6}
    many = tuning.settings_of(files, cores=1, throughput=True)
    assert [each.side.batch_size for each in many] == [*tuning.BATCHES, None]
    fixed = {("onnxruntime", "fp32"): write_model(tmp_path / "fixed.onnx")}
    assert [each.side.batch_size for each in tuning.settings_of(fixed, cores=1, throughput=True)] == [None]
    assert [each.side.spin for each in tuning.settings_of(files, cores=2)] == [True, True, False, True, True]


def test_throughput_is_held_against_by_the_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    used = machine(monkeypatch, {"a": 10.0})
    path = write_model(tmp_path / "a.onnx", shape=("n", 8))
    many = [Choice(Side(path, batch_size=batch), str(batch)) for batch in (1, 4)]
    tuned = tuning.tune(many, Setup(), budget_s=60)
    assert [each.p50_ms for each in tuned.choices] == pytest.approx([10.0, 10.0], rel=0.05)
    assert [each.standing for each in tuned.choices] == ["best", "tie"]
    assert {spec["batch_size"] for spec in used.specs} == {1, 4}


@pytest.mark.parametrize("name", [*suites.RUNTIMES])
def test_a_runtime_s_program_is_short_and_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = runtimes.get(name)
    if runtimes.installed(name) is None:
        pytest.skip(f"{name} is not installed")
    monkeypatch.chdir(tmp_path)
    path = Path(f"it's a {name}{runtime.SUFFIXES[0]}")
    path.write_bytes(runtime.PROBE)
    for spin in (True, False):
        text = tuning.program(Choice(Side(path, runtime=name, threads=1, spin=spin), "one"), Setup())
        assert len(text.splitlines()) <= tuning.MOST_LINES
        assert 0 < tuning.run_program(text) < 100
    with pytest.raises(Failed, match=r"does not run: .*oops"):
        tuning.run_program("raise ValueError('oops')")


def test_a_program_that_is_far_off_does_not_agree() -> None:
    assert [tuning.agrees(ratio) for ratio in (0.85, 0.95, 1.0, 1.09, 1.2)] == [False, True, True, True, False]


def test_a_program_is_held_against_visits_around_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not against those that chose the setting: the machine has become half as fast since."""
    made = machine(monkeypatch, {"a": 20.0})
    monkeypatch.setattr(tuning, "run_program", lambda text: 20.4 * 4)
    old = Choice(Side(write_model(tmp_path / "a.onnx", shape=("n", 8)), batch_size=4), "a", p50s_ms=[10.0, 10.0])
    assert tuning.program_ratio("", old, Setup()) == pytest.approx(1.02, abs=0.04)
    assert len(made.specs) == 2


def test_the_search_comes_near_the_best_of_the_grid_by_few_visits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fourteen settings, four of them within 5 %: in 20 tries within 2 %.

    By a quarter of the visits that each setting would need to be known as well as the best of them.
    """
    p50s_ms = dict(zip("abcdefghijklmn", [7, 5.9, 6, 10, 9, 9.1, 15, 11, 16, 12, 7.6, 6.4, 5.8, 5.7], strict=True))
    visits = []
    for seed in range(20):
        made = machine(monkeypatch, p50s_ms, seed)
        tuned = tuning.tune(choices(tmp_path, "".join(p50s_ms)), Setup(), budget_s=120, seed=seed)
        assert p50s_ms[tuned.best.name] <= 1.02 * min(p50s_ms.values())
        visits.append(len(made.specs) / (len(p50s_ms) * made.order.count(tuned.best.name)))
    assert np.mean(visits) < 0.25


def test_the_command_names_the_best_and_prints_its_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def p50_ms(spec: Spec) -> float:
        return 5.0 if spec["threads"] == 1 else 4.0 if spec.get("spin") else 6.0

    made = Machine(monkeypatch, p50_ms, spread=0.002)
    for module in (contest, tuning):
        monkeypatch.setattr(module, "time", made.clock)
    monkeypatch.setattr(facts, "cores_given", lambda: 2)
    monkeypatch.setattr(tuning, "run_program", lambda text: 4.1)
    path, out = write_model(tmp_path / "m.onnx"), tmp_path / "program.py"
    with pytest.raises(SystemExit) as ended:
        main(["tune", str(path), "--runtime", "onnxruntime", "-o", str(out)])
    assert ended.value.code == 0
    said = capsys.readouterr()
    assert "best for latency: onnxruntime fp32, 2 threads, spinning\n" in said.out
    assert "its p50 is 1.0" in said.out
    assert said.out.endswith(out.read_text())
    assert "intra_op_num_threads = 2" in out.read_text()
    assert "3 settings on 2 cores" in said.err
    with pytest.raises(SystemExit) as ended:
        main(["tune", str(path), "--runtime", "onnxruntime", "-o", str(tmp_path / "none" / "program.py")])
    assert ended.value.code == 5
    told = capsys.readouterr()
    assert "best for latency: onnxruntime fp32, 2 threads, spinning\n" in told.out, "nothing that was measured is lost"
    assert told.out.endswith(out.read_text())
    assert "No such file or directory; the program is above" in told.err
    with pytest.raises(SystemExit):
        main(["tune", str(path), "--runtime", "onnxruntime", "--json"])
    answer = json.loads(capsys.readouterr().out)
    assert [each["standing"] for each in answer["settings"]] == ["best", "slower", "slower"]
    assert answer["program"] == out.read_text()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["m.onnx", "--precision", "int8"], "is exported already"),
        (["m.onnx", "--runtime", "litert"], "LiteRT does not read .onnx files"),
        (["MobileNett"], "MobileNet"),
    ],
)
def test_what_cannot_be_tuned_is_one_line(
    words: list[str], line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_model(tmp_path / "m.onnx")
    with pytest.raises(SystemExit) as ended:
        main(["tune", *words])
    assert ended.value.code in (2, 5)
    said = capsys.readouterr().err
    assert line in said
    assert said.count("\n") == 1
