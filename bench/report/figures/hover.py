"""What a figure says of one model when it is pointed at: every number, with its unit and interval."""

from __future__ import annotations

from collections.abc import Sequence

from bench.analysis import quantities
from bench.analysis.quality import Quality
from bench.records import Record
from bench.report.figures.frame import plain
from bench.units import percent


def every_number(record: Record, metric: Quality, better: Sequence[Record] = ()) -> str:
    """All that is known of a record, in Plotly's small HTML, names as text; `better` are models that dominate it."""
    lines = [f"<b>{plain(record.case.name)}</b>", accuracy(record, metric)]
    lines += [f"{one.label} {text}" for one in quantities.shown("hover") if (text := one.text(record)) is not None]
    if better:
        names = ", ".join(r.case.name for r in better[:3])
        more = f" and {len(better) - 3} more" if len(better) > 3 else ""
        lines.append(f"dominated by {plain(names)}{more}")
    return "<br>".join(lines)


def accuracy(record: Record, metric: Quality) -> str:
    """The accuracy with its interval, where it has one, and where it comes from."""
    value, interval, known = metric.value(record), metric.interval(record), record.accuracy
    if value is None:
        return "no accuracy known for exactly this variant"
    shown = f" [{interval[0]:.1f}, {interval[1]:.1f}]" if interval else ""
    images = f" on {known.n:,} images" if known.n else ""
    where = f": {plain(known.source)}" if known.source else ""
    return f"{metric.label} {percent(value)}{shown}, {known.origin}{images}{where}"
