"""What `bench run` and its like are asked for reaches the suite, the fleet or the phases: each option by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench import pipeline
from bench.cli import fleet, main, measuring
from bench.errors import Failed
from bench.records import Case
from tests.timing.test_timing import write_model


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """What a run is given, which is not begun."""
    given: dict[str, Any] = {}

    def stop(suite: Any, **more: Any) -> None:
        given.update(more, suite=suite)
        raise Failed("as far as that")

    def fleetwise(how: Any, suite: Any, options: Any) -> None:
        given.update(how=how, suite=suite, options=options)

    monkeypatch.setattr(pipeline, "run", stop)
    monkeypatch.setattr(measuring, "measure_fleet", fleetwise)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "few").mkdir()
    (tmp_path / "mine.toml").write_text(
        '[[case]]\nmodel = "MobileNet"\n[[case]]\nmodel = "MobileNet"\nname = "small"\nprecision = "int8"\n'
    )
    return given


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(["run", *arguments])
    return int(stopped.value.code or 0)


def cases(asked: dict[str, Any]) -> list[Case]:
    return list(asked["suite"].cases)


def test_runtimes_of_the_cases(asked: dict[str, Any]) -> None:
    assert run("mine.toml", "--model", "MobileNet") == 5
    assert {case.runtime for case in cases(asked)} == {"onnxruntime"}
    assert run("mine.toml", "--model", "MobileNet", "--runtime", "openvino", "--runtime", "onnxruntime") == 5
    assert {case.runtime for case in cases(asked)} == {"onnxruntime", "openvino"}


def test_shapes_and_sizes_of_open_inputs(asked: dict[str, Any]) -> None:
    write_model(Path("open.onnx"), ("n", "length"))
    assert run("open.onnx", "--input-shape", "x=3x7") == 5
    assert cases(asked)[0].input_shapes == {"x": (3, 7)}
    assert run("open.onnx", "--dimension", "length=9") == 5
    assert cases(asked)[0].dimensions == {"length": 9}


def test_images_to_calibrate_with(asked: dict[str, Any]) -> None:
    assert run("mine.toml") == 5
    assert cases(asked)[0].calibrate is None
    before = cases(asked)[1].calibrate
    assert run("mine.toml", "--calibrate", "few") == 5
    whole, reduced = cases(asked)
    assert whole.calibrate is None
    assert reduced.calibrate not in (None, before)
    assert "few" in str(reduced.calibrate)


def test_images_and_weights_of_ones_own(asked: dict[str, Any]) -> None:
    assert run("mine.toml", "--model", "MobileNet") == 5
    plain = cases(asked)[0]
    assert run("mine.toml", "--model", "MobileNet", "--images", "few") == 5
    assert cases(asked)[0].train != plain.train
    assert "few" in str(cases(asked)[0].train)
    assert run("mine.toml", "--model", "MobileNet", "--weights", "imagenet") == 5
    assert (plain.weights, cases(asked)[0].weights) == ("none", "imagenet")


def test_a_fleet_is_asked_for_with_everything(asked: dict[str, Any]) -> None:
    address = "tls://host:8786"
    assert run("mine.toml", "--scheduler", address) == 0
    assert asked["how"] == fleet.Fleetwise(address, None, False, {}, None, Path("results"), False)
    options = ["--tls", "keys", "--insecure", "--price", "small", "0.5", "--price", "large", "2", "--json"]
    assert run("mine.toml", "--scheduler", address, *options, "--output", "there", "--threads", "3") == 0
    assert asked["how"] == fleet.Fleetwise(
        address, Path("keys"), True, {"small": 0.5, "large": 2.0}, None, Path("there"), True
    )
    assert asked["options"].threads == 3
    assert len(cases(asked)) == 2
    assert run("--scheduler", address, "--resume", "one") == 0
    assert (asked["how"].resume, asked["suite"]) == ("one", None)
