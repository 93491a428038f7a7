"""One model for all machines, machines against each other, and the page; of runs that were never measured."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench.analysis import choice, everywhere
from bench.cli.root import cli
from bench.errors import WrongUsage
from bench.report.fleet import write_fleet
from tests.fleet.made import run_on, stored

MACHINES = {"laptop": run_on("laptop"), "office": run_on("office", 0.5), "cabinet": run_on("cabinet", 2.5, 0.2)}


def test_the_one_model_meets_the_limits_on_every_machine() -> None:
    limits = {"p50": 30.0, "top1": 70.0}
    found = everywhere.pick(MACHINES, limits)
    winner = found.together.winner
    assert winner is not None
    for run in MACHINES.values():
        (record,) = (r for r in run.records if r.case.name == winner.case)
        assert record.measurement is not None
        assert record.measurement.p50_ms <= 30
    assert winner.p50_ms == max(
        r.measurement.p50_ms for run in MACHINES.values() for r in run.records
        if r.case.name == winner.case and r.measurement
    )  # fmt: skip
    assert found.worst_on[winner.case]["p50"] == "cabinet"
    own = {name: choice.pick(run, limits).winner for name, run in MACHINES.items()}
    assert {name: each.winner for name, each in found.choices.items()} == own


def test_where_none_meets_them_on_all_the_nearest_is_named_with_its_machine() -> None:
    found = everywhere.pick(MACHINES, {"p50": 3.0})
    assert found.together.winner is None
    assert found.choices["office"].winner is not None
    lines = everywhere.in_words(found)
    assert any("MobileNetV2" in line and "(p50 on cabinet)" in line for line in lines)
    assert any(line.startswith("on office alone: ship ") for line in lines)
    assert any(line.startswith("on cabinet alone: none; the nearest: ") for line in lines)


def test_a_model_that_one_machine_lacks_is_no_choice_for_all() -> None:
    from dataclasses import replace

    lacking = replace(MACHINES["office"], records=MACHINES["office"].records[1:])
    found = everywhere.pick(MACHINES | {"office": lacking}, {"p50": 1e6})
    assert found.left_out == (MACHINES["laptop"].records[0].case.name,)


def test_machines_that_differ_alike_and_by_size_are_told_apart() -> None:
    laptop = MACHINES["laptop"]
    alike = everywhere.versus("office", MACHINES["office"], "laptop", laptop)
    assert alike.median == pytest.approx(0.5)
    assert "2.00 times as fast as laptop, for small networks as for large ones" in alike.in_words()
    by_size = everywhere.versus("cabinet", MACHINES["cabinet"], "laptop", laptop)
    assert by_size.slope == pytest.approx(0.2)
    assert "better with smaller networks" in by_size.in_words()
    for ratio in alike.ratios:
        assert ratio.low < ratio.ratio < ratio.high


def test_other_files_of_the_same_name_are_no_ratio() -> None:
    from dataclasses import replace

    record = MACHINES["office"].records[0]
    assert record.artifact is not None
    other = replace(record, artifact=replace(record.artifact, sha256="0" * 64))
    run = replace(MACHINES["office"], records=(other, *MACHINES["office"].records[1:]))
    versus = everywhere.versus("office", run, "laptop", MACHINES["laptop"])
    assert record.case.name not in {ratio.case for ratio in versus.ratios}


def test_a_fleet_without_a_run_says_what_to_do() -> None:
    with pytest.raises(WrongUsage, match="--resume"):
        everywhere.pick({})


def test_the_page_has_every_machine_its_ratios_and_its_price(tmp_path: Path) -> None:
    fleet = stored(tmp_path, MACHINES, {"laptop": 0.36})
    text = write_fleet(fleet, fleet.path / "fleet.html").read_text()
    assert "<h1>default on 3 machines</h1>" in text
    figures = json.loads(re.search(r'id="figures">(.*?)</script>', text, re.DOTALL)[1])  # type: ignore[index]
    machines = figures["machines"]["wide"]["data"]
    assert [trace["name"] for trace in machines] == ["laptop", "office", "cabinet"]
    assert len({trace["marker"]["symbol"][0] for trace in machines}) == 3
    record = MACHINES["laptop"].records[0]
    assert record.measurement is not None
    usd = everywhere.usd_per_million(record.measurement.p50_ms, 1, 0.36)
    assert usd == pytest.approx(record.measurement.p50_ms * 0.1)
    assert re.search(rf"<th scope=\"row\">{record.case.name}</th>.*?{usd:.3g}\d* USD a million", text, re.DOTALL)
    assert "better with smaller networks" in text
    body = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    assert not re.search(r"(src|href)=.https?:", body)


def test_pick_everywhere_as_people_call_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored(tmp_path / "results", MACHINES)
    monkeypatch.chdir(tmp_path)
    said = CliRunner().invoke(cli, ["pick", "--everywhere", "--p50", "30ms"])
    assert said.exit_code == 0
    assert "on all 3 machines" in said.output
    none = CliRunner().invoke(cli, ["pick", "--everywhere", "--p50", "1ms", "--json"])
    assert none.exit_code == 6
    assert json.loads(none.stdout)["together"]["winner"] is None
    page = CliRunner().invoke(cli, ["fleet", "report"])
    assert page.exit_code == 0
    assert page.output.strip().endswith("fleet.html")
