"""What goes wrong in the pool's own threads ends in an answer: nothing waits for a thread that is gone."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import export
from bench.errors import Failed
from bench.export import pool
from bench.records import Case

REQUESTS = [export.request(Case(name=name, model=name, input_shape=(224, 224, 3))) for name in ("VGG16", "ResNet50")]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKBENCH_CACHE", str(tmp_path))


def starting(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def process(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(pool.process, "Process", process)


def test_an_exception_in_a_thread_is_raised_to_whoever_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    starting(monkeypatch, RuntimeError("of a kind that nobody thought of"))
    with pytest.raises(RuntimeError, match="nobody thought of"):
        list(export.export(REQUESTS))


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_process_that_cannot_start_fails_each_export_and_ends(monkeypatch: pytest.MonkeyPatch, jobs: int) -> None:
    starting(monkeypatch, Failed("cannot start python: Cannot allocate memory"))
    results = list(export.export(REQUESTS, jobs=jobs))
    assert {result.request for result in results} == set(REQUESTS)
    for result in results:
        assert isinstance(result, export.ExportFailure)
        assert result.message == "cannot start python: Cannot allocate memory"
