"""Totals, peak memory, intensity and the skeleton of networks, on layers made by hand."""

from __future__ import annotations

from typing import Any

import pytest

from bench.cost import layers
from bench.cost.layers import LayerCost, Step
from bench.records import KindCost


def layer(name: str, *inputs: str, shape: tuple[int, ...] | None = (4, 4, 2), **more: Any) -> LayerCost:
    plain: dict[str, Any] = {"kind": "other", "operator": "Op", "mult_adds": 0, "params": 0}
    return LayerCost(name=name, inputs=inputs, output_shape=shape, **(plain | more))


def convolution(name: str, *inputs: str, mult_adds: int = 100, weights: int = 10, **more: Any) -> LayerCost:
    return layer(name, *inputs, **({"kind": "standard", "mult_adds": mult_adds, "params": weights + 2,
                                   "weights": weights} | more))  # fmt: skip


def test_bytes_and_intensity_of_a_layer() -> None:
    one = convolution("a", shape=(4, 4, 2), input_bytes=300, mult_adds=1234, weights=10)
    assert one.activation_bytes == 4 * 32
    assert one.moved_bytes == 300 + 4 * 12 + 4 * 32
    assert one.intensity == 2 * 1234 / (300 + 48 + 128)
    unknown = layer("b", shape=None, mult_adds=None, params=3)
    assert (unknown.activation_bytes, unknown.moved_bytes, unknown.intensity) == (0, 12, None)
    assert layer("c", shape=None, mult_adds=5).intensity == 10, "nothing moved counts as one byte"


@pytest.mark.parametrize(
    ("kernel", "channels_in", "groups", "positions", "kind"),
    [
        ((3, 3), 32, 32, 100, "depthwise"),
        ((1, 1), 32, 32, 100, "depthwise"),
        ((3, 3), 32, 2, 100, "grouped"),
        ((1, 1), 32, 2, 1, "grouped"),
        ((3, 3), 32, 1, 100, "standard"),
        ((3, 3), 1, 1, 100, "standard"),
        ((1, 2), 32, 1, 1, "standard"),
        ((1, 1), 32, 1, 2, "pointwise"),
        ((1, 1), 32, 1, 1, "dense"),
    ],
)
def test_kinds_go_by_the_arithmetic(
    kernel: tuple[int, ...], channels_in: int, groups: int, positions: int, kind: str
) -> None:
    assert layers.kind_of(kernel, channels_in, groups, positions) == kind


def test_the_total_of_a_network() -> None:
    network = [
        convolution("a", mult_adds=100, weights=10),
        convolution("b", "a", mult_adds=50, weights=20),
        layer("c", "b", kind="pointwise", mult_adds=7, params=1),
        layer("d", "c", operator="Resize", mult_adds=None, params=4),
    ]
    cost = layers.total(network)
    assert (cost.mult_adds, cost.params) == (157, 12 + 22 + 1 + 4)
    assert cost.activation_bytes == 4 * 128
    assert cost.peak_activation_bytes == 2 * 128
    assert cost.by_kind == {
        "standard": KindCost(layers=2, mult_adds=150, params=34),
        "pointwise": KindCost(layers=1, mult_adds=7, params=1),
        "other": KindCost(layers=1, mult_adds=0, params=4),
    }
    assert list(cost.by_kind) == ["standard", "pointwise", "other"]
    assert cost.uncounted == ("Resize (d)",)
    blind = layers.total([*network, layer("e", "d", shape=None)])
    assert (blind.activation_bytes, blind.peak_activation_bytes) == (None, None)
    assert blind.mult_adds == 157


def test_the_peak_is_where_most_is_alive_at_once() -> None:
    small, large = (4, 4, 1), (4, 4, 8)  # 64 and 512 bytes
    chain = [layer("a", shape=small), layer("b", "a", shape=large), layer("c", "b", shape=small)]
    assert layers.peak_bytes(chain) == 64 + 512
    assert layers.peak_bytes([]) == 0
    assert layers.peak_bytes([layer("a", shape=small)]) == 64


def test_an_output_lives_until_the_last_that_reads_it() -> None:
    skip = [layer("a"), layer("b", "a"), layer("c", "b"), layer("d", "c", "a")]  # 128 bytes each
    assert layers.peak_bytes(skip) == 3 * 128
    assert layers.peak_bytes([layer("a"), layer("b", "a"), layer("c", "b"), layer("d", "c")]) == 2 * 128
    unread = [layer("a"), layer("b"), layer("c"), layer("d")]
    assert layers.peak_bytes(unread) == 4 * 128
    twice = [layer("a"), layer("b", "a", "a"), layer("c", "b")]
    assert layers.peak_bytes(twice) == 2 * 128
    after = [layer("a"), layer("b", "a", shape=(4, 4, 1)), layer("c", "b", shape=(4, 4, 4))]
    assert layers.peak_bytes(after) == 64 + 256, "what nobody reads any more is gone"


def test_an_element_wise_layer_overwrites_an_input_of_its_size_that_nobody_needs() -> None:
    over = [layer("a"), layer("b", "a", elementwise=True)]
    assert layers.peak_bytes(over) == 128
    assert layers.peak_bytes([layer("a"), layer("b", "a")]) == 256
    needed = [layer("a"), layer("b", "a", elementwise=True), layer("c", "b", "a")]
    assert layers.peak_bytes(needed) == 3 * 128
    other_size = [layer("a", shape=(4, 4, 1)), layer("b", "a", elementwise=True)]
    assert layers.peak_bytes(other_size) == 64 + 128
    given = [layer("b", "the network's input", elementwise=True), layer("c", "b")]
    assert layers.peak_bytes(given) == 2 * 128, "what no layer wrote is not counted, nor overwritten"


def test_the_skeleton_is_what_multiplies_by_depth() -> None:
    network = [
        convolution("a", "the network's input", mult_adds=90, weights=9, shape=(5, 3, 2)),
        layer("relu", "a", shape=(5, 3, 2)),
        convolution("left", "relu", mult_adds=40, weights=4, shape=(5, 3, 7)),
        convolution("right", "relu", mult_adds=30, weights=3, shape=(15, 6)),
        layer("add", "left", "right"),
        convolution("last", "add", kind="dense", mult_adds=20, weights=2, shape=(11,)),
        convolution("long", "last", "a", mult_adds=10, weights=1, shape=(1, 1, 1)),
    ]
    assert layers.skeleton(network) == [
        Step(1, "standard", 90, 9, 15, 2),
        Step(2, "standard", 30, 3, 15, 6),
        Step(2, "standard", 40, 4, 15, 7),
        Step(3, "dense", 20, 2, 1, 11),
        Step(4, "standard", 10, 1, 1, 1),
    ]
    swapped = [network[0], network[1], network[3], network[2], *network[4:]]
    assert layers.skeleton(swapped) == layers.skeleton(network)


@pytest.mark.parametrize("without", [{"mult_adds": 0}, {"mult_adds": None}, {"weights": 0}, {"output_shape": None}])
def test_what_multiplies_no_weights_is_no_step(without: dict[str, Any]) -> None:
    plain: dict[str, Any] = {"name": "a", "kind": "dense", "operator": "Op", "mult_adds": 5, "params": 5, "weights": 5,
                             "output_shape": (5,)}  # fmt: skip
    assert len(layers.skeleton([LayerCost(**plain)])) == 1
    assert layers.skeleton([LayerCost(**(plain | without))]) == []
