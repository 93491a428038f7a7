"""Where a run's files are timed: this machine, or another one that answers the same questions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from bench import runtimes
from bench.errors import WrongUsage
from bench.records import Accuracy, Fidelity, Load, Machine, PlannedCase, Roofline, Settings, Visit

if TYPE_CHECKING:
    from bench.timing import Target


class Place(Protocol):
    """A machine that measures. Each of these raises BenchError where it cannot; what is asked is asked there."""

    @property
    def is_here(self) -> bool:
        """Whether it is this machine."""

    def cores(self) -> int:
        """The cores that a measured process may use."""

    def device(self, asked: str, runtime: str) -> tuple[str, str]:
        """The device for "auto", "cpu" or "cuda", and what the runtime calls it."""

    def installed(self, runtime: str) -> str | None:
        """The distribution and version of a runtime; None where there is none."""

    def facts(self, device: str, threads: int, names: Iterable[str]) -> Machine:
        """The facts of the machine, with the versions of these runtimes."""

    def visit(self, target: Target, number: int, settings: Settings) -> Visit:
        """One visit to a target, in the round of that number."""

    def fidelity(self, case: PlannedCase, path: Path, reference: str, settings: Settings) -> Fidelity:
        """A file in the runtime of its case, against a reference runtime."""

    def calibrate(self, settings: Settings, threads: int, names: Iterable[str]) -> Roofline:
        """What the machine can do at most."""

    def profile(self, target: Target, settings: Settings) -> dict[str, float]:
        """Milliseconds of one inference by kind of layer."""

    def accuracy(self, case: PlannedCase, path: Path, kept: Path) -> Accuracy:
        """The accuracy of a case's file. `kept`: where predictions are kept, to go on after a kill."""

    def load(self, case: PlannedCase, path: Path, say: Callable[[str], None]) -> Load:
        """What a case's file holds of the load that its case asks for. `say`: how far it is, where that is known."""


class Here:
    """This machine."""

    is_here = True

    def cores(self) -> int:
        """The cores given to this process."""
        from bench.machine import facts

        return facts.cores_given()

    def device(self, asked: str, runtime: str) -> tuple[str, str]:
        """As `runtimes.device.resolve`; of a runtime that is not installed, the CPU."""
        from bench.runtimes import device

        return device.resolve(asked if runtimes.installed(runtime) else "cpu", runtime)

    def installed(self, runtime: str) -> str | None:
        """As `runtimes.installed`."""
        return runtimes.installed(runtime)

    def facts(self, device: str, threads: int, names: Iterable[str]) -> Machine:
        """As `machine.facts.collect`."""
        from bench.machine import facts

        return facts.collect(device, threads, runtimes.versions(names))

    def visit(self, target: Target, number: int, settings: Settings) -> Visit:
        """As `timing.one`."""
        from bench.timing import schedule

        return schedule.one(target, number, settings)

    def fidelity(self, case: PlannedCase, path: Path, reference: str, settings: Settings) -> Fidelity:
        """As `timing.fidelity.against`."""
        from bench.timing import fidelity

        return fidelity.against(case, path, reference, settings)

    def calibrate(self, settings: Settings, threads: int, names: Iterable[str]) -> Roofline:
        """As `timing.calibration.calibrate`."""
        from bench.timing import calibration

        return calibration.calibrate(settings, threads, names)

    def profile(self, target: Target, settings: Settings) -> dict[str, float]:
        """As `timing.profile.by_kind`."""
        from bench.timing import profile

        return profile.by_kind(target, settings)

    def accuracy(self, case: PlannedCase, path: Path, kept: Path) -> Accuracy:
        """On held-out images of the data set it was trained on, or on a folder of images."""
        from bench import accuracy, training

        if case.train and case.train.data:
            return training.accuracy(path, case.train.data, case.runtime)
        return accuracy.measure(path, accuracy.settings_of(case), kept=kept)

    def load(self, case: PlannedCase, path: Path, say: Callable[[str], None]) -> Load:
        """As `capacity.search`. Raises WrongUsage for a case that asks for none."""
        from bench import capacity

        if case.load is None:
            raise WrongUsage(f"{case.name} asks for no load")
        target = capacity.Target(case=case, path=path, processes=case.load.processes)
        return capacity.search(target, case.load, say=say)
