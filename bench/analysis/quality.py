"""What accuracy means in a run: top-1 of classifiers, or COCO mAP of detectors. The one place that decides it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from bench.records import Accuracy, Record
from bench.units import percent

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Quality:
    """One accuracy: how it is called, and how it is read from a record. All values are percentages."""

    name: str  # of the limit in `bench.analysis.choice`, and of the field
    label: str
    title: str  # of an axis
    _value: Callable[[Accuracy], float | None]
    _interval: Callable[[Accuracy], Interval | None]

    def value(self, record: Record) -> float | None:
        """The accuracy of a record; None where it is not known for exactly this case."""
        return self._value(record.accuracy)

    def interval(self, record: Record) -> Interval | None:
        """The measured 95 % interval; None for published figures, and where none is stored."""
        return self._interval(record.accuracy)


def _top1_interval(accuracy: Accuracy) -> Interval | None:
    if accuracy.top1_low is None or accuracy.top1_high is None:
        return None
    return accuracy.top1_low, accuracy.top1_high


TOP1 = Quality("top1", "top-1", "Top-1 accuracy [%]", lambda a: a.top1, _top1_interval)
MAP = Quality(
    "map", "mAP", "COCO mAP @[.5:.95] [%]", lambda a: a.detection.map if a.detection else None, lambda a: None
)


def of(records: Iterable[Record]) -> Quality:
    """The accuracy that most of these records have, so that one axis holds them all; top-1 when in doubt."""
    everything = list(records)
    return max((TOP1, MAP), key=lambda quality: sum(quality.value(record) is not None for record in everything))


def agreement(record: Record) -> tuple[float, int] | None:
    """The percentage of inputs on which a lower precision finds fp32's class, and how many there were.

    None for fp32, and where an accuracy is known, which says more.
    """
    fidelity = record.artifact.fidelity if record.artifact else None
    if fidelity is None or fidelity.reference != "fp32" or record.accuracy.origin != "none":
        return None
    if fidelity.top1_agreement is None:  # on noise
        return None
    return 100 * fidelity.top1_agreement, fidelity.inputs


def agreement_in_words(record: Record) -> str | None:
    """That figure under its own name, which never is accuracy."""
    share = agreement(record)
    return None if share is None else f"agreement with fp32 {percent(share[0])}"
