"""A choice as lines for people. The report's page writes the same lines (`report/static/pick.js`): change both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from bench.analysis.quantities import QUANTITIES, limited
from bench.units import fixed, latency, percent, points, quantity, significant

if TYPE_CHECKING:
    from bench.analysis.candidates import Candidate
    from bench.analysis.choice import Choice, Likeness, Miss, Relaxation, Step

_NEAR = 1.1  # a limit that is missed by less is told in percent
_NAMED = 3  # models that win other resamples
_CERTAIN = 0.95  # share of the resamples: a step of the front that is on it less often says so


def in_words(choice: Choice) -> list[str]:
    """The answer first, then what it stands on; details are indented."""
    lines = _answer(choice)
    if choice.left_out:
        count = len(choice.left_out)
        lines.append(f"batch size {choice.batch_size} only: {count} {'model' if count == 1 else 'models'} left out")
    return lines


def costs_in_words(costs: Mapping[str, float | None], price_per_hour: float) -> list[str]:
    """What a million inferences cost, a line a model."""
    return [
        f"a million inferences of {case} at {price_per_hour:g} an hour: "
        + ("not known, as no load was put on it; see `bench load`" if cost is None else significant(cost))
        for case, cost in costs.items()
    ]


def _answer(choice: Choice) -> list[str]:
    label = QUANTITIES[choice.quality].label
    if choice.front:
        return _front(choice, label)
    if choice.unmeasured:
        return [_unmeasured(name) for name in choice.unmeasured]
    if choice.winner is None:
        if not choice.misses:
            return ["no model was measured"]
        misses = [f"  {_missed(m, choice)}" for m in choice.misses]
        return [
            "no model meets these limits; the nearest misses:",
            *misses,
            *(f"  {line}" for line in _chances(choice)),
        ]
    described, odds = _described(choice.winner, label), _odds(choice)
    if choice.trust == "unsound":
        lines = [
            f"no sure answer, as this run is unsound; going by its visits, {choice.winner.case} {odds}",
            f"  {described}",
        ]
    else:
        lines = [f"ship {described}", f"  it {odds}"]
    lines.append(f"  {_figures(choice.winner)}")
    if choice.like:
        lines.append(_likeness(choice.like, choice.winner, label))
    if choice.ties:
        lines.append(f"a tie within the noise of this run with {', '.join(choice.ties)}: choose by size or taste")
    for name in choice.on_the_edge:
        lines.append(f"  on the edge: the interval of its {QUANTITIES[name].label} reaches past the limit")
    if choice.why_not:
        other = choice.why_not
        noise = "the same within the noise" if other.same else "but these limits ask for no more"
        times = f"takes {significant(other.times, 2)} times as long"
        lines.append(
            f"why not {other.case}: {points(other.gain, other.gain_interval)} of {label}, {noise}, and it {times}"
        )
    if choice.runner_up:
        lines.append(f"runner-up: {_described(choice.runner_up, label)}")
    lines += [_held_back(step, label) for step in choice.binding]
    if choice.limits and not choice.binding:
        lines.append("no single limit keeps a better model out")
    return lines


def _odds(choice: Choice) -> str:
    """How often the winner wins, and who else does."""
    count = {win.case: win.resamples for win in choice.wins}
    none = choice.resamples - sum(count.values())
    mine = count.pop(choice.winner.case if choice.winner else "", 0)
    others = [f"{case} ({_share(wins, choice)})" for case, wins in list(count.items())[:_NAMED]]
    others += [f"none ({_share(none, choice)})"] if none else []
    otherwise = f", else {', '.join(others)}" if others else ""
    return f"wins in {_share(mine, choice)} of the resamples{otherwise}"


def _chances(choice: Choice) -> list[str]:
    """Who would meet limits that none meets, in some of the resamples."""
    named = [f"{win.case} ({_share(win.resamples, choice)})" for win in choice.wins[:_NAMED]]
    return [f"in some of the resamples a model meets them: {', '.join(named)}"] if named else []


def _share(count: int, choice: Choice) -> str:
    """A share of the resamples in whole percent; never 0 or 100 % of what is not none or all."""
    percents = (200 * count + choice.resamples) // (2 * choice.resamples)
    if 0 < count < choice.resamples:
        return "under 1 %" if percents == 0 else "over 99 %" if percents == 100 else f"{percents} %"
    return f"{percents} %"


def _unmeasured(name: str) -> str:
    one = QUANTITIES[name]
    return f"{one.label} is not known of any model of this run, so that none can be said to meet a limit on it{one.how}"


def _likeness(like: Likeness, winner: Candidate, label: str) -> str:
    if like.case == winner.case:
        return f"no other model within the limits is as accurate as {like.case} and faster"
    noise = ", the same within the noise" if like.same else ""
    gain = points(like.gain, like.gain_interval)
    return f"against {like.case}: {gain} of {label}{noise}, and {significant(like.times, 2)} times as fast"


def _front(choice: Choice, label: str) -> list[str]:
    if choice.front[0].model.accuracy is None:
        lines = ["no accuracy is known; the fastest:"]
    else:
        lines = [f"without limits: no other model beats one of these in both {label} and p50; the fastest first:"]
    lines += [f"  {_step(step, label)}{_doubt(step, choice)}" for step in choice.front]
    if choice.unknown and choice.front[0].model.accuracy is not None:
        lines.append(f"accuracy not known: {', '.join(choice.unknown)}")
    return [*lines, "a limit chooses one of them"]


def _step(step: Step, label: str) -> str:
    if step.cost_ms is None or step.gain is None:
        return _described(step.model, label)
    noise = " (within the noise)" if step.same else ""
    return f"+{latency(step.cost_ms)}, {points(step.gain, step.gain_interval)}{noise}: {_described(step.model, label)}"


def _doubt(step: Step, choice: Choice) -> str:
    """How often a step is on the front, where that is not certain."""
    certain = choice.trust != "unsound" and step.resamples >= _CERTAIN * choice.resamples
    if certain or step.model.accuracy is None:
        return ""
    return f", on the front in {_share(step.resamples, choice)} of the resamples"


def _described(candidate: Candidate, label: str) -> str:
    accuracy = "accuracy unknown" if candidate.accuracy is None else f"{label} {percent(candidate.accuracy)}"
    return f"{candidate.case}: {accuracy}, p50 {latency(candidate.p50_ms, candidate.p50_ms_low, candidate.p50_ms_high)}"


def _figures(candidate: Candidate) -> str:
    """Every other quantity that can be limited, and where the accuracy comes from."""
    known = [
        f"{one.label} {quantity(value, one.unit, candidate.intervals.get(name))}"
        for name, one in limited().items()
        if one.metric is None and name != "p50" and (value := candidate.limited[name]) is not None
    ]
    return f"{', '.join(known) or 'nothing else is known'}; accuracy {candidate.accuracy_source or 'unknown'}"


def _held_back(step: Relaxation, label: str) -> str:
    limit = QUANTITIES[step.limit]
    difference = step.needed - step.allowed
    sign = "+" if difference > 0 else "-"
    relaxed = points(difference) if limit.unit == "percent" else f"{sign}{quantity(abs(difference), limit.unit)}"
    gain = "" if step.gain is None else f", {points(step.gain, step.gain_interval)} of {label}"
    what = "largest gain" if step.largest else "held back by"
    allowed = quantity(step.allowed, limit.unit)
    return f"{what}: {limit.label} of {allowed}: {relaxed}: {step.case}{gain}, p50 {latency(step.p50_ms)}"


def _missed(miss: Miss, choice: Choice) -> str:
    return f"{miss.case}: {'; '.join(_broken(miss, name, choice.limits[name]) for name in miss.broken)}"


def _broken(miss: Miss, name: str, allowed: float) -> str:
    limit, share, value = QUANTITIES[name], miss.broken[name], miss.values[name]
    if share is None or value is None:
        return f"{limit.label} unknown"
    shown = f"{limit.label} {quantity(value, limit.unit)}"
    if limit.unit == "percent":
        return f"{shown}, {fixed(abs(value - allowed), 1)} points {'under' if limit.at_least else 'over'} the limit"
    if limit.at_least or value / allowed < _NEAR:
        return f"{shown}, {significant(100 * share, 2)} % {'under' if limit.at_least else 'over'} the limit"
    return f"{shown}, {significant(value / allowed, 2)} times the limit"
