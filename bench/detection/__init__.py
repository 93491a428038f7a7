"""Detection: boxes, the evaluation of COCO-format files, and localisers made of our backbones."""

from __future__ import annotations

from bench.detection.evaluation import evaluate
from bench.detection.results import Evaluation

__all__ = ["Evaluation", "evaluate"]
