"""COCO files spoiled by chance: an evaluation, or one line of the contract; no traceback, no hang.

`BACKBENCH_FUZZ=5000 pytest tests/detection/test_fuzz.py` tries more.
"""

from __future__ import annotations

import copy
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from bench.detection import evaluate
from bench.errors import BenchError
from bench.report.detection import render
from bench.store import json_text
from tests.detection.sets import generate

TRIES = int(os.environ.get("BACKBENCH_FUZZ", "60"))
often = settings(max_examples=TRIES, deadline=None, suppress_health_check=list(HealthCheck))
TRUTH, FOUND = generate(2, images=4, classes=2, most=3)

values = st.one_of(
    st.sampled_from([None, True, 0, -1, 1, 0.5, 42.0, 2**62, 2**63, 2**64, 2**80, 1e300, -1e300, "", "0", "7", "7.0",
                     "0.png", "class 0", "a\u0000b", "<script>", [], {}, [1, 2], [0, 0, 0, 0], [-5, -5, 1e9, 1e9],
                     [1e308, 1e308, 1e308, 1e308], [0.1, 0.1, 1e-320, 1], "\u202e"]),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=5),
)  # fmt: skip
steps = st.lists(
    st.tuples(st.integers(0, 10**6), st.sampled_from(["set", "drop", "twice", "swap"]), values), max_size=5
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value inside another."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, each in inside for found in [(*path, key), *places(each, (*path, key))]]


def spoil(value: Any, changes: list[tuple[int, str, Any]]) -> Any:
    """A value with some of what is inside it set, dropped, or there twice."""
    whole = copy.deepcopy([value])
    for number, how, new in changes:
        ways = places(whole)
        *above, key = ways[number % len(ways)]
        holder = whole
        for step in above:
            holder = holder[step]
        if how == "set":
            holder[key] = copy.deepcopy(new)
        elif how == "swap":
            holder[key] = copy.deepcopy(holder[next(iter(holder)) if isinstance(holder, dict) else 0])
        elif isinstance(holder, list) and holder is not whole:
            holder[key : key + 1] = [] if how == "drop" else [holder[key], copy.deepcopy(holder[key])]
        elif isinstance(holder, dict) and how == "drop":
            del holder[key]
    return whole[0]


def one_line(error: BenchError) -> None:
    assert error.exit_code == 2
    assert "\n" not in str(error)


def answered(gt: bytes, dt: bytes, **options: Any) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        files = Path(scratch) / "gt.json", Path(scratch) / "dt.json"
        files[0].write_bytes(gt)
        files[1].write_bytes(dt)
        try:
            found = evaluate(*files, **options)
        except BenchError as error:
            event("refused")
            one_line(error)
            return
    event("evaluated")
    again = msgspec.json.decode(json_text(found).encode())
    assert again["images"] == found.images
    for figure in (found.coco.ap, found.notes_map, found.notes_map_over_ious, *found.notes_map_by_iou):
        assert figure is None or 0 <= figure <= 1
    render(found).encode()


@often
@given(truth=steps, found=steps, iou=st.sampled_from([0.05, 0.5, 1.0]))
def test_spoiled_values(truth: list[tuple[int, str, Any]], found: list[tuple[int, str, Any]], iou: float) -> None:
    gt, dt = (json.dumps(spoil(*each)).encode() for each in ((TRUTH, truth), (FOUND, found)))
    answered(gt, dt, iou=iou, confidence=None)


@often
@given(data=st.data())
def test_spoiled_bytes(data: st.DataObject) -> None:
    files = [json.dumps(each).encode() for each in (TRUTH, FOUND)]
    which = data.draw(st.integers(0, 1))
    at = data.draw(st.integers(0, len(files[which])))
    files[which] = (
        files[which][:at] + data.draw(st.binary(max_size=6)) + files[which][at + data.draw(st.integers(0, 9)) :]
    )
    answered(*files)
