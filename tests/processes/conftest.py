"""Here, workers start as they do for users."""

from __future__ import annotations

import subprocess

import pytest

from bench.processes import process


@pytest.fixture(autouse=True)
def started_workers(forked_workers: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "subprocess", subprocess)
