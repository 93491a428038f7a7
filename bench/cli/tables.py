"""Tables on a terminal: as wide as it is, and with fewer columns where it is narrow."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

_OF_A_FILE = 180  # columns of what is not a terminal
_WRAPS = 32  # a cell that is longer can be broken into lines of about so many characters
_GAP = 3  # between two columns


def width() -> int:
    """The width to print in: `COLUMNS`, else the terminal's, else plenty."""
    asked = os.environ.get("COLUMNS", "")
    if asked.isdigit() and int(asked):
        return int(asked)
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else _OF_A_FILE


def kept(headings: Sequence[str], rows: Sequence[Sequence[str]], room: int, drop: Sequence[str] = ()) -> list[int]:
    """The columns for which there is room, by index: those in `drop` go first, in that order, then from the right.

    The first column always stays.

    >>> kept(("model", "p50", "p95", "visits"), [("net", "1 ms", "2 ms", "5")], 21, drop=("p95",))
    [0, 1, 3]
    """
    needed = [min(_WRAPS, max(len(row[i]) for row in (headings, *rows))) + _GAP for i in range(len(headings))]
    columns = list(range(len(headings)))
    order = [headings.index(name) for name in drop if name in headings]
    order += [i for i in reversed(columns) if i not in order]
    for i in order:
        if sum(needed[k] for k in columns) - _GAP <= room or i == 0:
            break
        columns.remove(i)
    return columns


def draw(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    room: int,
    *,
    drop: Sequence[str] = (),
    right: bool = False,
    styles: Sequence[str | None] = (),
) -> Table:
    """A table of texts, shown as they are, whatever they hold; columns left out are named beneath it."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    columns = kept(headings, rows, room, drop)
    lost = [heading for i, heading in enumerate(headings) if i not in columns]
    caption = f"no room for: {', '.join(lost)} (--json, or a wider terminal)" if lost else None
    drawn = Table(box=box.SIMPLE, pad_edge=False, caption=caption, caption_justify="left")
    for i in columns:
        short = max((len(row[i]) for row in rows), default=0) <= _WRAPS
        drawn.add_column(headings[i], justify="right" if right and i else "left", no_wrap=short)
    for k, row in enumerate(rows):
        drawn.add_row(*(Text(row[i]) for i in columns), style=styles[k] if styles else None)
    return drawn
