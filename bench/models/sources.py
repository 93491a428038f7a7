"""Where a builder's source lies. Looks for it without running any of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import PathFinder
from pathlib import Path

from bench.errors import WrongUsage

_HERE = Path(__file__).parent


@contextmanager
def project_importable() -> Iterator[None]:
    """Let modules of the working directory be imported, after all that is installed, which they cannot shadow."""
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.append(folder)
    yield


def sources_of(builder: str) -> list[Path]:
    """The files that make what the builder `module:function` builds, as far as they can be known without running it.

    All of the module's package; of a module on its own those beside it, unless it is installed. Raises WrongUsage as
    `source_of`.
    """
    file = source_of(builder)
    parts = builder.partition(":")[0].split(".")
    if parts[0] == "bench":  # this package has rooms: what builds lies in this one
        return sorted(_HERE.rglob("*.py"))
    if len(parts) > 1 or file.name == "__init__.py":
        above = len(parts) - (2 if file.name != "__init__.py" else 1)
        return sorted(file.parents[above].rglob("*.py"))
    return [file] if file.parent.name in ("site-packages", "dist-packages") else sorted(file.parent.glob("*.py"))


def source_of(builder: str) -> Path:
    """The file of the module of `module:function`, installed or in the working directory.

    Raises WrongUsage when there is none.
    """
    module = builder.partition(":")[0]
    places: list[str] | None = [*(entry for entry in sys.path if entry), str(Path.cwd())]
    spec, name = None, ""
    for part in module.split("."):
        name = f"{name}.{part}".lstrip(".")
        spec = PathFinder.find_spec(name, places) if places else None
        if spec is None:
            raise WrongUsage(
                f"cannot find {name}, the module of the builder {builder}; run the command in the folder that holds "
                f"{name.partition('.')[0]}, or install it"
            )
        places = list(spec.submodule_search_locations or [])
    if spec is None or spec.origin is None:
        raise WrongUsage(f"{module}, the module of the builder {builder}, is no Python file")
    return Path(spec.origin)
