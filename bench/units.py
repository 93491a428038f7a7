"""Numbers as text, each with its unit, with as many digits as they deserve.

`report/static/pick.js` writes the same texts from the same table of units: change both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Unit:
    """How values of one unit are written and read."""

    scales: tuple[tuple[float, float, str], ...]  # from this value on: over this, with this symbol; the least first
    factors: Mapping[str, float]  # of what may stand behind a number that is read, in lower case
    places: int | None = None  # decimals; None: three significant digits, whole numbers where nothing is divided


UNITS: dict[str, Unit] = {
    "ms": Unit(((0, 1, "ms"),), {"": 1.0, "ms": 1.0, "us": 1e-3, "s": 1e3}),
    "bytes": Unit(((0, 1, "B"), (1e3, 1e3, "kB"), (1e5, 1e6, "MB")), {"b": 1.0, "kb": 1e3, "mb": 1e6, "gb": 1e9}),
    "count": Unit(((0, 1, ""), (1e5, 1e6, "M")), {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9}),
    "operations": Unit(((0, 1, "Ops"), (1e6, 1e9, "G-Ops")), {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9}),
    "percent": Unit(((0, 1, "%"),), {"": 1.0, "%": 1.0}, places=1),
    "per_s": Unit(((0, 1, "/s"),), {"": 1.0, "/s": 1.0}),
    "J": Unit(((0, 1e-3, "mJ"), (0.1, 1, "J")), {"": 1.0, "j": 1.0, "mj": 1e-3}),
    "W": Unit(((0, 1e-3, "mW"), (0.1, 1, "W")), {"": 1.0, "w": 1.0, "mw": 1e-3}),
    "points": Unit(((0, 1, "points"),), {"": 1.0}, places=1),
}
_WHOLE = ("bytes", "count", "operations")  # units of which there are no parts: 864, not 864.0


def quantity(value: float, unit: str, interval: tuple[float, float] | None = None) -> str:
    """A value of one of UNITS with its unit, and its interval on the same scale.

    >>> quantity(12.3456, "ms"), quantity(2e7, "bytes"), quantity(10_000_000, "count"), quantity(70, "percent")
    ('12.3 ms', '20.0 MB', '10.0 M', '70.0 %')
    >>> quantity(864, "count"), quantity(38_400, "bytes"), quantity(36.7123, "ms", (36.5, 37.1))
    ('864', '38.4 kB', '36.7 ms [36.5, 37.1]')
    """
    about = UNITS[unit]
    _, over, symbol = max((scale for scale in about.scales if scale[0] <= abs(value)), default=about.scales[0])

    def text(number: float) -> str:
        if unit in _WHOLE and over == 1:
            return f"{int(number):,}"
        return significant(number / over) if about.places is None else fixed(number / over, about.places)

    shown = f"{text(value)} {symbol}".rstrip()
    return shown if interval is None else f"{shown} [{text(interval[0])}, {text(interval[1])}]"


def typed(value: float, unit: str) -> str:
    """A value as `parse_quantity` reads it, without a space: for a command line.

    >>> typed(2e7, "bytes"), typed(864, "count"), typed(12.5, "ms"), typed(70, "percent")
    ('20MB', '864', '12.5ms', '70')
    """
    about = UNITS[unit]
    _, over, symbol = max((scale for scale in about.scales if scale[0] <= abs(value)), default=about.scales[0])
    return f"{value / over:.12g}{symbol if symbol.lower() in about.factors and symbol != '%' else ''}"


def fixed(value: float, places: int) -> str:
    """A number with so many decimals, halves away from zero, as JavaScript's toFixed.

    >>> fixed(70.25, 1), fixed(-0.05, 1), f"{70.25:.1f}"
    ('70.3', '-0.1', '70.2')
    """
    from decimal import ROUND_HALF_UP, Decimal

    return str(Decimal(value).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP))


def significant(value: float, digits: int = 3) -> str:
    """A number with so many significant digits and no exponent.

    >>> significant(1234.5), significant(0.012345), significant(36.71)
    ('1235', '0.0123', '36.7')
    """
    if value == 0:
        return "0"
    exponent = int(f"{value:.17e}".partition("e")[2])
    return fixed(value, max(0, digits - 1 - exponent))


def latency(p50_ms: float, low_ms: float | None = None, high_ms: float | None = None) -> str:
    """A latency in ms, with its interval when it is given.

    >>> latency(36.7123, 36.5, 37.1)
    '36.7 ms [36.5, 37.1]'
    """
    return quantity(p50_ms, "ms", None if low_ms is None or high_ms is None else (low_ms, high_ms))


def percent(value: float) -> str:
    """A figure that already is in percent.

    >>> percent(70.424)
    '70.4 %'
    """
    return quantity(value, "percent")


def points(difference: float, interval: tuple[float, float] | None = None) -> str:
    """A difference of two percentages, with its sign, and its interval where it has one.

    >>> points(1.5), points(-0.25), points(1.5, (-0.2, 3.2))
    ('+1.5 points', '-0.3 points', '+1.5 points [-0.2, 3.2]')
    """
    return f"{'+' if difference >= 0 else ''}{quantity(difference, 'points', interval)}"


def relative(ratio: float) -> str:
    """A ratio as a signed change in percent.

    >>> relative(1.034), relative(0.9)
    ('+3.4 %', '-10.0 %')
    """
    return f"{100 * (ratio - 1):+.1f} %"


def millions(count: int) -> str:
    """A count, in millions where it is large.

    >>> millions(4253864), millions(864)
    ('4.25 M', '864')
    """
    return quantity(count, "count")


def bound(text: str, *, is_lower: bool) -> str:
    """A figure as it is, or marked as one that the true one is not below.

    >>> bound("4.25 M", is_lower=True), bound("4.25 M", is_lower=False)
    ('≥ 4.25 M', '4.25 M')
    """
    return f"≥ {text}" if is_lower else text


def giga(count: int) -> str:
    """Operations in thousands of millions, without a unit: the heading carries it; plainly with it where they are few.

    >>> giga(1_138_000_000), giga(1728)
    ('1.14', '1,728 Ops')
    """
    return quantity(count, "operations").removesuffix(" G-Ops")


def megabytes(size_bytes: int) -> str:
    """A size in MB of 1,000,000 bytes, in kB or bytes where it is small.

    >>> megabytes(17_000_000), megabytes(391)
    ('17.0 MB', '391 B')
    """
    return quantity(size_bytes, "bytes")


def duration(seconds: float) -> str:
    """A time span for people.

    >>> duration(4.2), duration(187)
    ('4 s', '3 min 07 s')
    """
    whole = round(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60:02d} s"


def parse_duration(text: str) -> float:
    """Seconds from "90", "90s", "5m" or "1h".

    Raises WrongUsage for anything else.

    >>> parse_duration("90s"), parse_duration("5 m"), parse_duration("0")
    (90.0, 300.0, 0.0)
    """
    import re

    from bench.errors import WrongUsage

    parts = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*(s|m|min|h)?\s*", text)
    if parts is None:
        raise WrongUsage(f'"{text}" is not a time; write it as 90s, 5m or 1h')
    return float(parts[1]) * {"h": 3600, "m": 60, "min": 60}.get(parts[2] or "s", 1)


def parse_share(text: str) -> float:
    """A share from "3%", "3 %" or "0.03".

    Raises WrongUsage for anything else.

    >>> parse_share("3%"), parse_share("0.03")
    (0.03, 0.03)
    """
    from bench.errors import WrongUsage

    stripped = text.strip()
    try:
        value = float(stripped.removesuffix("%")) / (100 if stripped.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 < value < 1:
        raise WrongUsage(f'"{text}" is not a share above 0 and below 1; write it as 3% or 0.03')
    return value


def parse_shape(text: str) -> tuple[int, ...]:
    """A shape, each size above 0, from text such as "1x3x224x224". Raises WrongUsage for anything else.

    >>> parse_shape("1x3x224x224"), parse_shape("8")
    ((1, 3, 224, 224), (8,))
    """
    import re

    from bench.errors import WrongUsage

    if not re.fullmatch(r"\d{1,9}([x×,]\d{1,9})*", text, flags=re.ASCII):
        raise WrongUsage(f'"{text}" is not a shape; write it as 1x3x224x224')
    sizes = tuple(int(size) for size in re.split("[x×,]", text))
    if not all(sizes):
        raise WrongUsage(f'the shape "{text}" has a size of 0; an empty input has no latency')
    return sizes


def parse_quantity(text: str, unit: str) -> float:
    """A number with its unit, in one of UNITS.

    Raises WrongUsage for anything else.

    >>> parse_quantity("10ms", "ms"), parse_quantity("20 MB", "bytes"), parse_quantity("1.5e3M", "count")
    (10.0, 20000000.0, 1500000000.0)
    """
    import re

    from bench.errors import WrongUsage

    factors = UNITS[unit].factors
    parts = re.fullmatch(r"\s*([0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?)\s*([A-Za-z%/]*)\s*", text)
    if parts is None or parts[2].lower() not in factors:
        valid = ", ".join(f"10{suffix.upper() if unit == 'bytes' else suffix}" for suffix in factors if suffix)
        raise WrongUsage(f'"{text}" is not a quantity here; write it as {valid or "10"}')
    return float(parts[1]) * factors[parts[2].lower()]


def readable(name: str) -> str:
    r"""A name from a file or a file system, with a replacement for what is no text or what a terminal would obey.

    >>> readable("caf\udce9"), readable("a\x1b[31m")
    ('caf�', 'a�[31m')
    """
    return "".join(c if c.isprintable() else "\ufffd" for c in name)
