"""Reports of runs: pages, figures and tables for people, and formats for other tools."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import Failed, WrongUsage, suggestion
from bench.records import Comparison, Run

if TYPE_CHECKING:
    Writer = Callable[[Sequence[Run], Path, Comparison | None], Path]

_FORMATS = {  # format -> (module, function); imported when asked for, because drawing is slow to import
    "html": ("bench.report.page", "write_page"),
    "png": ("bench.report.images", "write_images"),
    "site": ("bench.report.site", "write_site"),
    "svg": ("bench.report.images", "write_images"),
}


def write_report(
    runs: Sequence[Run], out: Path, *, comparison: Comparison | None = None, format: str | None = None
) -> Path:
    """Write a report of runs and return the path to open.

    Args:
        runs: the runs, newest last.
        out: a file, whose suffix tells the format unless `format` does, or a folder for a site.
        comparison: shown beside the last run, when given.
        format: "html" (the last run as one self-contained page), "png" or "svg" (Figure 2), or "site" (all runs).

    Raises:
        WrongUsage: no such format, or no run.
        Failed: the file cannot be written.
    """
    kind = format or out.suffix.removeprefix(".") or "site"
    if kind not in _FORMATS:
        raise WrongUsage(f'no report format "{kind}"; {suggestion(kind, _FORMATS)}')
    if not runs:
        raise WrongUsage("no run to report; make one with `bench run`")
    from importlib import import_module

    module, function = _FORMATS[kind]
    writer: Writer = getattr(import_module(module), function)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        return writer(runs, out, comparison)
    except OSError as error:
        raise Failed(f"cannot write {out}: {error.strerror}; name another place with -o") from error
