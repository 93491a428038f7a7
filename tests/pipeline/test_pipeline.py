"""The main job on small ONNX files: what goes wrong is said, and nothing that was measured is lost."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench import accuracy, pipeline, records, store, suites
from bench.analysis import trust
from bench.cli import main
from bench.errors import Failed, NotComparable
from bench.machine import facts, lock
from bench.records import Record, Roofline, Settings, Visit
from bench.timing import Target, calibration, schedule
from tests.accuracy import sets as accuracy_sets
from tests.machines import Machine
from tests.timing.test_timing import write_model

QUICK = pipeline.Options(device="cpu", threads=1, rounds=2, min_time_s=0.01, min_count=5, warmup_s=0.1, spacing_s=0)


@pytest.fixture(autouse=True)
def own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests must not wait for a real run, nor a real run for them."""
    monkeypatch.setattr(lock, "PATH", tmp_path / "measuring.lock")
    usual = pipeline.Options()

    def quick(**asked: Any) -> pipeline.Options:
        """The options asked for, and quick ones where the command's own defaults stand."""
        return replace(QUICK, **{name: value for name, value in asked.items() if value != getattr(usual, name)})

    monkeypatch.setattr(pipeline, "Options", quick)
    monkeypatch.setattr(calibration, "calibrate", lambda *_: Roofline(gflops=1e9, gbytes_per_s=1e9, threads=1,
                                                                       provider="CPUExecutionProvider"))  # fmt: skip
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def visits_at_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made-up visits, but where a test is about what the worker does."""
    if "worker" not in request.keywords:
        Machine(monkeypatch)


def suite(*files: Path) -> suites.Suite:
    return suites.load_suite([str(file) for file in files])


def files(tmp_path: Path, *names: str) -> list[Path]:
    return [write_model(tmp_path / f"{name}.onnx", steps=3) for name in names]


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    out, err = capsys.readouterr()
    return int(stopped.value.code or 0), out, err


class StopsAt(pipeline.Silent):
    """Presses Ctrl-C when a step begins whose text matches."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern

    def begin(self, what: str) -> None:
        if re.search(self.pattern, what):
            raise KeyboardInterrupt


@pytest.mark.long
@pytest.mark.worker
def test_a_bad_file_is_named_and_the_others_are_measured(tmp_path: Path) -> None:
    good, cut, text = *files(tmp_path, "good", "cut"), tmp_path / "text.onnx"
    cut.write_bytes(cut.read_bytes()[:-20])
    text.write_text("not a model")
    outcome = pipeline.run(suite(good, cut, text), options=QUICK, results=tmp_path / "results")
    by_name = {record.case.name: record for record in outcome.run.records}
    measured = by_name["good"]
    assert measured.error is None
    assert measured.measurement is not None
    assert measured.measurement.visits >= 2
    assert measured.measurement.p50_ms_low <= measured.measurement.p50_ms <= measured.measurement.p50_ms_high
    for name in ("cut", "text"):
        assert by_name[name].measurement is None
        assert f"{name}.onnx" in str(by_name[name].error)
        assert "\n" not in str(by_name[name].error)
    assert store.load(outcome.folder) == outcome.run
    assert {visit.case for visit in store.visits(outcome.folder)} == {"good"}


def test_ctrl_c_keeps_what_was_measured_and_resume_goes_on(tmp_path: Path) -> None:
    both = suite(*files(tmp_path, "a", "b"))
    with pytest.raises(KeyboardInterrupt):
        pipeline.run(both, options=QUICK, results=tmp_path / "results", watch=StopsAt("round 2"))
    folder = store.latest(tmp_path / "results", measured=False)
    kept = store.visits(folder)
    assert len(kept) == 2
    half = store.load(folder)
    assert all(record.measurement is not None for record in half.records)
    finished = pipeline.resume(folder)
    visits = store.visits(folder)
    assert visits[:2] == kept
    assert {(visit.case, visit.round) for visit in visits} >= {(name, n) for name in "ab" for n in (0, 1)}
    assert all(record.error is None for record in finished.run.records)


def test_ctrl_c_in_the_export_leaves_a_run_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        pipeline.run(suite(*files(tmp_path, "a")), options=QUICK, results=tmp_path, watch=StopsAt("reading"))
    (record,) = store.load(store.latest(tmp_path, measured=False)).records
    assert record.error == records.INTERRUPTED
    assert pipeline.resume(store.latest(tmp_path, measured=False)).run.records[0].error is None


def test_another_machine_does_not_resume(tmp_path: Path) -> None:
    outcome = pipeline.run(suite(*files(tmp_path, "a")), options=QUICK, results=tmp_path)
    machine = replace(outcome.run.machine, must_match=outcome.run.machine.must_match | {"cpu": "another"})
    store.write(outcome.folder, replace(outcome.run, machine=machine))
    with pytest.raises(NotComparable, match="another machine"):
        pipeline.resume(outcome.folder)


@pytest.mark.long
def test_a_full_disk_is_said_and_what_was_stored_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []
    real = os.fsync

    def full(file: int) -> None:
        written.append(file)
        if len(written) > 6:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(file)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Failed, match="No space left on device; free some space"):
        pipeline.run(suite(*files(tmp_path, "a", "b")), options=QUICK, results=tmp_path / "results")
    monkeypatch.undo()
    monkeypatch.setattr(lock, "PATH", tmp_path / "measuring.lock")
    folder = store.latest(tmp_path / "results", measured=False)
    kept = len(store.visits(folder))
    finished = pipeline.resume(folder)
    assert len(store.visits(folder)) >= max(4, kept)
    assert all(record.error is None for record in finished.run.records)


def test_results_that_cannot_be_written_are_an_error_before_anything_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (model,) = files(tmp_path, "a")
    (tmp_path / "taken").write_text("a file where the folder should be")
    code, out, err = call(capsys, "run", str(model), "--output", str(tmp_path / "taken"))
    assert code == 5
    assert out == ""
    assert "cannot write" in err.splitlines()[-1]
    assert "--output" in err.splitlines()[-1]


def test_a_gpu_that_is_not_there_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime may have a GPU")
    (model,) = files(tmp_path, "a")
    code, out, err = call(capsys, "run", str(model), "--device", "cuda")
    assert (code, out) == (5, "")
    assert "CUDA" in err
    assert err.count("\n") == 1
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ('dimensions = { side = 8 }', r'no open dimension "side"'),
        ("batch_size = 4", r"batch is 1; batch_size 4 does not fit|fixed batch of 1"),
    ],
)  # fmt: skip
def test_what_a_file_has_not_is_named(tmp_path: Path, toml: str, says: str) -> None:
    files(tmp_path, "a", "good")
    (tmp_path / "mine.toml").write_text(f'[[case]]\nmodel = "a.onnx"\n{toml}\n[[case]]\nmodel = "good.onnx"\n')
    outcome = pipeline.run(suites.load_suite(tmp_path / "mine.toml"), options=QUICK, results=tmp_path)
    wrong, good = outcome.run.records
    assert re.search(says, wrong.error or "")
    assert good.error is None


@pytest.mark.long
@pytest.mark.worker
def test_dynamic_dimensions_are_given_a_size(tmp_path: Path) -> None:
    write_model(tmp_path / "open.onnx", shape=("batch", "side"))
    (tmp_path / "mine.toml").write_text('[[case]]\nmodel = "open.onnx"\ndimensions = { side = 8 }\nbatch_size = 2\n')
    (record,) = pipeline.run(suites.load_suite(tmp_path / "mine.toml"), options=QUICK, results=tmp_path).run.records
    assert record.error is None
    assert record.measurement is not None
    assert record.measurement.throughput_per_s == pytest.approx(2e3 / record.measurement.p50_ms, rel=1e-3)


def test_the_command_prints_one_json_document_and_fails_for_a_failed_case(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = *files(tmp_path, "good"), tmp_path / "bad.onnx"
    bad.write_text("no")
    code, out, err = call(capsys, "run", str(good), str(bad), "--json")
    assert code == 5
    assert [record["error"] is None for record in json.loads(out)["records"]] == [True, False]
    assert "failed: bad" in err


def test_a_run_that_is_not_sound_begins_and_ends_with_saying_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = *files(tmp_path, "good"), tmp_path / "bad.onnx"
    bad.write_text("no")
    code, out, _ = call(capsys, "run", str(good), str(bad))
    lines = out.splitlines()
    said = [number for number, line in enumerate(lines) if re.match("this run is (shaky|unsound): ", line)]
    assert code == 5
    assert len(said) == 2
    assert said[0] == 0
    assert said[1] >= len(lines) - 4


def test_a_second_run_is_compared_with_the_first_as_baseline(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (model,) = files(tmp_path, "a")
    code, first, _ = call(capsys, "run", str(model))
    assert code == 0
    assert "compared with" not in first
    page = Path(re.search(r"report: (.*)", first)[1])  # type: ignore[index]
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert call(capsys, "baseline", "save")[0] == 0
    code, second, _ = call(capsys, "run", str(model))
    assert code == 0
    assert "compared with the run of" in second
    assert re.search(r"^\s*a\s+(faster|slower|equivalent|inconclusive)", second, re.MULTILINE)


def test_a_model_that_is_missing_from_the_run_is_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files(tmp_path, "a", "b")
    (tmp_path / "mine.toml").write_text('models = []\n[[case]]\nmodel = "a.onnx"\n[[case]]\nmodel = "b.onnx"\n')
    assert call(capsys, "run", "mine.toml")[0] == 0
    assert call(capsys, "baseline", "save")[0] == 0
    assert call(capsys, "run", "mine.toml", "--model", "a")[0] == 0
    code, out, _ = call(capsys, "compare")
    assert code == 5
    assert re.search(r"b\s+missing", out)


def test_every_change_is_on_disk_when_it_is_shown(tmp_path: Path) -> None:
    seen: list[Record] = []

    class Looks(pipeline.Silent):
        def end(self, record: Record) -> None:
            stored = store.load(store.latest(tmp_path, measured=False))
            seen.append(next(r for r in stored.records if r.case.name == record.case.name))
            if record.measurement is not None:
                assert seen[-1] == record

    pipeline.run(suite(*files(tmp_path, "a")), options=QUICK, results=tmp_path, watch=Looks())
    assert len(seen) >= 3


@pytest.mark.long
@pytest.mark.worker
def test_accuracy_on_images_is_measured_on_the_file_that_was_timed(tmp_path: Path) -> None:
    """A suite's key `accuracy`: the run's record holds what `bench accuracy` says of the same file."""
    pytest.importorskip("PIL")
    images = accuracy_sets.photos(tmp_path / "im", [str(digit) for digit in range(10)], each=2)
    model = accuracy_sets.classifier(tmp_path / "m.onnx")
    (tmp_path / "x.toml").write_text(
        f'[[case]]\nmodel = "{model}"\naccuracy = {{images = "{images}", preprocess = "tf"}}\n'
    )
    outcome = pipeline.run(suites.load_suite(str(tmp_path / "x.toml")), options=QUICK, results=tmp_path / "r")
    (record,) = outcome.run.records
    assert record.error is None, record.error
    assert record.measurement is not None
    assert (record.accuracy.origin, record.accuracy.n) == ("measured", 20)
    assert record.accuracy.top1 == accuracy.measure(model, accuracy.settings_of(record.case)).top1


@pytest.mark.long
@pytest.mark.worker
def test_two_resumes_at_once_store_no_visit_twice(tmp_path: Path) -> None:
    refused: list[str] = []

    class ResumesAgain(pipeline.Silent):
        def begin(self, what: str) -> None:
            if what.startswith("timing"):
                with pytest.raises(Failed, match="is being measured by another process") as error:
                    pipeline.resume(store.latest(tmp_path, measured=False))
                refused.append(str(error.value))

    outcome = pipeline.run(suite(*files(tmp_path, "a")), options=QUICK, results=tmp_path, watch=ResumesAgain())
    assert refused
    kept = [(visit.case, visit.round) for visit in store.visits(outcome.folder)]
    assert len(kept) == len(set(kept)) >= QUICK.rounds
    assert outcome.run.trust == trust.of(outcome.run, store.visits(outcome.folder))
    assert store.load(outcome.folder).trust == outcome.run.trust


def failing(monkeypatch: pytest.MonkeyPatch, fails: Callable[[str, int], bool]) -> None:
    """Visits fail where `fails` says so, of a case and a round."""
    real = schedule.one

    def one(target: Target, number: int, settings: Settings) -> Visit:
        if fails(target.case.name, number):
            raise Failed("the timing process died of signal 11")
        return real(target, number, settings)

    monkeypatch.setattr(schedule, "one", one)


@pytest.mark.long
@pytest.mark.worker
def test_a_case_whose_second_visit_fails_keeps_the_first_and_is_a_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    both = files(tmp_path, "a", "b")
    failing(monkeypatch, lambda name, number: (name, number) == ("a", 1))
    code, out, err = call(capsys, "run", *map(str, both), "--json")
    assert code == 5
    assert "failed: a: timing failed in round 2: the timing process died of signal 11" in err
    a, b = json.loads(out)["records"]
    assert a["failures"] == {"timing": a["error"]}
    assert (a["measurement"]["visits"], a["artifact"]["opset"]) == (1, 17)
    assert (b["failures"], b["error"]) == ({}, None)
    assert b["measurement"]["visits"] >= 2
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(lock, "PATH", tmp_path / "measuring.lock")
    (again, _) = pipeline.resume(store.latest(tmp_path / "results")).run.records
    assert (again.failures, again.error) == ({}, None)
    assert again.measurement is not None
    assert again.measurement.visits >= 2


def test_a_failed_accuracy_takes_nothing_from_the_measurement(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (model,) = files(tmp_path, "a")  # no classifier of images
    (tmp_path / "im" / "cat").mkdir(parents=True)
    (tmp_path / "x.toml").write_text(f'[[case]]\nmodel = "{model}"\naccuracy = {{images = "im", preprocess = "tf"}}\n')
    code, out, _ = call(capsys, "run", "x.toml", "--json")
    (record,) = json.loads(out)["records"]
    assert code == 5
    assert set(record["failures"]) == {"accuracy"}
    assert record["error"].startswith("accuracy not measured: ")
    assert record["measurement"]["visits"] >= 2
    assert record["kinds_ms"] is not None


def test_visits_to_a_file_that_was_changed_since_are_not_mixed_in(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    changed, same = files(tmp_path, "changed", "same")
    with pytest.raises(KeyboardInterrupt):
        pipeline.run(suite(changed, same), options=QUICK, results=tmp_path, watch=StopsAt("round 2"))
    folder = store.latest(tmp_path)
    before = {visit.case: visit for visit in store.visits(folder)}
    assert set(before) == {"changed", "same"}
    write_model(changed, steps=4)
    run = pipeline.resume(folder).run
    visits = store.visits(folder)
    assert before["same"] in visits
    assert before["changed"] not in visits
    assert before["changed"] in store.visits(folder, every=True), "it is kept, and belongs to the file of before"
    assert "changed: 1 visits to another file, runtime or machine do not count" in caplog.text
    for record in run.records:
        own = [visit for visit in visits if visit.case == record.case.name]
        assert {visit.round for visit in own} >= {0, 1}
        assert record.artifact is not None
        assert {visit.timed.artifact for visit in own if visit.timed} == {record.artifact.sha256}
        assert record.measurement is not None
        assert record.measurement.visits == len(own)


@pytest.mark.long
@pytest.mark.worker
def test_visits_under_another_runtime_are_not_mixed_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = pipeline.run(suite(*files(tmp_path, "a")), options=QUICK, results=tmp_path)
    assert outcome.run.records[0].measurement
    real = facts.collect

    def upgraded(*asked: Any) -> records.Machine:
        machine = real(*asked)
        return replace(machine, may_drift=machine.may_drift | {"onnxruntime": "onnxruntime 99.0"})

    monkeypatch.setattr(facts, "collect", upgraded)
    run = pipeline.resume(outcome.folder).run
    assert run.machine.may_drift["onnxruntime"] == "onnxruntime 99.0"
    kept, every = store.visits(outcome.folder), store.visits(outcome.folder, every=True)
    assert {visit.timed.runtime for visit in kept if visit.timed} == {"onnxruntime 99.0"}
    assert len(kept) >= 2
    assert len(every) >= 4
    assert run.records[0].measurement
    assert run.records[0].measurement.visits == len(kept)


@pytest.mark.long
@pytest.mark.worker
def test_a_run_in_progress_is_not_resumed_beside_it(tmp_path: Path) -> None:
    outcome = pipeline.run(suite(*files(tmp_path, "a")), options=QUICK, results=tmp_path)
    before = store.visits(outcome.folder)
    with store.held(outcome.folder), pytest.raises(Failed, match="is being measured by another process"):
        pipeline.resume(outcome.folder)
    assert store.visits(outcome.folder) == before


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
@pytest.mark.parametrize("as_json", [False, True])
def test_what_a_terminal_cannot_print_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str, as_json: bool
) -> None:
    model = files(tmp_path, "α=½ 模型")[0]
    (tmp_path / "mine.toml").write_text(f'title = "中文 α"\n[[case]]\nmodel = "{model.name}"\n', encoding="utf-8")
    streams = [io.TextIOWrapper(io.BytesIO(), encoding=encoding) for _ in range(2)]
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])
    with pytest.raises(SystemExit) as stopped:
        main(["run", "mine.toml", *(["--json"] if as_json else [])])
    for stream in streams:
        stream.flush()
    shown = [stream.buffer.getvalue().decode(errors="replace") for stream in streams]  # type: ignore[attr-defined]
    assert stopped.value.code == 0, shown
    assert "timing" in shown[1]
    if as_json:
        (record,) = json.loads(shown[0])["records"]
        assert record["measurement"]["visits"] >= 2


@pytest.mark.long
@pytest.mark.worker
def test_a_name_that_is_not_utf8_is_measured_like_any_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / os.fsdecode(b"caf\xe9.onnx")
    files(tmp_path, "a")[0].rename(model)
    code, out, err = call(capsys, "run", str(model), "--json")
    assert code == 0, err
    (record,) = json.loads(out)["records"]
    assert "caf\ufffd" in record["case"]["name"]
    assert record["measurement"]["visits"] >= 2
