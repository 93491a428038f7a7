"""What `bench cost` and `bench list` are asked for is what they count and show, one option at a time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench import cost
from bench.cost.layers import LayerCost, total
from bench.records import Case
from tests.cli.test_cli import call
from tests.timing.test_timing import write_model

LAYERS = [
    LayerCost(name="first", kind="standard", operator="Conv", mult_adds=100, params=30, output_shape=(5, 2)),
    LayerCost(name="second", kind="dense", operator="Gemm", mult_adds=300, params=20, output_shape=(4,)),
    LayerCost(name="third", kind="other", operator="Foo", mult_adds=None, params=40, output_shape=(100,)),
]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Case]:
    """The cases that are counted."""
    cases: list[Case] = []
    monkeypatch.setattr(cost, "of_case", lambda case: cases.append(case) or (total(LAYERS), LAYERS))  # type: ignore[func-returns-value]
    monkeypatch.setattr(
        cost, "of_cases",
        lambda given: cases.extend(given) or {case.name: total(LAYERS[: 1 + i % 2]) for i, case in enumerate(given)},  # type: ignore[func-returns-value]
    )  # fmt: skip
    monkeypatch.chdir(tmp_path)
    return cases


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    code, out, err = call(capsys, *arguments)
    assert code == 0, err
    return out


def test_a_model_is_counted_at_its_width_and_size(asked: list[Case], capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys, "cost", "MobileNet", "--alpha", "0.5", "--input-size", "128")
    (case,) = asked
    assert (case.arguments, case.input_shape) == ({"alpha": 0.5}, (128, 128, 3))
    assert ": ≥ 400 mult-adds (≥ 800 Ops), 90 parameters\n" in out
    assert "first" not in out


def test_a_file_is_counted_as_it_is_fed(asked: list[Case], capsys: pytest.CaptureFixture[str]) -> None:
    write_model(Path("open.onnx"), ("n", "length"))
    for command in ("cost", "list"):
        printed(capsys, command, "open.onnx", "--input-shape", "x=3x7", "--json")
        assert asked.pop().input_shapes == {"x": (3, 7)}
        printed(capsys, command, "open.onnx", "--dimension", "length=9", "--json")
        assert asked.pop().dimensions == {"length": 9}


def test_layers_are_shown_sorted_and_cut(asked: list[Case], capsys: pytest.CaptureFixture[str]) -> None:
    def names(*options: str) -> list[str]:
        shown = json.loads(printed(capsys, "cost", "MobileNet", "--json", *options))
        return [layer["name"] for layer in shown.get("layers", [])]

    assert names() == []
    assert names("--per-layer") == ["first", "second", "third"]
    assert names("--sort", "mult-adds") == ["second", "first", "third"]
    assert names("--sort", "params") == ["third", "first", "second"]
    assert names("--sort", "activation") == ["third", "first", "second"]
    assert names("--sort", "activation", "--top", "1") == ["third"]
    assert names("--top", "2") == ["first", "second"]
    text = printed(capsys, "cost", "MobileNet", "--per-layer")
    rows = [line.split() for line in text.splitlines()]
    assert any(row[:7] == ["first", "standard", "5x2", "100", "25.0", "%", "30"] for row in rows)
    assert any(row[:5] == ["third", "other", "100", "not", "counted"] for row in rows)


def test_cases_are_listed_sorted_and_cut(asked: list[Case], capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.toml").write_text(
        '[[case]]\nmodel = "MobileNet"\nname = "a"\n[[case]]\nmodel = "VGG16"\nname = "b"\n'
        '[[case]]\nmodel = "VGG19"\nname = "c"\n'
    )

    def names(*options: str) -> list[str]:
        return [row["case"]["name"] for row in json.loads(printed(capsys, "list", "mine.toml", "--json", *options))]

    assert names() == ["a", "b", "c"]
    assert names("--sort", "params") == names("--sort", "mult-adds") == ["b", "a", "c"]
    assert names("--top", "2") == ["a", "b"]
    text = printed(capsys, "list", "mine.toml")
    assert text.index("a ") < text.index("b ") < text.index("c ")
    families = json.loads(printed(capsys, "list", "--families", "--json"))
    assert families["MobileNet"]["family"] == "MobileNet"
    assert "strengths" in printed(capsys, "list", "--families")


LAYER = ["--input", "8x6x4"]


@pytest.mark.parametrize(
    ("kind", "needed", "options"),
    [
        ("conv", ["--kernel", "3", "--filters", "10"],
         {"kernel": 5, "filters": 12, "stride": 2, "padding": "valid", "alpha": 0.5, "rho": 0.5, "bias": True}),
        ("depthwise", ["--kernel", "3"],
         {"kernel": 5, "stride": 2, "padding": "valid", "alpha": 0.5, "rho": 0.5, "bias": True}),
        ("pointwise", ["--filters", "10"], {"filters": 12, "stride": 2, "alpha": 0.5, "rho": 0.5, "bias": True}),
        ("separable", ["--kernel", "3", "--filters", "10"],
         {"kernel": 5, "filters": 12, "stride": 2, "padding": "valid", "alpha": 0.5, "rho": 0.5}),
        ("dense", ["--filters", "10"], {"filters": 12, "bias": True}),
    ],
)  # fmt: skip
def test_every_option_of_a_layer_reaches_its_formula(
    capsys: pytest.CaptureFixture[str], kind: str, needed: list[str], options: dict[str, Any]
) -> None:
    plain = json.loads(printed(capsys, "cost", kind, *LAYER, *needed, "--json"))
    for name, value in options.items():
        given = [f"--{name}"] if value is True else [f"--{name}", str(value)]
        changed = json.loads(printed(capsys, "cost", kind, *LAYER, *needed, *given, "--json"))
        assert changed["layer"] == plain["layer"] | {name: value}
        assert changed["cost"] != plain["cost"], name
    assert "output:" in printed(capsys, "cost", kind, *LAYER, *needed)
