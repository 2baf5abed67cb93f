"""openwork run"""

import re
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from openwork.cli.options import DIRECTORY_TO_WRITE, PATH, image_options, json_option, threads_option
from openwork.cli.output import print_json, print_table, stages

if TYPE_CHECKING:
    from openwork.frontends import ImagePreprocess


@click.command()
@click.argument("directory", metavar="DIR", type=PATH)
@click.option(
    "--input",
    "inputs",
    multiple=True,
    required=True,
    help="FILE or NAME=FILE: .npy, .npz, raw .bin, a .txt list, an image or a folder. May be repeated.",
)
@click.option(
    "-o", "--output", type=DIRECTORY_TO_WRITE, required=True, help="The directory for one .npy file an output."
)
@image_options
@threads_option
@json_option
def command(
    directory: Path,
    inputs: tuple[str, ...],
    output: Path,
    preprocess: "ImagePreprocess",
    threads: int | None,
    as_json: bool,
) -> None:
    """Run an artifact on data and write its outputs.

    Every batch that the data fills is run; the results follow one another along the first dimension. Images
    are laid out as in the model, whatever the layout of the artifact.

    \b
    Example:
      openwork run deploy --input images.npy -o results
    """
    from openwork.cli.data import Data
    from openwork.deploy import InferenceSession
    from openwork.deploy.networks import CompiledNetwork
    from openwork.files import write_array

    with stages() as tell, closing(InferenceSession(directory, threads=threads)) as session:
        network = CompiledNetwork(directory, session)
        results = network.run_batches(Data(inputs, network.inputs, preprocess).told(tell, "running"))
    outputs = []
    for index, (name, result) in enumerate(results.items()):
        path = output / _file_name(index, name)
        write_array(path, result)
        outputs.append({"name": name, "file": str(path), "dtype": str(result.dtype), "shape": list(result.shape)})
    if as_json:
        print_json({"artifact": str(directory), "outputs": outputs})
        return
    print_table(("output", "file", "type", "shape"), [list(map(str, each.values())) for each in outputs], left=4)


def _file_name(index: int, name: str) -> str:
    """The tensor's own name, unless it cannot be that of a file."""
    return f"{name}.npy" if re.fullmatch(r"(?!output\d)\w[\w.-]{0,59}", name) else f"output{index}.npy"
