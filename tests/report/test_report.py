"""Pages and figures of runs that were made up: the right marks, no collisions, and hostile text that stays text."""

from __future__ import annotations

import html
import itertools
import json
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from plotly.offline import get_plotlyjs

from bench.analysis import comparison, front
from bench.errors import WrongUsage
from bench.records import Accuracy, Case, DetectionAccuracy, Record, Roofline, Run
from bench.report import drawings, families, page, write_report
from bench.report.figures import bars, bubbles, fit, forest, kinds, labels, promise, samples, sweep, tradeoff
from bench.report.figures.figure import Figure, Subject
from bench.report.figures.frame import FRAMES, WIDE, Frame, layout, plain
from bench.report.mobilenet import promises
from bench.suites import backbones
from tests import runs

FRAME = pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: frame.name)


def traces(drawn: dict[str, Any], meta: str) -> list[dict[str, Any]]:
    return [trace for trace in drawn["data"] if trace.get("meta") == meta]


def known(value: Any) -> Any:
    assert value is not None
    return value


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
    (legend,) = traces(drawn, "size-legend")
    assert (legend["marker"]["sizemode"], legend["marker"]["size"]) == ("area", list(bubbles.LEGEND_PARAMS))
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


@pytest.mark.long
@FRAME
@pytest.mark.parametrize("suite", ["default", "mobilenet", "keras"])
@pytest.mark.parametrize(
    "figure",
    [
        bubbles.operations_figure,
        *(partial(tradeoff.tradeoff_figure, price=p) for p in (tradeoff.LATENCY, tradeoff.SIZE, tradeoff.MEMORY)),
        lambda records, frame: fit.fit_figure(known(fit.fit(records)), frame),
    ],
    ids=["operations", "latency", "size", "memory", "fit"],
)
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
        half = labels.text_width(html.unescape(note["text"])) * frame.font / 2, frame.font * 1.15 / 2
        boxes.append((x - half[0], y - half[1], x + half[0], y + half[1]))
    assert len(boxes) >= (8 if suite == "mobilenet" else 12 if suite == "default" else 20)
    for i, a in enumerate(boxes):
        assert a[0] >= -1
        assert a[2] <= width + 1
        for b in boxes[:i]:
            assert not labels.overlap(a, b), (a, b)


@pytest.mark.long
@FRAME
@pytest.mark.parametrize("suite", ["default", "mobilenet", "keras"])
def test_every_model_on_the_front_is_named(suite: str, frame: Frame) -> None:
    records = list(runs.of_suite(suite).records)
    for price in (tradeoff.LATENCY, tradeoff.SIZE, tradeoff.MEMORY):
        drawn = tradeoff.tradeoff_figure(records, frame, price)
        named = [note["name"] for note in drawn["layout"]["annotations"] if "name" in note]
        best = [r.case.name for r in front.pareto(records, price.value)]
        assert sorted(named[: len(best)]) == sorted(best)  # first, so that the page hides others when they collide


def test_the_front_is_named_where_there_is_hardly_room() -> None:
    """Forty points in a small heap: without `first`, some of the front's names would find no place."""
    points = [labels.Point(f"a rather long name {i}", 150 + 3 * (i % 7), 100 + 3 * (i // 7), 5.0) for i in range(40)]
    without = labels.place(points, 344, 220, 10)
    lost = [i for i, label in enumerate(without) if label is None]
    assert len(lost) > 3
    named = labels.place(points, 344, 220, 10, first=lost[:4])
    assert all(named[i] for i in lost[:4])


def test_names_lie_near_their_points() -> None:
    """A free point's name lies beside it, outside of its bubble, and intervals do not push it far away."""
    (label,) = labels.place([labels.Point("VGG16", 200, 100, 40.0)], 400, 200, 12)
    assert label is not None
    box = labels.box_of(label, labels.Point("VGG16", 200, 100, 40.0), 12)
    assert box[0] >= 240 or box[2] <= 160 or box[1] >= 140 or box[3] <= 60
    assert not label.leader
    everywhere = [(0.0, y, 400.0, y + 4) for y in range(0, 200, 5)]  # intervals that no name can keep off
    (crossing,) = labels.place([labels.Point("VGG16", 200, 100, 5.0)], 400, 200, 12, soft=everywhere)
    assert crossing is not None
    assert math.hypot(crossing.dx, crossing.dy) < 40


def test_what_all_names_share_is_left_out_of_figures() -> None:
    cases = [Case(name=f"MobileNet alpha={alpha} head=notes", model="MobileNet", input_shape=(224, 224, 3),
                  arguments={"alpha": alpha}) for alpha in (0.5, 0.75, 1.0)]  # fmt: skip
    records = [runs.record(case) for case in cases]
    drawn = bubbles.operations_figure(records, WIDE)
    notes = [note for note in drawn["layout"]["annotations"] if "name" in note]
    assert sorted(note["text"] for note in notes) == [f"MobileNet alpha={alpha}" for alpha in (0.5, 0.75, 1.0)]
    assert sorted(note["name"] for note in notes) == sorted(case.name for case in cases)
    drawn = bars.density_figure([replace(r, accuracy=Accuracy(origin="published", top1=70.0)) for r in records], WIDE)
    assert sorted(joined(drawn, "bars", "x")) == [f"MobileNet alpha={alpha}" for alpha in (0.5, 0.75, 1.0)]
    assert labels.shorter(["a x", "a x"]) == {"a x": "a x"}
    assert labels.shorter(["net", "net int8"]) == {"net": "net", "net int8": "net int8"}


def test_colliding_names_are_noticed() -> None:
    assert labels.overlap((0, 0, 10, 10), (9, 9, 20, 20))
    assert not labels.overlap((0, 0, 10, 10), (10, 0, 20, 10))


def test_the_pareto_front_dominates_all_else() -> None:
    records = list(runs.of_suite("keras").records)
    p50 = tradeoff.LATENCY.value
    judged = [r for r in records if r.accuracy.top1 is not None]
    best = front.pareto(records, p50)
    assert best == sorted((r for r in judged if not front.dominators(r, records, p50)), key=lambda r: p50(r) or 0)
    assert 1 < len(best) < len(judged)
    for record in records:
        for better in front.dominators(record, records, p50):
            assert better.measurement is not None
            assert record.measurement is not None
            assert better.measurement.p50_ms <= record.measurement.p50_ms
            assert (better.accuracy.top1 or 0) >= (record.accuracy.top1 or 0)


def test_figure_1_goes_from_worst_to_best_on_the_axis_of_figure_2() -> None:
    records = sorted(runs.of_suite("default").records, key=lambda r: -(r.accuracy.top1 or 0))  # best first
    drawn = bars.accuracy_figure(records, WIDE)
    heights = dict(zip(joined(drawn, "bars", "customdata"), joined(drawn, "bars", "y"), strict=True))
    ordered = [heights[name] for name in drawn["layout"]["xaxis"]["categoryarray"]]
    assert ordered == [record.accuracy.top1 for record in reversed(records)]
    assert len(set(ordered)) > 5
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
    visits = [v for r in run.records if r.measurement for v in runs.visits(r.case.name, r.measurement.p50_ms)]
    return page.render(run, comparison.compare(run, run), visits)


def without_library(text: str) -> str:
    """The page less its scripts, which hold Plotly's own code."""
    return re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)


def test_nothing_hostile_becomes_markup() -> None:
    text = rendered(runs.hostile())
    own = without_library(text)
    assert own.count("<script") == 2  # the figures' and the models' data
    own = own.replace('<a href="#', "<a to=")  # the table of contents
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
    assert not re.search(r"""(src|href)\s*=(?!"#[a-z-]+")""", own)
    assert "url(" not in own


@pytest.mark.long
@pytest.mark.parametrize("suite", ["default", "keras"])
def test_every_model_has_a_row_with_units_and_interval(suite: str) -> None:
    run = runs.of_suite(suite)
    text = rendered(run)
    for record in run.records:
        assert re.search(rf"<th scope=row data-value=[^>]*>{re.escape(html.escape(record.case.name))}</th>", text)
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


@pytest.mark.long
@FRAME
@pytest.mark.parametrize("price", [tradeoff.LATENCY, tradeoff.SIZE, tradeoff.MEMORY], ids=["latency", "size", "memory"])
def test_a_dominated_model_is_pale_and_names_who_dominates_it(frame: Frame, price: tradeoff.Price) -> None:
    records = list(runs.of_suite("keras").records)
    by_name = {r.case.name: r for r in records}
    drawn = tradeoff.tradeoff_figure(records, frame, price)
    seen = 0
    for trace in traces(drawn, "bubbles"):
        for name, text, opacity in zip(trace["customdata"], trace["text"], trace["marker"]["opacity"], strict=True):
            better = front.dominators(by_name[name], records, price.value)
            assert (opacity < 0.5) == bool(better) == ("dominated by" in text)
            if better:
                seen += 1
                assert f"dominated by {better[0].case.name}" in text
    assert seen > 5
    best = front.pareto(records, price.value)
    (line,) = traces(drawn, "front")
    assert line["y"] == [r.accuracy.top1 for r in best]


def detection(name: str, points: float) -> Record:
    made = runs.record(Case(name=name, model="MobileNetV2", input_shape=(96, 96, 3)))
    found = DetectionAccuracy(map=points, ap50=points + 20, ap75=points, notes_map50=points + 18, mean_iou=70,
                              class_accuracy=80, presence_accuracy=90)  # fmt: skip
    return replace(made, accuracy=Accuracy(origin="measured", n=500, detection=found))


def test_detectors_are_drawn_on_an_axis_of_map() -> None:
    records = [detection("small", 31.0), detection("large", 44.5)]
    for drawn in (bubbles.operations_figure(records, WIDE), tradeoff.tradeoff_figure(records, WIDE)):
        assert drawn["layout"]["yaxis"]["title"]["text"] == "COCO mAP @[.5:.95] [%]"
        assert sorted(joined(drawn, "bubbles", "y")) == [31.0, 44.5]
        assert all(symbol.endswith("-open") for t in traces(drawn, "centres") for symbol in t["marker"]["symbol"])
    text = rendered(runs.run(records))
    assert "mAP @[.5:.95]</button>" in text
    assert "without limits: " in text
    assert "44.5 %" in text


def test_measured_accuracies_are_marked_as_such() -> None:
    records = list(runs.swept().records)
    measured = {r.case.name for r in records if r.accuracy.origin == "measured"}
    assert measured
    drawn = tradeoff.tradeoff_figure(records, WIDE)
    for trace in traces(drawn, "centres"):
        for name, symbol in zip(trace["customdata"], trace["marker"]["symbol"], strict=True):
            assert symbol.endswith("-open") == (name in measured)
    heights = [trace["error_y"]["array"] for trace in traces(drawn, "bubbles") if "error_y" in trace]
    assert sum(value is not None for values in heights for value in values) == len(measured)
    assert "Rings with a vertical interval" in rendered(runs.swept())
    assert "Rings with a vertical interval" not in rendered(runs.of_suite("default"))


def test_an_arrow_leads_from_fp32_to_int8() -> None:
    full = runs.record(Case(name="MobileNet", model="MobileNet", input_shape=(224, 224, 3)))
    small = runs.record(Case(name="MobileNet int8", model="MobileNet", input_shape=(224, 224, 3), precision="int8"))
    measured = Accuracy(origin="measured", top1=68.0, n=5000, top1_low=66.7, top1_high=69.3)
    drawn = tradeoff.tradeoff_figure([full, replace(small, accuracy=measured)], WIDE)
    (arrow,) = (note for note in drawn["layout"]["annotations"] if note.get("axref") == "x")
    assert full.measurement is not None
    assert (10 ** arrow["ax"], arrow["ay"]) == (pytest.approx(full.measurement.p50_ms), full.accuracy.top1)
    assert arrow["y"] == 68.0
    unknown = tradeoff.tradeoff_figure([full, small], WIDE)["layout"]["annotations"]
    assert not [note for note in unknown if note.get("axref")]


def test_the_fit_is_a_least_squares_line_and_its_residuals_are_drawn() -> None:
    records = list(runs.of_suite("keras").records)
    found = known(fit.fit(records))
    exact = [replace(r, measurement=replace(r.measurement, p50_ms=7 * g**0.8))
             for r, g in zip(found.records, found.gops, strict=True)]  # fmt: skip
    line = known(fit.fit(exact))
    assert (line.factor, line.exponent, line.r2) == (pytest.approx(7), pytest.approx(0.8), pytest.approx(1))
    assert line.ratios == pytest.approx([1.0] * len(exact))
    drawn = fit.residuals_figure(found, WIDE)
    assert sorted(joined(drawn, "residuals", "x")) == sorted(found.ratios)
    assert math.exp(sum(map(math.log, found.ratios)) / len(found.ratios)) == pytest.approx(1)
    assert fit.fit(records[:3]) is None


@pytest.mark.filterwarnings("error")
def test_networks_of_nearly_one_size_have_no_line_and_their_page_is_drawn(tmp_path: Path) -> None:
    run = runs.of_suite("keras")
    alike = [replace(r, cost=replace(known(r.cost), mult_adds=3_538_944 + 320 * (i % 2)))
             for i, r in enumerate(run.records[:6])]  # fmt: skip
    assert fit.fit(alike) is None
    write_report([replace(run, records=tuple(alike))], tmp_path)


def test_the_roofline_bounds_what_was_achieved() -> None:
    """Each network lies at its own figures under min(peak, bandwidth x intensity); an impossible one is named."""
    run = runs.of_suite("default")
    assert "roof" not in [figure.id for figure in drawings.figures(run)]
    case = run.records[0].case
    roof = Roofline(gflops=300.0, gbytes_per_s=25.0, threads=case.threads or 1, provider=str(case.provider))
    run = replace(run, roofline=roof)
    found = known(next(figure for figure in drawings.figures(run) if figure.id == "roof"))
    drawn = found.draw(WIDE)
    (line,) = [trace for trace in drawn["data"] if trace.get("meta") == "roof"]
    assert line["x"][1] == pytest.approx(12)
    assert line["y"] == pytest.approx([25 * line["x"][0], 300, 300])
    heights = dict(zip(joined(drawn, "roofed", "customdata"), joined(drawn, "roofed", "y"), strict=True))
    for r in run.records:
        assert r.cost is not None
        assert r.measurement is not None
        assert heights[r.case.name] == pytest.approx(2 * r.cost.mult_adds / r.measurement.p50_ms / 1e6)
    slow = drawings.figures(replace(run, roofline=replace(roof, gflops=1.0)))
    (figure,) = [one for one in slow if one.id == "roof"]
    assert any(run.records[0].case.name in note for note in figure.notes)


def test_a_figure_is_one_function_and_one_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A made-up figure, as a file of its own would hold it, is on the page, and among the pictures."""

    def loads(subject: Subject) -> Iterator[Figure]:
        times = {r.case.name: r.measurement.load_ms for r in subject.records if r.measurement}
        if times:
            yield Figure(
                id="loads", title="How long loading takes", question="Does it start in time?", alternative="Bars",
                draw=lambda frame: {"data": [{"type": "bar", "x": list(times), "y": list(times.values())}],
                                    "layout": layout(frame, x={}, y={"title": {"text": "Load [ms]"}})},
            )  # fmt: skip

    run = runs.of_suite("default")
    assert "loads" not in [figure.id for figure in drawings.figures(run)]
    monkeypatch.setattr(drawings, "FIGURES", [loads, *drawings.FIGURES])
    assert drawings.figures(run)[0].id == "loads"
    text = rendered(run)
    assert "Does it start in time?" in text
    assert '<div class="figure" id="loads"' in text
    nothing = tuple(replace(record, measurement=None, error="no") for record in run.records)
    assert "loads" not in [figure.id for figure in drawings.figures(replace(run, records=nothing))]


def test_density_is_accuracy_over_parameters() -> None:
    records = list(runs.of_suite("default").records)
    drawn = bars.density_figure(records, WIDE)
    heights = dict(zip(joined(drawn, "bars", "customdata"), joined(drawn, "bars", "y"), strict=True))
    for r in records:
        assert r.cost is not None
        assert heights[r.case.name] == pytest.approx((r.accuracy.top1 or 0) / (r.cost.params / 1e6))


def test_sweeps_join_what_differs_in_nothing_else() -> None:
    records = list(runs.swept().records)
    found = sweep.sweeps(records, "batch_size")
    assert {name: [r.case.batch_size for r in group] for name, group in found.items()} == {
        "MobileNet": [1, 2, 4, 8], "ResNet50": [1, 2, 4, 8]
    }  # fmt: skip
    assert {len(group) for group in sweep.sweeps(records, "threads").values()} == {2}
    assert sweep.sweeps(list(runs.of_suite("default").records), "batch_size") == {}
    drawn = sweep.sweep_figure(records, WIDE, "batch_size")
    for trace in traces(drawn, "sweep"):
        assert len(trace["x"]) == len(trace["y"]) == 4
        assert all(value >= 0 for side in ("array", "arrayminus") for value in trace["error_y"][side])


def test_samples_are_thinned_but_keep_their_extremes_and_disturbed_visits() -> None:
    record = runs.record(Case(name="net", model="VGG16", input_shape=(224, 224, 3)))
    visits = runs.visits("net", known(record.measurement).p50_ms, rounds=40, samples=2000, disturbed=2)
    drawn = samples.samples_figure([record], visits, WIDE)
    count = sum(len(trace["x"]) for trace in drawn["data"])
    assert count < 1.1 * samples.POINTS
    assert len(traces(drawn, "disturbed")) == 2
    assert "others used 40 % of the cores" in traces(drawn, "disturbed")[0]["text"]
    highest = max(value for visit in visits for value in visit.samples_ns) / 1e6 / known(record.measurement).p50_ms
    assert max(joined(drawn, "samples", "y") + joined(drawn, "disturbed", "y")) == pytest.approx(highest, rel=1e-3)


def test_the_forest_holds_every_verdict_its_margin_and_what_could_be_seen() -> None:
    old, new = runs.of_suite("default"), runs.of_suite("default", factor=1.1, seed=2)
    compared = comparison.compare(old, new)
    drawn = forest.forest_figure(compared, WIDE)
    changes = dict(zip(joined(drawn, "verdicts", "customdata"), joined(drawn, "verdicts", "x"), strict=True))
    assert changes == {v.case: pytest.approx(v.ratio) for v in compared.verdicts}
    band = drawn["layout"]["shapes"][0]
    assert (band["x0"], band["x1"]) == (1 / (1 + compared.margin), 1 + compared.margin)
    seen = dict(zip(joined(drawn, "detectable", "customdata"), joined(drawn, "detectable", "x"), strict=True))
    assert seen == {v.case: pytest.approx(1 + (v.detectable or 0)) for v in compared.verdicts}


@pytest.mark.parametrize("factor", [0.25, 0.98, 1.1, 3.5, 40.0])
def test_the_forest_has_a_logarithmic_axis_with_few_round_ticks_and_nothing_that_cannot_be(factor: float) -> None:
    compared = comparison.compare(runs.of_suite("default"), runs.of_suite("default", factor=factor, seed=2))
    drawn = forest.forest_figure(compared, WIDE)
    axis = drawn["layout"]["xaxis"]
    low, high = (10**end for end in axis["range"])
    ticks = axis["tickvals"]
    assert axis["type"] == "log"
    assert 1.0 in ticks
    assert 2 <= len(ticks) <= 10
    assert all(low <= value <= high for value in ticks)
    assert axis["ticktext"] == [f"{value:g}x" for value in ticks]
    for name in ("verdicts", "detectable"):
        assert all(low < value < high for value in joined(drawn, name, "x"))
    if factor in (0.25, 3.5):
        assert {0.5, 2.0} & set(ticks)


def test_the_layout_tax_is_the_share_of_the_layout() -> None:
    run = runs.of_suite("default")
    tax = kinds.layout_tax(list(run.records))
    assert set(tax) == {r.case.name for r in run.records}
    assert list(tax.values()) == pytest.approx([0.1 / 1.2] * len(tax))
    assert "The layout tax: 8.3 %" in rendered(run)


def test_hues_stand_out_from_both_backgrounds() -> None:
    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [x / 12.92 if x <= 0.03928 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    def contrast(a: str, b: str) -> float:
        low, high = sorted((luminance(a), luminance(b)))
        return (high + 0.05) / (low + 0.05)

    style = (Path(page.__file__).parent / "static" / "page.css").read_text(encoding="utf-8")
    papers = re.findall(r"--paper: (#[0-9a-f]{6});", style)
    assert len(papers) == 2
    names = {fact["family"] for fact in backbones().values()}
    for name in names:
        for paper in papers:
            assert contrast(families.hue(name), paper) >= 3, (name, paper)


def test_families_are_told_apart_by_hue_and_by_shape() -> None:
    """Hues at least 0.13 apart in OKLab (just noticeable is about 0.02), also from grey; no shape twice."""
    names = sorted({fact["family"] for fact in backbones().values()} | {families.OTHER})
    assert len({families.shape(name) for name in names}) == len(names)
    for name, other in itertools.combinations(names, 2):
        apart = math.dist(oklab(families.hue(name)), oklab(families.hue(other)))
        assert apart >= 0.13, (name, other, apart)
    assert math.dist(oklab("#FFFFFF"), oklab("#000000")) == pytest.approx(1, abs=1e-3)


def oklab(colour: str) -> tuple[float, ...]:
    """Björn Ottosson's perceptual colour space (2020)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts)
    long, middle, short = (
        math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b),
        math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b),
        math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b),
    )
    return (
        0.2104542553 * long + 0.7936177850 * middle - 0.0040720468 * short,
        1.9779984951 * long - 2.4285922050 * middle + 0.4505937099 * short,
        0.0259040371 * long + 0.7827717662 * middle - 0.8086757660 * short,
    )


@pytest.mark.long
def test_a_page_is_light() -> None:
    run = runs.of_suite("keras")
    assert len(rendered(run).encode()) - len(get_plotlyjs().encode()) < 1_500_000


def test_diameters_make_areas_proportional() -> None:
    small, large = bubbles.diameter(5_000_000, WIDE), bubbles.diameter(20_000_000, WIDE)
    assert math.isclose(large / small, 2.0)


def test_figures_without_anything_to_show_are_left_out() -> None:
    unmeasured = [replace(r, measurement=None, error="no time") for r in runs.of_suite("default").records]
    ids = [figure.id for figure in drawings.figures(runs.run(unmeasured))]
    assert "latency" not in ids
    assert {"operations", "accuracy"} <= set(ids)
    unknown = [replace(r, accuracy=Accuracy(origin="none")) for r in unmeasured]
    assert "accuracy" not in [figure.id for figure in drawings.figures(runs.run(unknown))]
    uncounted = [replace(r, cost=None) for r in unknown]
    assert "operations" not in [figure.id for figure in drawings.figures(runs.run(uncounted))]


def test_a_note_names_only_models_that_the_figure_shows() -> None:
    shown, failed, *_ = (replace(r, accuracy=Accuracy(origin="none")) for r in runs.of_suite("default").records)
    run = runs.run([shown, replace(failed, measurement=None, error="no time")])
    (note,) = next(figure for figure in drawings.figures(run) if figure.id == "latency").notes
    assert shown.case.name in note
    assert failed.case.name not in note


def test_quotes_in_a_name_are_drawn_as_they_are() -> None:
    assert plain("""<b>"it's" & co</b>""") == """&lt;b&gt;"it's" &amp; co&lt;/b&gt;"""
