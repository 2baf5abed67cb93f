"""openwork compare"""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from openwork.cli.options import PATH, SEED, image_options, json_option, model_options, refuse_idle
from openwork.cli.output import note, print_json, stages

if TYPE_CHECKING:
    from openwork.cli.opening import Opening
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
    help="Difference that passes, as a fraction of the output's range; as below unless given.",
)
@click.option("--seed", type=SEED, default=0, show_default=True, help="Of the random inputs.")
@image_options
@model_options
@json_option
def command(
    a: Path,
    b: Path,
    inputs: tuple[str, ...],
    within: float | None,
    seed: int,
    preprocess: "ImagePreprocess",
    opening: "Opening",
    as_json: bool,
) -> None:
    """Hold two networks against each other: models, or artifacts.

    A model's file is run by onnxruntime, or by an interpreter of TFLite if one is installed; otherwise what openwork
    made of it is run, and it is said why. Each output passes if it differs by no more than a few times as far as
    noise moves it: between networks in floats as much as rounding, at least 0.0001 of its range; where one is
    quantized, half a step of each tensor that is, at least 0.02 of the range if both are. If one fails, the first
    tensor inside that both networks have and that differs is named; of a model and an artifact the result of the
    first layer that the artifact computes otherwise than the model has it. Exit status 1 if an output fails.

    Random inputs are such as both can hold: normally distributed, and where one of the two quantizes an input,
    within the range that its integers have. Images are laid out as in the model, whatever the layout of an artifact;
    an input that a model and --set-shape leave open is as in the artifact it is compared with.

    \b
    Example:
      openwork compare model.onnx deploy --input x.npy
    """
    from openwork.cli.data import Data
    from openwork.cli.differences import differences_json, note_constant, print_differences
    from openwork.deploy.networks import OnnxNetwork, open_networks
    from openwork.deploy.proof.compare import compare
    from openwork.errors import VerificationError
    from openwork.graph import dynamic_layers, dynamic_note

    if inputs:
        refuse_idle(("seed",), "--input is given")
    with stages() as tell:
        tell("loading")
        with open_networks(a, b, **asdict(opening)) as (one, other):
            models = {str(path): net for path, net in ((a, one), (b, other)) if isinstance(net, OnnxNetwork)}
            values = Data(inputs, one.inputs, preprocess).first() if inputs else None
            tell("comparing")
            comparison = compare(one, other, values, seed=seed, within=within)
    for path, network in models.items():
        note(f"note: {path}: {network.reference}")
        for layer in dynamic_layers(network.model):
            note(f"note: {path}: {dynamic_note(layer)}")
    for path, share in comparison.saturation.items():
        note(
            f"warning: {path}: onnxruntime's own kernels saturate on this processor, up to {share:.1%} of the range,"
            " unless session.x64quantprecision is 1; quantize --for onnxruntime-x86 leaves them room"
        )
    for path, parts in comparison.constant.items():
        note_constant(parts, path)
    diverging = comparison.first_diverging
    if as_json:
        references = {path: asdict(network.reference) for path, network in models.items()}
        result: dict[str, object] = {"a": str(a), "b": str(b), "passed": comparison.passed, "references": references}
        outputs, first = differences_json(comparison.outputs), differences_json([diverging] if diverging else [])
        constant = {path: [part.to_json() for part in parts] for path, parts in comparison.constant.items()}
        result |= {"constant": constant, "saturation": comparison.saturation}
        print_json({**result, "outputs": outputs, "first_diverging": first[0] if first else None})
    else:
        print_differences(comparison.outputs)
    if not comparison.passed:
        failed = ", ".join(output.name for output in comparison.outputs if not output.passed)
        where = f"; first diverging tensor: {diverging.name}" if diverging else ""
        raise VerificationError(f"{a} and {b}: differ in {failed}{where}")
