"""The page as a browser shows it."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.analysis import answer, choice, comparison, front
from bench.analysis.quantities import QUANTITIES
from bench.records import Run
from bench.report import write_report
from bench.report.figures import bubbles
from bench.report.page import LIBRARY_FILE
from tests import runs

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium; `apt-get install chromium` runs these tests"),
]


class Shown:
    """A page that is open, with all that it said and asked for."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.said: list[str] = []
        self.asked: list[str] = []
        self.listeners: dict[str, Callable[[Any], None]] = {
            "console": lambda message: self.said.append(message.text) if message.type != "log" else None,
            "pageerror": lambda error: self.said.append(str(error)),
            "request": lambda request: self.asked.append(request.url),
        }
        for event, listener in self.listeners.items():
            page.on(event, listener)

    def open(self, path: Path, width: int = 1400) -> Any:
        self.page.set_viewport_size({"width": width, "height": 900})
        self.page.goto(path.as_uri())
        self.page.wait_for_selector("html[data-ready=yes]")
        return self.page

    def leave(self) -> None:
        """Make the tab as new for the next test."""
        for event, listener in self.listeners.items():
            self.page.remove_listener(event, listener)
        self.page.goto("about:blank")
        self.page.emulate_media(media="screen", color_scheme="light")
        self.page.mouse.move(0, 0)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def tab(browser: Any) -> Any:
    """One for all tests of a file: a tab that has compiled the page's library need not compile it again."""
    return browser.new_context(color_scheme="light").new_page()


@pytest.fixture
def shown(tab: Any) -> Iterator[Shown]:
    shown = Shown(tab)
    yield shown
    shown.leave()


def until(page: Any, script: str, holds: Callable[[Any], bool] = bool) -> Any:
    """What a script returns once it is as wanted; Playwright's own waiting needs eval, which the policy forbids."""
    for _ in range(100):
        value = page.evaluate(script)
        if holds(value):
            return value
        page.wait_for_timeout(100)
    raise AssertionError(f"{script} stayed {value!r}")


def whole(run: Run, folder: Path) -> Path:
    """A page with every figure that the run can have: raw samples and a comparison too."""
    before = replace(run, records=tuple(runs.record(r.case, factor=1.1, seed=1) for r in run.records))
    stored = runs.stored(run, folder / "results")
    return write_report([run], folder / "page.html", folders=[stored], comparison=comparison.compare(before, run))


BUBBLES = """(id) => { const figure = document.getElementById(id);
  return figure.data.flatMap((t) => t.meta === "bubbles" && t.visible !== "legendonly" ? t.customdata : []); }"""
DRAWN = """(id) => [...document.querySelectorAll("#" + id + " .scatterlayer path.point")]
  .filter((p) => p.getBBox().width > 0).map((p) => p.dataset.case)"""
CLOUDS = ("latency", "operations", "size", "memory")


@pytest.mark.parametrize("width", [1400, 400])
@pytest.mark.parametrize("suite", ["default", "mobilenet"])
def test_the_page_is_whole_quiet_and_asks_for_nothing(shown: Shown, tmp_path: Path, suite: str, width: int) -> None:
    run = runs.of_suite(suite)
    path = whole(run, tmp_path)
    page = shown.open(path, width)
    names = sorted(record.case.name for record in run.records)
    for figure in CLOUDS:
        assert sorted(page.evaluate(BUBBLES, figure)) == names
        marks = [name for name in page.evaluate(DRAWN, figure) if name]
        assert sorted(set(marks)) == names
        assert len(marks) == 2 * len(names)  # a bubble and its centre
    for figure in ("accuracy", "density"):
        assert page.locator(f"#{figure} .barlayer .point").count() == len(names)
    for figure in ("fit", "residuals", "forest", "samples"):
        assert page.locator(f"#{figure} .scatterlayer path.point").count() >= len(names)
    assert page.locator("#kinds .barlayer .point").count() == 7 * len(names)
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    cut = page.evaluate(
        """() => [...document.querySelectorAll(".figure")]
          .filter((figure) => figure.scrollWidth > figure.clientWidth + 1).map((figure) => figure.id)"""
    )
    assert cut == []
    assert shown.asked == [path.as_uri()]
    assert shown.said == []


@pytest.mark.parametrize("width", [1400, 760, 400])
@pytest.mark.parametrize("suite", ["default", "keras"])
def test_names_do_not_collide_as_they_are_drawn(shown: Shown, tmp_path: Path, suite: str, width: int) -> None:
    page = shown.open(write_report([runs.of_suite(suite)], tmp_path / "page.html"), width)
    drawn = """(id) => {
      const boxes = [...document.querySelectorAll("#" + id + " .annotation-text")].filter((e) => e.textContent);
      return boxes.map((e) => { const r = e.getBoundingClientRect();
        return [e.textContent, getComputedStyle(e).visibility === "visible", r.left, r.top, r.right, r.bottom]; }); }"""
    for figure in (*CLOUDS, "fit"):
        names = [(name, box) for name, visible, *box in page.evaluate(drawn, figure) if visible]
        hidden = len(page.evaluate(drawn, figure)) - len(names)
        assert len(names) >= 12, figure
        assert hidden == 0 or width == 760, figure  # the two widths that the figures are drawn for need no hiding
        for i, (name, a) in enumerate(names):
            for other, b in names[:i]:
                apart = a[0] >= b[2] - 1 or b[0] >= a[2] - 1 or a[1] >= b[3] - 2 or b[1] >= a[3] - 2
                assert apart, (figure, name, other)


def test_areas_are_proportional_to_parameters(shown: Shown, tmp_path: Path) -> None:
    run = runs.of_suite("default")
    page = shown.open(write_report([run], tmp_path / "page.html"))
    params = {record.case.name: record.cost.params for record in run.records if record.cost}
    for figure in CLOUDS:
        drawn = page.evaluate(
            """(id) => { const figure = document.getElementById(id), found = {};
              figure.data.forEach((t, i) => { if (t.meta === "bubbles")
                [...figure.querySelectorAll(".scatterlayer .trace")].filter((g) => g.__data__[0].trace.index === i)
                  .forEach((g) => g.querySelectorAll("path.point").forEach((p, k) =>
                    { found[t.customdata[k]] = p.getBBox().width; })); });
              return found; }""",
            figure,
        )
        per_param = {name: math.pi * (width / 2) ** 2 / params[name] for name, width in drawn.items()}
        assert len(per_param) == 12
        assert max(per_param.values()) / min(per_param.values()) < 1.01
    legend = page.evaluate(
        """() => { const figure = document.getElementById("operations");
          const index = figure.data.findIndex((t) => t.meta === "size-legend");
          return [...figure.querySelectorAll(".scatterlayer .trace")]
            .filter((g) => g.__data__[0].trace.index === index)
            .flatMap((g) => [...g.querySelectorAll("path.point")].map((p) => p.getBBox().width)); }"""
    )
    areas = [math.pi * (width / 2) ** 2 / count for width, count in zip(legend, bubbles.LEGEND_PARAMS, strict=True)]
    assert areas == pytest.approx([areas[0]] * 6, rel=0.02)
    assert areas[0] == pytest.approx(next(iter(per_param.values())), rel=0.02)  # the scale of the bubbles themselves


SETTINGS: tuple[dict[str, int], ...] = (
    {}, {"p50": 120}, {"p50": 60}, {"p95": 90, "top1": 100}, {"size": 90}, {"params": 120, "top1": 60},
    {"memory": 60, "p50": 190}, {"p50": 20, "top1": 190}, {"p50": 0}, {"top1": 200, "size": 10},
)  # fmt: skip


@pytest.mark.parametrize("made", [lambda: runs.of_suite("default"), lambda: runs.of_suite("keras"), runs.swept],
                         ids=["default", "keras", "swept"])  # fmt: skip
def test_sliders_choose_what_bench_pick_chooses(shown: Shown, tmp_path: Path, made: Callable[[], Run]) -> None:
    run = made()
    page = shown.open(write_report([run], tmp_path / "page.html"))
    answers, without = set(), 0
    for setting in SETTINGS:
        page.evaluate(
            """(setting) => document.querySelectorAll("#limits input[type=range]").forEach((slider) => {
              const none = slider.dataset.limit === "top1" ? 0 : slider.max;
              slider.value = setting[slider.dataset.limit] ?? none;
              slider.dispatchEvent(new Event("input", { bubbles: true })); })""",
            setting,
        )
        limits = json.loads(page.evaluate("document.getElementById('said').dataset.limits"))
        assert set(limits) == set(setting) - {name for name in setting if name not in sliders(page)}
        expected = choice.pick(run, limits)
        said = page.evaluate("[...document.querySelectorAll('#said li')].map((line) => line.textContent)")
        assert said == [line.strip() for line in answer.in_words(expected)]
        answers.add(tuple(said))
        without += bool(expected.misses)
    assert len(answers) >= 5
    assert without >= 1


def sliders(page: Any) -> list[str]:
    found: list[str] = page.evaluate(
        "[...document.querySelectorAll('#limits input[type=range]')].map((s) => s.dataset.limit)"
    )
    return found


def test_a_slider_works_from_the_keyboard(shown: Shown, tmp_path: Path) -> None:
    page = shown.open(write_report([runs.of_suite("default")], tmp_path / "page.html"))
    slider = page.locator("#limits input[type=range][data-limit=p50]")
    slider.focus()
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    before = page.inner_text("#said")
    for _ in range(6):
        slider.press("PageDown")
    assert page.inner_text("#said") != before
    assert "--p50" in page.inner_text("#command")
    assert "ms" in slider.get_attribute("aria-valuetext")


def test_a_heading_sorts_the_table_both_ways(shown: Shown, tmp_path: Path) -> None:
    run = runs.of_suite("default")
    page = shown.open(write_report([run], tmp_path / "page.html"))
    names = "() => [...document.querySelectorAll('#table tbody tr')].map((r) => r.cells[0].textContent)"
    button = page.locator("#table th button", has_text="Parameters")
    params = {r.case.name: r.cost.params for r in run.records if r.cost}
    button.click()
    assert page.evaluate(names) == sorted(params, key=lambda name: params[name])
    button.press("Enter")
    assert page.evaluate(names) == sorted(params, key=lambda name: -params[name])


def test_a_family_is_hidden_in_all_figures_by_box_and_by_legend(shown: Shown, tmp_path: Path) -> None:
    run = runs.of_suite("default")
    page = shown.open(whole(run, tmp_path))
    others = sorted(r.case.name for r in run.records if r.case.model != "VGG16")
    box = page.locator("#filter input[data-family=VGG]")
    box.focus()
    box.press("Space")
    gone = "document.querySelectorAll('.figure [data-case=VGG16]').length"
    until(page, gone, lambda count: count == 0)
    for figure in CLOUDS:
        assert sorted(page.evaluate(BUBBLES, figure)) == others
    for figure in ("forest", "kinds", "fit", "residuals", "accuracy", "samples"):
        assert page.locator(f"#{figure} .point[data-case]").count() > 0
    page.locator("#operations .legendtoggle", has=page.locator("xpath=..//*[text()='VGG']")).first.click()
    until(page, gone)
    assert box.is_checked()
    page.wait_for_timeout(600)  # two clicks at once are a double click, which shows that family alone
    page.locator("#operations .traces", has_text="VGG").locator(".legendtoggle").first.click()
    until(page, gone, lambda count: count == 0)
    assert not box.is_checked()
    assert shown.said == []


LIT = """() => Object.fromEntries([...document.querySelectorAll(".figure")].map((f) =>
  [f.id, [...new Set([...f.querySelectorAll(".lit")].map((e) => e.dataset.case))].join()]))"""
EVERYWHERE = ("latency", "operations", "size", "memory", "accuracy", "density", "fit", "residuals", "kinds", "forest",
              "samples")  # fmt: skip


def test_one_model_is_shown_in_every_figure_and_in_the_table(shown: Shown, tmp_path: Path) -> None:
    page = shown.open(whole(runs.of_suite("default"), tmp_path))
    lit_rows = "[...document.querySelectorAll('#table tr.lit')].map((row) => row.dataset.case).join()"
    button = page.locator("#table button.model", has_text="DenseNet121")
    button.focus()
    button.press("Enter")
    assert page.evaluate(LIT) == dict.fromkeys(EVERYWHERE, "DenseNet121")
    assert page.evaluate(lit_rows) == "DenseNet121"
    assert button.get_attribute("aria-pressed") == "true"
    page.keyboard.press("Escape")
    assert set(page.evaluate(LIT).values()) == {""}
    page.locator("#operations").scroll_into_view_if_needed()
    centre = page.evaluate(
        """() => { const r = [...document.querySelectorAll("#operations .scatterlayer path.point")]
          .find((p) => p.dataset.case === "VGG16").getBoundingClientRect();
          return [r.x + r.width / 2, r.y + r.height / 2]; }"""
    )
    page.mouse.move(*centre)
    until(page, lit_rows, lambda name: name == "VGG16")
    page.mouse.click(*centre)
    page.mouse.move(5, 5)
    until(page, LIT, lambda found: set(found.values()) == {"VGG16"})
    page.emulate_media(color_scheme="dark")
    until(page, "document.documentElement.dataset.turn", lambda turn: int(turn) > 1)
    assert set(page.evaluate(LIT).values()) == {"VGG16"}
    assert shown.said == []


def test_pointing_at_a_dominated_model_names_who_dominates_it(shown: Shown, tmp_path: Path) -> None:
    run = runs.of_suite("default")
    page = shown.open(write_report([run], tmp_path / "page.html"))
    vgg = next(r for r in run.records if r.case.name == "VGG16")
    better = front.dominators(vgg, run.records, QUANTITIES["p50"].read)
    assert better
    page.locator("#latency").scroll_into_view_if_needed()
    box = page.evaluate(
        """() => { const r = [...document.querySelectorAll("#latency .scatterlayer path.point")]
          .find((p) => p.dataset.case === "VGG16").getBoundingClientRect();
          return [r.x + r.width / 2, r.y + r.height / 2]; }"""
    )
    page.mouse.move(*box)
    text = until(page, "document.querySelector('#latency .hovertext')?.textContent ?? ''")
    assert f"dominated by {better[0].case.name}" in text


def test_hostile_names_are_text(shown: Shown, tmp_path: Path) -> None:
    path = whole(runs.hostile(), tmp_path)
    page = shown.open(path)
    for button in page.locator("#table button.model").all():
        button.click()
    page.locator("#limits input[type=range][data-limit=p50]").fill("0")
    assert "no model meets these limits" in page.inner_text("#said")
    for mark in page.locator("#latency .scatterlayer path.point").all()[:3]:
        mark.hover(force=True)
    page.wait_for_timeout(200)
    assert page.evaluate("window.owned") is None
    body = page.inner_text("body")
    for name in runs.HOSTILE:
        assert name in body
    markup = ".figure :is(img, a, script, b), #said li *, #table :is(img, b, a, svg)"
    assert page.locator(markup).count() == 0
    assert shown.asked == [path.as_uri()]
    assert shown.said == []


def test_a_site_opens_from_the_file_system_with_one_library(shown: Shown, tmp_path: Path) -> None:
    several = [replace(runs.of_suite("default", seed=n), started_at=f"2026-03-0{n}T10:00:00Z") for n in (1, 2)]
    hostile = replace(runs.hostile(), started_at="2026-03-03T10:00:00Z")
    index = write_report([*several, hostile], tmp_path / "site")
    for path in sorted(index.parent.glob("*.html")):
        shown.asked.clear()
        page = shown.open(path)
        figures = page.locator(".figure").count()
        assert (figures > 0) == path.name.startswith(("run-", "change-", "history-", "model-")), path.name
        assert set(shown.asked) == {path.as_uri(), *([(index.parent / LIBRARY_FILE).as_uri()] if figures else [])}
        assert page.evaluate("[...document.querySelectorAll('.figure')].every((f) => f.querySelector('.main-svg'))")
        assert page.evaluate("window.owned") is None
    assert shown.said == []


def test_every_figure_is_also_a_picture(tmp_path: Path) -> None:
    pytest.importorskip("kaleido")
    run = runs.of_suite("default")
    folder = write_report([run], tmp_path / "pictures", format="svg")
    assert {path.stem for path in folder.iterdir()} >= {"latency", "operations", "accuracy", "size", "fit", "kinds"}
    text = (folder / "operations.svg").read_text(encoding="utf-8")
    for record in run.records:
        assert f">{record.case.name}</" in text
    picture = write_report([run], tmp_path / "figure.png")
    assert picture.read_bytes()[:4] == b"\x89PNG"


def test_a_dark_page_prints_dark_on_white(shown: Shown, tmp_path: Path) -> None:
    page = shown.open(write_report([runs.of_suite("default")], tmp_path / "page.html"))
    ink = "getComputedStyle(document.querySelector('#latency .xtick text')).fill"
    page.emulate_media(color_scheme="dark")
    until(page, ink, lambda colour: colour == "rgb(231, 234, 238)")
    page.emulate_media(color_scheme="dark", media="print")
    until(page, ink, lambda colour: colour == "rgb(0, 0, 0)")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_what_the_policy_forbids_is_not_done(shown: Shown, tmp_path: Path) -> None:
    """The tests above would pass with a policy that allowed everything."""
    path = write_report([runs.of_suite("default")], tmp_path / "page.html")
    page = shown.open(path)
    page.evaluate("""() => { const s = document.createElement("script"); s.textContent = "window.owned = 1";
                            document.body.append(s); new Image().src = "http://127.0.0.1:9/x.png"; }""")
    page.wait_for_timeout(200)
    assert page.evaluate("window.owned") is None
    assert any("Content Security Policy" in text for text in shown.said)
