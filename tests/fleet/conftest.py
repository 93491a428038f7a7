"""Fleets of made-up machines on this host: a real scheduler with TLS, and workers in processes of their own."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("distributed")

from bench.fleet import certificates, cluster
from tests.fleet import made_up
from tests.fleet.files import write_models

LIMIT_S = 30.0
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.fleet.made_up", "distributed", "bench.timing.schedule"])


class Fleet:
    """A scheduler and the workers that were started for it; ends them all."""

    def __init__(self, place: Path, tls: Path) -> None:
        self.place, self.tls, self.trace = place, tls, place / "trace"
        self.processes: dict[str, Any] = {}
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"tls://127.0.0.1:{self.port}"
        self.schedule()

    def schedule(self) -> None:
        self.start("scheduler", made_up.schedule, self.port, self.tls)

    def add(self, machine: str, name: str | None = None, **how: Any) -> None:
        """Start a worker. `name`: of the process, where a machine has several."""
        what = made_up.MadeUp(
            machine=machine, url=self.url, tls=self.tls, trace=self.trace, home=self.place / machine, **how
        )  # fmt: skip
        self.start(name or machine, made_up.work, what)

    def start(self, name: str, target: Callable[..., None], *arguments: object) -> None:
        """Start a process of the fleet: forked off one that has imported everything, which saves seconds for each."""
        process = FORKS.Process(target=target, args=(*arguments, self.place / f"{name}.log"), daemon=True)
        process.start()
        self.processes[name] = process

    def kill(self, name: str) -> None:
        """kill -9."""
        self.processes[name].kill()
        self.processes.pop(name).join()

    def pause(self, name: str, *, go_on: bool = False) -> None:
        """Nothing comes from it, or goes to it, as with a network that is cut."""
        os.kill(self.processes[name].pid or 0, signal.SIGCONT if go_on else signal.SIGSTOP)

    def close(self) -> None:
        for process in self.processes.values():
            process.kill()
        for process in self.processes.values():
            process.join()

    def connect(self, machines: int = 0) -> cluster.Cluster:
        """A client that sees so many machines."""
        begun = time.monotonic()
        while True:
            try:
                connection = cluster.Cluster(self.url, tls=self.tls)
                break
            except cluster.Failed:
                assert time.monotonic() - begun < LIMIT_S
        while len(connection.machines()[0]) < machines:
            assert time.monotonic() - begun < LIMIT_S, self.logs()
            time.sleep(0.1)
        return connection

    def logs(self) -> str:
        return "\n".join(log.read_text(errors="replace")[-2000:] for log in self.place.glob("*.log"))

    def steps(self) -> dict[str, list[tuple[str, str]]]:
        """What each machine did, in order: ("begin" or "end", the file's hash)."""
        steps = defaultdict(list)
        for line in self.trace.read_text().splitlines():
            _, machine, _, what, file = line.split()
            steps[machine].append((what, file))
        return steps

    def wait_for(self, visits: int) -> None:
        """Wait until so many visits have ended, on all machines together."""
        begun = time.monotonic()
        while not self.trace.exists() or self.trace.read_text().count(" end ") < visits:
            assert time.monotonic() - begun < LIMIT_S, self.logs()
            time.sleep(0.02)


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificates.write(tmp_path_factory.mktemp("fleet") / "certificates")


@pytest.fixture(autouse=True)
def own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bench.machine import lock

    monkeypatch.setattr(lock, "PATH", tmp_path / "measuring.lock")
    monkeypatch.setenv("BACKBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def new_fleet(tmp_path: Path, tls: Path) -> Iterator[Callable[[], Fleet]]:
    fleets = []

    def start() -> Fleet:
        fleets.append(Fleet(tmp_path, tls))
        return fleets[-1]

    yield start
    for fleet in fleets:
        fleet.close()


@pytest.fixture
def models(tmp_path: Path) -> list[str]:
    """Three files of one's own."""
    return write_models(tmp_path, ["alpha", "beta", "gamma"])
