"""int8 and fp16 files: made from fp32, held against it, and told from it in everything that a run shows."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench import export, pipeline, suites, training
from bench.analysis import precision, statistics
from bench.cli import progress
from bench.errors import WrongUsage
from bench.export.request import integers
from bench.models import published
from bench.records import Accuracy, Artifact, Case, Fidelity, Record, Training
from bench.report import page, table
from bench.report.figures import tradeoff
from bench.report.markdown import summary
from bench.report.spreadsheet import frame
from tests import runs

needs_keras = pytest.mark.skipif(importlib.util.find_spec("tensorflow") is None, reason="needs TensorFlow")
SOLID = Case(name="solid", model="tests.export.nets:solid")
DIGITS = Case(
    name="digits", model="MobileNet", arguments={"alpha": 0.25}, input_shape=(32, 32, 3), head="notes", classes=10,
    train=Training(data="digits", examples=64, epochs=1),
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def own_cache(built: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BACKBENCH_CACHE", str(built))
        patch.chdir(Path(__file__).parents[2])
        yield


def made(*cases: Case) -> list[export.Exported]:
    found = {result.request: result for result in export.export([export.request(case) for case in cases])}
    wanted = [found[export.request(case)] for case in cases]
    assert all(isinstance(result, export.Exported) for result in wanted), wanted
    return [result for result in wanted if isinstance(result, export.Exported)]


def test_a_reduced_precision_is_a_request_of_its_own() -> None:
    digits = replace(DIGITS, precision="int8")
    asked = [
        export.request(case)
        for case in (DIGITS, digits, replace(digits, train=None), replace(digits, precision="fp16"))
    ]
    assert len({request.key for request in asked}) == 4
    assert [request.calibration for request in asked] == [None, "digits", "synthetic", "digits"]
    assert asked[1].full_precision == asked[0]
    assert len({replace(asked[1], integers=kind).key for kind in ("u8s8", "u8s7", "s8s8")}) == 3


def test_the_integers_suit_the_processor() -> None:
    assert integers({"avx2", "avx_vnni"}, "x86_64") == "u8s8"
    assert integers({"avx2", "avx512f"}, "AMD64") == "u8s7"
    assert integers({"asimddp"}, "arm64") == "s8s8"


def test_a_published_accuracy_is_that_of_fp32() -> None:
    case = suites.case_of_model("ResNet50")
    assert published.lookup(case).origin == "published"
    for lower in ("int8", "fp16"):
        assert published.lookup(replace(case, precision=lower)) == Accuracy(origin="none")


@needs_keras
@pytest.mark.slow
def test_int8_is_small_runs_and_says_how_far_it_agrees() -> None:
    import onnxruntime

    full, small = made(SOLID, replace(SOLID, precision="int8"))
    assert small.artifact.size_bytes < 0.35 * full.artifact.size_bytes
    assert (small.artifact.calibration, full.artifact.calibration) == ("synthetic", None)
    found = small.artifact.fidelity
    assert found is not None
    assert found.passed
    assert (found.reference, found.inputs) == ("fp32", 64)
    assert 0 < found.max_rel < 0.1
    assert found.top1_agreement is None, "noise has no class"
    assert any("come from random noise" in warning for warning in small.artifact.warnings)
    assert small.artifact.integers == export.request(replace(SOLID, precision="int8")).integers
    assert full.artifact.fidelity is not None
    assert full.artifact.fidelity.reference == "Keras"
    assert small.cost == full.cost
    assert full.artifact.quantize_nodes_optimised is None
    assert small.artifact.quantize_nodes_optimised is not None

    images = np.random.default_rng(0).standard_normal((3, 16, 16, 3)).astype(np.float32)
    one, other = (onnxruntime.InferenceSession(r.path, providers=["CPUExecutionProvider"]) for r in (full, small))
    for a, b in ((one.get_inputs(), other.get_inputs()), (one.get_outputs(), other.get_outputs())):
        assert [(v.name, v.shape, v.type) for v in a] == [(v.name, v.shape, v.type) for v in b]
    together = other.run(None, {"image": images})[0]
    apart = [other.run(None, {"image": images[i : i + 1]})[0] for i in range(3)]
    np.testing.assert_allclose(together, np.concatenate(apart), rtol=1e-5)

    again, twin = made(replace(SOLID, precision="int8"), SOLID)
    assert again.cached
    assert twin.cached
    assert again.artifact == small.artifact


@needs_keras
@pytest.mark.slow
def test_nodes_that_cannot_be_fused_are_counted() -> None:
    """ONNX Runtime has no integer kernel for most of what this network holds between its convolutions."""
    solid, varied = made(*(Case(name=n, model=f"tests.export.nets:{n}", precision="int8") for n in ("solid", "varied")))
    assert solid.artifact.quantize_nodes_optimised == 2
    assert varied.artifact.quantize_nodes_optimised is not None
    assert varied.artifact.quantize_nodes_optimised > 6


@needs_keras
@pytest.mark.slow
def test_fp16_is_half_as_large_and_keeps_its_ends() -> None:
    full, half = made(SOLID, replace(SOLID, precision="fp16"))
    assert half.artifact.size_bytes < 0.55 * full.artifact.size_bytes
    assert half.artifact.fidelity is not None
    assert 0 < half.artifact.fidelity.max_rel < 0.01
    assert any("fp16 is for a GPU" in warning for warning in half.artifact.warnings)


@needs_keras
@pytest.mark.slow
def test_agreement_is_lost_with_the_weights_and_outputs_must_be_finite(tmp_path: Path) -> None:
    import onnx
    from onnx import numpy_helper

    from bench.export import quantise

    (full,) = made(SOLID)
    images = np.random.default_rng(0).standard_normal((40, 16, 16, 3)).astype(np.float32)
    assert quantise.agreement(full.path, full.path, images).top1_agreement == 1.0
    for value, passes in ((-1.0, True), (np.inf, False)):
        model = onnx.load(full.path)
        last = max(model.graph.initializer, key=lambda tensor: 10 in tensor.dims and len(tensor.dims) > 1)
        last.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(last) * np.float32(value), last.name))
        onnx.save(model, tmp_path / "changed.onnx")
        found = quantise.agreement(tmp_path / "changed.onnx", full.path, images)
        assert found.passed == passes
        assert found.top1_agreement is not None
        assert found.top1_agreement < 0.5


@needs_keras
@pytest.mark.slow
def test_digits_are_calibrated_timed_and_judged(tmp_path: Path) -> None:
    """From the suite's case to the page: measured accuracy of the very int8 file, never a published one."""
    suite = suites.Suite("tiny", "tiny", (DIGITS, replace(DIGITS, name="digits int8", precision="int8")))
    options = pipeline.Options(rounds=2, min_time_s=0.01, min_count=2, warmup_s=0.05, spacing_s=0)
    run = pipeline.run(suite, options=options, results=tmp_path).run
    full, small = run.records
    assert (full.error, small.error) == (None, None)
    assert small.artifact is not None
    assert small.artifact.calibration == "digits"
    assert (small.accuracy.origin, small.accuracy.n) == ("measured", 360)
    (change,) = precision.changes(run)
    assert (change.case, change.agreement) == ("digits int8", None)
    assert change.accuracy is not None
    assert change.accuracy_low is not None
    assert change.accuracy_low < change.accuracy
    assert change.size is not None
    assert change.size < 0.45
    assert change.p50_low is not None
    assert change.p50 is not None
    assert change.p50_low < change.p50
    request = export.request(replace(DIGITS, weights=str(training.trained(training.recipe(DIGITS))), precision="int8"))
    assert export.request(suite.cases[1]).calibration == request.calibration == "digits"


def test_newcombes_interval_is_that_of_his_paper() -> None:
    """Table II of Newcombe 1998 (Statistics in Medicine 17, 873), method 10: 56/70 - 48/80 and 9/10 - 3/10."""
    for a, n, b, m, wanted in ((48, 80, 56, 70, (0.2, 0.0524, 0.3339)), (3, 10, 9, 10, (0.6, 0.1705, 0.8090))):
        found = statistics.newcombe(a / n, statistics.wilson(a, n), b / m, statistics.wilson(b, m))
        assert found == pytest.approx(wanted, abs=6e-5)


def pair(
    factor: float, *, nodes: int = 2, instructions: tuple[str, ...] = ("avx2",), visits: int = 5
) -> precision.Change:
    """A made-up int8 case, so many times as slow as its fp32 case."""
    case = suites.case_of_model("ResNet50")
    full = replace(runs.record(case, spread=0.002), accuracy=Accuracy(origin="none"))
    m, artifact = full.measurement, full.artifact
    assert m is not None
    assert artifact is not None
    slow = replace(
        m, p50_ms=m.p50_ms * factor, p50_ms_low=m.p50_ms_low * factor, p50_ms_high=m.p50_ms_high * factor,
        visit_p50_ms=m.visit_p50_ms[:visits],
    )  # fmt: skip
    reduced = replace(
        full, case=replace(full.case, name="ResNet50 int8", precision="int8"),
        artifact=reduced_artifact(artifact, nodes),
        measurement=slow, kinds_ms=None,
    )  # fmt: skip
    machine = runs.machine()
    machine = replace(machine, informs=machine.informs | {"instructions": list(instructions), "architecture": "x86_64"})
    (found,) = precision.changes(runs.run([full, reduced], on=machine))
    return found


def reduced_artifact(artifact: Artifact, nodes: int) -> Artifact:
    agreed = Fidelity(max_abs=0.1, max_rel=0.1, top1_agreement=0.75, inputs=64, passed=True, reference="fp32")
    return replace(
        artifact, fidelity=agreed, size_bytes=artifact.size_bytes // 4, quantize_nodes_optimised=nodes,
        calibration="synthetic",
    )  # fmt: skip


def test_slower_than_fp32_is_told_with_its_reason() -> None:
    assert pair(0.5).reason is None
    lacking = pair(1.5)
    assert lacking.slower
    assert lacking.reason is not None
    assert "no VNNI" in lacking.reason
    unfused = pair(1.5, nodes=14, instructions=("avx2", "avx512_vnni"))
    assert unfused.reason is not None
    assert "VNNI" not in unfused.reason
    assert "12 QuantizeLinear and DequantizeLinear nodes" in unfused.reason
    assert "slower than fp32: 12 Quantize" in " ".join(precision.row(unfused))
    single = pair(1.5, visits=1)
    assert (single.slower, single.p50_low, single.reason) == (False, None, None)


def test_fp16_on_a_processor_is_slower_where_its_layers_are() -> None:
    full, _ = without_accuracy()
    kinds = {name: ms * (40 if name == "depthwise" else 1) for name, ms in (full.kinds_ms or {}).items()}
    half = replace(full, case=replace(full.case, precision="fp16"), kinds_ms=kinds)
    said = precision.reason(full, half, runs.machine())
    assert said.startswith("without fp16 kernels")
    assert "most of it in depthwise layers" in said
    on_gpu = replace(half.case, device="cuda", provider="CUDAExecutionProvider")
    assert precision.reason(full, replace(half, case=on_gpu, kinds_ms=None), runs.machine()).startswith("not known")
    integers_there = replace(half, case=replace(on_gpu, precision="int8"))
    assert "few kernels for integers" in precision.reason(full, integers_there, runs.machine())


def test_a_ratio_has_its_interval_and_the_change_its_size() -> None:
    found = pair(0.5)
    assert found.p50 == pytest.approx(0.5)
    assert found.size == pytest.approx(0.25, abs=1e-3)
    assert found.p50_low is not None
    assert found.p50_high is not None
    assert 0.4 < found.p50_low < 0.5 < found.p50_high < 0.6


def without_accuracy() -> tuple[Record, Record]:
    full = replace(runs.record(suites.case_of_model("ResNet50")), accuracy=Accuracy(origin="none"))
    assert full.artifact is not None
    small = replace(
        full, case=replace(full.case, name="ResNet50 int8", precision="int8"),
        artifact=reduced_artifact(full.artifact, 2),
    )  # fmt: skip
    return full, small


def test_agreement_is_never_called_accuracy() -> None:
    full, small = without_accuracy()
    run = runs.run([full, small])
    said = "agreement with fp32 75.0 %"
    assert said in progress.row(small)
    assert said in [cell.text for cell in table.rows([full, small])[1]]
    assert said in summary(run)
    assert frame((run,))["agreement_with_fp32"].tolist()[1] == 75.0
    assert frame((run,))["top1"].isna().all()
    html = page.render(run)
    assert "Lower precision against fp32" in html
    assert "agreement with fp32 75.0 % of 64 inputs" in html
    measured = replace(small, accuracy=Accuracy(origin="measured", top1=70.0, n=100, top1_low=60.0, top1_high=78.0))
    assert said not in " ".join(progress.row(measured))


def test_pairs_differ_in_precision_alone() -> None:
    full, small = without_accuracy()
    assert precision.pairs([full, small]) == [(full, small)]
    for change in ({"batch_size": 2}, {"threads": 7}, {"arguments": {"x": 1}}, {"input_shape": (32, 32, 3)}):
        assert precision.pairs([full, replace(small, case=replace(small.case, **change))]) == []  # type: ignore[arg-type]
    known = [replace(r, accuracy=Accuracy(origin="measured", top1=70.0)) for r in (full, small)]
    assert tradeoff.quantised(known) == [(known[0], known[1])]
    assert tradeoff.quantised([full, small]) == []
    assert "Lower precision" not in page.render(runs.run([full]))


def test_an_onnx_file_of_ones_own_has_the_precision_that_it_has() -> None:
    with pytest.raises(WrongUsage, match=r"precision.* has no effect on own\.onnx: such a file is timed as it is"):
        suites.case_of_model("own.onnx", precision="int8")
