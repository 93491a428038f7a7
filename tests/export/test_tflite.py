"""A small Keras model to .tflite: what LiteRT puts out is what Keras puts out."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import export, runtimes, suites

pytest.importorskip("ai_edge_litert")


@pytest.mark.slow
@pytest.mark.parametrize(("precision", "within", "runs"), [("fp32", 1e-6, "f32"), ("int8", 0.02, "i8")])
def test_a_small_network_computes_the_same(precision: str, within: float, runs: str, tmp_path: Path) -> None:
    import keras
    import numpy as np

    from bench.export import tflite

    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential([
        keras.Input((16, 16, 3)), layers.Conv2D(8, 3), layers.BatchNormalization(), layers.ReLU(),
        layers.DepthwiseConv2D(3), layers.GlobalAveragePooling2D(), layers.Dense(10, activation="softmax"),
    ])  # fmt: skip
    x = np.random.default_rng(0).standard_normal((4, 16, 16, 3), dtype=np.float32)
    content = tflite._converted(model, x, precision, x, tmp_path)
    session = runtimes.get("litert").load(content, {"provider": "CPU", "threads": 1})
    name = session.inputs[0][0]
    got = np.concatenate([session.run({name: x[i : i + 1]})[0] for i in range(len(x))])
    np.testing.assert_allclose(got, np.asarray(model(x, training=False)), atol=within)
    assert session.ran()["precision"] == {runs: 3}


def test_the_runtime_decides_the_format_and_the_key() -> None:
    requests = [
        export.request(suites.case_of_model("MobileNet", runtime=name))
        for name in ("onnxruntime", "openvino", "litert")
    ]
    assert [request.format for request in requests] == ["onnx", "onnx", "tflite"]
    assert requests[0].key == requests[1].key != requests[2].key


@pytest.mark.slow
def test_integers_ranged_on_noise_are_warned_of(built: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKBENCH_CACHE", str(built))
    case = suites.case_of_model("tests.export.nets:plain", runtime="litert", precision="int8")
    (made,) = export.export([export.request(case)])
    assert isinstance(made, export.Exported), made
    assert any("random noise" in warning for warning in made.artifact.warnings)
    assert made.artifact.fidelity is not None
    assert made.artifact.fidelity.top1_agreement is None
