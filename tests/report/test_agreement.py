"""The page's choice and that of `bench pick`, held together on random runs: the same answer in the same words."""

from __future__ import annotations

import itertools
import os
import random
import shutil
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bench.analysis import answer, choice, quantities
from bench.analysis.candidates import Candidate
from bench.analysis.pairs import Pair
from bench.analysis.resampling import RESAMPLES, Draws
from bench.report import page
from bench.units import UNITS, parse_quantity, quantity, typed

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
RUNS = int(os.environ.get("BACKBENCH_RANDOM_RUNS", "200"))
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium; `apt-get install chromium` runs these tests"),
]


@pytest.fixture(scope="module")
def script() -> Iterator[Any]:
    """A page that holds nothing but pick.js."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        opened = launched.new_page()
        opened.add_script_tag(path=Path(page.__file__).parent / "static" / "pick.js")
        yield opened
        launched.close()


def candidate(rng: random.Random, number: int) -> Candidate:
    """A model with numbers that lie close together, that are equal, round, halves, tiny, huge or missing."""
    p50 = rng.choice([rng.uniform(1, 20), 10.0, round(rng.uniform(1, 20), 1), rng.uniform(0.001, 0.1), 299.5])
    half = rng.choice([0.0, 0.01, 0.1]) * p50
    top1 = rng.choice([None, 70.25, 70.75, round(rng.uniform(60, 80), 2), rng.uniform(0, 100)])
    spread = rng.choice([0.0, 0.4, 2.0])
    known: dict[str, float | None] = {}
    for name, one in quantities.limited().items():
        if name in ("p50", "top1", "map"):
            continue
        scale = {"ms": 10.0, "bytes": 2e7, "count": 1e6, "W": 1.0, "per_s": 100.0}[one.unit]
        value = (
            None
            if one.unit == "W"
            else rng.choice([None, scale, scale * rng.uniform(0.1, 10), scale * 10 ** rng.uniform(-5, 2)])
        )
        known[name] = float(int(value)) if value is not None and one.unit != "ms" else value
    known |= {"p50": p50, "top1": top1, "map": None}
    return Candidate(
        case=f"net {number}", batch_size=rng.choice([1, 1, 1, 1, 8]), accuracy=top1,
        accuracy_low=None if top1 is None else top1 - spread, accuracy_high=None if top1 is None else top1 + spread,
        accuracy_source=rng.choice([None, "published: a table", "measured on 1,000 images"]),
        p50_ms=p50, p50_ms_low=p50 - half, p50_ms_high=p50 + half,
        limited={name: known[name] for name in quantities.limited()},
        load_p99_ms=rng.choice([None, 5.0, 10.0, 20.0]),
        intervals={name: (0.9 * value, 1.1 * value) for name, value in known.items()
                   if value is not None and (name == "p50" or rng.random() < 0.3)},
    )  # fmt: skip


def together(rng: random.Random, models: list[Candidate]) -> list[Candidate]:
    """Some of them judged on the same images."""
    seen = [model for model in models if model.accuracy is not None and rng.random() < 0.6]
    paired: dict[str, dict[str, Pair]] = {model.case: {} for model in models}
    for a, b in itertools.combinations(seen, 2):
        apart = rng.choice([0.0, 0.2, abs((a.accuracy or 0) - (b.accuracy or 0)), 5.0, 40.0])
        low, high = sorted(rng.uniform(-20, 20) for _ in range(2))
        paired[a.case][b.case] = Pair(apart=apart, low=low, high=high, p=0.3)
        paired[b.case][a.case] = Pair(apart=apart, low=-high, high=-low, p=0.3)
    return [replace(model, paired=paired[model.case]) for model in models]


def draws(rng: random.Random, model: Candidate) -> Draws:
    """Draws that reach past the interval's ends and often lie on them or on the value itself."""
    times = [rng.choice([0, -1000, 1000, rng.randrange(-2000, 2001)]) for _ in range(RESAMPLES)]
    measured = model.accuracy is not None and rng.random() < 0.5
    return Draws(
        times=tuple(times),
        accuracies=tuple(rng.choice([0, rng.randrange(-3000, 3001)]) for _ in range(RESAMPLES)) if measured else (),
    )


def limits(rng: random.Random, models: list[Candidate]) -> dict[str, float]:
    """Up to three limits: at a model's own value, near it, or far from all of them."""
    given: dict[str, float] = {}
    for name in rng.sample(list(quantities.limited()), rng.choice([0, 1, 1, 2, 3])):
        values = [value for model in models if (value := model.limited[name])] or [10.0]
        allowed = rng.choice(values) * rng.choice([1.0, 1.1, 0.9, 1.02, 0.98, 2.0, 0.1])
        given[name] = min(100.0, max(1.1, allowed)) if quantities.QUANTITIES[name].unit == "percent" else allowed
    return given


def test_page_and_pick_agree_on_random_runs(script: Any) -> None:
    """BACKBENCH_RANDOM_RUNS=1000 in the environment asks a thousand of them."""
    asked = []
    for seed in range(RUNS):
        rng = random.Random(seed)
        models = [candidate(rng, number) for number in range(rng.randrange(9))]
        models = together(random.Random(-seed), models) if seed % 2 else models
        judged = [model.case for model in models if model.batch_size == smallest(models) and model.accuracy is not None]
        like = rng.choice(judged) if judged and rng.random() < 0.3 else None
        trust = rng.choice(["sound", "shaky", "unsound"])
        asked.append((models, [draws(rng, model) for model in models], limits(rng, models), like, trust))
    told = script.evaluate(
        """({ asked, limits, units }) => asked.map(([candidates, draws, given, like, trust]) => {
             const models = { quality: "top1", candidates, draws, trust, limits, units };
             const choice = Pick.pick(models, given, like);
             return [choice, Pick.inWords(models, choice)]; })""",
        {
            "asked": msgspec.to_builtins(asked),
            "limits": page.limits(),
            "units": {name: asdict(unit) for name, unit in UNITS.items()},
        },
    )
    kinds = set()
    for (models, drawn, given, like, trust), (theirs, words) in zip(asked, told, strict=True):
        ours = choice.choose(models, drawn, given, "top1", like=like, trusted=trust)
        assert theirs == msgspec.json.decode(msgspec.json.encode(ours))
        assert words == [line.strip() for line in answer.in_words(ours)]
        kinds |= {"front" if ours.front else "winner" if ours.winner else "missed" if ours.misses else "nothing"}
        kinds |= {name for name in KINDS if getattr(ours, name)}
        kinds |= {"sometimes met" for _ in ours.misses if ours.wins}
        kinds |= {"largest gain" for step in ours.binding if step.largest}
        kinds |= {
            "pairs" for each in (ours.why_not, ours.like, *ours.front[1:], *ours.binding) if each and each.gain_interval
        }
    assert kinds == {"pairs", "front", "winner", "missed", "nothing", "sometimes met", "largest gain", *KINDS}


KINDS = ("ties", "on_the_edge", "binding", "why_not", "left_out", "like", "unmeasured")


def smallest(models: list[Candidate]) -> int:
    return min(model.batch_size for model in models)


def test_numbers_are_written_alike(script: Any) -> None:
    rng = random.Random(7)
    values = [0.0, 0.05, 0.25, 2.5, 9.995, 70.25, 999.5, 999.9999, 1000.0, 99_999.0, 100_000.0, 864.0, 1e6, 1.5e10]
    values += [10 ** rng.uniform(-6, 11) for _ in range(300)]
    asked = [(unit, value) for unit in UNITS for value in values]
    shown, commands = script.evaluate(
        """({ asked, units }) => [asked.map(([unit, value]) => Pick.quantity(units, unit, value, [value, 2 * value])),
             asked.map(([unit, value]) => Pick.typed(units, unit, value))]""",
        {"asked": asked, "units": {name: asdict(unit) for name, unit in UNITS.items()}},
    )
    assert shown == [quantity(value, unit, (value, 2 * value)) for unit, value in asked]
    for text, (unit, value) in zip(commands, asked, strict=True):
        if 1e-3 < value < 1e9 and unit in {one.unit for one in quantities.limited().values()}:
            assert parse_quantity(text, unit) == pytest.approx(value, rel=1e-9)
            assert text == typed(value, unit)
