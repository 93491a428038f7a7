"""The store of exported files, on entries made by hand: whole or absent, and the oldest go first."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import platformdirs
import pytest

from bench.errors import Failed, WrongUsage
from bench.export import cache
from bench.export.request import ExportRequest
from bench.models.file import file_sha256
from bench.records import Artifact, Cost

REQUEST = ExportRequest(
    model="MobileNet", arguments="{}", input_shape=(32, 32, 3), head="native", classes=10, weights="none"
)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BACKBENCH_CACHE", str(tmp_path / "own"))
    monkeypatch.delenv("BACKBENCH_CACHE_GB", raising=False)
    return tmp_path / "own" / "export"


def other(classes: int) -> ExportRequest:
    return replace(REQUEST, classes=classes)


def made(request: ExportRequest, content: bytes = b"model", read: dict[str, str] | None = None) -> Path:
    """Put a file of this content as the export of a request."""
    with cache.workplace() as folder:
        path = folder / "any.onnx"
        path.write_bytes(content)
        artifact = Artifact(sha256=file_sha256(path), size_bytes=len(content), opset=18)
        entry = cache.Entry(label="m", artifact=artifact, cost=Cost(mult_adds=1, params=2), read=read or {})
        return cache.put(request, path, entry)


def test_a_file_comes_back_with_what_is_known_of_it(own_cache: Path) -> None:
    assert cache.find(REQUEST) is None
    assert cache.stored(REQUEST.key) is None
    path = made(REQUEST)
    assert path == own_cache / REQUEST.key / "model.onnx"
    assert path.read_bytes() == b"model"
    found = cache.find(REQUEST)
    assert found is not None
    assert found[0] == path == cache.stored(REQUEST.key)
    assert (found[1].label, found[1].cost, found[1].takes_pixels) == ("m", Cost(mult_adds=1, params=2), False)
    assert [place.name for place in own_cache.iterdir()] == [REQUEST.key], "nothing else is left"
    tflite = replace(REQUEST, format="tflite")
    assert made(tflite).name == cache.name_of(tflite) == "model.tflite"


def test_a_new_file_takes_the_place_of_the_old() -> None:
    made(REQUEST, b"old")
    path = made(REQUEST, b"new")
    found = cache.find(REQUEST)
    assert found is not None
    assert (found[0].read_bytes(), found[1].artifact.size_bytes) == (b"new", 3)
    assert sorted(each.name for each in path.parent.iterdir()) == ["entry.json", "model.onnx"]


def test_where_it_lies(monkeypatch: pytest.MonkeyPatch, own_cache: Path) -> None:
    assert cache.folder() == own_cache
    monkeypatch.delenv("BACKBENCH_CACHE")
    assert cache.folder() == platformdirs.user_cache_path("backbench") / "export"
    monkeypatch.setenv("BACKBENCH_CACHE", "")
    assert cache.folder() == platformdirs.user_cache_path("backbench") / "export"


def test_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache.limit_bytes() == 20_000_000_000
    monkeypatch.setenv("BACKBENCH_CACHE_GB", "0.5")
    assert cache.limit_bytes() == 500_000_000
    monkeypatch.setenv("BACKBENCH_CACHE_GB", "much")
    with pytest.raises(WrongUsage, match=r"^BACKBENCH_CACHE_GB is 'much'; it must be a number of GB$"):
        cache.limit_bytes()


@pytest.mark.parametrize("damage", ["model", "entry", "no object"])
def test_a_damaged_entry_is_found_and_removed(damage: str) -> None:
    path = made(REQUEST)
    if damage == "model":
        path.write_bytes(b"mod3l")
    else:
        (path.parent / "entry.json").write_bytes(b"{" if damage == "entry" else b"[]")
    assert cache.find(REQUEST) is None
    assert not path.parent.exists()
    made(REQUEST)
    assert cache.find(REQUEST) is not None


def test_a_file_whose_builder_read_another_is_made_anew_when_that_changes(tmp_path: Path) -> None:
    table = tmp_path / "table.txt"
    table.write_text("1")
    path = made(REQUEST, read={str(table): file_sha256(table)})
    assert cache.find(REQUEST) is not None
    table.write_text("2")
    assert cache.find(REQUEST) is None
    assert path.exists(), "it is sound, and right again when the table is what it was"
    table.write_text("1")
    assert cache.find(REQUEST) is not None
    table.unlink()
    assert cache.find(REQUEST) is None


def aged(*classes: int) -> list[Path]:
    """Entries of 1000 bytes and more, each used an hour after the one before, long ago."""
    places = [made(other(number), bytes(1000)).parent for number in classes]
    for number, place in enumerate(places):
        os.utime(place, (3600 * number + 1e9, 3600 * number + 1e9))
    return places


def test_entries_are_listed_with_the_least_recently_used_first(own_cache: Path) -> None:
    places = aged(3, 2, 5)
    size = sum(path.stat().st_size for path in places[0].iterdir())
    assert size > 1000
    assert [(place, held) for place, _, held in cache.entries()] == [(place, size) for place in places]
    assert cache.find(other(3)) is not None, "which uses it"
    assert [place for place, _, _ in cache.entries()] == [places[1], places[2], places[0]]
    (own_cache / "tmp-1-x").mkdir()
    (own_cache / "tmp-1-x" / "entry.json").write_bytes((places[0] / "entry.json").read_bytes())
    (places[1] / "entry.json").write_bytes(b"{")
    assert [place for place, _, _ in cache.entries()] == [places[2], places[0]]


def test_the_least_recently_used_make_room_and_the_new_one_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    places = aged(1, 2, 3)
    size = cache.entries()[0][2]
    monkeypatch.setenv("BACKBENCH_CACHE_GB", str(3 * size / 1e9))
    new = made(other(4), bytes(1000)).parent
    assert [place.exists() for place in (*places, new)] == [False, True, True, True]
    os.utime(places[1], (1e9, 1e9))
    monkeypatch.setenv("BACKBENCH_CACHE_GB", str((2 * size + 1) / 1e9))
    newest = made(other(5), bytes(1000)).parent
    assert [place.exists() for place in (*places, new, newest)] == [False, False, False, True, True]
    monkeypatch.setenv("BACKBENCH_CACHE_GB", "0")
    last = made(other(6), bytes(1000)).parent
    assert [place.exists() for place in (new, newest, last)] == [False, False, True], "too large alone, and needed"


def test_clearing_says_what_was_freed(own_cache: Path) -> None:
    aged(1, 2)
    held = sum(size for _, _, size in cache.entries())
    assert cache.clear() == held > 2000
    assert not own_cache.exists()
    assert (cache.clear(), cache.entries()) == (0, [])


def test_what_killed_processes_left_is_removed_and_what_works_stays(own_cache: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    kept = [own_cache / f"tmp-{os.getppid()}-a", own_cache / "tmp-x-a"]
    if os.geteuid() == 0:
        kept.append(own_cache / "tmp-1-a")
    left = own_cache / f"tmp-{ended.pid}-a"
    for place in (*kept, left):
        place.mkdir(parents=True)
    with cache.workplace() as folder:
        assert folder.parent == own_cache
        assert folder.name.startswith(f"tmp-{os.getpid()}-")
        assert not left.exists()
    assert not folder.exists()
    assert all(place.exists() for place in kept)


def test_a_process_of_another_user_is_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(pid: int, signal: int) -> None:
        assert (pid, signal) == (77, 0)
        raise PermissionError

    monkeypatch.setattr(os, "kill", refused)
    assert cache._alive(77) is True


def test_one_process_at_a_time_makes_an_entry(own_cache: Path) -> None:
    code = (
        "import sys, filelock\n"
        "try: filelock.FileLock(sys.argv[1], timeout=0).acquire(); print('free')\n"
        "except filelock.Timeout: print('held')"
    )

    def state() -> str:
        lock = own_cache / f"{REQUEST.key}.lock"
        return subprocess.run([sys.executable, "-c", code, lock], capture_output=True, text=True, check=True).stdout

    with cache.locked(REQUEST):
        assert state() == "held\n"
    assert state() == "free\n"
    with pytest.raises(ZeroDivisionError), cache.locked(REQUEST):
        raise ZeroDivisionError
    assert state() == "free\n"


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BACKBENCH_CACHE", str(tmp_path / "file"))
    with pytest.raises(Failed) as raised, cache.locked(REQUEST):
        pass
    assert str(raised.value) == (
        f"cannot write the export cache {tmp_path / 'file' / 'export'}: Not a directory; set BACKBENCH_CACHE"
    )


def test_an_entry_is_stored_as_it_was_given() -> None:
    path = made(REQUEST, read={})
    stored = msgspec.json.decode((path.parent / "entry.json").read_bytes(), type=cache.Entry)
    assert stored == (cache.find(REQUEST) or (None, None))[1]
