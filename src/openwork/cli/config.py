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

from collections.abc import Callable, Container, Mapping
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from openwork.errors import DataError, one_line
from openwork.files import read_regular

# Where each key stands, by its own name.
_PLACES: Mapping[str, str] = {
    place.rpartition(".")[2]: place
    for place in (
        *("MODEL.graph", "MODEL.params"),
        *("QUAN.strategy", "QUAN.qconfig.weight_quan", "QUAN.qconfig.table", "QUAN.qconfig.image_path"),
        *("EVALUATION.input_images", "EVALUATION.label_file", "EVALUATION.image_file"),
        *("EVALUATION.input_node", "EVALUATION.output_node"),
        "SAVE_PATH",
    )
}


def read_config(path: Path) -> dict[str, str]:
    """The entries of a file by their last key. Raises: DataError: it cannot be read, or has a key that is none."""
    import yaml  # which --help does without

    try:
        text = read_regular(path).decode()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}); check the path") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is no text; write it as YAML") from error
    try:
        content = yaml.load(text, yaml.BaseLoader)  # leaves 506:0 and null as they are written
    except (yaml.YAMLError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read ({one_line(error)}); write it as YAML") from error
    entries: dict[str, str] = {}
    _collect(path, content or {}, "", entries)
    return entries


def _collect(path: Path, content: Any, above: str, entries: dict[str, str]) -> None:
    if not isinstance(content, Mapping):
        raise DataError(f"{path}: {above or 'the file'} must hold keys and values; see --config")
    for key, value in content.items():
        place = f"{above}.{key}" if above else str(key)
        if place in _PLACES.values():
            if not isinstance(value, str):
                raise DataError(f"{path}: {place} must be one text; put it in quotes")
            if not value:
                raise DataError(f"{path}: {place} has no value; give one, or leave the key out")
            entries[key] = value
        elif any(known.startswith(f"{place}.") for known in _PLACES.values()):
            _collect(path, value or {}, place, entries)
        else:
            raise DataError(f"{path}: {place} is no key of a configuration; the keys are {', '.join(_PLACES.values())}")


def config_option(parameters: Mapping[str, str]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The option --config of a command. parameters: key of the file -> parameter of the command that it fills."""

    def fill(context: click.Context, _option: click.Parameter, path: Path | None) -> None:
        if path is None:
            return
        known = {each.name: each for each in context.command.params}
        defaults: dict[str, Any] = {}
        for key, text in read_config(path).items():
            if key in parameters:
                parameter = known[parameters[key]]
                value = [text] if parameter.multiple or parameter.nargs < 0 else text
                try:
                    parameter.type_cast_value(context, value)
                except click.BadParameter as error:
                    raise DataError(f"{path}: {_PLACES[key]}: {error.message}") from error
                defaults[parameters[key]] = value
        context.default_map = {**(context.default_map or {}), **defaults}

    places = ", ".join(_PLACES[key] for key in parameters)
    return click.option(
        "--config",
        type=click.Path(path_type=Path),
        is_eager=True,
        expose_value=False,
        callback=fill,
        help=f"YAML file whose entries stand in for options that are not given: {places}.",
    )


def table_to_read(path: Path | None) -> Path | None:
    """The table of the command that runs: one that a configuration names is read if it exists already."""
    source = click.get_current_context().get_parameter_source("table")
    from_config = source is ParameterSource.DEFAULT_MAP
    return None if from_config and path is not None and not path.exists() else path


def node_name(name: str, known: Container[str]) -> str:
    """The tensor that is meant, without the output index that TensorFlow appends, `506` for `506:0`, unless it is known
    with it."""
    base, colon, index = name.rpartition(":")
    return base if name not in known and colon and index.isdecimal() else name
