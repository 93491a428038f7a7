"""A user's own ONNX file: nothing to convert and nothing to compare with, only facts to read."""

from __future__ import annotations

from pathlib import Path

from bench.errors import Failed
from bench.export.request import file_sha256
from bench.records import Artifact


def artifact_of_file(path: Path) -> Artifact:
    """The facts of an ONNX file. Raises Failed when it cannot be read or is no ONNX model."""
    import onnx
    from google.protobuf.message import DecodeError

    sha256 = file_sha256(path)
    try:
        model = onnx.load(path, load_external_data=False)
    except DecodeError as error:
        raise Failed(f"{path} is not an ONNX model, or is cut short ({error}); export it again") from error
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), None)
    if opset is None or not model.graph.node:
        raise Failed(f"{path} holds no ONNX graph; export it again")
    kinds = [node.op_type for node in model.graph.node]
    return Artifact(
        sha256=sha256,
        size_bytes=path.stat().st_size,
        opset=opset,
        nodes=len(kinds),
        transposes=kinds.count("Transpose"),
    )
