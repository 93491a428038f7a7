"""The process that counts: a JSON list of cases on stdin, a JSON list of answers on stdout."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout

import msgspec

from bench.cost.cases import answer
from bench.records import Case


def main() -> None:
    """Answer for every case; an error of one is its answer and stops no other."""
    cases = msgspec.json.decode(sys.stdin.buffer.read(), type=list[Case])
    with redirect_stdout(sys.stderr):
        answers = [answer(case) for case in cases]
    sys.stdout.buffer.write(msgspec.json.encode(answers))


if __name__ == "__main__":
    main()
