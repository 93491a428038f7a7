"""Every command and snippet of the guide and the README is run, each page in a folder of its own.

A page's console blocks give commands behind "$ ", its toml blocks suites, its python blocks programs. Measuring is made
short, and a suite of many networks is cut down to the cheapest one; everything else is what a user would see.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from bench import guide, pipeline, suites
from bench.cli import main
from bench.report.site import write_site  # noqa: F401 - the site is written by `bench report -o` below
from tests.timing.test_timing import write_model

ROOT = Path(__file__).resolve().parents[2]
MAY_END_WITH = {"compare": {0, 1, 3}, "ab": {0, 1, 3}, "doctor": {0, 5}, "pick": {0, 6}}
"""Exit codes that a quiet machine would not give, by command; every other command ends with 0."""


def blocks(text: str) -> Iterator[tuple[str, str]]:
    """The fenced blocks of a page, each with its language."""
    for token in MarkdownIt("commonmark").parse(text):
        if token.type == "fence":
            yield token.info.strip(), token.content


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder: two models, images, detections; short visits; suites of one cheap network."""
    monkeypatch.chdir(tmp_path)
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
    (tmp_path / "door.toml").write_text('models = ["ours.onnx", "theirs.onnx"]\n')
    short(monkeypatch)
    return tmp_path


def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Visits of a moment, and of a long suite its cheapest network alone."""
    defaults = pipeline.Options.__init__.__kwdefaults__ or {}
    assert {"min_time_s", "warmup_s", "spacing_s"} <= set(pipeline.Options.__dataclass_fields__), defaults
    options = pipeline.Options

    def quick(**given: object) -> pipeline.Options:
        return options(**{"min_time_s": 0.01, "min_count": 3, "warmup_s": 0.02, "spacing_s": 0.0} | given)  # type: ignore[arg-type]

    monkeypatch.setattr(pipeline, "Options", quick)
    load = suites.load_suite

    def cheapest(name: object) -> suites.Suite:
        from dataclasses import replace

        suite = load(name)  # type: ignore[arg-type]
        return replace(suite, cases=suite.cases[:1]) if len(suite.cases) > 3 else suite

    monkeypatch.setattr(suites, "load_suite", cheapest)


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
    named = set(re.findall(r"`bench guide ([\w-]+)`", everything))
    assert named
    assert named <= set(guide.TOPICS)
