"""The group of commands, and the one place where errors become exit codes."""

import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module

import click

from openwork import __version__
from openwork.cli.deferred import defer_sympy
from openwork.errors import OpenworkError, VerificationError

# In the order of the road from a model to a measured artifact.
COMMANDS = (
    "inspect",
    "optimize",
    "quantize",
    "analyse",
    "evaluate",
    "compile",
    "run",
    "verify",
    "bench",
    "compare",
    "targets",
    "operators",
    "zoo",
    "demo",
)

# The extra that brings a package which only some commands need.
_EXTRAS = {"torch": "torch", "sklearn": "torch", "transformers": "torch,zoo"}

OK, CHECK_FAILED, ERROR = 0, 1, 2
SIGNALLED = 128  # plus the number of the signal, as shells report it


class LazyGroup(click.Group):
    """Loads the file of a command when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"openwork.cli.commands.{cmd_name}").command
        return command


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="openwork")
@click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error (any command).")
def openwork() -> None:
    """Cut zeros into a trained network and make the zeros pay.

    \b
    From a model to a native library that is proved and measured:
      openwork zoo make resnet50 --sparsity 0.9 --pattern 1x4 -o model.onnx
      openwork quantize model.onnx --data images/ -o int8.onnx
      openwork compile int8.onnx --target cpu -o deploy
      openwork verify deploy
      openwork bench deploy

    `openwork COMMAND --help` explains a command and shows an example. Results go to stdout (as JSON with
    --json), messages and progress to stderr. Exit status: 0 fine, 1 a check failed, 2 wrong usage or an
    error.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: without the program's name; those of the process when None.
    Returns: the exit status: 0 fine, 1 a check failed, 2 wrong usage or an error, 130 interrupted,
        141 when the reader of stdout has gone, 143 terminated.
    """
    given = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    debug = "--debug" in given
    _quieten_libraries(debug)
    defer_sympy()
    with _stoppable() as stopped_by:
        try:
            _run([argument for argument in given if argument != "--debug"])
        except click.exceptions.Exit as done:
            return done.exit_code
        except BrokenPipeError:
            # Nobody reads stdout any more: keep the interpreter from complaining when it flushes it at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return SIGNALLED + signal.SIGPIPE
        except (Exception, KeyboardInterrupt) as error:
            if debug:
                traceback.print_exception(error)
            # While a library is being imported it may turn the interruption into an error of its own.
            if stopped_by or isinstance(error, KeyboardInterrupt | click.Abort):
                return _fail("interrupted", SIGNALLED + (stopped_by or [signal.SIGINT])[0])
            return _fail(_cause(error), CHECK_FAILED if isinstance(error, VerificationError) else ERROR)
    return OK


def _quieten_libraries(debug: bool) -> None:
    """What libraries log comes back as an error if it matters."""
    if not debug:
        logging.basicConfig(handlers=[logging.NullHandler()])


@contextmanager
def _stoppable() -> Iterator[list[int]]:
    """SIGTERM ends the block as SIGINT does: by an exception, so that nothing is left behind. Yields what came."""
    came: list[int] = []

    def stop(number: int, _: object) -> None:
        came.append(number)
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():  # only that one may have handlers
        yield came
        return
    older = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield came
    finally:
        for number, handler in older.items():
            signal.signal(number, handler)


def _run(arguments: list[str]) -> None:
    with openwork.make_context("openwork", arguments) as context:
        openwork.invoke(context)
        print(end="", flush=True)  # also where there is no stdout


def _cause(error: Exception) -> str:
    if isinstance(error, click.UsageError) and error.ctx is not None:
        return f"{error.format_message()} See '{error.ctx.command_path} --help'."
    if isinstance(error, click.ClickException):
        return error.format_message()
    if isinstance(error, OpenworkError):
        return str(error)
    if isinstance(error, OSError):
        return f"{error.filename or 'stdout'}: {error.strerror or error}; give another place"
    if isinstance(error, MemoryError):
        return f"memory: {error or 'there is not enough'}; give smaller shapes or a smaller batch"
    if isinstance(error, ModuleNotFoundError) and error.name in _EXTRAS:
        extra = _EXTRAS[error.name]
        return f"{error.name} is not installed, and this command needs it; pip install 'openwork[{extra}]'"
    return f"internal error, {type(error).__name__}: {error}; run again with --debug for the traceback"


def _fail(cause: str, status: int) -> int:
    line = "".join(letter if letter.isprintable() else " " for letter in cause)
    print(f"openwork: {' '.join(line.split())}", file=sys.stderr)
    return status
