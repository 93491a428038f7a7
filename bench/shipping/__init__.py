"""A run's chosen model as a folder to deploy: the file, its labels, a program that runs it, and a model card."""

from __future__ import annotations

from bench.shipping.folder import Shipped, free, ship
from bench.shipping.subject import Asked, chosen

__all__ = ["Asked", "Shipped", "chosen", "free", "ship"]
