"""What an export is asked for: requests are compared and hashed, whatever a builder takes."""

from __future__ import annotations

from dataclasses import replace

from bench import export
from bench.records import Case


def test_lists_and_tables_of_a_builder_are_a_part_of_the_request() -> None:
    case = Case(name="n", model="a:b", arguments={"widths": [16, 32], "more": {"deep": [[1]]}})
    one, other = export.request(case), export.request(replace(case, arguments={"widths": [16, 64]}))
    assert len({one, export.request(case), other}) == 2
