"""A run says whether to trust it: each doubt by what brings it about, at the level that it deserves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from bench.analysis import statistics, summary, trust
from bench.records import Case, Fidelity, Health, Record, Roofline, Run, Visit
from tests import runs

NAMES = "abcd"


def sound_run(**case: object) -> tuple[Run, list[Visit]]:
    """Four models in five rounds on a quiet machine of two cores."""
    visits = [visit for name in NAMES for visit in runs.visits(name, 10.0)]
    records = []
    for name in NAMES:
        made = runs.record(Case(name=name, model="VGG16", input_shape=(224, 224, 3)))
        measured = summary.summarise([v for v in visits if v.case == name], batch_size=1, seed=0)
        records.append(replace(made, case=replace(made.case, **case), measurement=measured))  # type: ignore[arg-type]
    return runs.run(records), visits


def changed(visits: list[Visit], share: float, **fields: object) -> list[Visit]:
    """The first visits, up to a share of them, with other fields."""
    count = round(share * len(visits))
    return [replace(v, **fields) if i < count else v for i, v in enumerate(visits)]  # type: ignore[arg-type]


BUSY = {"disturbances": ("other processes used 48 % of the cores (most of it: python3 99 %, cc1plus 40 %)",)}
STOLEN = {"disturbances": ("the host took 12 % of the time away",)}
HELD = {"disturbances": ("the container's limit held it back for 30 % of the time",)}
FALLEN_BACK = {"provider": "CUDAExecutionProvider"}


@pytest.mark.parametrize(
    ("change", "level", "words", "remedy"),
    [
        (lambda v: v, "sound", "", ""),
        (lambda v: changed(v, 0.1, **BUSY), "sound", "", ""),
        (lambda v: changed(v, 0.3, **BUSY), "shaky", "6 of 20 visits .* by other programs (python3, cc1plus)", "stop"),
        (lambda v: changed(v, 0.9, **BUSY), "unsound", "18 of 20 visits", "stop them"),
        (lambda v: changed(v, 0.9, **STOLEN), "unsound", "by the host", "another time"),
        (lambda v: changed(v, 0.9, **HELD), "unsound", "the container's processor limit", "--threads"),
        (lambda v: [*changed(v, 0.5, runtime="LiteRT 2", health=Health(pace_ms=0.9))[:10],
                    *changed(v[10:], 1.0, health=Health(pace_ms=0.24))], "sound", "", ""),
        (lambda v: changed(v, 0.1, warmed_up=False, warmup_ns=(1,) * 20), "sound", "", ""),
        (lambda v: changed(v, 0.5, warmed_up=False, warmup_ns=(1,) * 20), "shaky", "warm-up of 10 of 20", "governor"),
        (lambda v: changed(v, 1.0, warmed_up=False, warmup_ns=(1,) * 20), "unsound", "warm-up of 20 of 20", "governor"),
        (lambda v: changed(v, 1.0, warmed_up=False, warmup_ns=(1,) * 3), "sound", "", ""),
        (lambda v: changed(v, 1.0, provider_nodes={runs.PROVIDER: 90}), "sound", "", ""),
        (lambda v: changed(v, 1.0, **FALLEN_BACK, provider_nodes={"CUDAExecutionProvider": 70, runs.PROVIDER: 30}),
         "shaky", "up to 30 % of the nodes of .* ran on CPUExecutionProvider", "doctor"),
        (lambda v: changed(v, 1.0, **FALLEN_BACK, provider_nodes={"CUDAExecutionProvider": 10, runs.PROVIDER: 90}),
         "unsound", "up to 90 % of the nodes", "not the times of the device"),
        (lambda v: [*changed(v, 0.1, health=Health(pace_ms=0.34)), *changed(v[2:], 1.0, health=Health(pace_ms=0.24))],
         "shaky", "pace swung by a factor of 1.4", "--threads 1"),
        (lambda v: [*changed(v, 0.1, health=Health(pace_ms=0.72)), *changed(v[2:], 1.0, health=Health(pace_ms=0.24))],
         "unsound", "pace swung by a factor of 3.0", "--threads 1"),
    ],
)  # fmt: skip
def test_what_the_visits_show(
    change: Callable[[list[Visit]], list[Visit]], level: str, words: str, remedy: str
) -> None:
    run, visits = sound_run()
    found = trust.of(run, change(visits))
    assert found.verdict == level, found
    if level != "sound":
        first = found.doubts[0]
        assert first.level == level
        start, _, end = words.partition(" .* ")
        assert start in first.what
        assert end in first.what
        assert remedy in first.remedy


def measured_as(record: Record, **fields: object) -> Record:
    return replace(record, measurement=replace(record.measurement, **fields))  # type: ignore[arg-type,type-var]


def with_fidelity(record: Record, **fields: object) -> Record:
    assert record.artifact
    fidelity = Fidelity(**({"max_abs": 0, "max_rel": 0, "top1_agreement": 1, "inputs": 4, "passed": True} | fields))  # type: ignore[arg-type]
    return replace(record, artifact=replace(record.artifact, fidelity=fidelity))


SPREAD = {0.02: (9.8, 10.0, 10.2), 0.1: (9, 10, 11), 0.3: (7.5, 10, 14)}


@pytest.mark.parametrize(
    ("change", "level", "words"),
    [
        (lambda r: replace(r, measurement=None, error="killed"), "unsound", "nothing was measured"),
        (lambda r: r if r.case.name != "b" else replace(r, measurement=None), "shaky", "b is not measured"),
        (lambda r: measured_as(r, visit_p50_ms=(10.0,)), "shaky", "one visit"),
        (lambda r: measured_as(r, visit_p50_ms=SPREAD[0.02]), "sound", ""),
        (lambda r: measured_as(r, visit_p50_ms=SPREAD[0.1]), "shaky", "visits to one model differ by 10 %"),
        (lambda r: measured_as(r, visit_p50_ms=SPREAD[0.3]), "unsound", "visits to one model differ by 31 %"),
        (
            lambda r: measured_as(r, p50_ms_low=5.0) if r.case.name == "c" else r,
            "shaky",
            "the p50 of c is not known",
        ),
        (lambda r: measured_as(r, p50_ms_high=99.0), "unsound", "a, b and 2 others is not known within a factor of 3"),
        (lambda r: measured_as(r, disturbed_visits=4), "unsound", "16 of 20 visits were disturbed"),
        (lambda r: replace(r, case=replace(r.case, threads=3)), "shaky", "3 threads on 2 cores"),
        (lambda r: replace(r, case=replace(r.case, threads=64)), "unsound", "64 threads on 2 cores"),
        (lambda r: with_fidelity(r, passed=False), "unsound", "does not compute what it should"),
        (lambda r: with_fidelity(r, reference="fp32", top1_agreement=0.4), "shaky", "of another mind than fp32"),
        (lambda r: with_fidelity(r, reference="fp32", top1_agreement=0.98), "sound", ""),
    ],
)
def test_what_the_records_show(change: Callable[[Record], Record], level: str, words: str) -> None:
    run, _ = sound_run()
    run = replace(run, records=tuple(map(change, run.records)))
    found = trust.of(run)
    assert found.verdict == level, found
    assert not words or words in found.doubts[0].what
    assert trust.in_words(run)[0].startswith(f"this run is {level}")


def test_faster_than_the_machine_is_doubted_and_the_worst_comes_first() -> None:
    run, visits = sound_run()
    (first, *_) = run.records
    assert first.cost
    assert first.measurement
    gflops = 2 * first.cost.mult_adds / first.measurement.p50_ms / 1e6
    for part, level in ((1.2, "sound"), (0.9, "shaky"), (0.4, "unsound")):
        roof = Roofline(gflops=part * gflops, gbytes_per_s=1e6, threads=2, provider=runs.PROVIDER)
        assert trust.of(replace(run, roofline=roof), visits).verdict == level
    roof = Roofline(gflops=0.4 * gflops, gbytes_per_s=1e6, threads=2, provider=runs.PROVIDER)
    found = trust.of(replace(run, roofline=roof), changed(visits, 0.3, **BUSY))
    assert [doubt.level for doubt in found.doubts] == ["unsound", "shaky"]
    lines = trust.in_words(replace(run, trust=found))
    assert lines[0].startswith("this run is unsound: ")
    assert lines[1].startswith("also: 6 of 20 visits were disturbed")


def test_an_interval_ends_within_ten_times_what_was_seen() -> None:
    """Two visits that differ fourfold would else have an upper end of thousands of seconds."""
    visits = [np.full(20, 2.0), np.full(20, 8.0)]
    assert statistics.interval(visits, seed=0) == pytest.approx((0.2, 80.0))
    near = statistics.interval([np.linspace(9.9, 10.1, 20), np.linspace(10.0, 10.2, 20)], seed=0)
    assert 8 < near[0] < 10 < near[1] < 12


def test_an_accuracy_that_another_order_of_the_classes_would_make_better_is_doubted() -> None:
    run, visits = sound_run()
    assert trust.of(run, visits).verdict == "sound"
    doubt = "the classes seem to stand in another order: class names in natural order would make top-1 100.0 % instead "
    doubt += "of 8.3 %; give --class-order natural"
    first, *others = run.records
    spoiled = replace(first, accuracy=replace(first.accuracy, doubt=doubt))
    found = trust.of(replace(run, records=(spoiled, *others)), visits)
    assert (found.verdict, found.doubts[0].cases) == ("unsound", ("a",))
    assert found.doubts[0].what.startswith("the accuracy of a is doubtful: the classes seem to stand in another order")
    assert found.doubts[0].remedy == "give --class-order natural (in a suite a key of `accuracy`)"


def test_of_one_level_what_no_quieter_machine_would_settle_comes_first() -> None:
    run, visits = sound_run()
    wrong = with_fidelity(run.records[0], passed=False)
    found = trust.of(replace(run, records=(wrong, *run.records[1:])), changed(visits, 0.9, **BUSY))
    assert [doubt.level for doubt in found.doubts[:2]] == ["unsound", "unsound"]
    assert "does not compute what it should" in found.doubts[0].what
    assert "were disturbed" in found.doubts[1].what
