"""Reports of runs: pages, figures and tables for people, and formats for other tools."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import store
from bench.analysis import summary
from bench.errors import Failed, WrongUsage, suggestion
from bench.records import Comparison, Run, Visit


@dataclass(frozen=True, kw_only=True, slots=True)
class Material:
    """What a report is made of."""

    runs: tuple[Run, ...]  # newest last
    folders: tuple[Path | None, ...] = ()  # where each run is stored, for its raw samples; () when none is
    comparison: Comparison | None = None  # of the last run with its baseline
    others: tuple[Run, ...] = ()  # further runs, that lie behind the present one
    baselines: tuple[Run, ...] = ()  # stored ones, that runs without a predecessor are held against

    def folder(self, index: int = -1) -> Path | None:
        """Where a run is stored, where that is known."""
        return self.folders[index] if self.folders else None

    def earlier(self, index: int = -1) -> list[Run]:
        """The runs of the same suite on the same machine before one of them."""
        run = self.runs[index]
        return [
            other for other in (*self.runs, *self.others)
            if (other.suite, other.machine.must_match) == (run.suite, run.machine.must_match)
            and other.started_at < run.started_at
        ]  # fmt: skip

    def visits(self, index: int = -1) -> list[Visit]:
        """The raw samples of a run; none where it is not known where it is stored, or they are not beside it."""
        folder = self.folder(index)
        return summary.paced(store.visits(folder)) if folder else []


Writer = Callable[[Material, Path], Path]

_FORMATS = {  # format -> (module, function); imported when asked for, because drawing is slow to import
    "csv": ("bench.report.spreadsheet", "write_csv"),
    "html": ("bench.report.page", "write_page"),
    "markdown": ("bench.report.markdown", "write_markdown"),
    "png": ("bench.report.images", "write_png"),
    "pytest-benchmark": ("bench.report.pytest_benchmark", "write_json"),
    "site": ("bench.report.site", "write_site"),
    "svg": ("bench.report.images", "write_svg"),
}
_OF_SUFFIXES = {".json": "pytest-benchmark", ".md": "markdown", "": "site"}


def write_report(
    runs: Sequence[Run],
    out: Path | str,
    *,
    folders: Sequence[Path | None] = (),
    comparison: Comparison | None = None,
    others: Sequence[Run] = (),
    baselines: Sequence[Run] = (),
    format: str | None = None,
) -> Path:
    """Write a report of runs and return the path to open.

    Args:
        runs: the runs, newest last.
        out: a file, whose suffix tells the format unless `format` does, or a folder for a site.
        folders: where each run is stored; their raw samples are drawn and exported.
        comparison: shown beside the last run, when given.
        others: further runs; those of the last run's suite and machine lie behind it, faint.
        baselines: stored ones; a site holds runs without a predecessor against theirs.
        format: "html" (the last run as one self-contained page), "png" or "svg" (Figure 2, or every figure
            into a folder), "site" (all runs), "csv"
            (all runs, a row a case), "markdown" (the last run, for a pull request) or "pytest-benchmark" (the last
            run as that tool's JSON).

    Raises:
        WrongUsage: no such format, or no run.
        Failed: the file cannot be written.
    """
    out = Path(out)
    kind = format or _OF_SUFFIXES.get(out.suffix) or out.suffix.removeprefix(".")
    if kind not in _FORMATS:
        raise WrongUsage(f'no report format "{kind}"; {suggestion(kind, _FORMATS)}')
    if not runs:
        raise WrongUsage("no run to report; make one with `bench run`")
    from importlib import import_module

    module, function = _FORMATS[kind]
    writer: Writer = getattr(import_module(module), function)
    material = Material(
        runs=tuple(runs), folders=tuple(folders), comparison=comparison, others=tuple(others),
        baselines=tuple(baselines),
    )  # fmt: skip
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        return writer(material, out)
    except OSError as error:
        raise Failed(f"cannot write {out}: {error.strerror}; name another place with -o") from error
