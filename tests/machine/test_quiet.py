"""Waiting for others to leave the cores alone, on a made-up clock."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.machine import quiet
from bench.timing import schedule
from tests.machines import Machine
from tests.timing.test_timing import settings, target


class Others:
    """Programs that use a share of the cores until a time, and a clock that looking and sleeping move."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, until: float, share: float = 0.8) -> None:
        self.now, self.until, self.share, self.slept = 0.0, until, share, 0.0
        monkeypatch.setattr(quiet, "look", self.look)
        monkeypatch.setattr(quiet, "time", SimpleNamespace(monotonic=lambda: self.now, sleep=self.sleep))

    def look(self) -> tuple[float, list[str]]:
        busy = self.now < self.until
        self.now += 0.5
        return (self.share if busy else 0.02), ["hog 160 %"] if busy else []

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept += seconds


def test_it_waits_until_they_are_done_and_says_for_whom(monkeypatch: pytest.MonkeyPatch) -> None:
    others = Others(monkeypatch, until=10.0)
    patience = quiet.Patience(300.0)
    words = list(patience.waits())
    assert 10.0 <= others.now <= 12.0
    assert words[0] == "waiting: others use 80 % of the cores (hog 160 %); 5 min 00 s of patience left"
    assert len(words) == 7
    assert patience.left_s == pytest.approx(300 - others.now)
    assert list(patience.waits()) == []


def test_its_stock_is_shared_by_all_visits_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    others = Others(monkeypatch, until=1e9)
    patience = quiet.Patience(20.0)
    assert list(patience.waits())
    assert 20.0 <= others.now <= 22.0
    assert list(patience.waits()) == []
    assert others.now <= 22.0


def test_without_patience_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    others = Others(monkeypatch, until=1e9)
    assert list(quiet.Patience(0.0).waits()) == []
    assert others.now == 0.0
    little = Others(monkeypatch, until=1e9, share=quiet.BUSY_SHARE)
    assert list(quiet.Patience(5.0).waits()) == []
    assert little.slept == 0.0


def test_every_visit_waits_and_the_run_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    Machine(monkeypatch)
    told = iter([["a"], [], ["b", "c"]])

    def waits(self: quiet.Patience) -> Iterator[str]:
        assert self.left_s == 60.0
        yield from next(told)

    monkeypatch.setattr(quiet.Patience, "waits", waits)
    plain = {"path": "m.onnx", "provider": "p", "threads": 1}
    monkeypatch.setattr(schedule, "specification", lambda *_, **__: plain)
    asked = settings(rounds=3, patience_s=60.0)
    events = list(schedule.visits([target(Path("m.onnx"))], asked))
    waited = [(event.round, event.message) for event in events if isinstance(event, schedule.VisitWaits)]
    assert waited == [(0, "a"), (2, "b"), (2, "c")]


def test_what_is_looked_at_is_a_share_of_the_cores_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quiet.psutil, "cpu_percent", lambda seconds, percpu: [100.0, 0.0, 50.0, 0.0])
    monkeypatch.setattr(quiet.os, "sched_getaffinity", lambda pid: {0, 1}, raising=False)
    assert quiet.look()[0] == pytest.approx(0.5)
    monkeypatch.setattr(quiet.os, "sched_getaffinity", lambda pid: {2, 3}, raising=False)
    assert quiet.look()[0] == pytest.approx(0.25)
