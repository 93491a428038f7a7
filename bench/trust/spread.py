"""How far pairs of a model scatter, where several models are timed: each one's few pairs say little of that.

Empirical Bayes after Smyth ("Linear models and empirical Bayes methods for assessing differential expression",
Statistical Applications in Genetics and Molecular Biology 3, 2004, sections 4 and 6.2): the variances of all models
come from a scaled inverse chi-squared distribution, whose place and width are found from those of this run.

Two things differ from there, both because a gate must not cry wolf over the one model that scatters more: what the
others say weighs at most `MOST_DEGREES`, and it never makes a variance smaller than the model's own. Simulated with
`tests.benchmarks.gate_simulation` (twelve models, time for 7 to 11 pairs each, normal and heavy-tailed noise, models
alike, unlike, and one five times as wide): a true 3 % in all of them is seen in 91 to 99.6 % instead of 77 to 94 %, a
true 5 % in at least 99.5 % instead of 97; gates with a false alarm: 0 to 1.2 % of 1000 each, where 1 % is allowed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, variance

MOST_DEGREES = 6.0
"""What all others say of one model's variance weighs at most like so many of its own pairs."""
_FEWEST = 3  # fewer models say nothing of how they differ


@dataclass(frozen=True, slots=True)
class Prior:
    """What is known of a model's variance before its own pairs: a guess and its weight in degrees of freedom."""

    variance: float = 0.0
    degrees: float = 0.0

    def posterior(self, own: float, degrees: float) -> tuple[float, float]:
        """The variance to take for a model with its own, and its degrees of freedom; never less than its own.

        >>> Prior(4.0, 6.0).posterior(1.0, 3), Prior(1.0, 6.0).posterior(4.0, 3), Prior().posterior(4.0, 3)
        ((3.0, 9.0), (4.0, 9.0), (4.0, 3.0))
        """
        together = self.degrees + degrees
        return max(own, (self.degrees * self.variance + degrees * own) / together), together


NOTHING_KNOWN = Prior()


def prior(variances: Sequence[tuple[float, int]]) -> Prior:
    """The prior from the variances (above 0) of several models and their degrees of freedom, each at least 1.

    Smyth's moments of log variances, with the weight held at `MOST_DEGREES`.
    """
    if len(variances) < _FEWEST:
        return NOTHING_KNOWN
    logs = [math.log(value) - _digamma(degrees / 2) + math.log(degrees / 2) for value, degrees in variances]
    excess = variance(logs) - fmean(_trigamma(degrees / 2) for _, degrees in variances)
    half = MOST_DEGREES / 2
    if excess > _trigamma(half):  # models differ by more than so much weight would let them
        low, high = 1e-6, half
        while high - low > 1e-9 * high:
            middle = (low + high) / 2
            low, high = (middle, high) if _trigamma(middle) > excess else (low, middle)
        half = high
    return Prior(math.exp(fmean(logs) + _digamma(half) - math.log(half)), 2 * half)


# SciPy has both, but timing does without it: it comes only with extras.
def _digamma(x: float) -> float:
    """The derivative of log Gamma at x > 0 (Abramowitz and Stegun, 6.3.5 and 6.3.18)."""
    below = 0.0
    while x < 10:
        below, x = below + 1 / x, x + 1
    square = 1 / (x * x)
    return math.log(x) - 1 / (2 * x) - square * (1 / 12 - square * (1 / 120 - square / 252)) - below


def _trigamma(x: float) -> float:
    """The second derivative of log Gamma at x > 0 (Abramowitz and Stegun, 6.4.6 and 6.4.12)."""
    below = 0.0
    while x < 10:
        below, x = below + 1 / (x * x), x + 1
    square = 1 / (x * x)
    return below + 1 / x + square / 2 + square / x * (1 / 6 - square * (1 / 30 - square / 42))
