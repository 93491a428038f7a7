"""The command line: one function a command. Parse, call, print; no logic."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Sequence

import click

from bench.cli import counting, detecting, guiding, judging, measuring, reading, trusting  # noqa: F401 - they add their commands
from bench.cli.root import cli
from bench.errors import BenchError, Failed, WrongUsage
from bench.units import readable


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line; every error is one line on stderr and an exit code of the contract."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a locale that cannot print a sign must not cost what was measured
    log, handler = logging.getLogger("bench"), _Once()
    log.addHandler(handler)
    try:
        code = cli.main(arguments, prog_name="bench", standalone_mode=False)
    except (Exception, KeyboardInterrupt) as error:
        if debug and not isinstance(error, click.ClickException):
            raise
        message, code = _explain(error)
        click.echo(f"bench: {readable(message)}", err=True)
    finally:
        log.removeHandler(handler)
    raise SystemExit(code if isinstance(code, int) else 0)


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
    if isinstance(error, click.ClickException):
        return error.format_message(), WrongUsage.exit_code
    return f"unexpected {type(error).__name__}: {error}; run it again with --debug and report it", Failed.exit_code
