"""Images judged by one, two and three machines: the same to the last image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bench.accuracy import Settings, evaluate
from bench.accuracy.results import Evaluation
from bench.errors import Failed
from bench.fleet import checking, cluster, shards
from tests.accuracy.sets import classifier, photos
from tests.fleet.conftest import Fleet

WORDS = [f"{number}" for number in range(10)]


def without_clocks(evaluation: Evaluation) -> Evaluation:
    return replace(evaluation, wall_s=0.0, inference_s=0.0, images_per_s=0.0)


@pytest.fixture
def judged(tmp_path: Path) -> tuple[Path, Settings]:
    return classifier(tmp_path / "net.onnx"), Settings(
        images=photos(tmp_path / "photos", WORDS, each=7), batch_size=2, preprocess="tf", runtime="onnxruntime"
    )  # fmt: skip


def test_results_are_those_of_one_machine(
    new_fleet: Callable[[], Fleet], judged: tuple[Path, Settings], tmp_path: Path
) -> None:
    path, settings = judged
    fleet = new_fleet()
    for machine in "abc":
        fleet.add(machine)
    connection = fleet.connect(machines=3)
    here = tmp_path / "here.jsonl"
    alone = evaluate(path, settings, kept=here)
    machines = checking.fit(connection, {"onnxruntime"})
    for count in (1, 2, 3):
        there = tmp_path / f"{count}.jsonl"
        made = evaluate(path, settings, kept=there, elsewhere=shards.Shards(connection, machines[:count]))
        assert without_clocks(made) == without_clocks(alone)
        assert predictions_of(there) == predictions_of(here)
    lines = there.read_bytes().splitlines(keepends=True)
    there.write_bytes(b"".join(lines[:9]))  # a kill after eight batches
    again = evaluate(path, settings, kept=there, elsewhere=shards.Shards(connection, machines))
    assert without_clocks(again) == without_clocks(alone)
    assert there.read_bytes().splitlines(keepends=True)[:9] == lines[:9], "what was judged is not judged again"


def predictions_of(file: Path) -> list[object]:
    import msgspec

    return [msgspec.json.decode(line)["predictions"] for line in file.read_bytes().splitlines()[1:]]


def test_another_file_of_the_same_name_is_refused(
    new_fleet: Callable[[], Fleet], judged: tuple[Path, Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, settings = judged
    fleet = new_fleet()
    fleet.add("a")
    connection = fleet.connect(machines=1)
    monkeypatch.setattr(shards.kept, "bytes_of", lambda file: 3)
    with pytest.raises(Failed, match="is another file"):
        evaluate(path, settings, elsewhere=shards.Shards(connection, checking.fit(connection, {"onnxruntime"})))


def test_the_shards_of_a_machine_that_is_lost_go_to_another(
    new_fleet: Callable[[], Fleet], judged: tuple[Path, Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, settings = judged
    monkeypatch.setattr(cluster, "AWAY_S", 1.0)
    monkeypatch.setattr(cluster, "LOOK_S", 0.2)
    fleet = new_fleet()
    fleet.add("a")
    fleet.add("b")
    connection = fleet.connect(machines=2)
    machines = checking.fit(connection, {"onnxruntime"})
    fleet.kill("a")
    made = evaluate(path, settings, elsewhere=shards.Shards(connection, machines))
    assert without_clocks(made) == without_clocks(evaluate(path, settings))
