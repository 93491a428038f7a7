"""Counting built networks, each in the worker: the paper's tables, Keras's own counts, and graphs of every shape."""

from __future__ import annotations

from itertools import zip_longest
from pathlib import Path

import pytest

from bench import export, suites
from bench.cost import formulas, onnx_graph, packaged
from bench.cost.cases import Answer, counted
from bench.cost.layers import skeleton, total
from bench.errors import WrongUsage
from bench.models import published
from bench.records import Case, Cost

pytestmark = pytest.mark.slow


NETS = {
    "every_layer": {},
    "shared": {},
    "open_size": {},
    "open_size sized": {"input_size": 10},
    "mystery": {},
    "subclassed": {},
    "nowhere": {},
}
SPREAD = {
    "MobileNet": {"alpha": 0.25, "input_size": 96},
    "MobileNetV3Small": {"input_size": 96},
    "EfficientNetV2B0": {"input_size": 64},
    "ResNeXt50": {"input_size": 64},
    "ConvNeXtTiny": {"input_size": 64},
}


def spread(model: str) -> Case:
    return suites.case_of_model(model, name=f"{model} small", **SPREAD[model])


@pytest.fixture(scope="module")
def answers() -> dict[str, Answer]:
    """Everything that this module looks at, counted by one worker, which has to start TensorFlow once."""
    cases = [c for name in ("keras", "mobilenet") for c in suites.load_suite(name).cases]
    cases += [suites.case_of_model(f"tests.cost.nets:{k.split()[0]}", name=k, **v) for k, v in NETS.items()]
    cases += [spread(model) for model in SPREAD]
    return {case.name: answer for case, answer in zip(cases, counted(cases), strict=True)}


@pytest.fixture(scope="module")
def costs(answers: dict[str, Answer]) -> dict[str, Cost]:
    return {name: total(answer.layers) for name, answer in answers.items()}


@pytest.fixture(scope="module")
def exported(built: Path) -> dict[str, Path]:
    """The ONNX file of each of the spread."""
    by_request = {export.request(spread(model)): model for model in SPREAD}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BACKBENCH_CACHE", str(built))
        made = list(export.export(by_request, jobs=1))
    return {by_request[one.request]: one.path for one in made if isinstance(one, export.Exported)}


def learnt(found: Cost) -> int:
    """Params of convolutions and dense layers: what the MobileNet paper counts."""
    assert found.by_kind is not None
    return sum(share.params for kind, share in found.by_kind.items() if kind != "other")


def test_table_3_on_the_built_networks(answers: dict[str, Answer]) -> None:
    standard = [
        layer
        for layer in answers["ConvMobileNet"].layers
        if layer.kind == "standard" and layer.output_shape == (14, 14, 512) and layer.weights == 9 * 512 * 512
    ]
    found = [(standard[0].mult_adds, standard[0].weights)]
    for name in ("MobileNet alpha=1 224px", "MobileNet alpha=0.75 224px", "MobileNet alpha=0.75 160px"):
        layers = {layer.name: layer for layer in answers[name].layers}
        pair = [layers["conv_dw_8"], layers["conv_pw_8"]]
        found.append((sum(x.mult_adds or 0 for x in pair), sum(x.weights for x in pair)))
    assert [f"{mult_adds / 1e6:.3g}" for mult_adds, _ in found] == ["462", "52.3", "29.6", "15.1"]
    assert [f"{weights / 1e6:.2f}" for _, weights in found] == ["2.36", "0.27", "0.15", "0.15"]


@pytest.mark.parametrize(
    ("case", "mult_adds", "params"),
    [
        ("MobileNet alpha=1 224px", 569, "4.2"),
        ("MobileNet alpha=0.75 224px", 325, "2.6"),
        ("MobileNet alpha=0.5 224px", 149, "1.3"),
        ("MobileNet alpha=0.25 224px", 41, "0.5"),
        ("MobileNet alpha=1 192px", 418, "4.2"),
        ("MobileNet alpha=1 128px", 186, "4.2"),
    ],
)
def test_tables_4_6_and_7_to_the_printed_digits(costs: dict[str, Cost], case: str, mult_adds: int, params: str) -> None:
    assert round(costs[case].mult_adds / 1e6) == mult_adds
    assert f"{learnt(costs[case]) / 1e6:.1f}" == params


def test_where_the_papers_own_rounding_cannot_be_met(costs: dict[str, Cost]) -> None:
    at_160 = costs["MobileNet alpha=1 160px"].mult_adds
    assert at_160 == 290_675_200, "printed as 290 (cut off), 291 in the authors' own later table"
    full = costs["ConvMobileNet"]
    assert full.by_kind is not None
    assert full.mult_adds == 4_867_293_184, "printed as 4866, which leaves out the classifier"
    assert round((full.mult_adds - full.by_kind["dense"].mult_adds) / 1e6) == 4866
    assert f"{learnt(full) / 1e6:.1f}" == "29.3"


def test_params_are_those_that_keras_counts(costs: dict[str, Cost]) -> None:
    found = {model: costs[model].params for model in suites.backbones()}
    assert found == {model: fact["params"] for model, fact in suites.backbones().items()}


def test_the_counts_that_come_with_the_package_are_those_counted_here(costs: dict[str, Cost]) -> None:
    cases = [case for name in ("keras", "mobilenet") for case in suites.load_suite(name).cases]
    assert {case.name: packaged.of_case(case) for case in cases} == {case.name: costs[case.name] for case in cases}


def test_the_default_suite_lies_within_2_percent_of_what_is_published(costs: dict[str, Cost]) -> None:
    for case in suites.load_suite("default").cases:
        assert case.input_shape is not None
        rows = published.of_variant(case.model, case.arguments, case.input_shape[0])
        gaps = [costs[case.name].mult_adds / 1e6 / row.mult_adds_millions - 1 for row in rows if row.mult_adds_millions]
        assert min(map(abs, gaps)) < 0.02, (case.name, gaps)


def test_nothing_of_ours_is_uncounted(costs: dict[str, Cost]) -> None:
    assert {name for name, found in costs.items() if found.uncounted} == {"mystery"}


def test_every_layer_that_multiplies(answers: dict[str, Answer]) -> None:
    found = {layer.name: layer for layer in answers["every_layer"].layers}
    expected = {
        "standard": ("standard", formulas.standard(3, 16, 4, 8), 8),
        "grouped": ("grouped", formulas.grouped(3, 16, 8, 8, 2), 8),
        "depthwise": ("depthwise", formulas.depthwise(3, 14, 8, multiplier=2), 16),
        "pointwise": ("pointwise", formulas.pointwise(14, 16, 6), 6),
        "separable/depthwise": ("depthwise", formulas.depthwise(3, 14, 6), 0),
        "separable": ("pointwise", formulas.pointwise(14, 6, 5), 5),
        "transposed": ("standard", formulas.standard(2, 14, 5, 3), 3),
        "dense_map": ("pointwise", formulas.pointwise(28, 3, 7), 7),
        "dense": ("dense", formulas.dense(7, 10), 10),
    }
    assert {layer.name for layer in found.values() if layer.mult_adds} == set(expected)
    for name, (kind, count, bias) in expected.items():
        layer = found[name]
        assert (layer.kind, layer.mult_adds, layer.weights) == (kind, count.mult_adds, count.params), name
        assert layer.params == count.params + bias, name
    pointwise = found["pointwise"]
    assert pointwise.moved_bytes == 4 * (14 * 14 * 16 + 16 * 6 + 6 + 14 * 14 * 6)
    assert pointwise.intensity == pytest.approx(2 * 14 * 14 * 16 * 6 / pointwise.moved_bytes)


def test_a_layer_used_twice_works_twice_and_weighs_once(answers: dict[str, Answer]) -> None:
    found = [layer for layer in answers["shared"].layers if layer.mult_adds]
    assert [(layer.name, layer.params) for layer in found] == [("twice", 148), ("twice'", 0), ("nested/inside", 20)]
    assert {layer.mult_adds for layer in found[:2]} == {9 * 4 * 4 * 64}


def test_an_open_size_is_asked_for_and_then_used(answers: dict[str, Answer]) -> None:
    assert answers["open_size"].error == "WrongUsage"
    assert "give an input_size" in answers["open_size"].message
    assert answers["open_size sized"].layers[-1].mult_adds == formulas.standard(3, 10, 3, 2).mult_adds


def test_what_cannot_be_counted_is_named(answers: dict[str, Answer], costs: dict[str, Cost]) -> None:
    assert costs["mystery"].uncounted == ("Mystery (what)", "MultiHeadAttention (attention)")
    assert "is not built for any input; give an input_size" in answers["subclassed"].message


def test_a_builder_that_is_not_there_stops_no_other(answers: dict[str, Answer]) -> None:
    assert answers["nowhere"].error == "WrongUsage"
    assert "nowhere" in answers["nowhere"].message


@pytest.mark.parametrize(
    ("model", "values", "says"),
    [
        ("MobileNet", {"alpha": 0.3}, r"alpha.*is 0\.3; MobileNet accepts 0\.25, 0\.5, 0\.75, 1\.0"),
        ("MobileNetV2", {"alpha": 0}, "alpha.*must be a positive number"),
        ("MobileNetV3Small", {"minimalistic": "yes"}, "minimalistic.*MobileNetV3Small accepts"),
        ("VGG16", {"alpha": 0.5}, "VGG16 takes no alpha"),
        ("InceptionV3", {"input_size": 64}, "InceptionV3 needs at least 75 pixels"),
    ],
)
def test_what_keras_does_not_accept_is_named(model: str, values: dict[str, object], says: str) -> None:
    with pytest.raises(WrongUsage, match=says):
        suites.case_of_model(model, **values)


@pytest.mark.parametrize("model", SPREAD)
def test_keras_and_onnx_graphs_cost_the_same(answers: dict[str, Answer], exported: dict[str, Path], model: str) -> None:
    of_keras, of_onnx = answers[f"{model} small"].layers, onnx_graph.layers(exported[model])
    for number, (a, b) in enumerate(zip_longest(skeleton(of_keras), skeleton(of_onnx)), start=1):
        assert a == b, f"multiplying layer {number}"
    assert total(of_keras).mult_adds == total(of_onnx).mult_adds > 0
