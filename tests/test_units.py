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
