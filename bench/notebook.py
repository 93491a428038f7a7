"""The public API as it is used in a notebook: runs and comparisons that show themselves, and are tables of data."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import records
from bench.errors import WrongUsage, suggestion

if TYPE_CHECKING:
    import pandas as pd

    from bench.pipeline import Watch
    from bench.suites import Suite


class Run(records.Run):
    """A run that shows itself: its choice and its table."""

    __slots__ = ("folder",)
    folder: Path | None  # where it is stored; None: nowhere

    @classmethod
    def of(cls, run: records.Run, folder: Path | None = None) -> Run:
        """A stored run, or one that was just measured."""
        shown = cls(**{one.name: getattr(run, one.name) for one in fields(records.Run)})
        object.__setattr__(shown, "folder", folder)
        return shown

    def frame(self) -> pd.DataFrame:
        """A row a case; columns as in CSV: units in their names, 95 % intervals beside the values."""
        from bench.report import spreadsheet

        return spreadsheet.frame((self,))

    def _repr_html_(self) -> str:
        from bench.analysis import answer, choice, quality
        from bench.report import table

        rows = [[cell.text for cell in row] for row in table.rows(list(self.records))]
        said = "".join(f"<li>{html.escape(line.strip())}</li>" for line in answer.in_words(choice.pick(self)))
        headings = table.headings(quality.of(self.records))
        return f"<h4>{html.escape(self.title or self.suite)}</h4><ul>{said}</ul>{_table(headings, rows)}"


class Comparison(records.Comparison):
    """A comparison that shows itself: a row a model."""

    __slots__ = ()

    def frame(self) -> pd.DataFrame:
        """A row a case: verdict, ratio of p50 with its 95 % interval, p50 in ms before and after."""
        import pandas as pd

        return pd.DataFrame([asdict(verdict) for verdict in self.verdicts])

    def _repr_html_(self) -> str:
        from bench.units import relative

        rows = []
        for v in self.verdicts:
            interval = (v.ratio, v.ratio_low, v.ratio_high)
            change, low, high = (relative(ratio) if ratio is not None else "" for ratio in interval)
            rows.append([v.case, v.verdict, f"{change} [{low}, {high}]" if change else "", v.reason or ""])
        return _table(("Model", "Verdict", "Change of p50 [95 % interval]", "Why"), rows)


def run(
    suite: Suite | str | Path | Sequence[str | Path] = "default",
    *,
    results: Path | str = "results",
    watch: Watch | None = None,
    **options: Any,
) -> Run:
    """Measure a suite, store the run under `results/runs/`, and return it.

    Args:
        suite: a name in suites/, a .toml file, one or more model files, or what `load_suite` returned.
        results: the results folder.
        watch: told what is happening.
        options: fields of `bench.pipeline.Options`, e.g. `rounds=3, threads=2, device="cpu"`.

    Raises:
        WrongUsage: no such suite or option.
        Failed: the device cannot run, or the results cannot be written.
    """
    from bench import pipeline, suites

    known = [one.name for one in fields(pipeline.running.Options)]
    for name in options:
        if name not in known:
            raise WrongUsage(f'bench.run has no option "{name}"; {suggestion(name, known)}')
    if isinstance(suite, (str, Path)):
        suite = suites.load_suite(str(suite))
    elif not isinstance(suite, suites.Suite):
        suite = suites.load_suite([str(one) for one in suite])
    outcome = pipeline.run(suite, options=pipeline.Options(**options), results=Path(results), watch=watch)
    return Run.of(outcome.run, outcome.folder)


def load(path: Path | str | None = None, *, results: Path | str = "results") -> Run:
    """A stored run: its folder, its `run.json` or a baseline; without a path the latest under `results`.

    Raises WrongUsage where there is none.
    """
    from bench import store

    where = Path(path) if path is not None else store.latest(Path(results))
    return Run.of(store.load(where), where if where.is_dir() else where.parent)


def compare(baseline: records.Run, run: records.Run, *, margin: float = 0.03, force: bool = False) -> Comparison:
    """Say for each case whether it became faster or slower, from what two runs hold.

    Raises NotComparable, with the keys that differ, unless forced.
    """
    from bench.analysis import comparison

    compared = comparison.compare(baseline, run, margin=margin, force=force)
    return Comparison(**{one.name: getattr(compared, one.name) for one in fields(records.Comparison)})


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    import pandas as pd

    shown: str = pd.DataFrame(rows, columns=list(headings)).to_html(index=False, border=0)
    return shown
