"""openwork run"""

import re
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from openwork.cli.options import PATH, image_options, json_option, threads_option
from openwork.cli.output import print_json, print_table, stages, told

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from openwork.deploy.networks import Array, CompiledNetwork, Values


@click.command()
@click.argument("directory", metavar="DIR", type=PATH)
@click.option(
    "--input",
    "inputs",
    multiple=True,
    required=True,
    help="FILE or NAME=FILE: .npy, .npz, raw .bin, a .txt list, an image or a folder. May be repeated.",
)
@click.option("-o", "--output", type=PATH, required=True, help="The directory for one .npy file an output.")
@image_options
@threads_option
@json_option
def command(
    directory: Path,
    inputs: tuple[str, ...],
    output: Path,
    mean: tuple[float, ...],
    scale: tuple[float, ...],
    threads: int | None,
    as_json: bool,
) -> None:
    """Run an artifact on data and write its outputs.

    Every batch that the data fills is run; the results follow one another along the first dimension. Images
    are channels first, as in the ONNX model, whatever the layout of the artifact.

    \b
    Example:
      openwork run deploy --input images.npy -o results
    """
    from openwork.deploy.networks import CompiledNetwork
    from openwork.files import write_array
    from openwork.frontends import ImagePreprocess, count_batches, read_batches

    with stages() as tell, closing(CompiledNetwork(directory, threads=threads)) as network:
        batches = read_batches(inputs, network.inputs, preprocess=ImagePreprocess(mean, scale))
        results = _run(network, told(tell, "running", batches, count_batches(inputs, network.inputs)))
    outputs = []
    for index, (name, result) in enumerate(results.items()):
        path = output / _file_name(index, name)
        write_array(path, result)
        outputs.append({"name": name, "file": str(path), "dtype": str(result.dtype), "shape": list(result.shape)})
    if as_json:
        print_json({"artifact": str(directory), "outputs": outputs})
        return
    print_table(("output", "file", "type", "shape"), [list(map(str, each.values())) for each in outputs], left=4)


def _run(network: "CompiledNetwork", batches: "Iterable[Values]") -> "Mapping[str, Array]":
    """The outputs, those of all batches along the first dimension."""
    import numpy as np

    from openwork.errors import DataError

    parts: list[Values] = []
    for batch in batches:
        if parts and not network.batch:
            raise DataError(
                f"{network.path}: its inputs and outputs share no first dimension, so that the results of several"
                " batches cannot be joined; give data for one batch"
            )
        parts.append(network.run(batch))
    if len(parts) == 1:
        return parts[0]
    return {name: np.concatenate([part[name] for part in parts]) for name in network.outputs}


def _file_name(index: int, name: str) -> str:
    """The tensor's own name, unless it cannot be that of a file."""
    return f"{name}.npy" if re.fullmatch(r"(?!output\d)\w[\w.-]{0,59}", name) else f"output{index}.npy"
