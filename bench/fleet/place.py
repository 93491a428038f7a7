"""A machine of the fleet as a place where a run's files are timed."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from bench.errors import Failed
from bench.fleet import answering, questions
from bench.fleet.cluster import Cluster, Machine
from bench.models.file import identity
from bench.pipeline.place import Here
from bench.records import Accuracy, Fidelity, Load, PlannedCase, Roofline, Settings, Visit
from bench.records import Machine as Facts
from bench.timing import Target

Kind = TypeVar("Kind")


class Judge:
    """The accuracy of files, each judged once for all machines: it does not depend on who times them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[bytes, Accuracy] = {}

    def accuracy(self, case: PlannedCase, path: Path, kept: Path) -> Accuracy:
        """The accuracy of a case's file, on this machine."""
        key = msgspec.json.encode((identity(path).sha256, case.accuracy, case.train, case.runtime, case.input_shapes))
        with self._lock:
            if key not in self._known:
                self._known[key] = Here().accuracy(case, path, kept)
            return self._known[key]


class There:
    """Another machine, which answers for itself. Nothing here sleeps on it or looks at it while it measures."""

    is_here = False

    def __init__(self, cluster: Cluster, machine: Machine, judge: Judge) -> None:
        self.cluster, self.machine, self.judge = cluster, machine, judge
        self.patience_s: float | None = None  # that is left; None: none has been spent
        self.sent_bytes = 0
        self._files: dict[tuple[Path, int], tuple[str, str]] = {}

    def cores(self) -> int:
        """As it says of itself."""
        return int(self.machine.said["cores"])

    def device(self, asked: str, runtime: str) -> tuple[str, str]:
        """As `Place.device`."""
        device, provider = self._ask(questions.Device(asked=asked, runtime=runtime))
        return str(device), str(provider)

    def installed(self, runtime: str) -> str | None:
        """As it says of itself."""
        said = self.machine.versions.get(runtime, "not installed")
        return None if said == "not installed" else said

    def facts(self, device: str, threads: int, names: Iterable[str]) -> Facts:
        """As `Place.facts`, with its name."""
        asked = questions.Facts(device=device, threads=threads, runtimes=tuple(sorted(names)))
        facts = msgspec.convert(self._ask(asked), Facts)
        return replace(facts, informs=facts.informs | {"machine": self.machine.name})

    def visit(self, target: Target, number: int, settings: Settings) -> Visit:
        """As `Place.visit`; what is left of the patience is counted here, for all visits together."""
        left = settings.patience_s if self.patience_s is None else self.patience_s
        said = self._measure(
            questions.Visit, settings=settings, number=number, patience_s=left, inject=target.inject,
            **self._file(target.case, target.path),
        )  # fmt: skip
        self.patience_s = float(said["patience_s"])
        return msgspec.convert(said["visit"], Visit)

    def fidelity(self, case: PlannedCase, path: Path, reference: str, settings: Settings) -> Fidelity:
        """As `Place.fidelity`."""
        said = self._measure(
            questions.Fidelity, settings=settings, reference=reference, **self._file(case, path)
        )  # fmt: skip
        return msgspec.convert(said, Fidelity)

    def calibrate(self, settings: Settings, threads: int, names: Iterable[str]) -> Roofline:
        """As `Place.calibrate`."""
        said = self._measure(
            questions.Calibrate, settings=settings, threads=threads, runtimes=tuple(sorted(names))
        )  # fmt: skip
        return msgspec.convert(said, Roofline)

    def profile(self, target: Target, settings: Settings) -> dict[str, float]:
        """As `Place.profile`."""
        said = self._measure(questions.Profile, settings=settings, **self._file(target.case, target.path))
        return msgspec.convert(said, dict[str, float])

    def load(self, case: PlannedCase, path: Path, say: Callable[[str], None]) -> Load:
        """As `Place.load`."""
        return msgspec.convert(self._measure(questions.Load, **self._file(case, path)), Load)

    def accuracy(self, case: PlannedCase, path: Path, kept: Path) -> Accuracy:
        """As `Judge.accuracy`."""
        return self.judge.accuracy(case, path, kept)

    def _ask(self, question: questions.Any) -> Any:
        return self.cluster.ask(self.machine.identity, question)

    def _measure(self, kind: Any, **fields: Any) -> Any:
        """A measurement, made anew where a worker ended before it had answered."""
        for _ in range(3):
            try:
                return self._ask(kind(token=uuid.uuid4().hex, **fields))
            except Failed as error:
                if str(error) != answering.UNFINISHED:
                    raise
        raise Failed(f"{answering.UNFINISHED}, three times; look at its log, or leave this one out")

    def _file(self, case: PlannedCase, path: Path) -> dict[str, Any]:
        """A case's file as the machine knows it, which has it afterwards."""
        key = path, path.stat().st_mtime_ns
        if key not in self._files:
            known = identity(path)
            if len(known.parts) > 1:
                raise Failed(f"{path} keeps its weights in other files; a fleet takes one file a model: "
                             "onnx.save(onnx.load(FILE), OTHER) makes one of them")  # fmt: skip
            suffix = path.suffix.lower()
            self.sent_bytes += self.cluster.send(self.machine.identity, known.sha256, suffix, known.parts[0])
            self._files[key] = known.sha256, suffix
        sha256, suffix = self._files[key]
        return {"case": case, "sha256": sha256, "suffix": suffix}
