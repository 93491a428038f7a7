"""The guide in the terminal."""

from __future__ import annotations

import click

from bench.cli.root import cli, table


@cli.command()
@click.argument("topic", required=False)
def guide(topic: str | None) -> None:
    """Show a page of the guide; without a TOPIC, the topics."""
    from bench import guide

    if topic is None:
        table(("topic", "what it answers"), list(guide.TOPICS.items()))
        click.echo("`bench guide TOPIC` shows a page")
        return
    from rich.console import Console
    from rich.markdown import Markdown

    console = Console()
    console.print(Markdown(guide.page(topic)), width=min(console.width, 100))
