"""Images, folders and models whose names are not UTF-8 are judged like any other, and shown with a replacement."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from bench.cli import main
from tests.accuracy.sets import colours, reader


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stopped:
        main(["accuracy", *arguments, "--preprocess", "unit", "--crop", "1", "--device", "cpu", "--threads", "1"])
    out, err = capsys.readouterr()
    return int(stopped.value.code or 0), out, err


def test_all_of_them_at_once(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    colours(tmp_path / "im", ["a", "b", "c"], each=3)
    reader(tmp_path / "m.onnx", 3)
    (tmp_path / "im" / "c" / "3.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    os.rename(b"im/c/3.png", b"im/c/na\xefve.png")  # noqa: PTH104 - bytes
    os.rename(b"im/a/0.png", b"im/a/\xff.png")  # noqa: PTH104 - bytes
    os.rename(b"im/c", b"im/\xe9t\xe9")  # noqa: PTH104 - bytes
    os.rename(b"im", b"photos \xe9")  # noqa: PTH104 - bytes
    os.rename(b"m.onnx", b"mod\xe8le.onnx")  # noqa: PTH104 - bytes
    model, images = os.fsdecode(b"mod\xe8le.onnx"), os.fsdecode(b"photos \xe9")
    code, out, err = call(capsys, model, "--images", images, "--stages")
    assert code == 0, err
    assert "mod\ufffdle on 9 images of 3 classes" in out
    assert "top-1 100.0 %" in out
    assert "unreadable: \ufffdt\ufffd/na\ufffdve.png: not an image" in err
    code, out, err = call(capsys, model, "--images", images, "--json")
    found = json.loads(out)
    assert (code, found["model"], found["images"], found["n"]) == (0, "mod\ufffdle", "photos \ufffd", 9)
    assert {entry["name"] for entry in found["classes"]} == {"a", "b", "\ufffdt\ufffd"}
    code, out, err = call(capsys, model, "--images", os.fsdecode(b"nowhere \xe9"))
    assert (code, err.count("\n")) == (2, 1)
    assert "there is no folder nowhere \ufffd" in err


def test_two_names_that_look_alike_are_two_classes(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    colours(tmp_path / "im", ["a", "b"], each=3)
    reader(tmp_path / "m.onnx", 2)
    os.rename(b"im/a", b"im/\xe8")  # noqa: PTH104 - bytes
    os.rename(b"im/b", b"im/\xe9")  # noqa: PTH104 - bytes
    code, out, _ = call(capsys, "m.onnx", "--images", "im", "--json")
    found = json.loads(out)
    assert (code, found["n"], found["top1"], len(found["classes"])) == (0, 6, 100.0, 2)
    (tmp_path / "labels.csv").write_bytes(b"\xe8/0.png,1\n\xe9/0.png,0\n")
    code, out, _ = call(capsys, "m.onnx", "--images", "im", "--labels", "labels.csv", "--json")
    found = json.loads(out)
    assert (code, found["n"], found["top1"]) == (0, 2, 0.0)
    assert [mistake["file"] for mistake in found["mistakes"]] == ["\ufffd/0.png", "\ufffd/0.png"]
