"""Tables fit the terminal: columns go in a stated order, and are named; small counts are plain numbers."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path

import pytest
from rich.console import Console

from bench import store
from bench.cli import main, progress, root, tables
from bench.records import Record
from tests import runs

SMALL = [("a network", "12.3 ms [12.1, 12.5]", "5")]


@cache
def records() -> list[Record]:
    return list(runs.of_suite().records)


@cache
def drawn(width: int) -> str:
    screen = io.StringIO()
    Console(file=screen, width=width).print(progress.table(records(), width))
    return screen.getvalue()


@pytest.mark.parametrize("width", [60, 80, 100, 120, 160])
def test_the_table_of_a_run_fits_and_keeps_its_numbers_whole(width: int) -> None:
    text = drawn(width)
    assert all(len(line) <= width for line in text.splitlines())
    assert "InceptionResNetV2" in text
    assert "4.48 ms [4.45, 4.55]" in text  # never cut or broken


def test_columns_go_in_the_stated_order() -> None:
    everything = progress.headings()
    assert set(progress.KEPT) == set(everything)
    shown = {
        width: [name for name in everything if name in drawn(width).splitlines()[1]] for width in range(45, 166, 15)
    }
    assert shown[165] == list(everything)
    assert len(shown[45]) < 4
    for names in shown.values():
        assert set(names) == set(progress.KEPT[: len(names)])
    assert "no room for: " in drawn(80)
    assert "no room for: " not in drawn(165)


def test_columns_is_the_width(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "36")
    root.table(("model", "p50", "visits"), SMALL)
    out = capsys.readouterr().out
    assert "visits" not in out.splitlines()[1]
    assert "no room for: visits" in out
    assert max(map(len, out.splitlines())) <= 36
    monkeypatch.delenv("COLUMNS")
    root.table(("model", "p50", "visits"), SMALL)
    assert "visits" in capsys.readouterr().out.splitlines()[1]
    assert tables.width() == 180  # not a terminal


def test_small_counts_are_plain_numbers() -> None:
    from bench.units import giga, megabytes, millions

    assert (millions(864), millions(99_999), millions(4_253_864)) == ("864", "99,999", "4.25 M")
    assert (giga(1728), giga(1_138_000_000)) == ("1,728 Ops", "1.14")
    assert (megabytes(391), megabytes(38_400), megabytes(38_400_000)) == ("391 B", "38.4 kB", "38.4 MB")


@pytest.mark.parametrize(
    ("limits", "code", "says"),
    [
        ([], 0, "without limits: "),
        (["--p50", "100ms"], 0, "ship EfficientNetB0: "),
        (["--p50", "1us"], 6, "no model meets these limits"),
        (["--top1", "0.7"], 2, "did you mean 70?"),
        (["--top1", "75"], 0, "why not "),
        (["--size", "20 apples"], 2, "is not a quantity"),
        (["--size", "20"], 2, "write it as 10B, 10KB, 10MB, 10GB"),
        (["--p50", "100ms", "--batch-size", "8"], 6, "no model was measured"),
    ],
)
def test_pick_answers_with_the_exit_code_of_the_contract(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], limits: list[str], code: int, says: str
) -> None:
    store.create(tmp_path, runs.of_suite())
    with pytest.raises(SystemExit) as stopped:
        main(["pick", *limits, "--output", str(tmp_path)])
    out, err = capsys.readouterr()
    assert stopped.value.code == code
    assert says in (err if code == 2 else out)
