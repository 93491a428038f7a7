"""What one inference costs: mult-adds, parameters and activation memory, counted from the network's graph."""

from __future__ import annotations

from bench.cost.cases import of_case, of_cases
from bench.cost.layers import LayerCost, total

__all__ = ["LayerCost", "of_case", "of_cases", "total"]
