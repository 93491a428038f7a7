"""Figures as pictures, drawn by a local Chromium through kaleido."""

from __future__ import annotations

import errno
from functools import partial
from pathlib import Path
from typing import Any

from bench.errors import Failed
from bench.report import Material, answers
from bench.report.drawings import figures
from bench.report.figures.figure import Figure
from bench.report.figures.frame import WIDE


def write_images(material: Material, out: Path, *, kind: str) -> Path:
    """Draw Figure 2 of the last run into a file that ends in `kind`, or every figure into a folder.

    Raises Failed where kaleido or a Chromium is missing, where the disk is full, and where there is nothing to draw.
    """
    try:
        import kaleido
    except ImportError as error:
        raise Failed("drawing pictures needs kaleido; `pip install backbench[png]`") from error
    shown = figures(
        material.runs[-1],
        material.visits(),
        material.comparison,
        answers=answers.of_run(material.runs[-1], material.folder()),
    )
    if out.suffix == f".{kind}":
        wanted = [_picture(figure, out, kind) for figure in shown if figure.id == "operations"]
    else:
        out.mkdir(parents=True, exist_ok=True)
        wanted = [_picture(figure, out / f"{figure.id}.{kind}", kind) for figure in shown]
    if not wanted:
        raise Failed("no operations of this run are counted in full, which Figure 2 shows; write a page, -o FILE.html")
    try:
        kaleido.write_fig_from_object_sync(wanted, cancel_on_error=True)
    except Exception as error:
        # kaleido's errors come from several layers below it; what they share is that no picture was drawn.
        for picture in wanted:
            if picture["path"].is_file() and picture["path"].stat().st_size == 0:
                picture["path"].unlink()
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Failed(f"cannot write {out}: {error.strerror}; free some space, or name another -o") from error
        raise Failed(
            f"no picture could be drawn ({' '.join(str(error).split())[:200]}); is Chromium installed?"
        ) from error
    return out


write_png = partial(write_images, kind="png")
write_svg = partial(write_images, kind="svg")


_TITLE_PX = 44


def _picture(figure: Figure, path: Path, kind: str) -> dict[str, Any]:
    """A figure on white with its title, as kaleido takes it."""
    drawn = figure.draw(WIDE)
    layout = drawn["layout"] | {"paper_bgcolor": "white", "plot_bgcolor": "white"}
    layout["margin"] = layout["margin"] | {"t": layout["margin"]["t"] + _TITLE_PX}
    layout["height"] += _TITLE_PX
    layout["title"] = {"text": figure.title, "x": 0.5, "xanchor": "center", "y": 0.98, "yanchor": "top"}
    for axis in ("xaxis", "yaxis"):
        layout[axis] = layout[axis] | {"gridcolor": "#e6e6e6", "linecolor": "#444"}
    options = {"format": kind, "width": layout["width"], "height": layout["height"], "scale": 2 if kind == "png" else 1}
    return {"fig": drawn | {"layout": layout}, "path": path, "opts": options}
