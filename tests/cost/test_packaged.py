"""Counts that come with the package: every network of the suites, used for exactly that network, without a worker."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bench import cost, suites
from bench.cli import main
from bench.cost import packaged, packing
from bench.processes import process
from bench.records import Case, Cost


@pytest.fixture
def no_worker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither a worker process nor a cache that knows anything."""

    def started(*_: object, **__: object) -> None:
        raise AssertionError("a worker process is started")

    monkeypatch.setattr(process, "started", started)
    monkeypatch.setenv("BACKBENCH_CACHE", str(tmp_path))


@pytest.mark.usefixtures("no_worker")
@pytest.mark.parametrize("suite", ["keras", "mobilenet", "mobilenet-v2", "mobilenet-v3", "efficientnet", "default"])
def test_suites_are_listed_without_counting(suite: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["list", suite, "--json"])
    assert not ended.value.code
    listed = json.loads(capsys.readouterr().out)
    assert len(listed) == len(suites.load_suite(suite).cases)
    assert all(one["cost"]["mult_adds"] > 1e6 for one in listed)


@pytest.mark.usefixtures("no_worker")
def test_params_are_those_of_keras() -> None:
    costs = cost.of_cases(suites.load_suite("keras").cases)
    found = {name: known.params for name, known in costs.items() if isinstance(known, Cost)}
    assert found == {model: fact["params"] for model, fact in suites.backbones().items() if model in found}
    assert len(found) == 42


def test_nothing_is_stored_that_no_suite_names() -> None:
    assert set(packaged._stored()) == {packaged.key(case) for case in packaged.cases()}, "run `nox -s counts`"


def test_a_neighbour_lends_no_count(monkeypatch: pytest.MonkeyPatch) -> None:
    case = suites.case_of_model("MobileNet", alpha=0.5, input_size=160)
    known = packaged.of_case(case)
    assert known is not None
    assert round(known.mult_adds / 1e6) == 77, "as the authors' table prints"
    same = replace(case, name="other", threads=3, precision="int8", weights="imagenet", batch_size=4)
    assert packaged.of_case(same) == known
    others: list[Case] = [
        replace(case, **change)  # type: ignore[arg-type]
        for change in (
            {"model": "VGG16"}, {"arguments": {"alpha": 0.55}}, {"arguments": {"alpha": 0.5, "dropout": 0.1}},
            {"input_shape": (161, 160, 3)}, {"input_shape": (160, 160, 1)}, {"input_shape": None}, {"head": "none"},
            {"head": "notes"}, {"classes": 10}, {"model": "mobilenet.keras"}, {"model": "a:MobileNet"},
        )
    ]  # fmt: skip
    assert [packaged.of_case(other) for other in others] == [None] * len(others)


def test_a_changed_builder_has_no_count(monkeypatch: pytest.MonkeyPatch) -> None:
    case = suites.case_of_model("ConvMobileNet")
    assert packaged.of_case(case) is not None
    monkeypatch.setattr(packaged, "_source", lambda model: "another")
    assert packaged.of_case(case) is None


def test_without_the_file_everything_is_counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for content in (None, b"{", b'{"MobileNet": {"mult_adds": "many"}}'):
        path = tmp_path / "counts.json"
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content)
        monkeypatch.setattr(packaged, "FILE", path)
        packaged._stored.cache_clear()
        assert packaged.of_case(suites.case_of_model("MobileNet")) is None
    monkeypatch.undo()
    packaged._stored.cache_clear()


def test_what_is_counted_anew_is_stored_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = [(case, packaged.of_case(case)) for case in packaged.cases()]
    kept = packaged.FILE.read_bytes()
    monkeypatch.setattr(packaged, "FILE", tmp_path / "counts.json")
    monkeypatch.setattr(packing, "counted_costs", lambda cases: reversed([one for one in known if one[0] in cases]))
    assert packing.write().read_bytes() == kept
