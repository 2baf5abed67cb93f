"""openwork quantize"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from openwork.cli.config import config_option, fed, table_to_read
from openwork.cli.options import (
    PATH,
    Shapes,
    batch_option,
    image_options,
    input_node_option,
    json_option,
    params_option,
    shapes_option,
    trust_option,
)
from openwork.cli.output import Tell, print_json, print_table, stages, told

if TYPE_CHECKING:  # they bring onnxruntime along, which --help does without
    import onnx_ir as ir

    from openwork.quantization import CalibrationTable, Observer, QuantizedLayer, Scheme

STRATEGIES = ("int8", "minmax", "symmetry_max", "scale_shift", "fx8", "fx16", "mixed", "null")
CALIBRATORS = ("minmax", "moving_average", "percentile", "kl", "mse")

# Gives the calibration data from its beginning: {input name: array}, one batch after another.
Read = Callable[[], Iterator[Mapping[str, Any]]]


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
    help="Calibration data: FILE, a folder of images, or NAME=FILE. May be repeated. Not needed with --table.",
)
@click.option("-o", "--output", type=PATH, required=True, help="The ONNX file to write.")
@click.option(
    "--strategy",
    "strategy_name",
    type=click.Choice([name + suffix for suffix in ("", "_t") for name in STRATEGIES]),
    metavar="NAME",
    default="int8",
    show_default=True,
    help=f"{', '.join(STRATEGIES)}; or one with _t: the same file, which analyse and evaluate run in true integers.",
)
@click.option(
    "--weights",
    type=click.Choice(["perlayer", "perchannel"]),
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
@click.option("--save-table", type=PATH, help="Write the calibration table, as JSON.")
@click.option("--merge-table", type=PATH, multiple=True, help="Add a table of other data. May be repeated.")
@click.option("--exclude", multiple=True, metavar="LAYER", help="Leave this layer in floats. May be repeated.")
@click.option(
    "--least-sqnr", type=float, default=25.0, show_default=True, help="mixed: layers with less dB get 16 bits."
)
@click.option("--fx8-share", type=click.FloatRange(0, 1), help="mixed: instead, this share of MACs keeps 8 bits.")
@params_option
@input_node_option
@image_options
@shapes_option
@batch_option
@trust_option
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
    exclude: tuple[str, ...],
    least_sqnr: float,
    fx8_share: float | None,
    params: Path | None,
    input_node: str | None,
    mean: tuple[float, ...],
    scale: tuple[float, ...],
    shapes: Shapes,
    batch: int,
    trust: bool,
    as_json: bool,
) -> None:
    """Turn a float model into an integer one, as ONNX with QuantizeLinear and DequantizeLinear.

    Weights are symmetric: zeros stay zeros. By default they become int8, one scale per output channel, and
    activations uint8 in the range they have on the calibration data: .npy, .npz, raw .bin, a .txt list of such
    files, or a folder of images. Tells what became of each layer, and how far each output moved on the first
    batch of the data, as cosine distance.

    \b
    Example:
      openwork quantize model.onnx --data images/ --mean 123.675,116.28,103.53 \\
          --scale 58.395,57.12,57.375 --save-table table.json -o int8.onnx
      openwork quantize model.onnx --table table.json --strategy scale_shift -o shift.onnx
    """
    from openwork.deploy.compare import output_distances
    from openwork.exporters import save_onnx
    from openwork.frontends import (
        ImagePreprocess,
        count_batches,
        input_specs,
        load_model,
        read_batches,
        read_one,
        replace_weights,
    )
    from openwork.graph import metadata
    from openwork.passes import canonicalise
    from openwork.quantization import decided, quantize, quantized_layers, strategy

    bits = {
        "weight_bits": None if weight_bits is None else int(weight_bits),
        "activation_bits": None if activation_bits is None else int(activation_bits),
    }
    chosen = strategy(strategy_name, weights, **bits)
    specs, known = fed(data, input_node), table_to_read(table)
    if not data and known is None and not merge_table:
        raise click.UsageError("Missing option '--data' (or '--table').", click.get_current_context())
    if not data and chosen.wide is None:
        raise click.UsageError("--strategy mixed chooses layers on data; give --data.", click.get_current_context())
    with stages() as tell:
        tell("loading")
        graph = load_model(model, trust=trust, shapes=dict(shapes))
        if params is not None:
            replace_weights(graph, params)
        canonicalise(graph, shapes=dict(shapes), batch=batch)
        inputs, preprocess = input_specs(graph), ImagePreprocess(mean, scale)

        def read() -> Iterator[Mapping[str, Any]]:
            return read_batches(specs, inputs, preprocess=preprocess)

        count = count_batches(specs, inputs) if specs else 0
        learnt = _table(graph, known, merge_table, calibrator, chosen.activations, read, count, tell)
        for new_table in (save_table, table if known is None else None):
            if new_table is not None:
                learnt.save(new_table)
        if chosen.wide is None:
            batches = told(tell, "choosing layers of 16 bits", read(), count)
            chosen = decided(chosen, graph, learnt, batches, least_sqnr=least_sqnr, narrow_share=fx8_share)
        tell("quantizing")
        integers = quantize(graph, learnt, chosen, exclude=exclude)
        layers = quantized_layers(integers, graph)
        distances = None
        if data:
            tell("checking")
            distances = output_distances(integers, graph, read_one(specs, inputs, preprocess=preprocess))
        tell("writing")
        save_onnx(integers, output, metadata=metadata(integers))
    if as_json:
        print_json(
            {
                "output": str(output),
                "strategy": strategy_name,
                "method": learnt.method,
                "samples": learnt.samples,
                "tensors": len(learnt.observers),
                "layers": [{**asdict(layer), "pattern": _pattern(layer)} for layer in layers],
                "distances": distances,
            }
        )
        return
    print_table(
        ("layer", "operator", "input", "weight", "input scale", "weight scale", "pattern", "zeros"),
        map(_row, layers),
        left=4,
    )
    if distances is not None:
        print_table(("output", "distance"), [(name, f"{value:.2e}") for name, value in distances.items()])


def _table(
    graph: ir.Model,
    path: Path | None,
    others: tuple[Path, ...],
    calibrator: str,
    scheme: Scheme | None,
    read: Read,
    count: int,
    tell: Tell,
) -> CalibrationTable:
    """The table at a path, or learnt from `count` batches of data, with others added."""
    from openwork.quantization import CalibrationTable, calibrate

    tables = [CalibrationTable.load(other) for other in others]
    if path is not None:
        tables.insert(0, CalibrationTable.load(path))
    elif count:
        batches = told(tell, "calibrating", read(), count)
        tables.insert(0, calibrate(graph, batches, lambda: _observer(calibrator, scheme)))
    return CalibrationTable.merge(tables)


def _observer(calibrator: str, scheme: Scheme | None) -> Observer:
    """A calibrator with its usual settings, for activations that become integers so."""
    from openwork.quantization import METHODS, MSE

    if calibrator == "mse" and scheme is not None:
        return MSE(2**scheme.bits, scheme.scale)
    return METHODS[calibrator]()


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
