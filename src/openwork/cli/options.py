"""Options that several commands share."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

PATH = click.Path(path_type=Path)
SEED = click.IntRange(0, 2**63 - 1)

# What --set-shape gives: each input's name and shape.
Shapes = tuple[tuple[str, tuple[int, ...]], ...]


class _Shape(click.ParamType):
    """`x=1,3,224,224` as the pair ("x", (1, 3, 224, 224)); names may hold `=` themselves."""

    name = "NAME=N,C,..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        match = re.fullmatch(r"(?P<name>.+)=(?P<sizes>[1-9]\d{0,8}(,[1-9]\d{0,8})*)", value, re.DOTALL)
        if match is None:
            self.fail(f"{value!r} is not a name and sizes from 1 to 999999999, as in x=1,3,224,224", param, ctx)
        return match["name"], tuple(int(size) for size in match["sizes"].split(","))


class _Numbers(click.ParamType):
    """`0.485,0.456,0.406` as floats; one number stands for all channels."""

    name = "A,B,C"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return tuple(float(number) for number in value.split(","))
        except ValueError:
            self.fail(f"{value!r} is not a list of numbers, as in 0.485,0.456,0.406", param, ctx)


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON (it carries schema_version).")

threads_option = click.option(
    "--threads", type=click.IntRange(1, 64), help="Threads of one inference; as compiled unless given."
)

batch_option = click.option(
    "--batch",
    type=click.IntRange(1, 999_999_999),
    default=1,
    show_default=True,
    help="Size of a first dimension that the model leaves open.",
)

trust_option = click.option(
    "--trust",
    is_flag=True,
    help="Load .pt and .pt2 files of torch, which runs what is inside. TorchScript needs --set-shape for its inputs.",
)

shapes_option = click.option(
    "--set-shape",
    "shapes",
    type=_Shape(),
    multiple=True,
    help="Fix the shape of an input, as in x=1,3,224,224. May be repeated.",
)


params_option = click.option(
    "--params", type=PATH, help="An .npz file of arrays that replace weights of the float model, by name."
)

input_node_option = click.option("--input-node", help="The input that the data feeds, where there are several.")


def image_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --mean and --scale: how images of an input become numbers, (pixel - mean) / scale."""
    for option in (
        click.option(
            "--scale",
            type=_Numbers(),
            default="255",
            show_default=True,
            help="Images: divisor of each channel, after the mean is taken away.",
        ),
        click.option(
            "--mean",
            type=_Numbers(),
            default="0",
            show_default=True,
            help="Images: mean of each channel, with pixels from 0 to 255.",
        ),
    ):
        command = option(command)
    return command
