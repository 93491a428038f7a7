"""The runtimes that models are timed in, each in one file that needs the standard library, NumPy and itself alone.

`suites.RUNTIMES` names the files. They are loaded by path, here and in the worker that times, so that a file called
onnxruntime.py never stands in for the package that it imports; and reading what a file says of its runtime imports no
runtime. Such a file holds what `Runtime` says, and its `load` returns what `Session` says.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol, cast

from bench.errors import Failed, WrongUsage, suggestion
from bench.suites import RUNTIMES

Options = Mapping[str, Any]
"""How to load a model: `provider`, a value of `Runtime.DEVICES`; `threads`, None for the runtime's own default; `spin`,
whether idle threads may spin as the runtime does by default; `profile`, a folder for its profiler's files, or None;
`shared`, whether the sessions of this process shall use one pool of threads, where the runtime can."""


class Session(Protocol):
    """A model that is loaded."""

    inputs: Sequence[tuple[str, str, Sequence[int | str | None]]]
    """Name, NumPy type and shape of each; an open size is its name, or None. A type that NumPy has not is as it is."""
    outputs: Sequence[str]

    def calls(self, feeds: Mapping[str, Any]) -> tuple[Callable[[], object], Callable[[], object] | None]:
        """One inference on these inputs, bound beforehand; and the same with host-device copies, None on the CPU."""

    def run(self, feeds: Mapping[str, Any]) -> list[Any]:
        """The outputs for these inputs, in order. On the CPU, the same inference as that of `calls`."""

    def ran(self) -> dict[str, Any]:
        """What runs; all that is known of it once called.

        `providers`: those in force; `nodes`: provider -> nodes, {} where not known; `threads` as the runtime
        says, None where it does not; `precision`: "f32", "bf16", "f16", "u8", "i8" -> layers with weights that run in
        it, None where not known. Where a runtime has them: `streams`, the inferences that it is set up to run at
        once, and `hint`, what it is set up for, "latency" or another.
        """

    def profile(self) -> list[tuple[str, list[list[int]], float]]:
        """Of each node: "Conv", "MatMul", "Layout" or another operator, its inputs' shapes (data as N, C, ..., weights
        as O, I, ...), and the median of its milliseconds. Only of a session that was loaded to be profiled."""


class Runtime(Protocol):
    """One runtime's file."""

    TITLE: str
    EXTRA: str  # `pip install "backbench[EXTRA]"`
    DISTRIBUTIONS: tuple[str, ...]  # one of which is installed
    SUFFIXES: tuple[str, ...]  # of the files that it reads
    DEVICES: Mapping[str, str]  # "cpu", "cuda" -> what the runtime calls it
    PROBE: bytes  # the smallest model that it reads: y = x + x for float x of shape (1, 4)
    EXPLAINED: Mapping[str, str]  # patterns of its messages -> what they mean and the remedy, with the groups filled in
    CAN_REST: bool  # whether `load` can keep idle threads from spinning
    PROGRAM: str  # a program that times a model alone: a `string.Template` of $model, $inputs (name -> shape and NumPy
    # type), $threads, $spin ("1" or "0"), $provider and its $options, at most 25 lines; it prints its p50 in ms
    SHIPPED: str  # what a program needs to run the model beside it: its import, and `run(batch)`, the output number
    # $place; a template as above, with $shape of the batch
    PACE: bytes | None  # a chain of small products; None: `timing.pace`'s ONNX file

    def version(self) -> str:
        """The version that is imported. Raises ImportError."""

    def about(self) -> dict[str, Any]:
        """`build`: how it was built, in words; `providers`: those built in, which proves nothing."""

    def load(self, model: str | bytes, options: Options) -> Session:
        """Load a file, or its content. Raises whatever the runtime raises."""


def get(name: str) -> Runtime:
    """A runtime by name. Raises WrongUsage for an unknown one."""
    return _loaded(file(name))


def file(name: str) -> Path:
    """The path of a runtime's file, which the worker loads. Raises WrongUsage for an unknown one."""
    if name not in RUNTIMES:
        raise WrongUsage(f'no runtime "{name}"; {suggestion(name, RUNTIMES)}')
    return RUNTIMES[name]


def installed(name: str) -> str | None:
    """The installed distribution of a runtime and its version, e.g. "onnxruntime 1.32.0"; None where there is none.

    Read from metadata: nothing is imported.
    """
    for distribution in get(name).DISTRIBUTIONS:
        try:
            return f"{distribution} {version(distribution)}"
        except PackageNotFoundError:
            continue
    return None


def versions(names: Iterable[str]) -> dict[str, str]:
    """The installed version of each runtime, or "not installed"."""
    return {name: installed(name) or "not installed" for name in sorted(set(names))}


def missing(name: str) -> str:
    """What to say of a runtime that is not installed."""
    return f'{get(name).TITLE} is not installed; pip install "backbench[{get(name).EXTRA}]"'


def require(name: str) -> None:
    """Raise Failed, naming the extra, when a runtime is not installed."""
    if installed(name) is None:
        raise Failed(missing(name))


@cache
def _loaded(path: Path) -> Runtime:
    spec = importlib.util.spec_from_file_location(f"backbench_runtime_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise Failed(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return cast(Runtime, module)
