"""Trials of two files: when they look, when they stop, and what the command says of them."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from bench.cli import main
from bench.errors import Failed
from bench.machine import lock
from bench.trust import ab, contest, trial
from bench.trust.contest import Contest
from tests.machines import Machine, Spec
from tests.timing.test_timing import write_model


@pytest.fixture(autouse=True)
def own_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "PATH", tmp_path / "measuring.lock")


def machine(monkeypatch: pytest.MonkeyPatch, b_ratio: float, visit_s: float = 1.0) -> Machine:
    """A machine on which the file b takes so many times as long as a, and each file of a pair a second."""

    def p50_ms(spec: Spec) -> float:
        return 10 * (b_ratio if Path(spec["path"]).stem == "b" else 1.0)

    made = Machine(monkeypatch, p50_ms, visit_s=visit_s, spread=0.005)
    monkeypatch.setattr(contest, "time", made.clock)
    return made


@pytest.fixture
def two(tmp_path: Path) -> tuple[ab.Side, ab.Side]:
    return ab.Side(write_model(tmp_path / "a.onnx")), ab.Side(write_model(tmp_path / "b.onnx", steps=2))


def contests(files: tuple[ab.Side, ab.Side], *names: str, suspects: str = "") -> list[Contest]:
    return [Contest(name, ab.Sides(*files, ab.Setup()), suspect=name in suspects) for name in names]


def test_a_trial_stops_at_a_planned_look_that_decides(
    monkeypatch: pytest.MonkeyPatch, two: tuple[ab.Side, ab.Side]
) -> None:
    used = machine(monkeypatch, b_ratio=1.1)
    looks: list[int] = []
    found = contest.measure(*two, ab.Setup(), budget_s=100, on_look=lambda each, _: looks.append(len(each.pairs)))
    assert (found.judgement.verdict, found.stopped, found.one_process) == ("slower", "decided", True)
    assert found.seconds == used.now == 2 * len(found.pairs)
    assert looks == list(trial.LOOKS)[: len(looks)]
    assert used.order == "abba" * (len(found.pairs) // 2)
    assert [pair.a_first for pair in found.pairs[:4]] == [True, False, True, False]


def test_a_trial_keeps_to_its_budget_and_a_wanted_width_goes_on_until_it_is_reached(
    monkeypatch: pytest.MonkeyPatch, two: tuple[ab.Side, ab.Side]
) -> None:
    machine(monkeypatch, b_ratio=1.025)
    spent = contest.measure(*two, ab.Setup(), budget_s=41, margin=0.02, width=0.0001)
    assert (spent.stopped, spent.seconds) == ("budget", 40.0)
    used = machine(monkeypatch, b_ratio=1.1)
    narrow = contest.measure(*two, ab.Setup(), budget_s=800, width=0.006)
    assert narrow.stopped == "width"
    assert narrow.judgement.width <= 0.006
    assert used.now < 800
    machine(monkeypatch, b_ratio=1.1, visit_s=60.0)
    assert contest.measure(*two, ab.Setup(), budget_s=60).judgement.pairs == 1
    machine(monkeypatch, b_ratio=1.1, visit_s=60.0)
    assert contest.measure(*two, ab.Setup(), budget_s=60, limit_s=1000).judgement.pairs == trial.FEWEST


def test_the_last_look_spends_what_is_left_of_the_error(
    monkeypatch: pytest.MonkeyPatch, two: tuple[ab.Side, ab.Side]
) -> None:
    machine(monkeypatch, b_ratio=1.02)
    shares = list(trial.LOOKS.values())
    (each,) = contests(two, "m")
    contest.decide([each], budget_s=2 * 11, margin=0.0001, width=1e-9)
    assert (each.spent, each.stopped, len(each.pairs)) == (pytest.approx(1.0), "budget", 11)
    left = trial.judged(each.pairs, margin=0.0001, alarm=contest.ALARM_RATE, share=1 - sum(shares[:3]))
    assert each.judgement == left


def test_several_share_one_budget_and_suspects_reach_every_look_first(
    monkeypatch: pytest.MonkeyPatch, two: tuple[ab.Side, ab.Side]
) -> None:
    used = machine(monkeypatch, b_ratio=1.02)
    seen: list[str] = []
    several = contests(two, "x", "y", "s", suspects="s")
    contest.decide(several, budget_s=3 * 12 + 1, margin=0.001, width=1e-9, before=lambda each: seen.append(each.name))
    assert "".join(seen) == "ssss" + "xy" * 4 + "ss" + "xy" * 2
    assert {len(each.pairs) for each in several} == {6}
    assert used.now <= 3 * 12 + 1
    assert {each.stopped for each in several} == {"budget"}


def test_one_that_is_decided_leaves_its_time_to_the_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, two: tuple[ab.Side, ab.Side]
) -> None:
    machine(monkeypatch, b_ratio=1.5)
    same = (two[0], ab.Side(write_model(tmp_path / "c.onnx", steps=3)))
    far, near = contests(two, "far") + contests(same, "near")
    contest.decide([far, near], budget_s=100, margin=0.0005)
    assert (far.stopped, len(far.pairs)) == ("decided", trial.FEWEST)
    assert len(near.pairs) > 30


def test_the_error_is_shared_between_all_contests(
    monkeypatch: pytest.MonkeyPatch, two: tuple[ab.Side, ab.Side]
) -> None:
    machine(monkeypatch, b_ratio=1.0)
    rates: list[float] = []
    monkeypatch.setattr(trial, "judged", _noting(rates, trial.judged))
    contest.decide(contests(two, *"abcde"), budget_s=40)
    assert set(rates) == {contest.ALARM_RATE / 5}


def test_one_that_differs_leaves_its_part_of_the_error_to_those_that_are_undecided(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, two: tuple[ab.Side, ab.Side]
) -> None:
    machine(monkeypatch, b_ratio=1.5)
    same = (two[0], ab.Side(write_model(tmp_path / "c.onnx", steps=3)))
    rates: list[float] = []
    monkeypatch.setattr(trial, "judged", _noting(rates, trial.judged))
    several = contests(two, "far", "farther") + contests(same, "x", "y")
    contest.decide(several, budget_s=40, margin=0.0005)
    assert [each.changed for each in several] == [True, True, False, False]
    assert rates[:4] == [contest.ALARM_RATE / 4] * 4
    assert set(rates[4:]) == {contest.ALARM_RATE / 2}


def test_how_far_pairs_scatter_is_judged_over_all_contests_together(
    monkeypatch: pytest.MonkeyPatch, two: tuple[ab.Side, ab.Side]
) -> None:
    machine(monkeypatch, b_ratio=1.0)
    degrees: dict[int, list[float]] = {2: [], 3: []}
    judged = trial.judged
    for count, noted in degrees.items():
        monkeypatch.setattr(trial, "judged", lambda pairs, noted=noted, **how: (
            noted.append(how["prior"].degrees), judged(pairs, **how))[1])  # fmt: skip
        contest.decide(contests(two, *"abc"[:count]), budget_s=24)
    assert max(degrees[2]) == 0  # two say nothing of how models differ
    assert min(degrees[3]) > 0


def test_one_that_ran_out_of_time_is_judged_by_what_later_ones_leave(
    monkeypatch: pytest.MonkeyPatch, two: tuple[ab.Side, ab.Side]
) -> None:
    machine(monkeypatch, b_ratio=1.02)
    first, second = contests(two, "first", "second", suspects="first")
    told: list[tuple[str, str]] = []
    p_values = {"first": 0.007, "second": 0.004}

    def judged(pairs: Any, *, alarm: float, share: float, **_: Any) -> trial.Judgement:
        p = p_values["first" if pairs is first.pairs else "second"]
        verdict = "slower" if p < alarm * share else "inconclusive"
        return trial.Judgement(
            verdict=verdict, ratio=1.02, ratio_low=None, ratio_high=None, p=p, detectable=None, spread=0.01,
            pairs=len(pairs),
        )  # fmt: skip

    monkeypatch.setattr(trial, "judged", judged)
    monkeypatch.setattr(contest, "LOOKS", {4: 0.0})  # all of the error is left for the end
    contest.decide([first, second], budget_s=21, on_look=lambda each, _: told.append((each.name, each.stopped)))
    assert told[-3:] == [("first", "budget"), ("second", "decided"), ("first", "decided")]


def _noting(rates: list[float], judged: Any) -> Any:
    def noted(pairs: Any, **how: Any) -> Any:
        rates.append(how["alarm"])
        return judged(pairs, **how)

    return noted


def test_a_contest_whose_timing_fails_ends_alone(monkeypatch: pytest.MonkeyPatch, two: tuple[ab.Side, ab.Side]) -> None:
    broken, fine = contests(two, "broken", "fine")
    used = machine(monkeypatch, b_ratio=1.2)
    original = used.p50_ms
    broken.sides.setup = ab.Setup(threads=7)
    broken.sides.sides = ab.Sides(*two, ab.Setup(threads=7)).sides

    def fails(spec: Spec) -> float:
        if spec["threads"] == 7:
            raise Failed("killed")
        return original(spec)

    used.p50_ms = fails
    contest.decide([broken, fine], budget_s=60)
    assert broken.error is not None
    assert broken.error.endswith("killed")
    assert (fine.stopped, fine.error) == ("decided", None)
    with pytest.raises(Failed, match="killed"):
        contest.as_trial(broken, 0.03)


def test_what_cannot_share_a_process_is_timed_in_two(
    monkeypatch: pytest.MonkeyPatch, two: tuple[ab.Side, ab.Side], tmp_path: Path
) -> None:
    used = machine(monkeypatch, b_ratio=1.3)
    other = ab.Side(two[1].path, python=str(tmp_path / "python"))
    found = contest.measure(two[0], other, ab.Setup(), budget_s=60)
    assert (found.one_process, found.judgement.verdict) == (False, "slower")
    assert not any(spec.get("do") == "turns" for spec in used.specs)
    monkeypatch.setattr(ab, "_fits", lambda *paths: False)
    assert not contest.measure(*two, ab.Setup(), budget_s=60).one_process


def test_a_process_that_does_not_hold_both_gives_way_to_two(
    monkeypatch: pytest.MonkeyPatch, two: tuple[ab.Side, ab.Side]
) -> None:
    used = machine(monkeypatch, b_ratio=1.3)
    alone = used.visit

    def visit(spec: Spec, **how: object) -> dict[str, Any]:
        if spec.get("do") == "turns":
            raise Failed("not enough memory")
        return alone(spec, **how)

    monkeypatch.setattr(ab.process, "visit", visit)
    found = contest.measure(*two, ab.Setup(), budget_s=60)
    assert (found.one_process, found.judgement.verdict) == (False, "slower")


def test_two_models_fit_where_three_times_their_files_do(two: tuple[ab.Side, ab.Side]) -> None:
    paths = [side.path for side in two]
    needed = 300e6 + 3 * sum(path.stat().st_size for path in paths)
    assert ab._fits(*paths, left=lambda: needed + 1)
    assert not ab._fits(*paths, left=lambda: needed)


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    out, err = capsys.readouterr()
    return int(stopped.value.code or 0), out, err


def test_the_command_finds_the_slower_file_and_prints_one_json_document(
    two: tuple[ab.Side, ab.Side], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    used = machine(monkeypatch, b_ratio=1.3)
    files = [str(side.path) for side in two]
    code, out, _ = call(capsys, "ab", *files, "--budget", "60", "--threads", "3", "--device", "cpu", "--json")
    found = json.loads(out)
    assert (found["judgement"]["verdict"], code) == ("slower", 1)
    assert found["judgement"]["ratio"] == pytest.approx(1.3, rel=0.02)
    assert found["a_runtime"] == found["b_runtime"] == "1.0"
    assert (found["threads"], found["same_file"]) == (3, False)
    assert {spec["threads"] for spec in used.specs} == {3}
    assert found["seconds"] == used.now <= 60
    assert found["one_process"] is True
    assert Counter(used.order)["a"] == Counter(used.order)["b"] == len(found["pairs"])
    code, out, _ = call(capsys, "ab", files[1], files[0], "--budget", "60", "--device", "cpu", "--json")
    assert (json.loads(out)["judgement"]["verdict"], code) == ("faster", 0)


def test_a_real_process_for_both_says_what_it_would_take(
    two: tuple[ab.Side, ab.Side], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("BOTH_S", 0.02), ("BOTH_COUNT", 5), ("BOTH_WARMUP_S", 0.15)):
        monkeypatch.setattr(ab, name, value)
    a = str(two[0].path)
    code, out, err = call(capsys, "ab", a, a, "--budget", "0.01", "--threads", "1", "--device", "cpu")
    assert code == 3
    assert "such pairs see the margin: --budget" in out
    assert "in one process each" in out
    assert "same file" in out
    assert "too few pairs" in err


def test_a_real_slow_down_is_found_in_one_process(
    two: tuple[ab.Side, ab.Side], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ab, "BOTH_S", 0.05)
    monkeypatch.setattr(ab, "BOTH_WARMUP_S", 0.1)
    slow = ab.Side(two[0].path, inject=4.0)
    found = contest.measure(two[0], slow, ab.Setup(threads=1), budget_s=20)
    assert (found.judgement.verdict, found.one_process) == ("slower", True)
    assert 3 < found.judgement.ratio < 8
    two[1].path.unlink()
    with pytest.raises(Failed, match="no file"):
        contest.measure(*two, ab.Setup(), budget_s=1)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["a.onnx", "none.onnx"], 2, "none.onnx"),
        (["a.onnx", "a.onnx", "--dimension", "side"], 2, "side=224"),
        (["a.onnx", "a.onnx", "--width", "wide"], 2, "is not a share"),
        (["a.onnx", "a.onnx", "--dimension", "side=8"], 2, "--dimension side: no file has it"),
        (["a.onnx", "a.onnx", "--python-b", "./no-python"], 5, "cannot start ./no-python"),
    ],
)
def test_what_cannot_be_tried_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str],
    code: int, says: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    write_model(tmp_path / "a.onnx")
    got, out, err = call(capsys, "ab", "--device", "cpu", *arguments)
    assert (got, out) == (code, "")
    assert says in err
    assert err.count("\n") == 1


def test_an_interpreter_without_onnxruntime_is_named(tmp_path: Path) -> None:
    path = write_model(tmp_path / "a.onnx")
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "$@"\n')
    bare.chmod(0o755)
    with pytest.raises(Failed, match=r"^B .*lacks what timing needs.*pip install numpy onnxruntime"):
        contest.measure(ab.Side(path), ab.Side(path, str(bare)), ab.Setup(seed=1), budget_s=5)


def test_before_each_pair_there_is_time_to_wait(monkeypatch: pytest.MonkeyPatch, two: tuple[ab.Side, ab.Side]) -> None:
    machine(monkeypatch, b_ratio=1.0)
    begun: list[int] = []
    ended = contest.measure(*two, ab.Setup(), budget_s=20, before=lambda each: begun.append(len(each.pairs)))
    assert begun == list(range(len(ended.pairs)))
