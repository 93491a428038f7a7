"""Accuracies: which one a run is judged by, and a published one is never counted as measured here."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.analysis import candidates, precision, quality
from bench.analysis.quality import MAP, TOP1
from bench.analysis.quantities import QUANTITIES
from bench.records import Accuracy, Artifact, Case, DetectionAccuracy, Fidelity, Record, Run
from bench.report import markdown, table
from bench.report.figures import bars, bubbles, figure, hover
from bench.report.figures.frame import WIDE
from tests import runs

PUBLISHED = Accuracy(origin="published", top1=71.3, top5=90.1, source="a table")
MEASURED = Accuracy(origin="measured", top1=69.0, top1_low=67.0, top1_high=71.0, top5=88.0, n=2000)
DETECTION = DetectionAccuracy(map=41.0, ap50=60.0, ap75=44.0, notes_map50=58.0, mean_iou=71.0, class_accuracy=80.0,
                              presence_accuracy=90.0)  # fmt: skip


def pair(full: Accuracy, reduced: Accuracy) -> Run:
    case = Case(name="MobileNetV2", model="MobileNetV2", input_shape=(224, 224, 3))
    small = replace(case, name="MobileNetV2 int8", precision="int8")
    return runs.run([replace(runs.record(case), accuracy=full), replace(runs.record(small), accuracy=reduced)])


@pytest.mark.parametrize(
    ("full", "reduced", "change"),
    [
        (MEASURED, replace(MEASURED, top1=66.0, top1_low=64.0, top1_high=68.0), -3.0),
        (PUBLISHED, MEASURED, None),  # of other images, and by others: their difference is no change
        (MEASURED, PUBLISHED, None),
        (PUBLISHED, replace(PUBLISHED, top1=70.0), None),
    ],
    ids=["both measured", "published before", "published after", "both published"],
)
def test_a_published_accuracy_never_counts_as_measured_in_a_change(
    full: Accuracy, reduced: Accuracy, change: float | None
) -> None:
    (found,) = precision.changes(pair(full, reduced))
    assert found.accuracy == (None if change is None else pytest.approx(change))
    assert (found.accuracy_low is None) == (change is None)


def test_a_published_accuracy_is_marked_nowhere_as_measured() -> None:
    published, measured = pair(PUBLISHED, MEASURED).records
    for record, is_so in ((published, False), (measured, True)):
        assert figure.is_measured(record) == is_so
        row = dict(zip(table.headings(TOP1), table.rows([record])[0], strict=True))
        assert row["Top-1"].text.endswith(" measured") == is_so
        assert row["Top-1"].title == ("measured" if is_so else "published: a table")
        assert ("measured" in markdown.summary(runs.run([record]))) == is_so
        assert (", measured on 2,000 images" in hover.accuracy(record, TOP1)) == is_so
        (centres,) = (t for t in bubbles.operations_figure([record], WIDE)["data"] if t["meta"] == "centres")
        assert centres["marker"]["symbol"][0].endswith("-open") == is_so
        (bar,) = bars.accuracy_figure([record], WIDE)["data"]
        assert (bar["marker"]["pattern"]["shape"] == ["/"]) == is_so
        assert bool(figure.origin_notes([record])) == is_so
        (candidate,) = candidates.candidates(runs.run([record]))
        assert candidate.accuracy_source == ("measured on 2,000 images" if is_so else "published: a table")


def test_intervals_of_accuracies() -> None:
    """Published ones stand on 50,000 images (Wilson), measured ones bring theirs, an mAP has none."""
    published, measured = pair(PUBLISHED, MEASURED).records
    low, high = candidates.accuracy_interval(published, TOP1) or (0.0, 0.0)
    assert (low, high) == (pytest.approx(70.90, abs=0.01), pytest.approx(71.69, abs=0.01))
    assert candidates.accuracy_interval(measured, TOP1) == (67.0, 71.0)
    assert QUANTITIES["top1"].interval_of(published) is None
    assert QUANTITIES["top1"].interval_of(measured) == (67.0, 71.0)
    bare = replace(measured, accuracy=replace(MEASURED, top1_low=None, top1_high=None, n=None))
    assert candidates.accuracy_interval(bare, TOP1) == (69.0, 69.0)  # not the 50,000 images of a published one
    detector = replace(measured, accuracy=Accuracy(origin="measured", n=100, detection=DETECTION))
    assert candidates.accuracy_interval(detector, MAP) == (41.0, 41.0)
    assert candidates.accuracy_interval(detector, TOP1) is None


def of(*accuracies: Accuracy) -> list[Record]:
    base = runs.record(Case(name="net", model="VGG16", input_shape=(224, 224, 3)))
    return [replace(base, accuracy=accuracy) for accuracy in accuracies]


@pytest.mark.parametrize(
    ("accuracies", "name"),
    [
        ((PUBLISHED,), "top1"),
        ((Accuracy(origin="measured", detection=DETECTION),), "map"),
        ((Accuracy(origin="measured", detection=DETECTION), PUBLISHED), "top1"),  # in doubt
        ((Accuracy(origin="measured", detection=DETECTION),) * 2 + (PUBLISHED,), "map"),
        ((Accuracy(origin="none"),), "top1"),
        ((), "top1"),
    ],
)
def test_a_run_is_judged_by_the_accuracy_that_most_models_have(accuracies: tuple[Accuracy, ...], name: str) -> None:
    assert quality.of(of(*accuracies)).name == name


def test_agreement_is_of_a_lower_precision_whose_accuracy_is_not_known() -> None:
    agreed = Fidelity(max_abs=0.1, max_rel=0.1, top1_agreement=0.985, inputs=64, passed=True, reference="fp32")
    (record,) = of(Accuracy(origin="none"))
    record = replace(record, artifact=Artifact(sha256="0", size_bytes=1, opset=18, fidelity=agreed))
    assert quality.agreement(record) == (98.5, 64)
    assert quality.agreement_in_words(record) == "agreement with fp32 98.5 %"

    def held(**changes: object) -> Record:
        return replace(record, artifact=replace(record.artifact, fidelity=replace(agreed, **changes)))  # type: ignore[type-var, arg-type]

    unknown = [
        replace(record, artifact=None),
        replace(record, artifact=replace(record.artifact, fidelity=None)),  # type: ignore[type-var]
        replace(record, accuracy=MEASURED),
        replace(record, accuracy=PUBLISHED),
        held(reference="Keras"),
        held(top1_agreement=None),  # on noise
    ]
    for each in unknown:
        assert quality.agreement(each) is None
        assert quality.agreement_in_words(each) is None
    assert quality.agreement(held(top1_agreement=0.0)) == (0.0, 64)


def test_an_accuracy_and_its_interval_under_their_names() -> None:
    (record,) = of(replace(MEASURED, detection=DETECTION))
    assert (TOP1.value(record), TOP1.interval(record)) == (69.0, (67.0, 71.0))
    assert (MAP.value(record), MAP.interval(record)) == (41.0, None)
    assert (TOP1.label, TOP1.title) == ("top-1", "Top-1 accuracy [%]")
    assert (MAP.label, MAP.title) == ("mAP", "COCO mAP @[.5:.95] [%]")
    for lacking in ({"top1_low": None}, {"top1_high": None}):
        (half,) = of(replace(MEASURED, **lacking))  # type: ignore[arg-type]
        assert TOP1.interval(half) is None
    (published,) = of(PUBLISHED)
    assert (TOP1.interval(published), MAP.value(published)) == (None, None)
