"""Numbers as text: the examples in the docstrings hold."""

from __future__ import annotations

import doctest
from types import ModuleType

import pytest

from bench import errors, units
from bench.errors import WrongUsage


@pytest.mark.parametrize("module", [units, errors])
def test_examples(module: ModuleType) -> None:
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize("text", ["lots", "-3%", "200%", "", "nan"])
def test_a_share_that_is_none(text: str) -> None:
    with pytest.raises(WrongUsage):
        units.parse_share(text)


def test_a_minute_is_written_as_one() -> None:
    assert [units.duration(seconds) for seconds in (59.4, 59.6, 60, 61, 119.6)] == [
        "59 s", "1 min 00 s", "1 min 00 s", "1 min 01 s", "2 min 00 s",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["1", "100%", "1.5", "0", "0%"])
def test_a_share_lies_between_nothing_and_all(text: str) -> None:
    with pytest.raises(WrongUsage):
        units.parse_share(text)


def test_an_interval_has_two_ends() -> None:
    assert units.latency(2.0, 1.0, None) == units.latency(2.0, None, 3.0) == "2.00 ms"


def test_below_the_least_scale_values_are_written_in_it() -> None:
    assert (units.quantity(-0.05, "J"), units.typed(0, "bytes")) == ("-50.0 mJ", "0B")
