"""int8 on processors without VNNI, emulated: pairs of products that saturate at 16 bits, and the choice by flags."""

from __future__ import annotations

import itertools
import platform
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from bench import export, suites
from bench.export import fidelity, quantise
from bench.machine import facts

WIDTHS = (256, 64, 10)
AVX2, VNNI = "avx2 fma", "avx2 fma avx512f avx512_vnni"


def perceptron(path: Path) -> Path:
    """Two products of matrices with a ReLU between them, from x (batch, 256) to y (batch, 10)."""
    rng = np.random.default_rng(11)
    # Neighbours resemble each other, as in filters that were trained.
    drawn = [rng.normal(0, 0.1, (n // 2, m)).repeat(2, axis=0) for n, m in itertools.pairwise(WIDTHS)]
    weights = [(w - w.mean(axis=0)).astype(np.float32) for w in drawn]
    nodes = [
        helper.make_node("MatMul", ["x", "w0"], ["a"], "first"),
        helper.make_node("Relu", ["a"], ["b"], "relu"),
        helper.make_node("MatMul", ["b", "w1"], ["y"], "second"),
    ]
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", s]) for n, s in (("x", 256), ("y", 10))]
    constants = [numpy_helper.from_array(w, f"w{i}") for i, w in enumerate(weights)]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(onnx.shape_inference.infer_shapes(model), path)
    return path


def vpmaddubsw(u8: NDArray[np.int64], s8: NDArray[np.int64]) -> NDArray[np.int64]:
    """A product of matrices (n, k) x (k, m) on AVX2 without VNNI: sums of two neighbours saturate at 16 bits."""
    pairs = u8[:, 0::2, None] * s8[None, 0::2] + u8[:, 1::2, None] * s8[None, 1::2]
    return np.asarray(pairs.clip(-(2**15), 2**15 - 1).sum(axis=1))


def exact(u8: NDArray[np.int64], s8: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same on a processor with VNNI, which sums in 32 bits."""
    return u8 @ s8


def constants(path: Path) -> dict[str, NDArray[Any]]:
    return {t.name: numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}


def dynamic(path: Path, x: NDArray[np.float32], product: Any) -> NDArray[np.float64]:
    """What an int8-dynamic file of `perceptron` computes with this product of integers."""
    known = constants(path)
    for layer in ("w0", "w1"):
        low, high = min(float(x.min()), 0.0), max(float(x.max()), 0.0)
        scale = (high - low) / 255
        zero = round(-low / scale)
        u8 = np.clip(np.round(x / scale) + zero, 0, 255).astype(np.int64)
        s8 = known[f"{layer}_quantized"].astype(np.int64)
        whole = product(u8, s8) - zero * s8.sum(axis=0)
        x = whole * scale * known[f"{layer}_scale"]
        x = np.maximum(x, 0) if layer == "w0" else x
    return np.asarray(x, np.float64)


def static(path: Path, x: NDArray[np.float32], product: Any) -> NDArray[np.float64]:
    """What an int8 file of `perceptron` computes with this product of integers."""
    known = constants(path)
    for layer, source in (("w0", "x"), ("w1", "b")):
        name = source if f"{source}_scale" in known else "a"  # ranges of a ReLU are those of what it cuts off
        scale, zero = float(known[f"{name}_scale"]), int(known[f"{name}_zero_point"])
        u8 = np.clip(np.round(x / scale) + zero, 0, 255).astype(np.int64)
        s8 = known[f"{layer}_quantized"].astype(np.int64)
        x = (product(u8, s8) - zero * s8.sum(axis=0)) * scale * known[f"{layer}_scale"]
        x = np.maximum(x, 0) if layer == "w0" else x
    if "y_scale" not in known:
        return np.asarray(x, np.float64)
    scale, zero = float(known["y_scale"]), int(known["y_zero_point"])
    return np.asarray((np.clip(np.round(x / scale) + zero, 0, 255) - zero) * scale, np.float64)


def made_for(flags: str, precision: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, str]:
    """The file of a precision that is made on a processor with these flags, and its kind of integers."""
    monkeypatch.setattr(facts, "flags", lambda: set(flags.split()))
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    kind = export.request(suites.case_of_model("ConvNeXtTiny", precision=precision)).integers
    assert kind is not None
    source, target = perceptron(path / "fp32.onnx"), path / f"{precision}-{kind}.onnx"
    if precision == "int8":
        quantise.int8(source, target, inputs(200), kind)
    else:
        quantise.int8_dynamic(source, target, kind)
    return target, kind


def inputs(count: int, seed: int = 0) -> NDArray[np.float32]:
    """Pixels as preprocessing "tf" scales them, mostly bright: large and of one sign after quantisation."""
    return np.random.default_rng(seed).uniform(0.3, 1.0, (count, WIDTHS[0] // 2)).repeat(2, axis=1).astype(np.float32)


def judged(got: NDArray[np.float64], wanted: NDArray[np.float64]) -> tuple[float, float]:
    """The share of equal classes, and the largest error relative to the largest score."""
    return float(np.mean(got.argmax(1) == wanted.argmax(1))), float(np.abs(got - wanted).max() / np.abs(wanted).max())


@pytest.mark.parametrize(("precision", "emulated"), [("int8", static), ("int8-dynamic", dynamic)])
def test_weights_suit_the_processor(
    precision: str, emulated: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = inputs(200, seed=1)
    modern, full = made_for(VNNI, precision, tmp_path, monkeypatch)
    old, seven = made_for(AVX2, precision, tmp_path, monkeypatch)
    assert (full, seven) == ("u8s8", "u8s7")
    wanted = np.asarray(fidelity.run(tmp_path / "fp32.onnx", x), np.float64)

    agreement, error = judged(emulated(modern, x, vpmaddubsw), wanted)
    assert agreement < 0.7, "weights of 8 bits saturate where there is no VNNI"
    assert error > 0.3
    for path, product in ((modern, exact), (old, vpmaddubsw), (old, exact)):
        agreement, error = judged(emulated(path, x, product), wanted)
        assert agreement > 0.9
        assert error < 0.06
    assert (emulated(old, x, vpmaddubsw) == emulated(old, x, exact)).all(), "weights of 7 bits never saturate"

    here = suites.case_of_model("ConvNeXtTiny", precision=precision)
    own = export.integers(set(facts.instructions()), "x86_64")
    assert own == "u8s7", "the flags made up last"
    assert export.request(here).key != replace(export.request(here), integers="u8s8").key


def test_the_emulation_is_what_onnx_runtime_computes(tmp_path: Path) -> None:
    """On weights that cannot saturate anywhere, so that it holds on whatever processor the test runs."""
    source = perceptron(tmp_path / "fp32.onnx")
    x = inputs(50, seed=2)
    quantise.int8_dynamic(source, tmp_path / "d.onnx", "u8s7")
    quantise.int8(source, tmp_path / "s.onnx", inputs(200), "u8s7")
    for path, emulated in ((tmp_path / "d.onnx", dynamic), (tmp_path / "s.onnx", static)):
        # one by one: ONNX Runtime takes the range of a whole batch
        got = np.concatenate([fidelity.run(path, x[i : i + 1]) for i in range(len(x))])
        meant = np.concatenate([emulated(path, x[i : i + 1], exact) for i in range(len(x))])
        assert np.abs(got - meant).max() < 0.01 * np.abs(got).max()


@pytest.mark.parametrize(
    ("flags", "architecture", "static_kind", "dynamic_kind"),
    [
        ("avx2 avx_vnni", "x86_64", "u8s8", "u8s8"),
        ("avx2 avx512f avx512_vnni", "AMD64", "u8s8", "u8s8"),
        ("avx2 avx512f avx512bw", "x86_64", "u8s7", "u8s7"),
        ("avx2", "x86_64", "u8s7", "u8s7"),
        ("", "x86_64", "u8s7", "u8s7"),
        ("asimd asimddp i8mm", "aarch64", "s8s8", "u8s8"),
        ("asimd", "arm64", "s8s8", "u8s8"),
    ],
)
def test_the_choice_by_flags_and_architecture(
    flags: str, architecture: str, static_kind: str, dynamic_kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facts, "flags", lambda: set(flags.split()))
    monkeypatch.setattr(platform, "machine", lambda: architecture)
    for precision, kind in (("int8", static_kind), ("int8-dynamic", dynamic_kind), ("fp16", None), ("fp32", None)):
        assert export.request(suites.case_of_model("MobileNet", precision=precision)).integers == kind
