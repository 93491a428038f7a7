"""The costs that come with the package, counted anew: `python -m bench.cost.packing`, or `nox -s counts`."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from bench.cost import packaged
from bench.cost.cases import counted_costs


def write() -> Path:
    """Count all of them in a worker process and store what it says; the file. Raises Failed for one without a count."""
    costs = {packaged.key(case): cost for case, cost in counted_costs(packaged.cases())}
    lines = (f"{json.dumps(key)}: {msgspec.json.encode(costs[key], order='sorted').decode()}" for key in sorted(costs))
    packaged.FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    return packaged.FILE


if __name__ == "__main__":
    write()
