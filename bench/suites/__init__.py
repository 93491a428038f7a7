"""Suites: `suites/*.toml` read, validated and expanded into Cases."""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.errors import WrongUsage, suggestion
from bench.records import Case, LoadAsked
from bench.suites import images
from bench.suites.images import calibrated, transferred
from bench.suites.keys import (
    CLASS_ORDERS,
    DATA_SETS,
    HEADS,
    INTERPOLATIONS,
    KEYS,
    LOAD_KEYS,
    NO_FILE,
    PRECISIONS,
    PREPROCESSES,
    RESIZES,
    RUNTIMES,
    WITHOUT_EFFECT,
    runtime_of,
)  # fmt: skip
from bench.suites.known import FOLDER, backbones
from bench.suites.suite import Suite, in_runtimes, only, select
from bench.suites.values import (
    FILE_SUFFIXES,
    OWN_FILES,
    Key,
    Location,
    check_table,
    check_value,
    distinct,
    is_file,
    is_there,
    of_another_kind,
    plain,
    shapes,
    sizes,
)  # fmt: skip
from bench.units import parse_quantity, readable

__all__ = [
    "CLASS_ORDERS", "DATA_SETS", "FOLDER", "HEADS", "INTERPOLATIONS", "PRECISIONS", "PREPROCESSES", "RESIZES",
    "RUNTIMES", "Suite", "backbones", "calibrated", "case_of_model", "distinct", "in_runtimes", "load_asked",
    "load_suite", "names", "only", "runtime_of", "select", "transferred",
]  # fmt: skip

_TOP_LEVEL = {"title", "models", "case"}


def names() -> list[str]:
    """The names of the suites that come with backbench."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load_suite(suite: str | Path | Sequence[str]) -> Suite:
    """Read a suite: its name in `suites/`, the path of a .toml file, or one or more .onnx files.

    Raises WrongUsage, naming the file, line or key, and the nearest valid name for a misspelt one.
    """
    if not isinstance(suite, (str, Path)):
        if len(suite) != 1:
            return _of_model_files(suite)
        suite = suite[0]
    text = str(suite)
    if text.lower().endswith(OWN_FILES):
        return _of_model_files([text])
    path = Path(text) if text.endswith(".toml") else FOLDER / f"{text}.toml"
    if not is_file(path):
        if text.endswith(".toml"):
            raise WrongUsage(f"suite file {text} does not exist; `bench list` shows the suites that do")
        raise WrongUsage(of_another_kind(text, OWN_FILES) or f'no suite "{text}"; {suggestion(text, names())}')
    return _read(path)


def case_of_model(model: str, **values: Any) -> Case:
    """One validated case from a model's name and the keys of a suite's `[[case]]`; None values are left out."""
    table = {"model": model} | {key: value for key, value in values.items() if value is not None}
    return next(_expand(table, Location("", "", 0), Path(), distinct([model])))


def _of_model_files(files: Sequence[str]) -> Suite:
    wrong = [file for file in files if not file.lower().endswith(OWN_FILES)]
    if wrong or not files:
        raise WrongUsage(f'give one suite, or only .onnx and .tflite files; "{wrong[0] if wrong else ""}" is neither')
    for file in files:
        if not is_there(Path(file)):
            raise WrongUsage(f"no file {file}; correct the path")
    labels = distinct(files)
    cases = _unique(case_of_model(file, name=labels[file]) for file in files)
    return Suite(Path(files[0]).stem if len(files) == 1 else "model-files", "Model files", cases)


def _read(path: Path) -> Suite:
    try:
        text = path.read_text(encoding="utf-8-sig")  # editors on Windows begin a file with a byte order mark
        table = tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise WrongUsage(f"{path}: not UTF-8, as TOML is: {error.reason} at byte {error.start}; save it so") from error
    except (OSError, RecursionError, tomllib.TOMLDecodeError) as error:
        raise WrongUsage(f"{path}: not a readable TOML file: {error}") from error
    top = Location(str(path), text, 0)
    for key in table:
        if key not in _TOP_LEVEL:
            raise WrongUsage(f"{top.of(key)} is not a key of a suite; {suggestion(key, _TOP_LEVEL)}")
    title = table.get("title", path.stem)
    models = table.get("models", [])
    tables = table.get("case", [])
    if not isinstance(title, str):
        raise WrongUsage(f"{top.of('title')} must be a string")
    if not isinstance(models, list) or not all(isinstance(name, str) for name in models):
        raise WrongUsage(f"{top.of('models')} must be a list of backbone names")
    if not isinstance(tables, list) or not all(isinstance(case, dict) for case in tables):
        raise WrongUsage(f"{top.of('case')} must be written as [[case]] tables")
    named = [model for case in tables for model in _listed(case.get("model")) if isinstance(model, str)]
    labels = distinct([*models, *named])
    cases = _unique(
        itertools.chain(
            (case for name in models for case in _expand({"model": name}, top, path.parent, labels, key="models")),
            *(
                _expand(case, Location(str(path), text, i), path.parent, labels)
                for i, case in enumerate(tables, start=1)
            ),
        )
    )
    if not cases:
        raise WrongUsage(f'{path}: no cases; list backbones under "models" or write [[case]] tables')
    return Suite(path.stem, title, cases)


def _unique(cases: Iterable[Case]) -> tuple[Case, ...]:
    seen: dict[str, Case] = {}
    for case in cases:
        if case.name in seen:
            raise WrongUsage(f'two cases are called "{case.name}"; give one of them a "name" or remove it')
        seen[case.name] = case
    return tuple(seen.values())


def _expand(
    table: Mapping[str, Any], where: Location, base: Path, labels: Mapping[str, str], *, key: str = "model"
) -> Iterator[Case]:
    """All cases of one [[case]] table: the product of its lists, in the order in which they are written."""
    if "model" not in table:
        raise WrongUsage(f'{where.file}: [[case]] number {where.case} has no "model"')
    for model in _listed(table["model"]):
        if not isinstance(model, str) or "\0" in model:
            raise WrongUsage(f"{where.of(key)} must be {KEYS['model'].says}")
        allowed = _arguments_of(model, where, key)
        lists: dict[str, list[Any]] = {}
        for name, value in table.items():
            if name != "model":
                lists[name] = _checked(name, value, allowed, model, where)
        if "calibrate" in lists and set(lists.get("precision", ["fp32"])) == {"fp32"}:
            raise WrongUsage(f'{where.of("calibrate")} has no effect on fp32; add precision = "int8"')
        for values in itertools.product(*lists.values()):
            swept = {name for name, choices in lists.items() if len(choices) > 1}
            yield _case(model, dict(zip(lists, values, strict=True)), swept, set(allowed), base, where, labels)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _arguments_of(model: str, where: Location, key: str) -> Mapping[str, Any]:
    """The constructor arguments that a model accepts, by name. Raises WrongUsage for an unknown model."""
    if model.lower().endswith(FILE_SUFFIXES) or ":" in model:
        return {}
    if model not in backbones() and Path(model).is_dir():
        raise WrongUsage(f"{where.of(key)}: {model} is a folder, and a SavedModel keeps no layers; save the model "
                         'with model.save("x.keras")')  # fmt: skip
    if model not in backbones():
        if other := of_another_kind(model, FILE_SUFFIXES):
            raise WrongUsage(f"{where.of(key)}: {other}")
        raise WrongUsage(
            f'{where.of(key)}: no backbone is called "{model}"; {suggestion(model, backbones())}'.rstrip("; ")
        )
    arguments: Mapping[str, Any] = backbones()[model].get("arguments", {})
    return arguments


def _checked(name: str, value: Any, allowed: Mapping[str, Any], model: str, where: Location) -> list[Any]:
    """The values of one key as a list, each of the right kind."""
    kind = next((suffix for suffix in FILE_SUFFIXES if model.lower().endswith(suffix)), "")
    useless = dict(WITHOUT_EFFECT[kind])
    if kind != ".onnx":
        useless |= dict.fromkeys(("dimensions", "input_shape"), NO_FILE)
    if name in useless:
        raise WrongUsage(f"{where.of(name)} has no effect on {model}: {useless[name]}")
    known = {key: KEYS[key] for key in KEYS if key != "alpha" or "alpha" in allowed}
    rule = known.get(name) or (Key(object, "a value") if name in allowed else None)
    if rule is None:
        reason = f"{model} takes no {name}" if name in KEYS else "is not a key of a case"
        raise WrongUsage(f"{where.of(name)}: {reason}; {suggestion(name, set(known) | set(allowed))}".rstrip("; "))
    if isinstance(value, list) and not rule.sweeps and rule.kind is not object:
        raise WrongUsage(f"{where.of(name)} cannot be a list; it must be {rule.says}")
    values = value if isinstance(value, list) and rule.sweeps else [value]
    if not values:
        raise WrongUsage(f"{where.of(name)} is an empty list; it must hold {rule.says}")
    for item in values:
        check_value(where.of(name), item, rule)
        _check_argument(name, item, allowed.get(name), model, where)
    smallest = backbones().get(model, {}).get("min_input")
    if name == "input_size" and smallest and min(values) < smallest:
        raise WrongUsage(f"{where.of(name)} is {min(values)}; {model} needs at least {smallest} pixels")
    return values


def load_asked(table: Mapping[str, Any], at: str = '"load"') -> LoadAsked:
    """What a case's key `load` says, or the options of `bench load`; None values are left out. Raises WrongUsage."""
    given = {key: value for key, value in table.items() if value is not None}
    check_table(at, given, LOAD_KEYS)
    if given.get("offline"):
        useless = sorted({"p99", "streams", "fps", "minutes", "longest_wait"} & set(given))
        if useless:
            raise WrongUsage(f"{at}: {', '.join(useless)} has no effect offline, where nothing waits for an answer")
    elif "p99" not in given and "fps" not in given:
        raise WrongUsage(f"{at} says no limit of the response time; add p99 (--p99 50ms), or offline (--offline)")
    if "streams" in given and "fps" not in given:
        raise WrongUsage(f"{at}: so many streams of how many frames a second? add fps (--fps 15)")
    if given.get("longest_wait") and given.get("batch", 2) == 1:
        raise WrongUsage(f"{at}: longest_wait has no effect on a batch of 1")
    times = {}
    for key, name in (("p99", "p99_ms"), ("longest_wait", "longest_wait_ms")):
        if key in given:
            try:
                times[name] = parse_quantity(given.pop(key), "ms")
            except WrongUsage as error:
                raise WrongUsage(f"{at}: {key}: {error}") from error
            if not 0 < times[name] < 1e9:
                raise WrongUsage(f"{at}: {key} must be above 0, e.g. 50ms")
    if "budget" in given:
        times["budget_s"] = given.pop("budget")
    processes = given.pop("instances_are", "processes") == "processes"
    return LoadAsked(**given | times, processes=processes)


def _check_argument(name: str, item: Any, limits: Any, model: str, where: Location) -> None:
    """Hold a constructor argument against the valid values that the facts list, where they list any."""
    if isinstance(limits, list) and item not in limits:
        raise WrongUsage(f"{where.of(name)} is {item!r}; {model} accepts {', '.join(map(str, limits))}")


def _case(
    model: str,
    values: dict[str, Any],
    swept: set[str],
    arguments: set[str],
    base: Path,
    where: Location,
    labels: Mapping[str, str],
) -> Case:
    about = backbones().get(model, {})
    size = values.get("input_size", about.get("native_input"))
    label = labels.get(model, model)
    if model.lower().endswith(FILE_SUFFIXES):
        model = str(base / model)
    reduced = "calibrate" in values and values.get("precision", "fp32") != "fp32"
    given = {key: float(v) if key == "alpha" else v for key, v in values.items() if key in arguments}
    name = values.get("name") or _name(label, values, swept, arguments, about.get("native_input"))
    train = images.training(values["train"], base, where) if "train" in values else None
    if train and not train.data:  # a head on a frozen backbone
        values = images.of_transfer(values, train, about, model, where)
    return Case(
        name=readable(name),
        model=model,
        arguments=given | plain(values.get("arguments", {}), where.of("arguments")),
        input_shape=(size, size, 3) if size and not model.lower().endswith(OWN_FILES) else None,
        dimensions=sizes(values.get("dimensions", {}), where.of("dimensions")),
        input_shapes=shapes(values["input_shape"], where.of("input_shape")) if "input_shape" in values else {},
        train=train,
        calibrate=images.calibration(values["calibrate"], base, where.of("calibrate")) if reduced else None,
        accuracy=images.labelled_images(values["accuracy"], model, base, where) if "accuracy" in values else None,
        load=load_asked(values["load"], where.of("load")) if "load" in values else None,
        runtime=values.get("runtime", runtime_of(model)),
        **{
            key: values[key]
            for key in ("head", "classes", "weights", "precision", "batch_size", "threads")
            if key in values
        },
    )


def _name(label: str, values: Mapping[str, Any], swept: set[str], arguments: set[str], native: int | None) -> str:
    """What people call the case: the model and whatever sets it apart."""
    parts = [label]
    for key, value in values.items():
        if key == "input_size":
            if key in swept or value != native:
                parts.append(f"{value}px")
        elif key == "precision":
            if value != "fp32":
                parts.append(value)
        elif key in arguments or key in swept or key in ("threads", "batch_size", "weights"):
            shown = f"{float(value):g}" if key == "alpha" else Path(value).stem if key == "weights" else value
            parts.append(f"{key}={shown}")
    return " ".join(parts)
