"""What helps to read a page: its contents, another axis, the table's search and columns, and who can use it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.report import write_report
from bench.report.figures import bubbles, tradeoff
from bench.report.figures.frame import FRAMES, WIDE
from tests import runs
from tests.report.test_browser import CHROMIUM, Shown, browser, shown, tab, whole  # noqa: F401 - fixtures

pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")]


def test_figure_2_has_a_logarithmic_axis_on_which_names_keep_apart() -> None:
    records = list(runs.of_suite("default").records)
    for frame in FRAMES:
        linear = bubbles.operations_figure(records, frame)
        other = bubbles.operations_figure(records, frame, logarithmic=True)
        assert other["layout"]["xaxis"]["type"] == "log"
        assert linear["layout"]["xaxis"].get("type") != "log"
        named = [
            {note["name"] for note in drawn["layout"]["annotations"] if note.get("name")} for drawn in (linear, other)
        ]
        assert named[1] >= named[0]


def test_earlier_runs_lie_faint_behind_and_only_those_of_this_machine_and_suite(tmp_path: Path) -> None:
    run = replace(runs.of_suite("default"), started_at="2026-03-03T10:00:00Z")
    before = replace(runs.of_suite("default", factor=1.2), started_at="2026-03-01T10:00:00Z")
    after = replace(before, started_at="2026-03-05T10:00:00Z")
    elsewhere = replace(before, machine=replace(before.machine, must_match=before.machine.must_match | {"cpu": "Z"}))
    shown_figure = tradeoff.tradeoff_figure(list(run.records), WIDE, earlier=[before])
    (trace,) = [each for each in shown_figure["data"] if each.get("meta") == "earlier"]
    at = {r.case.name: r.measurement.p50_ms for r in before.records if r.measurement}
    assert dict(zip(trace["customdata"], trace["x"], strict=True)) == {n: at[n] for n in trace["customdata"]}
    assert len(trace["x"]) >= 10
    assert shown_figure["data"].index(trace) < [each.get("meta") for each in shown_figure["data"]].index("bubbles")
    for others, drawn in (
        ([before], True),
        ([after], False),
        ([elsewhere], False),
        ([replace(before, suite="x")], False),
    ):
        text = write_report([run], tmp_path / "p.html", others=others).read_text(encoding="utf-8")
        assert ('"name":"earlier runs"' in text) is drawn


def test_the_command_and_the_commit_of_a_run_are_on_its_page(tmp_path: Path) -> None:
    run = replace(runs.of_suite("default"), command="bench run '<b>default'", commit="0123456789ab+")
    text = write_report([run], tmp_path / "p.html").read_text(encoding="utf-8")
    assert "<code>bench run &#39;&lt;b&gt;default&#39;</code> at commit <code>0123456789ab+</code>" in text
    assert "at commit" not in write_report([runs.of_suite("default")], tmp_path / "p.html").read_text(encoding="utf-8")


@pytest.fixture
def page(shown: Shown, tmp_path: Path) -> Iterator[Any]:  # noqa: F811 - the fixture
    yield shown.open(whole(runs.of_suite("default"), tmp_path))
    assert shown.said == []


def test_contents_stay_in_sight_and_lead_to_what_they_name(page: Any) -> None:
    links = page.evaluate("[...document.querySelectorAll('nav.contents a')].map((a) => a.getAttribute('href'))")
    assert len(links) >= 12
    assert page.evaluate("(links) => links.filter((l) => !document.querySelector(l))", links) == []
    page.locator("nav.contents a[href='#reading']").click()
    top = page.evaluate("document.querySelector('nav.contents').getBoundingClientRect().top")
    assert 0 <= top < 2
    heading = page.evaluate("document.querySelector('#reading').getBoundingClientRect()")
    assert heading["top"] < 900


def test_a_button_draws_the_other_axis_and_back(page: Any) -> None:
    kind = "document.getElementById('operations').layout.xaxis.type"
    button = page.locator("button.other[data-figure=operations]")
    button.focus()
    page.keyboard.press("Enter")
    assert page.evaluate(kind) == "log"
    assert button.get_attribute("aria-pressed") == "true"
    assert page.locator("#operations .scatterlayer path.point").count() >= 24
    page.keyboard.press("Enter")
    assert page.evaluate(kind) != "log"


def test_the_table_is_searched_and_its_columns_chosen(page: Any) -> None:
    rows = "[...document.querySelectorAll('#table tbody tr')].filter((r) => !r.hidden).map((r) => r.dataset.case)"
    page.locator("#search").fill("mobilenet v3")
    assert page.evaluate(rows) == ["MobileNetV3Large"]
    assert page.locator("#found").text_content() == "1 of 12 models"
    page.locator("#search").fill("")
    assert len(page.evaluate(rows)) == 12
    page.locator("#table-tools summary").click()
    boxes = page.locator("#columns input")
    heads = page.locator("#table thead th").count()
    assert boxes.count() == heads - 1
    boxes.nth(0).uncheck()
    shown_heads = (
        "[...document.querySelectorAll('#table tr')].every((row) => row.cells[1].hidden && !row.cells[2].hidden)"
    )
    assert page.evaluate(shown_heads)
    boxes.nth(0).check()
    assert not page.evaluate(shown_heads)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(page: Any, scheme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page.emulate_media(color_scheme=scheme)
    page.wait_for_timeout(500)
    found = Axe().run(page).response["violations"]
    serious = [
        (each["id"], each["help"], [node["html"][:160] for node in each["nodes"][:3]])
        for each in found
        if each["impact"] in ("serious", "critical")
    ]
    assert serious == []
