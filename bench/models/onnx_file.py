"""An ONNX file read once: its versions, its inputs, its operators, the files it refers to. Needs nothing installed."""

from __future__ import annotations

import mmap
from collections import Counter
from dataclasses import dataclass, field
from math import prod
from pathlib import Path

from bench.errors import BenchError, Failed, WrongUsage
from bench.models.inputs import Input, described
from bench.models.protobuf import Malformed, fields, message, number, packed, text

_DTYPES = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 8: "string", 9: "bool",
    10: "float16", 11: "float64", 12: "uint32", 13: "uint64", 14: "complex64", 15: "complex128", 16: "bfloat16",
}  # fmt: skip
_EXTERNAL = 1  # TensorProto.DataLocation
_DEEPEST = 40  # graphs within graphs

LFS = b"version https://git-lfs"
# What is called .onnx and is none, by how it begins: what it is, and the remedy.
_IMPOSTORS = (
    (LFS, "is a Git LFS pointer, not the model itself; run `git lfs pull` in its repository"),
    (b"<", "is a web page or XML saved under this name, not a model; download the file itself"),
    (b"PK\x03\x04", "is a zip archive (or a .keras or PyTorch file), not an ONNX model; unpack or export it"),
    (b"\x1f\x8b", "is a gzip archive; unpack it first"),
    (b"BZh", "is a bzip2 archive; unpack it first"),
    (b"\xfd7zXZ", "is an xz archive; unpack it first"),
    (b"7z\xbc\xaf", "is a 7z archive; unpack it first"),
    (b"\x89HDF", "is an HDF5 file (Keras's .h5), not an ONNX model; export it to ONNX"),
    *((bytes([0x80, protocol]), "is a Python pickle (PyTorch), not an ONNX model; export it with torch.onnx.export")
      for protocol in range(2, 6)),
    (b"\x89PNG", "is a picture, not an ONNX model; download or export the model itself"),
    (b"%PDF", "is a PDF document, not an ONNX model; download or export the model itself"),
    (b"/annex/objects/", "is a git-annex pointer, not the model itself; run `git annex get` in its repository"),
    (b"{", "is JSON, not an ONNX model; download or export the model itself"),
)  # fmt: skip

# The same for what says so further in, at (offset): asked only of what is no ONNX file, which may hold these by chance.
_FURTHER_IN = (
    (257, b"ustar", "is a tar archive; unpack it first"),
    (8, b'{"', "holds weights alone (safetensors), without a graph; export the model itself to ONNX"),
    (4, b"ORTM", "is in ONNX Runtime's own format (.ort), not an ONNX model; give the .onnx file it was made from"),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class OnnxFile:
    """What an ONNX file says of itself. Initialisers that are listed among the inputs are no inputs."""

    ir_version: int
    opset: int | None  # of the standard operators; None: it names none
    inputs: tuple[Input, ...]
    outputs: tuple[str, ...]
    operators: tuple[str, ...]  # of the main graph's nodes, in order
    weights: dict[str, int]  # elements of all initialisers, by type
    references: dict[str, int]  # side files by the path beside the file -> bytes that are read of them, at least

    @property
    def precision(self) -> str:
        """The arithmetic that the graph spells out: "int8", "int8-dynamic", "fp16" or "fp32"."""
        kinds = set(self.operators)
        if kinds & {"DynamicQuantizeLinear", "DynamicQuantizeLSTM", "DynamicQuantizeMatMul"} and kinds & _INTEGERS:
            return "int8-dynamic"
        if kinds & _INTEGERS or {"QuantizeLinear", "DequantizeLinear"} <= kinds:
            return "int8"
        half = self.weights.get("float16", 0) + self.weights.get("bfloat16", 0)
        return "fp16" if half > self.weights.get("float32", 0) else "fp32"


_INTEGERS = {"QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger", "DynamicQuantizeMatMul", "QGemm",
             "MatMulIntegerToFloat", "DynamicQuantizeLSTM"}  # fmt: skip


def read(path: Path) -> OnnxFile:
    """Read a file. Raises WrongUsage when there is no such file, Failed with what it is when it is no ONNX model."""
    if not path.exists():
        raise WrongUsage(f"no file {path}; correct the path")
    if path.is_dir():
        raise WrongUsage(f"{path} is a folder, not an ONNX file; name the file in it")
    try:
        with path.open("rb") as file:
            if path.stat().st_size == 0:
                raise Failed(f"{path} is empty; download or export it again")
            content = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except OSError as error:
        remedy = "allow it with `chmod +r`" if isinstance(error, PermissionError) else "check the path and the disk"
        raise Failed(f"{path} cannot be read ({error.strerror}); {remedy}") from error
    head = bytes(content[:64]).lstrip(b"\xef\xbb\xbf \t\r\n")
    for beginning, says in _IMPOSTORS:
        if head.startswith(beginning):
            raise Failed(f"{path} {says}")
    if head[4:8] == b"TFL3":
        raise Failed(f"{path} is a TFLite model; name it .tflite")
    try:
        return parse(content)
    except Malformed as error:
        for offset, mark, says in _FURTHER_IN:
            if content[offset : offset + len(mark)] == mark:
                raise Failed(f"{path} {says}") from error
        raise Failed(f"{path} is no ONNX model, or is cut short: {error}; download or export it again") from error
    except BenchError as error:
        raise type(error)(f"{path} {error}") from error


def parse(content: memoryview) -> OnnxFile:
    """Read the bytes of a file. Raises Malformed for what is no message, Failed for one without a graph."""
    scan = _Scan()
    ir_version, opsets, graph = 0, {}, None
    for tag, value in fields(content):
        if tag == 1:
            ir_version = number(value)
        elif tag == 7:
            graph = message(value)
        elif tag == 8:
            domain, version = _opset(message(value))
            opsets[domain] = version
        elif tag == 25:  # a function of the model's own
            scan.nodes(message(value), 7)
    if graph is None:
        raise Failed("holds no ONNX graph; download or export it again")
    inputs, outputs = scan.graph(graph, 0)
    if not scan.operators:
        raise Failed("holds an empty ONNX graph; export it again")
    return OnnxFile(
        ir_version=ir_version,
        opset=opsets.get("", opsets.get("ai.onnx")),
        inputs=tuple(each for each in inputs if each.name not in scan.constants),
        outputs=tuple(outputs),
        operators=tuple(scan.operators),
        weights=dict(scan.weights),
        references=scan.references,
    )


@dataclass(slots=True)
class _Scan:
    """What is gathered on the way through a graph."""

    operators: list[str] = field(default_factory=list)
    constants: set[str] = field(default_factory=set)
    weights: Counter[str] = field(default_factory=Counter)
    references: dict[str, int] = field(default_factory=dict)

    def graph(self, graph: memoryview, depth: int) -> tuple[list[Input], list[str]]:
        """Its inputs and the names of its outputs."""
        if depth > _DEEPEST:
            raise Malformed("graphs lie too deep within graphs")
        inputs, outputs = [], []
        for tag, value in fields(graph):
            if tag == 1:
                self.node(message(value), depth)
            elif tag == 5:
                name = self.tensor(message(value))
                if depth == 0:
                    self.constants.add(name)
            elif tag == 15:  # sparse: values and indices
                for part, tensor in fields(message(value)):
                    if part in (1, 2):
                        self.tensor(message(tensor))
            elif tag == 11 and depth == 0:
                inputs.append(_input(message(value)))
            elif tag == 12 and depth == 0:
                outputs.append(next((text(v) for t, v in fields(message(value)) if t == 1), ""))
        return inputs, outputs

    def nodes(self, function: memoryview, tag: int) -> None:
        """The nodes of a function."""
        for found, value in fields(function):
            if found == tag:
                self.node(message(value), 1)

    def node(self, node: memoryview, depth: int) -> None:
        """Its operator, and the tensors and graphs that it holds."""
        for tag, value in fields(node):
            if tag == 4 and depth == 0:
                self.operators.append(text(value))
            elif tag == 5:
                for part, held in fields(message(value)):
                    if part in (5, 10):
                        self.tensor(message(held))
                    elif part in (6, 11):
                        self.graph(message(held), depth + 1)

    def tensor(self, tensor: memoryview) -> str:
        """Its elements and where they lie; its name."""
        dims: list[int] = []
        dtype, name, outside, entries = 0, "", False, {}
        for tag, value in fields(tensor):
            if tag == 1:
                dims.extend(packed(value))
            elif tag == 2:
                dtype = number(value)
            elif tag == 8:
                name = text(value)
            elif tag == 13:
                pair = {part: text(said) for part, said in fields(message(value)) if part in (1, 2)}
                entries[pair.get(1, "")] = pair.get(2, "")
            elif tag == 14:
                outside = number(value) == _EXTERNAL
        self.weights[_DTYPES.get(dtype, "other")] += prod(dims)
        if outside:
            location = entries.get("location", "")
            end = sum(int(n) for key in ("offset", "length") if (n := entries.get(key, "")).isdecimal())
            self.references[location] = max(self.references.get(location, 0), end)
        return name


def _opset(entry: memoryview) -> tuple[str, int]:
    domain, version = "", 0
    for tag, value in fields(entry):
        if tag == 1:
            domain = text(value)
        elif tag == 2:
            version = number(value)
    return domain, version


def _input(value_info: memoryview) -> Input:
    name, dtype, sizes = "", "unknown", None
    for tag, value in fields(value_info):
        if tag == 1:
            name = text(value)
        elif tag == 2:
            for kind, content in fields(message(value)):
                if kind != 1:  # a sequence, a map, an optional: nothing that can be filled
                    dtype = {4: "sequence", 5: "map", 9: "optional", 8: "sparse tensor"}.get(kind, dtype)
                    continue
                for part, said in fields(message(content)):
                    if part == 1:
                        dtype = _DTYPES.get(number(said), "unknown")
                    elif part == 2:
                        sizes = [_size(message(dim)) for tag, dim in fields(message(said)) if tag == 1]
    return described(name, dtype, sizes)


def _size(dim: memoryview) -> int | str:
    """A size, or the name of an open one."""
    size: int | str = ""
    for tag, value in fields(dim):
        if tag == 1:
            size = number(value)
        elif tag == 2:
            size = text(value)
    return size
