"""openwork run"""

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from openwork.cli.options import PATH, image_options, json_option, threads_option
from openwork.cli.output import print_json, print_table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


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

    Every batch that the data fills is run; the results follow one another along the first dimension.

    \b
    Example:
      openwork run deploy --input images.npy -o results
    """
    import numpy as np

    from openwork.deploy import InferenceSession
    from openwork.frontends import ImagePreprocess, TensorSpec, read_batches

    with InferenceSession(directory, threads=threads) as session:
        artifact = session.artifact
        specs = [TensorSpec(tensor.name, tensor.shape, tensor.dtype) for tensor in artifact.inputs]
        batches = read_batches(inputs, specs, preprocess=ImagePreprocess(mean, scale))
        parts = list(zip(*(session.run(None, batch) for batch in batches), strict=True))
    results = {tensor.name: np.concatenate(part) for tensor, part in zip(artifact.outputs, parts, strict=True)}
    outputs = []
    for index, (name, result) in enumerate(results.items()):
        path = output / _file_name(index, name)
        _write_array(path, result)
        outputs.append({"name": name, "file": str(path), "dtype": str(result.dtype), "shape": list(result.shape)})
    if as_json:
        print_json({"artifact": str(directory), "outputs": outputs})
        return
    print_table(("output", "file", "type", "shape"), [list(map(str, each.values())) for each in outputs], left=4)


def _file_name(index: int, name: str) -> str:
    """The tensor's own name, unless it cannot be that of a file."""
    return f"{name}.npy" if re.fullmatch(r"(?!output\d)\w[\w.-]{0,59}", name) else f"output{index}.npy"


def _write_array(path: Path, array: "NDArray[np.generic]") -> None:
    import numpy as np

    from openwork.files import write_whole

    file = io.BytesIO()
    np.save(file, array)
    write_whole(path, file.getvalue())
