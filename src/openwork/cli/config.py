"""--config: options from a YAML file with the keys of Moffett's quantization tools.

    MODEL:
      graph: model.onnx                 the float model
      params: weights.npz               arrays that replace its weights, by name; may be left out
    QUAN:
      strategy: symmetry_max_t          as --strategy takes it
      qconfig:
        weight_quan: perlayer           or perchannel
        table: calibration.json         read when it exists, written otherwise
        image_path: calibration/        data to calibrate on
    EVALUATION:
      input_images: images/             data to analyse with
      label_file: synsets.txt           names of the classes, one a line
      image_file: test.list             lines of an image and its label
      input_node: "0:0"                 the input that the images feed
      output_node: "506:0"              the output that counts
    SAVE_PATH: quantized.onnx

Every key may be left out; options on the command line win. Paths are as on the command line.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from openwork.errors import DataError, one_line

# Where each key stands, and the parameters of commands that it fills.
_KEYS: Mapping[tuple[str, ...], str] = {
    ("MODEL", "graph"): "graph",
    ("MODEL", "params"): "params",
    ("QUAN", "strategy"): "strategy",
    ("QUAN", "qconfig", "weight_quan"): "weight_quan",
    ("QUAN", "qconfig", "table"): "table",
    ("QUAN", "qconfig", "image_path"): "image_path",
    ("EVALUATION", "input_images"): "input_images",
    ("EVALUATION", "label_file"): "label_file",
    ("EVALUATION", "image_file"): "image_file",
    ("EVALUATION", "input_node"): "input_node",
    ("EVALUATION", "output_node"): "output_node",
    ("SAVE_PATH",): "SAVE_PATH",
}


def read_config(path: Path) -> dict[str, str]:
    """The entries of a file by their last key. Raises: DataError: it cannot be read, or has a key that is none."""
    import yaml  # which --help does without

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DataError(f"{path}: cannot be read ({one_line(error)}); write it as YAML") from error
    entries: dict[str, str] = {}
    _collect(path, content if content is not None else {}, (), entries)
    return entries


def _collect(path: Path, content: Any, above: tuple[str, ...], entries: dict[str, str]) -> None:
    if not isinstance(content, Mapping):
        raise DataError(f"{path}: {'.'.join(above) or 'the file'} must hold keys and values; see --config")
    for key, value in content.items():
        place = (*above, str(key))
        if place in _KEYS:
            if not isinstance(value, str | int) or isinstance(value, bool):
                raise DataError(f"{path}: {'.'.join(place)} must be text; put it in quotes")
            entries[_KEYS[place]] = str(value)
        elif any(known[: len(place)] == place for known in _KEYS):
            _collect(path, value if value is not None else {}, place, entries)
        else:
            known = ", ".join(".".join(known) for known in _KEYS)
            raise DataError(f"{path}: {'.'.join(place)} is no key of a configuration; the keys are {known}")


def config_option(parameters: Mapping[str, str]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The option --config of a command. parameters: key of the file -> parameter of the command that it fills."""

    def fill(context: click.Context, _option: click.Parameter, path: Path | None) -> None:
        if path is not None:
            many = {each.name for each in context.command.params if each.multiple or each.nargs < 0}
            defaults: dict[str, str | list[str]] = {}
            for key, value in read_config(path).items():
                if key in parameters:
                    name = parameters[key]
                    defaults[name] = [value] if name in many else value
            context.default_map = {**(context.default_map or {}), **defaults}

    return click.option(
        "--config",
        type=click.Path(path_type=Path),
        is_eager=True,
        expose_value=False,
        callback=fill,
        help="YAML file with MODEL, QUAN, EVALUATION and SAVE_PATH, whose entries stand in for options.",
    )


def table_to_read(path: Path | None) -> Path | None:
    """The table of the command that runs: one that a configuration names is read if it exists already."""
    source = click.get_current_context().get_parameter_source("table")
    from_config = source is ParameterSource.DEFAULT_MAP
    return None if from_config and path is not None and not path.exists() else path


def fed(data: Sequence[str], input_node: str | None) -> list[str]:
    """The data for one named input, where there is a name."""
    return list(data) if input_node is None else [f"{node_name(input_node)}={spec}" for spec in data]


def node_name(name: str) -> str:
    """A tensor's name without the output index that TensorFlow appends: `506:0` is `506`."""
    base, colon, index = name.rpartition(":")
    return base if colon and index.isdecimal() else name
