"""`bench detect evaluate`: what it prints, and one line for every bad input."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bench.cli import main
from bench.detection import Evaluation, evaluate
from bench.detection.results import COCO_FIGURES
from tests.detection.sets import FIGURES, generate, oracle, write
from tests.detection.test_evaluation import FOUND, TRUTH, hit, thing

Answer = tuple[int, str, str]


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Any:
    """Ask about a truth and detections; the exit code, stdout and stderr."""

    def call(truth: Any, found: Any, *options: str) -> Answer:
        gt, dt = write(tmp_path, truth, found)
        with pytest.raises(SystemExit) as stopped:
            main(["detect", "evaluate", "--gt", str(gt), "--dt", str(dt), *options])
        return int(stopped.value.code or 0), *capsys.readouterr()

    return call


def changed(change: Any) -> tuple[Any, Any]:
    truth, found = copy.deepcopy(TRUTH), copy.deepcopy(FOUND)
    change(truth, found)
    return truth, found


def first_number(line: str) -> float:
    found = re.search(r"([+-]?[\d.]+) (%|points)", line)
    assert found, line
    return float(found[1])


def line_with(out: str, start: str) -> str:
    (line,) = [line for line in out.splitlines() if line.strip().startswith(start)]
    return line


def test_the_twelve_figures_are_printed_as_pycocotools_has_them(ask: Any) -> None:
    truth, found = generate(5, levels=1000)
    code, out, err = ask(truth, found)
    assert (code, err) == (0, "")
    assert tuple(COCO_FIGURES) == FIGURES
    for what, expected in zip(COCO_FIGURES.values(), oracle(truth, found).stats, strict=True):
        assert first_number(line_with(out, what + " ")) == pytest.approx(100 * expected, abs=0.005 + 1e-9)


@pytest.mark.parametrize(("iou", "position"), [(0.5, 0), (0.75, 5), (0.9, 8)])
def test_the_notes_ap_stands_beside_cocos_and_how_far_they_differ(ask: Any, iou: float, position: int) -> None:
    truth, found = generate(5, levels=1000)
    _, out, _ = ask(truth, found, "--iou", str(iou))
    theirs = oracle(truth, found).eval["precision"][position, :, :, 0, 2]
    notes, coco = first_number(line_with(out, "the notes' AP")), first_number(line_with(out, "COCO's AP"))
    assert coco == pytest.approx(100 * theirs[theirs > -1].mean(), abs=0.005 + 1e-9)
    assert first_number(line_with(out, "notes' - COCO's")) == pytest.approx(notes - coco, abs=0.011)
    assert abs(notes - coco) > 0.1


def test_an_iou_that_coco_does_not_have(ask: Any) -> None:
    _, out, _ = ask(TRUTH, FOUND, "--iou", "0.3")
    assert "COCO has none at this IoU" in line_with(out, "COCO's AP")
    assert "–" in line_with(out, "notes' - COCO's")


def test_an_example_by_hand(ask: Any) -> None:
    code, out, _ = ask(TRUTH, FOUND, "--confidence", "0.5")
    assert code == 0
    assert out.startswith("7 images, 1 of them empty; 5 objects, 1 crowd regions; 8 detections, 1 of them ignored")
    assert "at confidence 0.5 (given) and at IoU 0.5: 1 right, 5 false, 4 objects not found" in out
    assert re.search(r"all +5 +7 .* 16\.67 % +20\.00 % +18\.18 %", out)
    assert re.search(r"cat +2 +3 .* 25\.00 % +33\.33 % +50\.00 % +40\.00 %", out)
    assert "1 on the diagonal, 1 taken for another class, 3 objects taken for background, 4 detections on back" in out
    assert re.search(r"cat +dog +1 *\n", out)
    assert re.search(r"background +cat +2 *\n", out)
    for name, count in (("classification", 1), ("localisation", 1), ("duplicate", 1), ("background ", 2)):
        assert re.search(rf"^ {name} +{count}  +\S* ?on|^ {name} +{count} +near", out, re.M), name
    assert re.search(r"^ missed +2 ", out, re.M)
    assert re.search(r"2\.png +1 +1 *\n", out)
    assert "1 of 3 classes have no ground truth: cow" in out
    for rule in ("at most 100 detections of a class an image", "crowd regions are not", "`area` in pixels"):
        assert rule in out


def test_the_confidence_is_where_f1_is_best_unless_given(ask: Any) -> None:
    truth, found = generate(1)
    best = json.loads(ask(truth, found, "--json")[1])
    assert best["confidence_origin"] == "where F1 is best"
    assert best["counts"] == best["best_f1"]
    given = json.loads(ask(truth, found, "--json", "--confidence", "0.2")[1])
    assert (given["confidence_origin"], given["confidence_threshold"]) == ("given", 0.2)
    assert given["best_f1"] == best["best_f1"]
    assert given["counts"]["f1"] < best["counts"]["f1"]
    none = json.loads(ask(truth, [], "--json")[1])
    assert (none["confidence_origin"], none["best_f1"]) == ("the usual one, as no F1 is best", None)


def test_json_is_one_document_and_nothing_else(ask: Any, tmp_path: Path) -> None:
    code, out, err = ask(TRUTH, FOUND, "--json", "-o", str(tmp_path / "page.html"))
    assert (code, err) == (0, "")
    read = msgspec.json.decode(out, type=Evaluation)
    assert read == evaluate(tmp_path / "gt.json", tmp_path / "dt.json", confidence=None)
    assert "\n".join(read.rules) in "\n".join(json.loads(out)["rules"])
    assert (tmp_path / "page.html").is_file()


BAD = {
    "a truth inverted": (lambda t, f: t["annotations"][2].update(bbox=[9, 9, -4, 4]), r"gt\.json: annotation 2 .*neg"),
    "a detection inverted": (lambda t, f: f[4].update(bbox=[9, 9, 4, -4]), r"dt\.json: detection 4 .*negative size"),
    "NaN": (lambda t, f: f[0].update(bbox=[float("nan"), 0, 1, 1]), r"dt\.json holds NaN"),
    "a score of NaN": (lambda t, f: f[0].update(score=float("nan")), r"dt\.json holds NaN"),
    "a truth with Infinity": (lambda t, f: t["annotations"][0].update(area=float("inf")), r"gt\.json holds Infinity"),
    "-Infinity": (lambda t, f: f[0].update(bbox=[0, 0, 1, float("-inf")]), r"dt\.json holds Infinity"),
    "null in a box": (lambda t, f: f[0].update(bbox=[None, 0, 1, 1]), r"dt\.json is not in COCO's format"),
    "an unknown image": (lambda t, f: f[1].update(image_id=77), r"dt\.json: entry 1 has the image_id 77"),
    "an unknown category": (lambda t, f: f[1].update(category_id=77), r"dt\.json: entry 1 has the category_id 77"),
    "a truth on no image": (lambda t, f: t["annotations"][1].update(image_id=77), r"gt\.json: entry 1 .*image_id 77"),
    "a truth of no class": (lambda t, f: t["annotations"][1].update(category_id=9), r"gt\.json: entry 1 .*category"),
    "an annotation twice": (lambda t, f: t["annotations"][1].update(id=1), r"two annotation entries have the id 1"),
    "an image twice": (lambda t, f: t["images"][1].update(id=1), r"two image entries have the id 1"),
    "a category twice": (lambda t, f: t["categories"][1].update(id=1), r"two category entries have the id 1"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("options", [(), ("--json",)], ids=["text", "json"])
def test_bad_input_is_one_line_and_exit_2(ask: Any, name: str, options: tuple[str, ...]) -> None:
    change, says = BAD[name]
    check_refused(ask(*changed(change), *options), says)


@pytest.mark.parametrize("part", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("which", ["gt", "dt"])
def test_half_written_files(ask: Any, which: str, part: float) -> None:
    whole = {"gt": json.dumps(TRUTH), "dt": json.dumps(FOUND)}
    half = whole | {which: whole[which][: int(part * len(whole[which]))]}
    check_refused(ask(half["gt"], half["dt"]), rf"{which}\.json is not JSON: .*cut short")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--iou", "0"), "the IoU threshold is 0; it must be above 0"),
        (("--iou", "1.5"), "the IoU threshold is 1.5"),
        (("--iou", "nan"), "the IoU threshold is nan"),
        (("--confidence", "inf"), "the confidence threshold is inf"),
        (("--confidence", "high"), "'high' is not a valid float"),
        (("--dt", "none.json"), "cannot read none.json: No such file"),
    ],
)
def test_bad_options(ask: Any, options: tuple[str, ...], says: str) -> None:
    check_refused(ask(TRUTH, FOUND, *options), says)


def test_both_files_must_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["detect", "evaluate", "--gt", "gt.json"])
    check_refused((int(stopped.value.code or 0), *capsys.readouterr()), "Missing option '--dt'")


def test_a_word_in_a_name_is_not_taken_for_a_number(ask: Any) -> None:
    truth, found = changed(lambda t, f: t["categories"][0].update(name="NaN"))
    check_refused(ask(json.dumps(truth)[:-9], found), r"gt\.json is not JSON: .*cut short")


def check_refused(answer: Answer, says: str) -> None:
    code, out, err = answer
    assert code == 2
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("bench: ")
    assert re.search(says, err), err


LEGAL = {
    "no area": (lambda t, f: f[0].update(bbox=[10, 10, 0, 5]), "1 detections have no area: they overlap nothing"),
    "a truth without area": (lambda t, f: t["annotations"][0].update(bbox=[1, 1, 0, 0]), "1 objects have no area"),
    "outside": (lambda t, f: f[0].update(bbox=[80, 80, 40, 40]), "1 detections reach outside of their image"),
    "a truth outside": (lambda t, f: t["annotations"][0].update(bbox=[-9, 1, 9, 9]), "1 objects reach outside"),
    "id 0": (lambda t, f: t["annotations"][0].update(id=0), "id 0: here it is an object like any other"),
    "no detections": (lambda t, f: f.clear(), "there are no detections: every object counts as missed"),
    "no ground truth": (lambda t, f: t["annotations"].clear(), "there are no objects to find"),
    "nothing at all": (lambda t, f: (t["annotations"].clear(), f.clear()), "there are no objects to find"),
    "no images": (lambda t, f: (t["images"].clear(), t["annotations"].clear(), f.clear()), "no detections"),
    "no classes": (lambda t, f: (t["categories"].clear(), t["annotations"].clear(), f.clear()), "no detections"),
    "only a crowd": (lambda t, f: t.update(annotations=[thing(1, 1, 1, crowd=1)]), "there are no objects to find"),
    "equal scores": (lambda t, f: [d.update(score=0.5) for d in f], "all scores are equal: no ranking"),
    "too many": (lambda t, f: f.extend([hit(1, 1, 0.1)] * 150), "52 detections are not among the 100 most confident"),
}


@pytest.mark.parametrize("name", LEGAL)
def test_what_is_odd_and_legal_is_evaluated_and_said(ask: Any, name: str, tmp_path: Path) -> None:
    change, says = LEGAL[name]
    code, out, err = ask(*changed(change), "-o", str(tmp_path / "page.html"))
    assert (code, err) == (0, "")
    assert says in " ".join(line for line in out.splitlines() if line.startswith("note: "))
    assert says in (tmp_path / "page.html").read_text()


def test_crowds_are_ignored_and_counted(ask: Any) -> None:
    _, out, _ = ask(*changed(lambda t, f: f.extend([hit(5, 1, 0.99)] * 3)))
    assert "1 crowd regions; 11 detections, 4 of them ignored on crowds" in out.splitlines()[0]


def test_a_name_cannot_command_the_terminal(ask: Any) -> None:
    truth, found = changed(lambda t, f: t["categories"][0].update(name="\x1b[2Jcat\r\n"))
    _, out, _ = ask(truth, found)
    assert "\x1b" not in out
    assert "[2Jcat" in out


def test_a_page_that_cannot_be_written_is_one_line_and_exit_5(ask: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, out, err = ask(TRUTH, FOUND, "-o", str(tmp_path / "file" / "page.html"))
    assert (code, out, err.count("\n")) == (5, "", 1)
    assert "cannot write" in err


def test_neither_half_is_imported_for_it(tmp_path: Path) -> None:
    gt, dt = write(tmp_path, TRUTH, FOUND)
    script = (
        f"from bench.cli import main\ntry: main(['detect', 'evaluate', '--gt', {str(gt)!r}, '--dt', {str(dt)!r}])\n"
        "except SystemExit: pass\nimport sys\n"
        "print([m for m in ('tensorflow', 'keras', 'onnxruntime', 'onnx', 'plotly') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
