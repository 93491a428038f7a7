"""Figures as Plotly's JSON, each drawn for a wide and for a narrow page."""

from __future__ import annotations

from bench.report.figures.frame import NARROW, WIDE, Frame

__all__ = ["NARROW", "WIDE", "Frame"]
