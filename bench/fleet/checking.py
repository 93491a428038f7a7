"""Who is in a fleet, and whether its machines measure the same."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from bench.errors import Failed, NotComparable
from bench.fleet import answering
from bench.fleet.cluster import Cluster, Machine
from bench.machine.quiet import BUSY_SHARE
from bench.suites import RUNTIMES
from bench.units import megabytes

CLOCK_S = 5.0  # a clock that is further off than this makes the times of visits hard to read
LEAST_BYTES = 2 << 30  # of free space

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with a machine."""

    name: str
    what: str
    remedy: str
    refuses: bool = False  # nothing is measured with it


def findings(machines: Collection[Machine], runtimes: Iterable[str], ours: dict[str, str]) -> list[Finding]:
    """What is wrong with each machine. `runtimes`: those that shall measure; `ours`: the client's versions."""
    found = []
    common = {
        name: Counter(machine.versions.get(name, "?") for machine in machines).most_common(1)[0][0]
        for name in runtimes
        if machines
    }
    expected = {name: said for name, said in ours.items() if name not in RUNTIMES} | common
    for machine in machines:
        for name, version in expected.items():
            has = machine.versions.get(name, "not installed")
            if has != version:
                found.append(Finding(
                    machine.name, f"{name} is {has}, and {version} elsewhere",
                    f"install the same there: {_install(name, version)}", refuses=True,
                ))  # fmt: skip
            elif version == "not installed":
                found.append(Finding(
                    machine.name, f"{name} is not installed", 'pip install "backbench[fleet,cpu]"', refuses=True
                ))  # fmt: skip
        said = machine.said
        if said["busy_share"] > BUSY_SHARE:
            names = f" ({', '.join(said['busy_names'])})" if said["busy_names"] else ""
            found.append(Finding(
                machine.name, f"others use {100 * said['busy_share']:.0f} % of its cores{names}",
                "end them, or give --patience",
            ))  # fmt: skip
        if said["measuring"]:
            found.append(Finding(machine.name, f"{said['measuring']} measures on it", "wait for it: visits take turns"))
        if said["free_bytes"] < LEAST_BYTES:
            found.append(Finding(
                machine.name, f"{megabytes(said['free_bytes'])} are free under {said['cache']}",
                "free some space there, or set BACKBENCH_CACHE",
            ))  # fmt: skip
        if abs(machine.offset_s) > CLOCK_S:
            found.append(Finding(machine.name, f"its clock is off by {machine.offset_s:+.0f} s", "set it by NTP"))
    return found


def fit(cluster: Cluster, runtimes: Iterable[str]) -> list[Machine]:
    """The machines that measure. Raises Failed when there is none, NotComparable when they are not alike."""
    machines, problems = cluster.machines()
    if not machines:
        why = f": {next(iter(problems.values()))}" if problems else "; start some with `bench fleet worker`"
        raise Failed(f"no machine behind {cluster.where} can measure{why}")
    for address, why in problems.items():
        _log.warning("left out the worker %s: %s", address, why)
    refusing = [each for each in findings(machines, runtimes, answering.versions()) if each.refuses]
    if refusing:
        raise NotComparable("; ".join(f"{each.name}: {each.what}; {each.remedy}" for each in refusing))
    doubled = [name for name, count in Counter(machine.name for machine in machines).items() if count > 1]
    if doubled:
        raise NotComparable(
            f"several machines are called {', '.join(doubled)}; give each its own name: `bench fleet worker --name`"
        )
    return machines


def _install(name: str, version: str) -> str:
    if name == "Python":
        return f"Python {version}"
    package, _, number = version.rpartition(" ")
    return f"pip install {package or name}=={number}"
