"""The shape of every tensor of an ONNX graph, inferred anew from its inputs as they are fed. Imports onnx.

What a file notes of its own shapes may date from before an edit of its inputs: it is left aside, held against what
inference says, and used only where inference has nothing to say and the notes are right elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import numpy_helper
from onnx.external_data_helper import load_external_data_for_tensor, uses_external_data
from onnx.reference import ReferenceEvaluator

from bench.cost import onnx_contributed, operators
from bench.errors import Failed
from bench.models import inputs as described
from bench.models import onnx_file

_WHOLE = {onnx.TensorProto.INT32, onnx.TensorProto.INT64, onnx.TensorProto.BOOL}  # the types of sizes and indices
_LARGE = 1024  # elements; a constant above it holds weights, never a shape that inference has to read
_STATED = 3  # stale shapes that a warning names

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Shaped:
    """A graph with its shapes as far as they can be inferred; large weights have no values."""

    graph: onnx.GraphProto
    shapes: dict[str, Shape]  # by tensor, constants included; those with an open size are left out
    inputs: tuple[str, ...]
    batch: int  # of the inputs as fed
    warnings: tuple[str, ...]
    called: Mapping[str, str]  # what operators of ONNX Runtime's own are called in the file, by their first output


def shaped(
    model: str | Path | onnx.ModelProto,
    dimensions: Mapping[str, int] | None = None,
    asked: Mapping[str, Sequence[int]] | None = None,
    batch_size: int = 1,
) -> Shaped:
    """A graph with its shapes, for inputs of the sizes given; see `models.inputs.shapes`.

    Raises WrongUsage for an input that stays open, Failed for a file that is no model or contradicts itself.
    """
    loaded = _loaded(model)
    header = onnx_file.parse(memoryview(loaded.SerializeToString()))
    fed = described.shapes(header.inputs, asked=asked, dimensions=dimensions, batch_size=batch_size)
    named = {
        axis.name: size
        for each in header.inputs
        for axis, size in zip(each.axes or (), fed[each.name], strict=False)
        if axis.name
    }
    called = onnx_contributed.standardise(loaded.graph)
    noted = _noted(loaded.graph, named)
    for value in loaded.graph.input:
        if value.name in fed:
            _give(value, fed[value.name])
    work = _Inference(loaded)
    shapes = work.done()
    stale = [name for name, shape in noted.items() if name in shapes and shapes[name] != shape]
    if not stale and work.notes({name: shape for name, shape in noted.items() if name not in shapes}):
        shapes = work.done()
    warnings = [_disagreement(stale, noted, shapes)] if stale else []
    return Shaped(work.graph, shapes, tuple(fed), described.batch_of(header.inputs, fed), tuple(warnings), called)


def _disagreement(stale: Sequence[str], noted: Mapping[str, Shape], shapes: Mapping[str, Shape]) -> str:
    said = ", ".join(
        f'"{name}" {"x".join(map(str, noted[name]))} for {"x".join(map(str, shapes[name]))}' for name in stale[:_STATED]
    )
    more = f" and {len(stale) - _STATED} more" if len(stale) > _STATED else ""
    return (
        f"the file notes other shapes than its inputs give ({said}{more}): they date from before an edit and were left "
        "aside; infer them anew, or export it again"
    )


def _loaded(model: str | Path | onnx.ModelProto) -> onnx.ModelProto:
    """A copy of the model without its large weights, which no count needs, and without functions of its own."""
    loaded = onnx.ModelProto()
    if isinstance(model, onnx.ModelProto):
        loaded.CopyFrom(model)
    else:
        onnx_file.read(Path(model))  # says what is wrong with one that is none
        try:
            loaded = onnx.load(str(model), load_external_data=False)
        except (OSError, DecodeError) as error:
            raise Failed(f"{model} is no ONNX model, or is cut short ({error}); export or download it again") from error
    if loaded.functions:
        from onnx import inliner

        loaded = inliner.inline_local_functions(loaded)
    folder = "" if isinstance(model, onnx.ModelProto) else str(Path(model).parent)
    for tensor in loaded.graph.initializer:
        if prod(tensor.dims) > _LARGE:
            for name in ("raw_data", "float_data", "int32_data", "int64_data", "double_data", "external_data"):
                tensor.ClearField(name)
        elif uses_external_data(tensor):
            try:
                load_external_data_for_tensor(tensor, folder)
            except (OSError, ValueError, onnx.checker.ValidationError):
                continue  # its value stays unknown; its size does not
            tensor.data_location = onnx.TensorProto.DEFAULT
            tensor.ClearField("external_data")
    return loaded


def _give(value: onnx.ValueInfoProto, shape: Iterable[int]) -> None:
    value.type.tensor_type.ClearField("shape")
    value.type.tensor_type.shape.SetInParent()  # a scalar has a shape, too
    for size in shape:
        value.type.tensor_type.shape.dim.add().dim_value = size


def _noted(graph: onnx.GraphProto, named: Mapping[str, int]) -> dict[str, Shape]:
    """The shapes that a file notes of what it computes, taken out of it; open sizes as those of the inputs."""
    noted = {}
    for value in [*graph.value_info, *graph.output]:
        tensor = value.type.tensor_type
        sizes = [dim.dim_value if dim.dim_value > 0 else named.get(dim.dim_param, 0) for dim in tensor.shape.dim]
        if tensor.HasField("shape") and all(sizes):
            noted[value.name] = tuple(sizes)
        if value.type.HasField("tensor_type"):
            tensor.ClearField("shape")
    del graph.value_info[:]
    return noted


def _known_shapes(values: Iterable[onnx.ValueInfoProto]) -> dict[str, Shape]:
    """The shapes without an open size, by tensor."""
    tensors = {value.name: value.type.tensor_type for value in values}
    return {
        name: tuple(dim.dim_value for dim in tensor.shape.dim)
        for name, tensor in tensors.items()
        if tensor.HasField("shape") and all(dim.HasField("dim_value") for dim in tensor.shape.dim)
    }


class _Inference:
    """A model on which shape inference and the arithmetic of sizes take turns until neither adds anything."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        model.ir_version = max(model.ir_version, 4)  # before 4 inference reads only constants that are inputs as well
        self.opsets = list(model.opset_import)
        self.weights = [t for t in model.graph.initializer if prod(t.dims) > _LARGE]
        self.given = {value.name for value in model.graph.input}
        small = [t for t in model.graph.initializer if prod(t.dims) <= _LARGE]
        del model.graph.initializer[:]
        model.graph.initializer.extend(small)
        for tensor in self.weights:
            self._stand_in(tensor)
        self.sizes: set[str] = set()  # tensors that come of a shape
        self.unknown: set[str] = set()  # nodes that could not be computed, by their first output

    @property
    def graph(self) -> onnx.GraphProto:
        """The graph, with its weights."""
        return self.model.graph

    def done(self) -> dict[str, Shape]:
        """The shapes of all tensors, once nothing is to be added."""
        self._infer()
        while self._fold():
            self._infer()
        known = _known_shapes([*self.graph.input, *self.graph.value_info, *self.graph.output])
        known |= {tensor.name: tuple(tensor.dims) for tensor in [*self.graph.initializer, *self.weights]}
        present = {tensor.name for tensor in self.graph.initializer}
        self.graph.initializer.extend(tensor for tensor in self.weights if tensor.name not in present)
        return known

    def notes(self, noted: Mapping[str, Shape]) -> bool:
        """Add shapes that a file notes where inference has none. Whether there were any."""
        types = {value.name: value.type.tensor_type.elem_type for value in [*self.graph.value_info, *self.graph.output]}
        outputs = {value.name: value for value in self.graph.output}
        for name, shape in noted.items():
            if name in outputs:
                _give(outputs[name], shape)
            else:
                kind = types.get(name) or onnx.TensorProto.FLOAT
                self.graph.value_info.append(onnx.helper.make_tensor_value_info(name, kind, shape))
        return bool(noted)

    def _infer(self) -> None:
        weights = {tensor.name for tensor in self.weights}
        small = [tensor for tensor in self.graph.initializer if tensor.name not in weights]
        del self.graph.initializer[:]
        self.graph.initializer.extend(small)
        reason = ""
        for data_prop in (True, False):
            try:
                self.model = onnx.shape_inference.infer_shapes(self.model, data_prop=data_prop)
            except Exception as error:
                # Its C++ raises several kinds; all of them say that no shape can be had.
                reason = " ".join(str(error).split())
                continue
            return
        raise Failed(f"its shapes cannot be inferred: {reason[:300]}; check it with onnx.checker")

    def _stand_in(self, tensor: onnx.TensorProto) -> None:
        """A large constant is an input to inference, which then need not copy it."""
        if tensor.name not in self.given:
            self.given.add(tensor.name)
            self.graph.input.append(
                onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
            )

    def _fold(self) -> bool:
        """Make constants of the sizes that nodes compute at run time and are known beforehand. Whether there were any.

        Exporters write a reshape as arithmetic on the shape of its input, which inference alone does not always follow.
        """
        graph = self.graph
        whole = [t for t in graph.initializer if t.data_type in _WHOLE and prod(t.dims) <= _LARGE]
        values = {t.name: value for t in whole if (value := _value(t)) is not None}
        floats = {t.name: t for t in graph.initializer if t.data_type not in _WHOLE and prod(t.dims) <= _LARGE}
        shapes = _known_shapes([*graph.input, *graph.value_info])
        shapes |= {tensor.name: tuple(tensor.dims) for tensor in [*self.weights, *graph.initializer]}
        gone: list[onnx.NodeProto] = []
        for node in list(graph.node):
            if not node.output or node.output[0] in self.unknown or node.domain not in ("", "ai.onnx"):
                continue
            names = [name for name in node.input if name]
            if node.op_type == "Constant":
                constant = next((a.t for a in node.attribute if a.name == "value"), None)
                if constant is None:
                    scalars = [a for a in node.attribute if a.name in ("value_int", "value_ints")]
                    if scalars:
                        whole = scalars[0].ints if scalars[0].name == "value_ints" else scalars[0].i
                        values[node.output[0]] = np.array(whole, dtype=np.int64)
                elif constant.data_type in _WHOLE and prod(constant.dims) <= _LARGE:
                    values[node.output[0]] = numpy_helper.to_array(constant)
                elif prod(constant.dims) <= _LARGE:
                    floats[node.output[0]] = constant
                continue
            if node.op_type == "Shape" and node.input[0] in shapes:
                start, end = (next((a.i for a in node.attribute if a.name == k), None) for k in ("start", "end"))
                values[node.output[0]] = np.array(shapes[node.input[0]][start:end], dtype=np.int64)
                self.sizes.add(node.output[0])
            elif node.op_type == "ConstantOfShape" and node.input[0] in values and self._filled(node, values):
                pass
            elif node.op_type == "If" and node.input[0] in values:
                if not _inlined(graph, node, bool(values[node.input[0]])):
                    self.unknown.add(node.output[0])
                    continue
            elif operators.is_free(node) and names and self._computes(names, values, floats):
                known = values | {name: numpy_helper.to_array(floats[name]) for name in names if name in floats}
                results = self._computed(node, {name: known[name] for name in names}, shapes)
                if results is None:
                    self.unknown.add(node.output[0])
                    continue
                values.update(results)
                if any(name in self.sizes for name in names):
                    self.sizes.update(results)
            else:
                continue
            gone.append(node)
        for node in gone:
            graph.node.remove(node)
            for name in node.output:
                if name in values:
                    graph.initializer.append(numpy_helper.from_array(np.asarray(values[name]), name))
        return bool(gone)

    def _computes(
        self, names: Sequence[str], values: Mapping[str, object], floats: Mapping[str, onnx.TensorProto]
    ) -> bool:
        """Whether a node works on known sizes: whole numbers alone, or something that came of a shape."""
        if all(name in values for name in names):
            return True
        return all(name in values or name in floats for name in names) and any(name in self.sizes for name in names)

    def _computed(
        self, node: onnx.NodeProto, feeds: Mapping[str, np.ndarray], shapes: Mapping[str, Shape]
    ) -> dict[str, np.ndarray] | None:
        """What a node computes under the file's own opset; None where that is not known, or too large to be a size."""
        made = [shapes.get(name) for name in node.output if name]
        if any(prod(shape) > _LARGE for shape in made if shape is not None):
            return None
        if node.op_type in operators.ONNX_GROWING and None in made:
            return None
        given = [onnx.helper.make_tensor_value_info(name, _type_of(v), v.shape) for name, v in feeds.items()]
        wanted = [onnx.ValueInfoProto(name=name) for name in node.output if name]
        graph = onnx.helper.make_graph([node], "sizes", given, wanted)
        try:
            model = onnx.helper.make_model(graph, opset_imports=self.opsets)
            results = ReferenceEvaluator(model).run(None, dict(feeds))
        except Exception:
            # The evaluator raises whatever NumPy does; the size then stays unknown, and what depends on it uncounted.
            return None
        return {value.name: np.asarray(result) for value, result in zip(wanted, results, strict=True)}

    def _filled(self, node: onnx.NodeProto, values: Mapping[str, np.ndarray]) -> bool:
        """A constant that is filled with one number, of whatever size, becomes a constant without values."""
        dims = [int(size) for size in np.atleast_1d(values[node.input[0]])]
        filling = next((a.t for a in node.attribute if a.name == "value"), None)
        kind = filling.data_type if filling is not None else onnx.TensorProto.FLOAT
        if kind in _WHOLE or any(size < 0 for size in dims):
            return False
        tensor = onnx.TensorProto(name=node.output[0], data_type=kind, dims=dims)
        self.weights.append(tensor)
        self._stand_in(tensor)
        return True


def _value(tensor: onnx.TensorProto) -> np.ndarray | None:
    try:
        return np.asarray(numpy_helper.to_array(tensor))
    except (OSError, ValueError, TypeError, RuntimeError, onnx.checker.ValidationError):
        return None  # it lies in a file that is not there, or holds less than it says


def _type_of(value: np.ndarray) -> int:
    return int(onnx.helper.np_dtype_to_tensor_dtype(value.dtype))


def _inlined(graph: onnx.GraphProto, node: onnx.NodeProto, condition: bool) -> bool:
    """Put the branch that is taken in the place of an If. Whether it could be."""
    wanted = "then_branch" if condition else "else_branch"
    branch = next((a.g for a in node.attribute if a.name == wanted), None)
    if branch is None or len(branch.output) != len(node.output):
        return False
    place = list(graph.node).index(node)
    for inner in reversed(branch.node):
        graph.node.insert(place, inner)
    for source, name in zip(branch.output, node.output, strict=True):
        last = place + len(branch.node)
        graph.node.insert(last, onnx.helper.make_node("Identity", [source.name], [name]))
    graph.initializer.extend(branch.initializer)
    return True
