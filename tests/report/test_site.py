"""The site of many runs: every page is there and linked, comparisons and changes of level are where they belong."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from pathlib import Path

import pytest

from bench.analysis.comparison import compare
from bench.analysis.history import histories, level_step
from bench.records import Run
from bench.report import write_report
from bench.report.page import LIBRARY_FILE
from tests import runs


def day(number: int, *, factor: float = 1.0, suite: str = "default", cpu: str = "Imaginary CPU 9000") -> Run:
    made = runs.of_suite(suite, factor=factor, seed=number)
    return replace(made, started_at=f"2026-03-{number:02d}T10:00:00Z", machine=runs.machine(cpu=cpu))


def links(path: Path) -> list[str]:
    """Those to other pages."""
    return [html.unescape(link) for link in re.findall(r'href="([^"#][^"]*)"', path.read_text(encoding="utf-8"))]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    several = [day(1), day(2), day(3, factor=1.2), day(4, cpu="Another CPU"), day(5, suite="mobilenet-v3")]
    hostile = replace(runs.hostile(), started_at="2026-03-06T10:00:00Z")
    return write_report([*several, hostile, several[0]], tmp_path_factory.mktemp("made") / "site")


@pytest.mark.long
def test_every_link_leads_to_a_page_and_every_page_is_linked(site: Path) -> None:
    pages = {path.name for path in site.parent.glob("*.html")}
    reached, left = {site.name}, [site]
    while left:
        for link in links(left.pop()):
            assert link in pages
            if link not in reached:
                reached.add(link)
                left.append(site.parent / link)
    assert reached == pages
    kinds = [name.split("-")[0] for name in pages]
    assert (kinds.count("run"), kinds.count("change")) == (7, 2)
    assert kinds.count("model") == len({r.case.name for run in (day(1), day(5, suite="mobilenet-v3"), runs.hostile())
                                        for r in run.records if r.measurement})  # fmt: skip


def test_there_is_one_copy_of_the_library(site: Path) -> None:
    library = site.parent / LIBRARY_FILE
    assert library.stat().st_size > 1_000_000
    for path in site.parent.glob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert len(text) < 1_500_000
        assert text.count(f'src="{LIBRARY_FILE}"') == (path != site and not path.name.startswith("guide-"))
        assert "http" not in str(re.search(r'Content-Security-Policy" content="([^"]*)"', text))


def test_a_run_is_compared_with_the_one_before_on_its_machine(site: Path) -> None:
    text = site.read_text(encoding="utf-8")
    assert "12 suspect</a>" in text
    assert text.count("nothing to compare with") == 5
    changed = (site.parent / "change-2026-03-03T10-00-00Z-default.html").read_text(encoding="utf-8")
    assert "Compared with the run of 2026-03-02T10:00:00Z" in changed
    assert changed.count('<tr class="suspect"') == 12


def test_without_a_run_before_it_is_held_against_the_stored_baseline(tmp_path: Path) -> None:
    index = write_report([day(2)], tmp_path / "site", baselines=[day(1), day(1, cpu="Another CPU")])
    assert "nothing to compare with" not in index.read_text(encoding="utf-8")
    assert [path.name for path in index.parent.glob("change-*")] == ["change-2026-03-02T10-00-00Z-default.html"]


def test_every_page_says_how_far_it_can_be_trusted(site: Path) -> None:
    for path in set(site.parent.glob("*.html")) - set(site.parent.glob("guide-*.html")):
        text = path.read_text(encoding="utf-8")
        for said in ("Disturbed visits", "Accuracies", "onnxruntime", "How to read this", "Typical interval", "Rounds"):
            assert said in text, (path.name, said)


def test_changes_of_level_are_marked_where_intervals_part() -> None:
    one = [day(1), day(2), day(3, factor=1.2), day(4, factor=1.2), day(5)]
    for series in histories(one).values():
        (only,) = series
        steps = [p.step for p in only.points]
        assert [step is not None for step in steps] == [False, False, True, False, True]
        assert steps[2] == pytest.approx(1.2, rel=0.05)
    before = one[0].records[0].measurement
    assert before is not None
    overlapping = replace(before, p50_ms=1.2 * before.p50_ms, p50_ms_low=0.9 * before.p50_ms, p50_ms_high=9e9)
    assert level_step(before, overlapping) is None
    small = replace(before, p50_ms=1.02 * before.p50_ms, p50_ms_low=1.019 * before.p50_ms, p50_ms_high=9e9)
    assert level_step(replace(before, p50_ms_high=before.p50_ms), small) is None


def test_what_was_measured_anew_says_whether_the_level_changed() -> None:
    before, now = day(1), day(2, factor=1.2)
    stored = compare(before, now)
    marked = {name: series[0].points[1].step for name, series in histories([before, now]).items()}
    assert all(marked.values())
    verdicts = tuple(
        replace(v, verdict="equivalent", confirmed=False) if i % 2 else replace(v, confirmed=None)
        for i, v in enumerate(stored.verdicts)
    )
    kept = histories([before, now], [replace(stored, verdicts=verdicts)])
    for i, verdict in enumerate(verdicts):
        assert (kept[verdict.case][0].points[1].step is None) is bool(i % 2)
    other = replace(stored, baseline_started_at="2026-01-01T00:00:00Z", verdicts=verdicts)
    assert {n: s[0].points[1].step for n, s in histories([before, now], [other]).items()} == marked


def test_machines_and_different_cases_of_one_name_stay_apart() -> None:
    other = day(2)
    renamed = replace(other, records=tuple(replace(r, case=replace(r.case, batch_size=4)) for r in other.records))
    for series in histories([day(1), renamed, day(3, cpu="Another CPU")]).values():
        assert len(series) == 3


def test_nothing_hostile_becomes_markup_on_any_page(site: Path) -> None:
    for path in site.parent.glob("*.html"):
        own = re.sub(r"<script.*?</script>", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        for tag in ("<script", "<img", "<svg", "<b>bold", "javascript:window.owned=1'>link</a>"):
            assert tag not in own
        for link in re.findall(r'href="([^"]*)"', own):
            assert re.fullmatch(r"[A-Za-z0-9._-]+\.html|#[a-z-]+", link)


def test_long_names_do_not_make_long_file_names(tmp_path: Path) -> None:
    run = day(1)
    long = replace(run.records[0], case=replace(run.records[0].case, name="a/" * 400))
    index = write_report([replace(run, records=(long,), suite="b" * 400)], tmp_path / "site")
    assert max(len(path.name) for path in index.parent.iterdir()) < 140


@pytest.mark.long
def test_a_level_that_lasts_for_several_runs_is_said(tmp_path: Path) -> None:
    pytest.importorskip("ruptures")
    several = [day(number, factor=1.0 if number < 6 else 1.25) for number in range(1, 12)]
    name = several[0].records[0].case.name
    ((series,),) = [histories(several)[name]]
    ((point, change),) = series.levels
    assert point.run.started_at == several[5].started_at
    assert change.low < 1.25 < change.high
    named = [replace(run, machine=replace(run.machine, informs=run.machine.informs | {"machine": "office"}))
             for run in several[:3]]  # fmt: skip
    of_two = histories([*several[3:], *named])[name]
    assert [one.label.startswith("office: ") for one in of_two] == [True, False], "two machines of one kind are two"
    small = [replace(run, records=run.records[:1]) for run in several]
    page = write_report(small, tmp_path / "site").parent
    text = next(page.glob(f"model-{name}*.html")).read_text(encoding="utf-8")
    assert f"The level changed with the run of {several[5].started_at}: +2" in text
