"""Figure 2 as a picture, drawn by a local Chromium through kaleido."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.errors import Failed
from bench.report import Material
from bench.report.figures.bubbles import operations_figure
from bench.report.figures.frame import WIDE


def write_images(material: Material, out: Path) -> Path:
    """Draw Figure 2 of the last run as PNG or SVG. Raises Failed where kaleido or a Chromium is missing."""
    try:
        import kaleido
    except ImportError as error:
        raise Failed("drawing pictures needs kaleido; `pip install backbench[png]`") from error
    drawn = operations_figure(list(material.runs[-1].records), WIDE)
    size = {side: drawn["layout"][side] for side in ("width", "height")}
    options: dict[str, Any] = {"format": out.suffix.removeprefix(".")} | size
    if options["format"] == "png":
        options["scale"] = 2
    drawn["layout"] |= {"paper_bgcolor": "white", "plot_bgcolor": "white"}
    for axis in ("xaxis", "yaxis"):
        drawn["layout"][axis] |= {"gridcolor": "#e6e6e6", "linecolor": "#444"}
    try:
        kaleido.write_fig_sync(drawn, out, opts=options)
    except Exception as error:
        # kaleido's errors come from several layers below it; what they share is that no picture was drawn.
        if out.is_file() and out.stat().st_size == 0:
            out.unlink()
        raise Failed(
            f"no picture could be drawn ({' '.join(str(error).split())[:200]}); is Chromium installed?"
        ) from error
    return out
