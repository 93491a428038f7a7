"""The MobileNet paper's tables beside what we count and measure, and what its two multipliers promise and keep."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bench.cost import formulas
from bench.cost.formulas import Count
from bench.models import published
from bench.models.published import Publication
from bench.records import Arguments, Cost, Record, Run
from bench.report.table import Cell
from bench.suites import backbones
from bench.units import latency, percent, relative

_NONE = Cell("–", None)
_MODELS = ("MobileNet", "ConvMobileNet")
_PAPER = "MobileNet paper Table"


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """A table of the paper, each of its figures followed by ours."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Promise:
    """The speed-up of one variant over its model at full width and native size: in operations, and measured."""

    case: str  # Case.name
    model: str
    multiplier: str  # which multiplier is below 1: "alpha", "rho" or "both"
    alpha: float
    rho: float  # input size over the native one
    promised: float  # mult-adds of the full model over this one's
    measured: float  # p50 of the full model over this one's
    measured_low: float  # 95 % interval, from the ends of both intervals
    measured_high: float


def tables(run: Run) -> list[Table]:
    """Tables 3, 4, 6 and 7 of the paper for a run of several MobileNets; none for any other run."""
    wanted = [r for r in run.records if r.case.model in _MODELS and r.case.precision == "fp32"]
    records = {key: record for record in reversed(wanted) if (key := _key(record)) is not None}
    if len(records) < 2:
        return []
    return [_table_3(), *(_of_networks(number, title, note, records) for number, title, note in _OF_NETWORKS)]


def promises(run: Run) -> list[Promise]:
    """Each measured variant of a model with a width multiplier against the same model at alpha 1 and native size."""
    lines = []
    for record in run.records:
        about, key = backbones().get(record.case.model, {}), _key(record)
        full = next((r for r in run.records if _is_full_of(r, record)), None)
        if key is None or full is None or full is record or "alpha" not in about.get("arguments", {}):
            continue
        this, base = record.measurement, full.measurement
        if this is None or base is None or record.cost is None or full.cost is None:
            continue
        alpha, rho = key[1], key[2] / about["native_input"]
        if alpha == rho == 1:
            continue
        lines.append(
            Promise(
                case=record.case.name,
                model=record.case.model,
                multiplier="both" if alpha != 1 and rho != 1 else "alpha" if alpha != 1 else "rho",
                alpha=alpha,
                rho=rho,
                promised=full.cost.mult_adds / record.cost.mult_adds,
                measured=base.p50_ms / this.p50_ms,
                measured_low=base.p50_ms_low / this.p50_ms_high,
                measured_high=base.p50_ms_high / this.p50_ms_low,
            )
        )
    return lines


_Key = tuple[str, float, int]


def _key(record: Record) -> _Key | None:
    """Model, alpha and input size of a record that is the network of the paper; None for one that is altered."""
    case = record.case
    if case.input_shape is None or case.head != "native" or case.classes != 1000:
        return None
    return case.model, float(_arguments(record).get("alpha", 1.0)), case.input_shape[0]


def _arguments(record: Record) -> Arguments:
    return {**backbones().get(record.case.model, {}).get("defaults", {}), **record.case.arguments}


def _is_full_of(full: Record, record: Record) -> bool:
    """Whether a record is another's model at alpha 1 and native size, all else alike."""
    a, b = full.case, record.case
    native = backbones().get(b.model, {}).get("native_input")
    alike = ("model", "head", "classes", "precision", "batch_size", "device", "provider", "threads")
    return (
        all(getattr(a, name) == getattr(b, name) for name in alike)
        and _arguments(full) == {**_arguments(record), "alpha": 1.0}
        and a.input_shape == (native, native, 3)
    )


_LAYERS: dict[str, Callable[[], Count]] = {
    "Convolution": lambda: formulas.standard(3, 14, 512, 512),
    "Depthwise Separable Conv": lambda: formulas.separable(3, 14, 512, 512),
    "alpha=0.75": lambda: formulas.separable(3, 14, 512, 512, alpha=0.75),
    "rho=0.714": lambda: formulas.separable(3, 14, 512, 512, alpha=0.75, rho=0.714),
}
_LAYER_HEADINGS = ("Layer", "Mult-adds, paper", "counted", "difference", "Params, paper", "counted", "difference")
_HEADINGS = (
    "Network", "Top-1, paper", "Top-1 of Keras's weights", "Mult-adds, paper", "counted", "difference",
    "Params, paper", "counted", "difference", "p50, measured", "Fewer mult-adds", "Faster",
)  # fmt: skip
_OF_NETWORKS = (
    (
        4,
        "Table 4: full convolutions against depthwise-separable ones",
        "The paper's 4866 M leaves out the classifier, 1.0 M; its 569 M includes it.",
    ),
    (6, "Table 6: the width multiplier alpha", ""),
    (
        7,
        "Table 7: the resolution multiplier rho",
        "The paper's 290 M is cut off, not rounded; the authors' later page says 291 M.",
    ),
)
_PARAMS_NOTE = (
    "Params are those of convolutions and dense layers, as the paper counts them; with batch norm, as Keras counts, "
    "they are 0.1 to 2.4 % more."
)
_SPEED_NOTE = "Fewer mult-adds and faster are ratios to the first row; the paper prints no times."


def _table_3() -> Table:
    """A single layer, so by the formulas: no run times it alone."""
    rows: list[tuple[Cell, ...]] = []
    for row in _of_paper(3):
        change = row.variant["cumulative_change"]
        count = _LAYERS[change]()
        name = Cell(change, len(rows))
        rows.append((name, *_against(row.mult_adds_millions, count.mult_adds, 1), *_params(row, count.params)))
    return Table(
        title="Table 3: one layer, 3x3 with 512 channels in and out on a 14x14 map",
        headings=_LAYER_HEADINGS,
        rows=tuple(rows),
        notes=("Each row changes the one above it. Counted by the formulas of the paper's section 3.",),
    )


def _of_networks(number: int, title: str, note: str, records: Mapping[_Key, Record]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    first: Record | None = None
    for row in _of_paper(number):
        if row.input_size is None:
            continue
        alpha = float(row.variant.get("alpha", 1.0))
        record = records.get((row.model, alpha, row.input_size))
        first = first or record
        cost = record.cost if record else None
        top1 = record.accuracy.top1 if record else None
        prefix = "" if row.model == "MobileNet" else "Full-convolution "
        rows.append(
            (
                Cell(f"{prefix}{alpha:g} MobileNet-{row.input_size}", len(rows)),
                _percent(row.top1),
                _percent(top1),
                *_against(row.mult_adds_millions, cost.mult_adds if cost else None, 0),
                *_params(row, _learnt(cost) if cost else None),
                *_times(record, first),
            )
        )  # fmt: skip
    notes = tuple(text for text in (note, _PARAMS_NOTE, _SPEED_NOTE) if text)
    return Table(title=title, headings=_HEADINGS, rows=tuple(rows), notes=notes)


def _of_paper(number: int) -> list[Publication]:
    """The rows of one of the paper's tables, the most expensive first."""
    rows = [row for row in published.publications() if row.source == f"{_PAPER} {number}"]
    return sorted(rows, key=lambda row: -(row.mult_adds_millions or 0))


def _learnt(cost: Cost) -> int:
    """Params of convolutions and dense layers: the paper counts no batch norm."""
    return sum(share.params for kind, share in (cost.by_kind or {}).items() if kind != "other")


def _params(row: Publication, ours: int | None) -> tuple[Cell, Cell, Cell]:
    return _against(row.params_millions, ours, 2)


def _against(paper: float | None, ours: int | None, places: int) -> tuple[Cell, Cell, Cell]:
    """A figure in millions as printed, ours, and how far ours lies from it."""
    if paper is None:
        return _NONE, _NONE, _NONE
    printed = Cell(f"{paper:g} M", paper)
    if ours is None:
        return printed, _NONE, _NONE
    ratio = ours / 1e6 / paper
    difference = "0.0 %" if abs(ratio - 1) < 5e-4 else relative(ratio)
    return printed, Cell(f"{ours / 1e6:.{places}f} M", ours, f"{ours:,}"), Cell(difference, ratio)


def _percent(value: float | None) -> Cell:
    return _NONE if value is None else Cell(percent(value), value)


def _times(record: Record | None, first: Record | None) -> tuple[Cell, Cell, Cell]:
    """Measured p50, and both ratios to the table's first row."""
    if record is None or record.cost is None or record.measurement is None:
        return _NONE, _NONE, _NONE
    m = record.measurement
    time = Cell(latency(m.p50_ms, m.p50_ms_low, m.p50_ms_high), m.p50_ms)
    if first is None or first.cost is None or first.measurement is None:
        return time, _NONE, _NONE
    fewer, faster = first.cost.mult_adds / record.cost.mult_adds, first.measurement.p50_ms / m.p50_ms
    return time, Cell(f"{fewer:.2f} x", fewer), Cell(f"{faster:.2f} x", faster)
