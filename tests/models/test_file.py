"""A file's identity, and what is said of one that is no model."""

from __future__ import annotations

import gzip
import os
import pickle
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from bench.errors import BenchError, Failed, WrongUsage
from bench.models import onnx_file
from bench.models.file import identity
from bench.models.protobuf import Malformed


def perceptron(value: float = 1.0, dtype: type = np.float32, hidden: int = 200) -> onnx.ModelProto:
    weights = numpy_helper.from_array(np.full((4, hidden), value, dtype), "w")
    x, y = (helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), s)
            for n, s in (("x", ["batch", 4]), ("y", ["batch", hidden])))  # fmt: skip
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g", [x], [y], [weights])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def with_side(path: Path, value: float = 1.0) -> Path:
    onnx.save_model(perceptron(value), path, save_as_external_data=True, location=f"{path.stem}.bin", size_threshold=0)
    return path


def test_a_file_is_the_graph_and_all_that_it_refers_to(tmp_path: Path) -> None:
    graph, side = with_side(tmp_path / "a.onnx"), tmp_path / "a.bin"
    whole = identity(graph)
    assert whole.size_bytes == graph.stat().st_size + side.stat().st_size
    assert set(whole.parts) == {graph.resolve(), side.resolve()}
    side.write_bytes(bytes(side.stat().st_size))
    assert identity(graph).sha256 != whole.sha256


def test_symbolic_links_are_followed_as_in_a_hub_cache(tmp_path: Path) -> None:
    plain = identity(with_side(tmp_path / "a.onnx"))
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "main"
    blobs.mkdir()
    snapshot.mkdir(parents=True)
    for number, name in enumerate(("a.onnx", "a.bin")):
        os.rename(tmp_path / name, blobs / str(number))  # noqa: PTH104
        (snapshot / name).symlink_to(f"../../blobs/{number}")
    linked = identity(snapshot / "a.onnx")
    assert (linked.sha256, linked.size_bytes) == (plain.sha256, plain.size_bytes)


def test_one_file_has_the_hash_of_its_bytes(tmp_path: Path) -> None:
    import hashlib

    onnx.save(perceptron(), tmp_path / "a.onnx")
    assert identity(tmp_path / "a.onnx").sha256 == hashlib.sha256((tmp_path / "a.onnx").read_bytes()).hexdigest()


def test_a_side_file_that_is_missing_or_short_is_named(tmp_path: Path) -> None:
    path = with_side(tmp_path / "a.onnx")
    os.truncate(tmp_path / "a.bin", 100)
    with pytest.raises(Failed, match=r"a\.bin is cut short: 100 bytes of the 3,200"):
        identity(path)
    (tmp_path / "a.bin").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3200\n")
    with pytest.raises(Failed, match=r"a\.bin is a Git LFS pointer, not the weights of a\.onnx; run `git lfs pull`"):
        identity(path)
    (tmp_path / "a.bin").unlink()
    with pytest.raises(Failed, match=r'keeps its weights in "a\.bin", which is not beside it'):
        identity(path)


def zipped(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model.onnx", perceptron().SerializeToString())


def tarred(path: Path) -> None:
    inner = path.with_name("inner.onnx")
    onnx.save(perceptron(), inner)
    with tarfile.open(path, "w") as archive:
        archive.add(inner, "inner.onnx")


NO_MODELS = {
    "pointer": (lambda p: p.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\n"), "git lfs pull"),
    "page": (lambda p: p.write_text("\n<!DOCTYPE html><html>404</html>"), "web page"),
    "zip": (zipped, "zip archive"),
    "gzip": (lambda p: p.write_bytes(gzip.compress(perceptron().SerializeToString())), "gzip archive"),
    "tar": (tarred, "tar archive"),
    "pickle": (lambda p: p.write_bytes(pickle.dumps({"a": 1}, protocol=4)), "Python pickle"),
    "safetensors": (lambda p: p.write_bytes((8).to_bytes(8, "little") + b'{"w":{}}'), "weights alone"),
    "ort": (lambda p: p.write_bytes(b"\x10\0\0\0ORTM" + bytes(99)), "ONNX Runtime's own format"),
    "picture": (lambda p: p.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(99)), "picture"),
    "document": (lambda p: p.write_bytes(b"%PDF-1.4\n"), "PDF"),
    "annex": (lambda p: p.write_text("/annex/objects/MD5E-s100--ab.onnx\n"), "git annex get"),
    "hdf5": (lambda p: p.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(99)), "HDF5"),
    "json": (lambda p: p.write_text('{"error": "Not Found"}'), "is JSON"),
    "tflite": (lambda p: p.write_bytes(b"\x1c\0\0\0TFL3" + bytes(99)), r"TFLite model; name it \.tflite"),
    "empty": (lambda p: p.write_bytes(b""), "is empty"),
    "folder": (lambda p: p.mkdir(), "is a folder"),
    "cut": (lambda p: p.write_bytes(perceptron().SerializeToString()[:-50]), r"cut short: \d+ bytes are missing"),
    "words": (lambda p: p.write_text("hello"), "no ONNX model"),
    "no graph": (lambda p: p.write_bytes(b"\x08\x08"), "holds no ONNX graph"),
    "no nodes": (lambda p: p.write_bytes(b"\x08\x08\x3a\x00"), "empty ONNX graph"),
}


@pytest.mark.parametrize("kind", NO_MODELS)
def test_what_is_no_model_is_called_by_its_name(tmp_path: Path, kind: str) -> None:
    write, says = NO_MODELS[kind]
    path = tmp_path / "x.onnx"
    write(path)
    with pytest.raises(BenchError, match=says) as refused:
        onnx_file.read(path)
    assert "\n" not in str(refused.value)


def test_a_path_that_does_not_exist_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(WrongUsage, match="no file"):
        onnx_file.read(tmp_path / "x.onnx")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    onnx.save(perceptron(), tmp_path / "x.onnx")
    (tmp_path / "x.onnx").chmod(0)
    with pytest.raises(Failed, match="chmod"):
        onnx_file.read(tmp_path / "x.onnx")


def test_initialisers_among_the_inputs_are_no_inputs() -> None:
    model = perceptron()
    model.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [4, 200]))
    found = onnx_file.parse(memoryview(model.SerializeToString()))
    assert [str(each) for each in found.inputs] == ["x float32 batchx4"]
    assert (found.opset, found.ir_version, found.outputs, found.operators) == (17, 8, ("y",), ("MatMul",))


@pytest.mark.parametrize(
    ("operators", "dtype", "precision"),
    [
        (("MatMul",), np.float32, "fp32"),
        (("MatMul",), np.float16, "fp16"),
        (("QuantizeLinear", "DequantizeLinear", "Conv"), np.float32, "int8"),
        (("QLinearConv",), np.int8, "int8"),
        (("DynamicQuantizeLinear", "MatMulInteger"), np.int8, "int8-dynamic"),
    ],
)
def test_the_precision_is_what_the_graph_spells_out(operators: tuple[str, ...], dtype: type, precision: str) -> None:
    model = perceptron(dtype=dtype)
    del model.graph.node[:]
    model.graph.node.extend(helper.make_node(kind, ["x"], [kind]) for kind in operators)
    assert onnx_file.parse(memoryview(model.SerializeToString())).precision == precision


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_bytes_that_changed_are_read_as_the_library_reads_them_or_refused(data: st.DataObject) -> None:
    content = bytearray(perceptron(hidden=2).SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(0, len(content)))]
    try:
        found = onnx_file.parse(memoryview(bytes(content)))
    except (Malformed, Failed):
        return
    model = onnx.ModelProto()
    try:
        model.ParseFromString(bytes(content))
    except Exception:
        return  # stricter: texts that are no UTF-8
    constants = {tensor.name for tensor in model.graph.initializer}
    assert [each.name for each in found.inputs] == [v.name for v in model.graph.input if v.name not in constants]
    assert list(found.operators) == [node.op_type for node in model.graph.node]
