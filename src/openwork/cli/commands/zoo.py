"""openwork zoo"""

from pathlib import Path

import click

from openwork.cli.options import PATH, SEED
from openwork.cli.output import note, stages


@click.group(no_args_is_help=False)
def command() -> None:
    """Networks to compile, measure and test with."""


@command.command()
@click.argument("name", metavar="resnet20|resnet50|mobilenet_v2")
@click.option("-o", "--output", type=PATH, required=True, help="The ONNX file to write.")
@click.option("--sparsity", type=float, default=0.0, show_default=True, help="Fraction of zeros, from 0 to below 1.")
@click.option("--pattern", default="unstructured", show_default=True, help="unstructured, 1x4, 4x1 or 2:4.")
@click.option("--seed", type=SEED, default=0, show_default=True, help="Of the random weights.")
def make(name: str, output: Path, sparsity: float, pattern: str, seed: int) -> None:
    """Write a network with random weights that behave like trained ones.

    Activations neither vanish nor explode. The first convolution and depthwise ones stay dense. Needs the
    torch extra.

    \b
    Example:
      openwork zoo make resnet50 --sparsity 0.9 --pattern 1x4 -o r50.onnx
    """
    with stages() as tell:
        tell("loading torch")
        import torch

        from openwork.exporters import save_onnx
        from openwork.frontends.torch import from_torch
        from openwork.graph import metadata
        from openwork.passes import canonicalise
        from openwork.sparsity import parse_pattern
        from openwork.zoo import input_shape, make_model

        module = make_model(name, sparsity=sparsity, pattern=parse_pattern(pattern), seed=seed, progress=tell)
        tell("exporting")
        graph = from_torch(module, [torch.zeros(input_shape(name))])
        tell("optimizing")
        canonicalise(graph)
        tell("writing")
        save_onnx(graph, output, metadata=metadata(graph))
    note(f"{output}: written, {output.stat().st_size:,} bytes")
