"""openwork compare"""

from pathlib import Path

import click

from openwork.cli.options import (
    PATH,
    SEED,
    Shapes,
    batch_option,
    image_options,
    json_option,
    shapes_option,
    trust_option,
)
from openwork.cli.output import print_json, stages


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
@shapes_option
@batch_option
@trust_option
@json_option
def command(
    a: Path,
    b: Path,
    inputs: tuple[str, ...],
    within: float | None,
    seed: int,
    mean: tuple[float, ...],
    scale: tuple[float, ...],
    shapes: Shapes,
    batch: int,
    trust: bool,
    as_json: bool,
) -> None:
    """Hold two networks against each other: ONNX files, which onnxruntime runs, or artifacts.

    Each output passes if it differs by no more than is allowed. If one fails, the first tensor inside that
    both networks have and that differs is named. Exit status 1 if an output fails. Images are channels first;
    an input that an ONNX file and --set-shape leave open is as in the artifact it is compared with.

    \b
    Example:
      openwork compare model.onnx deploy --input x.npy
    """
    from openwork.cli.differences import differences_json, print_differences
    from openwork.deploy.compare import compare
    from openwork.deploy.networks import open_networks
    from openwork.errors import VerificationError
    from openwork.frontends import ImagePreprocess, read_one

    with stages() as tell:
        tell("loading")
        with open_networks(a, b, shapes=dict(shapes), batch=batch, trust=trust) as (one, other):
            values = read_one(inputs, one.inputs, preprocess=ImagePreprocess(mean, scale)) if inputs else None
            tell("comparing")
            comparison = compare(one, other, values, seed=seed, within=within)
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
