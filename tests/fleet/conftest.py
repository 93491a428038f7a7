"""Fleets of made-up machines on this host: a real scheduler with TLS, and workers in processes of their own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("distributed")

from bench.fleet import certificates, cluster
from tests.fleet.files import write_models

LIMIT_S = 30.0


class Fleet:
    """A scheduler and the workers that were started for it; ends them all."""

    def __init__(self, place: Path, tls: Path) -> None:
        self.place, self.tls, self.trace = place, tls, place / "trace"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"tls://127.0.0.1:{self.port}"
        self.schedule()

    def schedule(self) -> None:
        code = (
            "import sys; from pathlib import Path; from bench.fleet import scheduler; "
            f"scheduler.serve('127.0.0.1', {self.port}, scheduler_file=None, tls=Path(sys.argv[1]), insecure=False)"
        )
        self._start("scheduler", [sys.executable, "-c", code, str(self.tls)], {})

    def add(self, machine: str, factor: float = 1.0, name: str | None = None, **environment: str) -> None:
        """Start a worker. `name`: of the process, where a machine has several."""
        home = self.place / machine
        home.mkdir(exist_ok=True)
        command = [
            sys.executable, "-m", "tests.fleet.made_up", self.url, str(self.tls), str(self.trace), str(factor),
        ]  # fmt: skip
        changes = {"BACKBENCH_MACHINE": machine, "TMPDIR": str(home), "BACKBENCH_CACHE": str(home / "cache")}
        self._start(name or machine, command, changes | environment)

    def _start(self, name: str, command: list[str], changes: dict[str, str]) -> None:
        log = (self.place / f"{name}.log").open("ab")
        self.processes[name] = subprocess.Popen(
            command, stdout=log, stderr=log, env=os.environ | changes, cwd=Path(__file__).parents[2],
            start_new_session=True,
        )  # fmt: skip

    def kill(self, name: str) -> None:
        """kill -9."""
        self.processes[name].kill()
        self.processes.pop(name).wait()

    def pause(self, name: str, *, go_on: bool = False) -> None:
        """Nothing comes from it, or goes to it, as with a network that is cut."""
        self.processes[name].send_signal(signal.SIGCONT if go_on else signal.SIGSTOP)

    def close(self) -> None:
        for process in self.processes.values():
            process.kill()
        for process in self.processes.values():
            process.wait()

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
