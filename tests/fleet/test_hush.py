"""Nothing of Dask's runs on a clock while something is measured, in a worker of anybody's."""

from __future__ import annotations

import time
from typing import Any

import pytest

pytest.importorskip("distributed")

from bench.fleet import hush


def running_now() -> dict[str, Any]:
    """Whose callbacks run in this worker, before, while and after it is hushed."""
    from distributed import get_worker

    worker = get_worker()

    def names() -> list[str]:
        return sorted(name for name, callback in worker.periodic_callbacks.items() if callback.is_running())

    before = names()
    with hush.hushed():
        (beat,) = hush._INSTEAD
        with hush.hushed():  # of another thread
            pass
        while_hushed, beat_ms = names(), beat.callback_time if beat.is_running() else None
    time.sleep(0.05)
    return {"before": before, "while": while_hushed, "beat_ms": beat_ms, "beats": beat.is_running(), "after": names()}


def test_only_the_heartbeat_stays_and_all_comes_back() -> None:
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        seen = client.submit(running_now).result(timeout=10)
    assert {"heartbeat", "profile", "tick", "monitor"} <= set(seen["before"])
    assert seen["while"] == []
    assert not seen["beats"]
    assert seen["beat_ms"] == 1e3 * hush.BEAT_S
    assert seen["after"] == seen["before"]
