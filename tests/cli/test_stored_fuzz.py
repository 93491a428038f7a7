"""Stored files with anything in them: one line of error and an exit code of the contract, never a traceback."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench import store
from bench.analysis import answer, choice, comparison, history, precision, trust
from bench.cli import main
from bench.errors import BenchError
from bench.report import markdown
from tests import runs
from tests.test_store import a_visit

CODES = {0, 1, 2, 3, 4, 5, 6}
COMMANDS = (
    ["pick"], ["pick", "--p50", "10ms", "--top1", "60"], ["compare", "--stored"], ["baseline", "list"],
    ["baseline", "save"], ["report", "-o", "out.md"], ["report", "--all", "-o", "out.csv"],
    ["report", "-o", "out.json"],
)  # fmt: skip
FIGURES = (["report", "-o", "out.html"], ["report", "--all", "-o", "site"])

numbers = st.one_of(
    st.sampled_from([0, -1, 1, 2**31, 2**63, -(2**63), 2**70, 1e-300, 1e300, -0.0, 0.5]),
    st.integers(-10, 10**13), st.floats(allow_nan=False, allow_infinity=False),
)  # fmt: skip
words = st.one_of(st.text(max_size=8), st.sampled_from(["cpu", "slower", "measured"]))
scalars = st.one_of(st.none(), st.booleans(), numbers, words)


def holding(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3))


values = st.recursive(scalars, holding, max_leaves=4)


def places(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON document, as the keys that lead there."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place, *(p for key, child in inner for p in places(child, (*place, key)))]


def base() -> dict[str, Any]:
    made = runs.of_suite("precision")
    document = json.loads(store.json_text(made))
    document |= {"records": document["records"][:3], "started_at": "2026-03-05T10:00:00Z"}
    return dict(document)


BASE = base()
PLACES = [place for place in places(BASE) if place]


def edited(document: dict[str, Any], place: tuple[Any, ...], value: Any, *, delete: bool) -> dict[str, Any]:
    copy = json.loads(json.dumps(document))
    target = copy
    for key in place[:-1]:
        if not isinstance(target, (dict, list)) or (isinstance(target, list) and not 0 <= key < len(target)):
            return dict(copy)
        if isinstance(target, dict) and key not in target:
            return dict(copy)
        target = target[key]
    with contextlib.suppress(KeyError, IndexError, TypeError):
        if delete:
            del target[place[-1]]
        else:
            target[place[-1]] = value
    return dict(copy)


edits = st.lists(st.tuples(st.sampled_from(PLACES), values, st.booleans()), min_size=1, max_size=3)


@st.composite
def documents(draw: st.DrawFn) -> bytes:
    """A run.json changed in places, or with its bytes changed."""
    document = BASE
    for place, value, delete in draw(edits):
        document = edited(document, place, value, delete=delete)
    data = json.dumps(document).encode()
    if draw(st.integers(0, 4)) == 0:
        at = draw(st.integers(0, len(data)))
        data = data[:at] + draw(st.binary(max_size=6)) + data[at + draw(st.integers(0, 200)) :]
    return data


@st.composite
def samples(draw: st.DrawFn) -> bytes:
    """A sample file of three visits, one changed in a place, or with its bytes changed."""
    visits = [json.loads(store.json_text(a_visit(number))) | {"case": BASE["records"][0]["case"]["name"]}
              for number in range(3)]  # fmt: skip
    key = draw(st.sampled_from(sorted(visits[1])))
    visits[1][key] = draw(values)
    data = b"".join(gzip.compress(json.dumps(visit).encode() + b"\n", mtime=0) for visit in visits)
    if draw(st.booleans()):
        at = draw(st.integers(0, len(data)))
        data = data[:at] + draw(st.binary(max_size=20)) + data[at + draw(st.integers(0, 40)) :]
    return data


def answers(folder: Path, command: list[str]) -> tuple[int, str]:
    out, err = io.StringIO(), io.StringIO()
    streams = contextlib.redirect_stdout(out), contextlib.redirect_stderr(err)
    with contextlib.chdir(folder), streams[0], streams[1], pytest.raises(SystemExit) as stopped:
        main(command)
    return int(stopped.value.code or 0), err.getvalue()


def check(run: bytes, baseline: bytes, sampled: bytes, commands: tuple[list[str], ...]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        results = folder / "results"
        good = store.create(results, runs.of_suite("precision"))
        damaged = results / "runs" / "20990101T000000Z-damaged"
        shutil.copytree(good, damaged)
        (damaged / store.RUN_FILE).write_bytes(run)
        (damaged / store.SAMPLES_FILE).write_bytes(sampled)
        stored = store.save_baseline(results, runs.of_suite("precision"))
        (stored / store.RUN_FILE).write_bytes(baseline)
        for command in commands:
            code, err = answers(folder, command)
            assert code in CODES, command
            assert "unexpected" not in err, (command, err)
            assert "Traceback" not in err, (command, err)
        code, err = answers(folder, ["report", str(damaged), "-o", "one.md"])
        assert code in CODES
        assert "unexpected" not in err, err


quick = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None)


@pytest.mark.long
@settings(quick, max_examples=40)
@given(run=documents(), baseline=documents(), sampled=samples())
def test_any_stored_json_is_answered(run: bytes, baseline: bytes, sampled: bytes) -> None:
    check(run, baseline, sampled, COMMANDS)


@pytest.mark.long
@settings(quick, max_examples=4)
@given(run=documents(), sampled=samples())
def test_any_stored_json_is_drawn(run: bytes, sampled: bytes) -> None:
    check(run, json.dumps(BASE).encode(), sampled, FIGURES)


READERS = (
    lambda run, good: comparison.compare(run, good, force=True),
    lambda run, good: comparison.compare(good, run, force=True),
    lambda run, good: answer.in_words(choice.pick(run)),
    lambda run, good: choice.pick(run, {"p50": 10.0}),
    lambda run, good: trust.in_words(run),
    lambda run, good: markdown.summary(run),
    lambda run, good: history.histories([good, run]),
    lambda run, good: precision.changes(run),
)
NASTY = (0, -1, 1e300, 1e-300, 2**62, None, "x", [], {}, True)


@pytest.mark.long
@pytest.mark.parametrize("part", range(4))
def test_no_value_at_any_place_of_a_run_is_a_traceback(tmp_path: Path, part: int) -> None:
    """Every place of the run and of its first record, each with values that it should not hold."""
    file = tmp_path / store.RUN_FILE
    file.write_text(json.dumps(BASE))
    good = store.load(file)
    own = [place for place in PLACES if place[0] != "records" or len(place) == 1 or place[1] == 0]
    tried = read = 0
    for place in own[part::4]:
        for value in NASTY:
            file.write_text(json.dumps(edited(BASE, place, value, delete=value == 0 and len(place) % 2 == 0)))
            tried += 1
            try:
                run = store.load(file)
            except BenchError:
                continue
            read += 1
            for reader in READERS:
                with contextlib.suppress(BenchError):
                    reader(run, good)
    assert tried > read > tried / 20
