"""Files that can be made again anywhere, bit for bit: a graph without its large weights, and how these are drawn.

How long a network takes does not depend on what its weights are, so that a file with random weights is kept as its
graph: its bytes with the large weights cut out, and for each of them a seed, a size and a spread like the original's.
Drawn again by NumPy, they give the same bytes on every machine and Python. Both sides of a comparison are drawn in
this way, so that two exports of one graph are one file. Files whose weights are somebody's own, or trained, are kept
whole in the store beside the export cache.

Read without a library for ONNX: a baseline can be measured where models are only timed.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import shutil
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np

from bench.errors import BenchError, Failed
from bench.export import cache
from bench.models import protobuf
from bench.models.file import file_sha256, sha256_of
from bench.records import Record

LARGE = 256
"""Values from which on a weight is cut out; smaller ones stay as they are."""
_GRAPH, _INITIALIZER = 7, 5  # field numbers of onnx.proto
_DATA_TYPE, _RAW_DATA = 2, 9
_TYPES = {1: "float32", 10: "float16", 3: "int8", 2: "uint8"}
_BLOCK = 1 << 22  # values drawn at a time; another number would draw others


@dataclass(frozen=True, kw_only=True, slots=True)
class Hole:
    """A weight that was cut out of a file."""

    offset: int  # of its bytes in the whole file
    count: int  # values
    dtype: str
    centre: float  # of the uniform distribution
    reach: float  # to either side


@dataclass(frozen=True, kw_only=True, slots=True)
class Graph:
    """A file without its large weights."""

    holes: tuple[Hole, ...]  # in order
    rest: bytes  # the file with the holes' bytes left out
    sha256: str = ""  # of the file with its weights drawn


def cut(path: Path) -> Graph:
    """An .onnx file without its large weights. Raises Failed for what is none, or keeps them in another file."""
    data = path.read_bytes()
    view = memoryview(data)
    start = _address(view)
    holes = []
    try:
        for tensor in _initializers(view):
            known = {number: value for number, value in protobuf.fields(tensor) if number in (_DATA_TYPE, _RAW_DATA)}
            raw, kind = known.get(_RAW_DATA), _TYPES.get(known.get(_DATA_TYPE, 0))  # type: ignore[arg-type]
            if kind is None or not isinstance(raw, memoryview):
                continue
            values = np.frombuffer(raw, kind)
            if len(values) >= LARGE:
                centre, reach = _spread(values)
                holes.append(
                    Hole(offset=_address(raw) - start, count=len(values), dtype=kind, centre=centre, reach=reach)
                )
    except (protobuf.Malformed, ValueError) as error:
        raise Failed(f"{path} is no whole .onnx file ({error}); export it again") from error
    holes.sort(key=lambda hole: hole.offset)
    pieces, end = [], 0
    for hole in holes:
        pieces.append(view[end : hole.offset])
        end = hole.offset + _bytes(hole)
    return Graph(holes=tuple(holes), rest=b"".join([*pieces, view[end:]]))


def draw(graph: Graph, path: Path) -> str:
    """Write the file with its weights drawn, and return its SHA-256.

    Raises Failed when it cannot be written.
    """
    digest, place, in_rest = hashlib.sha256(), 0, 0
    try:
        with path.open("wb") as file:

            def put(piece: bytes | memoryview) -> None:
                digest.update(piece)
                file.write(piece)

            for number, hole in enumerate(graph.holes):
                put(graph.rest[in_rest : in_rest + hole.offset - place])
                in_rest += hole.offset - place
                for values in _drawn(hole, number):
                    put(values.tobytes())
                place = hole.offset + _bytes(hole)
            put(graph.rest[in_rest:])
    except OSError as error:
        raise Failed(f"cannot write {path}: {error.strerror}; free some space, or set BACKBENCH_CACHE") from error
    return digest.hexdigest()


def packed(graph: Graph) -> bytes:
    """A graph as a small file."""
    header = msgspec.json.encode({"holes": graph.holes, "sha256": graph.sha256})
    return gzip.compress(struct.pack("<I", len(header)) + header + graph.rest, 9, mtime=0)


def unpacked(data: bytes) -> Graph:
    """A graph from its small file. Raises Failed when that is damaged."""
    try:
        whole = gzip.decompress(data)
        (size,) = struct.unpack("<I", whole[:4])
        known = msgspec.json.decode(whole[4 : 4 + size], type=_Header)
    except (OSError, EOFError, struct.error, msgspec.DecodeError) as error:
        raise Failed(f"a graph of the baseline is damaged ({error}); restore it, or save the baseline again") from error
    return Graph(holes=known.holes, rest=whole[4 + size :], sha256=known.sha256)


@dataclass(frozen=True, slots=True)
class _Header:
    holes: tuple[Hole, ...]
    sha256: str


def can_be_drawn(record: Record) -> bool:
    """Whether a record's file has random weights, which others of their kind can stand in for."""
    case = record.case
    return not case.is_file and case.weights == "none" and case.train is None and case.runtime != "litert"


def file_of(record: Record) -> Path:
    """A record's file as it was timed: from the store by content, the export cache or the user's own path.

    Raises Failed, with the remedy, when it is gone or holds something else now.
    """
    artifact, case = record.artifact, record.case
    if artifact is None:
        raise Failed("nothing was exported for it; measure it again")
    places = [kept(artifact.sha256, Path(case.model).suffix.lower() if case.is_file else ".onnx")]
    if case.is_file:
        places.append(Path(case.model))
    elif artifact.key and (stored := cache.stored(artifact.key)):
        places.append(stored)
    for place in places:
        with suppress(BenchError):
            if sha256_of(place) == artifact.sha256:
                return place
    where = case.model if case.is_file else "the export cache"
    raise Failed(f"its file is gone from {where}; put it back, or measure it again")


def drawn_from(path: Path) -> Graph:
    """A file's graph with the SHA-256 that it has once drawn; the drawn file is kept in the store."""
    graph = cut(path)
    with _workplace() as folder:
        sha256 = draw(graph, folder / "drawn")
        _keep(folder / "drawn", kept(sha256, path.suffix.lower()))
    return replace(graph, sha256=sha256)


def remade(graph: Graph) -> Path:
    """The drawn file of a graph: from the store, or drawn anew. Raises Failed when its bytes are not as they were."""
    place = kept(graph.sha256, ".onnx")
    if place.is_file() and file_sha256(place) == graph.sha256:
        return place
    with _workplace() as folder:
        sha256 = draw(graph, folder / "drawn")
        if sha256 != graph.sha256:
            raise Failed(
                f"the baseline's file came out as {sha256[:12]}, not as {graph.sha256[:12]}: this NumPy "
                f"({np.__version__}) draws other weights; save the baseline again"
            )
        _keep(folder / "drawn", place)
    return place


def keep(path: Path, sha256: str) -> Path:
    """Copy a file whose weights cannot be drawn into the store, under its content's name."""
    place = kept(sha256, path.suffix.lower())
    if not place.exists():
        with _workplace() as folder:
            try:
                shutil.copyfile(path, folder / "copy")
            except OSError as error:
                raise Failed(f"cannot keep {path}: {error.strerror}; free some space") from error
            _keep(folder / "copy", place)
    return place


def kept(sha256: str, suffix: str) -> Path:
    """Where a file of this content is kept."""
    return cache.folder().with_name("files") / f"{sha256}{suffix}"


@contextmanager
def _workplace() -> Iterator[Path]:
    """A temporary folder on the store's own file system."""
    folder = cache.folder().with_name("files")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary = tempfile.TemporaryDirectory(dir=folder, prefix="tmp-")
    except OSError as error:
        raise Failed(f"cannot write {folder}: {error.strerror}; free some space, or set BACKBENCH_CACHE") from error
    with temporary as name:
        yield Path(name)


def _keep(made: Path, place: Path) -> None:
    made.chmod(0o644)
    made.replace(place)


def _initializers(model: memoryview) -> Iterator[memoryview]:
    for number, value in protobuf.fields(model):
        if number == _GRAPH:
            for inner, tensor in protobuf.fields(protobuf.message(value)):
                if inner == _INITIALIZER:
                    yield protobuf.message(tensor)


def _address(view: memoryview) -> int:
    return int(np.frombuffer(view, np.uint8).__array_interface__["data"][0])


def _bytes(hole: Hole) -> int:
    return hole.count * np.dtype(hole.dtype).itemsize


def _spread(values: np.ndarray) -> tuple[float, float]:
    """Centre and reach of a uniform distribution with the values' mean and deviation, and within their range.

    Integers keep their whole range, and what is positive (a variance) stays so.
    """
    if np.issubdtype(values.dtype, np.integer):
        low, high = int(values.min()), int(values.max())
        return (low + high) / 2, (high - low) / 2
    exact = values.astype(np.float64)
    mean, reach = exact.mean(), exact.std() * math.sqrt(3)
    low, high = max(mean - reach, exact.min()), min(mean + reach, exact.max())
    return float(np.float32((low + high) / 2)), float(np.float32((high - low) / 2))


def _drawn(hole: Hole, number: int) -> Iterator[np.ndarray]:
    """The weight's values, a block at a time: multiplied and added in float32, which is the same everywhere."""
    rng = np.random.default_rng([number, hole.count])
    dtype = np.dtype(hole.dtype)
    for start in range(0, hole.count, _BLOCK):
        count = min(_BLOCK, hole.count - start)
        if np.issubdtype(dtype, np.integer):
            low, high = round(hole.centre - hole.reach), round(hole.centre + hole.reach)
            yield rng.integers(low, high, count, dtype=dtype, endpoint=True)
            continue
        values = rng.random(count, dtype=np.float32)
        values -= np.float32(0.5)
        values *= np.float32(2 * hole.reach)
        values += np.float32(hole.centre)
        yield values.astype(dtype, copy=False)
