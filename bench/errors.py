"""The errors a user can cause or meet, each with the exit code of the command-line contract."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class BenchError(Exception):
    """One line that names the cause and the remedy; the command line prints it and exits with `exit_code`."""

    exit_code = 5

    def __init__(self, message: str = "") -> None:
        super().__init__(printable(message))


class Regression(BenchError):
    """A regression is confirmed."""

    exit_code = 1


class WrongUsage(BenchError):
    """The request itself is wrong: a misspelt name, a broken suite file, an impossible option."""

    exit_code = 2


class Inconclusive(BenchError):
    """The data cannot see the margin."""

    exit_code = 3


class NotComparable(BenchError):
    """Two runs that must not be compared, or no baseline to compare with."""

    exit_code = 4


class Failed(BenchError):
    """A measurement or an export failed."""

    exit_code = 5


class NoModel(BenchError):
    """No model meets the limits of `pick`."""

    exit_code = 6


def suggestion(name: str, known: Iterable[str]) -> str:
    """`did you mean "X"?`, or the valid names when there are few, or nothing.

    >>> suggestion("MobilNet", ["MobileNet", "VGG16"])
    'did you mean "MobileNet"?'
    """
    names = sorted(known)
    lowered = {candidate.lower(): candidate for candidate in names}
    near = get_close_matches(name.lower(), lowered, n=1, cutoff=0.6)
    if near:
        return f'did you mean "{lowered[near[0]]}"?'
    return f"valid: {', '.join(names)}" if 0 < len(names) <= 20 else ""


def printable(text: str) -> str:
    r"""A text as one line that every terminal can show: names from files may hold anything.

    >>> printable("a\nb\x1b[31m")
    'a b�[31m'
    """
    return "".join(c if c.isprintable() else " " if c.isspace() else "\ufffd" for c in text)
