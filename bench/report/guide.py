"""The guide as pages of the published site."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from markdown_it import MarkdownIt

from bench import guide
from bench.report.page import Link, document
from bench.store import write_atomically

FIRST: Link = ("Guide", "guide-first-run.html")


def write_guide(out: Path, links: Sequence[Link]) -> None:
    """Write a page a topic into the folder; `links` stand above each of them."""
    for topic in guide.TOPICS:
        body = MarkdownIt("commonmark", {"html": False}).enable("table").render(guide.page(topic))
        text = document("guide.html.j2", (), links=links, topic=topic, topics=guide.TOPICS, body=body)
        write_atomically(out / f"guide-{topic}.html", text.encode())
