"""The page of an evaluation as a browser shows it: the confidence slider above all."""

# ruff: noqa: F811 - fixtures that are imported are arguments too

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.detection import Evaluation, evaluate
from bench.detection.results import Counts, Sweep
from bench.report.detection import write_page
from tests.detection.sets import generate, write
from tests.detection.test_evaluation import BOX, hit, thing
from tests.report.test_browser import CHROMIUM, Shown, browser, shown, tab  # noqa: F401 - fixtures
from tests.runs import HOSTILE

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium; `apt-get install chromium` runs these tests"),
]


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return write(tmp_path, *generate(5, images=30, levels=1000))


@pytest.fixture
def page(shown: Shown, files: tuple[Path, Path], tmp_path: Path) -> Any:
    return shown.open(write_page(evaluate(*files, confidence=None), tmp_path / "page.html"))


def move(page: Any, position: int) -> None:
    """Put the slider there as a hand would."""
    page.locator("#confidence").fill(str(position))


def exact(page: Any) -> float:
    """The slider's confidence with all its digits, which stand in the title of the rounded one."""
    confidence = float(page.locator("#at").get_attribute("title"))
    assert float(page.inner_text("#at").split()[0]) == float(f"{confidence:.4g}")
    return confidence


def read(page: Any) -> dict[str, float | None]:
    """What the page shows for the slider."""
    names = ("precision", "recall", "f1", "right", "wrong", "unfound")
    values = {name: page.locator(f"#{name}").get_attribute("value") for name in names}
    return {name: float(value) if value else None for name, value in values.items()}


def as_read(counts: Counts) -> dict[str, float | None]:
    return {
        "precision": counts.precision, "recall": counts.recall, "f1": counts.f1, "right": counts.true_positives,
        "wrong": counts.false_positives, "unfound": counts.false_negatives,
    }  # fmt: skip


def positions(sweep: Sweep) -> list[int]:
    """Three places of the slider: a low, a middle and a high confidence. Its right end is the sweep's beginning."""
    last = len(sweep.confidence) - 1
    return [last // 10, last // 2, last - last // 10]


@pytest.mark.parametrize("iou", [0.5, 0.75])
def test_the_slider_shows_what_python_computes(
    shown: Shown, files: tuple[Path, Path], tmp_path: Path, iou: float
) -> None:
    found = evaluate(*files, iou=iou, confidence=None)
    page = shown.open(write_page(found, tmp_path / "page.html"))
    seen = []
    for position in positions(found.sweep):
        move(page, position)
        confidence = exact(page)
        assert confidence == found.sweep.confidence[len(found.sweep.confidence) - 1 - position]
        counts = evaluate(*files, iou=iou, confidence=confidence).counts
        assert read(page) == as_read(counts)  # to the last bit: both divide the same integers
        assert counts.precision is not None
        assert counts.recall is not None
        assert page.inner_text("#precision") == f"{100 * counts.precision:.2f} %"
        assert page.inner_text("#recall") == f"{100 * counts.recall:.2f} %"
        seen.append((counts.precision, counts.recall))
    assert len(set(seen)) == 3
    assert shown.said == []


def test_the_slider_shows_each_class_too(page: Any, files: tuple[Path, Path]) -> None:
    for k, result in enumerate(evaluate(*files).classes):
        page.select_option("#class", str(k + 1))
        for position in positions(result.sweep):
            move(page, position)
            confidence = exact(page)
            assert read(page) == as_read(evaluate(*files, confidence=confidence).classes[k].counts)


def marks(page: Any, figure: str) -> Any:
    """The star's place in a figure, and where the slider's lines stand."""
    return page.evaluate(
        """(id) => { const f = document.getElementById(id), star = f.data.filter((t) => t.marker?.symbol === "star");
          const drawn = f.querySelectorAll(".scatterlayer path.point").length;
          return { star: star.map((t) => [t.x[0], t.y[0]]), drawn,
                   lines: f.layout.shapes.map((s) => [s.x0, s.y0]) }; }""",
        figure,
    )


def test_the_best_f1_is_marked(page: Any, files: tuple[Path, Path]) -> None:
    found = evaluate(*files, confidence=None)
    best, sweep = found.best_f1, found.sweep
    assert best is not None
    every = [evaluate(*files, confidence=c).counts.f1 for c in sweep.confidence[:: max(1, len(sweep.confidence) // 60)]]
    assert best.f1 >= max(f1 for f1 in every if f1 is not None)  # type: ignore[operator]
    assert (
        page.inner_text("#best") == f"Best F1: {100 * best.f1:.2f} % at confidence {best.confidence}, marked by a star."
    )  # type: ignore[operator]
    assert read(page) == as_read(best)  # the slider begins there
    assert marks(page, "rates")["star"] == [[best.confidence, best.f1]]
    assert marks(page, "pr")["star"] == [[best.recall, best.precision]]
    assert marks(page, "rates")["drawn"] == 1
    move(page, 0)
    assert "best F1" not in page.inner_text("#at")
    page.click("#to-best")
    assert read(page) == as_read(best)
    assert page.inner_text("#at") == f"{best.confidence:.4g} ★ best F1"
    assert exact(page) == best.confidence


def test_the_lines_follow_the_slider(page: Any) -> None:
    move(page, 3)
    page.wait_for_timeout(200)
    now = read(page)
    assert marks(page, "rates")["lines"] == [[exact(page), 0]]
    assert marks(page, "pr")["lines"] == [[now["recall"], 0], [0, now["precision"]]]


def test_the_slider_works_by_keyboard_and_says_what_it_shows(page: Any) -> None:
    page.locator("#class").focus()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "confidence"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    slider = page.locator("#confidence")
    before, was = int(slider.input_value()), read(page)
    page.keyboard.press("ArrowLeft")
    assert int(slider.input_value()) == before - 1
    assert read(page) != was
    page.keyboard.press("End")
    assert slider.get_attribute("aria-valuetext") == (
        f"confidence {page.inner_text('#at')}, precision {page.inner_text('#precision')}, "
        f"recall {page.inner_text('#recall')}"
    )


@pytest.mark.parametrize("width", [1400, 400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_whole_quiet_and_asks_for_nothing(
    browser: Any, files: tuple[Path, Path], tmp_path: Path, width: int, scheme: str
) -> None:  # fmt: skip
    path = write_page(evaluate(*files, confidence=None), tmp_path / "page.html")
    context = browser.new_context(color_scheme=scheme)
    shown = Shown(context.new_page())
    page = shown.open(path, width)
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    for figure in ("rates", "pr", "ap", "roc"):
        box = page.locator(f"#{figure} .main-svg").first.bounding_box()
        assert box["x"] + box["width"] <= width
        ink = page.evaluate(f"getComputedStyle(document.querySelector('#{figure} .xtick text')).fill")
        assert ink == {"light": "rgb(29, 33, 41)", "dark": "rgb(231, 234, 238)"}[scheme]
    assert shown.asked == [path.as_uri()]
    assert shown.said == []
    context.close()


def test_on_paper_everything_is_dark_on_white(browser: Any, files: tuple[Path, Path], tmp_path: Path) -> None:
    context = browser.new_context(color_scheme="dark")
    page = Shown(context.new_page()).open(write_page(evaluate(*files), tmp_path / "page.html"), 1400)
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.querySelector('#pr .xtick text')).fill") == "rgb(0, 0, 0)"
    a4 = 718  # its width in CSS pixels, less margins of 1 cm
    widths = page.evaluate("[...document.querySelectorAll('.figure .main-svg')].map((s) => s.clientWidth)")
    assert max(widths) <= a4
    context.close()


def hostile(tmp_path: Path) -> tuple[Evaluation, list[str]]:
    names = [*HOSTILE, "</script><script>window.owned = 1</script>", "<img src=x onerror='window.owned = 1'>"]
    truth = {
        "images": [
            {"id": i, "width": 100, "height": 100, "file_name": f"{name}.png"} for i, name in enumerate(names)
        ],
        "categories": [{"id": i, "name": name} for i, name in enumerate(names)],
        "annotations": [thing(i, i, i) for i in range(len(names))],
    }  # fmt: skip
    wrong = [hit(i, (i + 1) % len(names), 0.9) for i in range(len(names))]
    found = wrong + [hit(i, i, 0.8, [BOX[0] + 30, *BOX[1:]]) for i in range(len(names))]
    return evaluate(*write(tmp_path, truth, found), confidence=None), names


def test_hostile_names_are_text(shown: Shown, tmp_path: Path) -> None:
    found, names = hostile(tmp_path)
    assert any("<" in name for name in names)
    path = write_page(found, tmp_path / "page.html", title=names[-1])
    page = shown.open(path)
    body = page.text_content("main")
    for name in names:
        assert name in body
        assert f"{name}.png" in body
    for k in range(len(names)):
        page.select_option("#class", str(k + 1))
    assert page.evaluate("window.owned") is None
    assert page.evaluate("document.querySelectorAll('img, a, iframe, script:not([id])').length") == 2
    assert page.title().startswith(names[-1])
    assert shown.asked == [path.as_uri()]
    assert shown.said == []


def test_a_set_without_anything_is_a_page_too(shown: Shown, tmp_path: Path) -> None:
    truth, _ = generate(1)
    page = shown.open(write_page(evaluate(*write(tmp_path, truth, []), confidence=None), tmp_path / "none.html"))
    assert page.inner_text("#at") == "no detections"
    assert page.locator("#confidence").is_disabled()
    assert page.locator("#to-best").is_disabled()
    assert read(page)["recall"] == 0
    truth["annotations"] = []
    found = [hit(0, 1, 0.5), hit(7, 1, 0.7)]
    page = shown.open(write_page(evaluate(*write(tmp_path, truth, found), confidence=None), tmp_path / "false.html"))
    assert (read(page)["precision"], read(page)["recall"]) == (0, None)
    assert "No F1 is best" in page.inner_text("#best")
    assert shown.said == []


def test_scores_may_be_anything(shown: Shown, tmp_path: Path) -> None:
    """Logits are scores too, and a float prints in Python and in a browser as the same number."""
    truth, found = generate(2)
    for n, d in enumerate(found):
        d["score"] = -1e6 / (n + 3)
    files = write(tmp_path, truth, found)
    evaluated = evaluate(*files, confidence=None)
    page = shown.open(write_page(evaluated, tmp_path / "page.html"))
    for position in positions(evaluated.sweep):
        move(page, position)
        confidence = exact(page)
        assert read(page) == as_read(evaluate(*files, confidence=confidence).counts)
