"""The worker's side: a process that answers questions with a module's function `answer`.

Run by path under any interpreter, so it needs the standard library alone. A worker imports what is installed: neither
this folder nor the working directory may stand in for a library, and a file called `bench.py` not for this package.
`answer(question)` returns what JSON can hold, or an iterator of it. An exception with an `exit_code` explains itself.
"""

from __future__ import annotations

import sys

if __name__ == "__main__" and not getattr(sys.flags, "safe_path", False):
    del sys.path[0]  # this folder

import errno
import importlib
import importlib.util
import json
import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100,PTH120 - pathlib takes its time
_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Answer until nobody asks any more. Arguments: the target, the channel, the parent, the end of the import path."""
    target, channel, parent, *path = sys.argv[1:]
    os.set_inheritable(int(channel), False)  # a process started here must not keep it open
    _tie_to_parent(int(parent))
    sys.path += path
    with os.fdopen(int(channel), "rb") as questions, os.fdopen(os.dup(int(channel)), "wb") as answers:
        for line in questions:
            try:
                for message in _messages(target, json.loads(line)):
                    answers.write(message + b"\n")
                    answers.flush()
            except (BrokenPipeError, ConnectionResetError):
                os._exit(1)  # nobody listens any more


def _messages(target: str, question: Any) -> Iterator[bytes]:
    try:
        reply = _function(target)(question)
        if not isinstance(reply, Iterator):
            yield _line({"answer": reply})
            return
        for part in reply:
            yield _line({"answer": part})
        yield _line({"end": True})
    except (Exception, SystemExit) as error:
        # Whatever a library or a user's own code raises concerns this question alone: it is reported as its reason.
        kind, text = type(error).__name__, str(error)
        if isinstance(error, MemoryError):
            yield _line({"error": text, "kind": "MemoryError"})
        elif isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            text = f"cannot write: {error.strerror}; free some space, or set BACKBENCH_CACHE to a folder with more"
            yield _line({"error": text, "kind": "Failed"})
        elif hasattr(error, "exit_code"):
            yield _line({"error": text, "kind": kind})
        else:
            yield _line({"error": f"{kind}: {' '.join(text.split())[:500]}", "kind": "Failed"})


def _line(message: Any) -> bytes:
    return json.dumps(message, default=_plain).encode()


def _plain(value: Any) -> Any:
    """A record as JSON holds it."""
    import msgspec

    return msgspec.to_builtins(value)


def _function(target: str) -> Callable[[Any], Any]:
    """The function `answer` of one of this package's modules, or of a script that stands for itself."""
    if not target.endswith(".py"):
        if "bench" not in sys.modules:
            _load("bench", os.path.join(_PACKAGE, "__init__.py"), [_PACKAGE])  # noqa: PTH118
        return importlib.import_module(target).answer  # type: ignore[no-any-return]
    return (sys.modules.get("_script") or _load("_script", target)).answer  # type: ignore[no-any-return]


def _load(name: str, file: str, folders: list[str] | None = None) -> Any:
    spec = importlib.util.spec_from_file_location(name, file, submodule_search_locations=folders)
    if spec is None or spec.loader is None:
        raise ImportError(f"no module in {file}")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _tie_to_parent(parent: int) -> None:
    """Die with the parent, so that no orphan goes on measuring; and before it, when memory runs out (Linux)."""
    if sys.platform != "linux":
        return
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    try:
        with open(f"/proc/{parent}/stat") as file:  # noqa: PTH123
            state = file.read().rpartition(")")[2].split()[:1]
    except OSError:
        state = []
    if state in ([], ["Z"], ["X"]):
        os._exit(1)  # it died before the call above, reaped or not
    try:
        with open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123
            file.write("1000")
    except OSError:
        return  # not allowed in this sandbox; the kernel then chooses by size, which is most likely this process


if __name__ == "__main__":
    main()
