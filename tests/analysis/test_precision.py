"""A lower precision held against fp32: only what was measured counts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bench.analysis import precision, statistics
from bench.records import Accuracy, Artifact, Case, Fidelity, Machine, Record
from tests import runs


def records(**int8: Any) -> tuple[Record, Record]:
    """A network in fp32, and the same in int8 with a p50 of 0.6 times as long."""
    full = runs.record(Case(name="r", model="ResNet50", threads=2))
    case = replace(full.case, name="r int8", precision="int8")
    assert full.measurement is not None
    was = full.measurement
    measurement = replace(
        was, visit_p50_ms=tuple(0.6 * ms for ms in was.visit_p50_ms), p50_ms=0.6 * was.p50_ms,
        p50_ms_low=0.6 * was.p50_ms_low, p50_ms_high=0.6 * was.p50_ms_high,
    )  # fmt: skip
    return full, replace(full, case=case, measurement=measurement, **int8)


def accuracy(top1: float, n: int, origin: str = "measured") -> Accuracy:
    low, high = statistics.wilson(round(top1 * n / 100), n)
    return Accuracy(origin=origin, top1=top1, n=n, top1_low=100 * low, top1_high=100 * high)


def change(*both: Record, machine: Machine | None = None) -> precision.Change:
    run = runs.run(list(both), on=machine or runs.machine())
    (found,) = precision.changes(run)
    return found


def test_cases_that_differ_in_nothing_but_the_precision_are_held_against_each_other() -> None:
    full, reduced = records()
    other = replace(reduced, case=replace(reduced.case, name="alone", model="VGG16"))
    assert precision.pairs([reduced, other, full]) == [(full, reduced)]
    assert precision.pairs([reduced, other]) == []


def test_a_measured_change_of_accuracy_has_newcombe_s_interval() -> None:
    full, reduced = records(accuracy=accuracy(60.0, 80))
    full = replace(full, accuracy=accuracy(80.0, 70))
    found = change(full, reduced)
    assert (found.accuracy, found.accuracy_low, found.accuracy_high) == pytest.approx((-20, -33.39, -5.24), abs=0.01)
    assert found.label == "top-1"


@pytest.mark.parametrize(("before", "after"), [("published", "published"), ("published", "measured"),
                                               ("measured", "published")])  # fmt: skip
def test_a_published_accuracy_never_counts_as_measured(before: str, after: str) -> None:
    full, reduced = records(accuracy=accuracy(60.0, 80, after))
    found = change(replace(full, accuracy=accuracy(80.0, 70, before)), reduced)
    assert (found.accuracy, found.accuracy_low, found.accuracy_high) == (None, None, None)


def test_the_change_of_p50_is_a_ratio_with_an_interval() -> None:
    found = change(*records())
    assert found.case == "r int8"
    assert found.p50 == pytest.approx(0.6, rel=1e-6)
    assert found.p50_low is not None
    assert found.p50_high is not None
    assert found.p50_low < 0.6 < found.p50_high < 1
    assert not found.slower
    assert found.reason is None


def test_a_lower_precision_that_is_slower_says_why() -> None:
    full, reduced = records()
    found = change(reduced_as(full, "r", "fp32", reduced), reduced_as(reduced, "r int8", "int8", full))
    assert found.slower
    assert found.p50 == pytest.approx(1 / 0.6, rel=1e-6)
    assert "no VNNI" in (found.reason or "")
    vnni = replace(runs.machine(), informs={"instructions": ["avx2", "avx_vnni"]})
    assert "VNNI" not in (change(reduced_as(full, "r", "fp32", reduced), reduced_as(reduced, "r int8", "int8", full),
                                 machine=vnni).reason or "")  # fmt: skip


def reduced_as(record: Record, name: str, kind: str, times: Record) -> Record:
    """The record under this name and precision, with the times of another."""
    return replace(record, case=replace(record.case, name=name, precision=kind), measurement=times.measurement)


def on(architecture: str | None, *instructions: str) -> Machine:
    return replace(runs.machine(), informs={"architecture": architecture, "instructions": list(instructions)})


def in_precision(kind: str, **changes: Any) -> tuple[Record, Record]:
    """A network in fp32 and in this precision, of which nothing says why it is slower."""
    full, reduced = records()
    case = replace(reduced.case, precision=kind, **changes)
    return replace(full, kinds_ms=None), replace(reduced, case=case, kinds_ms=None)


UNKNOWN = "not known; neither its instructions nor unfused nodes explain it"
NO_VNNI = "no VNNI: the processor has no instruction for products of 8-bit integers"


@pytest.mark.parametrize(
    ("kind", "machine", "said"),
    [
        ("int8", on("x86_64", "avx2"), NO_VNNI),
        ("int8-dynamic", on("x86_64", "avx2"), NO_VNNI),
        ("int8", on(None), NO_VNNI),
        ("int8", replace(runs.machine(), informs={}), NO_VNNI),
        ("int8", on("x86_64", "avx512_vnni"), UNKNOWN),
        ("int8", on("x86_64", "avx_vnni"), UNKNOWN),
        ("int8", on("aarch64", "asimddp"), UNKNOWN),
        ("int8-dynamic", on("arm64"), UNKNOWN),
        (
            "fp16",
            on("x86_64", "avx2"),
            "without fp16 kernels for the processor, ONNX Runtime converts to fp32 and back",
        ),
    ],
)
def test_why_it_is_slower_on_a_processor(kind: str, machine: Machine, said: str) -> None:
    assert precision.reason(*in_precision(kind), machine) == said


@pytest.mark.parametrize("kind", ["int8", "int8-dynamic"])
def test_why_integers_are_slower_elsewhere(kind: str) -> None:
    said = precision.reason(*in_precision(kind, device="cuda", provider="CUDAExecutionProvider"), on("x86_64"))
    assert said == "CUDAExecutionProvider has few kernels for integers, and computes in fp32 between conversions"
    half = in_precision("fp16", device="cuda", provider="CUDAExecutionProvider")
    assert precision.reason(*half, on("x86_64")) == UNKNOWN


@pytest.mark.parametrize(
    ("kind", "nodes", "said"),
    [
        ("int8", None, UNKNOWN),
        ("int8", 2, UNKNOWN),  # one quantises the input, one gives the output back
        ("int8", 3, "1 QuantizeLinear and DequantizeLinear node that ONNX Runtime could not fuse"),
        ("int8", 4, "2 QuantizeLinear and DequantizeLinear nodes that ONNX Runtime could not fuse"),
        ("int8-dynamic", 0, UNKNOWN),
        ("int8-dynamic", 1, "1 DynamicQuantizeLinear node that ONNX Runtime could not fuse"),
        ("int8-dynamic", 9, "9 DynamicQuantizeLinear nodes that ONNX Runtime could not fuse"),
    ],
)
def test_nodes_that_could_not_be_fused(kind: str, nodes: int | None, said: str) -> None:
    full, reduced = in_precision(kind)
    artifact = Artifact(sha256="0", size_bytes=1, opset=18, quantize_nodes_optimised=nodes)
    assert precision.reason(full, replace(reduced, artifact=artifact), on("x86_64", "avx_vnni")) == said
    assert precision.reason(full, replace(reduced, artifact=None), on("x86_64", "avx_vnni")) == UNKNOWN


def test_the_kind_of_layer_that_grew_most_is_named() -> None:
    full, reduced = in_precision("int8")
    machine = on("x86_64", "avx_vnni")

    def said(before: dict[str, float] | None, after: dict[str, float] | None) -> str:
        return precision.reason(replace(full, kinds_ms=before), replace(reduced, kinds_ms=after), machine)

    grown = said({"pointwise": 9.0, "depthwise": 1.0}, {"pointwise": 9.5, "depthwise": 2.0})
    assert grown == "most of it in depthwise layers, 1.00 -> 2.00 ms profiled"
    assert said({"pointwise": 9.0}, {"pointwise": 8.0, "other": 3.0}).endswith("other layers, 0 -> 3.00 ms profiled")
    both = said({"pointwise": 9.0}, {"pointwise": 9.0})
    assert both == said({"pointwise": 9.0}, None) == said(None, {"pointwise": 9.0}) == UNKNOWN
    lacking = precision.reason(
        replace(full, kinds_ms={"dense": 1.0}), replace(reduced, kinds_ms={"dense": 2.0}), on("x86_64")
    )
    assert lacking == f"{NO_VNNI}; most of it in dense layers, 1.00 -> 2.00 ms profiled"


def artifact(size: int, *, share: float | None = None, **more: Any) -> Artifact:
    agreed = Fidelity(max_abs=0.1, max_rel=0.1, top1_agreement=share, inputs=64, passed=True, reference="fp32")
    return Artifact(sha256="0", size_bytes=size, opset=18, fidelity=agreed, **more)


def test_a_change_as_a_row() -> None:
    full, reduced = records(accuracy=Accuracy(origin="none"), artifact=artifact(30, share=0.75, warnings=("odd",)))
    full = replace(full, accuracy=Accuracy(origin="none"), artifact=artifact(120))
    found = change(full, reduced)
    assert (found.size, found.agreement, found.inputs, found.warnings) == (0.25, 75.0, 64, ("odd",))
    name, size, p50, worth, know = precision.row(found)
    assert (name, size, worth, know) == ("r int8", "x 0.25", "agreement with fp32 75.0 % of 64 inputs", "odd")
    low, high = found.p50_low or 0, found.p50_high or 0
    assert p50 == f"-40.0 % [{100 * (low - 1):+.1f} %, {100 * (high - 1):+.1f} %]"
    bare = precision.Change(case="x")
    assert precision.row(bare) == ("x", "–", "–", "–", "")
    assert precision.row(replace(bare, p50=1.5, p50_low=1.2)) == ("x", "–", "+50.0 %", "–", "")
    judged = replace(bare, accuracy=-1.25, agreement=75.0, inputs=64, label="mAP", reason="why", warnings=("a", "b"))
    assert precision.row(judged) == ("x", "–", "–", "mAP -1.2 points", "slower than fp32: why; a; b")
    known = replace(judged, accuracy_low=-2.0, accuracy_high=0.5)
    assert precision.row(known)[3] == "mAP -1.2 points [-2.0, +0.5]"
    assert precision.row(replace(known, accuracy_high=None))[3] == "mAP -1.2 points"
    assert len(precision.HEADINGS) == len(precision.row(bare))


def test_a_lower_precision_without_its_fp32_says_only_what_to_know() -> None:
    _, reduced = records(accuracy=Accuracy(origin="none"), artifact=artifact(30, share=0.75, integers="u8s7"))
    found = change(reduced)
    said = "weights of 7 bits: without VNNI, products of 8 would saturate"
    assert found == precision.Change(case="r int8", agreement=75.0, inputs=64, warnings=(said,))
    unjudged = replace(reduced, artifact=artifact(30, integers="u8s7", warnings=("odd",)))
    assert change(unjudged) == precision.Change(case="r int8", warnings=("odd", said))
    for nothing in (artifact(30, share=0.75, integers="u8s8"), None):
        assert precision.changes(runs.run([replace(reduced, artifact=nothing)])) == []
    full, _ = records()
    assert precision.changes(runs.run([replace(full, artifact=artifact(120, warnings=("odd",)))])) == []
    assert change(replace(full, artifact=None), reduced).size is None


def test_one_visit_tells_nothing_of_how_visits_differ() -> None:
    full, reduced = records()
    assert full.measurement is not None
    for one in (full, reduced):
        assert one.measurement is not None
        single = replace(one, measurement=replace(one.measurement, visit_p50_ms=one.measurement.visit_p50_ms[:1]))
        found = change(*(single if each is one else each for each in (full, reduced)))
        assert found.p50 == pytest.approx(0.6, rel=1e-6)
        assert (found.p50_low, found.p50_high) == (None, None)
        two = replace(one, measurement=replace(one.measurement, visit_p50_ms=one.measurement.visit_p50_ms[:2]))
        assert change(*(two if each is one else each for each in (full, reduced))).p50_low is not None
    failed = replace(reduced, measurement=None)
    assert change(full, failed).p50 is None
    assert change(replace(full, measurement=None), reduced).p50 is None


def test_slower_is_an_interval_above_1() -> None:
    for low, slower in ((None, False), (0.99, False), (1.0, False), (1.01, True)):
        assert precision.Change(case="x", p50=1.2, p50_low=low).slower is slower


def test_a_measured_accuracy_without_an_interval_still_changes() -> None:
    full, reduced = records(accuracy=Accuracy(origin="measured", top1=70.0))
    found = change(replace(full, accuracy=accuracy(72.0, 100)), reduced)
    assert (found.accuracy, found.accuracy_low, found.accuracy_high) == (-2.0, None, None)
    other = change(replace(full, accuracy=Accuracy(origin="measured", top1=71.0)),
                   replace(reduced, accuracy=accuracy(72.0, 100)))  # fmt: skip
    assert (other.accuracy, other.accuracy_low) == (1.0, None)
    unknown = change(replace(full, accuracy=Accuracy(origin="measured")), reduced)
    assert unknown.accuracy is None


def test_what_all_changes_say_is_said_once() -> None:
    a, b = (precision.Change(case=case, warnings=(*own, "of all")) for case, own in (("a", ("own",)), ("b", ())))
    said, left = precision.in_common([a, b])
    assert said == ("of all",)
    assert [each.warnings for each in left] == [("own",), ()]
    assert precision.in_common([a]) == ((), [a])
    assert precision.in_common([]) == ((), [])
    assert precision.in_common([a, replace(b, warnings=())])[0] == ()
