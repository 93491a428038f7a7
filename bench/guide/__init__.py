"""The guide for users: short pages of Markdown, shown by `bench guide` and built into the published site.

Every command and snippet in them is run by `tests/guide`.
"""

from __future__ import annotations

from importlib.resources import files

from bench.errors import WrongUsage, suggestion

TOPICS = {
    "first-run": "measure, open the report, choose",
    "report": "how to read the page",
    "suites": "which models, in which variants",
    "files": "your own ONNX and Keras models",
    "images": "accuracy on your own images",
    "transfer": "which backbone for your own images, and a folder to deploy",
    "compare": "faster or slower than before? Baselines and CI",
    "trust": "what a number is worth on this machine",
    "precision": "fp16, int8 and int8-dynamic",
    "runtimes": "ONNX Runtime, OpenVINO, LiteRT",
    "gpu": "measuring on a CUDA GPU",
    "load": "requests a second and cameras that this machine holds",
    "fleet": "one suite on many machines",
    "cost": "mult-adds, parameters, and a layer's arithmetic",
    "detection": "IoU, precision and recall, AP and COCO mAP",
    "api": "from Python and in a notebook",
    "glossary": "the words that all pages use",
}
"""The pages in the order in which one reads them, each with what it answers."""


def page(topic: str) -> str:
    """The Markdown of a topic. Raises WrongUsage when there is no such topic."""
    if topic not in TOPICS:
        raise WrongUsage(f'the guide has no page "{topic}"; {suggestion(topic, TOPICS)}')
    return (files("bench.guide") / f"{topic}.md").read_text(encoding="utf-8")
