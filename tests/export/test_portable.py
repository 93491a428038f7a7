"""Files that are made again from their graphs."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from bench.errors import Failed
from bench.export import portable
from bench.models.file import file_sha256
from bench.records import Case
from tests import runs


@pytest.fixture(autouse=True)
def own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKBENCH_CACHE", str(tmp_path / "cache"))


def network(path: Path, seed: int = 0, *, bias: float = 0.5) -> Path:
    """y = (x w + b) with other weights of several types beside: large ones and small ones."""
    rng = np.random.default_rng(seed)
    weights = {
        "w": rng.normal(0.25, 0.1, (64, 64)).astype(np.float32),
        "b": np.full(64, bias, np.float32),
        "half": rng.normal(0, 1, (40, 50)).astype(np.float16),
        "whole": rng.integers(-127, 128, (64, 32), dtype=np.int8),
        "shape": np.arange(2000, dtype=np.int64),
    }
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["m"]), helper.make_node("Add", ["m", "b"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 64))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 64))],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def values(path: Path) -> dict[str, np.ndarray]:
    return {each.name: numpy_helper.to_array(each) for each in onnx.load(path).graph.initializer}


def test_a_file_is_made_again_from_its_graph_with_weights_like_its_own(tmp_path: Path) -> None:
    path = network(tmp_path / "a.onnx")
    graph = portable.drawn_from(path)
    again = portable.remade(portable.unpacked(portable.packed(graph)))
    assert file_sha256(again) == graph.sha256
    assert again.stat().st_size == path.stat().st_size
    old, new = values(path), values(again)
    assert {hole.dtype for hole in graph.holes} == {"float32", "float16", "int8"}
    for name in ("w", "half", "whole"):
        assert not np.array_equal(old[name], new[name])
        assert new[name].dtype == old[name].dtype
        was, now = old[name].astype(float), new[name].astype(float)
        assert now.mean() == pytest.approx(was.mean(), abs=0.1 * was.std())
        assert now.std() == pytest.approx(was.std(), rel=0.1)
    for name in ("b", "shape"):
        assert np.array_equal(old[name], new[name])
    assert len(portable.packed(graph)) < 5000 < path.stat().st_size


def test_the_drawn_bytes_are_the_same_on_every_machine(tmp_path: Path) -> None:
    graph = portable.Graph(
        holes=(
            portable.Hole(offset=3, count=5, dtype="float32", centre=0.25, reach=0.5),
            portable.Hole(offset=25, count=4, dtype="int8", centre=0.0, reach=127.0),
        ),
        rest=b"abcdeXYZ",
    )
    sha256 = portable.draw(graph, tmp_path / "drawn")
    data = (tmp_path / "drawn").read_bytes()
    assert data[:3] + data[23:25] + data[29:] == graph.rest
    rng = np.random.default_rng([0, 5])
    by_hand = (rng.random(5, dtype=np.float32) - np.float32(0.5)) * np.float32(1.0) + np.float32(0.25)
    assert np.array_equal(np.frombuffer(data[3:23], np.float32), by_hand)
    assert sha256 == hashlib.sha256(data).hexdigest()
    # Written down, so that a NumPy that draws other numbers is noticed here and not in a comparison.
    assert np.frombuffer(data[3:23], np.float32)[:2].tolist() == [0.4464039206504822, 0.1321360468864441]


def test_two_exports_of_one_graph_are_one_file_and_another_graph_is_not(tmp_path: Path) -> None:
    one, other = (portable.drawn_from(network(tmp_path / f"{seed}.onnx", seed)) for seed in (0, 0))
    assert one.sha256 == other.sha256
    changed = portable.drawn_from(network(tmp_path / "c.onnx", 0, bias=0.75))
    assert changed.sha256 != one.sha256


def test_a_weight_of_several_blocks_is_made_again_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portable, "_BLOCK", 1000)
    path = network(tmp_path / "a.onnx")
    graph = portable.drawn_from(path)
    again = portable.remade(graph)
    assert file_sha256(again) == graph.sha256
    drawn = values(again)["w"]
    assert len(np.unique(drawn)) > 0.99 * drawn.size


def test_what_does_not_come_out_as_it_was_is_refused(tmp_path: Path) -> None:
    graph = portable.drawn_from(network(tmp_path / "a.onnx"))
    with pytest.raises(Failed, match="came out as"):
        portable.remade(replace(graph, sha256="0" * 64))
    portable.kept(graph.sha256, ".onnx").write_bytes(b"damaged")
    assert file_sha256(portable.remade(graph)) == graph.sha256
    for damaged in (b"", b"no gzip", portable.packed(graph)[:-20], portable.packed(graph)[:50]):
        with pytest.raises(Failed, match="damaged"):
            portable.unpacked(damaged)
    (tmp_path / "short.onnx").write_bytes(network(tmp_path / "b.onnx").read_bytes()[:-100])
    with pytest.raises(Failed, match="no whole"):
        portable.cut(tmp_path / "short.onnx")


def test_a_full_disk_is_said(tmp_path: Path) -> None:
    graph = portable.drawn_from(network(tmp_path / "a.onnx"))
    with pytest.raises(Failed, match="free some space"):
        portable.draw(graph, Path("/dev/full"))


def test_files_are_found_by_content_wherever_they_are_kept(tmp_path: Path) -> None:
    path = network(tmp_path / "mine.onnx")
    made = runs.record(Case(name="m", model=str(path)))
    assert made.artifact is not None
    record = replace(made, artifact=replace(made.artifact, sha256=file_sha256(path), key=None))
    assert portable.file_of(record) == path
    portable.keep(path, file_sha256(path))
    path.write_bytes(b"another")
    assert file_sha256(portable.file_of(record)) == record.artifact.sha256  # type: ignore[union-attr]
    portable.kept(record.artifact.sha256, ".onnx").unlink()  # type: ignore[union-attr]
    with pytest.raises(Failed, match=r"gone from .*mine\.onnx; put it back"):
        portable.file_of(record)


@pytest.mark.parametrize(
    ("case", "drawn"),
    [
        (Case(name="m", model="VGG16"), True),
        (Case(name="m", model="VGG16", precision="int8"), True),
        (Case(name="m", model="VGG16", weights="imagenet"), False),
        (Case(name="m", model="mine.onnx"), False),
        (Case(name="m", model="VGG16", runtime="litert"), False),
    ],
)
def test_only_random_weights_are_drawn_again(case: Case, drawn: bool) -> None:
    assert portable.can_be_drawn(runs.record(case)) is drawn


def test_a_file_in_capitals_is_a_file_like_any_other(tmp_path: Path) -> None:
    from bench import cost, export, suites

    path = network(tmp_path / "NET.ONNX")
    (case,) = suites.load_suite([str(path)]).cases
    assert case.is_file
    assert case.is_onnx
    assert dict(export.completed(case).input_shapes) == {"x": (1, 64)}
    assert cost.of_case(case)[0].mult_adds == 64 * 64
