"""Calibration: the roofline, with the threads that most cases have, before the timing and after it.

A machine that others share runs faster at one moment than at another, and a bound that was sought at a slow one is
none. The run stands without it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from bench.errors import BenchError
from bench.pipeline.work import Phase, Work
from bench.records import PlannedCase


def _wanted(work: Work) -> list[PlannedCase]:
    return [] if work.begun.roofline else [record.case for record in work.with_file()]


def _calibrate(work: Work, cases: Sequence[PlannedCase]) -> None:
    work.watch.phase(PHASE.name)
    work.watch.begin("calibrating: the machine's peak and bandwidth")
    (threads, _), *_ = Counter(case.threads for case in cases).most_common(1)
    try:
        roofline = work.place.calibrate(work.begun.settings, threads, {case.runtime for case in cases})
    except BenchError as error:
        work.watch.begin(f"no calibration: {error}")
        work.begun = replace(work.begun, roofline_error=str(error))
        return
    if work.begun.roofline:
        from bench.timing import calibration

        roofline = calibration.higher(work.begun.roofline, roofline)
    work.begun = replace(work.begun, roofline=roofline, roofline_error=None)


def _wanted_again(work: Work) -> list[PlannedCase]:
    roofline = work.begun.roofline
    return [record.case for record in work.with_file()] if roofline and roofline.moments == 1 else []


PHASE = Phase("calibration", _wanted, _calibrate)
AGAIN = Phase("calibration again", _wanted_again, _calibrate)
