"""The fidelity gate: what is right passes, and every wrong weight, bias, padding and order of channels is caught."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from bench import export, suites
from bench.export.request import OPSET

pytestmark = pytest.mark.slow

NETWORKS = {
    "tests.export.nets:varied": None,
    "MobileNetV3Small": (96, 96, 3),
    "EfficientNetB0": (64, 64, 3),
    "ResNeXt50": (64, 64, 3),
    "ConvNeXtTiny": (64, 64, 3),
    "VGG16": (48, 48, 3),
}
LARGE = ("VGG16",)  # takes long to write anew for each of many changes


@dataclass(frozen=True)
class Made:
    """An artifact with what it was checked on."""

    path: Path
    images: Any
    expected: Any  # Keras's probabilities

    def passes(self, model: onnx.ModelProto, folder: Path) -> bool:
        from bench.export import fidelity

        changed = folder / "changed.onnx"
        onnx.save(model, changed)
        return fidelity.check(changed, self.images, self.expected).passed


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Made]]:
    """Makes a network as the worker does, once for this module, and keeps what Keras said."""
    from bench import models
    from bench.export import clean, preparation, skeleton, weights

    known: dict[str, Made] = {}

    def make(name: str) -> Made:
        if name not in known:
            folder = tmp_path_factory.mktemp("made")
            head = {"head": "notes", "classes": 10} if name in LARGE else {}
            model = models.build(name, input_shape=NETWORKS[name], **head)
            preprocess = suites.backbones().get(name, {}).get("preprocess", "torch")
            images = weights.images(preparation.CHECK_INPUTS, model.input_shape[1:], preprocess, 0)
            expected = weights.randomise(model, images)
            raw, _ = skeleton.convert(model, shape=images.shape[1:], dtype="float32", opset=OPSET, folder=folder)
            clean.clean(raw, folder / "clean.onnx", output="probabilities")
            known[name] = Made(folder / "clean.onnx", images, expected)
        return known[name]

    yield make
    known.clear()


def tensors(model: onnx.ModelProto, *operators: str) -> Iterator[tuple[onnx.NodeProto, onnx.TensorProto]]:
    """Each node of these operators with its weights (the second input), or with its bias for `operator.bias`."""
    initialisers = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        for position, names in ((1, {node.op_type}), (2, {f"{node.op_type}.bias"})):
            if names & set(operators) and len(node.input) > position and node.input[position] in initialisers:
                yield node, initialisers[node.input[position]]


@pytest.mark.parametrize("name", NETWORKS)
def test_the_untouched_file_passes(name: str, made: Callable[[str], Made], tmp_path: Path) -> None:
    assert made(name).passes(onnx.load(made(name).path), tmp_path)


def changed_layers(model: onnx.ModelProto, *operators: str) -> Iterator[tuple[onnx.NodeProto, onnx.TensorProto]]:
    """At most a dozen of the layers, spread over the whole depth; what is done to one is undone before the next."""
    found = list(tensors(model, *operators))
    for index in sorted({round(i) for i in np.linspace(0, len(found) - 1, 12)}):
        node, tensor = found[index]
        before = onnx.NodeProto.FromString(node.SerializeToString()), numpy_helper.to_array(tensor).copy()
        yield node, tensor
        node.CopyFrom(before[0])
        tensor.CopyFrom(numpy_helper.from_array(before[1], tensor.name))


@pytest.mark.parametrize("name", [name for name in NETWORKS if name not in LARGE])
def test_one_changed_weight_is_caught_in_every_layer(name: str, made: Callable[[str], Made], tmp_path: Path) -> None:
    """A weight changes its sign. One that only a silent channel reads may pass, but never all five of a layer."""
    one, model = made(name), onnx.load(made(name).path)
    caught: dict[str, list[bool]] = {}
    for node, tensor in changed_layers(model, "Conv", "Gemm", "MatMul"):
        values = numpy_helper.to_array(tensor)
        middle = (..., values.shape[2] // 2, values.shape[3] // 2) if values.ndim == 4 else ...
        central = np.abs(values[middle])  # on small maps, the others may meet nothing but padding
        by_size = np.argsort(central, axis=None)
        for place in by_size[[central.size // 2, 3 * central.size // 4, -3, -2, -1]]:
            flipped = values.copy()
            flipped[middle].flat[place] *= -1
            tensor.CopyFrom(numpy_helper.from_array(flipped, tensor.name))
            caught.setdefault(node.name, []).append(not one.passes(model, tmp_path))
            if caught[node.name][-1]:
                break
    assert len(caught) >= 8
    assert [layer for layer, found in caught.items() if not any(found)] == []


@pytest.mark.parametrize("name", [name for name in NETWORKS if name not in LARGE])
def test_a_dropped_bias_is_caught_in_every_layer(name: str, made: Callable[[str], Made], tmp_path: Path) -> None:
    one, model = made(name), onnx.load(made(name).path)
    missed = []
    for node, _ in changed_layers(model, "Conv.bias", "Gemm.bias"):
        del node.input[2]
        if one.passes(model, tmp_path):
            missed.append(node.name)
    assert missed == []


def test_a_wrong_padding_is_caught_in_every_convolution(made: Callable[[str], Made], tmp_path: Path) -> None:
    """The other side gets the odd row: what a converter does that pads as PyTorch does where TensorFlow does not."""
    one = made("tests.export.nets:varied")
    changed, missed = 0, []
    for index in range(len(onnx.load(one.path).graph.node)):
        model = onnx.load(one.path)
        node = model.graph.node[index]
        pads = next((a for a in node.attribute if a.name == "pads"), None)
        if node.op_type != "Conv" or pads is None or not any(pads.ints):
            continue
        changed += 1
        top, left, bottom, right = pads.ints
        shifted = [bottom, right, top, left] if [top, left] != [bottom, right] else [top - 1, left, bottom + 1, right]
        del pads.ints[:]
        pads.ints.extend(shifted)
        if one.passes(model, tmp_path):
            missed.append(node.name)
    assert changed >= 4
    assert not missed


@pytest.mark.parametrize("name", NETWORKS)
def test_swapped_channels_are_caught(name: str, made: Callable[[str], Made], tmp_path: Path) -> None:
    """Blue for red in the first convolution; two classes swapped in the last product."""
    one = made(name)
    model = onnx.load(one.path)
    _, first = next(tensors(model, "Conv"))
    values = numpy_helper.to_array(first)
    assert values.shape[1] == 3
    first.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(values[:, ::-1]), first.name))
    assert not one.passes(model, tmp_path)
    model = onnx.load(one.path)
    _, last = list(tensors(model, "Conv", "Gemm", "MatMul"))[-1]
    values = numpy_helper.to_array(last).copy()
    axis = values.shape.index(one.expected.shape[-1])
    values = np.roll(values, 1, axis)
    last.CopyFrom(numpy_helper.from_array(values, last.name))
    assert not one.passes(model, tmp_path)


def test_the_first_differing_layer_is_named(made: Callable[[str], Made], tmp_path: Path) -> None:
    from bench import models
    from bench.export import exporter as worker
    from bench.export import fidelity, weights

    one = made("tests.export.nets:varied")
    network = models.build("tests.export.nets:varied")
    weights.randomise(network, one.images)
    layers = worker.layer_outputs(network, one.images[:1])
    assert fidelity.first_difference(one.path, one.images[:1], layers) is None
    for name in ("stem", "depthwise", "project", "grouped", "separable", "predictions"):
        model = onnx.load(one.path)
        node, tensor = next((n, t) for n, t in tensors(model, "Conv", "Gemm", "MatMul") if name in n.name)
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(1.5), tensor.name))
        onnx.save(model, tmp_path / "changed.onnx")
        found = fidelity.first_difference(tmp_path / "changed.onnx", one.images[:1], layers)
        assert found is not None
        assert name in found, node.name


def test_no_number_and_a_wrong_shape_fail(made: Callable[[str], Made]) -> None:
    from bench.export import fidelity

    one = made("tests.export.nets:varied")
    nowhere = np.full_like(one.expected, np.nan)
    assert not fidelity.check(one.path, one.images, nowhere).passed
    assert not fidelity.check(one.path, one.images, one.expected[:, :-1]).passed


@pytest.mark.parametrize("name", NETWORKS)
def test_ends_are_named_and_the_batch_is_free(name: str, made: Callable[[str], Made]) -> None:
    one = made(name)
    session = onnxruntime.InferenceSession(one.path, providers=["CPUExecutionProvider"])
    (image,), (output,) = session.get_inputs(), session.get_outputs()
    assert (image.name, output.name) == ("image", "probabilities")
    assert image.shape == ["batch", *one.images.shape[1:]]
    assert output.shape == ["batch", one.expected.shape[-1]]
    together = session.run(None, {"image": one.images[:3]})[0]
    apart = [session.run(None, {"image": one.images[i : i + 1]})[0] for i in range(3)]
    np.testing.assert_allclose(together, np.concatenate(apart), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("name", NETWORKS)
def test_random_weights_leave_no_denormals_and_an_opinion(name: str, made: Callable[[str], Made]) -> None:
    """Denormal numbers would be timed instead of the network, and equal outputs would make any check pass."""
    one = made(name)
    logits = np.log(one.expected)
    assert np.isfinite(logits).all()
    assert 0.5 < logits.std() < 20
    assert np.ptp(logits, axis=0).max() > 0.05 * logits.std()  # the images are told apart
    model = onnx.load(one.path)
    nodes = [node for node in model.graph.node if node.op_type in ("Conv", "Gemm", "MatMul")]
    from bench.export import fidelity

    results = fidelity.run(one.path, one.images[:1], extra_outputs=[node.output[0] for node in nodes])
    for value in results.values():
        small = (value != 0) & (np.abs(value) < np.finfo(np.float32).tiny)
        assert small.mean() < 1e-3


def test_cases_share_an_export_unless_the_file_differs() -> None:
    case = suites.case_of_model("MobileNet", alpha=0.5, input_size=96)
    import dataclasses

    same = dataclasses.replace(case, threads=1, batch_size=8, name="other")
    assert export.request(case) == export.request(same)
    assert export.request(case) == export.request(case.planned(device="cuda", provider="CUDA", threads=2))
    assert export.request(case).key == export.request(same).key
    keys = {export.request(case).key}
    for change in (
        {"model": "MobileNetV2"},
        {"arguments": {"alpha": 0.25}},
        {"input_shape": (128, 128, 3)},
        {"head": "none"},
        {"head": "notes"},
        {"classes": 10},
        {"weights": "imagenet"},
    ):
        keys.add(export.request(dataclasses.replace(case, **change)).key)
    assert len(keys) == 8
