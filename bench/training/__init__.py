"""Networks trained here on the embedded data sets, and what their exported files are worth on held-out images."""

from __future__ import annotations

from bench.training.recipe import Recipe, recipe
from bench.training.results import JUDGES, accuracy
from bench.training.weights import trained

__all__ = ["JUDGES", "Recipe", "accuracy", "recipe", "trained"]
