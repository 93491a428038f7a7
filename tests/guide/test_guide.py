"""Every command and snippet of the guide and the README is run, each page in a folder of its own.

A page's console blocks give commands behind "$ ", its toml blocks suites, its python blocks programs. Measuring is made
short, and a suite of many networks is cut down to the cheapest one; everything else is what a user would see.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

from bench import guide, pipeline, suites
from bench.capacity import estimate, searching, station
from bench.cli import main
from bench.trust import selftest
from tests import runs
from tests.accuracy.sets import classifier, photos
from tests.timing.test_timing import write_model

ROOT = Path(__file__).resolve().parents[2]
BUILDER = """import keras


def small_net(input_shape, classes):
    image = keras.Input(input_shape)
    features = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(8, 3, activation="relu")(image))
    return keras.Model(image, keras.layers.Dense(classes, activation="softmax")(features))
"""
MAY_END_WITH = {
    "compare": {0, 1, 3},
    "ab": {0, 1, 3},
    "doctor": {0, 5},
    "pick": {0, 6},
    "load": {0, 3, 6},
    "ship": {0, 6},
}
"""Exit codes that a quiet machine would not give, by command; every other command ends with 0."""


def blocks(text: str) -> Iterator[tuple[str, str]]:
    """The fenced blocks of a page, each with its language."""
    for token in MarkdownIt("commonmark").parse(text):
        if token.type == "fence":
            yield token.info.strip(), token.content


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Exported files, kept for all pages; `bench cache clear` is one of the commands."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def place(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder: two models, images, detections; short visits; suites of one cheap network."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BACKBENCH_CACHE", str(cache))
    write_model(tmp_path / "ours.onnx")
    write_model(tmp_path / "theirs.onnx")
    box = {"image_id": 1, "category_id": 1, "bbox": [1, 1, 20, 20]}
    truth = {
        "images": [{"id": 1, "width": 64, "height": 64}],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [box | {"id": 1, "area": 400, "iscrowd": 0}],
    }
    (tmp_path / "gt.json").write_text(json.dumps(truth))
    (tmp_path / "dt.json").write_text(json.dumps([box | {"score": 0.9}]))
    (tmp_path / "door.toml").write_text('[[case]]\nmodel = "ours.onnx"\n[[case]]\nmodel = "theirs.onnx"\n')
    write_model(tmp_path / "open.onnx", (1, 3, None, None))
    (tmp_path / "nets.py").write_text(BUILDER)
    classifier(tmp_path / "classifier.onnx", 2)
    photos(tmp_path / "photos", ("cat", "dog"), each=6)
    runs.stored(runs.of_suite("mobilenet"), tmp_path / "results")
    short(monkeypatch)
    return tmp_path


def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Visits of a moment, and of a long suite one cheap network alone."""
    options, load, attempts = pipeline.Options, suites.load_suite, selftest.attempts

    def quick(**given: Any) -> pipeline.Options:
        return options(**{"min_time_s": 0.01, "min_count": 3, "warmup_s": 0.02, "spacing_s": 0.0, "rounds": 2} | given)

    def cheap(name: Any) -> suites.Suite:
        suite = load(name)
        cost = {
            case.name: (not case.model.startswith("MobileNet"), case.arguments.get("alpha", 1)) for case in suite.cases
        }
        cases = sorted(suite.cases, key=lambda case: cost[case.name])
        return replace(suite, cases=tuple(cases[:1])) if len(cases) > 3 else suite

    monkeypatch.setattr(pipeline, "Options", quick)
    monkeypatch.setattr(searching, "_STEP_S", (0.2, 0.3))
    monkeypatch.setattr(searching, "_LOOK_S", 0.05)
    monkeypatch.setattr(searching, "_CURVE", searching._CURVE[-1:])
    monkeypatch.setattr(searching.setups, "candidates", lambda *asked: [(1, 1)])
    monkeypatch.setattr(searching.setups, "CPU_BATCHES", (1,))
    monkeypatch.setattr(estimate, "_STREAMS", 8)
    monkeypatch.setattr(station, "WARMUP_S", 0.05)
    monkeypatch.setattr(searching, "_MOST_REQUESTS", 500)
    monkeypatch.setattr(searching, "SHARES", searching.SHARES[:3])
    monkeypatch.setattr(selftest, "ROUNDS", 2)
    monkeypatch.setattr(selftest, "attempts", lambda *asked, **how: attempts(*asked, **how | {"budget_s": 2.0}))
    monkeypatch.setattr(selftest, "SLOWDOWNS", selftest.SLOWDOWNS[-1:])
    monkeypatch.setattr(suites, "load_suite", cheap)


def run_command(line: str, capfd: pytest.CaptureFixture[str]) -> None:
    words = shlex.split(line)
    assert words[0] == "bench", line
    with pytest.raises(SystemExit) as end:
        main(words[1:])
    printed = capfd.readouterr()
    assert end.value.code in MAY_END_WITH.get(words[1], {0}), f"{line}\n{printed.out}\n{printed.err}"
    assert "Traceback" not in printed.err


@pytest.mark.parametrize("topic", guide.TOPICS)
def test_every_page_can_be_read(topic: str, capfd: pytest.CaptureFixture[str]) -> None:
    run_command(f"bench guide {topic}", capfd)


def test_the_topics(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["guide", "glosary"])
    assert end.value.code == 2
    assert 'did you mean "glossary"?' in capfd.readouterr().err
    pages = {path.stem for path in (ROOT / "bench" / "guide").glob("*.md")}
    assert pages == set(guide.TOPICS)


def test_pages_name_only_topics_that_are() -> None:
    everything = "\n".join(guide.page(topic) for topic in guide.TOPICS) + (ROOT / "README.md").read_text()
    named = set(re.findall(r"`bench guide ([a-z-]+)`", everything))
    assert named
    assert named <= set(guide.TOPICS)


def run_page(text: str, place: Path, capfd: pytest.CaptureFixture[str]) -> int:
    """Run a page's blocks in order; how many commands, suites and programs there were."""
    names: dict[str, Any] = {}
    done = 0
    for number, (language, content) in enumerate(blocks(text)):
        if language == "toml":
            file = place / ("door.toml" if content.startswith("title") else f"{number}.toml")
            file.write_text(content)
            assert suites.load_suite(file).cases
            done += 1
        elif language == "python":
            exec(content, names)
            done += 1
        elif language == "console":
            for line in content.splitlines():
                if line.startswith("$ "):
                    run_command(line.removeprefix("$ "), capfd)
                    done += 1
        else:
            assert language == "sh", f"a block of {language} is run by nobody"
    return done


WITHOUT_COMMANDS = {"glossary"}


@pytest.mark.slow
@pytest.mark.parametrize("topic", guide.TOPICS)
def test_every_command_of_a_page_runs(topic: str, place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert (run_page(guide.page(topic), place, capfd) > 0) == (topic not in WITHOUT_COMMANDS)


@pytest.mark.slow
def test_every_command_of_the_readme_runs(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_page((ROOT / "README.md").read_text(), place, capfd) > 10
