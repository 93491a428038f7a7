"""The values of a suite's keys: what each may hold, where in the file it stands, what files are called."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import WrongUsage, suggestion
from bench.units import parse_shape

KERAS_FILES = (".keras", ".h5", ".hdf5")  # a whole model; `.weights.h5` holds weights alone
OWN_FILES = (".onnx", ".tflite")  # timed as they are
FILE_SUFFIXES = (*OWN_FILES, *KERAS_FILES)
SHAPES = 'a shape such as "1x3x224x224", or a table of one for each input, e.g. {x = "1x3x224x224"}'


@dataclass(frozen=True, slots=True)
class Key:
    """What one key of a case may hold."""

    kind: type | tuple[type, ...]
    says: str
    valid: Collection[Any] | None = None
    sweeps: bool = True
    least: float | None = None
    most: float = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Location:
    """Where in a suite file something stands, for messages."""

    file: str
    text: str
    case: int  # 1 for the first [[case]]; 0 outside of one

    def of(self, key: str) -> str:
        """`file:line` of the key, as far as it can be found, and its name."""
        if not self.file:
            return f'"{key}"'
        within_case = 0
        for number, line in enumerate(self.text.splitlines(), start=1):
            within_case += bool(re.match(r"\s*\[\[\s*case\s*\]\]", line))
            if within_case == self.case and re.match(rf"""\s*(\[+\s*)?["']?{re.escape(key)}["']?\s*(=|\.|\])""", line):
                return f'{self.file}:{number}: "{key}"'
        return f'{self.file}: "{key}"'


def check_value(what: str, item: Any, rule: Key) -> None:
    """Hold one value against its key's rule."""
    right = isinstance(item, rule.kind) or (rule.kind is float and isinstance(item, int))
    if not right or (isinstance(item, bool) and rule.kind in (int, float)):
        raise WrongUsage(f"{what} is {item!r}; it must be {rule.says}")
    if rule.least is not None and not rule.least < item <= rule.most:
        raise WrongUsage(f"{what} is {item!r}; it must be {rule.says}")
    if rule.valid is not None and item not in rule.valid:
        raise WrongUsage(f"{what} is {item!r}; {suggestion(str(item), rule.valid)}")


def check_table(at: str, table: Mapping[str, Any], keys: Mapping[str, Key]) -> None:
    """Hold a table that is a key's value against the rules of its own keys."""
    for key, value in table.items():
        if key not in keys:
            raise WrongUsage(f"{at}: {key} is not a key of it; {suggestion(key, keys)}")
        check_value(f"{at}: {key}", value, keys[key])


def sizes(table: Mapping[str, Any], at: str) -> dict[str, int]:
    """What a case's key `dimensions` says."""
    for size in table.values():
        check_value(at, size, Key(int, "a table of positive whole numbers, e.g. {batch = 1}", least=0))
    return dict(table)


def shapes(value: Any, at: str) -> dict[str, tuple[int, ...]]:
    """What a case's key `input_shape` says, by the input's name; "" for the only one."""
    shapes_of = {}
    for name, shape in (value if isinstance(value, dict) else {"": value}).items():
        if isinstance(shape, str):
            try:
                shapes_of[name] = parse_shape(shape)
            except WrongUsage as error:
                raise WrongUsage(f"{at}: {error}") from error
            continue
        if not isinstance(shape, list) or not shape:
            raise WrongUsage(f"{at} is {shape!r}; it must be {SHAPES}")
        for size in shape:
            check_value(at, size, Key(int, "of positive whole numbers, e.g. [1, 3, 224, 224]", least=0))
        shapes_of[name] = tuple(shape)
    return shapes_of


def plain(value: Any, at: str) -> Any:
    """A builder's argument, which JSON must be able to hold."""
    if isinstance(value, dict):
        return {key: plain(item, at) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item, at) for item in value]
    finite = not isinstance(value, float) or math.isfinite(value)
    fits = not isinstance(value, int) or abs(value) < 2**63
    if not isinstance(value, (str, int, float, bool)) or not finite or not fits:
        raise WrongUsage(f"{at}: {value} cannot be handed on; use texts, numbers, true and false, lists and tables")
    return value


def distinct(models: Iterable[str]) -> dict[str, str]:
    """What each model is called: of a file, the shortest end of its path that sets it apart, without its suffix.

    >>> distinct(["resnet/model.onnx", "vit/model.onnx", "old.onnx", "old.keras", "VGG16"])["vit/model.onnx"]
    'vit/model'
    """
    everything = dict.fromkeys(models)
    paths = {model: Path(model).absolute() for model in everything if model.lower().endswith(FILE_SUFFIXES)}
    names = everything.keys() - paths.keys()
    labels = {model: model for model in names}
    for model, path in paths.items():
        for depth, whole in itertools.product(range(1, len(path.parts)), (False, True)):
            ends = {m: "/".join((p if whole else p.with_suffix("")).parts[-depth:]) for m, p in paths.items()}
            if ends[model] not in names and sum(end == ends[model] for end in ends.values()) == 1:
                break
        labels[model] = ends[model]
    return labels


def of_another_kind(text: str, taken: Sequence[str]) -> str | None:
    """What to say of a file that is there and has none of the suffixes taken; None where there is no such file."""
    if not is_there(Path(text)) or Path(text).is_dir():
        return None
    return f"{text} is no model that is taken here; export it to {', '.join(taken[:-1])} or {taken[-1]}"


def is_file(path: Path) -> bool:
    """Whether there is such a file; False too for a path that no system allows."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def is_there(path: Path) -> bool:
    """Whether there is anything of that name; False too for a path that no system allows."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False
