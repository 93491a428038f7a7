"""Choosing on the page: limits in the figures and in the address, models side by side, all of it from the keyboard."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from bench.analysis import answer, choice, comparison
from bench.cli import main
from bench.report import write_report
from bench.report.figures.kinds import LOOKS
from bench.units import quantity
from tests import runs
from tests.capacity.test_shown import loaded
from tests.report.test_browser import CHROMIUM, Shown, browser, shown, tab, until  # noqa: F401

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium; `apt-get install chromium` runs these tests"),
]
RUN = runs.of_suite("default", spread=0.05)
SAID = "[...document.querySelectorAll('#said li')].map((line) => line.textContent)"
SHAPES = (
    "(id) => (document.getElementById(id).layout.shapes ?? []).map((s) => [s.type, s.x0, s.y0, s.label?.text ?? ''])"
)
STANDING = """(name) => [...new Set([...document.querySelectorAll(":is(.figure, #table) [data-case]")]
  .filter((mark) => mark.dataset.case === name)
  .map((mark) => ["won", "tied", "outside"].filter((standing) => mark.classList.contains(standing)).join()))]"""


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report([RUN], tmp_path_factory.mktemp("page") / "page.html")


def opened(shown: Shown, path: Path, state: str = "", *, drawn: bool = False) -> Any:  # noqa: F811
    """The page at an address with this state; `drawn` waits for the figures."""
    page = shown.page
    page.goto("about:blank")
    page.goto(f"{path.as_uri()}#{state}")
    if drawn:
        page.wait_for_selector("html[data-ready=yes]")
    return page


def words(limits: dict[str, float], like: str | None = None) -> list[str]:
    return [line.strip() for line in answer.in_words(choice.pick(RUN, limits, like=like))]


def test_an_address_opens_the_choice_that_it_was_copied_from(shown: Shown, path: Path) -> None:  # noqa: F811
    page = opened(shown, path, "p50=20ms&size=30MB&like=MobileNet&side=MobileNet&side=ResNet50")
    assert page.evaluate(SAID) == words({"p50": 20.0, "size": 3e7}, "MobileNet")
    assert page.input_value("#limit-p50") == "20.0 ms"
    assert page.inner_text("#command") == "bench pick --size 30MB --p50 20ms --like MobileNet"
    assert page.locator("#beside-tables thead th").all_inner_texts()[1:3] == ["MobileNet ×", "ResNet50 ×"]
    page.fill("#limit-p50", "25")
    page.press("#limit-p50", "Enter")
    assert page.evaluate(SAID) == words({"p50": 25.0, "size": 3e7}, "MobileNet")
    address = until(page, "location.hash", lambda text: "25ms" in text)
    assert parse_qs(address[1:]) == {
        "p50": ["25ms"], "size": ["30MB"], "like": ["MobileNet"], "side": ["MobileNet", "ResNet50"]
    }  # fmt: skip
    page.click("#reset")
    assert page.evaluate(SAID) == words({})
    until(page, "location.hash", lambda text: text == "")
    assert shown.said == []


def test_a_place_on_the_page_and_the_choice_share_the_address(shown: Shown, path: Path) -> None:  # noqa: F811
    page = opened(shown, path, "p50=20ms")
    page.evaluate("location.hash = 'models-heading'")
    until(page, "location.hash", lambda text: text == "#p50=20ms&at=models-heading")
    assert page.evaluate(SAID) == words({"p50": 20.0})
    page = opened(shown, path, "p50=20ms&at=models-heading")
    assert page.evaluate("scrollY") > 500


def test_an_address_that_comes_before_the_last_one_is_written_is_read(shown: Shown, path: Path) -> None:  # noqa: F811
    page = opened(shown, path, "p50=20ms")
    # As on a busy machine: the timer that writes the first limit comes before the event of the new address.
    page.evaluate("""new Promise((done) => {
      const timer = window.setTimeout;
      let due = null;
      window.setTimeout = (call) => { due = call; };
      addEventListener("hashchange", () => {
        window.setTimeout = timer;
        location.hash = "size=30MB";
        due();
        done();
      }, { once: true });
      location.hash = "p50=25ms";
    })""")
    until(page, SAID, lambda text: text == words({"size": 3e7}))
    page.wait_for_timeout(500)
    assert page.evaluate(SAID) == words({"size": 3e7})
    assert parse_qs(page.evaluate("location.hash")[1:]) == {"size": ["30MB"]}


def test_an_address_that_cannot_be_meant_limits_nothing(shown: Shown, path: Path) -> None:  # noqa: F811
    page = opened(shown, path, "p50=soon")
    assert page.evaluate(SAID) == words({})
    for state in ("nothing=1&like=nobody&side=%E0%A4%A", "top1=0.7", "p50=-3", "like=</script>", "=&&=&#"):
        page.evaluate("location.hash = 'p50=20ms'")
        until(page, SAID, lambda text: text == words({"p50": 20.0}))
        page.evaluate("(state) => { location.hash = state; }", state)
        until(page, SAID, lambda text: text == words({}))
    page = opened(shown, path, "%E0%A4%A")
    assert page.evaluate(SAID) == words({})
    assert shown.said == []


def test_a_limit_that_cannot_be_meant_is_asked_about(shown: Shown, path: Path) -> None:  # noqa: F811
    page = opened(shown, path)
    page.fill("#limit-top1", "0.7")
    page.press("#limit-top1", "Enter")
    assert page.inner_text("#objection") == "top-1 0.7 means 0.7 %; did you mean 70?"
    assert page.evaluate(SAID) == words({})
    page.fill("#limit-top1", "70")
    page.press("#limit-top1", "Enter")
    assert page.inner_text("#objection") == ""
    assert page.evaluate(SAID) == words({"top1": 70.0})


def test_limits_move_the_figures(shown: Shown, path: Path) -> None:  # noqa: F811
    page = opened(shown, path, "p50=20ms&top1=72", drawn=True)
    drawn = until(page, f"({SHAPES})('latency')")
    assert [shape[0] for shape in drawn] == ["rect", "line", "rect", "line"]
    assert (drawn[1][1], drawn[1][3]) == (20, "p50 ≤ 20.0 ms")
    assert (drawn[3][2], drawn[3][3]) == (72, "top-1 ≥ 72.0 %")
    assert [shape[3] for shape in page.evaluate(SHAPES, "size") if shape[0] == "line"] == ["top-1 ≥ 72.0 %"]
    chosen = choice.pick(RUN, {"p50": 20.0, "top1": 72.0})
    assert chosen.winner is not None
    standing = {r.case.name: page.evaluate(STANDING, r.case.name) for r in RUN.records}
    assert standing.pop(chosen.winner.case) == ["won"]
    for name in chosen.ties:
        assert standing.pop(name) == ["tied"]
    for record in RUN.records:
        if record.case.name in standing and record.measurement:
            within = record.measurement.p50_ms <= 20 and (record.accuracy.top1 or 0) >= 72
            assert standing[record.case.name] == ["" if within else "outside"]
    page.fill("#limit-size", "30MB")
    page.press("#limit-size", "Enter")
    drawn = until(page, f"({SHAPES})('size')", lambda shapes: len(shapes) == 4)
    assert drawn[1][1] == 30
    page.click("#reset")
    until(page, f"({SHAPES})('latency').length", lambda count: count == 0)
    assert page.evaluate(STANDING, chosen.winner.case) == [""]


def test_models_side_by_side_with_ratios_and_layers(shown: Shown, path: Path) -> None:  # noqa: F811
    page = opened(shown, path)
    assert "Tick two to four models" in page.inner_text("#beside-tables")
    for name in ("MobileNet", "VGG16"):
        page.check(f'#table tr[data-case="{name}"] input.side')
    small, large = (next(r for r in RUN.records if r.case.name == name) for name in ("MobileNet", "VGG16"))
    cells = {row[0]: row[1:] for row in rows(page, 0)}
    assert small.measurement
    assert large.measurement
    shift, down, up = comparison.log_ratio(small.measurement, large.measurement)
    middle, low, high = (f"{math.exp(value):.3g}" for value in (shift, shift - down, shift + up))
    m = large.measurement
    assert cells["p50"][1] == f"{quantity(m.p50_ms, 'ms', (m.p50_ms_low, m.p50_ms_high))}{middle}× [{low}, {high}]"
    assert cells["top-1"][1].startswith("71.3 % [70.9, 71.7]+0.9 points [+0.3, +1.5]")
    assert cells["file size"][1].endswith("×")
    assert "[" not in cells["top-5"][1]  # what is published without images behind it has no interval
    assert page.locator("#beside-tables .change.slower").count() >= 3
    times = {row[0]: row[1:] for row in rows(page, 1)}
    assert small.kinds_ms
    share = small.kinds_ms["pointwise"] / sum(small.kinds_ms.values())
    expected = f"{quantity(share * small.measurement.p50_ms, 'ms')} ({100 * share:.0f} %)"
    assert times[LOOKS["pointwise"][0]][0] == expected
    for name in ("ResNet50", "Xception"):
        page.check(f'#table tr[data-case="{name}"] input.side')
    assert page.locator("#table input.side:not(:checked)").first.is_disabled()
    page.click('#beside-tables button[aria-label="Take VGG16 out"] >> nth=0')
    assert page.locator("#beside-tables table").first.locator("thead th").count() == 4
    assert not page.is_checked('#table tr[data-case="VGG16"] input.side')


def rows(page: Any, table: int) -> list[list[str]]:
    cells = """(table) => [...table.tBodies[0].rows].map((row) =>
      [...row.cells].map((cell) => cell.textContent.replaceAll("\\u00a0", " ")))"""
    found: list[list[str]] = page.locator("#beside-tables table").nth(table).evaluate(cells)
    return found


def test_from_the_keyboard_alone_a_model_is_chosen_compared_and_shared(shown: Shown, path: Path) -> None:  # noqa: F811
    page = opened(shown, path)
    tab_until(page, lambda: page.evaluate("document.activeElement.id") == "limit-p50")
    page.keyboard.type("20")
    page.keyboard.press("Enter")
    assert page.evaluate(SAID)[0] == words({"p50": 20.0})[0]
    tab_until(page, lambda: page.evaluate("document.activeElement.id") == "like")
    tab_until(page, lambda: page.evaluate("document.activeElement.id") == "beside")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    assert page.locator("#beside-tables table").count() == 2
    assert page.evaluate("document.activeElement.id") == "side"
    page.keyboard.press("Shift+Tab")
    tab_until(page, lambda: page.evaluate("document.activeElement.id") == "share", "Shift+Tab")
    page.keyboard.press("Enter")
    link = page.input_value("#link")
    assert page.evaluate("document.activeElement.id") == "link"
    winner = choice.pick(RUN, {"p50": 20.0}).winner
    assert winner is not None
    assert parse_qs(link.split("#")[1])["side"][0] == winner.case
    said, before = page.evaluate(SAID), page.locator("#beside-tables").inner_text()
    page.goto("about:blank")
    page.goto(link)
    assert page.evaluate(SAID) == said
    assert page.locator("#beside-tables").inner_text() == before


def tab_until(page: Any, arrived: Callable[[], bool], key: str = "Tab") -> None:
    for _ in range(60):
        if arrived():
            return
        page.keyboard.press(key)
    raise AssertionError("never reached")


def test_the_questions_of_five_people(shown: Shown, path: Path) -> None:  # noqa: F811
    asked: list[tuple[str, dict[str, float], str | None]] = [
        ("p50=20ms", {"p50": 20.0}, None),
        ("size=30MB", {"size": 3e7}, None),
        ("p95=30ms&memory=300MB", {"p95": 30.0, "memory": 3e8}, None),
        ("power=5W", {"power": 5.0}, None),
        ("like=ResNet50", {}, "ResNet50"),
    ]
    page = opened(shown, path)
    assert "Not known of any model here: power" in page.inner_text("body")
    for state, limits, like in asked:
        page.evaluate("(state) => { location.hash = state; }", state)
        expected = words(limits, like)
        until(page, SAID, lambda text, expected=expected: text == expected)


def test_requests_a_second_are_limited_as_bench_pick_limits_them(
    shown: Shown,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """By the slider, alone and with p99, from seldom requests to more than any model holds; and by cameras."""
    run = loaded(0.3, 9.0, 40.0, 25.0, 12.0, None, 3.0, 6.0)
    stored = runs.stored(run, tmp_path / "results")

    def picked(line: str) -> list[str]:
        with pytest.raises(SystemExit):
            main(["pick", str(stored), *line.split()])
        first, *lines = [each.strip() for each in capsys.readouterr().out.splitlines()]
        assert first == "this run is sound"  # which the page says in its heading
        return lines

    page = opened(shown, write_report([run], tmp_path / "page.html"))
    answers = set()
    for rps, p99 in ((1, None), (60, None), (140, None), (199, None), (140, 199), (140, 20)):
        page.evaluate(
            """(steps) => document.querySelectorAll("#limits input[type=range]").forEach((slider) => {
              slider.value = steps[slider.dataset.limit] ?? slider.defaultValue;
              slider.dispatchEvent(new Event("input", { bubbles: true })); })""",
            {"rps": rps} if p99 is None else {"rps": rps, "p99": p99},
        )
        command = page.inner_text("#command").removeprefix("bench pick ")
        assert "--rps" in command
        assert page.evaluate(SAID) == picked(command)
        answers.add(tuple(page.evaluate(SAID)))
    assert len(answers) >= 4
    page = opened(shown, tmp_path / "page.html")
    page.fill("#limit-rps", "10")
    page.press("#limit-rps", "Enter")
    assert page.evaluate(SAID) == picked("--streams 2 --fps 5") == picked("--rps 10")
    assert shown.said == []
