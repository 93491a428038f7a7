"""Every quantity that is known of a case: its name, unit and direction, how it is read, and where it is shown.

The tables, CSV, hovers, `pick`, the page's sliders and `compare` all read QUANTITIES. A new measured quantity is a
meter in the process that times (a number in its result's `meters`) and one entry made by `metered`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from bench.analysis import quality
from bench.analysis.quality import MAP, TOP1, Quality
from bench.records import DetectionAccuracy, Measurement, QuantityChange, Record, Visit
from bench.units import percent, quantity

Interval = tuple[float, float]
Reader = Callable[[Record], float | None]

PLACES = frozenset({"page", "csv", "hover", "console", "markdown"})
"""Where a quantity can be shown: the page's table, CSV and data frames, hovers, the terminal's table, Markdown."""

NOTEWORTHY = 0.03
"""A change without an interval is told from this share on."""


@dataclass(frozen=True, slots=True)
class Meter:
    """How one visit's value is read, and how those of several are summed up."""

    read: Callable[[Visit], float | None]
    over: Callable[[Sequence[float]], float] = median


@dataclass(frozen=True, kw_only=True, slots=True)
class Quantity:
    """One quantity. Values are in the base of its unit (see bench.units.UNITS): ms, bytes, J, percent."""

    name: str  # of pick's option, and of the page's slider
    field: str  # its name in run.json, in CSV and in data frames
    label: str  # in a sentence
    unit: str  # of bench.units.UNITS
    read: Reader
    heading: str = ""  # of a column; "" is the label with a capital
    better: str = "less"  # "less", "more", or "neither"
    interval: Callable[[Record], Interval | None] | None = None  # 95 %; None: it never has one
    example: str = ""  # a limit for the help of `pick`; "" cannot be limited
    about: str = ""  # in that help, of what it is
    how: str = ""  # to learn it, where it is not known of any model
    shown: frozenset[str] = PLACES
    compared: bool = True  # whether `compare` tells its change beside that of p50
    meter: Meter | None = None
    metric: Quality | None = None  # shown only where this is the accuracy of the run; None: everywhere
    note: Callable[[Record], str] | None = None  # what is said behind its value
    missing: Callable[[Record], str | None] | None = None  # what is said in its place where it is not known
    partial: Callable[[Record], bool] | None = None  # whether the value is only a lower bound

    @property
    def title(self) -> str:
        """The heading of its column."""
        return self.heading or self.label[:1].upper() + self.label[1:]

    @property
    def limit(self) -> bool:
        """Whether `pick` can limit it."""
        return bool(self.example)

    @property
    def at_least(self) -> bool:
        """Whether a limit on it is a minimum."""
        return self.better == "more"

    def interval_of(self, record: Record) -> Interval | None:
        """Its 95 % interval in a record, where there is one."""
        return self.interval(record) if self.interval else None

    def text(self, record: Record) -> str | None:
        """Its value with unit, interval and note; None where it is not known."""
        value = self.read(record)
        if value is None:
            return self.missing(record) if self.missing else None
        bound = "≥ " if self.partial and self.partial(record) else ""
        note = self.note(record) if self.note else ""
        return f"{bound}{quantity(value, self.unit, self.interval_of(record))}{note}"

    def unsure(self, record: Record) -> bool:
        """Whether it was measured and can have an interval, but has none here: such a value is grey."""
        return self.interval is not None and self.metric is None and self.interval(record) is None


def metered(
    name: str,
    *,
    field: str,
    label: str,
    unit: str,
    better: str = "less",
    heading: str = "",
    example: str = "",
    about: str = "",
    over: Callable[[Sequence[float]], float] = median,
) -> Quantity:
    """A quantity that a meter of the timing process measures: `meters[field]` of its result, once a visit."""

    def read(record: Record) -> float | None:
        known = record.measurement.meters.get(field) if record.measurement else None
        return known.value if known else None

    def interval(record: Record) -> Interval | None:
        known = record.measurement.meters.get(field) if record.measurement else None
        return (known.low, known.high) if known and known.low is not None and known.high is not None else None

    return Quantity(
        name=name, field=field, label=label, unit=unit, better=better, heading=heading, example=example, about=about,
        read=read, interval=interval, meter=Meter(lambda visit: visit.meters.get(field), over),
    )  # fmt: skip


def named(names: Iterable[Quantity]) -> dict[str, Quantity]:
    """Quantities by their names."""
    return {one.name: one for one in names}


def limited() -> dict[str, Quantity]:
    """The quantities that can be limited, by name."""
    return {name: one for name, one in QUANTITIES.items() if one.limit}


def shown(place: str, metric: Quality | None = None) -> list[Quantity]:
    """The quantities of one of PLACES, in order; with `metric`, without those of the other accuracy."""
    return [
        one
        for one in QUANTITIES.values()
        if place in one.shown and (metric is None or one.metric is None or one.metric is metric)
    ]


def with_meters() -> dict[str, Meter]:
    """The meters that visits are read by, by the field in which their sum goes."""
    return {one.field: one.meter for one in QUANTITIES.values() if one.meter}


def changes(old: Record, new: Record) -> tuple[QuantityChange, ...]:
    """What else changed from one record of a case to another: quantities whose intervals lie apart.

    Where there is no interval, a change by NOTEWORTHY or more counts, and any at all of what is counted exactly.
    """
    return tuple(change for one in QUANTITIES.values() if (change := _change(one, old, new)) is not None)


def change_in_words(change: QuantityChange) -> str:
    """E.g. "size 14.0 MB -> 16.1 MB"."""
    one = QUANTITIES.get(change.name)
    if one is None:
        return f"{change.name} {change.baseline:g} -> {change.run:g}"
    return f"{one.label} {quantity(change.baseline, one.unit)} -> {quantity(change.run, one.unit)}"


def _change(one: Quantity, old: Record, new: Record) -> QuantityChange | None:
    before, after = one.read(old), one.read(new)
    if not one.compared or one.better == "neither" or before is None or after is None or before == after:
        return None
    spans = one.interval_of(old), one.interval_of(new)
    if spans[0] and spans[1]:
        apart = spans[0][1] < spans[1][0] or spans[1][1] < spans[0][0]
    else:
        measured = one.meter is not None or one.interval is not None
        apart = not measured or abs(after - before) >= NOTEWORTHY * abs(before)
    if not apart:
        return None
    return QuantityChange(name=one.name, baseline=before, run=after, better=(after < before) == (one.better == "less"))


def _of_measurement(field: str) -> Reader:
    return lambda record: getattr(record.measurement, field) if record.measurement else None


def _of_cost(field: str, factor: int = 1) -> Reader:
    return lambda record: factor * getattr(record.cost, field) if record.cost else None


def _latency_interval(field: str) -> Callable[[Record], Interval | None]:
    def interval(record: Record) -> Interval | None:
        m: Measurement | None = record.measurement
        low, high = (getattr(m, f"{field}_{end}", None) for end in ("low", "high"))
        return None if low is None or high is None else (low, high)

    return interval


def _of_detection(field: str) -> Reader:
    def read(record: Record) -> float | None:
        detection: DetectionAccuracy | None = record.accuracy.detection
        return getattr(detection, field) if detection else None

    return read


def _capacity(record: Record) -> float | None:
    """Requests a second within p99 that were measured; of images all at once there is no response time."""
    return record.load.rate_per_s if record.load and record.load.p99_limit_ms else None


def _capacity_interval(record: Record) -> Interval | None:
    return (record.load.rate_per_s_low, record.load.rate_per_s_high) if record.load else None


def _capacity_note(record: Record) -> str:
    limit = record.load.p99_limit_ms if record.load else None
    return f" within {quantity(limit, 'ms')}" if limit else ""


def _uncounted(record: Record) -> bool:
    return bool(record.cost and record.cost.uncounted)


def _measured_note(record: Record) -> str:
    return " measured" if record.accuracy.origin == "measured" else ""


def _disturbed_note(record: Record) -> str:
    disturbed = record.measurement.disturbed_visits if record.measurement else 0
    return f" ({disturbed} disturbed)" if disturbed else ""


def _percentile(q: int, *, shown: frozenset[str], example: str = "") -> Quantity:
    field = f"p{q}_ms"
    return Quantity(
        name=f"p{q}", field=field, label=f"p{q}", heading=f"p{q}", unit="ms", example=example, shown=shown,
        read=_of_measurement(field), interval=_latency_interval(field),
    )  # fmt: skip


def _accuracy(name: str, metric: Quality, **more: Any) -> Quantity:
    return Quantity(
        name=name, metric=metric, unit="percent", better="more", read=metric.value,
        interval=metric.interval, note=_measured_note, missing=quality.agreement_in_words, **more,
    )  # fmt: skip


def _figure_of_detection(field: str, label: str) -> Quantity:
    return Quantity(
        name=field, field=field, label=label, unit="percent", better="more", metric=MAP, read=_of_detection(field),
        shown=frozenset({"page", "csv"}), compared=False,
    )  # fmt: skip


_CSV = frozenset({"csv"})
_PAGE = frozenset({"page", "csv"})

QUANTITIES: dict[str, Quantity] = named((
    Quantity(name="size", field="size_bytes", label="file size", heading="Size", unit="bytes", example="20MB",
             about="Of the file", read=lambda r: r.artifact.size_bytes if r.artifact else None),
    _accuracy("top1", TOP1, field="top1", label="top-1", heading="Top-1", example="70", about="Top-1 accuracy",
              shown=frozenset({"page", "csv", "markdown"})),
    Quantity(name="top5", field="top5", label="top-5", heading="Top-5", unit="percent", better="more", metric=TOP1,
             shown=_PAGE, read=lambda r: r.accuracy.top5),
    _accuracy("map", MAP, field="map", label="mAP", heading="mAP @[.5:.95]", example="40",
              about="Mean average precision of a detector", shown=frozenset({"page", "csv", "markdown"})),
    _figure_of_detection("ap50", "AP at IoU 0.5"),
    _figure_of_detection("mean_iou", "mean IoU"),
    _figure_of_detection("class_accuracy", "class"),
    _figure_of_detection("presence_accuracy", "presence"),
    Quantity(name="params", field="params", label="parameters", unit="count", example="10M", about="Parameters",
             partial=_uncounted, read=_of_cost("params")),
    Quantity(name="mult_adds", field="mult_adds", label="mult-adds", unit="count", shown=_CSV, partial=_uncounted,
             read=_of_cost("mult_adds")),
    Quantity(name="operations", field="operations", label="operations", unit="operations",
             shown=PLACES - _CSV, compared=False, partial=_uncounted, read=_of_cost("mult_adds", 2)),
    Quantity(name="p50", field="p50_ms", label="p50", heading="Time per inference step, p50 [95 % interval]", unit="ms",
             example="10ms", about="Median time of an inference", compared=False,
             read=_of_measurement("p50_ms"), interval=_latency_interval("p50_ms")),
    _percentile(90, shown=_CSV),
    _percentile(95, shown=PLACES, example="15ms"),
    _percentile(99, shown=PLACES - {"console", "markdown"}, example="20ms"),
    Quantity(name="min", field="min_ms", label="fastest inference", unit="ms", shown=_CSV, compared=False,
             read=_of_measurement("min_ms")),
    Quantity(name="throughput", field="throughput_per_s", label="throughput", unit="per_s", better="more", shown=_PAGE,
             compared=False, read=_of_measurement("throughput_per_s")),
    Quantity(name="rps", field="rate_per_s", label="requests a second", heading="Requests a second within p99",
             unit="per_s", better="more", example="200", about="Requests a second under load",
             how="; put one on it: `bench load MODEL --p99 50ms`, or the key load of a suite",
             shown=PLACES - {"console", "markdown"}, read=_capacity, interval=_capacity_interval, note=_capacity_note),
    Quantity(name="load", field="load_ms", label="load", unit="ms", shown=_PAGE, read=_of_measurement("load_ms"),
             meter=Meter(lambda visit: visit.load_ms)),
    Quantity(name="first_inference", field="first_inference_ms", label="first inference", unit="ms", shown=_CSV,
             read=_of_measurement("first_inference_ms"), meter=Meter(lambda visit: visit.first_inference_ms)),
    Quantity(name="memory", field="peak_rss_bytes", label="peak memory", unit="bytes", example="500MB",
             about="Peak resident memory", shown=PLACES - {"console", "markdown"},
             read=_of_measurement("peak_rss_bytes"), meter=Meter(lambda visit: visit.peak_rss_bytes, max)),
    Quantity(name="power", field="power_w", label="power", unit="W", example="5W",
             about="Power while it runs; not measured yet", shown=frozenset(), compared=False,
             how="; backbench has no meter of it: measure it from outside, e.g. at the socket or with `perf stat -e "
             "power/energy-pkg/`", read=lambda record: None),
    Quantity(name="visits", field="visits", label="visits", unit="count", better="neither", note=_disturbed_note,
             shown=PLACES - {"markdown"}, read=_of_measurement("visits")),
    Quantity(name="disturbed_visits", field="disturbed_visits", label="disturbed visits", unit="count",
             better="neither", shown=_CSV, read=_of_measurement("disturbed_visits")),
    Quantity(name="samples", field="samples", label="samples", unit="count", better="neither", shown=_CSV,
             read=_of_measurement("samples")),
))  # fmt: skip


def accuracy_in_words(record: Record) -> str:
    """The accuracy of one record with its own name, or what stands in its place; "" where nothing is known."""
    metric = quality.of([record])
    value = metric.value(record)
    return f"{metric.label} {percent(value)}" if value is not None else quality.agreement_in_words(record) or ""
