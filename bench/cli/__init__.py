"""The command line: one function a command. Parse, call, print; no logic."""

from __future__ import annotations

import errno
import io
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import click

from bench.cli import (  # noqa: F401 - they add their commands
    counting,
    detecting,
    fleet,
    guiding,
    judging,
    loading,
    measuring,
    reading,
    shipping,
    trusting,
    tuning,
)
from bench.cli.root import cli
from bench.errors import BenchError, Failed, WrongUsage
from bench.units import readable


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line; every error is one line on stderr and an exit code of the contract."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    log, handler = logging.getLogger("bench"), _Once()
    log.addHandler(handler)
    with _lasting("stdout"), _lasting("stderr"):
        try:
            code = cli.main(arguments, prog_name="bench", standalone_mode=False, obj=tuple(arguments))
            sys.stdout.flush()
        except (Exception, KeyboardInterrupt) as error:
            if debug and not isinstance(error, click.ClickException):
                raise
            message, code = _explain(error)
            click.echo(f"bench: {readable(message)}", err=True)
        finally:
            log.removeHandler(handler)
    raise SystemExit(code if isinstance(code, int) else 0)


class _Descriptor(io.FileIO):
    """A descriptor that loses what nobody reads any longer without an error; if `lossy`, all that it cannot write."""

    def __init__(self, number: int, *, lossy: bool) -> None:
        super().__init__(number, "w", closefd=False)
        self._lost: tuple[type[OSError], ...] = (OSError,) if lossy else (BrokenPipeError,)

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except self._lost:
            return memoryview(data).nbytes


@contextmanager
def _lasting(name: str) -> Iterator[None]:
    """A standard stream that ends no command and changes no exit code: whatever its locale cannot print, whoever stops
    reading it (`| head -1`), be it closed. A full disk is an error for what is printed, and none for progress."""
    stream = getattr(sys, name)
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="replace")
    try:
        if stream is None:
            lasting: Any = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - closed below
        else:
            descriptor = _Descriptor(stream.fileno(), lossy=name == "stderr")
            lasting = io.TextIOWrapper(
                io.BufferedWriter(descriptor), stream.encoding, "replace", line_buffering=stream.line_buffering
            )
    except (OSError, AttributeError):  # kept in memory, or a stream of somebody's own
        yield
        return
    setattr(sys, name, lasting)
    try:
        yield
    finally:
        setattr(sys, name, stream)
        with suppress(OSError):  # a full disk, which was said
            lasting.close()


class _Once(logging.Handler):
    """Says on stderr what the rooms log, each message once a command."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if message not in self.said:
            self.said.add(message)
            click.echo(message, err=True)


def _explain(error: BaseException) -> tuple[str, int]:
    """One line and the exit code for any error."""
    if isinstance(error, BenchError):
        return str(error), error.exit_code
    if isinstance(error, click.UsageError):
        command = error.ctx.command_path if error.ctx else "bench"
        return f"{error.format_message().rstrip('.')}; see `{command} --help`", WrongUsage.exit_code
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        return "interrupted; what was measured is stored, `bench run --resume` goes on from there", Failed.exit_code
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        where = f" {error.filename}" if error.filename else ""
        return f"cannot write{where}: {error.strerror}; free some space and run it again", Failed.exit_code
    if isinstance(error, click.ClickException):
        return error.format_message(), WrongUsage.exit_code
    return f"unexpected {type(error).__name__}: {error}; run it again with --debug and report it", Failed.exit_code
