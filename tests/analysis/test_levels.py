"""Changes of level over many runs: made-up series whose levels are known."""

from __future__ import annotations

import numpy as np
import pytest

from bench.analysis import levels

pytest.importorskip("ruptures")


def series(*parts: tuple[float, int], noise: float = 0.01, seed: int = 0) -> list[float]:
    rng = np.random.default_rng(seed)
    return [level * float(np.exp(rng.normal(0, noise))) for level, count in parts for _ in range(count)]


def test_two_changes_are_found_where_they_are() -> None:
    found = levels.changes(series((10, 12), (11, 10), (9, 14)), 0.03)
    assert [change.index for change in found] == [12, 22]
    assert found[0].ratio == pytest.approx(1.1, rel=0.02)
    assert found[0].low < found[0].ratio < found[0].high
    assert found[0].low == pytest.approx(1.1, rel=0.03)
    assert (found[0].before, found[0].after) == (12, 10)


def test_one_bad_run_is_no_change_of_level() -> None:
    values = series((10, 20))
    values[8] *= 1.5
    assert levels.changes(values, 0.03) == []


def test_a_change_within_the_margin_is_none() -> None:
    assert levels.changes(series((10, 30), (10.2, 30), noise=0.002), 0.03) == []
    assert levels.changes(series((10, 30), (10.2, 30), noise=0.002), 0.01) != []


def test_noise_alone_seldom_makes_a_change() -> None:
    false = sum(bool(levels.changes(series((10, 40), noise=0.03, seed=seed), 0.03)) for seed in range(100))
    assert false <= 5


def test_few_runs_make_none() -> None:
    assert levels.changes(series((10, 2), (20, 3)), 0.03) == []
