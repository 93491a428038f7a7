"""Numbers as text, each with its unit, with as many digits as they deserve."""

from __future__ import annotations


def significant(value: float, digits: int = 3) -> str:
    """A number with so many significant digits and no exponent.

    >>> significant(1234.5), significant(0.012345), significant(36.71)
    ('1234', '0.0123', '36.7')
    """
    if value == 0:
        return "0"
    from math import floor, log10

    places = max(0, digits - 1 - floor(log10(abs(value))))
    return f"{value:.{places}f}"


def latency(p50_ms: float, low_ms: float | None = None, high_ms: float | None = None) -> str:
    """A latency in ms, with its interval when it is given.

    >>> latency(36.7123, 36.5, 37.1)
    '36.7 ms [36.5, 37.1]'
    """
    if low_ms is None or high_ms is None:
        return f"{significant(p50_ms)} ms"
    return f"{significant(p50_ms)} ms [{significant(low_ms)}, {significant(high_ms)}]"


def percent(value: float) -> str:
    """A figure that already is in percent.

    >>> percent(70.424)
    '70.4 %'
    """
    return f"{value:.1f} %"


def relative(ratio: float) -> str:
    """A ratio as a signed change in percent.

    >>> relative(1.034), relative(0.9)
    ('+3.4 %', '-10.0 %')
    """
    return f"{100 * (ratio - 1):+.1f} %"


def millions(count: int) -> str:
    """A count in millions.

    >>> millions(4253864)
    '4.25 M'
    """
    return f"{significant(count / 1e6)} M"


def giga(count: int) -> str:
    """A count in thousands of millions, without a unit: the heading carries it."""
    return significant(count / 1e9)


def megabytes(size_bytes: int) -> str:
    """A size in MB of 1,000,000 bytes.

    >>> megabytes(17_000_000)
    '17.0 MB'
    """
    return f"{significant(size_bytes / 1e6)} MB"


def duration(seconds: float) -> str:
    """A time span for people.

    >>> duration(4.2), duration(187)
    ('4 s', '3 min 07 s')
    """
    whole = round(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60:02d} s"


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
    if not 0 <= value < 1:
        raise WrongUsage(f'"{text}" is not a share between 0 and 1; write it as 3% or 0.03')
    return value


_FACTORS = {
    "ms": {"": 1.0, "ms": 1.0, "us": 1e-3, "s": 1e3},
    "bytes": {"": 1.0, "b": 1.0, "kb": 1e3, "mb": 1e6, "gb": 1e9},
    "count": {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9},
    "percent": {"": 1.0, "%": 1.0},
}


def parse_quantity(text: str, unit: str) -> float:
    """A number with its unit, as ms, bytes, a count or a percentage.

    Raises WrongUsage for anything else.

    >>> parse_quantity("10ms", "ms"), parse_quantity("20 MB", "bytes"), parse_quantity("10M", "count")
    (10.0, 20000000.0, 10000000.0)
    """
    import re

    from bench.errors import WrongUsage

    factors = _FACTORS[unit]
    found = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*([A-Za-z%]*)\s*", text)
    if found is None or found[2].lower() not in factors:
        valid = ", ".join(f"10{suffix.upper() if unit == 'bytes' else suffix}" for suffix in factors if suffix)
        raise WrongUsage(f'"{text}" is not a quantity here; write it as {valid or "10"}')
    return float(found[1]) * factors[found[2].lower()]


def quantity(value: float, unit: str) -> str:
    """A value in ms, bytes, as a count or percentage, with its unit.

    >>> quantity(12.3456, "ms"), quantity(2e7, "bytes"), quantity(10_000_000, "count"), quantity(70, "percent")
    ('12.3 ms', '20.0 MB', '10.0 M', '70.0 %')
    """
    shown = {
        "ms": latency,
        "bytes": lambda v: megabytes(int(v)),
        "count": lambda v: millions(int(v)),
        "percent": percent,
    }
    return str(shown[unit](value))
