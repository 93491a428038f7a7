"""What every figure shares: its size, its axes, and text that stays text."""

from __future__ import annotations

import html
import math
from dataclasses import dataclass
from typing import Any

from bench.analysis import quality
from bench.records import Record
from bench.report.figures.labels import text_width


@dataclass(frozen=True, slots=True)
class Frame:
    """A figure's size in pixels and the margins around its plot area."""

    name: str
    width: int
    height: int
    left: int
    right: int
    top: int
    bottom: int
    font: int
    largest_bubble: int  # diameter of a bubble of 155 M parameters

    @property
    def plot(self) -> tuple[int, int]:
        """Width and height of the plot area."""
        return self.width - self.left - self.right, self.height - self.top - self.bottom

    @property
    def strip(self) -> int:
        """Height of the strip below the x axis that holds its title and the legend of bubble sizes."""
        return 62 + self.largest_bubble + 2 * self.font


WIDE = Frame("wide", 1060, 590, 64, 24, 16, 110, 13, 92)
NARROW = Frame("narrow", 344, 470, 44, 10, 10, 150, 10, 44)
FRAMES = (WIDE, NARROW)

_TITLE = 66  # from the x axis to below its title, px
_SYMBOL = 46  # of an entry of the legend, with the gap to the next


def plain(text: str) -> str:
    """A text that Plotly draws as it stands: its own small HTML is switched off."""
    return html.escape(text, quote=False)  # it does not know &quot;


def layout(frame: Frame, *, x: dict[str, Any], y: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A layout with both axes; colours come from the page's theme."""
    axis = {"showline": True, "zeroline": False, "ticks": "outside", "automargin": False}
    return {
        "width": frame.width,
        "height": frame.height,
        "margin": {"l": frame.left, "r": frame.right, "t": frame.top, "b": frame.bottom, "pad": 0},
        "font": {"size": frame.font, "family": "system-ui, sans-serif"},
        "hovermode": "closest",
        "legend": {
            "orientation": "h",
            "y": -_TITLE / frame.plot[1],
            "yanchor": "top",
            "x": 0,
            "itemsizing": "constant",
            "tracegroupgap": 3,
        },
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": "#999", "activecolor": "#555"},
        "xaxis": axis | x,
        "yaxis": axis | y,
    } | more


def with_legend(data: list[dict[str, Any]], drawn: dict[str, Any], above: float = _TITLE) -> dict[str, Any]:
    """The figure, high enough for its legend: else Plotly takes the room from the plot, and names come to collide.

    `above` is what lies between the plot and the legend, px: the title of the x axis.
    """
    entries = {
        trace.get("legendgroup", trace["name"]): trace["name"] for trace in data if trace.get("showlegend", True)
    }
    font, margin = drawn["font"]["size"], drawn["margin"]
    width, height = drawn["width"] - margin["l"] - margin["r"], drawn["height"] - margin["t"] - margin["b"]
    rows, left = 1, 0.0
    for name in entries.values():
        needed = _SYMBOL + text_width(html.unescape(name)) * font
        if left and left + needed > width:
            rows, left = rows + 1, 0.0
        left += needed
    margin["b"] = round(above + rows * (1.35 * font + 6) + 8)
    drawn["height"] = margin["t"] + height + margin["b"]
    drawn["legend"]["y"] = -above / height
    return {"data": data, "layout": drawn}


def accuracy_range(records: list[Record]) -> tuple[float, float]:
    """The range of the accuracy axis in percent, the same in every figure of a page."""
    metric = quality.of(records)
    known = [value for r in records for value in (metric.value(r), *(metric.interval(r) or ())) if value is not None]
    if not known:
        return 0.0, 100.0
    low, high = min(known), max(known)
    return max(0.0, 5 * ((low - 3) // 5)), min(100.0, 5 * ((high + 7) // 5))


def log_axis(low: float, high: float, frame: Frame, title: str) -> dict[str, Any]:
    """A logarithmic axis between two powers of ten, with no more round ticks than fit."""
    ticks = log_ticks(10.0**low, 10.0**high)
    step = math.ceil(len(ticks) / (12 if frame.width > 600 else 6))
    ticks = ticks[::step]
    return {
        "type": "log", "range": [low, high], "tickvals": ticks, "ticktext": [f"{tick:g}" for tick in ticks],
        "tickangle": 0, "title": {"text": title},
    }  # fmt: skip


def log_ticks(low: float, high: float) -> list[float]:
    """Round values between two positive numbers for a logarithmic axis, at least four where there is room.

    >>> log_ticks(1.5, 120)
    [2.0, 5.0, 10.0, 20.0, 50.0, 100.0]
    >>> log_ticks(13, 25)
    [15.0, 17.0, 20.0, 25.0]
    """
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks: list[float] = []
    for steps in ((1, 2, 5), (1, 1.5, 2, 3, 4, 5, 7), (1, 1.2, 1.5, 1.7, 2, 2.5, 3, 3.5, 4, 4.5, 5, 6, 7, 8, 9)):
        ticks = [float(f"{step * 10.0**k:.6g}") for k in decades for step in steps if low <= step * 10.0**k <= high]
        if len(ticks) >= 4:
            break
    return ticks
