"""Commands on what is stored: what cannot be read is named once and stands in nobody's way."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from bench import store
from bench.records import INTERRUPTED, Doubt, Run, Trust
from tests import runs
from tests.cli.test_cli import call
from tests.test_store import BROKEN

RESULTS = Path("results")


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def damaged(results: Path) -> list[Path]:
    """Files that are no runs, among the runs and the baselines."""
    files = []
    for name, content in BROKEN.items():
        for file in (results / "runs" / name / "run.json", results / "baselines" / name / "run.json"):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
            files.append(file)
    return files


@pytest.mark.long
@pytest.mark.parametrize(
    "command",
    ["report", "report --all -o site", "report --all -o all.csv", "pick", "compare", "baseline list", "baseline save"],
)
def test_what_cannot_be_read_is_named_once_and_the_rest_works(capsys: pytest.CaptureFixture[str], command: str) -> None:
    runs.stored(runs.of_suite(), RESULTS)
    store.save_baseline(RESULTS, runs.of_suite())
    files = damaged(RESULTS)
    code, out, err = call(capsys, *command.split())
    assert code == 0, err
    assert out
    assert "Traceback" not in err
    for file in files:
        assert err.count(f"{file} ") <= 1
    if command.startswith("report"):
        assert all(err.count(f"{file} ") == 1 for file in files)
    if command == "baseline list":
        assert out.count("baselines/default") == 1
        assert len(json.loads(call(capsys, *command.split(), "--json")[1])) == 1


def test_a_baseline_that_cannot_be_read_is_none_and_one_that_is_named_is_wrong_usage(
    capsys: pytest.CaptureFixture[str],
) -> None:
    runs.stored(runs.of_suite(), RESULTS)
    folder = store.save_baseline(RESULTS, runs.of_suite())
    path = folder / "run.json"
    path.write_bytes(BROKEN["conflict"])
    code, _, err = call(capsys, "compare")
    assert (code, err.count("\n")) == (4, 1)
    assert f"{path} is not a run" in err
    code, _, err = call(capsys, "compare", str(folder))
    assert (code, err.count("\n")) == (2, 1)


def test_the_latest_run_is_the_one_that_began_last_and_measured_something(capsys: pytest.CaptureFixture[str]) -> None:
    started = "2026-03-02T10:00:00Z"
    newest = runs.stored(replace(runs.of_suite("precision"), started_at=started), RESULTS)
    older = runs.stored(runs.of_suite(), RESULTS)
    older.rename(older.with_name("zz-of-today"))
    empty = [replace(record, measurement=None, error="failed") for record in runs.of_suite().records]
    runs.stored(runs.run(empty, started_at="2026-03-03T10:00:00Z"), RESULTS)
    code, out, err = call(capsys, "report")
    assert code == 0
    assert out.startswith(f"report: {newest}")
    assert "nothing was measured in it" in err


def stored_as_baseline(run: Run, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, str]:
    shutil.rmtree(RESULTS / "runs", ignore_errors=True)
    runs.stored(run, RESULTS)
    code, _, err = call(capsys, "baseline", "save", *options)
    return code, err


def test_a_run_with_holes_is_no_baseline_unless_forced(capsys: pytest.CaptureFixture[str]) -> None:
    whole = runs.of_suite("precision")
    first, second, *rest = whole.records
    assert stored_as_baseline(whole, capsys)[0] == 0
    path = store.baseline_folder(RESULTS, whole) / "run.json"
    before = path.read_bytes()
    failed = replace(first, measurement=None, error="timing failed: killed")
    unjudged = replace(first, error="accuracy not measured: no images")
    interrupted = replace(second, measurement=None, error=INTERRUPTED)
    silent = replace(second, measurement=None)
    holed = [
        (replace(whole, records=(failed, second, *rest)), [first.case.name, "timing failed: killed"]),
        (replace(whole, records=(unjudged, second, *rest)), [first.case.name, "accuracy not measured"]),
        (replace(whole, records=(first, interrupted, *rest)), [second.case.name, "interrupted"]),
        (replace(whole, records=(first, silent, *rest)), [second.case.name, "no measurement"]),
        (replace(whole, records=(first, *rest), left_out=(second.case.name,)), [second.case.name, "not asked for"]),
    ]
    for run, words in holed:
        code, err = stored_as_baseline(run, capsys)
        assert code == 2
        assert all(word in err for word in [*words, "--force"]), err
        assert path.read_bytes() == before
    code, err = stored_as_baseline(holed[0][0], capsys, "--force")
    assert code == 0
    assert store.load(path).records[0].error == "timing failed: killed"


def test_a_comparison_that_compares_nothing_is_no_success(capsys: pytest.CaptureFixture[str]) -> None:
    run = runs.of_suite("precision")
    runs.stored(run, RESULTS)
    first, *rest = run.records
    unmeasured = tuple(replace(record, measurement=None, error="failed") for record in run.records)
    renamed = tuple(replace(record, case=replace(record.case, name=f"other {record.case.name}")) for record in rest)
    for records, code, words in (
        (unmeasured, 4, "nothing was compared"),
        ((), 4, "nothing was compared"),
        ((*run.records, *renamed), 5, f"not measured in this run: other {rest[0].case.name}"),
        ((first, *unmeasured[1:]), 0, "not in the baseline" if not rest else "no measurement of it"),
    ):
        store.save_baseline(RESULTS, replace(run, started_at="2026-02-01T10:00:00Z", records=records))
        got, out, _ = call(capsys, "compare")
        assert got == code, out
        assert words in out


@pytest.mark.parametrize("verdict", ["sound", "unsound"])
def test_whether_to_trust_a_run_is_the_first_thing_said(capsys: pytest.CaptureFixture[str], verdict: str) -> None:
    run = runs.of_suite("precision")
    doubt = Doubt(level="unsound", what="18 of 20 visits were disturbed", remedy="stop the other programs")
    run = replace(run, trust=Trust(verdict=verdict, doubts=() if verdict == "sound" else (doubt,)))
    words = f"this run is {verdict}" + ("" if verdict == "sound" else f": {doubt.what}; {doubt.remedy}")
    runs.stored(run, RESULTS)
    store.save_baseline(RESULTS, replace(run, started_at="2026-02-01T10:00:00Z"))
    for command in ("pick", "compare"):
        out = call(capsys, command)[1].splitlines()
        assert words in out[:2]
    assert call(capsys, "compare")[1].startswith(words.replace("this run", "the baseline"))
    call(capsys, "report", "-o", "page.html")
    page = Path("page.html").read_text(encoding="utf-8")
    assert 0 < page.index(f'class="trust {verdict}"') < page.index(words) < page.index('id="answer"')
    call(capsys, "report", "-o", "comment.md")
    text = Path("comment.md").read_text(encoding="utf-8")
    assert 0 < text.index(f"**`{words}`**") < text.index("| Model")
    many = replace(run, trust=Trust(verdict="unsound", doubts=(doubt,) * 4), started_at="2026-03-09T10:00:00Z")
    runs.stored(many, RESULTS)
    first, second, *_ = call(capsys, "pick")[1].splitlines()
    assert first.endswith("stop the other programs")
    assert second == "  and 3 more doubts, which its report names"
