"""Pages and figures of runs that were made up: the right marks, no collisions, and hostile text that stays text."""

from __future__ import annotations

import html
import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench import comparison
from bench.errors import WrongUsage
from bench.records import Run
from bench.report import page, write_report
from bench.report.figures import bars, bubbles, kinds, labels, promise
from bench.report.figures.frame import FRAMES, WIDE, Frame
from bench.report.mobilenet import promises
from tests import runs

FRAME = pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: frame.name)


def traces(drawn: dict[str, Any], meta: str) -> list[dict[str, Any]]:
    return [trace for trace in drawn["data"] if trace.get("meta") == meta]


def joined(drawn: dict[str, Any], meta: str, key: str) -> list[Any]:
    return [value for trace in traces(drawn, meta) for value in trace[key]]


@FRAME
def test_figure_2_has_a_bubble_for_each_model_with_its_area(frame: Frame) -> None:
    run = runs.of_suite("default")
    drawn = bubbles.operations_figure(list(run.records), frame)
    by_name = {record.case.name: record for record in run.records}
    names = joined(drawn, "bubbles", "customdata")
    assert sorted(names) == sorted(by_name)
    for trace in traces(drawn, "bubbles"):
        assert trace["marker"]["sizemode"] == "area"
        for name, x, y, size in zip(trace["customdata"], trace["x"], trace["y"], trace["marker"]["size"], strict=True):
            record = by_name[name]
            assert record.cost is not None
            assert x == pytest.approx(2 * record.cost.mult_adds / 1e9)
            assert y == record.accuracy.top1
            assert size == record.cost.params
    scales = {t["marker"]["sizeref"] for t in (*traces(drawn, "bubbles"), *traces(drawn, "size-legend"))}
    assert len(scales) == 1
    assert len(joined(drawn, "centres", "x")) == len(by_name)


def test_a_variant_without_an_accuracy_is_hollow_at_the_foot() -> None:
    records = list(runs.swept().records)
    drawn = bubbles.operations_figure(records, WIDE)
    floor = drawn["layout"]["yaxis"]["range"][0]
    unknown = {r.case.name for r in records if r.accuracy.top1 is None}
    assert unknown
    for trace in traces(drawn, "bubbles"):
        for name, y, colour in zip(trace["customdata"], trace["y"], trace["marker"]["color"], strict=True):
            assert (colour == "rgba(0,0,0,0)") == (name in unknown)
            assert (y < floor + 2) == (name in unknown)


@FRAME
@pytest.mark.parametrize("suite", ["default", "mobilenet", "keras"])
@pytest.mark.parametrize("figure", [bubbles.operations_figure, bubbles.latency_figure])
def test_names_never_collide(figure: Any, suite: str, frame: Frame) -> None:
    """What Plotly is told to write where, in px: names against each other and against the plot's edges."""
    drawn = figure(list(runs.of_suite(suite).records), frame)
    layout = drawn["layout"]
    width = layout["width"] - layout["margin"]["l"] - layout["margin"]["r"]
    plot = layout["height"] - layout["margin"]["t"] - layout["margin"]["b"]
    bottom, top = layout["yaxis"].get("domain", [0, 1])
    (x0, x1), (y0, y1) = layout["xaxis"]["range"], layout["yaxis"]["range"]
    boxes = []
    for note in layout["annotations"]:
        if "xref" in note:
            continue
        x = (note["x"] - x0) / (x1 - x0) * width + note["ax"]
        y = (note["y"] - y0) / (y1 - y0) * plot * (top - bottom) - note["ay"]
        half = len(html.unescape(note["text"])) * 0.54 * frame.font / 2, frame.font * 1.15 / 2
        boxes.append((x - half[0], y - half[1], x + half[0], y + half[1]))
    assert len(boxes) >= (12 if suite != "keras" else 20)
    for i, a in enumerate(boxes):
        assert a[0] >= -1
        assert a[2] <= width + 1
        for b in boxes[:i]:
            assert not labels.overlap(a, b), (a, b)


def test_colliding_names_are_noticed() -> None:
    assert labels.overlap((0, 0, 10, 10), (9, 9, 20, 20))
    assert not labels.overlap((0, 0, 10, 10), (10, 0, 20, 10))


def test_the_pareto_front_dominates_all_else() -> None:
    records = list(runs.of_suite("keras").records)
    front = [r for r in records if not bubbles.dominators(r, records)]
    assert 1 < len(front) < len(records)
    for record in records:
        for better in bubbles.dominators(record, records):
            assert better.measurement is not None
            assert record.measurement is not None
            assert better.measurement.p50_ms <= record.measurement.p50_ms
            assert (better.accuracy.top1 or 0) >= (record.accuracy.top1 or 0)


def test_figure_1_goes_from_worst_to_best_on_the_axis_of_figure_2() -> None:
    records = list(runs.of_suite("default").records)
    drawn = bars.accuracy_figure(records, WIDE)
    heights = dict(zip(joined(drawn, "bars", "customdata"), joined(drawn, "bars", "y"), strict=True))
    ordered = [heights[name] for name in drawn["layout"]["xaxis"]["categoryarray"]]
    assert ordered == sorted(ordered)
    assert drawn["layout"]["yaxis"]["range"] == bubbles.operations_figure(records, WIDE)["layout"]["yaxis"]["range"]


def test_what_could_not_be_profiled_is_named() -> None:
    run = runs.of_suite("default")
    assert "Could not be profiled" not in rendered(run)
    first = replace(run.records[0], kinds_ms=None)
    assert "Could not be profiled: ResNet50." in rendered(replace(run, records=(first, *run.records[1:])))


def test_shares_of_time_sum_to_all_of_it() -> None:
    run = runs.of_suite("default")
    drawn = kinds.kinds_figure(list(run.records), WIDE)
    totals = [sum(shares) for shares in zip(*(trace["x"] for trace in traces(drawn, "kinds")), strict=True)]
    assert len(totals) == len(run.records)
    assert totals == pytest.approx([100.0] * len(totals))


@FRAME
def test_promises_are_drawn_where_they_are(frame: Frame) -> None:
    found = promises(runs.of_suite("mobilenet"))
    drawn = promise.promise_figure(found, frame)
    points = dict(zip(joined(drawn, "promises", "customdata"),
                      zip(joined(drawn, "promises", "x"), joined(drawn, "promises", "y"), strict=True),
                      strict=True))  # fmt: skip
    assert points == {p.case: (p.promised, p.measured) for p in found}
    assert len(points) == 15


def rendered(run: Run) -> str:
    return page.render(run, comparison.compare(run, run))


def without_library(text: str) -> str:
    """The page less its scripts, which hold Plotly's own code."""
    return re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)


def test_nothing_hostile_becomes_markup() -> None:
    text = rendered(runs.hostile())
    own = without_library(text)
    assert own.count("<script") == 1  # the figures' data
    for tag in ("<img", "<svg", "<b>bold", "<a href"):
        assert tag not in own
    data = re.search(r'<script type="application/json" id="figures">(.*?)</script>', text, re.DOTALL)
    assert data is not None
    assert "<" not in data[1]
    figures = json.loads(data[1])
    for note in figures["operations"]["wide"]["layout"]["annotations"]:
        assert not re.search(r"<(?!br|b>|/b>)", note["text"])
    for name in runs.HOSTILE:
        assert html.escape(name, quote=False)[:20] in own.replace("&#34;", '"').replace("&#39;", "'")


def test_a_page_allows_its_own_scripts_and_nothing_else() -> None:
    text = rendered(runs.of_suite("default"))
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    assert policy[1].startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-eval" not in policy[1]
    assert "http" not in policy[1]
    own = without_library(text)
    assert not re.search(r"""(src|href)\s*=""", own)
    assert "url(" not in own


@pytest.mark.parametrize("suite", ["default", "keras"])
def test_every_model_has_a_row_with_units_and_interval(suite: str) -> None:
    run = runs.of_suite(suite)
    text = rendered(run)
    for record in run.records:
        assert re.search(rf"<th scope=row [^>]*>{re.escape(html.escape(record.case.name))}</th>", text)
    assert len(re.findall(r"\d ms \[[\d.]+, [\d.]+\]", text)) >= len(run.records)


def test_what_failed_and_what_is_unknown_is_said() -> None:
    run = runs.of_suite("default")
    broken = replace(run.records[1], measurement=None, artifact=None, cost=None, error="export failed: out of cheese")
    text = rendered(replace(run, records=(run.records[0], broken, *run.records[2:])))
    assert "out of cheese" in text
    assert "not measured" in text


def test_a_run_without_a_single_measurement_still_has_a_page() -> None:
    run = runs.of_suite("default")
    nothing = tuple(
        replace(r, measurement=None, cost=None, artifact=None, kinds_ms=None, error="no") for r in run.records
    )
    assert "Not measured" in rendered(replace(run, records=nothing))


def test_formats_are_told_by_the_name(tmp_path: Path) -> None:
    run = runs.of_suite("default")
    assert write_report([run], tmp_path / "deep" / "page.html").stat().st_size > 1_000_000
    with pytest.raises(WrongUsage, match='no report format "hmtl"; did you mean "html"'):
        write_report([run], tmp_path / "page.hmtl")
    with pytest.raises(WrongUsage, match="no run to report"):
        write_report([], tmp_path / "page.html")


def test_a_site_has_a_page_for_each_run_and_an_index(tmp_path: Path) -> None:
    three = [runs.of_suite("default"), replace(runs.of_suite("mobilenet"), started_at="2026-03-02T10:00:00Z"),
             replace(runs.hostile(), started_at="2026-03-03T10:00:00Z")]  # fmt: skip
    index = write_report([*three, three[0]], tmp_path / "site")
    text = index.read_text(encoding="utf-8")
    links = re.findall(r'href="([^"]*)"', text)
    assert len(links) == len(set(links)) == 4
    assert all((index.parent / link).is_file() for link in links)
    for tag in ("<script", "<img", "<svg"):
        assert tag not in text


def test_diameters_make_areas_proportional() -> None:
    small, large = bubbles.diameter(5_000_000, WIDE), bubbles.diameter(20_000_000, WIDE)
    assert math.isclose(large / small, 2.0)
