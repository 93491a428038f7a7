"""What a worker process finds around it: the caller's environment, without what would change what it answers."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from platformdirs import user_cache_path

_KERAS = {"backend": "tensorflow", "floatx": "float32", "epsilon": 1e-7, "image_data_format": "channels_last"}
_UNSET = ("KERAS_MAX_EPOCHS", "KERAS_MAX_STEPS_PER_EPOCH", "KERAS_NNX_ENABLED")


def of_worker(*, gpu: bool, keras: bool, changes: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """The environment of a worker, and what belongs at the end of its import path.

    `gpu`: whether it may use one; without it, weights are the same on every machine, as far as that goes. `keras`:
    whether it builds Keras models, which must not depend on settings that the user has for other work.
    """
    environment = dict(os.environ)
    environment |= {"PYTHONIOENCODING": "utf-8:backslashreplace", "PYTHONWARNINGS": "ignore"}
    environment.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if not gpu:
        environment["CUDA_VISIBLE_DEVICES"] = ""
    if keras:
        environment |= {"KERAS_BACKEND": "tensorflow", "TF_USE_LEGACY_KERAS": "0"} | _keras_home()
        for name in _UNSET:
            environment.pop(name, None)
    given = [entry for entry in environment.pop("PYTHONPATH", "").split(os.pathsep) if entry]
    # A file in the working directory must not stand in for a library; what has no other name is still to be had.
    first = [entry for entry in given if not _is_here(entry)]
    if first:
        environment["PYTHONPATH"] = os.pathsep.join(first)
    return environment | dict(changes), [os.getcwd()] if len(first) < len(given) else []  # noqa: PTH109


def cache_folder(name: str) -> Path:
    """Where what is kept under a name lies: below $BACKBENCH_CACHE, or the user's cache folder."""
    base = os.environ.get("BACKBENCH_CACHE")
    return (Path(base) if base else user_cache_path("backbench")) / name


def _is_here(entry: str) -> bool:
    try:
        return Path(entry).samefile(".")
    except OSError:
        return False


def _keras_home() -> dict[str, str]:
    """Keras's folder for workers: our settings, the user's downloads. Without a place for it, the user's stays."""
    home = cache_folder("keras").absolute()
    users = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras")).expanduser().absolute()
    text = json.dumps(_KERAS, indent=1)
    try:
        home.mkdir(parents=True, exist_ok=True)
        settings = home / "keras.json"
        if not settings.is_file() or settings.read_text() != text:
            with tempfile.NamedTemporaryFile("w", dir=home, delete=False) as file:
                file.write(text)
            Path(file.name).replace(settings)
        for name in ("models", "datasets"):
            (users / name).mkdir(parents=True, exist_ok=True)
            link = home / name
            if not link.is_symlink() or link.readlink() != users / name:
                link.unlink(missing_ok=True)
                link.symlink_to(users / name)
    except OSError:
        return {}
    return {"KERAS_HOME": str(home)}
