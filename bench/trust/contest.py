"""Several pairs of files, each timed side by side, all within one time: until each is decided, or the time is over."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bench.analysis.comparison import ALARM_RATE
from bench.errors import Failed
from bench.machine import lock
from bench.trust import ab, spread, trial
from bench.trust.ab import BUDGET_S, Setup, Side, Sides
from bench.trust.trial import FEWEST, LOOKS, Judgement, Pair, Trial


@dataclass(slots=True)
class Contest:
    """One pair of files: what is known so far."""

    name: str
    sides: Sides
    suspect: bool = False  # comes before the others
    pairs: list[Pair] = field(default_factory=list)
    judgement: Judgement | None = None
    spent: float = 0.0  # of the allowed error
    share: float = 0.0  # of it, at the latest look
    seconds: float = 0.0  # of measuring
    stopped: str = ""
    error: str | None = None  # why nothing more can be measured

    @property
    def open(self) -> bool:
        """Whether it goes on."""
        return not self.stopped and self.error is None

    @property
    def changed(self) -> bool:
        """Whether it is decided that the files differ."""
        return self.stopped == "decided" and self.judgement is not None and self.judgement.verdict != "equivalent"

    def next_s(self) -> float:
        """About how long its next pair takes; 0 while nothing is known."""
        return self.seconds / len(self.pairs) if self.pairs else 0.0


Listener = Callable[[Contest, float], None]
"""Called after every look with the contest and the seconds that have passed in all."""
Before = Callable[[Contest], None]
"""Called before every pair: the place to wait for a quiet moment, or to show progress."""


def decide(
    contests: Sequence[Contest],
    *,
    budget_s: float,
    limit_s: float = 0.0,
    margin: float = 0.03,
    alarm: float = ALARM_RATE,
    width: float | None = None,
    on_look: Listener = lambda contest, seconds: None,
    before: Before = lambda contest: None,
) -> None:
    """Measure all contests, round by round, until each is decided or has no time left; see `Contest.judgement`.

    Looks are planned by the number of pairs (`trial.LOOKS`); suspects reach each look before the others, and a contest
    that is decided, or with `width`, whose interval is that narrow, takes no more time. `alarm` is the rate at which
    any of them may be called slower or faster though nothing differs. Each has its equal part; the part of one that is
    found to differ goes to the others, and those are looked at again (Holm, "A simple sequentially rejective multiple
    test procedure", 1979; over planned looks: Maurer and Bretz, "Multiple testing in group sequential trials using
    graphical approaches", 2013). How far pairs scatter is judged over all contests together (`trust.spread`).

    A contest whose next pair has no room in what is left of the budget ends; but up to `limit_s` in all, contests go on
    until they have the fewest pairs that can give a verdict. Whether one does follows from how long pairs take, never
    from what they say. Disturbed pairs count: leaving some out for how they look would be a choice made after seeing
    them.

    A contest in which timing fails ends with its `error`; the others go on.
    """
    begun = time.monotonic()
    for count, share in [*LOOKS.items(), (None, 0.0)]:
        for group in (True, False):
            members = [contest for contest in contests if contest.suspect is group and contest.open]
            while due := [c for c in members if c.open and (count is None or len(c.pairs) < count)]:
                for contest in due:
                    elapsed = time.monotonic() - begun
                    room = elapsed + contest.next_s() <= (
                        max(budget_s, limit_s) if len(contest.pairs) < FEWEST else budget_s
                    )
                    if room:
                        before(contest)
                        _add(contest)
                    else:
                        contest.stopped = "budget"
            looked = [contest for contest in members if contest.error is None]
            for contest in looked:
                contest.share = share if contest.open else 1 - contest.spent
                contest.spent += contest.share
            _look(looked, contests, alarm, margin, width)
            for contest in looked:
                on_look(contest, time.monotonic() - begun)
    undecided = [contest for contest in contests if contest.stopped == "budget"]
    _look(undecided, contests, alarm, margin, width)  # once more, with what the others have left them
    for contest in undecided:
        if contest.stopped != "budget":
            on_look(contest, time.monotonic() - begun)


def _add(contest: Contest) -> None:
    """One more pair, or the reason why there is none."""
    begun = time.monotonic()
    try:
        contest.pairs.append(contest.sides.pair(len(contest.pairs)))
    except Failed as error:
        contest.error = str(error)
    contest.seconds += time.monotonic() - begun


def _look(
    looked: Sequence[Contest], contests: Sequence[Contest], alarm: float, margin: float, width: float | None
) -> None:
    """Judge the pairs so far of some of all contests, each with its share of the error, and end those that they decide;
    again for as long as one that is found to differ leaves its part to the others."""
    logs = [trial.log_ratios(contest.pairs) for contest in contests]
    prior = spread.prior([(trial.variance_of(each), len(each) - 1) for each in logs if len(each) >= FEWEST])
    while looked := [contest for contest in looked if contest.pairs and contest.stopped in ("", "budget")]:
        differ = sum(contest.changed for contest in contests)
        for contest in looked:
            contest.judgement = trial.judged(
                contest.pairs, margin=margin, alarm=alarm / (len(contests) - differ), share=contest.share, prior=prior
            )
            if width is None and contest.judgement.verdict != "inconclusive":
                contest.stopped = "decided"
            elif width is not None and contest.judgement.width <= width:
                contest.stopped = "width"
        if sum(contest.changed for contest in contests) == differ:
            break


def measure(
    a: Side,
    b: Side,
    setup: Setup,
    *,
    budget_s: float = BUDGET_S,
    limit_s: float = 0.0,
    margin: float = 0.03,
    width: float | None = None,
    on_look: Listener = lambda contest, seconds: None,
    before: Before = lambda contest: None,
) -> Trial:
    """Time A and B side by side: a contest by itself. Raises Failed when a visit fails; the line names the side."""
    contest = Contest("", ab.Sides(a, b, setup))
    with lock.measuring():
        decide(
            [contest], budget_s=budget_s, limit_s=limit_s, margin=margin, width=width, on_look=on_look, before=before
        )
    return as_trial(contest, margin)


def as_trial(contest: Contest, margin: float) -> Trial:
    """A contest that is over. Raises Failed where timing failed, or the budget held not even one pair."""
    if contest.error is not None:
        raise Failed(contest.error)
    if contest.judgement is None:
        raise Failed("the budget is too short for anything; raise --budget")
    sides = contest.sides
    p50s = trial.p50s(contest.pairs)
    return Trial(
        judgement=contest.judgement,
        margin=margin,
        a_p50_ms=p50s[0],
        b_p50_ms=p50s[1],
        a_runtime=sides.runtimes[0],
        b_runtime=sides.runtimes[1],
        same_file=sides.same_file,
        one_process=sides.one_process,
        threads=sides.setup.threads,
        provider=sides.provider,
        seconds=round(contest.seconds, 1),
        stopped=contest.stopped,
        pairs=tuple(contest.pairs),
    )
