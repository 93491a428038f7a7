"""The cost of a suite's cases: counted in a process of its own, once, and kept by content."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from importlib import metadata
from pathlib import Path

import msgspec

from bench import errors
from bench.cost import packaged
from bench.cost.layers import LayerCost, total
from bench.errors import BenchError, Failed, WrongUsage
from bench.processes import process
from bench.processes.environment import cache_folder
from bench.records import Case, Cost
from bench.suites.values import FILE_SUFFIXES, KERAS_FILES

_SOURCES = (Path(__file__).parent, Path(__file__).parent.parent / "models")


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What the worker says of one case: its layers, or the class and the text of an error."""

    layers: tuple[LayerCost, ...] = ()
    warnings: tuple[str, ...] = ()
    error: str | None = None
    message: str = ""


def of_case(case: Case) -> tuple[Cost, list[LayerCost]]:
    """The cost of one inference at batch size 1, and of each layer. Slow the first time, quick from then on.

    Weights, precision, device and threads change no cost. Raises WrongUsage or Failed as building or reading does.
    """
    (answer,) = _answers([case])
    if answer.error is not None:
        raise _error(case, answer)
    return _cost(answer), list(answer.layers)


def of_cases(cases: Iterable[Case]) -> dict[str, Cost | BenchError]:
    """The cost of each case by its name, or why it cannot be counted, which keeps no other from it.

    All that are neither packaged nor known yet are counted in one process.
    """
    everything = list(cases)
    packed = {case.name: known for case in everything if (known := packaged.of_case(case))}
    unknown = [case for case in everything if case.name not in packed]
    costs = {
        case.name: _cost(answer) if answer.error is None else _error(case, answer)
        for case, answer in zip(unknown, _answers(unknown), strict=True)
    }
    return {case.name: packed.get(case.name) or costs[case.name] for case in everything}


def counted_costs(cases: Sequence[Case]) -> Iterator[tuple[Case, Cost]]:
    """Each case with its cost, counted now. Raises the error of the first that has none."""
    for case, answer in zip(cases, counted(cases), strict=True):
        if answer.error is not None:
            raise _error(case, answer)
        yield case, _cost(answer)


def _cost(answer: Answer) -> Cost:
    return replace(total(answer.layers), warnings=answer.warnings)


def _error(case: Case, answer: Answer) -> BenchError:
    kind: type[BenchError] = getattr(errors, answer.error or "", Failed)
    return kind(f"{case.name}: {answer.message}")


def _answers(cases: list[Case]) -> Iterator[Answer]:
    """The answer to each case, from the cache or counted."""
    answers: dict[str, Answer] = {}
    keys = []
    for number, case in enumerate(cases):
        try:
            key = _key(case)
        except BenchError as error:
            key = f"unreadable {number}"
            answers[key] = Answer(error=type(error).__name__, message=str(error))
        keys.append(key)
    answers |= {key: kept for key in keys if (kept := _kept(key))}
    missing = {key: case for key, case in zip(keys, cases, strict=True) if key not in answers}
    if missing:
        for key, answer in zip(missing, counted(list(missing.values())), strict=True):
            answers[key] = answer
            if answer.error is None and ":" not in missing[key].model:  # a builder's source may change at any time
                _keep(key, answer)
    return (answers[key] for key in keys)


def counted(cases: Sequence[Case]) -> list[Answer]:
    """The answer to each case, from a worker process and not from the cache.

    A case that ends the process is answered by how it died, and the others are counted by another one.
    """
    answers: list[Answer] = []
    while len(answers) < len(cases):
        try:
            with process.started("bench.cost.counter", what="the process that counts", keras=True) as counter:
                while len(answers) < len(cases):
                    answers.append(msgspec.convert(counter.ask(cases[len(answers)]), Answer))
        except BenchError as error:
            answers.append(Answer(error="Failed", message=str(error)))
    return answers


def answer(case: Case) -> Answer:
    """Count one case in this process, which imports TensorFlow or onnx. For the worker."""
    try:
        if case.is_onnx:
            from bench.cost import onnx_graph

            count = onnx_graph.count(case.model, case.dimensions, case.input_shapes, case.batch_size)
            return Answer(layers=tuple(count.layers), warnings=count.warnings)
        if case.is_file:
            from bench.cost import tflite_graph

            return Answer(layers=tuple(tflite_graph.layers(case.model)))
        import keras

        from bench import models
        from bench.cost import keras_graph
        from bench.models import building

        building.fresh()

        # Within this scope Keras knows the weights' shapes and allocates none of them.
        with keras.StatelessScope(initialize_variables=case.model.endswith(KERAS_FILES)):
            model = models.build(
                case.model,
                arguments=case.arguments,
                input_shape=case.input_shape,
                head=case.head,
                classes=case.classes,
            )
            return Answer(layers=tuple(keras_graph.layers(model, case.input_shape, case.model)))
    except BenchError as error:
        return Answer(error=type(error).__name__, message=str(error))
    except ImportError as error:
        extra = "cpu" if case.is_onnx else "litert" if case.is_file else "export"
        return Answer(error="Failed", message=f'counting needs more ({error}); pip install "backbench[{extra}]"')
    except Exception as error:
        # Whatever a library raises concerns this case alone.
        return Answer(error="Failed", message=f"{type(error).__name__}: {' '.join(str(error).split())[:400]}")


def _key(case: Case) -> str:
    """Hash of all that a cost depends on."""
    if case.model.lower().endswith(FILE_SUFFIXES):
        try:
            content = hashlib.sha256(Path(case.model).read_bytes()).hexdigest()
        except OSError as error:
            raise WrongUsage(f"{case.model} cannot be read ({error.strerror}); check the path") from error
        versions = {}
    else:
        content = case.model
        versions = {name: _version(name) for name in ("keras", "tensorflow")}
    fed = (case.input_shapes, case.batch_size) if case.is_file else ()
    what = [content, fed, case.arguments, case.input_shape, case.dimensions, case.head, case.classes, versions, _own()]
    return hashlib.sha256(msgspec.json.encode(what, order="sorted")).hexdigest()


@cache
def _own() -> str:
    """Hash of the source that counts and builds."""
    files = sorted(path for folder in _SOURCES for path in folder.glob("*.py"))
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _file(key: str) -> Path:
    return cache_folder("cost") / f"{key}.json"


def _kept(key: str) -> Answer | None:
    """The cached answer; None where there is none, or a damaged one."""
    try:
        return msgspec.json.decode(_file(key).read_bytes(), type=Answer)
    except (OSError, msgspec.MsgspecError):
        return None


def _keep(key: str, answer: Answer) -> None:
    """Store an answer, whole or not at all. A cache that cannot be written costs time only."""
    path = _file(key)
    scratch = path.with_suffix(f".{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch.write_bytes(msgspec.json.encode(answer))
        scratch.replace(path)
    except OSError:
        with suppress(OSError):
            scratch.unlink()
