"""What the store says where something is missing or broken, and what it writes to the last byte."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bench import store
from bench.analysis import comparison
from bench.errors import Failed, NotComparable, WrongUsage
from bench.records import Artifact, Case, Timed
from tests import runs
from tests.test_store import a_run, a_visit, measured


def test_only_visits_that_timed_the_runs_own_files_count(tmp_path: Path) -> None:
    folder = store.create(tmp_path, run := measured())
    (record,) = run.records
    drift = {record.case.runtime: "1.2"}
    artifact = Artifact(sha256="f" * 64, size_bytes=1, opset=17)
    run = replace(
        run, machine=replace(run.machine, may_drift=drift), records=(replace(record, artifact=artifact),)
    )  # fmt: skip
    store.write(folder, run)
    own = store.timed(run, run.records[0])
    assert own == Timed(artifact="f" * 64, runtime="1.2", machine=store.machine_name(run.machine))
    assert store.timed(a_run(), a_run().records[0]) == replace(own, artifact="", runtime="")
    newer = replace(own, runtime="1.3")
    known = [replace(a_visit(number), timed=what) for number, what in enumerate((None, own, newer))]
    for visit in known:
        store.append(folder, visit)
    assert store.visits(folder) == known[:2]
    assert store.visits(folder, every=True) == known


def test_the_log_says_what_could_not_be_read_of_the_samples(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = store.create(tmp_path, a_run())
    file = folder / store.SAMPLES_FILE
    file.write_bytes(gzip.compress(b"{}", mtime=0) * 2)
    assert store.visits(folder) == []
    assert [record.getMessage() for record in caplog.records] == [
        f"{file}: 2 of its visits cannot be read and are left out"
    ]
    caplog.clear()
    file.unlink()
    unreadable = Path("/proc/self/mem")  # a file that opens, and whose first bytes cannot be read
    if unreadable.exists():
        file.symlink_to(unreadable)
        assert store.visits(folder) == []
        assert [record.getMessage() for record in caplog.records] == [f"skipped {file}: Input/output error"]
        file.unlink()
    file.mkdir()
    assert store.visits(folder) == []


def test_sample_files_hold_no_time_and_are_the_same_each_time(tmp_path: Path) -> None:
    folder = store.create(tmp_path, a_run())
    store.append(folder, a_visit(0))
    first = (folder / store.SAMPLES_FILE).read_bytes()
    store.append(folder, a_visit(0))
    assert (folder / store.SAMPLES_FILE).read_bytes() == 2 * first
    assert first.startswith(store._MEMBER)
    assert store.visits(folder) == [a_visit(0)]


@pytest.mark.parametrize(("version", "remedy"), [(0, "measure it again"), (999, "install the newer backbench")])
def test_a_run_of_another_version_says_what_to_do(tmp_path: Path, version: int, remedy: str) -> None:
    file = tmp_path / "run.json"
    file.write_text(json.dumps({"schema_version": version}))
    with pytest.raises(NotComparable) as raised:
        store.load(file)
    said = f"{file} has schema_version {version}, this bench reads {store.SCHEMA_VERSION}; {remedy}"
    assert str(raised.value) == said


def test_what_to_run_is_said_where_there_is_no_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "runs"
    for suite, device, says in (
        (None, None, f"no run under {folder}; make one with `bench run default`"),
        ("keras", None, f"no run of suite keras under {folder}; make one with `bench run keras`"),
        (
            "keras",
            "cuda",
            f"no run of suite keras on cuda under {folder}; make one with `bench run keras --device cuda`",
        ),
        (None, "cpu", f"no run on cpu under {folder}; make one with `bench run default --device cpu`"),
    ):
        with pytest.raises(WrongUsage) as raised:
            store.latest(tmp_path, suite, device=device)
        assert str(raised.value) == says
    empty = store.create(tmp_path, a_run())
    with pytest.raises(WrongUsage, match="no run on cuda under"):
        store.latest(tmp_path, device="cuda")
    assert caplog.text == ""
    with pytest.raises(WrongUsage, match="no run with a measurement on cpu under"):
        store.latest(tmp_path, device="cpu")
    assert [record.getMessage() for record in caplog.records] == [f"passed over {empty}: nothing was measured in it"]


def test_what_is_wrong_with_a_baseline_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotComparable) as raised:
        store.stored_baseline(tmp_path, a_run())
    assert str(raised.value) == "no baseline for suite default; store one with `bench baseline save`"
    path = store.save_baseline(tmp_path, a_run())
    assert store.save_baseline(tmp_path, a_run()) == path, "there already"
    store.write(path, a_run("other"))
    with pytest.raises(NotComparable) as raised:
        store.stored_baseline(tmp_path, a_run())
    assert str(raised.value) == (
        f"{path} is a baseline of the suite other, not of default; restore it, or store one with `bench baseline save`"
    )
    blocked = tmp_path / "blocked"
    blocked.write_text("")
    with pytest.raises(Failed) as failed:
        store.make_folder(blocked / "sub")
    assert str(failed.value) == (
        f"cannot write {blocked / 'sub'}: Not a directory; free some space or name another folder with --output"
    )


def test_verdicts_come_back_and_what_cannot_be_read_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert store.verdicts(tmp_path) is None
    assert caplog.text == ""
    compared = comparison.compare(runs.of_suite("default"), runs.of_suite("default"))
    store.save_verdicts(tmp_path, compared)
    assert (tmp_path / store.VERDICTS_FILE).read_text() == store.json_text(compared) + "\n"
    assert store.verdicts(tmp_path) == compared
    (tmp_path / store.VERDICTS_FILE).write_text("{")
    assert store.verdicts(tmp_path) is None
    (record,) = caplog.records
    assert record.getMessage().startswith(f"skipped: {tmp_path / store.VERDICTS_FILE} cannot be read (")
    assert record.getMessage().endswith("; `bench compare` makes it anew")


def test_a_file_is_half_written_under_a_hidden_name_and_readable_for_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    monkeypatch.setattr(os, "fsync", lambda _: seen.extend(path.name for path in tmp_path.iterdir()))
    store.write_atomically(tmp_path / "page.html", b"text")
    (hidden,) = seen
    assert hidden.startswith(".page.html.")
    assert (tmp_path / "page.html").stat().st_mode & 0o777 == 0o644
    monkeypatch.undo()
    with pytest.raises(Failed, match=r"cannot write .*page.html: No such file or directory"):
        store.write_atomically(tmp_path / "none" / "page.html", b"text")


def test_slugs_end_in_a_hash_of_what_they_lost() -> None:
    hashed = {"v1 fast": "v1-fast", "-best.": "best", "门禁": "", "x" * 101: "x" * 100, "y" * 99 + ".zz": "y" * 99}
    for text, kept in hashed.items():
        digest = hashlib.sha256(text.encode()).hexdigest()[:8]
        assert store.slug(text) == "-".join(filter(None, (kept, digest)))
    assert re.fullmatch("a-[0-9a-f]{8}", store.slug("a\udcff"))
    assert store.slug("_x.Y-9") == "_x.Y-9"


def test_a_case_that_nobody_has_planned_says_so() -> None:
    case = Case(name="A", model="VGG16", input_shape=(224, 224, 3))
    said = store.asked(case)
    assert (said["device"], said["provider"], said["model"]) == (None, None, "VGG16")
    (record,) = a_run().records
    assert (store.asked(record.case)["device"], store.asked(record.case)["provider"]) == ("cpu", "CPUExecutionProvider")


def test_a_path_that_is_not_utf_8_is_stored_readable(tmp_path: Path) -> None:
    odd = replace(a_run(), suite="α\udcff-β")
    text = store.json_text(odd)
    assert json.loads(text)["suite"] == "α\ufffd-β"
    assert list(json.loads(text)) == sorted(json.loads(text))
    store.write(tmp_path, odd)
    assert store.load(tmp_path).suite == "α\ufffd-β"


def test_now_is_utc_to_the_second() -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", store.now())
    assert abs((datetime.now(UTC) - datetime.fromisoformat(store.now())).total_seconds()) < 60
