"""The layers of tests: `fast` is whatever is not marked as another layer, and builds no network."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import Phase, settings

from bench.processes import process
from tests import nursery

OTHER_LAYERS = {"slow", "browser", "measured"}

# The same examples every time, however slow the machine is: a failure is the code's.
settings.register_profile("steady", derandomize=True, deadline=None)
settings.register_profile("mutants", derandomize=True, deadline=None, phases=[Phase.explicit, Phase.generate])
settings.register_profile("searching", deadline=None, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))

os.environ.pop("COLUMNS", None)  # tables are as wide as they want, whoever runs the tests


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what belongs to no other layer as fast, before `-m` chooses."""
    for item in items:
        if not any(mark.name in OTHER_LAYERS for mark in item.iter_markers()):
            item.add_marker(pytest.mark.fast)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store for the session: a network that one test has exported is there for the others (BACKBENCH_CACHE)."""
    return tmp_path_factory.mktemp("built")


@pytest.fixture(scope="session", autouse=True)
def forked_workers() -> Iterator[None]:
    """Workers are forked off a process that has their libraries, but in `tests/processes`."""
    if sys.platform != "linux":
        yield
        return
    with nursery.forking(process):
        yield
