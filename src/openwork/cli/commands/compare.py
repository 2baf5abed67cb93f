"""openwork compare"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from openwork.cli.options import PATH, SEED, image_options, json_option
from openwork.cli.output import print_json

if TYPE_CHECKING:
    from openwork.deploy.networks import Values
    from openwork.frontends import ImagePreprocess


@click.command()
@click.argument("a", metavar="A", type=PATH)
@click.argument("b", metavar="B", type=PATH)
@click.option(
    "--input",
    "inputs",
    multiple=True,
    help="FILE or NAME=FILE for both; random inputs unless given. May be repeated.",
)
@click.option(
    "--within",
    type=click.FloatRange(0),
    help="Difference that passes, as a fraction of the output's range. Default: what the arithmetic allows.",
)
@click.option("--seed", type=SEED, default=0, show_default=True, help="Of the random inputs.")
@image_options
@json_option
def command(
    a: Path,
    b: Path,
    inputs: tuple[str, ...],
    within: float | None,
    seed: int,
    mean: tuple[float, ...],
    scale: tuple[float, ...],
    as_json: bool,
) -> None:
    """Hold two networks against each other: ONNX files, which onnxruntime runs, or artifacts.

    Each output passes if it differs by no more than is allowed. If one fails, the first tensor inside that
    both networks have and that differs is named. Exit status 1 if an output fails.

    \b
    Example:
      openwork compare model.onnx deploy --input x.npy
    """
    from openwork.cli.differences import differences_json, print_differences
    from openwork.deploy.compare import compare
    from openwork.errors import VerificationError
    from openwork.frontends import ImagePreprocess

    values = _read(a, b, inputs, ImagePreprocess(mean, scale)) if inputs else None
    comparison = compare(a, b, values, seed=seed, within=within)
    diverging = comparison.first_diverging
    if as_json:
        result = {"a": str(a), "b": str(b), "passed": comparison.passed}
        outputs, first = differences_json(comparison.outputs), differences_json([diverging] if diverging else [])
        print_json({**result, "outputs": outputs, "first_diverging": first[0] if first else None})
    else:
        print_differences(comparison.outputs)
    if not comparison.passed:
        failed = ", ".join(output.name for output in comparison.outputs if not output.passed)
        where = f"; first diverging tensor: {diverging.name}" if diverging else ""
        raise VerificationError(f"{a} and {b}: differ in {failed}{where}")


def _read(a: Path, b: Path, inputs: Sequence[str], preprocess: "ImagePreprocess") -> "Values":
    """The first batch that the files hold, in the shapes that both networks take."""
    from openwork.deploy.networks import CompiledNetwork, Network, OnnxNetwork
    from openwork.frontends import TensorSpec, read_one

    artifact = next((path for path in (a, b) if path.is_dir()), None)
    network: Network = CompiledNetwork(artifact) if artifact else OnnxNetwork(a, {})
    specs = [TensorSpec(tensor.name, tuple(tensor.shape), tensor.dtype) for tensor in network.inputs]
    return read_one(inputs, specs, preprocess=preprocess)
