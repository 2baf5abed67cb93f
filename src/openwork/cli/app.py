"""The group of commands, and the one place where errors become exit codes."""

import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module

import click

from openwork import __version__
from openwork.errors import OpenworkError, VerificationError

# In the order of the road from a model to a measured artifact.
COMMANDS = (
    "inspect",
    "optimize",
    "quantize",
    "compile",
    "run",
    "verify",
    "bench",
    "compare",
    "targets",
    "zoo",
    "demo",
)

OK, CHECK_FAILED, ERROR = 0, 1, 2
INTERRUPTED, PIPE_CLOSED = 130, 141  # 128 + the number of the signal, as shells report it


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
        141 when the reader of stdout has gone.
    """
    given = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    debug = "--debug" in given
    try:
        _run([argument for argument in given if argument != "--debug"])
    except click.exceptions.Exit as done:
        return done.exit_code
    except (KeyboardInterrupt, click.Abort):
        return _fail("interrupted", INTERRUPTED)
    except BrokenPipeError:
        # Nobody reads stdout any more: keep the interpreter from complaining when it flushes it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except Exception as error:
        if debug:
            traceback.print_exception(error)
        return _fail(_cause(error), CHECK_FAILED if isinstance(error, VerificationError) else ERROR)
    return OK


def _run(arguments: list[str]) -> None:
    with openwork.make_context("openwork", arguments) as context:
        openwork.invoke(context)
        sys.stdout.flush()


def _cause(error: Exception) -> str:
    if isinstance(error, click.UsageError) and error.ctx is not None:
        return f"{error.format_message()} See '{error.ctx.command_path} --help'."
    if isinstance(error, click.ClickException):
        return error.format_message()
    if isinstance(error, OpenworkError | OSError):
        return str(error)
    if isinstance(error, ModuleNotFoundError) and error.name in ("torch", "sklearn"):
        return f"{error.name} is not installed, and this command needs it; pip install 'openwork[torch]'"
    return f"internal error, {type(error).__name__}: {error}; run again with --debug for the traceback"


def _fail(cause: str, status: int) -> int:
    line = "".join(letter if letter.isprintable() else " " for letter in cause)
    print(f"openwork: {' '.join(line.split())}", file=sys.stderr)
    return status
