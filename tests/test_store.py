"""Runs on disk: nothing stored is lost, and what is wrong is said."""

from __future__ import annotations

import errno
import gzip
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import store
from bench.analysis import summary
from bench.errors import Failed, NotComparable, WrongUsage
from bench.records import Machine, PlannedCase, Record, Run, Settings, Visit


def a_run(suite: str = "default", started_at: str = "2026-01-02T03:04:05Z") -> Run:
    return Run(
        schema_version=store.SCHEMA_VERSION,
        suite=suite,
        started_at=started_at,
        machine=Machine(must_match={"cpu": "A/B c", "cores": 2}, may_drift={}, informs={}),
        settings=Settings(
            rounds=5, min_time_s=1, min_count=2, warmup_s=1, budget_s=None, seed=0, device="cpu", provider="P"
        ),
        records=(
            Record(
                case=PlannedCase(
                    name="VGG16",
                    model="VGG16",
                    input_shape=(224, 224, 3),
                    device="cpu",
                    provider="CPUExecutionProvider",
                    threads=1,
                )
            ),
        ),
    )


def measured(suite: str = "default", started_at: str = "2026-01-02T03:04:05Z") -> Run:
    run = a_run(suite, started_at)
    record = replace(run.records[0], measurement=summary.summarise([a_visit(0)], batch_size=1, seed=0))
    return replace(run, records=(record,))


def a_visit(number: int) -> Visit:
    return Visit(
        case="VGG16", round=number, started_at="2026-01-02T03:04:05Z", samples_ns=(10**6 + number, 2),
        load_ms=1.5, first_inference_ms=2.5, peak_rss_bytes=3, provider="CPUExecutionProvider",
    )  # fmt: skip


def test_a_run_comes_back_as_it_was_written(tmp_path: Path) -> None:
    run = a_run()
    folder = store.create(tmp_path, run)
    assert folder == tmp_path / "runs" / "20260102T030405Z-default"
    assert store.load(folder) == store.load(folder / "run.json") == run
    text = (folder / "run.json").read_text()
    assert json.loads(text)["records"][0]["measurement"] is None
    assert text == json.dumps(json.loads(text), sort_keys=True, indent=1, ensure_ascii=False) + "\n"


def test_two_runs_of_one_second_do_not_share_a_folder(tmp_path: Path) -> None:
    assert store.create(tmp_path, a_run()) != store.create(tmp_path, a_run())


def test_visits_come_back_and_a_cut_off_one_is_dropped(tmp_path: Path) -> None:
    folder = store.create(tmp_path, a_run())
    assert store.visits(folder) == []
    for number in range(3):
        store.append(folder, a_visit(number))
    assert store.visits(folder) == [a_visit(0), a_visit(1), a_visit(2)]
    file = folder / store.SAMPLES_FILE
    whole = file.read_bytes()
    for cut in (1, 10, 30):
        file.write_bytes(whole[:-cut])
        assert store.visits(folder) == [a_visit(0), a_visit(1)]
    file.write_bytes(cut_off := whole[:-9])
    assert store.visits(folder) == [a_visit(0), a_visit(1)]
    assert file.read_bytes() == cut_off
    store.append(folder, a_visit(9))
    assert store.visits(folder) == [a_visit(0), a_visit(1), a_visit(9)]


def test_visits_after_damage_count_and_one_that_is_there_twice_counts_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = store.create(tmp_path, a_run())
    file = folder / store.SAMPLES_FILE
    members = []
    for number in range(4):
        before = file.stat().st_size if file.exists() else 0
        store.append(folder, a_visit(number))
        members.append(file.read_bytes()[before:])
    not_a_visit = gzip.compress(b'{"case": "VGG16"}', mtime=0)
    for second in (members[1][:-7], members[1][:5], members[1][:20] + b"?" * 9 + members[1][29:], not_a_visit):
        caplog.clear()
        file.write_bytes(members[0] + second + members[2] + members[0] + members[3])
        assert store.visits(folder) == [a_visit(0), a_visit(2), a_visit(3)]
        assert f"{file}: 1 of its visits cannot be read and is left out" in caplog.text


def test_a_folder_is_held_by_one_process(tmp_path: Path) -> None:
    folder = store.create(tmp_path, a_run())
    script = f"from bench import store; from pathlib import Path\nwith store.held(Path({str(folder)!r})): pass"
    with store.held(folder):
        other = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert f"Failed: {folder} is being measured by another process; wait for it or stop it" in other.stderr
    with store.held(folder):
        pass


def test_latest_is_the_one_of_the_suite_that_began_last(tmp_path: Path) -> None:
    with pytest.raises(WrongUsage, match="no run under"):
        store.latest(tmp_path)
    old = store.create(tmp_path, measured())
    new = store.create(tmp_path, measured("other", "2026-02-02T00:00:00Z"))
    assert store.latest(tmp_path) == new
    assert store.latest(tmp_path, "default") == old
    again = store.create(tmp_path, measured("other", "2026-02-02T00:00:00Z"))
    assert store.latest(tmp_path) == again
    shutil.copytree(old, old.with_name("zz of today"))
    shutil.copytree(again, again.with_name(f"{again.name}-backup"))
    shutil.copytree(again, again.with_name(f"A-{again.name}"))
    assert store.latest(tmp_path) == again
    assert store.latest(tmp_path, "default") == old
    east = store.create(tmp_path, measured("other", "2026-02-02T01:00:00+02:00"))  # 23:00 of the day before
    assert store.latest(tmp_path) == again
    assert next(stored.path for stored in store.runs(tmp_path) if stored.run.suite == "other") == east


def test_a_run_without_a_measurement_is_never_the_latest(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store.create(tmp_path, a_run())
    with pytest.raises(WrongUsage, match="no run with a measurement under"):
        store.latest(tmp_path)
    old = store.create(tmp_path, measured(started_at="2026-01-01T00:00:00Z"))
    empty = store.create(tmp_path, a_run(started_at="2026-03-03T00:00:00Z"))
    assert store.latest(tmp_path) == old
    assert f"passed over {empty}: nothing was measured in it" in caplog.text
    assert store.latest(tmp_path, measured=False) == empty


BROKEN = {
    "cut": b'{"schema_version": %d, "suite' % store.SCHEMA_VERSION,
    "conflict": b"<<<<<<< HEAD\n{}\n=======\n{}\n>>>>>>> theirs\n",
    "empty": b"",
    "list": b"[]",
    "old": b'{"schema_version": 0}',
    "newer": b'{"schema_version": 999}',
    "bytes": b'{"schema_version": 2, "suite": "\xff"}',
    "deep": b"[" * 200_000,
}


def test_what_cannot_be_read_is_named_once_and_skipped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    good = store.create(tmp_path, measured())
    for name, content in BROKEN.items():
        (tmp_path / "runs" / name).mkdir()
        (tmp_path / "runs" / name / "run.json").write_bytes(content)
    (tmp_path / "runs" / "folder" / "run.json").mkdir(parents=True)
    text = (good / "run.json").read_text()
    wrong = {"p50_ms": "0", "started_at": '"yesterday"', "threads": "-1", "samples": "1.5"}
    for key, value in wrong.items():
        (tmp_path / "runs" / key).mkdir()
        (tmp_path / "runs" / key / "run.json").write_text(re.sub(rf'"{key}": [^,\n]+', f'"{key}": {value}', text))
    assert [stored.path for stored in store.runs(tmp_path)] == [good]
    for name in (*BROKEN, *wrong):
        assert caplog.text.count(f"skipped: {tmp_path / 'runs' / name / 'run.json'} ") == 1, name
    assert f"no run at {tmp_path / 'runs' / 'folder'}: Is a directory" in caplog.text
    baseline = store.save_baseline(tmp_path, measured())
    (baseline.parent / "other").mkdir()
    (baseline.parent / "other" / "run.json").write_bytes(BROKEN["conflict"])
    assert [stored.path for stored in store.baselines(tmp_path)] == [baseline]


def test_baselines_belong_to_a_suite_and_a_device(tmp_path: Path) -> None:
    run = a_run()
    with pytest.raises(NotComparable, match="bench baseline save"):
        store.stored_baseline(tmp_path, run)
    path = store.save_baseline(tmp_path, run)
    assert path == tmp_path / "baselines" / store.slug(run.suite)
    assert store.stored_baseline(tmp_path, run) == store.Stored(path, run)
    assert store.baselines(tmp_path) == [store.Stored(path, run)]
    elsewhere = replace(run, machine=replace(run.machine, must_match={"cpu": "A/B c", "cores": 4}))
    assert store.stored_baseline(tmp_path, elsewhere).run == run
    for other in (replace(run, suite="other"), replace(run, settings=replace(run.settings, device="cuda"))):
        with pytest.raises(NotComparable):
            store.stored_baseline(tmp_path, other)
    renamed = tmp_path / "baselines" / "of-2025"
    path.rename(renamed)
    assert store.baseline_folder(tmp_path, run) == renamed
    assert store.stored_baseline(tmp_path, run).run == run
    renamed.rename(path)
    (path / "run.json").write_bytes(BROKEN["conflict"])
    with pytest.raises(NotComparable, match=r"is not a run.*restore it"):
        store.stored_baseline(tmp_path, run)


def test_a_broken_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(WrongUsage, match="no run at"):
        store.load(tmp_path / "nothing")
    broken = tmp_path / "run.json"
    for text in ("{", "[]", '{"schema_version": 2}'):
        broken.write_text(text)
        with pytest.raises(WrongUsage, match="is not a run"):
            store.load(broken)
    broken.write_text('{"schema_version": 999}')
    with pytest.raises(NotComparable, match="schema_version 999"):
        store.load(broken)


def test_a_place_that_cannot_be_written_is_named_and_keeps_the_old_file(tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where the folder should be")
    with pytest.raises(Failed, match="cannot write"):
        store.create(blocked, a_run())
    folder = store.create(tmp_path, a_run())
    before = (folder / "run.json").read_bytes()
    full = Path("/dev/full")
    if full.exists():
        (folder / store.SAMPLES_FILE).symlink_to(full)
        with pytest.raises(Failed, match="No space left"):
            store.append(folder, a_visit(0))
    assert (folder / "run.json").read_bytes() == before


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(), min_size=2, max_size=2, unique=True))
def test_different_names_are_different_files(names: list[str]) -> None:
    one, other = map(store.slug, names)
    assert one != other
    assert one == one.encode("ascii").decode()
    assert 0 < len(one) <= 120
    assert "/" not in one


@pytest.mark.parametrize(
    ("one", "other"),
    [("v1+fast", "v1 fast"), ("门禁", "仓库"), ("α=1", "β=1"), ("a" * 300, "a" * 301), ("x", "x."), ("best", "-best")],
)
def test_names_that_differ_in_signs_alone_are_different_files(one: str, other: str) -> None:
    assert store.slug(one) != store.slug(other)


def test_reading_changes_nothing_on_disk(tmp_path: Path) -> None:
    folder = store.create(tmp_path, a_run())
    store.append(folder, a_visit(0))
    store.append(folder, a_visit(1))
    file = folder / store.SAMPLES_FILE
    file.write_bytes(file.read_bytes()[:-5])
    before = {path: path.read_bytes() for path in folder.iterdir()}
    assert store.visits(folder) == [a_visit(0)]
    store.load(folder)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_a_write_that_fails_halfway_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = store.create(tmp_path, a_run())
    before = (folder / "run.json").read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Failed, match="No space left on device"):
        store.write(folder, a_run("another suite"))
    assert (folder / "run.json").read_bytes() == before
    assert [path.name for path in folder.iterdir()] == ["run.json"], "and nothing half-written beside it"
    monkeypatch.undo()
    store.write(folder, a_run("another suite"))
    assert store.load(folder).suite == "another suite"


def test_a_run_with_holes_is_not_whole() -> None:
    store.check_whole(measured())
    (record,) = measured().records
    failed = replace(record, error="it died")
    holes = replace(a_run(), left_out=("B",))
    for run, says in (
        (holes, "VGG16 (no measurement); B (not asked for)"),
        (replace(a_run(), records=(failed,)), "VGG16 (it died)"),
        (replace(a_run(), records=()), "it has no cases"),
    ):
        with pytest.raises(WrongUsage) as raised:
            store.check_whole(run)
        assert str(raised.value) == (
            f"the run of 2026-01-02T03:04:05Z is not whole: {says}; "
            "measure the whole suite, or store it as it is with --force"
        )


def test_a_run_is_read_with_its_folder(tmp_path: Path) -> None:
    folder = store.create(tmp_path, a_run())
    assert store.read(folder) == store.read(folder / "run.json") == store.Stored(folder, a_run())
