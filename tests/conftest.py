"""The layers of tests: `fast` is whatever has no mark of another layer: no network is built, and no test takes long."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import Phase, settings

from bench.machine import lock
from bench.processes import process
from bench.records import Roofline, Settings
from bench.timing import calibration
from tests import nursery

OTHER_LAYERS = {"slow": 2, "browser": 1, "long": 1, "measured": 0}
"""With how long their files take, compared with each other."""

# The same examples every time, however slow the machine is: a failure is the code's.
settings.register_profile("steady", derandomize=True, deadline=None)
settings.register_profile("mutants", derandomize=True, deadline=None, phases=[Phase.explicit, Phase.generate])
settings.register_profile("searching", deadline=None, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))

os.environ.pop("COLUMNS", None)  # tables are as wide as they want, whoever runs the tests


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what belongs to no other layer as fast, before `-m` chooses; the files that take long come first.

    Each core has a file at a time, and where the short ones are last, all cores end together.
    """
    longest: dict[Path, int] = {}
    for item in items:
        if "new_fleet" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)
        layers = {mark.name for mark in item.iter_markers()} & OTHER_LAYERS.keys()
        if not layers:
            item.add_marker(pytest.mark.fast)
        longest[item.path] = max([longest.get(item.path, 0), *(OTHER_LAYERS[layer] for layer in layers)])
    items.sort(key=lambda item: -longest[item.path])


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store for the session: a network that one test has exported is there for the others (BACKBENCH_CACHE)."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "built"
    folder.mkdir(exist_ok=True)  # one for all workers of pytest-xdist
    return folder


@pytest.fixture(scope="session", autouse=True)
def forked_workers() -> Iterator[None]:
    """Workers are forked off a process that has their libraries, but in `tests/processes`."""
    if sys.platform != "linux":
        yield
        return
    with nursery.forking(process):
        yield


@pytest.fixture(scope="session", autouse=True)
def own_lock_of_the_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests wait for no real run, for no tests on the other core, nor those for them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lock, "PATH", tmp_path_factory.getbasetemp() / "measuring.lock")
        yield


@pytest.fixture(scope="session", autouse=True)
def short_calibration() -> Iterator[None]:
    """A machine's peak is looked for in moments, once for all runs of a session: it would take most of a test's run."""
    real: Callable[[Settings, int, Iterable[str]], Roofline] = calibration.calibrate
    known: dict[tuple[str, int, frozenset[str]], Roofline] = {}

    def once(settings: Settings, threads: int, names: Iterable[str]) -> Roofline:
        of_what = settings.device, threads, frozenset(names)
        if of_what not in known:
            known[of_what] = real(settings, *of_what[1:])
        return known[of_what]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calibration, "MIN_TIME_S", 0.02)
        patch.setattr(calibration, "MIN_COUNT", 2)
        patch.setattr(calibration, "WARMUP_S", 0.02)
        patch.setattr(calibration, "calibrate", once)
        yield
