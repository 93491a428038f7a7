"""A suite, and the choice of some of its cases."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from bench.errors import WrongUsage, suggestion
from bench.records import Case


@dataclass(frozen=True, slots=True)
class Suite:
    """A named list of cases to measure together."""

    name: str
    title: str
    cases: tuple[Case, ...]
    left_out: tuple[str, ...] = ()  # names of the suite's cases that were not asked for


def only(suite: Suite, wanted: Sequence[str]) -> Suite:
    """The suite with the cases that `select` chooses, and the names of the others."""
    chosen = select(suite.cases, wanted)
    return replace(suite, cases=chosen, left_out=tuple(case.name for case in suite.cases if case not in chosen))


def select(cases: Iterable[Case], wanted: Sequence[str]) -> tuple[Case, ...]:
    """The cases whose name or model matches one of `wanted` (upper and lower case alike; * and ? match anything).

    Raises WrongUsage for a pattern that matches none.
    """
    everything = tuple(cases)
    if not wanted:
        return everything
    chosen: set[str] = set()
    for pattern in wanted:
        low = pattern.lower()
        matching = {c.name for c in everything if fnmatchcase(c.name.lower(), low) or fnmatchcase(c.model.lower(), low)}
        if not matching:
            known = {c.name for c in everything} | {c.model for c in everything}
            raise WrongUsage(f'no case "{pattern}" in this suite; {suggestion(pattern, known)}'.rstrip("; "))
        chosen |= matching
    return tuple(c for c in everything if c.name in chosen)


def in_runtimes(suite: Suite, names: Sequence[str]) -> Suite:
    """The suite in these runtimes: those of its own sweep, or, without one, each case in each of them.

    Raises WrongUsage when its own sweep has none of them.
    """
    wanted = tuple(dict.fromkeys(names))
    if not wanted:
        return suite
    if len({case.runtime for case in suite.cases}) > 1:
        cases = tuple(case for case in suite.cases if case.runtime in wanted)
        if not cases:
            raise WrongUsage(f"no case of this suite is for {', '.join(wanted)}")
        left_out = (*suite.left_out, *(case.name for case in suite.cases if case not in cases))
        return replace(suite, cases=cases, left_out=left_out)
    swept = len(wanted) > 1
    return replace(suite, cases=tuple(
        replace(case, runtime=name, name=f"{case.name} runtime={name}" if swept else case.name)
        for case in suite.cases for name in wanted
    ))  # fmt: skip
