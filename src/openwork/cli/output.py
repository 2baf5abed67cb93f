"""How results reach people (tables) and programs (JSON) on stdout; messages and progress on stderr."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NoReturn

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

# Raised when a field of any command's JSON changes its meaning or goes; new fields do not raise it.
SCHEMA_VERSION = 1


class _Stdout(Console):
    """Prints text as it is, without markup or emoji, and tables as wide as they need to be."""

    def __init__(self) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, width=1000)

    def on_broken_pipe(self) -> NoReturn:
        raise BrokenPipeError


def print_json(result: Mapping[str, object]) -> None:
    """One JSON object with `schema_version`, then a newline."""
    print(json.dumps({"schema_version": SCHEMA_VERSION, **result}, indent=2, allow_nan=False))


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1) -> None:
    """A table whose first `left` columns are aligned left, the others (figures) right."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for index, heading in enumerate(headings):
        if index < left:
            table.add_column(heading, vertical="bottom")
        else:
            table.add_column("\n".join(heading.rsplit(maxsplit=1)), justify="right", vertical="bottom")
    for row in rows:
        table.add_row(*(_visible(cell) for cell in row))
    _Stdout().print(table)


def print_line(text: str) -> None:
    """One line of result on stdout."""
    click.echo(_visible(text))


def note(text: str) -> None:
    """One line about what is going on, on stderr."""
    click.echo(_visible(text), err=True)


@contextmanager
def progress(text: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr while the block runs.

    What it yields is called with the steps done and their total; until then the bar only moves.
    """
    with _bars(transient=True) as bars:
        task = bars.add_task(text, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)


@contextmanager
def stages() -> Iterator[Callable[[str, int, int], None]]:
    """Like `progress`, with a bar for each text, that stays; without a terminal, a line when each begins."""
    with _bars(transient=False) as bars:
        tasks: dict[str, TaskID] = {}

        def advance(text: str, done: int, total: int) -> None:
            if text not in tasks:
                tasks[text] = bars.add_task(text)
                if bars.disable:
                    note(text)
            bars.update(tasks[text], completed=done, total=total)

        yield advance


def _bars(*, transient: bool) -> Progress:
    """Bars on stderr; nothing is drawn when it is no terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, disable=not console.is_terminal, transient=transient)


def _visible(text: str) -> str:
    """Names come from models: control characters must not reach the terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
