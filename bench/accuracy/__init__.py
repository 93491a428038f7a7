"""Accuracy: published facts, image folders and the embedded data sets."""

from __future__ import annotations

from bench.accuracy.measuring import Settings, evaluate, measure, settings_of

__all__ = ["Settings", "evaluate", "measure", "settings_of"]
