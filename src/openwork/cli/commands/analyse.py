"""openwork analyse"""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from openwork.cli.config import config_option, node_name
from openwork.cli.options import (
    DIRECTORY_TO_WRITE,
    PATH,
    STRATEGY,
    image_options,
    input_node_option,
    json_option,
    limit_option,
    model_options,
    params_option,
)
from openwork.cli.output import note, print_json, print_line, print_table, stages

if TYPE_CHECKING:
    from openwork.cli.opening import Opening
    from openwork.frontends import ImagePreprocess


@click.command()
@config_option(
    {
        "graph": "model",
        "SAVE_PATH": "quantized",
        "params": "params",
        "input_images": "data",
        "input_node": "input_node",
        "output_node": "output_node",
        "strategy": "strategy",
    }
)
@click.argument("model", metavar="FLOAT", type=PATH)
@click.argument("quantized", metavar="QUANT", type=PATH)
@click.option("--data", multiple=True, required=True, help="What to run: FILE, a folder of images, or NAME=FILE.")
@click.option("-o", "--output", type=DIRECTORY_TO_WRITE, help="A directory for the page, its plot and the CSV file.")
@limit_option
@click.option("--integers", is_flag=True, help="Run QUANT in true integers instead of float arithmetic.")
@click.option("--strategy", type=STRATEGY, metavar="NAME", help="Of QUANT; one that ends in _t means --integers.")
@params_option
@input_node_option
@click.option("--output-node", help="The output, or tensor inside, that the final distance is about.")
@image_options
@model_options
@json_option
def command(
    model: Path,
    quantized: Path,
    data: tuple[str, ...],
    output: Path | None,
    limit: int | None,
    integers: bool,
    strategy: str | None,
    params: Path | None,
    input_node: str | None,
    output_node: str | None,
    preprocess: "ImagePreprocess",
    opening: "Opening",
    as_json: bool,
) -> None:
    """Show layer by layer what quantization did to a network.

    FLOAT is the model before `openwork quantize`, QUANT the one after. For each layer: the error that it makes
    by itself, on the float network's tensors, and the error that has accumulated in the whole network, as cosine
    distance, signal to quantization noise (SQNR) and PSNR, which is graded: below 20 dB poor, below 25 acceptable,
    below 30 good, above very good; of a tensor that joins several the PSNR is the worst part's. Saturated is the share
    of values that the integers cannot hold. The last lines tell the worst output or part, and the largest distance of
    an output. What is constant though it varies in FLOAT is named and graded poor: a branch that is lost.
    With -o a page with a table to sort, a plot, and a CSV file is written.

    \b
    Example:
      openwork analyse model.onnx int8.onnx --data images/ -o analysis
    """
    from openwork.cli.data import Data, fed
    from openwork.cli.differences import note_constant
    from openwork.frontends import input_specs
    from openwork.quantization.analysis import analyse
    from openwork.report.analysis import HEADINGS, cells, record, worst_record, worst_text, write_analysis

    true_integers = integers or (strategy or "").endswith("_t")
    with stages() as tell:
        tell("loading")
        floats, coded = opening.canonical(model, params), opening.canonical(quantized)
        inputs = input_specs(floats)
        tensors = {str(value.name) for node in floats.graph for value in node.outputs}
        known = Data(fed(data, input_node, inputs), inputs, preprocess, limit)
        analysis = analyse(
            floats,
            coded,
            known.told(tell, "analysing"),
            true_integers=true_integers,
            output=None if output_node is None else node_name(output_node, tensors),
        )
        if output is not None:
            tell("writing")
            facts = {
                "float model": model.name,
                "quantized model": quantized.name,
                "run as": "true integers (interpreter)" if true_integers else "fake quantization (onnxruntime)",
                "batches": str(analysis.batches),
            }
            write_analysis(analysis, f"{quantized.name} against {model.name}", facts, output)
    if output is not None:
        note(f"{output / 'analysis.html'}: written")
    note_constant(analysis.constant)
    if as_json:
        layers = [record(layer) for layer in analysis.layers]
        print_json(
            {
                "layers": layers,
                "batches": analysis.batches,
                "final_distance": analysis.final_distance,
                "worst": worst_record(analysis.worst),
                "constant": [part.to_json() for part in analysis.constant],
            }
        )
        return
    print_table(HEADINGS, [cells(layer) for layer in analysis.layers], left=2)
    print_line(worst_text(analysis.worst))
    print_line(f"final distance {analysis.final_distance}")
