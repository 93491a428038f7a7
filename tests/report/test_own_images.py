"""Figures on people's own images: ranks there and here, confusions, and the photographs that all networks get wrong."""

from __future__ import annotations

import base64
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from bench import store, suites
from bench.accuracy import measuring
from bench.analysis import candidates
from bench.analysis.pairs import mcnemar, unpacked
from bench.export import artifact_of_file
from bench.records import Run
from bench.report import answers, contact, drawings, page, write_report
from bench.report.figures import own
from bench.report.figures.frame import FRAMES, NARROW, WIDE
from tests import runs
from tests.accuracy.sets import classifier, photos
from tests.report.judged import MODELS, run_on

WORDS = ["ash", "beech", "birch", "elm", "oak"]


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Path]:
    base = tmp_path_factory.mktemp("judged")
    return run_on(base / "photos", base / "results", WORDS)


def test_ranks_there_and_here_are_those_of_the_figures(judged: tuple[Run, Path]) -> None:
    run, _ = judged
    moves = own.moves(run)
    assert [move.rank_here for move in moves] == [1 + sum(m.here > move.here for m in moves) for move in moves]
    there = {move.record.case.model: move.there for move in moves}
    assert there["Xception"] == 79.0
    assert there["MobileNet"] == 70.4
    assert max(moves, key=lambda move: move.there).rank_there == 1
    plain = runs.of_suite()  # published accuracies alone
    assert own.moves(plain) == []


@pytest.mark.parametrize("frame", FRAMES)
def test_every_network_is_named_with_its_ranks(judged: tuple[Run, Path], frame: Any) -> None:
    moves = own.moves(judged[0])
    drawn = own.moves_figure(moves, frame)
    said = {note["text"] for note in drawn["layout"]["annotations"]}
    assert f"Xception ({moves_of(moves, 'Xception')})" in said
    assert sum(len(trace["x"]) for trace in drawn["data"]) == len(moves)


def moves_of(moves: list[own.Move], model: str) -> str:
    (move,) = [move for move in moves if move.record.case.model == model]
    return f"{move.rank_there} → {move.rank_here}"


def test_a_confusion_counts_every_image_once(judged: tuple[Run, Path]) -> None:
    run, folder = judged
    said = answers.of_run(run, folder)
    assert list(said) == [record.case.name for record in run.records]
    for record in run.records:
        names, counts = own.confused(said[record.case.name])
        assert names == WORDS
        assert sum(map(sum, counts)) == record.accuracy.n
        right = sum(counts[i][i] for i in range(len(names)))
        assert 100 * right / (record.accuracy.n or 1) == pytest.approx(record.accuracy.top1)
        assert all(counts[i][(i + 2) % 5] == 0 for i in range(5))


def test_a_planted_folder_with_the_wrong_name_is_a_whole_row_elsewhere() -> None:
    mistakes = tuple(answers.Mistake(file=f"elm/{n}.jpg", name="elm", answer="oak", score=0.9) for n in range(10))
    classes = tuple(answers.Judged(name=name, n=10) for name in ("ash", "elm", "oak"))
    said = answers.Answers(artifact_sha256="", images="", n=30, mistakes=mistakes, classes=classes)
    names, counts = own.confused(said)
    assert counts[names.index("elm")] == [0, 0, 10]
    z = own.confusion_figure(said, WIDE)["data"][0]["z"]
    assert z[1] == [0, 0, 1.0]


def test_of_many_classes_the_most_confused_are_drawn(tmp_path: Path) -> None:
    words = [f"species {number:03}" for number in range(40)]
    run, folder = run_on(tmp_path / "photos", tmp_path / "results", words, each=2, skill=0.3)
    said = answers.of_run(run, folder)
    name = own.chosen(run, said)
    assert name
    names, counts = own.confused(said[name])
    assert len(names) == len(counts) == own.MOST_CLASSES
    for frame in FRAMES:
        drawn = own.confusion_figure(said[name], frame)["layout"]
        assert drawn["width"] - drawn["margin"]["l"] - drawn["margin"]["r"] > 100


def test_the_photographs_that_all_get_wrong_are_shown_inside_the_page(judged: tuple[Run, Path]) -> None:
    run, folder = judged
    said = answers.of_run(run, folder)
    sheet = contact.sheet(said)
    assert sheet
    wrong = set.intersection(*({mistake.file for mistake in each.mistakes} for each in said.values()))
    assert {photograph.file for photograph in sheet.photographs} == wrong
    assert sheet.missed == len(wrong) > 0
    for photograph in sheet.photographs:
        picture = Image.open(io.BytesIO(base64.b64decode(photograph.image.partition(",")[2])))
        assert picture.size == (photograph.width, photograph.height)
        assert max(picture.size) <= contact.SIDE
        assert photograph.taken_for == f"{WORDS[(WORDS.index(photograph.name) + 1) % 5]} ({len(MODELS)})"
    html = page.render(run, said=said)
    assert html.count('<li><figure><img src="data:image/jpeg;base64,') == len(wrong)
    assert f"{len(wrong)} of 60 images" in html


def test_photographs_that_are_gone_are_named(judged: tuple[Run, Path], tmp_path: Path) -> None:
    said = {name: replace(each, images=str(tmp_path)) for name, each in answers.of_run(*judged).items()}
    html = page.render(judged[0], said=said)
    assert "not there any more" in html
    assert re.search(r"<code>\w+/\d+\.jpg</code>", html)


def test_other_images_or_one_network_alone_make_no_sheet(judged: tuple[Run, Path]) -> None:
    said = answers.of_run(*judged)
    first, second, *_ = said
    assert contact.sheet({first: said[first]}) is None
    assert contact.sheet({first: said[first], second: replace(said[second], images_sha256="others")}) is None
    assert 'id="missed"' not in page.render(judged[0])


def test_answers_to_another_file_or_damaged_ones_are_left_out(judged: tuple[Run, Path], tmp_path: Path) -> None:
    run, folder = judged
    (tmp_path / "accuracy").mkdir()
    names = [record.case.name for record in run.records]
    for name in names[:3]:
        path = f"accuracy/{store.slug(name)}.json"
        (tmp_path / path).write_bytes((folder / path).read_bytes())
    (tmp_path / f"accuracy/{store.slug(names[0])}.json").write_text('{"n": ')
    changed = json.loads((tmp_path / f"accuracy/{store.slug(names[1])}.json").read_text()) | {"artifact_sha256": "x"}
    (tmp_path / f"accuracy/{store.slug(names[1])}.json").write_text(json.dumps(changed))
    assert list(answers.of_run(run, tmp_path)) == [names[2]]
    assert answers.of_run(run, None) == {}


def test_what_a_run_measures_is_what_the_page_reads(tmp_path: Path) -> None:
    images = photos(tmp_path / "images", WORDS, each=3)
    records = []
    for place, name in enumerate(("one", "two")):
        file = classifier(tmp_path / f"{name}.onnx", 5, offset=0.4 * place)
        case = runs.planned(
            suites.case_of_model(str(file), name=name, accuracy={"images": str(images), "preprocess": "tf"})
        )
        kept = tmp_path / "run" / "accuracy" / f"{store.slug(name)}.jsonl"
        measured = measuring.measure(file, measuring.settings_of(case), kept=kept)
        made = runs.record(case)
        records.append(replace(made, case=case, artifact=artifact_of_file(file), accuracy=measured))
    run = runs.run(records)
    said = answers.of_run(run, tmp_path / "run")
    right = [unpacked(record.accuracy.right or "", 15) for record in records]
    files = [f"{word}/{number:03}.jpg" for word in WORDS for number in range(3)]
    for record, good in zip(records, right, strict=True):
        wrong = {mistake.file for mistake in said[record.case.name].mistakes}
        assert wrong == {file for file, each in zip(files, good, strict=True) if not each}
        assert 100 * sum(good) / 15 == pytest.approx(record.accuracy.top1, abs=1e-3)
    sheet = contact.sheet(said)
    assert sheet
    assert sheet.missed == sum(not (a or b) for a, b in zip(*right, strict=True))
    pair = candidates.candidates(run)[0].paired["two"]
    mine, theirs = (sum(a > b for a, b in zip(x, y, strict=True)) for x, y in (right, right[::-1]))
    assert pair.p == mcnemar(mine, theirs)


def test_hostile_names_of_files_and_classes_stay_text(tmp_path: Path) -> None:
    words = ["<img src=x onerror=alert(1)>", '"><script>alert(1)<', "{{ 7*7 }}", "javascript:alert(1)"]
    run, folder = run_on(tmp_path / "photos <b>", tmp_path / "results", words, each=6, skill=0.3)
    html = write_report([run], tmp_path / "page.html", folders=[folder]).read_text()
    assert "<img src=x" not in html
    assert "<script>alert" not in html
    assert "&lt;img src=x onerror=alert(1)&gt;" in html
    assert "49" not in re.findall(r"<strong>(.*?)</strong> taken", html)


def test_all_figures_of_such_a_run_are_drawn_in_both_widths(judged: tuple[Run, Path]) -> None:
    run, folder = judged
    drawn = {figure.id: figure for figure in drawings.figures(run, answers=answers.of_run(run, folder))}
    assert {"confusion", "moves"} <= drawn.keys()
    for name in ("confusion", "moves"):
        assert drawn[name].draw(NARROW)["layout"]["width"] <= NARROW.width
        assert drawn[name].alternative
