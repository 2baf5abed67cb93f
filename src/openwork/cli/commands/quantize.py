"""openwork quantize"""

from __future__ import annotations

from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from openwork.cli.config import config_option, table_to_read
from openwork.cli.options import (
    FILE_TO_WRITE,
    GRANULARITY,
    PATH,
    STRATEGIES,
    STRATEGY,
    image_options,
    input_node_option,
    json_option,
    mixed_options,
    model_options,
    params_option,
    refuse_idle,
    refuse_idle_mixed,
)
from openwork.cli.output import print_json, print_table, stages

if TYPE_CHECKING:  # they bring onnxruntime along, which --help does without
    from openwork.cli.opening import Opening
    from openwork.frontends import ImagePreprocess
    from openwork.quantization import QuantizedLayer

# Batches that the result is checked on: enough for what varies from one to the next.
CHECKED = 8
CALIBRATORS = ("minmax", "moving_average", "percentile", "kl", "mse")


@click.command()
@config_option(
    {
        "graph": "model",
        "params": "params",
        "strategy": "strategy_name",
        "weight_quan": "weights",
        "table": "table",
        "image_path": "data",
        "input_node": "input_node",
        "SAVE_PATH": "output",
    }
)
@click.argument("model", type=PATH)
@click.option(
    "--data",
    multiple=True,
    help="Calibration data: FILE, a folder of images, or NAME=FILE. May be repeated. Not needed with a table.",
)
@click.option("-o", "--output", type=FILE_TO_WRITE, required=True, help="The ONNX file to write.")
@click.option(
    "--strategy",
    "strategy_name",
    type=STRATEGY,
    metavar="NAME",
    default="int8",
    show_default=True,
    help=f"{', '.join(STRATEGIES)}; or one with _t: the same file, which analyse and evaluate run in true integers.",
)
@click.option(
    "--weights",
    type=GRANULARITY,
    help="One scale for a weight, or one for each of its output channels.  [default: perlayer; int8: perchannel]",
)
@click.option("--weight-bits", type=click.Choice(["4", "8", "16"]), help="Bits of weights, if not the strategy's own.")
@click.option("--activation-bits", type=click.Choice(["8", "16"]), help="Bits of activations, likewise.")
@click.option(
    "--calibrator",
    type=click.Choice(CALIBRATORS),
    default="minmax",
    show_default=True,
    help="How the range of an activation is found.",
)
@click.option("--table", type=PATH, help="Take the ranges from this calibration table instead.")
@click.option("--save-table", type=FILE_TO_WRITE, help="Write the calibration table, as JSON.")
@click.option(
    "--merge-table", type=PATH, multiple=True, help="Add a table of other data, or take it alone. May be repeated."
)
@click.option(
    "--for",
    "runner",
    type=click.Choice(["onnxruntime-x86"]),
    help="Weights of 7 bits: onnxruntime on x86 without VNNI saturates with 8.",
)
@click.option("--exclude", multiple=True, metavar="LAYER", help="Leave this layer in floats. May be repeated.")
@mixed_options
@params_option
@input_node_option
@image_options
@model_options
@json_option
def command(
    model: Path,
    data: tuple[str, ...],
    output: Path,
    strategy_name: str,
    weights: Any,
    weight_bits: str | None,
    activation_bits: str | None,
    calibrator: str,
    table: Path | None,
    save_table: Path | None,
    merge_table: tuple[Path, ...],
    runner: str | None,
    exclude: tuple[str, ...],
    least_sqnr: float,
    fx8_share: float | None,
    params: Path | None,
    input_node: str | None,
    preprocess: ImagePreprocess,
    opening: Opening,
    as_json: bool,
) -> None:
    """Turn a float model into an integer one, as ONNX with QuantizeLinear and DequantizeLinear.

    Weights are symmetric: zeros stay zeros. By default they become int8, one scale per output channel, and
    activations uint8 in the range they have on the calibration data: .npy, .npz, raw .bin, a .txt list of such
    files, or a folder of images. Tells what became of each layer, how far each output moved on the first batches
    of the data, as cosine distance, and warns of each tensor or part of one that is constant on them, though it varies
    in the float model.

    \b
    Example:
      openwork quantize model.onnx --data images/ --mean 123.675,116.28,103.53 \\
          --scale 58.395,57.12,57.375 --save-table table.json -o int8.onnx
      openwork quantize model.onnx --table table.json --strategy scale_shift -o shift.onnx
    """
    from openwork.cli.data import Data, calibrated, fed
    from openwork.cli.differences import note_constant
    from openwork.exporters import save_onnx
    from openwork.frontends import input_specs
    from openwork.graph import metadata
    from openwork.quantization import decided, for_onnxruntime_x86, quantize, quantized_layers, strategy
    from openwork.quantization.analysis import checked

    ready = table_to_read(table)
    chosen = strategy(
        strategy_name,
        weights,
        weight_bits=int(weight_bits) if weight_bits else None,
        activation_bits=int(activation_bits) if activation_bits else None,
    )
    if runner is not None:
        chosen = for_onnxruntime_x86(chosen)
    if not data and ready is None and not merge_table:
        raise click.UsageError("Missing option '--data' (or '--table', '--merge-table').", click.get_current_context())
    if not data and chosen.wide is None:
        raise click.UsageError("--strategy mixed chooses layers on data; give --data.", click.get_current_context())
    if not data or ready is not None:
        refuse_idle(("calibrator",), "the ranges come from a table, which keeps to the method it was made by")
    refuse_idle_mixed(chosen.wide is None, fx8_share)
    with stages() as tell:
        tell("loading")
        graph = opening.canonical(model, params)
        inputs = input_specs(graph)
        known = Data(fed(data, input_node, inputs), inputs, preprocess)
        ranges = calibrated(
            graph,
            known,
            tell,
            table=ready,
            others=merge_table,
            method=calibrator,
            scheme=chosen.activations,
            save=[path for path in (save_table, None if ready else table) if path],
        )
        if chosen.wide is None:
            batches = known.told(tell, "choosing layers of 16 bits")
            chosen = decided(chosen, graph, ranges, batches, least_sqnr=least_sqnr, narrow_share=fx8_share)
        tell("quantizing")
        integers = quantize(graph, ranges, chosen, exclude=exclude)
        layers = quantized_layers(integers, graph)
        check = None
        if data:
            check = checked(graph, integers, islice(known.told(tell, "checking"), CHECKED))
        tell("writing")
        save_onnx(integers, output, metadata=metadata(integers))
    if check is not None:
        note_constant(check.constant)
    if as_json:
        print_json(
            {
                "output": str(output),
                "strategy": strategy_name,
                "method": ranges.method,
                "samples": ranges.samples,
                "tensors": len(ranges.observers),
                "layers": [{**asdict(layer), "pattern": _pattern(layer)} for layer in layers],
                "distances": None if check is None else check.distances,
                "constant": None if check is None else [part.to_json() for part in check.constant],
            }
        )
        return
    print_table(
        ("layer", "operator", "input", "weight", "input scale", "weight scale", "pattern", "zeros"),
        map(_row, layers),
        left=4,
    )
    if check is not None:
        print_table(("output", "distance"), [(name, f"{value:.2e}") for name, value in check.distances.items()])


def _row(layer: QuantizedLayer) -> tuple[str, ...]:
    return (
        layer.name,
        layer.operator,
        layer.activation,
        layer.weight or "-",
        "-" if layer.activation_scale is None else f"{layer.activation_scale:.4g}",
        "-" if layer.weight_scales is None else " to ".join(f"{x:.4g}" for x in dict.fromkeys(layer.weight_scales)),
        _pattern(layer) or "dense",
        "kept" if layer.zeros_kept else "LOST",
    )


def _pattern(layer: QuantizedLayer) -> str | None:
    return None if layer.pattern is None else str(layer.pattern)
