"""Timing: rounds of visits, each a fresh process; the machine it happens on and how it was doing."""

from __future__ import annotations

from bench.timing.schedule import Target, VisitFailed, VisitStarted, VisitWaits, visits

__all__ = ["Target", "VisitFailed", "VisitStarted", "VisitWaits", "visits"]
