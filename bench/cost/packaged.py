"""Costs that come with the package: of the suites' networks, which never change, counted once and checked by a test.

`python -m bench.cost.packing` (or `nox -s counts`) counts them anew.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path

import msgspec

from bench import suites
from bench.records import Case, Cost

FILE = Path(__file__).with_name("counts.json")
_OURS = {"ResNeXt50": "resnext", "ResNeXt101": "resnext", "ConvMobileNet": "convmobilenet"}
"""Backbones that are built here, by name, and the modules of bench.models in which they are."""


def of_case(case: Case) -> Cost | None:
    """The stored cost of exactly this network; None where it is not among them, or its builder is another by now."""
    return _stored().get(key(case))


def cases() -> list[Case]:
    """The cases of all suites whose networks are known by name, each network once."""
    every = (case for name in suites.names() for case in suites.load_suite(name).cases)
    return list(
        {key(case): case for case in every if case.model in suites.backbones() and case.head != "notes"}.values()
    )


def key(case: Case) -> str:
    """All that makes a network: its name, arguments, input and head; of one that is built here, its source, too."""
    arguments = json.dumps(case.arguments, sort_keys=True)
    shape = "x".join(map(str, case.input_shape or ()))
    head = f"{case.head} {case.classes}" if case.head != "none" else "none"
    return " ".join(part for part in (case.model, arguments, shape, head, _source(case.model)) if part)


@cache
def _source(model: str) -> str:
    if model not in _OURS:
        return ""
    source = Path(suites.__file__).parent.parent / "models" / f"{_OURS[model]}.py"
    return hashlib.sha256(source.read_bytes()).hexdigest()[:16]


@cache
def _stored() -> dict[str, Cost]:
    try:
        return msgspec.json.decode(FILE.read_bytes(), type=dict[str, Cost])
    except (OSError, msgspec.MsgspecError):  # it saves time, and nothing depends on it
        return {}
