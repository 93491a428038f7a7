"""Published accuracies: exactly that variant, or none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench import suites
from bench.models import published
from bench.records import Case


def case(model: str, **values: object) -> Case:
    return suites.case_of_model(model, **values)


def test_the_row_of_the_weights_that_keras_ships_wins() -> None:
    found = published.lookup(case("ResNet50"))
    assert (found.origin, found.top1, found.top5, found.source) == ("published", 74.9, 92.1, "Keras Applications table")
    assert found.reference is not None
    assert "keras.io" in found.reference
    assert {75.9, 75.3} <= {a.top1 for a in found.alternatives}
    assert 76.13 not in {a.top1 for a in found.alternatives}, "ResNet v1.5 strides elsewhere: another network"


@pytest.mark.parametrize(
    ("model", "values", "top1"),
    [
        ("MobileNet", {}, 70.4),
        ("MobileNet", {"alpha": 1.0, "input_size": 224}, 70.4),
        ("MobileNet", {"alpha": 0.5}, 64.292),
        ("MobileNet", {"alpha": 0.75, "input_size": 192}, 67.4),
        ("MobileNetV2", {"alpha": 0.35, "input_size": 96}, 45.5),
        ("MobileNetV2", {"alpha": 1.4}, 75.23),
        ("MobileNetV3Small", {"minimalistic": True}, 61.9),
        ("ConvMobileNet", {}, 71.7),
        ("ResNet50V2", {"input_size": 299}, 76.0),
        ("ResNeXt50", {}, 77.74),
        ("EfficientNetB0", {}, 77.1),
    ],
)
def test_each_variant_has_its_own_figure(model: str, values: dict[str, object], top1: float) -> None:
    assert published.lookup(case(model, **values)).top1 == top1


@pytest.mark.parametrize(
    ("model", "values"),
    [
        ("MobileNet", {"input_size": 256}),
        ("MobileNetV2", {"alpha": 1.4, "input_size": 192}),
        ("MobileNetV3Large", {"alpha": 0.75, "minimalistic": True}),
        ("ConvMobileNet", {"alpha": 0.5}),
        ("ResNet50", {"input_size": 192}),
        ("ResNet50V2", {}),
        ("MobileNet", {"classes": 10}),
        ("MobileNet", {"head": "notes"}),
        ("MobileNet", {"precision": "int8"}),
        ("MobileNet", {"weights": "mine.weights.h5"}),
        ("MobileNet", {"arguments": {"depth_multiplier": 2}}),
        ("net.onnx", {}),
    ],
)
def test_a_neighbour_lends_no_figure(model: str, values: dict[str, object]) -> None:
    found = published.lookup(case(model, **values))
    assert (found.origin, found.top1, found.alternatives) == ("none", None, ())


def test_oblong_input_has_no_figure() -> None:
    assert published.lookup(replace(case("ResNet50"), input_shape=(224, 160, 3))).origin == "none"


def test_only_these_native_backbones_have_no_figure() -> None:
    without = [c.model for c in suites.load_suite("keras").cases if published.lookup(c).origin == "none"]
    assert without == ["ResNet50V2", "ResNet101V2", "ResNet152V2"], "their figures were measured at 299"


def test_every_row_has_a_source_and_a_known_model() -> None:
    for row in published.publications():
        assert row.model in suites.backbones()
        assert row.source
        assert row.reference


@pytest.mark.parametrize(
    ("suite", "hollow"), [("default", 0), ("mobilenet", 0), ("mobilenet-v2", 0), ("mobilenet-v3", 2)]
)
def test_how_many_of_a_suite_are_hollow(suite: str, hollow: int) -> None:
    found = [published.lookup(c).origin for c in suites.load_suite(suite).cases]
    assert found.count("none") == hollow
