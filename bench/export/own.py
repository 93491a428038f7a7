"""A user's own file: nothing to convert and nothing to compare with, only facts to read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from bench.errors import Failed, WrongUsage, suggestion
from bench.models import inputs, onnx_file
from bench.models.file import identity, side_files
from bench.records import Artifact, Case

Asked = TypeVar("Asked", bound=Case)
"""A case, planned or not: what is made of it is the same."""

_TFLITE = b"TFL3"  # the identifier that stands behind the first four bytes
_NOT_RANDOM = ("string", "complex64", "complex128", "bfloat16", "unknown")


def completed(case: Asked) -> Asked:
    """The case with what its file says of it: the shapes that it is fed, the batch that they make, the precision.

    Raises WrongUsage for sizes that do not fit or are left open, Failed for a file that is no ONNX model.
    """
    if not case.is_onnx:
        artifact_of_file(Path(case.model))
        return case
    header = onnx_file.read(Path(case.model))
    for each in header.inputs:
        if each.dtype in _NOT_RANDOM:
            raise Failed(f'{case.model}: input "{each.name}" is of type {each.dtype}, which cannot be filled here')
        if case.runtime == "onnxruntime" and any(axis.is_zero for axis in each.axes or ()):
            raise Failed(f'{case.model}: input "{each.name}" ({each.shown}): {inputs.EMPTY}')
    try:
        fed = inputs.shapes(
            header.inputs, asked=case.input_shapes, dimensions=case.dimensions, batch_size=case.batch_size
        )
    except WrongUsage as error:
        raise WrongUsage(f"{case.model}: {error}") from error
    side_files(Path(case.model), header)
    batch = inputs.batch_of(header.inputs, fed)
    if case.batch_size not in (1, batch):
        raise WrongUsage(f"{case.model}: the batch is {batch}; batch_size {case.batch_size} does not fit; leave it out")
    return replace(case, input_shapes=fed, batch_size=batch, precision=header.precision)


def fed(path: Path, case: Case) -> dict[str, tuple[int, ...]]:
    """The shapes with which a file is fed for a case, by input: the user's own file, or one exported for it.

    Raises as `completed`.
    """
    if not path.name.lower().endswith(".onnx"):
        return {}
    known = onnx_file.read(path).inputs
    return inputs.shapes(known, asked=case.input_shapes, dimensions=case.dimensions, batch_size=case.batch_size)


def sized(
    cases: Iterable[Asked], shapes: Mapping[str, Sequence[int]], dimensions: Mapping[str, int]
) -> tuple[Asked, ...]:
    """The cases, with shapes and sizes of open dimensions given to those files that have such inputs.

    Raises WrongUsage for one that no file has.
    """
    everything = tuple(cases)
    files = [case for case in everything if case.is_onnx]
    if not (shapes or dimensions):
        return everything
    if not files:
        raise WrongUsage(
            "--input-shape and --dimension give the open sizes of .onnx files, and there is none here; "
            "a Keras model has --input-size"
        )
    known = {case.name: _inputs(case) for case in files}
    names = {each.name for sizes in known.values() for each in sizes or ()}
    open_names = {name for sizes in known.values() for name in inputs.open_names(sizes or ())}
    for option, given, valid in (("--input-shape", shapes, names), ("--dimension", dimensions, open_names)):
        for name in given:
            if name and name not in valid and None not in known.values():
                listed = "; ".join(str(each) for sizes in known.values() for each in sizes or ())
                raise WrongUsage(f"{option} {name}: {suggestion(name, valid) or 'no file has it'}; inputs: {listed}")

    def with_sizes(case: Asked) -> Asked:
        if not case.is_onnx:
            return case
        sizes = known[case.name]
        own, open_ = {each.name for each in sizes or ()}, inputs.open_names(sizes or ())
        return replace(
            case,
            input_shapes=case.input_shapes
            | {name: tuple(shape) for name, shape in shapes.items() if sizes is None or name in own or not name},
            dimensions=case.dimensions
            | {name: size for name, size in dimensions.items() if sizes is None or name in open_},
        )

    return tuple(map(with_sizes, everything))


def artifact_of_file(path: Path) -> Artifact:
    """The facts of a file, and of all that it refers to. Raises WrongUsage or Failed as reading it does."""
    if path.suffix.lower() == ".tflite":
        known = identity(path)
        with path.open("rb") as file:
            if file.read(8)[4:] != _TFLITE:
                raise Failed(f"{path} is no TFLite model, or is cut short; download or export it again")
        return Artifact(sha256=known.sha256, size_bytes=known.size_bytes, opset=None)
    header = onnx_file.read(path)
    if header.opset is None:
        raise Failed(f"{path} does not say of which opset its operators are; export it again")
    known = identity(path, header)
    return Artifact(
        sha256=known.sha256,
        size_bytes=known.size_bytes,
        opset=header.opset,
        nodes=len(header.operators),
        transposes=header.operators.count("Transpose"),
    )


def _inputs(case: Case) -> tuple[inputs.Input, ...] | None:
    """None for a file that cannot be read, which is said when it is measured."""
    with suppress(Failed, WrongUsage):
        return onnx_file.read(Path(case.model)).inputs
    return None
