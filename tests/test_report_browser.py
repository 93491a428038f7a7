"""The page as a browser shows it."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.report import write_report
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
        page.on("console", lambda message: self.said.append(message.text) if message.type != "log" else None)
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))

    def open(self, path: Path, width: int = 1400) -> Any:
        self.page.set_viewport_size({"width": width, "height": 900})
        self.page.goto(path.as_uri())
        self.page.wait_for_selector("html[data-ready=yes]")
        return self.page


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield launched
        launched.close()


@pytest.fixture
def shown(browser: Any) -> Iterator[Shown]:
    context = browser.new_context()
    yield Shown(context.new_page())
    context.close()


@pytest.mark.parametrize("width", [1400, 400])
@pytest.mark.parametrize("suite", ["default", "mobilenet"])
def test_the_page_is_whole_quiet_and_asks_for_nothing(shown: Shown, tmp_path: Path, suite: str, width: int) -> None:
    run = runs.of_suite(suite)
    path = write_report([run], tmp_path / "page.html")
    page = shown.open(path, width)
    bubbles = page.evaluate(
        """() => { const figure = document.getElementById("operations");
          return figure.data.flatMap((t, i) => t.meta !== "bubbles" ? [] :
            [...figure.querySelectorAll(".scatterlayer .trace")][i].querySelectorAll("path.point").length === t.x.length
              ? t.customdata : ["not drawn"]); }"""
    )
    assert sorted(bubbles) == sorted(record.case.name for record in run.records)
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    cut = page.evaluate(
        """() => [...document.querySelectorAll(".figure")]
          .filter((figure) => figure.scrollWidth > figure.clientWidth + 1).map((figure) => figure.id)"""
    )
    assert cut == []
    assert shown.asked == [path.as_uri()]
    assert shown.said == []


def test_areas_are_proportional_to_parameters(shown: Shown, tmp_path: Path) -> None:
    run = runs.of_suite("default")
    page = shown.open(write_report([run], tmp_path / "page.html"))
    drawn = page.evaluate(
        """() => { const figure = document.getElementById("operations"), found = {};
          figure.data.forEach((t, i) => { if (t.meta === "bubbles")
            [...figure.querySelectorAll(".scatterlayer .trace")][i].querySelectorAll("path.point").forEach((p, k) =>
              { found[t.customdata[k]] = p.getBBox().width; }); });
          return found; }"""
    )
    params = {record.case.name: record.cost.params for record in run.records if record.cost}
    per_param = {name: math.pi * (width / 2) ** 2 / params[name] for name, width in drawn.items()}
    assert len(per_param) == 12
    assert max(per_param.values()) / min(per_param.values()) < 1.01


def test_a_heading_sorts_the_table_both_ways(shown: Shown, tmp_path: Path) -> None:
    run = runs.of_suite("default")
    page = shown.open(write_report([run], tmp_path / "page.html"))
    names = "() => [...document.querySelectorAll('table.sortable tbody tr')].map((r) => r.cells[0].textContent)"
    button = page.locator("table.sortable th button", has_text="Parameters")
    params = {r.case.name: r.cost.params for r in run.records if r.cost}
    button.click()
    assert page.evaluate(names) == sorted(params, key=lambda name: params[name])
    button.press("Enter")
    assert page.evaluate(names) == sorted(params, key=lambda name: -params[name])


def test_the_legend_hides_a_family(shown: Shown, tmp_path: Path) -> None:
    page = shown.open(write_report([runs.of_suite("default")], tmp_path / "page.html"))
    points = "() => document.querySelectorAll('#operations .scatterlayer path.point').length"
    before = page.evaluate(points)
    page.locator("#operations .legendtoggle").first.click()
    for _ in range(50):  # wait_for_function would need eval, which the page's policy forbids
        if page.evaluate(points) < before:
            return
        page.wait_for_timeout(100)
    raise AssertionError("nothing was hidden")


def test_hostile_names_are_text(shown: Shown, tmp_path: Path) -> None:
    path = write_report([runs.hostile()], tmp_path / "page.html")
    page = shown.open(path)
    assert page.evaluate("window.owned") is None
    body = page.inner_text("body")
    for name in runs.HOSTILE:
        assert name in body
    for place in ("#operations", "#latency"):
        assert page.evaluate(f"document.querySelectorAll('{place} img, {place} a, {place} script').length") == 0
    assert shown.asked == [path.as_uri()]
    assert shown.said == []


def test_what_the_policy_forbids_is_not_done(shown: Shown, tmp_path: Path) -> None:
    """The tests above would pass with a policy that allowed everything."""
    path = write_report([runs.of_suite("default")], tmp_path / "page.html")
    page = shown.open(path)
    page.evaluate("""() => { const s = document.createElement("script"); s.textContent = "window.owned = 1";
                            document.body.append(s); new Image().src = "http://127.0.0.1:9/x.png"; }""")
    page.wait_for_timeout(200)
    assert page.evaluate("window.owned") is None
    assert any("Content Security Policy" in text for text in shown.said)
