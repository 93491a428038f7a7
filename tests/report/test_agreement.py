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

from bench.analysis import answer, candidates, choice, quantities
from bench.analysis.candidates import Candidate
from bench.analysis.pairs import Pair
from bench.analysis.resampling import RESAMPLES, Draws
from bench.errors import WrongUsage
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
        intervals={name: (value * (0.9 if name == "p50" else rng.choice([0.9, 0.9, 0.0, -0.1])), 1.1 * value)
                   for name, value in known.items() if value is not None and (name == "p50" or rng.random() < 0.3)},
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


Question = tuple[list[Candidate], list[Draws], dict[str, float], str | None, str]


def unknown(rng: random.Random, question: Question) -> Question:
    """No accuracy is known, and of some not more than the time."""
    models, drawn, given, _, trust = question
    plain = [
        replace(
            model, accuracy=None, accuracy_low=None, accuracy_high=None, accuracy_source=None, paired={},
            limited={name: value if name == "p50" else None for name, value in model.limited.items()}
            if rng.random() < 0.5 else model.limited | {"top1": None},
        )
        for model in models
    ]  # fmt: skip
    kept = {name: allowed for name, allowed in given.items() if name == "p50"} or rng.choice([{}, {"size": 2e7}])
    return plain, [Draws(times=each.times) for each in drawn], kept, None, trust


def close(rng: random.Random, question: Question) -> Question:
    """Many that can hardly be told apart, so that each wins some resamples."""
    models, drawn, _, _, trust = question
    near = [
        replace(model, batch_size=1, p50_ms=p50, p50_ms_low=p50 - 1, p50_ms_high=p50 + 1,
                limited=model.limited | {"p50": p50}, intervals=model.intervals | {"p50": (p50 - 1, p50 + 1)})
        for model in models for p50 in [10 + 0.1 * rng.random()]
    ]  # fmt: skip
    return near, drawn, rng.choice([{"top1": 50.0}, {"p50": 10.05}, {"p50": 9.5}]), None, trust


def twins(rng: random.Random, question: Question) -> Question:
    """The first one again, alike in everything."""
    models, drawn, given, _, trust = question
    again = [replace(model, case=f"{model.case} again") for model in models[:1]]
    return [*models, *again], [*drawn, *drawn[:1]], {} if rng.random() < 0.7 else given, None, trust


def seldom(rng: random.Random, question: Question) -> Question:
    """A few resamples say something else than all others, or all of them than the figures."""
    models, _, _, _, trust = question
    few = rng.choice([1, 2, 25, RESAMPLES])
    moved = Draws(times=(2000,) * few + (0,) * (RESAMPLES - few))
    still = Draws(times=(0,) * RESAMPLES)
    wide = [replace(model, batch_size=1, p50_ms_high=3 * model.p50_ms) for model in models]
    fastest = min(wide, key=lambda model: model.p50_ms, default=None)
    return wide, [moved if model is fastest else still for model in wide], rng.choice([{}, {"top1": 30.0}]), None, trust


def loaded(rng: random.Random, question: Question) -> Question:
    """Limits that are met from above: on requests a second, with and without their p99, and on the accuracy."""
    models, drawn, _, _, trust = question
    asked: dict[str, float] = rng.choice([{"rps": 90.0, "p99": 11.0}, {"rps": 90.0}, {"top1": 70.5}])
    held = [
        replace(model, batch_size=1, limited=model.limited | {"rps": rng.choice([80.0, 100.0])}) for model in models
    ]
    return held, drawn, asked, None, trust


FORMS = {3: unknown, 4: close, 5: twins, 6: seldom, 7: loaded}  # by the last digit of the seed


def question(seed: int) -> Question:
    """What the page and `bench pick` are both asked."""
    rng = random.Random(seed)
    models = [candidate(rng, number) for number in range(rng.randrange(9))]
    models = together(random.Random(-seed), models) if seed % 2 else models
    judged = [model.case for model in models if model.batch_size == smallest(models) and model.accuracy is not None]
    like = rng.choice(judged) if judged and rng.random() < 0.3 else None
    trust = rng.choice(["sound", "shaky", "unsound"])
    made = models, [draws(rng, model) for model in models], limits(rng, models), like, trust
    return FORMS[seed % 10](rng, made) if seed % 10 in FORMS else made


Answer = tuple[Any, list[str], list[str], list[bool]]


def answered(asked: Question) -> tuple[choice.Choice, Answer]:
    """The choice; and it as plain data, its words, who can be named for `like`, and who could be chosen."""
    models, drawn, given, like, trust = asked
    ours = choice.choose(models, drawn, given, "top1", like=like, trusted=trust)
    least = min((model.batch_size for model in models), default=1)
    reference = next((model for model in models if model.case == like), None)
    could = [
        model.batch_size == least
        and not choice._broken(seen, given)
        and (reference is None or choice._as_accurate(seen, reference))
        for model, seen in zip(models, candidates.under_load(models, given), strict=True)
    ]
    named = [model.case for model in models if model.batch_size == least and model.accuracy is not None]
    words = [line.strip() for line in answer.in_words(ours)]
    return ours, (msgspec.json.decode(msgspec.json.encode(ours)), words, named, could)


def test_page_and_pick_agree_on_random_runs(script: Any) -> None:
    """BACKBENCH_RANDOM_RUNS=1000 in the environment asks a thousand of them."""
    asked = [question(seed) for seed in range(RUNS)]
    told = script.evaluate(
        """({ asked, limits, units }) => asked.map(([candidates, draws, given, like, trust]) => {
             const models = { quality: "top1", candidates, draws, trust, limits, units };
             const choice = Pick.pick(models, given, like);
             return [choice, Pick.inWords(models, choice), Pick.named(models),
                     candidates.map((one) => Pick.meets(models, one, given, like))]; })""",
        {
            "asked": msgspec.to_builtins(asked),
            "limits": page.limits(),
            "units": {name: asdict(unit) for name, unit in UNITS.items()},
        },
    )
    kinds = set()
    for one, theirs in zip(asked, told, strict=True):
        ours, expected = answered(one)
        assert tuple(theirs) == expected
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


def test_what_is_typed_is_read_alike(script: Any) -> None:
    suffixes = ("", "ms", "MS", "s", "us", "MB", "mib", "kb", "%", "k", "M", "W", "/s", "x")
    numbers = ("20", "0.5", ".5", "905.19", "0", "-3", "", "9,5", "1e3", "2.5E-10", "1e+19", "e3", "1e")
    texts = [f"{number}{space}{suffix}" for number in numbers for space in ("", " ") for suffix in suffixes]
    texts += [" 7 ms ", "7ms8", "soon", "٣"]
    asked = [(unit, text) for unit in sorted({one.unit for one in quantities.limited().values()}) for text in texts]
    told = script.evaluate(
        "({ asked, units }) => asked.map(([unit, text]) => Pick.parsed(units, unit, text))",
        {"asked": asked, "units": {name: asdict(unit) for name, unit in UNITS.items()}},
    )
    for (unit, text), theirs in zip(asked, told, strict=True):
        try:
            ours = parse_quantity(text, unit)
        except WrongUsage:
            ours = 0.0
        assert theirs == (pytest.approx(ours, rel=1e-12) if ours > 0 else None), (unit, text)


def test_what_cannot_be_meant_is_objected_to_alike(script: Any) -> None:
    values = (0.5, 0.7051, 1.0, 1.01, 70.0, 100.0, 100.5)
    asked = [(name, value) for name in ("top1", "map", "p50", "size") for value in values]
    told = script.evaluate(
        "({ asked, limits }) => asked.map(([name, value]) => Pick.objection({ limits }, name, value))",
        {"asked": asked, "limits": page.limits()},
    )
    for (name, value), theirs in zip(asked, told, strict=True):
        assert theirs == objection(name, value)


def objection(name: str, value: float) -> str | None:
    try:
        choice._check(name, value)
    except WrongUsage as error:
        return str(error).replace(f"--{name}", quantities.QUANTITIES[name].label)
    return None
