"""The house as a drawing, made from the import graph: `python -m tests.house` prints it for CONTRIBUTING.md.

python -m tests.house            the drawing
python -m tests.house --figures  files, arrows between rooms, upward arrows, circles of rooms and of a room's files
"""

from __future__ import annotations

import sys
import tomllib
from collections import defaultdict
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parents[1]


def floors() -> list[list[str]]:
    """The rooms from top to bottom, as the contract of pyproject.toml has them; rooms of one floor together."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    return [layer.replace(":", "|").split("|") for layer in (layer.replace(" ", "") for layer in layers)]


def arrows() -> dict[str, dict[str, int]]:
    """Room -> the rooms that it imports -> by how many of its files."""
    graph = grimp.build_graph("bench", exclude_type_checking_imports=True)
    found: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for module in graph.modules - {"bench"}:
        room = module.split(".")[1]
        others = {imported.split(".")[1] for imported in graph.find_modules_directly_imported_by(module) - {"bench"}}
        for other in others - {room}:
            found[room][other] += 1
    return found


def drawing() -> str:
    """Mermaid: a box a room, floors from top to bottom; an arrow only where no longer way leads there."""
    edges = {room: set(others) for room, others in arrows().items()}
    ground = {room for floor in floors()[-3:] for room in floor}  # units, records, errors: everybody stands on them
    lines = ["graph TD"]
    for room in (room for floor in floors() for room in floor if room not in ground):
        for other in sorted(edges.get(room, set()) - ground):
            if not any(_reaches(edges, between, other) for between in edges[room] - {other}):
                lines.append(f"    {room} --> {other}")
    return "\n".join(lines)


def _reaches(edges: dict[str, set[str]], start: str, end: str) -> bool:
    seen: set[str] = set()
    open_rooms = [start]
    while open_rooms:
        room = open_rooms.pop()
        if room == end:
            return True
        if room not in seen:
            seen.add(room)
            open_rooms += edges.get(room, ())
    return False


def figures() -> str:
    """Counts of the import graph between rooms."""
    graph = grimp.build_graph("bench", exclude_type_checking_imports=True)
    edges = arrows()
    depth = {room: number for number, floor in enumerate(floors()) for room in floor}
    upward = [(a, b) for a in edges for b in edges[a] if depth.get(b, 0) <= depth.get(a, 0)]
    circles = [(a, b) for a in edges for b in edges[a] if _reaches({r: set(o) for r, o in edges.items()}, b, a)]
    inside = {
        room: graph.nominate_cycle_breakers(f"bench.{room}") for room in edges if graph.find_children(f"bench.{room}")
    }
    return (
        f"{len(graph.modules)} modules, {graph.count_imports()} imports; "
        f"{sum(map(len, edges.values()))} arrows between rooms, {len(upward)} upward, {len(circles)} in circles; "
        f"{sum(map(bool, inside.values()))} of {len(inside)} rooms with a circle of files"
    )


if __name__ == "__main__":
    print(figures() if "--figures" in sys.argv else drawing())
