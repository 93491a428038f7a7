"""ONNX files and suites that nobody would write: one line and an exit code of the contract, never a traceback.

`FUZZ=20 pytest tests/models/test_fuzz.py` tries twenty times as many.
"""

from __future__ import annotations

import json
import os
import random
import tempfile
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from bench import cost, export, store, suites
from bench.cli import main
from bench.cost import onnx_graph
from bench.errors import BenchError
from bench.models import onnx_file
from bench.models.file import identity

TIMES = int(os.environ.get("FUZZ", "1"))
phases = [phase for phase in Phase if phase not in (Phase.shrink, Phase.explain)]  # shrinking takes minutes
quietly = settings(max_examples=60 * TIMES, deadline=None, suppress_health_check=list(HealthCheck), phases=phases)


def one_line(error: BenchError) -> None:
    assert str(error)
    assert "\n" not in str(error)


def network(shape: list, name: str = "x", node: str = "", opset: int = 17) -> onnx.ModelProto:
    """Convolution, the flatten of old exporters, a dense layer: something of everything that counting follows."""
    nodes = [
        helper.make_node("Conv", [name, "w"], ["c"], name=node, pads=[1] * 4),
        helper.make_node("GlobalAveragePool", ["c"], ["g"], name=node),
        helper.make_node("Shape", ["g"], ["s"]),
        helper.make_node("Gather", ["s", "zero"], ["b"], axis=0),
        helper.make_node("Concat", ["b", "minus"], ["t"], axis=0),
        helper.make_node("Reshape", ["g", "t"], ["f"]),
        helper.make_node("Gemm", ["f", "v"], ["y"], transB=1),
    ]
    weights = [numpy_helper.from_array(np.ones(s, np.float32), n) for n, s in (("w", (4, 3, 3, 3)), ("v", (5, 4)))]
    sizes = [numpy_helper.from_array(np.array(v, np.int64), n) for n, v in (("zero", [0]), ("minus", [-1]))]
    ends = (helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in ((name, shape), ("y", None)))
    x, y = ends
    graph = helper.make_graph(nodes, "g", [x], [y], [*weights, *sizes])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def mutated(content: bytes, rng: random.Random) -> bytes:
    """The same with bytes changed, removed, doubled or cut off."""
    data = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 4, 16])):
        place = rng.randrange(len(data)) if data else 0
        kind = rng.randrange(5)
        if kind < 2 and data:
            data[place] = rng.randrange(256)
        elif kind == 2:
            data[place:place] = rng.randbytes(rng.randrange(1, 9))
        elif kind == 3:
            del data[place : place + rng.randrange(1, 9)]
        else:
            data[place:place] = data[max(0, place - 40) : place]
    return bytes(data[: rng.randrange(len(data) + 1)] if rng.random() < 0.1 else data)


@quietly
@given(seed=st.integers(0, 2**32))
def test_mutated_files_are_read_or_refused(seed: int) -> None:
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.onnx"
        for _ in range(5):
            path.write_bytes(mutated(network(["N", 3, 8, 8]).SerializeToString(), rng))
            try:
                identity(path, onnx_file.read(path))
                completed = export.completed(suites.case_of_model(str(path)))
            except BenchError as error:
                one_line(error)
            else:
                assert all(size > 0 for shape in completed.input_shapes.values() for size in shape)
                assert completed.batch_size >= 1


def test_mutated_files_are_counted_or_named_and_hide_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BACKBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    rng = random.Random(15)
    files = [f"{number}.onnx" for number in range(40 * TIMES)]
    for file in files[1:]:
        Path(file).write_bytes(mutated(network([1, 3, 8, 8], opset=rng.choice([9, 13, 17])).SerializeToString(), rng))
    onnx.save(network([1, 3, 8, 8]), files[0])
    answers = cost.of_cases(suites.case_of_model(file) for file in files)
    assert getattr(answers["0"], "mult_adds", None) == 8 * 8 * 4 * 27 + 20
    for answer in answers.values():
        if isinstance(answer, BenchError):
            one_line(answer)
    with pytest.raises(SystemExit) as stopped:
        main(["list", *files, "--json"])
    out, err = capsys.readouterr()
    assert stopped.value.code in (0, 2, 5)
    assert "Traceback" not in err
    assert len(json.loads(out)) == len(files)


sizes = st.one_of(st.integers(-(2**40), 2**40), st.integers(-1, 9), st.text(max_size=8), st.none())


@quietly
@given(
    shape=st.lists(sizes, max_size=5), name=st.text(min_size=1, max_size=9), node=st.text(max_size=9),
    asked=st.dictionaries(st.text(max_size=3), st.lists(st.integers(1, 9), max_size=5), max_size=2),
    dimensions=st.dictionaries(st.text(max_size=3), st.integers(1, 9), max_size=2),
)  # fmt: skip
def test_odd_shapes_and_names_are_counted_or_refused(
    shape: list, name: str, node: str, asked: dict, dimensions: dict
) -> None:
    try:
        model = network(shape, name, node)
    except (ValueError, UnicodeError):
        return  # what protocol buffers do not hold
    for wishes in ({}, {"shapes": asked}, {"dimensions": dimensions}, {"batch_size": 7}):
        try:
            found = onnx_graph.count(model, **wishes)
        except BenchError as error:
            one_line(error)
        else:
            assert all(layer.mult_adds is None or layer.mult_adds >= 0 for layer in found.layers)
            assert len({layer.name for layer in found.layers}) == len(found.layers)


scalars = st.one_of(
    st.integers(), st.floats(), st.booleans(), st.text(max_size=12),
    st.sampled_from(["VGG16", "m.onnx", "m.keras", "a:b", "1x3x8x8", "fp32", "imagenet", "../x.onnx", "\0.onnx"]),
)  # fmt: skip
tables = st.dictionaries(st.text(max_size=5), scalars, max_size=3)
values = st.one_of(scalars, tables, st.lists(st.one_of(scalars, tables, st.lists(scalars, max_size=2)), max_size=3))
keys = st.one_of(st.sampled_from([*suites.keys.KEYS, "case", "models", "title"]), st.text(max_size=8))


def toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(str(key))} = {toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return repr(value).replace("e+", "e") if "." in repr(value) or not np.isfinite(value) else f"{value:.1f}"
    return json.dumps(value) if isinstance(value, str) else str(value)


@settings(quietly, max_examples=150 * TIMES)
@given(
    top=st.dictionaries(keys, values, max_size=2),
    cases=st.lists(st.dictionaries(keys, values, max_size=4), max_size=3),
    model=st.sampled_from(["VGG16", "MobileNet", "m.onnx", "m.keras", "a:b", None]),
)
def test_odd_suites_are_read_or_refused(top: dict, cases: list[dict], model: str | None) -> None:
    lines = [f"{toml(key)} = {toml(value)}" for key, value in top.items()]
    for case in cases:
        whole = ({"model": model} if model else {}) | case
        lines += ["[[case]]", *(f"{toml(key)} = {toml(value)}" for key, value in whole.items())]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s.toml"
        path.write_text("\n".join(lines), encoding="utf-8", errors="replace")
        try:
            suite = suites.load_suite(path)
        except BenchError as error:
            one_line(error)
            return
    assert len({store.slug(case.name) for case in suite.cases}) == len(suite.cases) > 0
    msgspec.json.encode(suite.cases)
