"""The side that asks: a connection to a Dask scheduler, the machines behind it, and questions pinned to one of them."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from bench import errors
from bench.errors import BenchError, Failed, WrongUsage
from bench.fleet import answering, certificates, questions

PIECE = 8 << 20  # bytes of a file in one message
LOOK_S = 2.0  # between two looks at who is there
CONNECT_S = 15.0
AWAY_S = 90.0  # how long a machine may be away before its run ends: longer than a network cut of a minute
ATTEMPTS = 5  # to get one answer of a machine whose workers end


class Lost(Exception):
    """A machine, or the scheduler, is gone: what was measured is stored, and the run goes on with --resume."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine that answers."""

    address: str  # of the one worker on it that is asked
    workers: int  # on this machine, all together
    said: Mapping[str, Any]  # what `answering.hello` says
    offset_s: float  # of its clock against the client's

    @property
    def identity(self) -> str:
        """The same for every worker on this machine."""
        return str(self.said["machine"])

    @property
    def name(self) -> str:
        """What people call it."""
        return str(self.said["name"])

    @property
    def versions(self) -> dict[str, str]:
        """Of what all machines of a fleet share."""
        return dict(self.said["versions"])


class Cluster:
    """A connection to a scheduler; `close` it. Raises Failed when there is none, or it is not to be trusted."""

    def __init__(self, where: str, *, tls: Path | None = None, insecure: bool = False) -> None:
        import dask
        from distributed import Client

        file = Path(where)
        scheduler_file = str(file) if "://" not in where and file.is_file() else None
        if scheduler_file is None and "://" not in where:
            raise WrongUsage(f"{where} is neither an address like tls://HOST:8786 nor a scheduler file")
        address = msgspec.json.decode(file.read_bytes())["address"] if scheduler_file else where
        if not address.startswith("tls://") and not insecure:
            raise WrongUsage(
                f"{address} is not encrypted, and whoever reaches a Dask scheduler runs code on its machines; "
                "use tls://, see `bench fleet certificates --help`, or give --insecure"
            )
        security = certificates.client(tls) if address.startswith("tls://") else None
        self.where = where
        dask.config.set({"distributed.comm.timeouts.connect": f"{CONNECT_S:.0f}s"})
        try:
            self.client = Client(address, security=security, timeout=CONNECT_S, set_as_default=False)
        except (OSError, TimeoutError, ValueError, TypeError) as error:
            reason = next((line for line in str(error).splitlines() if line), type(error).__name__)
            raise Failed(
                f"no scheduler answers at {where} ({reason}); start it with `dask scheduler`, and give the folder of "
                "its certificates with --tls"
            ) from error
        self._lock = threading.Lock()
        self._seen: tuple[float, dict[str, str]] = (0.0, {})
        self._known: dict[str, tuple[str, float, Mapping[str, Any]] | str] = {}  # by address

    def close(self) -> None:
        """Let go of it; what it has been asked is cancelled."""
        self.client.close(timeout=5)

    def machines(self, *, fresh: bool = False) -> tuple[list[Machine], dict[str, str]]:
        """The machines that are there, by name; and the workers that cannot answer, with why.

        `fresh`: ask them all again. Several workers on one machine count as one.
        """
        if fresh:
            self._known.clear()
        there = self._addresses(now=True)
        self._ask_new(there)
        by_machine: dict[str, list[str]] = {}
        problems = {}
        for address in there:
            known = self._known.get(address, "it gave no answer")
            if isinstance(known, str):
                problems[address] = known
            else:
                by_machine.setdefault(known[0], []).append(address)
        machines = []
        for addresses in by_machine.values():
            address = min(addresses)
            known = self._known[address]
            if not isinstance(known, str):
                machines.append(Machine(address, len(addresses), known[2], known[1]))
        return sorted(machines, key=lambda machine: (machine.name, machine.identity)), problems

    def ask(self, machine: str, question: questions.Any) -> Any:
        """The answer of a machine, by its identity, as JSON holds it.

        A measurement whose worker is gone is asked for again, with the same token: an answer that is there counts.
        Raises what the worker says stands in the way, and Lost when the machine stays away.
        """
        return self._call(machine, answering.answer, msgspec.json.encode(question).decode())

    def send(self, machine: str, sha256: str, suffix: str, path: Path) -> int:
        """Have a file on a machine: the bytes that were sent, 0 when it is there already. Raises as `ask`."""
        here = self.ask(machine, questions.Holds(sha256=sha256, suffix=suffix))
        total, sent = path.stat().st_size, 0
        with path.open("rb") as file:
            while here != -1:
                file.seek(here)
                data = file.read(PIECE)
                last = here + len(data) >= total
                before, here = here, self._call(machine, answering.receive, sha256, suffix, here, data, last)
                sent += len(data)
                if here == before and not last:
                    raise Failed(f"{path} grows no longer on its machine; free some space there")
        return sent

    def _call(self, machine: str, function: Any, *arguments: Any) -> Any:
        for _ in range(ATTEMPTS):
            address = self._address(machine)
            future = self.client.submit(
                function, *arguments, workers=[address], allow_other_workers=False, retries=0, pure=False,
                key=f"{function.__name__}-{uuid.uuid4().hex}",
            )  # fmt: skip
            try:
                text = self._result(future, address)
            finally:
                future.release()
            if text is not None:
                said = msgspec.json.decode(text)
                if "error" not in said:
                    return said["answer"]
                kind = getattr(errors, said["kind"], Failed)
                raise (kind if issubclass(kind, BenchError) else Failed)(said["error"])
        raise Failed(f"the worker ended {ATTEMPTS} times before it had answered; look at its log, and at its memory")

    def _result(self, future: Any, address: str) -> str | None:
        """What a worker answers; None when it is gone and its answer with it."""
        from distributed import TimeoutError as Late

        while True:
            try:
                return str(future.result(timeout=LOOK_S))
            except (Late, TimeoutError):
                if address not in self._addresses():
                    future.cancel(force=True)
                    return None
            except Exception as error:  # of Dask: the worker is gone, or the scheduler; ours come as JSON
                self._addresses(now=True)
                if type(error).__name__ not in _GONE:
                    raise Failed(f"{address} cannot be asked: {type(error).__name__}: {error}") from error
                time.sleep(0.2)
                return None

    def _address(self, machine: str) -> str:
        """The worker that is asked on a machine, once there is one. Raises Lost when there is none for `AWAY_S`."""
        begun = time.monotonic()
        while True:
            there = self._addresses(now=time.monotonic() > begun)
            self._ask_new(there)
            with self._lock:
                known = {address: self._known.get(address) for address in there}
            fitting = [a for a, of in known.items() if isinstance(of, tuple) and of[0] == machine]
            if fitting:
                return min(fitting)
            if time.monotonic() - begun > AWAY_S:
                raise Lost(f"no worker on it for {AWAY_S:.0f} s")
            time.sleep(min(LOOK_S, 0.5))

    def _ask_new(self, there: Mapping[str, str]) -> None:
        """Have those that are not known say who they are."""
        with self._lock:
            new = [address for address in there if not isinstance(self._known.get(address), tuple)]
            if not new:
                return
            begun = time.time()
            answers = self.client.run(answering.hello, workers=new, on_error="return")
            for address in new:
                said = answers.get(address)
                if isinstance(said, str):
                    who = msgspec.json.decode(said)
                    middle = (begun + time.time()) / 2
                    self._known[address] = (who["machine"], who["clock_s"] - who["took_s"] / 2 - middle, who)
                else:
                    self._known[address] = f"{type(said).__name__}: {said}"

    def _addresses(self, *, now: bool = False) -> dict[str, str]:
        """The workers that are there, by address. Raises Lost when the scheduler is gone."""
        with self._lock:
            when, there = self._seen
            if not now and time.monotonic() - when < LOOK_S:
                return there
            begun = time.monotonic()
            while True:
                try:
                    info = self.client.sync(self.client.scheduler.identity, n_workers=-1, callback_timeout=CONNECT_S)
                    break
                except Exception as error:  # whatever Dask raises of a connection that broke
                    if time.monotonic() - begun > CONNECT_S or self.client.status in ("closed", "closing"):
                        raise Lost("the scheduler is gone") from error
                    time.sleep(0.5)
            there = {address: str(each.get("name", "")) for address, each in info["workers"].items()}
            self._seen = (time.monotonic(), there)
            return there


_GONE = {"KilledWorker", "CancelledError", "FutureCancelledError", "FuturesCancelledError", "FutureLostError",
         "CommClosedError", "NoValidWorkerError", "NoWorkerError"}  # fmt: skip


@contextmanager
def connected(where: str, *, tls: Path | None = None, insecure: bool = False) -> Iterator[Cluster]:
    """A connection for the length of the block. Raises as `Cluster`."""
    cluster = Cluster(where, tls=tls, insecure=insecure)
    try:
        yield cluster
    finally:
        cluster.close()
