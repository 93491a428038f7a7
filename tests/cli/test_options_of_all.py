"""Every option of these commands is what the called functions are given, and changes nothing else there.

The functions are made up: they keep what they are given, and nothing is built, measured or sent.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import click
import pytest

from bench.cli import cli, main
from bench.errors import Failed
from tests.timing.test_timing import write_model


def resolve(name: str, runtime: str) -> tuple[str, str]:
    return ("cuda" if name == "cuda" else "cpu"), f"{name} of {runtime}"


def part(_: object) -> None:
    raise Failed("a part of it failed")


LOADED = MagicMock(run=MagicMock(records=[MagicMock(load=MagicMock(rate_per_s=1.0))]))

# Of each command, the functions that it calls, as module:name, and what they answer.
CALLED: dict[str, dict[str, Any]] = {
    "load": {
        "pipeline:run": LOADED, "cli.loading:report_of": None, "analysis.capacity:in_words": [],
    },
    "tune": {
        "runtimes.device:resolve": resolve, "trust.tuning:files_of": ({}, {}), "trust.tuning:settings_of": [],
        "trust.tuning:tune": MagicMock(), "trust.tuning:program": "print()", "trust.tuning:program_ratio": 1.0,
        "cli.tuning:_show": None,
    },
    "ship": {
        "store:latest": "latest", "store:load": MagicMock(), "shipping:chosen": MagicMock(),
        "shipping:free": Path("free"),
        "shipping:ship": MagicMock(), "cli.shipping:show_trust": None,
    },
    "export": {"export:export": [MagicMock()], "suites:calibrated": lambda cases, *_: cases, "shutil:copyfile": None},
    "accuracy": {
        "runtimes.device:resolve": resolve, "runtimes:require": None, "accuracy:evaluate": {},
        "cli.judging:judges": MagicMock(), "cli.judging:_exported": Path("exported.onnx"),
        "store:write_atomically": None, "cli.judging:_show": None,
    },
    "doctor": {"trust.doctor:examine": [], "trust.finding:conclude": MagicMock(quiet=False, text="not quiet")},
    "selftest": {"trust.selftest:attempts": [], "trust.selftest:summary": []},
    "baseline save": {
        "store:latest": "latest", "store:load": MagicMock(), "store:check_whole": part,
        "trust.baseline:save": ("there", []),
    },
    "baseline list": {"store:baselines": []},
    "cache list": {"export.cache:entries": []},
    "detect evaluate": {
        "detection:evaluate": MagicMock(), "report.detection:write_page": None, "cli.detecting:_show": None,
    },
    "fleet worker": {"fleet.worker:serve": None, "cli.fleet:warn": None},
    "fleet scheduler": {"fleet.scheduler:serve": None, "cli.fleet:warn": None},
    "fleet certificates": {"fleet.certificates:write": Path("made")},
    "fleet check": {"fleet.cluster:connected": MagicMock(), "fleet.checking:findings": []},
    "fleet report": {"fleets:latest": MagicMock(path=Path("latest")), "report.fleet:write_fleet": "page"},
}  # fmt: skip


def flat(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """A value's parts that are no mappings, records or sequences of them, each by its path."""
    if is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in fields(value)}
    elif isinstance(value, list | tuple) and any(map(is_dataclass, value)):
        value = dict(enumerate(value))
    if isinstance(value, dict) and value:
        for key, one in value.items():
            yield from flat(one, f"{name}.{key}")
    elif not callable(value) or isinstance(value, type):
        yield name, value


def asked(command: str, words: list[str], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the functions of a command are given when it is typed with these words, and its exit code."""
    given: dict[str, Any] = {}

    def watch(place: str, answer: Any) -> None:
        module, name = place.split(":")
        home = importlib.import_module(module if module == "shutil" else f"bench.{module}")
        signature = inspect.signature(getattr(home, name))

        def called(*arguments: Any, **named: Any) -> Any:
            bound = signature.bind(*arguments, **named)
            given.update(flat(bound.arguments, name))
            return answer(*arguments, **named) if inspect.isfunction(answer) else answer

        patch.setattr(home, name, called)

    with monkeypatch.context() as patch, pytest.raises(SystemExit) as stopped:  # noqa: PT012
        for place, answer in CALLED[command].items():
            watch(place, answer)
        main([*command.split(), *words])
    files = {file.name for file in Path().iterdir()}
    return given | {
        "exit code": stopped.value.code,
        "program": "out.py" in files,
        "kept": "out.predictions.jsonl" in files,
    }


FILE = ["open.onnx"]
NET = ["MobileNet"]
FOLDER = ["--images", "few"]
P99 = ["--p99", "50ms"]
FLEET = ["--scheduler", "tls://h"]
CASE, MADE = "run.suite.cases.0", "evaluate.settings"
# A command, the words before the option, the option with its value, and what must then be given.
TABLE: list[tuple[str, list[str], str, dict[str, Any]]] = [
    ("load", NET + P99, "--p99 20ms", {f"{CASE}.load.p99_ms": 20.0}),
    ("load", [*NET, "--fps", "9"], "--streams 3", {f"{CASE}.load.streams": 3}),
    ("load", [*NET, "--fps", "9"], "--fps 15", {f"{CASE}.load.fps": 15.0}),
    ("load", NET + P99, "--minutes 2", {f"{CASE}.load.minutes": 2.0}),
    ("load", NET + P99, "--instances 2", {f"{CASE}.load.instances": 2}),
    ("load", NET + P99, "--threads 3", {f"{CASE}.load.threads": 3}),
    ("load", NET + P99, "--batch 4", {f"{CASE}.load.batch": 4}),
    ("load", NET + P99, "--longest-wait 5ms", {f"{CASE}.load.longest_wait_ms": 5.0}),
    ("load", NET + P99, "--instances-are threads", {f"{CASE}.load.processes": False}),
    ("load", NET + P99, "--price-per-hour 2", {"in_words.price_per_hour": 2.0}),
    ("load", NET + P99, "--budget 9", {f"{CASE}.load.budget_s": 9.0}),
    ("load", NET + P99, "--device cuda", {"run.options.device": "cuda"}),
    ("load", NET + P99, "--runtime openvino", {f"{CASE}.runtime": "openvino"}),
    ("load", NET + P99, "--precision int8", {f"{CASE}.precision": "int8"}),
    ("load", NET + P99, "--alpha 0.5", {f"{CASE}.arguments.alpha": 0.5}),
    ("load", NET + P99, "--input-size 128", {f"{CASE}.input_shape": (128, 128, 3)}),
    ("load", NET + P99, "--seed 5", {f"{CASE}.load.seed": 5}),
    ("load", NET + P99, "--output there", {"run.results": Path("there")}),
    ("load", FILE + P99, "--dimension n=5", {f"{CASE}.dimensions.n": 5}),
    ("load", FILE + P99, "--input-shape x=3x7", {f"{CASE}.input_shapes.x": (3, 7)}),
    ("tune", NET, "--goal throughput", {"settings_of.throughput": True, "_show.goal": "throughput"}),
    ("tune", NET, "--runtime openvino", {"resolve.runtime": "openvino", "files_of.names": ("openvino",)}),
    ("tune", NET, "--precision fp16", {"files_of.precisions": ("fp16",)}),
    ("tune", NET, "--budget 9", {"tune.budget_s": 9.0}),
    ("tune", NET, "--margin 5%", {"tune.margin": 0.05}),
    ("tune", NET, "--alpha 0.5", {"files_of.case.arguments.alpha": 0.5}),
    ("tune", NET, "--input-size 128", {"files_of.case.input_shape": (128, 128, 3)}),
    ("tune", NET, "--weights imagenet", {"files_of.case.weights": "imagenet"}),
    ("tune", NET, "--device cuda", {"resolve.device": "cuda", "files_of.device": "cuda"}
     | {f"{name}.setup.device": "cuda" for name in ("tune", "program", "program_ratio")}),
    ("tune", FILE, "--dimension n=5",
     {f"{name}.setup.dimensions.n": 5 for name in ("tune", "program", "program_ratio")}),
    ("tune", FILE, "--input-shape x=3x7",
     {f"{name}.setup.input_shapes.x": (3, 7) for name in ("tune", "program", "program_ratio")}),
    ("tune", NET, "-o out.py", {"program": True}),
    ("ship", ["-o", "here"], "--model a", {"chosen.asked.model": "a", "ship.asked.model": "a"}),
    ("ship", ["-o", "here"], "--like b", {"chosen.asked.like": "b", "ship.asked.like": "b"}),
    ("ship", ["-o", "here"], "--device cuda", {"latest.device": "cuda", "chosen.asked.device": "cuda",
                                              "ship.asked.device": "cuda"}),
    ("ship", ["-o", "here"], "--batch-size 4", {"chosen.asked.batch_size": 4, "ship.asked.batch_size": 4}),
    ("ship", ["-o", "here"], "--images few", {f"{name}.asked.images": Path("few") for name in ("chosen", "ship")}),
    ("ship", ["-o", "here"], "--classes names.txt",
     {f"{name}.asked.classes": Path("names.txt") for name in ("chosen", "ship")}),
    ("ship", ["-o", "here"], "--preprocess tf", {"chosen.asked.preprocess": "tf", "ship.asked.preprocess": "tf"}),
    ("ship", ["-o", "here"], "-o out", {"ship.folder": Path("out")}),
    ("ship", ["-o", "here"], "--output there", {"latest.results": Path("there")}),
    ("export", [*NET, "-o", "a.onnx"], "-o b.onnx", {"copyfile.dst": Path("b.onnx")}),
    ("export", [*NET, "-o", "a.onnx"], "--alpha 0.5", {"export.requests.0.arguments": '{"alpha": 0.5}'}),
    ("export", [*NET, "-o", "a.onnx"], "--input-size 128", {"export.requests.0.input_shape": (128, 128, 3)}),
    ("export", [*NET, "-o", "a.onnx"], "--precision fp16", {"export.requests.0.precision": "fp16"}),
    ("export", [*NET, "-o", "a.onnx"], "--weights imagenet", {"export.requests.0.weights": "imagenet"}),
    ("export", [*NET, "-o", "a.onnx"], "--head notes", {"export.requests.0.head": "notes"}),
    ("export", [*NET, "-o", "a.onnx", "--calibrate", "."], "--calibrate few", {"calibrated.folder": "few"}),
    ("export", [*NET, "-o", "a.onnx", "--calibrate", "."], "--preprocess tf", {"calibrated.preprocess": "tf"}),
    ("accuracy", NET + FOLDER, "--images .", {f"{MADE}.images": Path()}),
    ("accuracy", NET + FOLDER, "--labels names.txt", {f"{MADE}.labels": Path("names.txt")}),
    ("accuracy", NET + FOLDER, "--classes names.txt", {f"{MADE}.classes": Path("names.txt")}),
    ("accuracy", NET + FOLDER, "--class-order text", {f"{MADE}.class_order": "text"}),
    ("accuracy", NET + FOLDER, "--output y", {f"{MADE}.output": "y"}),
    ("accuracy", NET + FOLDER, "--weights none", {"_exported.case.weights": "none"}),
    ("accuracy", NET + FOLDER, "--preprocess caffe", {f"{MADE}.preprocess": "caffe"}),
    ("accuracy", NET + FOLDER, "--crop 0.5", {f"{MADE}.crop": 0.5}),
    ("accuracy", NET + FOLDER, "--resize stretch", {f"{MADE}.resize": "stretch"}),
    ("accuracy", NET + FOLDER, "--interpolation bicubic", {f"{MADE}.interpolation": "bicubic"}),
    ("accuracy", NET + FOLDER, "--alpha 0.5", {"_exported.case.arguments.alpha": 0.5}),
    ("accuracy", NET + FOLDER, "--input-size 128",
     {"_exported.case.input_shape": (128, 128, 3), f"{MADE}.input_size": 128}),
    ("accuracy", NET + FOLDER, "--batch-size 4", {f"{MADE}.batch_size": 4}),
    ("accuracy", NET + FOLDER, "--device cuda", {"resolve.device": "cuda", f"{MADE}.provider": "cuda of onnxruntime"}),
    ("accuracy", NET + FOLDER, "--threads 3", {f"{MADE}.threads": 3}),
    ("accuracy", NET + FOLDER, "--runtime openvino",
     {"require.name": "openvino", "resolve.runtime": "openvino", "_exported.case.runtime": "openvino",
      f"{MADE}.runtime": "openvino", f"{MADE}.provider": "auto of openvino"}),
    ("accuracy", NET + FOLDER, "--stages", {"evaluate.stages": True}),
    ("accuracy", [*NET, *FOLDER, "-o", "out.json"], "--fresh", {"kept": False}),
    ("accuracy", NET + FOLDER, "-o out.json",
     {"evaluate.kept": Path("out.predictions.jsonl"), "write_atomically.path": Path("out.json")}),
    ("accuracy", NET + FOLDER + FLEET, "--scheduler tls://g", {"judges.where": "tls://g"}),
    ("accuracy", NET + FOLDER + FLEET, "--tls keys", {"judges.tls": Path("keys")}),
    ("accuracy", NET + FOLDER + FLEET, "--insecure", {"judges.insecure": True}),
    ("accuracy", FILE + FOLDER, "--dimension n=5", {f"{MADE}.dimensions.n": 5}),
    ("accuracy", FILE + FOLDER, "--input-shape x=3x7", {f"{MADE}.input_shapes.x": (3, 7)}),
    ("doctor", [], "--seconds 3", {"examine.seconds": 3.0}),
    ("doctor", [], "--require quiet", {"exit code": 5}),
    ("doctor", [], "--output there", {"examine.results": Path("there")}),
    ("selftest", [], "--minutes 2", {"attempts.minutes": 2.0}),
    ("selftest", [], "--model open.onnx", {"attempts.path": Path("open.onnx")}),
    ("selftest", [], "--budget 9", {"attempts.budget_s": 9.0}),
    ("selftest", [], "--margin 5%", {"attempts.margin": 0.05}),
    ("selftest", [], "--threads 3", {"attempts.setup.threads": 3}),
    ("baseline save", [], "--force", {"save.results": Path("results"), "exit code": 0}),
    ("baseline save", ["--force"], "--output there", {"latest.results": Path("there"), "save.results": Path("there")}),
    ("baseline list", [], "--output there", {"baselines.results": Path("there")}),
    ("detect evaluate", ["--gt", "a", "--dt", "b"], "--gt c", {"evaluate.gt": Path("c")}),
    ("detect evaluate", ["--gt", "a", "--dt", "b"], "--dt c", {"evaluate.dt": Path("c")}),
    ("detect evaluate", ["--gt", "a", "--dt", "b"], "--iou 0.75", {"evaluate.iou": 0.75}),
    ("detect evaluate", ["--gt", "a", "--dt", "b"], "--confidence 0.3", {"evaluate.confidence": 0.3}),
    ("detect evaluate", ["--gt", "a", "--dt", "b"], "-o p.html",
     {"write_page.out": Path("p.html"), "write_page.title": "b against a"}),
    ("fleet worker", ["tls://h"], "--name n", {"serve.name": "n"}),
    ("fleet worker", ["tls://h"], "--tls keys", {"serve.tls": Path("keys")}),
    ("fleet worker", ["tls://h"], "--insecure", {"warn.insecure": True, "serve.insecure": True}),
    ("fleet scheduler", [], "--host h", {"serve.host": "h"}),
    ("fleet scheduler", [], "--port 9", {"serve.port": 9}),
    ("fleet scheduler", [], "--scheduler-file f", {"serve.scheduler_file": Path("f")}),
    ("fleet scheduler", [], "--tls keys", {"serve.tls": Path("keys")}),
    ("fleet scheduler", [], "--insecure", {"warn.insecure": True, "serve.insecure": True}),
    ("fleet certificates", [], "-o out", {"write.place": Path("out")}),
    ("fleet check", ["tls://h"], "--tls keys", {"connected.tls": Path("keys")}),
    ("fleet check", ["tls://h"], "--insecure", {"connected.insecure": True}),
    ("fleet report", [], "-o out", {"write_fleet.out": Path("out")}),
    ("fleet report", [], "--output there", {"latest.results": Path("there")}),
]  # fmt: skip
FOLLOW = (".name", ".title", ".options.command", ".watch", ".settings.model", "evaluate.kept", "write_atomically.path",
          "attempts.path",
          "requests.0.calibration", "_exported.case.input_shape")  # fmt: skip
"""What follows from other arguments, or is another one each time."""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory with files of the names that the tables use."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("bench.machine.facts.cores_given", lambda: 7)
    write_model(Path("open.onnx"), ("n", "length"))
    Path("few").mkdir()
    Path("out.predictions.jsonl").touch()
    Path("names.txt").write_text("a\nb\n")


@pytest.mark.parametrize(("command", "before", "option", "expected"), TABLE, ids=lambda x: x if type(x) is str else "")
def test_an_option_changes_what_it_says(
    command: str, before: list[str], option: str, expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = asked(command, before, monkeypatch)
    given = asked(command, [*before, *option.split()], monkeypatch)
    changed = {name: value for name, value in given.items() if name not in plain or plain[name] != value}
    assert {name: changed.get(name) for name in expected} == expected
    assert [name for name in changed if name not in expected and not name.endswith(FOLLOW)] == [], "and nothing else"


def test_a_load_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    assert asked("load", NET, monkeypatch) == {"exit code": 2, "program": False, "kept": True}, "a goal is needed"
    assert asked("load", [*NET, "--offline"], monkeypatch)[f"{CASE}.load.offline"] is True


def test_keras_is_asked_about_the_same_case(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "evaluate.agree_with.model" not in asked("accuracy", NET + FOLDER, monkeypatch)
    assert asked("accuracy", [*NET, *FOLDER, "--agree-with-keras"], monkeypatch)["evaluate.agree_with.model"] == NET[0]


@pytest.mark.parametrize("command", [name for name in CALLED if name != "cache list"])
def test_every_option_is_in_the_table(command: str) -> None:
    found: Any = cli
    for word in command.split():
        found = found.commands[word]
    options = {
        name for one in found.params if isinstance(one, click.Option) for name in (*one.opts, *one.secondary_opts)
    }
    tried = {option.split()[0] for name, _, option, _ in TABLE if name == command}
    assert options - tried <= {"--json", "--offline", "--agree-with-keras", "--resume"}
