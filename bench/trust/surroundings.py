"""What of the user's surroundings will bite: Keras's settings, files that stand in for modules, a locale, threads."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import packages_distributions
from pathlib import Path

from bench.trust.finding import Finding

_KERAS = {"backend": "tensorflow", "image_data_format": "channels_last", "floatx": "float32"}
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")
_PRINTED = "α ± ≥ – µ"


def findings(cores: int) -> Iterator[Finding]:
    """All of them, of this process and its working directory."""
    yield keras(os.environ, Path.home())
    yield shadowing(Path.cwd(), modules())
    yield locale(str(sys.stdout.encoding))
    yield threads(os.environ, cores)


def keras(environment: Mapping[str, str], home: Path) -> Finding:
    """Keras's own settings: what differs from those that bench pins in its workers differs in one's own scripts."""
    folder = Path(environment.get("KERAS_HOME") or home / ".keras")
    file = folder / "keras.json"
    settings: dict[str, object] = {}
    try:
        settings = dict(json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        pass
    except (OSError, ValueError, TypeError, RecursionError) as error:
        return Finding("Keras settings", f"{file} cannot be read", f"mend it or delete it ({type(error).__name__})")
    differing = [
        f"{file}: {key} is {settings[key]}" for key, usual in _KERAS.items() if settings.get(key, usual) != usual
    ]
    if environment.get("KERAS_BACKEND", "tensorflow") != "tensorflow":
        differing.insert(0, f"KERAS_BACKEND is {environment['KERAS_BACKEND']}")
    if not differing:
        return Finding("Keras settings", "the usual ones")
    remedy = "bench exports with TensorFlow, channels last, float32 all the same; a model of your own script does not"
    return Finding("Keras settings", "; ".join(differing), f"{remedy}: unset the variable, or correct the file")


def modules() -> set[str]:
    """The modules of Python and of all that is installed."""
    return {*sys.stdlib_module_names, *packages_distributions(), "bench"}


def shadowing(folder: Path, known: Iterable[str]) -> Finding:
    """Files in the working directory that Python would import in place of a module of the same name."""
    known = set(known)
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        return Finding("working directory", f"cannot be listed: {error.strerror}", "run bench from another folder")
    names = []
    for entry in entries:
        name = entry.name.removesuffix(".py") if entry.suffix == ".py" else entry.name
        is_module = entry.suffix == ".py" or (entry / "__init__.py").is_file()
        if is_module and name in known and not _is_itself(entry, name):
            names.append(entry.name)
    if not names:
        return Finding("working directory", "no file stands in for a module")
    shown = ", ".join(names[:5]) + (" ..." if len(names) > 5 else "")
    remedy = "Python imports it in place of the module of that name: rename it, or run from another folder"
    return Finding("working directory", f"{shown} in {folder}", remedy)


def locale(encoding: str) -> Finding:
    """Whether the terminal or file that is printed to can hold what bench prints."""
    try:
        _PRINTED.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return Finding("locale", f"{encoding} cannot print {_PRINTED}", "set PYTHONUTF8=1, or a UTF-8 locale (LC_ALL)")
    return Finding("locale", encoding)


def threads(environment: Mapping[str, str], cores: int) -> Finding:
    """Variables that ask for more threads than there are cores."""
    asked = {name: environment[name] for name in _THREADS if environment.get(name, "").isdigit()}
    over = [f"{name}={value}" for name, value in asked.items() if int(value) > cores]
    if not over:
        return Finding("threads asked", ", ".join(f"{k}={v}" for k, v in asked.items()) or "by no variable")
    remedy = f"more threads than the {cores} cores given wait for each other: set {cores} or fewer, or unset them"
    return Finding("threads asked", ", ".join(over), remedy)


def _is_itself(entry: Path, name: str) -> bool:
    """Whether this is the very module, as when bench runs from its own checkout."""
    loaded = getattr(sys.modules.get(name), "__file__", None)
    return loaded is not None and Path(loaded).resolve() in (entry.resolve(), (entry / "__init__.py").resolve())
